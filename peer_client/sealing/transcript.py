"""The public facts of a round that every secret thing in it is bound to.

A sealed share names channel, study, round, dealer, recipient, the joined with their
keys, and the ciphertext. A box moved to any other place does not open.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chaincode.roundkey.frame import digest, frame
from chaincode.roundkey.parameters import SEALING_KEY_BYTES, RoundParameters
from peer_client.sealing.errors import SealingInputError


@dataclass(frozen=True, slots=True)
class Joined:
    """A hospital that joined the round; made by `peer_client.sealing.verify_join`."""

    msp_id: str
    point: int  # where its share polynomials are evaluated, from the study's record
    sealing_key: bytes  # 1216 bytes


@dataclass(frozen=True, slots=True)
class RoundTranscript:
    """A round as one hospital sees it after the joins closed.

    Attributes:
        joined_sha256: Binds the joined, their points and keys; every box is bound to it. Equals
            `chaincode.records.round.joined_digest`.

    Raises:
        SealingInputError: The joined are not in MSP order, come twice, share a
            point, have a key of another length, or the own hospital is missing.
    """

    genesis_sha256: str  # of the channel's first block, 64 hex digits
    channel: str
    study: str
    round_number: int
    joined: tuple[Joined, ...]  # in MSP order
    own_msp: str
    joined_sha256: bytes = field(init=False)

    def __post_init__(self) -> None:
        names = [member.msp_id for member in self.joined]
        if names != sorted(set(names)):
            raise SealingInputError("the joined hospitals are not in MSP order, each once")
        if len({member.point for member in self.joined}) != len(self.joined):
            raise SealingInputError("two joined hospitals have the same evaluation point")
        for member in self.joined:
            if len(member.sealing_key) != SEALING_KEY_BYTES:
                raise SealingInputError(
                    f"the sealing key of {member.msp_id} has {len(member.sealing_key)} bytes, "
                    f"not {SEALING_KEY_BYTES}"
                )
        if self.own_msp not in names:
            raise SealingInputError(f"{self.own_msp} did not join round {self.round_number}")
        object.__setattr__(self, "joined_sha256", self._joined_sha256())

    @property
    def own(self) -> Joined:
        """This hospital's entry."""
        return self.joined[self.position(self.own_msp)]

    def _joined_sha256(self) -> bytes:
        parts: list[str | int | bytes] = [
            "roundkey/joined/v2",
            bytes.fromhex(self.genesis_sha256),
            self.channel,
            self.study,
            self.round_number,
        ]
        for member in self.joined:
            parts += [member.msp_id, member.point, member.sealing_key]
        return digest(*parts)

    def position(self, msp_id: str) -> int:
        """Place of a hospital among the joined, and of its box in every upload.

        Args:
            msp_id: The hospital.

        Returns:
            From 0.

        Raises:
            SealingInputError: It did not join.
        """
        for index, member in enumerate(self.joined):
            if member.msp_id == msp_id:
                return index
        raise SealingInputError(f"{msp_id} did not join round {self.round_number}")

    def box_info(self, dealer: str, recipient: Joined, ciphertext_sha256: bytes) -> bytes:
        """What a box is bound to (HPKE's info).

        Args:
            dealer: MSP of the hospital whose secret is shared.
            recipient: To whom.
            ciphertext_sha256: Of the dealer's ciphertext, 32 bytes.

        Returns:
            The framed facts.
        """
        return frame(
            "roundkey/share/v2",
            bytes.fromhex(self.genesis_sha256),
            self.channel,
            self.study,
            self.round_number,
            dealer,
            recipient.msp_id,
            self.joined_sha256,
            ciphertext_sha256,
            recipient.sealing_key,
        )

    def check_enough(self, parameters: RoundParameters) -> None:
        """Refuse a round that too few hospitals joined.

        Args:
            parameters: The study's numbers.

        Raises:
            SealingInputError: Fewer than k joined, or more than the study has.
        """
        least, most = parameters.contributors_min, parameters.hospitals
        if not least <= len(self.joined) <= most:
            raise SealingInputError(
                f"{len(self.joined)} hospitals joined; between {least} and {most} are needed"
            )
