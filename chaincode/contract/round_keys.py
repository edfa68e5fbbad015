"""Share sums come in, and T of them give the key of the round's sum."""

from __future__ import annotations

from functools import partial

from chaincode.contract import opening
from chaincode.contract.rules import answers, arguments, members, uploads
from chaincode.contract.summing import read_chunk
from chaincode.contract.telling import tell_round
from chaincode.contract.writing import check_first_time, put_new, put_round
from chaincode.ledger import Ledger
from chaincode.records import keys, register, states, sums
from chaincode.records.canonical import Sha256, read
from chaincode.records.errors import SecondRoundKeyError, SecondShareSumError
from chaincode.records.round import Aggregate, Round, RoundState, ShareSum
from chaincode.records.states import RoundEvent
from chaincode.records.study import Study


def submit_share_sum(
    ledger: Ledger, study: bytes, number: bytes, digest: bytes, unopened: bytes
) -> bytes:
    """Answer once for the round's aggregate: the share sum, or which boxes did not open."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    hospital = members.check_member(ledger, terms)
    msp = members.check_joined(round_record, hospital.msp)
    key = keys.share_sum(terms.study, round_record.round, msp)
    check_first_time(
        ledger,
        key,
        SecondShareSumError,
        f"{msp} has answered in round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.SUBMIT_SHARE_SUM)
    total = register.aggregate(ledger, terms.study, round_record.round)
    claimed = read(Sha256, arguments.read_text(digest), "the digest")
    dealers = answers.check_unopened_dealers(
        total, arguments.read_msp_list(unopened, "the dealers")
    )
    content = answers.check_answer_or_report(ledger, dealers)
    if not dealers:  # not `if content`: an empty share sum is no report
        answers.check_share_values(content)
    record = ShareSum(
        study=terms.study,
        round=round_record.round,
        msp=msp,
        point=hospital.point,
        digest=answers.check_same_aggregate(total, claimed),
        share_sum=content,
        unopened=dealers,
    )
    if content and round_record.state == RoundState.OPENED.value:
        opening.check_late_answer(
            register.round_key(ledger, terms.study, round_record.round),
            register.share_sums(ledger, terms.study, round_record.round),
            msp,
            hospital.point,
            content,
        )
    put_new(ledger, {key: record})
    return tell_round(ledger, "round.share_sum", round_record)


def record_round_key(ledger: Ledger, study: bytes, number: bytes, senders: bytes) -> bytes:
    """Interpolate the round key from T share sums, check it, record it and who lied.

    The summed key check comes from the own peer's chunks, or from the transient map
    (``check_sum``, 32768 bytes), and must have the digest that the aggregate recorded.
    """
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    members.check_member(ledger, terms)
    key = keys.round_key(terms.study, round_record.round)
    check_first_time(
        ledger, key, SecondRoundKeyError, f"round {round_record.round} has its round key"
    )
    states.after(round_record, RoundEvent.RECORD_ROUND_KEY)
    total = register.aggregate(ledger, terms.study, round_record.round)
    given = register.share_sums(ledger, terms.study, round_record.round)
    named = answers.check_senders(terms, arguments.read_msp_list(senders, "the senders"), given)
    check = opening.check_sum_of(total, _check_sum(ledger, terms, round_record, total))
    record = opening.open_round(terms, total, given, named, check)
    put_new(ledger, {key: record})
    opened = states.moved(round_record, RoundEvent.RECORD_ROUND_KEY, terms, ledger.timestamp_s)
    put_round(ledger, round_record, opened)
    return tell_round(ledger, "round.key", opened)


def _check_sum(ledger: Ledger, terms: Study, round_record: Round, total: Aggregate) -> bytes:
    if ledger.transient:
        return arguments.read_transient(ledger, "check_sum")

    manifests = [
        register.manifest(ledger, terms.study, round_record.round, contributor.msp)
        for contributor in total.contributors
    ]
    layout = uploads.upload_layout(terms, round_record)
    return sums.summed_check(partial(read_chunk, ledger), manifests, layout)
