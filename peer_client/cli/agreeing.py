"""`hospital-client study propose` and `approve`: read a study's text, then agree to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields

if TYPE_CHECKING:
    from chaincode.records.study import Study
    from peer_client.ledgers.ledger import HospitalLedger
    from peer_client.serving.starting_statistics import TensorStatistics
    from peer_client.studies.study import StudyState


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--hospitals", "hospitals_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the hospitals from this YAML file instead of FILE.",
)  # fmt: skip
@click.option("--name", help="Call the study this instead of what FILE calls it.")
@click.option(
    "--start-from", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Start from the shared part of this exported model instead of from the seed.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Check and show the text; write nothing.")
@json_option
@click.pass_obj
def propose(
    member: Path | None,
    file: Path,
    hospitals_file: Path | None,
    name: str | None,
    start_from: Path | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Propose the study in FILE (YAML or JSON); that is this hospital's approval too.

    What follows from the file (thresholds, weight manifest, digest of the initial model) is
    computed, and the ordering service is read from the channel's own configuration. Every hospital
    is looked for on the channel, the whole text is shown, and nothing is sent before it is
    confirmed. With --start-from every hospital of the study needs the same file, and the model's
    tensors are shown beside those of a fresh draw.
    """
    from peer_client.client import member_client
    from peer_client.serving.starting_model import (
        exported_shared,
        shown_starting_model,
        take_starting_model,
    )
    from peer_client.studies import study as studies
    from peer_client.studies.study_file import changed_plan, read_plan, study_of

    plan = changed_plan(read_plan(file), name=name, hospitals_file=hospitals_file)
    with member_client(member) as client:
        ledger, agreement = client.ledger, client.agreement()
        studies.check_members([each.msp_id for each in plan.hospitals], agreement.hospitals)
        start = None if start_from is None else partial(exported_shared, start_from)
        terms = study_of(plan, ledger.ordering(), genesis_sha256=ledger.genesis_sha256, start=start)
        studies.check_agreeable(ledger, terms, agreement)
        studies.check_new_name(ledger, terms.study)
        tensors = shown_starting_model(terms, client.store(terms.study), start_from)
        _show("to be proposed:", terms, tensors, as_json=as_json)
        if not dry_run:
            if not yes:
                click.confirm("Propose this text?", abort=True, err=True)
            done = studies.propose(ledger, terms, agreement, now_s=time.time())
            if start_from is not None:
                take_starting_model(terms, client.store(terms.study), start_from)
            ledger.wait_everywhere(done.transaction_id, 10.0)
    if as_json:
        print_json(
            {
                "study": terms.study,
                "sha256": terms.sha256,
                "proposed": not dry_run,
                "record": terms.to_json(),
                **_shown_json(terms, tensors),
            }
        )
        return
    if dry_run:
        click.echo(f"\nnothing was written; {terms.study} would have SHA-256 {terms.sha256}")
        return
    click.echo(f"\nproposed; SHA-256 {terms.sha256}")
    click.echo(f"The other hospitals now run: hospital-client study approve {terms.study}")


@click.command()
@click.argument("name", metavar="STUDY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--sha256", metavar="HEX", help="Approve only this text (SHA-256 of the record).")
@click.option(
    "--start-from", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The exported model that the study starts from, where it starts from one; kept from then.",
)  # fmt: skip
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
    help="Wait this long for the study to be proposed.",
)  # fmt: skip
@json_option
@click.pass_obj
def approve(
    member: Path | None,
    name: str,
    yes: bool,
    sha256: str | None,
    start_from: Path | None,
    wait_s: float,
    as_json: bool,
) -> None:
    """Show what STUDY says, and approve exactly that text.

    A study is in force when a majority of its hospitals approved it. The text's SHA-256 is
    computed here from the terms shown, and kept here: this hospital trains for no other text, and
    for none that it has not approved itself. What the channel is (its policies, members, chaincode)
    is kept with the first approval too; see `channel show`.
    """
    from chaincode.records.errors import OtherStudyTextError
    from peer_client.client import member_client
    from peer_client.serving.starting_model import shown_starting_model, take_starting_model
    from peer_client.studies import study as studies

    with member_client(member) as client:
        ledger, agreement = client.ledger, client.agreement()
        state = _proposed(ledger, name, wait_s)
        tensors = shown_starting_model(state.terms, client.store(name), start_from)
        _show("to be agreed to:", state.terms, tensors, as_json=as_json)
        studies.check_agreeable(ledger, state.terms, agreement)
        if sha256 is not None and sha256 != state.terms.sha256:
            raise OtherStudyTextError(f"the text of {name} has SHA-256 {state.terms.sha256}")
        if not yes and sha256 is None:
            click.confirm("Approve this text?", abort=True, err=True)
        done = studies.approve(ledger, state, agreement, now_s=time.time())
        if start_from is not None:
            take_starting_model(state.terms, client.store(name), start_from)
        if done is not None:
            ledger.wait_everywhere(done.transaction_id, 10.0)
        after = studies.read_study(ledger, name)
    if as_json:
        print_json({**_state_json(after), **_shown_json(after.terms, tensors)})
        return
    verdict = "in force" if after.in_force else "not in force yet"
    click.echo(
        f"approved; {name} is {verdict}: {len(after.approved_by)} of "
        f"{len(after.terms.hospitals)} hospitals approved, {after.approvals_needed} are needed"
    )


