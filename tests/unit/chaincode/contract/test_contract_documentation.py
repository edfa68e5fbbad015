"""The contract's pages and the contract say the same."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from chaincode.contract.dispatch import QUERIES, TRANSACTIONS
from chaincode.records import round, study
from chaincode.records.canonical import Record
from chaincode.records.errors import RuleError, rules
from chaincode.records.states import TRANSITIONS
from tests.unit.chaincode.contract.played import MSPS, Played

DOCS = Path(__file__).parents[4] / "docs"
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "studies": (),
    "study": ("lungs",),
    "rounds": ("lungs",),
    "round": ("lungs", 1),
    "hospital": ("NorthMSP",),
    "model": ("lungs",),
    "lineage": ("lungs",),
    "history": ("lungs",),
    "joins": ("lungs", 1),
    "share_sums": ("lungs", 1),
    "round_key": ("lungs", 1),
}


@pytest.fixture(scope="module")
def published() -> Played:
    return Played().to_published()


def examples(part: str, following: str = "\n## An upload") -> dict[str, Any]:
    """The JSON shown under each heading of a part of the page."""
    text = (DOCS / "ledger.md").read_text().partition(f"\n## {part}\n")[2].partition(following)[0]
    found = re.findall(r"\n### ([^\n]+)\n(.*?)(?=\n### |\Z)", text, re.DOTALL)
    blocks = {name: re.search(r"```json\n(.*?)\n```", body, re.DOTALL) for name, body in found}
    return {name: json.loads(block.group(1)) for name, block in blocks.items() if block}


def fields_of(value: Any) -> Any:
    """Names of fields and numbers of formats, of one hospital where there is one for each."""
    if isinstance(value, list):
        return [fields_of(value[0])] if value else []
    if not isinstance(value, dict):
        return None
    if value and set(value) <= set(MSPS):
        return {"each hospital": fields_of(value.get(MSPS[1]))}
    shown = {name: fields_of(each) for name, each in value.items()}
    return shown | ({"format": value["format"]} if "format" in value else {})


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


def test_every_query_that_answers_json_has_an_example() -> None:
    shown = examples("Queries", "\n## Records")

    assert set(shown) == set(ARGUMENTS) == set(QUERIES) - {"chunk"}


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_example_of_a_query_has_the_fields_and_formats_of_an_answer(
    name: str, published: Played
) -> None:
    shown = examples("Queries", "\n## Records")[name]

    assert fields_of(shown) == fields_of(published.query(name, *ARGUMENTS[name]))


def test_example_of_a_record_has_the_fields_and_the_format_of_its_class() -> None:
    text = (DOCS / "ledger.md").read_text()
    classes = dict(re.findall(r"^### ([^\n]+)\n\n[^\n]*class `(\w+)`", text, re.MULTILINE))
    shown = examples("Records")

    assert set(classes) == set(shown)
    for heading, name in classes.items():
        record: type[Record] = getattr(round, name, None) or getattr(study, name)
        expected = {"format", *(field.name for field in fields(record))}
        assert (set(shown[heading]), shown[heading]["format"]) == (expected, record.FORMAT), name
