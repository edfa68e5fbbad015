"""A lying peer shows a dealer T sealing keys of its own: it would open the dealer's shares."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records.round import joined_digest
from chaincode.roundkey.shares import interpolate
from peer_client.ledgers.memory_identity import MemoryMember, new_member
from peer_client.rounds import submission
from peer_client.sealing import (
    Joined,
    RoundTranscript,
    SealingKey,
    SealingKeySignatureError,
    seal_update,
    sign_join,
    verify_join,
)
from peer_client.sealing.boxes import PRIVATE_BYTES
from tests.scenarios.attacks.adversary import is_opened
from tests.support.hospitals import MSPS, MemoryConsortium, play
from tests.support.sealed_round import SealedRound
from tests.unit.chaincode.contract.played import Played, new_sealing_key

VICTIM = "H001MSP"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class LyingPeer:
    """Shows the victim its own sealing keys in the name of the other hospitals."""

    def __init__(self) -> None:
        self.played = SealedRound(4)
        self.members: dict[str, MemoryMember] = {
            msp: new_member(msp, NOW) for msp in self.played.msps
        }
        self.mine = {
            msp: SealingKey(bytearray(os.urandom(PRIVATE_BYTES))) for msp in self.played.msps
        }

    def claims(self, msp: str) -> dict:
        played = self.played
        return {
            "genesis_sha256": played.genesis_sha256,
            "channel": played.channel,
            "study": played.study,
            "round_number": played.number,
            "msp_id": msp,
            "point": played.point_of[msp],
            "sealing_key": self.mine[msp].public,
        }

    def join_shown(self, msp: str) -> Joined:
        """What the victim makes of a join as the peer shows it: signed by the peer, if at all."""
        own = new_member(msp, NOW)
        return verify_join(
            **self.claims(msp),
            certificate_pem=own.certificate_pem,
            signature=sign_join(own.sign, **self.claims(msp)),
            roots_pem=(self.members[msp].root_pem,),
            at=NOW,
        )

    def open_victim(self, joined: tuple[Joined, ...]) -> bool:
        """Let the victim seal to these keys, open T boxes, and try the secret."""
        played = self.played
        played.members = joined
        played.values[VICTIM] = played.random_values(VICTIM)
        played.uploads[VICTIM] = seal_update(
            played.values[VICTIM],
            parameters=played.parameters,
            round=RoundTranscript(
                played.genesis_sha256, played.channel, played.study, played.number, joined, VICTIM
            ),
            entropy=os.urandom,
        )
        played.keys = self.mine
        shares = {played.point_of[msp]: played.share(VICTIM, msp) for msp in played.msps[1:]}
        return is_opened(played, VICTIM, interpolate(shares))


def test_a_dealer_does_not_seal_to_keys_that_the_hospitals_did_not_sign() -> None:
    peer = LyingPeer()

    for msp in peer.played.msps[1:]:
        with pytest.raises(SealingKeySignatureError, match=f"the sealing key of {msp} in round 1"):
            peer.join_shown(msp)


def test_switched_off_signatures_let_the_peer_read_the_update() -> None:
    peer = LyingPeer()

    unverified = tuple(
        Joined(msp, point, peer.mine[msp].public) for msp, point in peer.played.point_of.items()
    )

    assert peer.open_victim(unverified)


def test_a_client_whose_peer_shows_swapped_keys_encrypts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on a hospital's whole client: the peer lies consistently, digest included."""
    consortium = MemoryConsortium(tmp_path)
    consortium.agree()
    parts = {msp: consortium.part(msp, 1) for msp in MSPS}
    really_joins, really_transcript = submission.read_joins, submission.transcript

    def swapped(ledger, study: str, number: int):
        return {
            msp: replace(join, sealing_key=new_sealing_key())
            for msp, join in really_joins(ledger, study, number).items()
        }

    def shown(context, records):
        joins = swapped(context.ledger, context.study.study, records.record.round)
        digest = joined_digest(
            context.study.genesis_sha256,
            context.ledger.channel,
            context.study.study,
            records.record.round,
            tuple(joins.values()),
        )
        monkeypatch.setattr(submission, "read_joins", lambda *_: joins)
        record = replace(records.record, joined_sha256=digest)
        return really_transcript(context, replace(records, record=record))

    monkeypatch.setattr(submission, "transcript", shown)

    with pytest.raises(SealingKeySignatureError, match="is not signed by it"):
        play(consortium, parts)

    assert not list(tmp_path.rglob("upload.bin"))
    assert all(part.context.journal.upload("small", 1) is None for part in parts.values())
    consortium.close()


def test_the_ledger_refuses_a_join_whose_key_is_not_the_one_signed() -> None:
    opened = Played().to_open()
    args, _ = opened.join_arguments("EastMSP")

    with pytest.raises(MemoryEndorseError, match="SignatureInvalidError"):
        opened.submit("EastMSP", "join_round", *args, transient={"sealing_key": new_sealing_key()})