def _proposed(ledger: HospitalLedger, name: str, wait_s: float) -> StudyState:
    """Return a study, waiting for its proposal."""
    from chaincode.records.errors import UnknownStudyError
    from peer_client.studies.study import read_study

    end = time.monotonic() + wait_s
    while True:
        try:
            return read_study(ledger, name)
        except UnknownStudyError:
            if time.monotonic() >= end:
                raise
            ledger.wait_change(1.0)


def _show(
    title: str, terms: Study, tensors: Sequence[TensorStatistics] | None, *, as_json: bool
) -> None:
    """Show a text before it is agreed to; warnings go to stderr."""
    from peer_client.studies.agreement_text import agreement_lines, agreement_warnings

    if not as_json:
        print_fields(title, agreement_lines(terms))
        if tensors is not None:
            print_starting_model(tensors)
    for warning in [*agreement_warnings(terms), *starting_warnings(tensors)]:
        click.echo(f"warning: {warning}", err=True)


#: Of a tensor's name in the table: so a line takes at most 80 columns.
NAME_COLUMNS: Final = 28


def print_starting_model(tensors: Sequence[TensorStatistics]) -> None:
    """Print a starting model's statistics beside those of a fresh draw, within 80 columns."""
    click.echo("\nstarting model, each tensor beside a fresh draw:")
    head = ("tensor", "spread", "largest", "zeros", "alike", "rank 1")
    click.echo(_row(head))
    for each in tensors:
        name = each.name
        if len(name) > NAME_COLUMNS:
            name = name[: NAME_COLUMNS - 1] + "…"
        spread = "-" if each.spread_ratio is None else f"x {each.spread_ratio:.2f}"
        shares = (f"{share:.0%}" for share in (each.zeros, each.repeated, each.rank_one))
        click.echo(_row((name, spread, f"{each.largest:.3g}", *shares)))
        if each.outlying:
            click.echo(f"    unusual: {', '.join(each.outlying)}")


def _row(cells: Sequence[str]) -> str:
    """Return one line of the table of a starting model."""
    name, *numbers = cells
    return f"  {name:<{NAME_COLUMNS}}" + "".join(f"  {number:>7}" for number in numbers)


def starting_warnings(tensors: Sequence[TensorStatistics] | None) -> list[str]:
    """Name the tensors of a starting model that are unlike drawn and honestly trained ones."""
    named = [f"{each.name} ({', '.join(each.outlying)})" for each in tensors or () if each.outlying]
    if not named:
        return []
    return [
        f"the starting model has unusual tensors: {'; '.join(named)}. Weights can be chosen so "
        "that a sum shows single patients: approve only when the proposer explains them"
    ]


def _shown_json(terms: Study, tensors: Sequence[TensorStatistics] | None) -> dict[str, Any]:
    """Return what was shown before a text was agreed to, as plain values."""
    from chaincode.records.terms import check_terms
    from chaincode.roundkey.safety import safety_words
    from peer_client.studies.agreement_text import agreement_warnings

    return {
        "safety": safety_words(check_terms(terms).safety()),
        "warnings": [*agreement_warnings(terms), *starting_warnings(tensors)],
        "starting_model": None if tensors is None else [each.to_json() for each in tensors],
    }


def _state_json(state: StudyState) -> dict[str, Any]:
    return {
        "study": state.terms.study,
        "sha256": state.terms.sha256,
        "in_force": state.in_force,
        "approved_by": list(state.approved_by),
        "approvals_needed": state.approvals_needed,
    }
