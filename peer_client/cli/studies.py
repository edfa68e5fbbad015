"""`hospital-client study ...`: list studies, keep a hospital out, take a proposal back."""

from __future__ import annotations

from pathlib import Path

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields, print_table


@click.group()
def study() -> None:
    """Agree on studies: propose, approve, withdraw, list, suspend, parameters."""


@study.command(name="list")
@json_option
@click.pass_obj
def list_(member: Path | None, as_json: bool) -> None:
    """List the studies of the channel and where they stand."""
    from peer_client.client import member_client
    from peer_client.studies.study import list_studies
    from peer_client.studies.wording import short_name

    with member_client(member) as client:
        found = list_studies(client.ledger)
    if as_json:
        print_json(found)
        return
    print_table(
        "studies",
        ["study", "title", "state", "hospitals", "approved by", "rounds", "last round"],
        [
            (
                each["study"],
                each["title"],
                each["state"].lower().replace("_", " "),
                [short_name(msp) for msp in each["hospitals"]],
                [short_name(msp) for msp in each["approved_by"]],
                each["published_rounds"],
                f"{each['last_round']} {each['last_round_state']}" if each["last_round"] else "-",
            )
            for each in found
        ],
    )


@study.command()
@click.argument("hospital")
@click.option("--study", "name", metavar="STUDY", help="The study; may be left out if only one.")
@click.option("--reason", required=True, help="Why; kept on the ledger.")
@json_option
@click.pass_obj
def suspend(
    member: Path | None, hospital: str, name: str | None, reason: str, as_json: bool
) -> None:
    """Vote to keep HOSPITAL (its member name or MSP) out of later rounds of a study.

    It is suspended when a majority of the other hospitals voted so.
    """
    from peer_client.client import chosen_study, member_client
    from peer_client.studies import study as studies

    with member_client(member) as client:
        state = chosen_study(client.ledger, name)
        msp_id = hospital if hospital in state.terms.msps else f"{hospital}MSP"
        done = studies.suspend(client.ledger, state.terms.study, msp_id, reason)
        client.ledger.wait_everywhere(done.transaction_id, 10.0)
        after = studies.read_study(client.ledger, state.terms.study)
    suspended = msp_id in after.suspended
    if as_json:
        print_json({"study": after.terms.study, "hospital": msp_id, "suspended": suspended})
        return
    click.echo(
        f"voted; {msp_id} is {'suspended' if suspended else 'not suspended yet'} in "
        f"{after.terms.study}"
    )


@study.command()
@click.argument("name", metavar="STUDY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def withdraw(member: Path | None, name: str, yes: bool, as_json: bool) -> None:
    """Take back the proposal of STUDY, while no other hospital has approved it.

    Only the hospital that proposed it may. The record stays on the ledger and its name stays taken;
    nobody can approve it any more.
    """
    from peer_client.client import member_client
    from peer_client.studies import study as studies

    with member_client(member) as client:
        state = studies.read_study(client.ledger, name)
        if not as_json:
            lines = [
                ("study", name),
                ("title", state.terms.title),
                ("text (SHA-256)", state.terms.sha256),
                ("approved by", list(state.approved_by)),
            ]
            print_fields("to be withdrawn:", lines)
        if not yes:
            click.confirm("Withdraw this proposal?", abort=True, err=True)
        done = studies.withdraw(client.ledger, name)
        client.ledger.wait_everywhere(done.transaction_id, 10.0)
    if as_json:
        print_json({"study": name, "sha256": state.terms.sha256, "withdrawn": True})
        return
    click.echo(f"withdrawn; the name {name} stays taken")
