"""Whether what the ledger has in this hospital's name is what this hospital sent.

A join with another sealing key would make the others seal their shares to a stranger's key; an
update or an answer that was never sent keeps this hospital from sending its own. What it did send
is in memory-backed storage, in the round's file of what was seen, and in the journal.
"""

from __future__ import annotations

import logging

from chaincode.records.canonical import sha256_hex
from chaincode.records.errors import RuleError
from chaincode.records.round import RoundState
from peer_client.errors import OwnJoinForgedError, OwnRecordForgedError
from peer_client.rounds.context import RoundContext
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.seen_records import SeenRound
from peer_client.sealing.errors import MemoryStorageError

logger = logging.getLogger(__name__)


def check_own_join(context: RoundContext, records: RoundRecords, seen: SeenRound) -> None:
    """Refuse a join in this hospital's name whose sealing key is not its own.

    Raises:
        OwnJoinForgedError: It is not.
    """
    found = records.joins.get(context.msp_id)
    if found is None or found in seen.own_keys or found == _key_in_memory(context, records):
        return
    raise OwnJoinForgedError(
        f"round {records.record.round} has a join in the name of {context.msp_id} with a sealing "
        f"key that this hospital did not make (SHA-256 {found[:16]})"
    )


def check_own_update_and_answer(context: RoundContext, records: RoundRecords) -> None:
    """Refuse an update or an answer in this hospital's name that its journal does not know.

    Raises:
        OwnRecordForgedError: There is one.
    """
    number = records.record.round
    update = records.updates.get(context.msp_id)
    answer = records.answers.get(context.msp_id)
    uploaded = context.journal.upload(context.study.study, number) or {}
    answered = context.journal.answer(context.study.study, number) or {}
    if update is not None and uploaded.get("ciphertext_sha256") != update.ciphertext_sha256:
        raise OwnRecordForgedError(
            f"round {number} has an update in the name of {context.msp_id} that this hospital did "
            "not send"
        )
    if answer is not None and answered.get("aggregate_sha256") != answer.digest:
        raise OwnRecordForgedError(
            f"round {number} has an answer in the name of {context.msp_id} that this hospital did "
            "not give"
        )


def report_own_join(context: RoundContext, records: RoundRecords) -> None:
    """Tell the others on the ledger that the join in this hospital's name is not its own.

    The round can then not be summed. Where the ledger refuses, the hospital stops all the same.
    """
    may_report = records.record.state in (RoundState.OPEN, RoundState.SUBMITTING)
    if not may_report or context.msp_id in records.join_reports:
        return
    try:
        context.ledger.submit(
            "report_join",
            context.study.study,
            str(records.record.round),
            records.joins[context.msp_id],
        )
    except RuleError as refusal:
        logger.warning("the join was not reported: %s", refusal)


def _key_in_memory(context: RoundContext, records: RoundRecords) -> str:
    """Return the SHA-256 of the round's public sealing key, empty where there is none here."""
    try:
        key = context.sealing_keys.load(records.record.round)
    except MemoryStorageError:
        return ""
    public = key.public
    key.wipe()
    return sha256_hex(public)
