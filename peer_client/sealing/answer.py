"""A hospital's one answer in a round: the sum of the shares it holds from the contributors.

Before it answers, the hospital has re-added the sum itself (`peer_client.rounds.sums`).
Here it checks that enough contributed, that its own update in the sum is the one it
sent, and that it answered for nothing else; writes down what it answers for; and only
then opens its boxes. An answer is the sum and nothing more: a single share never
leaves this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chaincode.roundkey.parameters import RING_DEGREE, SHARE_PRIME, RoundParameters
from peer_client.sealing.boxes import SealingKey
from peer_client.sealing.errors import ShareRefusedError
from peer_client.sealing.journal import Journal
from peer_client.sealing.transcript import RoundTranscript
from peer_client.sealing.wiping import release_freed_memory, wipe


@dataclass(frozen=True, slots=True)
class ReceivedBox:
    """What this hospital received from one contributor."""

    box: bytes  # its own sealed share, cut out of the contributor's upload
    ciphertext_sha256: str  # as the aggregate records it, 64 hex digits


@dataclass(frozen=True, slots=True)
class OwnShareSum:
    """What a hospital publishes to open a round; public once sent."""

    content: bytes  # 8192 bytes, 16-bit values below 65521, little-endian


@dataclass(frozen=True, slots=True)
class Unopened:
    """Dealers whose box did not open to a share, in MSP order: reported, not answered."""

    dealers: tuple[str, ...]


def answer_once(
    received: Mapping[str, ReceivedBox],
    *,
    parameters: RoundParameters,
    round: RoundTranscript,
    sealing_key: SealingKey,
    journal: Journal,
    aggregate_sha256: str,
) -> OwnShareSum | Unopened:
    """Check, write down, open, add: the answer for exactly these contributors.

    Args:
        received: The box of every contributor of the aggregate, by MSP.
        parameters: The study's numbers.
        round: The round with its verified joins.
        sealing_key: The private key of the round.
        journal: The hospital's journal.
        aggregate_sha256: The digest D of the aggregate that this hospital re-added.

    Returns:
        The share sum, or who sealed boxes that do not open.

    Raises:
        ShareRefusedError: Fewer than k contributors, one that did not join, the own
            update replaced by another, or an earlier answer for another sum.
        JournalError: The journal cannot be written; nothing was opened.
    """
    check_contributors(received, parameters=parameters, round=round)
    if own := received.get(round.own_msp):
        stored = journal.upload(round.study, round.round_number)
        if stored is None or stored["ciphertext_sha256"] != own.ciphertext_sha256:
            raise ShareRefusedError(
                f"the sum of round {round.round_number} holds an update in the name of "
                f"{round.own_msp} that this hospital did not send"
            )
    journal.record_answer(round.study, round.round_number, aggregate_sha256=aggregate_sha256)
    return open_boxes(received, parameters=parameters, round=round, sealing_key=sealing_key)


def check_contributors(
    received: Mapping[str, ReceivedBox], *, parameters: RoundParameters, round: RoundTranscript
) -> None:
    """Refuse a sum of too few, or of strangers.

    Args:
        received: By MSP of the contributor.
        parameters: The study's numbers.
        round: The round.

    Raises:
        ShareRefusedError: Fewer than k contributors, or one that did not join.
    """
    if len(received) < parameters.contributors_min:
        raise ShareRefusedError(
            f"the sum of round {round.round_number} has {len(received)} contributors; a sum of "
            f"fewer than {parameters.contributors_min} is not opened"
        )
    joined = {member.msp_id for member in round.joined}
    if strangers := sorted(set(received) - joined):
        raise ShareRefusedError(f"{', '.join(strangers)} contributed without having joined")


def open_boxes(
    received: Mapping[str, ReceivedBox],
    *,
    parameters: RoundParameters,
    round: RoundTranscript,
    sealing_key: SealingKey,
) -> OwnShareSum | Unopened:
    """Open this hospital's boxes and add the shares (for `answer_once`).

    Args:
        received: By MSP of the contributor.
        parameters: The study's numbers.
        round: The round.
        sealing_key: The private key of the round.

    Returns:
        The share sum, or who sealed boxes that do not open.

    Raises:
        ShareRefusedError: The contributors are too few or strangers, or the private
            key is not the one this hospital joined with.
    """
    check_contributors(received, parameters=parameters, round=round)
    own = round.own
    if sealing_key.public != own.sealing_key:
        raise ShareRefusedError(
            f"the sealing key here is not the one {own.msp_id} joined round "
            f"{round.round_number} with"
        )
    total = np.zeros(RING_DEGREE, np.int64)
    unopened = []
    for dealer in sorted(received):
        each = received[dealer]
        info = round.box_info(dealer, own, bytes.fromhex(each.ciphertext_sha256))
        share = sealing_key.open(each.box, info)
        if share is None:
            unopened.append(dealer)
            continue
        total += share
        wipe(share)
    release_freed_memory()
    if unopened:
        wipe(total)
        return Unopened(tuple(unopened))
    return OwnShareSum((total % SHARE_PRIME).astype("<u2").tobytes())
