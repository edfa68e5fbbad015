"""One round of the encryption on the real code, without a ledger: what each party holds.

`SealedRound.play()` lets some of the joined hospitals contribute and keeps the uploads, the
private sealing keys and the values that went in, so that a test can look at the round from any
side. Keys and values come from a seed; the code under them is the hospitals' own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chaincode.records.round import UploadLayout
from chaincode.roundkey import ring
from chaincode.roundkey.parameters import RING_DEGREE, RoundParameters, derive
from chaincode.roundkey.shares import Shares, read_share_sum
from peer_client.sealing import (
    Joined,
    OwnShareSum,
    ReceivedBox,
    RoundTranscript,
    SealedUpload,
    SealingKey,
    open_boxes,
    seal_update,
)
from peer_client.sealing.boxes import PRIVATE_BYTES

#: Digest of the first block of the channel that the round is on.
GENESIS_SHA256 = "ab" * 32


def entropy_of(seed: object) -> Callable[[int], bytes]:
    """A repeatable source of bytes, for tests alone."""
    state = hashlib.sha256(repr(seed).encode()).digest()

    def draw(size: int) -> bytes:
        nonlocal state
        out = b""
        while len(out) < size:
            state = hashlib.sha256(state).digest()
            out += state
        # A new object each time: who asks for randomness overwrites it after use.
        return bytes(bytearray(out[:size]))

    return draw


@dataclass
class SealedRound:
    """A round among `hospitals`, all of them joined unless `joined` says who."""

    hospitals: int = 4
    bits: int = 8
    count: int = 500
    study: str = "lungs"
    genesis_sha256: str = GENESIS_SHA256
    channel: str = "consortium"
    number: int = 1
    seed: int = 0
    joined: tuple[int, ...] | None = None
    contributors_min: int | None = None
    values: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    uploads: dict[str, SealedUpload] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parameters: RoundParameters = derive(
            self.hospitals, self.bits, self.count, contributors_min=self.contributors_min
        )
        points = self.joined or tuple(range(1, self.hospitals + 1))
        self.point_of = {f"H{point:03d}MSP": point for point in points}
        self.keys = {msp: self._sealing_key(msp) for msp in self.point_of}
        self.members = tuple(
            Joined(msp, point, self.keys[msp].public) for msp, point in self.point_of.items()
        )

    def _sealing_key(self, msp: str) -> SealingKey:
        entropy = entropy_of(("sealing", self.seed, self.study, self.number, msp))
        return SealingKey(bytearray(entropy(PRIVATE_BYTES)))

    @property
    def msps(self) -> tuple[str, ...]:
        """The joined hospitals, in MSP order."""
        return tuple(self.point_of)

    @property
    def layout(self) -> UploadLayout:
        """Where everything of an upload lies."""
        return UploadLayout(self.parameters.polynomials, len(self.members))

    def transcript(self, msp: str) -> RoundTranscript:
        """The round as one hospital sees it."""
        return RoundTranscript(
            self.genesis_sha256, self.channel, self.study, self.number, self.members, msp
        )

    def random_values(self, msp: str) -> NDArray[np.int64]:
        """A hospital's values."""
        rng = np.random.default_rng([self.seed, self.number, self.point_of[msp]])
        return rng.integers(0, self.parameters.levels, self.count)

    def contribute(self, msp: str, values: NDArray[np.int64] | None = None) -> SealedUpload:
        """Seal one hospital's update."""
        self.values[msp] = self.random_values(msp) if values is None else values
        self.uploads[msp] = seal_update(
            self.values[msp],
            parameters=self.parameters,
            round=self.transcript(msp),
            entropy=entropy_of(("draw", self.seed, self.number, msp)),
        )
        return self.uploads[msp]

    def play(self, *msps: str) -> SealedRound:
        """Let some hospitals contribute, all where none is named."""
        for msp in msps or self.msps:
            self.contribute(msp)
        return self

    def ciphertext(self, msp: str) -> ring.Residues:
        """c0 of an upload, shape (polynomials + 1, 4096)."""
        words = self.layout.ciphertext_bytes // 8
        flat = np.frombuffer(self.uploads[msp].payload, "<u8", words)
        return flat.reshape(-1, RING_DEGREE)

    def sum_of(self, msps: Iterable[str]) -> ring.Residues:
        """Sum of some ciphertexts."""
        total = np.zeros((self.parameters.polynomials + 1, RING_DEGREE), np.uint64)
        for msp in msps:
            total = ring.add(total, self.ciphertext(msp))
        return total

    def box(self, dealer: str, recipient: str) -> ReceivedBox:
        """The box of one hospital in another's upload."""
        position = self.msps.index(recipient)
        upload = self.uploads[dealer]
        return ReceivedBox(
            upload.payload[self.layout.box_slice(position)], upload.ciphertext_sha256
        )

    def boxes(self, recipient: str, contributors: Iterable[str]) -> dict[str, ReceivedBox]:
        """The boxes of one hospital in some uploads."""
        return {dealer: self.box(dealer, recipient) for dealer in contributors}

    def share(self, dealer: str, recipient: str) -> Shares:
        """A single share, as its recipient could see it."""
        info = self.transcript(recipient).box_info(
            dealer,
            self.transcript(recipient).own,
            bytes.fromhex(self.uploads[dealer].ciphertext_sha256),
        )
        share = self.keys[recipient].open(self.box(dealer, recipient).box, info)
        assert share is not None
        return share

    def share_sum(self, recipient: str, contributors: Iterable[str]) -> Shares:
        """A hospital's honest answer."""
        found = open_boxes(
            self.boxes(recipient, contributors),
            parameters=self.parameters,
            round=self.transcript(recipient),
            sealing_key=self.keys[recipient],
        )
        assert isinstance(found, OwnShareSum)
        return read_share_sum(found.content)

    def share_sums(
        self, recipients: Iterable[str], contributors: Iterable[str]
    ) -> dict[int, Shares]:
        """Answers by evaluation point."""
        named = tuple(contributors)
        return {self.point_of[msp]: self.share_sum(msp, named) for msp in recipients}
