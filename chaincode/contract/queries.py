"""Questions to the ledger: text arguments in, JSON out, for every client and every auditor.

Answers are canonical JSON of integers and text, so that two peers' answers can be compared byte
by byte. `chunk` alone answers bytes, from the asked peer's own private store. A query writes
nothing, sets no event and decides nothing; docs/ledger.md shows an answer of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chaincode.contract.rules.arguments import (
    read_chunk_index,
    read_msp_id,
    read_round_number,
    read_study_and_round,
    read_study_id,
    read_text,
)
from chaincode.ledger import Ledger
from chaincode.records import keys, register
from chaincode.records.canonical import Json, Record, decode, encode, sha256_hex
from chaincode.records.errors import BookmarkError, UnknownRecordError, UnknownRoundError
from chaincode.records.round import (
    Aggregate,
    Confirmation,
    Join,
    Manifest,
    Round,
    RoundKey,
    RoundState,
    ShareSum,
)
from chaincode.records.states import has_ended, model_after, published_after
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters

PAGE_SIZE: Final = 100


def studies(ledger: Ledger) -> bytes:
    """List every study: name, title, whether it is in force, its hospitals, its last round."""
    return encode(
        [_study_summary(ledger, Study.from_bytes(value)) for _, value in ledger.states(keys.STUDY)]
    )


def study(ledger: Ledger, study_id: bytes) -> bytes:
    """Show a study: its record, the SHA-256 to approve, approvals, suspensions, parameters."""
    terms = register.study(ledger, read_study_id(study_id))
    parameters = round_parameters(terms)
    return encode(
        {
            **_study_summary(ledger, terms),
            "record": terms.to_json(),
            "approvals": {m: a.study_sha256 for m, a in _approvals(ledger, terms)},
            "suspension_votes": {
                msp: {voter: vote.reason for voter, vote in votes.items()}
                for msp in terms.msps
                if (votes := register.suspension_votes(ledger, terms.study, msp))
            },
            "suspended": [msp for msp in terms.msps if register.is_suspended(ledger, terms, msp)],
            "parameters": {
                "fields": parameters.fields,
                "levels": parameters.levels,
                "plaintext_modulus": parameters.plaintext_modulus,
                "polynomials": parameters.polynomials,
                "values": parameters.parameters,
            },
        }
    )


def rounds(ledger: Ledger, study_id: bytes, bookmark: bytes = b"") -> bytes:
    """List a study's rounds, at most 100 a page; `bookmark` is the last page's ``next``."""
    terms = register.study(ledger, read_study_id(study_id))
    rows, following = ledger.states_page(
        keys.ROUND, terms.study, page_size=PAGE_SIZE, bookmark=_bookmark(bookmark)
    )
    return encode(
        {
            "rounds": [Round.from_bytes(value).to_json() for _, value in rows],
            "next": following.encode().hex(),
        }
    )


def round_(ledger: Ledger, study_id: bytes, number: bytes) -> bytes:
    """Show all of a round, but for raw keys and share sums (`joins`, `share_sums`, `round_key`)."""
    terms, record = read_study_and_round(ledger, study_id, number)
    book = register.book(ledger, terms, record.round)
    return encode(
        {
            **record.to_json(),
            "joins": {m: _join_summary(join) for m, join in book.joins.items()},
            "join_reports": {m: each.sealing_key_sha256 for m, each in book.join_reports.items()},
            "updates": _json(book.updates),
            "aggregate": book.aggregate.to_json() if book.aggregate else {},
            "share_sums": {m: _answer_summary(answer) for m, answer in book.share_sums.items()},
            "round_key": _key_summary(book.round_key),
            "confirmations": _json(book.confirmations),
            "give_up_votes": {m: vote.reason for m, vote in book.give_up_votes.items()},
        }
    )


def joins(ledger: Ledger, study_id: bytes, number: bytes) -> bytes:
    """Give a round's join records in full: sealing keys, certificates, signatures."""
    terms, record = read_study_and_round(ledger, study_id, number)
    return encode(_json(register.joins(ledger, terms.study, record.round)))


