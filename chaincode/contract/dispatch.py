"""The contract's one entry point: a function's name and its text arguments in, bytes out.

Each transaction is a short function in the file of its phase (studies, joins, updates, summing,
round_keys, models, ending). It reads the records it needs (`chaincode.records.register`), has every
rule checked (`chaincode.contract.rules`, each with its own RuleError), writes the outcome
(`chaincode.contract.writing`) and sets one event. It reads no clock and draws nothing at random; it
never sees a secret and never decrypts. Whatever bytes come in, only a RuleError or the ledger's own
error comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chaincode.contract import (
    ending,
    joins,
    models,
    queries,
    round_keys,
    studies,
    summing,
    updates,
)
from chaincode.contract.rules.arguments import read_text
from chaincode.ledger import Ledger
from chaincode.records.errors import ArgumentCountError, UnknownFunctionError


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the contract: what runs, and how many arguments it may get."""

    run: Callable[..., bytes]
    least: int
    most: int


TRANSACTIONS: Final[Mapping[str, Function]] = {
    "propose_study": Function(studies.propose_study, 1, 1),
    "approve_study": Function(studies.approve_study, 2, 2),
    "withdraw_study": Function(studies.withdraw_study, 1, 1),
    "suspend_hospital": Function(studies.suspend_hospital, 3, 3),
    "open_round": Function(joins.open_round, 2, 2),
    "join_round": Function(joins.join_round, 3, 3),
    "report_join": Function(joins.report_join, 3, 3),
    "close_joins": Function(joins.close_joins, 2, 2),
    "put_chunk": Function(updates.put_chunk, 3, 3),
    "submit_update": Function(updates.submit_update, 3, 3),
    "aggregate": Function(summing.aggregate, 2, 2),
    "submit_share_sum": Function(round_keys.submit_share_sum, 4, 4),
    "record_round_key": Function(round_keys.record_round_key, 3, 3),
    "confirm_model": Function(models.confirm_model, 3, 3),
    "publish_model": Function(models.publish_model, 2, 2),
    "abandon": Function(ending.abandon, 3, 3),
    "give_up": Function(ending.give_up, 3, 3),
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
    name = read_text(args[0]) if args else ""
    function = TRANSACTIONS.get(name) or QUERIES.get(name)
    if function is None:
        raise UnknownFunctionError(f"the contract has no function {name[:40]!a}")
    count = len(args) - 1
    if not function.least <= count <= function.most:
        raise ArgumentCountError(
            f"{name} takes {function.least} to {function.most} arguments, {count} came"
        )
    return function.run(ledger, *args[1:])
