"""The contract's pages and the contract say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaincode.contract.dispatch import QUERIES, TRANSACTIONS
from chaincode.records.errors import RuleError, rules
from chaincode.records.states import TRANSITIONS

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule.__name__)
def test_page_of_a_rules_exit_code_names_the_rule(rule: type[RuleError]) -> None:
    page = (DOCS / "errors" / f"{rule.exit_code}.md").read_text()

    assert rule.__name__ in page


def test_every_function_has_its_own_heading_and_nothing_else_has() -> None:
    text = (DOCS / "ledger.md").read_text()
    sections = text.partition("## Transactions")[2].partition("## Records")[0]

    headings = re.findall(r"^### (\w+)$", sections, re.MULTILINE)

    assert sorted(headings) == sorted([*TRANSACTIONS, *QUERIES])


def test_table_of_states_is_the_contracts_own() -> None:
    text = (DOCS / "ledger.md").read_text()
    written = re.findall(r"^\| (\S+) \| ([a-z_ ]+) \| ([A-Z]+) \|$", text, re.MULTILINE)

    assert sorted(written) == sorted(
        (state.value if state else "(none)", event.value, following.value)
        for (state, event), following in TRANSITIONS.items()
    )