def share_sums(ledger: Ledger, study_id: bytes, number: bytes) -> bytes:
    """Give a round's answers in full."""
    terms, record = read_study_and_round(ledger, study_id, number)
    return encode(_json(register.share_sums(ledger, terms.study, record.round)))


def round_key(ledger: Ledger, study_id: bytes, number: bytes) -> bytes:
    """Give a round's key in full."""
    terms, record = read_study_and_round(ledger, study_id, number)
    return encode(register.round_key(ledger, terms.study, record.round).to_json())


def hospital(ledger: Ledger, msp: bytes) -> bytes:
    """Show what one hospital did: its studies, and round by round what it sent and how it ended."""
    name = read_msp_id(msp)
    found: list[Json] = []
    for _, value in ledger.states(keys.STUDY):
        terms = Study.from_bytes(value)
        place = terms.hospital(name)
        if place is None:
            continue
        found.append(
            {
                "study": terms.study,
                "point": place.point,
                "has_masks": place.has_masks,
                "label_negative": place.label_negative,
                "approved": int(name in register.approvals(ledger, terms.study)),
                "suspended": int(register.is_suspended(ledger, terms, name)),
                "rounds": [_part(ledger, record, name) for record in _rounds(ledger, terms.study)],
            }
        )
    return encode({"msp": name, "studies": found})


def model(ledger: Ledger, study_id: bytes, number: bytes = b"") -> bytes:
    """Show the model in force now, or after one round that has ended."""
    terms = register.study(ledger, read_study_id(study_id))
    if number:
        record = register.round_(ledger, terms.study, read_round_number(number))
        if not has_ended(record):
            raise UnknownRecordError(f"round {record.round} of {terms.study} is {record.state}")
        history = [r for r in _rounds(ledger, terms.study) if r.round <= record.round]
    else:
        history = list(_rounds(ledger, terms.study))
    published = [r for r in history if r.state == RoundState.PUBLISHED.value]
    if not published:
        return encode(
            {
                "study": terms.study,
                "round": 0,
                "model_sha256": terms.initial_model_sha256,
                "parent_sha256": "",
                "contributors": [],
                "digest": "",
            }
        )
    return encode(_link(ledger, published[-1]))


def lineage(ledger: Ledger, study_id: bytes) -> bytes:
    """Show the chain of models from the initial one, and every round that added none."""
    terms = register.study(ledger, read_study_id(study_id))
    return encode(
        {
            "study": terms.study,
            "study_sha256": terms.sha256,
            "initial_model_sha256": terms.initial_model_sha256,
            "rounds": [_link(ledger, record) for record in _rounds(ledger, terms.study)],
        }
    )


def history(ledger: Ledger, study_id: bytes, number: bytes = b"") -> bytes:
    """Show every change of a study's or a round's record, newest first, with its transaction."""
    name = read_study_id(study_id)
    key = keys.round_(name, read_round_number(number)) if number else keys.study(name)
    changes: list[Json] = [
        {
            "transaction_id": change.transaction_id,
            "timestamp_s": change.timestamp_s,
            "deleted": int(change.is_delete),
            "record": decode(change.value, canonical=True) if change.value else {},
        }
        for change in ledger.history(key)
    ]
    if not changes:
        raise UnknownRoundError(f"the ledger holds no history of {name} {read_text(number)}")
    return encode(changes)


def chunk(ledger: Ledger, study_id: bytes, number: bytes, msp: bytes, index: bytes) -> bytes:
    """Give one chunk of an upload from the asked peer's own private store, as bytes.

    Raises:
        UnknownRecordError: This peer has no such chunk, or it has expired.
    """
    owner = read_msp_id(msp)
    key = keys.chunk(read_study_id(study_id), read_round_number(number), read_chunk_index(index))
    value = ledger.get_private(keys.collection(owner), key)
    if not value:
        raise UnknownRecordError(
            f"this peer has no chunk {read_text(index)} of {owner} in round {read_text(number)}"
        )
    return value


def _bookmark(argument: bytes) -> str:
    try:
        return bytes.fromhex(read_text(argument)).decode("utf-8")
    except ValueError:
        raise BookmarkError("a bookmark is the `next` of the page before") from None


