"""What colluding hospitals do over a whole consortium in memory: pool what they hold, open updates.

They have the project's own arithmetic, every public record, every private chunk, and the sealing
keys of the colluders; of an honest hospital only what it published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from chaincode.records import keys
from chaincode.records.canonical import sha256_hex
from chaincode.records.round import Aggregate, Manifest, aggregate_digest
from chaincode.records.sums import sum_updates
from chaincode.records.terms import round_parameters
from chaincode.roundkey import ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import RING_DEGREE
from chaincode.roundkey.shares import Shares, read_share_sum
from peer_client.rounds import submission
from peer_client.sealing import OwnShareSum, ReceivedBox, open_boxes
from peer_client.sealing import upload as sealing_upload
from peer_client.sealing.encoder import UpdateEncoder
from peer_client.update.errors import PackedRangeError
from peer_client.update.packing import unpack
from tests.support.hospitals import MemoryConsortium

Values = NDArray[np.int64]


def watch_updates(patch: Callable[[object, str, object], None]) -> dict[str, Values]:
    """Return a dictionary that fills with what each hospital encrypts, to compare with at the end.

    Args:
        patch: `monkeypatch.setattr`.
    """
    true_values: dict[str, Values] = {}
    really = sealing_upload.seal_update

    def watched(values, *, parameters, round, entropy):
        true_values[round.own_msp] = values.copy()
        return really(values, parameters=parameters, round=round, entropy=entropy)

    patch(sealing_upload, "seal_update", watched)
    return true_values


class Coalition:
    """Hospitals that pool what they have.

    Args:
        consortium: Whose channel they read.
        members: The colluders.
    """

    def __init__(self, consortium: MemoryConsortium, members: Iterable[str]) -> None:
        self.consortium = consortium
        self.members = tuple(members)
        self.parameters = round_parameters(consortium.study)

    def chunk(self, manifest: Manifest, index: int) -> bytes:
        """Read a chunk where every peer has it."""
        place = keys.chunk(manifest.study, manifest.round, index)
        return self.consortium.channel._private[keys.collection(manifest.msp), place].value

    def upload(self, msp: str) -> bytes:
        """Return a hospital's upload."""
        manifest = self.consortium.records(1).updates[msp]
        return b"".join(self.chunk(manifest, n) for n in range(len(manifest.chunks)))

    def write(self, values: dict[str, bytes]) -> None:
        """Put values into the state of every peer, as a ledger that is not honest would."""
        for key, value in values.items():
            self.consortium.channel._state[key] = (value, (self.consortium.channel.height, 0))

    def aggregate_without(self, victim: str) -> Aggregate:
        """Make the aggregate of everybody but one; every digest in it is right."""
        records = self.consortium.records(1)
        assert records.aggregate is not None
        manifests = [each for msp, each in records.updates.items() if msp != victim]
        layout = records.layout(self.parameters.polynomials)
        total = sum_updates(self.chunk, manifests, layout)
        context = self.consortium.context(self.members[0])
        return replace(
            records.aggregate,
            contributors=total.contributors,
            block_sha256=total.block_sha256,
            check_sha256=sha256_hex(total.check),
            digest=aggregate_digest(
                *frame_of(context).values(),
                1,
                study_sha256=self.consortium.study.sha256,
                joined_sha256=records.record.joined_sha256,
                contributors=total.contributors,
                block_sha256=total.block_sha256,
            ),
        )

    def own_answers(self, aggregate: Aggregate) -> dict[int, Shares]:
        """Return the colluders' share sums for an aggregate, by point."""
        records = self.consortium.records(1)
        layout = records.layout(self.parameters.polynomials)
        answers = {}
        for msp in self.members:
            context = self.consortium.context(msp)
            transcript = submission.transcript(context, records)
            place = layout.box_slice(transcript.position(msp))
            received = {
                each.msp: ReceivedBox(self.upload(each.msp)[place], each.ciphertext_sha256)
                for each in aggregate.contributors
            }
            found = open_boxes(
                received,
                parameters=self.parameters,
                round=transcript,
                sealing_key=context.sealing_keys.load(1),
            )
            assert isinstance(found, OwnShareSum)
            answers[context.hospital.point] = read_share_sum(found.content)
        return answers

    def values_under(self, msp: str, key: ring.Integers) -> Values | None:
        """Return what a key makes of a hospital's ciphertext, or None where that is no update."""
        p = self.parameters
        payload = self.upload(msp)[: p.ciphertext_bytes]
        ciphertext = np.frombuffer(payload, "<u8").reshape(-1, RING_DEGREE)
        encoder = UpdateEncoder(p.plaintext_modulus)
        encoder.load_round_key(key)
        public = expand(self.consortium.study.study, 1, p.polynomials)
        rows = [encoder.decrypt(ciphertext[row], public[row]) for row in range(p.polynomials)]
        try:
            return unpack(np.stack(rows), p.parameters, p, contributors=1)
        except PackedRangeError:
            return None


def frame_of(context) -> dict[str, str]:
    """Return what every statement of a channel's study is bound to."""
    return {
        "genesis_sha256": context.study.genesis_sha256,
        "channel": context.ledger.channel,
        "study": context.study.study,
    }
