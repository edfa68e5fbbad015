"""The contract: one short function for each transaction, and the one entry point.

`invoke` reads the function's name, gives its text arguments to the function and returns its
answer as bytes. A transaction reads the records it needs (`register`), has every rule checked
(`rules` and its neighbours, each with its own RuleError), writes the outcome and sets one event.
It reads no clock and draws nothing at random; it never sees a secret and never decrypts. Whatever
bytes come in, only a RuleError or the ledger's own error comes out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from chaincode.contract import gate, joining, opening, queries, rules
from chaincode.ledger import Ledger
from chaincode.records import keys, register, states, sums
from chaincode.records.canonical import (
    Sha256,
    decode,
    encode,
    read,
    sha256_hex,
)
from chaincode.records.errors import (
    ArgumentCountError,
    ChunkAbsentError,
    ChunkHashError,
    EnoughUpdatesError,
    SecondAggregateError,
    SecondApprovalError,
    SecondConfirmationError,
    SecondGiveUpVoteError,
    SecondJoinError,
    SecondRoundKeyError,
    SecondShareSumError,
    SecondSuspensionVoteError,
    SecondUpdateError,
    UnknownFunctionError,
)
from chaincode.records.round import (
    Aggregate,
    Approval,
    Confirmation,
    ConfirmationClaim,
    Contributor,
    GiveUpVote,
    Join,
    JoinSignature,
    Manifest,
    Members,
    Round,
    RoundState,
    ShareSum,
    Suspension,
    UploadLayout,
    Use,
    aggregate_digest,
    join_statement,
    joined_digest,
)
from chaincode.records.states import RoundEvent, model_after
from chaincode.records.study import GROUP_MASKS, Study
from chaincode.records.terms import check_terms, round_parameters

# --- studies ---------------------------------------------------------------------------------


def propose_study(ledger: Ledger, text: bytes) -> bytes:
    """Propose a study; the proposer approves it by doing so."""
    terms = Study.from_text(text)
    rules.member(ledger, terms)
    rules.new_study(ledger, terms)
    check_terms(terms)
    ledger.put_state(keys.study(terms.study), terms.to_bytes())
    _approve(ledger, terms)
    return _tell_study(ledger, "study.proposed", terms, "PROPOSED")


def approve_study(ledger: Ledger, study: bytes, sha256: bytes) -> bytes:
    """Approve a study by the SHA-256 of its record."""
    terms = register.study(ledger, rules.study_id(study))
    rules.member(ledger, terms)
    rules.same_text(terms, rules.text(sha256))
    _approve(ledger, terms)
    return _tell_study(ledger, "study.approved", terms, "APPROVED")


def suspend_hospital(ledger: Ledger, study: bytes, msp: bytes, reason: bytes) -> bytes:
    """Vote to suspend a hospital: a majority of the others keeps it out of later rounds."""
    terms = register.study(ledger, rules.study_id(study))
    voter = rules.member(ledger, terms).msp
    target = rules.suspendable(terms, rules.msp_id(msp), voter)
    key = keys.suspension(terms.study, target, voter)
    rules.first_time(
        ledger, key, SecondSuspensionVoteError, f"{voter} has voted to suspend {target} already"
    )
    vote = Suspension(study=terms.study, msp=target, voter=voter, reason=rules.reason(reason))
    ledger.put_state(key, vote.to_bytes())
    return _tell_study(ledger, "study.suspension", terms, target)


def _approve(ledger: Ledger, terms: Study) -> None:
    msp = ledger.creator.msp_id
    key = keys.approval(terms.study, msp)
    rules.first_time(
        ledger, key, SecondApprovalError, f"{msp} has approved study {terms.study} already"
    )
    ledger.put_state(key, Approval(terms.study, msp, terms.sha256).to_bytes())


# --- a round opens ---------------------------------------------------------------------------


def open_round(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """Open the next round; it starts from the last published model."""
    terms = register.study(ledger, rules.study_id(study))
    rules.member(ledger, terms)
    rules.study_in_force(ledger, terms)
    previous = rules.opening(ledger, terms, rules.round_number(number))
    now_s = ledger.timestamp_s if previous is None else states.time_of(previous, ledger.timestamp_s)
    opened = Round(
        study=terms.study,
        round=int(number),
        state=RoundState.OPEN.value,
        opened_at_s=now_s,
        changed_at_s=now_s,
        deadline_s=now_s + terms.deadlines_s.join,
        parent_sha256=model_after(terms, previous),
        published_before=0 if previous is None else rules.published(previous),
        joined=(),
        joined_sha256="",
        model_sha256="",
        reason="",
    )
    _put_round(ledger, opened)
    return _tell(ledger, "round.opened", opened)


def join_round(ledger: Ledger, study: bytes, number: bytes, signed: bytes) -> bytes:
    """Join a round with a fresh sealing key, signed by the creator's identity."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    hospital = rules.member(ledger, terms)
    key = keys.join(terms.study, round_record.round, hospital.msp)
    rules.first_time(
        ledger,
        key,
        SecondJoinError,
        f"{hospital.msp} has joined round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.JOIN)
    rules.not_suspended(ledger, terms, hospital.msp)
    sealing_key = joining.check_sealing_key(rules.transient(ledger, "sealing_key"))
    signature: JoinSignature = read(JoinSignature, decode(signed, canonical=False), "the join")
    certificate = joining.check_certificate(ledger.creator, signature.certificate_pem)
    statement = join_statement(
        ledger.channel,
        terms.study,
        round_record.round,
        msp=hospital.msp,
        point=hospital.point,
        sealing_key=sealing_key,
    )
    joining.check_signature(certificate, statement, bytes.fromhex(signature.signature))
    use = Use(terms.study, round_record.round, hospital.msp)
    marker = rules.fresh_sealing_key(ledger, terms, sha256_hex(sealing_key))
    record = Join(
        study=terms.study,
        round=round_record.round,
        msp=hospital.msp,
        point=hospital.point,
        sealing_key=sealing_key,
        certificate_pem=joining.certificate_text(certificate),
        signature=signature.signature,
    )
    ledger.put_state(key, record.to_bytes())
    ledger.put_state(marker, use.to_bytes())
    return _tell(ledger, "round.joined", round_record)


def close_joins(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """Freeze the joined hospitals when all are there, or after the deadline."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    rules.member(ledger, terms)
    states.after(round_record, RoundEvent.CLOSE_JOINS)
    joins = register.joins(ledger, terms.study, round_record.round)
    active = register.active(ledger, terms)
    rules.joins_closable(round_record, terms, tuple(joins), active, ledger.timestamp_s)
    closed = states.moved(
        round_record,
        RoundEvent.CLOSE_JOINS,
        terms,
        ledger.timestamp_s,
        joined=tuple(sorted(joins)),
        joined_sha256=joined_digest(
            ledger.channel, terms.study, round_record.round, tuple(joins.values())
        ),
    )
    _put_round(ledger, closed)
    return _tell(ledger, "round.joins_closed", closed)


# --- updates ---------------------------------------------------------------------------------


def put_chunk(ledger: Ledger, study: bytes, number: bytes, index: bytes) -> bytes:
    """Store one chunk of the creator's upload in its own collection; no public write."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    msp = rules.joined(round_record, rules.member(ledger, terms).msp)
    _no_update_yet(ledger, round_record, msp)
    states.after(round_record, RoundEvent.PUT_CHUNK)
    position = rules.chunk_index(index)
    chunk = rules.transient(ledger, "chunk")
    rules.chunk_of(rules.layout(terms, round_record), position, len(chunk))
    ledger.put_private(
        keys.collection(msp), keys.chunk(terms.study, round_record.round, position), chunk
    )
    return _tell(ledger, "round.chunk", round_record)


def submit_update(ledger: Ledger, study: bytes, number: bytes, text: bytes) -> bytes:
    """Record the manifest of an upload whose chunks are in place; the update is spent by it.

    The last chunk may come with it, in the transient map: each endorser then holds its bytes
    against the manifest, where otherwise it holds the hash on the ledger against it.
    """
    terms, round_record = rules.study_and_round(ledger, study, number)
    msp = rules.joined(round_record, rules.member(ledger, terms).msp)
    _no_update_yet(ledger, round_record, msp)
    states.after(round_record, RoundEvent.SUBMIT_UPDATE)
    manifest = Manifest.from_text(text)
    layout = rules.layout(terms, round_record)
    rules.manifest_of(manifest, round_record, msp, layout)
    along = _chunk_along(ledger, layout)
    for index, chunk in enumerate(manifest.chunks):
        place = (keys.collection(msp), keys.chunk(terms.study, round_record.round, index))
        if along is not None and index == layout.chunks - 1:
            found = hashlib.sha256(along).digest()
            ledger.put_private(*place, along)
        else:
            found = ledger.private_hash(*place)
        if not rules.chunk_matches(chunk, found):
            raise ChunkHashError(f"chunk {index} of {msp} on the ledger is not the manifest's")
    marker = rules.unspent(ledger, terms, manifest.ciphertext_sha256)
    ledger.put_state(keys.update(terms.study, round_record.round, msp), manifest.to_bytes())
    ledger.put_state(marker, Use(terms.study, round_record.round, msp).to_bytes())
    return _tell(ledger, "round.update", round_record)


def _chunk_along(ledger: Ledger, layout: UploadLayout) -> bytes | None:
    """Return the last chunk where it came with its manifest."""
    if not ledger.transient:
        return None
    chunk = rules.transient(ledger, "chunk")
    rules.chunk_of(layout, layout.chunks - 1, len(chunk))
    return chunk


def aggregate(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """Validate and add the submitted updates; record the sum's digests and who is not in it."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    rules.member(ledger, terms)
    key = keys.aggregate(terms.study, round_record.round)
    rules.first_time(
        ledger, key, SecondAggregateError, f"round {round_record.round} has its one aggregate"
    )
    states.after(round_record, RoundEvent.AGGREGATE)
    updates = register.updates(ledger, terms.study, round_record.round)
    rules.updates_addable(round_record, tuple(updates), ledger.timestamp_s)
    rules.enough_contributors(terms, round_record.round, len(updates))
    total = _sum(ledger, terms, round_record, updates)
    rules.enough_contributors(terms, round_record.round, len(total.contributors), total.refused)
    parameters = round_parameters(terms)
    record = Aggregate(
        study=terms.study,
        round=round_record.round,
        contributors=total.contributors,
        refused=total.refused,
        polynomials=parameters.polynomials,
        block_sha256=total.block_sha256,
        check_sha256=sha256_hex(total.check),
        coalition_max=parameters.coalition(len(total.contributors)),
        coalition_max_masks=_coalition_of_masks(terms, total.contributors),
        digest=aggregate_digest(
            ledger.channel,
            terms.study,
            round_record.round,
            study_sha256=terms.sha256,
            joined_sha256=round_record.joined_sha256,
            contributors=total.contributors,
            block_sha256=total.block_sha256,
        ),
    )
    ledger.put_state(key, record.to_bytes())
    summed = states.moved(round_record, RoundEvent.AGGREGATE, terms, ledger.timestamp_s)
    _put_round(ledger, summed)
    return _tell(ledger, "round.summed", summed)


def _coalition_of_masks(terms: Study, contributors: Sequence[Contributor]) -> int:
    hiding = len(contributors)
    if any(weight.group == GROUP_MASKS for weight in terms.weights):
        present = {contributor.msp for contributor in contributors}
        hiding = sum(h.has_masks for h in terms.hospitals if h.msp in present)
    return max(-1, round_parameters(terms).coalition(hiding))


def _no_update_yet(ledger: Ledger, round_record: Round, msp: str) -> None:
    rules.first_time(
        ledger,
        keys.update(round_record.study, round_record.round, msp),
        SecondUpdateError,
        f"{msp} has submitted its update in round {round_record.round} already",
    )


def _sum(
    ledger: Ledger, terms: Study, round_record: Round, updates: Mapping[str, Manifest]
) -> sums.Sum:
    layout: UploadLayout = rules.layout(terms, round_record)
    return sums.sum_updates(partial(_read_chunk, ledger), tuple(updates.values()), layout)


def _read_chunk(ledger: Ledger, manifest: Manifest, index: int) -> bytes:
    """Read a chunk from the own peer's store.

    The hash on the ledger is the same for every endorser, so a difference from the manifest
    refuses the update; that this peer lacks the bytes refuses nothing.

    Raises:
        ChunkHashError: The owner replaced the chunk, or it has expired.
        ChunkAbsentError: This peer lacks the chunk.
    """
    place = (keys.collection(manifest.msp), keys.chunk(manifest.study, manifest.round, index))
    if not rules.chunk_matches(manifest.chunks[index], ledger.private_hash(*place)):
        raise ChunkHashError(f"chunk {index} on the ledger is no longer the manifest's")
    chunk = ledger.get_private(*place)
    if not chunk:
        raise ChunkAbsentError(
            f"this peer does not have chunk {index} of {manifest.msp} yet; send this again"
        )
    return chunk


# --- opening ---------------------------------------------------------------------------------


def submit_share_sum(
    ledger: Ledger, study: bytes, number: bytes, digest: bytes, unopened: bytes
) -> bytes:
    """Answer once for the round's aggregate: the share sum, or which boxes did not open."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    hospital = rules.member(ledger, terms)
    msp = rules.joined(round_record, hospital.msp)
    key = keys.share_sum(terms.study, round_record.round, msp)
    rules.first_time(
        ledger,
        key,
        SecondShareSumError,
        f"{msp} has answered in round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.SUBMIT_SHARE_SUM)
    total = register.aggregate(ledger, terms.study, round_record.round)
    claimed = read(Sha256, rules.text(digest), "the digest")
    dealers = rules.unopened_dealers(total, _msp_list(unopened, "the dealers"))
    content = rules.answer_or_report(ledger, dealers)
    if not dealers:  # not `if content`: an empty share sum is no report
        rules.share_values(content)
    record = ShareSum(
        study=terms.study,
        round=round_record.round,
        msp=msp,
        point=hospital.point,
        digest=rules.same_aggregate(total, claimed),
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
    ledger.put_state(key, record.to_bytes())
    return _tell(ledger, "round.share_sum", round_record)


def record_round_key(ledger: Ledger, study: bytes, number: bytes, senders: bytes) -> bytes:
    """Interpolate the round key from T share sums, check it, record it and who lied.

    The summed key check comes from the own peer's chunks, or from the transient map
    (``check_sum``, 32768 bytes), and must have the digest that the aggregate recorded.
    """
    terms, round_record = rules.study_and_round(ledger, study, number)
    rules.member(ledger, terms)
    key = keys.round_key(terms.study, round_record.round)
    rules.first_time(
        ledger, key, SecondRoundKeyError, f"round {round_record.round} has its round key"
    )
    states.after(round_record, RoundEvent.RECORD_ROUND_KEY)
    total = register.aggregate(ledger, terms.study, round_record.round)
    answers = register.share_sums(ledger, terms.study, round_record.round)
    named = rules.senders_of(terms, _msp_list(senders, "the senders"), answers)
    check = opening.check_sum_of(total, _check_sum(ledger, terms, round_record, total))
    record = opening.open_round(terms, total, answers, named, check)
    ledger.put_state(key, record.to_bytes())
    opened = states.moved(round_record, RoundEvent.RECORD_ROUND_KEY, terms, ledger.timestamp_s)
    _put_round(ledger, opened)
    return _tell(ledger, "round.key", opened)


def _check_sum(ledger: Ledger, terms: Study, round_record: Round, total: Aggregate) -> bytes:
    if ledger.transient:
        return rules.transient(ledger, "check_sum")

    manifests = [
        register.manifest(ledger, terms.study, round_record.round, contributor.msp)
        for contributor in total.contributors
    ]
    read = partial(_read_chunk, ledger)
    return sums.summed_check(read, manifests, rules.layout(terms, round_record))


# --- the model -------------------------------------------------------------------------------


def confirm_model(ledger: Ledger, study: bytes, number: bytes, text: bytes) -> bytes:
    """Record the digest of the model a hospital computed, its metrics and the vote they give."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    msp = rules.member(ledger, terms).msp
    key = keys.confirmation(terms.study, round_record.round, msp)
    rules.first_time(
        ledger,
        key,
        SecondConfirmationError,
        f"{msp} has confirmed a model of round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.CONFIRM_MODEL)
    claim: ConfirmationClaim = read(
        ConfirmationClaim, decode(text, canonical=False), "the confirmation"
    )
    record = Confirmation(
        study=terms.study,
        round=round_record.round,
        msp=msp,
        model_sha256=claim.model_sha256,
        parent_sha256=claim.parent_sha256,
        metrics_ppm=claim.metrics_ppm,
        vote=rules.vote_of(claim, round_record, terms),
    )
    ledger.put_state(key, record.to_bytes())
    return _tell(ledger, "round.confirmed", round_record)


def publish_model(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """End an opened round: publish its model, or reject it when the gate has failed."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    rules.member(ledger, terms)
    states.after(round_record, RoundEvent.PUBLISH)
    decision = gate.decide(
        terms,
        register.active(ledger, terms),
        register.confirmations(ledger, terms.study, round_record.round),
        deadline_over=states.deadline_passed(round_record, ledger.timestamp_s),
    )
    ended = states.moved(
        round_record,
        RoundEvent.PUBLISH if decision.published else RoundEvent.REJECT,
        terms,
        ledger.timestamp_s,
        model_sha256=decision.model_sha256,
        reason=decision.reason,
    )
    _put_round(ledger, ended)
    return _tell(ledger, f"round.{ended.state.lower()}", ended)


# --- ending without a model ------------------------------------------------------------------


def abandon(ledger: Ledger, study: bytes, number: bytes, reason: bytes) -> bytes:
    """End a round in which too few joined, or gave a valid update, by its deadline."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    rules.member(ledger, terms)
    states.after(round_record, RoundEvent.ABANDON)
    why = rules.reason(reason)
    rules.abandonable(round_record, ledger.timestamp_s)
    if round_record.state == RoundState.OPEN.value:
        joins = register.joins(ledger, terms.study, round_record.round)
        rules.too_few_joined(round_record, terms, len(joins))
    else:
        _check_too_few_updates(ledger, terms, round_record)
    ended = states.moved(round_record, RoundEvent.ABANDON, terms, ledger.timestamp_s, reason=why)
    _put_round(ledger, ended)
    return _tell(ledger, "round.abandoned", ended)


def give_up(ledger: Ledger, study: bytes, number: bytes, reason: bytes) -> bytes:
    """Vote to give up a summed round; the vote that makes a majority ends it."""
    terms, round_record = rules.study_and_round(ledger, study, number)
    msp = rules.member(ledger, terms).msp
    key = keys.give_up(terms.study, round_record.round, msp)
    rules.first_time(
        ledger,
        key,
        SecondGiveUpVoteError,
        f"{msp} has voted to give up round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.VOTE_GIVE_UP)
    why = rules.reason(reason)
    votes = register.give_up_votes(ledger, terms.study, round_record.round)
    ledger.put_state(key, GiveUpVote(terms.study, round_record.round, msp, why).to_bytes())
    if len(votes) + 1 < terms.majority:
        return _tell(ledger, "round.give_up_vote", round_record)
    ended = states.moved(round_record, RoundEvent.GIVE_UP, terms, ledger.timestamp_s, reason=why)
    _put_round(ledger, ended)
    return _tell(ledger, "round.abandoned", ended)


def _check_too_few_updates(ledger: Ledger, terms: Study, round_record: Round) -> None:
    updates = register.updates(ledger, terms.study, round_record.round)
    if len(updates) < terms.contributors_min:
        return
    # Enough manifests came, but some may be refused: only then is the round at its end.
    valid = len(_sum(ledger, terms, round_record, updates).contributors)
    if valid >= terms.contributors_min:
        raise EnoughUpdatesError(
            f"{valid} valid updates were submitted in round {round_record.round}: add them"
        )


# --- shared by the transactions --------------------------------------------------------------


def _put_round(ledger: Ledger, round_record: Round) -> None:
    key = keys.round_(round_record.study, round_record.round)
    ledger.put_state(key, round_record.to_bytes())


def _msp_list(text: bytes, what: str) -> tuple[str, ...]:
    names: tuple[str, ...] = read(Members, decode(text, canonical=False), what)
    return names


def _tell(ledger: Ledger, event: str, round_record: Round) -> bytes:
    payload = encode(
        {
            "study": round_record.study,
            "round": round_record.round,
            "state": round_record.state,
            "msp": ledger.creator.msp_id,
        }
    )
    ledger.set_event(event, payload)
    return payload


def _tell_study(ledger: Ledger, event: str, terms: Study, state: str) -> bytes:
    payload = encode(
        {"study": terms.study, "round": 0, "state": state, "msp": ledger.creator.msp_id}
    )
    ledger.set_event(event, payload)
    return payload


# --- dispatch --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the contract: what runs, and how many arguments it may get."""

    run: Callable[..., bytes]
    least: int
    most: int


TRANSACTIONS: Final[Mapping[str, Function]] = {
    "propose_study": Function(propose_study, 1, 1),
    "approve_study": Function(approve_study, 2, 2),
    "suspend_hospital": Function(suspend_hospital, 3, 3),
    "open_round": Function(open_round, 2, 2),
    "join_round": Function(join_round, 3, 3),
    "close_joins": Function(close_joins, 2, 2),
    "put_chunk": Function(put_chunk, 3, 3),
    "submit_update": Function(submit_update, 3, 3),
    "aggregate": Function(aggregate, 2, 2),
    "submit_share_sum": Function(submit_share_sum, 4, 4),
    "record_round_key": Function(record_round_key, 3, 3),
    "confirm_model": Function(confirm_model, 3, 3),
    "publish_model": Function(publish_model, 2, 2),
    "abandon": Function(abandon, 3, 3),
    "give_up": Function(give_up, 3, 3),
}

QUERIES: Final[Mapping[str, Function]] = {
    "studies": Function(queries.studies, 0, 0),
    "study": Function(queries.study, 1, 1),
    "rounds": Function(queries.rounds, 1, 2),
    "round": Function(queries.round_, 2, 2),
    "hospital": Function(queries.hospital, 1, 1),
    "model": Function(queries.model, 1, 2),
    "lineage": Function(queries.lineage, 1, 1),
    "history": Function(queries.history, 1, 2),
    "joins": Function(queries.joins, 2, 2),
    "share_sums": Function(queries.share_sums, 2, 2),
    "round_key": Function(queries.round_key, 2, 2),
    "chunk": Function(queries.chunk, 4, 4),
}


def invoke(ledger: Ledger, args: Sequence[bytes]) -> bytes:
    """Run one transaction or query.

    Args:
        ledger: The transaction's view of the ledger.
        args: The function's name, then its arguments, all UTF-8 text.

    Returns:
        The answer: JSON, or for ``chunk`` the chunk's bytes.

    Raises:
        RuleError: A rule of the contract is broken.
    """
    name = rules.text(args[0]) if args else ""
    function = TRANSACTIONS.get(name) or QUERIES.get(name)
    if function is None:
        raise UnknownFunctionError(f"the contract has no function {name[:40]!a}")
    count = len(args) - 1
    if not function.least <= count <= function.most:
        raise ArgumentCountError(
            f"{name} takes {function.least} to {function.most} arguments, {count} came"
        )
    return function.run(ledger, *args[1:])