def _rounds(ledger: Ledger, study_id: str) -> Iterator[Round]:
    for _, value in ledger.states(keys.ROUND, study_id):
        yield Round.from_bytes(value)


def _approvals(ledger: Ledger, terms: Study) -> list[tuple[str, Any]]:
    return list(register.approvals(ledger, terms.study).items())


def _study_summary(ledger: Ledger, terms: Study) -> dict[str, Any]:
    records = list(_rounds(ledger, terms.study))
    return {
        "study": terms.study,
        "title": terms.title,
        "state": _study_state(ledger, terms),
        "study_sha256": terms.sha256,
        "hospitals": list(terms.msps),
        "approved_by": [msp for msp, _ in _approvals(ledger, terms)],
        "approvals_needed": terms.majority,
        "last_round": records[-1].round if records else 0,
        "last_round_state": records[-1].state if records else "",
        "published_rounds": published_after(records[-1]) if records else 0,
        "model_sha256": model_after(terms, records[-1] if records else None),
    }


def _study_state(ledger: Ledger, terms: Study) -> str:
    if register.in_force(ledger, terms):
        return "IN_FORCE"
    return "WITHDRAWN" if register.withdrawal(ledger, terms.study) else "PROPOSED"


def _json(records: Mapping[str, Any]) -> dict[str, Any]:
    return {msp: record.to_json() for msp, record in records.items() if isinstance(record, Record)}


def _join_summary(join: Join) -> dict[str, Any]:
    return {"point": join.point, "sealing_key_sha256": sha256_hex(join.sealing_key)}


def _answer_summary(answer: ShareSum) -> dict[str, Any]:
    return {
        "digest": answer.digest,
        "share_sum_sha256": sha256_hex(answer.share_sum) if answer.share_sum else "",
        "unopened": list(answer.unopened),
    }


def _key_summary(record: RoundKey | None) -> dict[str, Any]:
    if record is None:
        return {}
    summary = record.to_json()
    del summary["key"]
    return {**summary, "key_sha256": sha256_hex(record.key)}


def _link(ledger: Ledger, record: Round) -> dict[str, Any]:
    link: dict[str, Any] = {
        "study": record.study,
        "round": record.round,
        "state": record.state,
        "parent_sha256": record.parent_sha256,
        "model_sha256": record.model_sha256,
        "changed_at_s": record.changed_at_s,
        "contributors": [],
        "refused": {},
        "digest": "",
        "cheating_max": 0,
        "pooling_max": 0,
        "reason": record.reason,
    }
    total = register.found(ledger, Aggregate, keys.aggregate(record.study, record.round))
    if total is not None:
        link["contributors"] = [contributor.msp for contributor in total.contributors]
        link["refused"] = dict(total.refused)
        link["digest"] = total.digest
        link["cheating_max"] = total.cheating_max
        link["pooling_max"] = total.pooling_max
    return link


def _part(ledger: Ledger, record: Round, msp: str) -> dict[str, Any]:
    link = _link(ledger, record)
    opened = register.found(ledger, RoundKey, keys.round_key(record.study, record.round))
    key = _key_summary(opened)
    place = (record.study, record.round, msp)
    update = register.found(ledger, Manifest, keys.update(*place))
    answer = register.found(ledger, ShareSum, keys.share_sum(*place))
    confirmation = register.found(ledger, Confirmation, keys.confirmation(*place))
    return {
        "round": record.round,
        "state": record.state,
        "joined": int(bool(ledger.get_state(keys.join(*place)))),
        "ciphertext_sha256": update.ciphertext_sha256 if update else "",
        "upload_bytes": update.upload_bytes if update else 0,
        "contributed": int(msp in link["contributors"]),
        "refused": link["refused"].get(msp, ""),
        "answered": int(bool(answer and answer.share_sum)),
        "unopened": list(answer.unopened) if answer else [],
        "false_share_sum": int(msp in key.get("false_senders", [])),
        "metrics_ppm": dict(confirmation.metrics_ppm) if confirmation else {},
        "vote": confirmation.vote if confirmation else 0,
    }
