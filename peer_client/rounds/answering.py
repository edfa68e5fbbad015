"""A hospital's way out of a round: answer, have the key recorded, open, apply, confirm.

Before an answer: this hospital approved this text on this channel; the sum is added here from the
own peer's chunks and compared with the ledger's (rounds/sums.py); at least k contributed, and every
joined hospital, unless its time is over by the own clock; the own update in it is the stored one;
what will be answered is in the journal, with fsync; the own peer is read once more; then the answer
goes out, once, through the own peer alone (peer_client/sealing).
After the key: it is checked again here, the sum opened, every field's range checked, the model
computed, evaluated on this hospital's own validation patients and confirmed. A refusal keeps the
old model and never opens the sum for other contributors or under another key.
"""

from __future__ import annotations

import json

from chaincode.records.canonical import encode, plain
from chaincode.records.figures import vote_of
from chaincode.records.round import ConfirmationClaim
from chaincode.roundkey.shares import ShareSums, find_round_key, read_share_sum
from peer_client.errors import RecordChangedError, SumMismatchError
from peer_client.rounds import lineage, own_clock, submission
from peer_client.rounds import records as round_records
from peer_client.rounds.context import RoundContext
from peer_client.rounds.deadline import serve_in_time
from peer_client.rounds.kept_sum import check_refused, checked_sum, made_sum
from peer_client.rounds.ledger_figures import ledger_ppm
from peer_client.rounds.records import RoundRecords, read_round_key, read_share_sums
from peer_client.rounds.seen_records import SeenRound
from peer_client.rounds.spoiled_parent import check_sum_size
from peer_client.sealing.answer import OwnShareSum, ReceivedBox, answer_once
from peer_client.sealing.errors import ShareRefusedError
from peer_client.update import model_digest


def answer(context: RoundContext, records: RoundRecords, seen: SeenRound) -> None:
    """Answer for the round's aggregate, once, or report boxes that do not open.

    The share sum leaves after the own peer was read again and shows the same, and through the own
    peer alone: whoever takes a proposal from a client can read what is in it.

    Raises:
        SumMismatchError: The sum made here is not the one recorded.
        ShareRefusedError: Too few contributors, fewer than in a sum opened from the same model
            before, a hospital left out before its time, a reported join, a foreign update in this
            hospital's name, or an earlier answer for another sum.
        RecordChangedError: The own peer shows another round than a moment ago.
        BundleMissingError: The own peer has not every chunk yet.
        NotApprovedHereError: This hospital has not approved the study's text.
        ChannelChangedError: The channel has changed since a person accepted it.
    """
    context.check_agreed()
    number = records.record.round
    own_clock.check_may_answer(seen, records, context.study, context.now_s())
    check_sum_size(context.store, records.record, len(records.contributors))
    uploads, _, aggregate = made_sum(context, records)
    check_refused(context, records)
    round_ = submission.transcript(context, records)
    place = records.layout(context.parameters.polynomials).box_slice(
        round_.position(context.msp_id)
    )
    received = {
        contributor.msp: ReceivedBox(uploads[contributor.msp][place], contributor.ciphertext_sha256)
        for contributor in aggregate.contributors
    }
    key = context.sealing_keys.load(number)
    try:
        found = answer_once(
            received,
            parameters=context.parameters,
            round=round_,
            sealing_key=key,
            journal=context.journal,
            aggregate_sha256=aggregate.digest,
        )
    finally:
        key.wipe()
    unopened = () if isinstance(found, OwnShareSum) else found.dealers
    check_unchanged(context, records, seen)
    context.ledger.submit(
        "submit_share_sum",
        context.study.study,
        str(number),
        aggregate.digest,
        json.dumps(list(unopened)),
        transient={"share_sum": found.content} if isinstance(found, OwnShareSum) else None,
        own_gateway_only=True,
    )


def check_unchanged(context: RoundContext, records: RoundRecords, seen: SeenRound) -> None:
    """Read the own peer again and refuse where it shows another sum than the one worked on.

    Raises:
        RecordChangedError: A record changed, or the peer has fewer blocks than before.
        ShareRefusedError: A join was reported meanwhile.
    """
    number = records.record.round
    seen.check_height(context.ledger.height())
    again = round_records.read_round(context.ledger, context.study.study, number)
    seen.check(again, now_s=context.now_s(), height=context.ledger.height)
    if again is None or again.aggregate != records.aggregate:
        raise RecordChangedError(f"the aggregate of round {number}", "was read", "is another")
    if again.joined != records.joined or again.record.joined_sha256 != records.record.joined_sha256:
        raise RecordChangedError(f"the joined of round {number}", "were read", "are others")
    if again.join_reports:
        raise ShareRefusedError(
            f"{', '.join(again.join_reports)} reported that the join in its name in round {number} "
            "is not its own"
        )


def record_key(context: RoundContext, records: RoundRecords) -> None:
    """Have the round key recorded from T share sums that open the round.

    Honest ones are searched here; the chaincode only verifies. The summed key check goes along, so
    that no endorser need read the chunks again: it has the digest that the aggregate recorded.

    Raises:
        RoundKeyError: No T of the share sums sent so far do.
        SumMismatchError: The own peer's sum is not the one recorded.
    """
    number = records.record.round
    answers = read_share_sums(context.ledger, context.study.study, number)
    msp_of = {each.point: msp for msp, each in answers.items() if each.share_sum}
    share_sums: ShareSums = {
        each.point: read_share_sum(each.share_sum) for each in answers.values() if each.share_sum
    }
    check = checked_sum(context, records)[-1]
    found = find_round_key(
        share_sums,
        check,
        study=context.study.study,
        round_number=number,
        parameters=context.parameters,
        contributors=len(records.contributors),
    )
    senders = sorted(msp_of[point] for point in found.senders)
    context.ledger.settle(context.level_s)
    context.ledger.submit(
        "record_round_key",
        context.study.study,
        str(number),
        encode([*senders]).decode("ascii"),
        transient={"check_sum": check.astype("<u8").tobytes()},
    )


def apply_round(context: RoundContext, records: RoundRecords) -> None:
    """Open the sum under the recorded key and keep the model it gives.

    Raises:
        OpeningError: The sum is not one of quantised updates; the old model stays in force.
    """
    parent = lineage.parent_model(context, records.record)
    total = checked_sum(context, records)
    key = read_round_key(context.ledger, context.study.study, records.record.round)
    model = lineage.opened_model(context.study, context.parameters, records, key, total, parent)
    context.store.write_model(model)


def confirm(context: RoundContext, records: RoundRecords) -> None:
    """Judge the new model on own validation patients; confirm it with a vote and few figures.

    What this hospital serves is chosen here too; the vote follows from the shared model alone. The
    exact figures stay in the store (`peer_client.rounds.ledger_figures` says what leaves it).
    """
    number = records.record.round
    model = context.store.read_model(number)
    if model is None:  # pragma: no cover - the decision table asks for it first
        raise SumMismatchError(f"round {number} was not opened here")
    task = submission.training_task(context, records)
    exact = dict(context.trainer.metrics_ppm(task, model.weights))
    exact |= serve_in_time(context, records, task, model.weights)
    published = ledger_ppm(exact)
    claim = ConfirmationClaim(
        model_sha256=model_digest(model.weights),
        parent_sha256=records.record.parent_sha256,
        metrics_ppm=published,
        vote=vote_of(published or exact, context.study.gate_margin_ppm),
    )
    context.store.write_facts(number, {"metrics_ppm": exact, "vote": claim.vote})
    context.ledger.submit(
        "confirm_model", context.study.study, str(number), encode(plain(claim)).decode("ascii")
    )
