"""`hospital-client study resume`: a person's decision to go on after rounds without a model."""

from __future__ import annotations

from pathlib import Path

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields


@click.command()
@click.argument("name", metavar="STUDY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def resume(member: Path | None, name: str, yes: bool, as_json: bool) -> None:
    """Let this hospital go on with STUDY after rounds whose sums gave no model.

    Sums of different contributors that were opened from one and the same model tell more about
    single hospitals than one sum does. After two such sums, or where the next one would have fewer
    contributors than the one before, `train` stops and asks. The decision is kept here, for one
    more sum from that model.
    """
    from peer_client.client import member_client
    from peer_client.rounds.records import read_round
    from peer_client.rounds.spoiled_parent import Repetition, repetition_of
    from peer_client.studies.study import check_own_part, read_study

    with member_client(member) as client:
        state = read_study(client.ledger, name)
        check_own_part(client.ledger, state.terms)
        found: Repetition | None = None
        if state.last_round:
            records = read_round(client.ledger, name, state.last_round)
            if records is not None:
                found = repetition_of(records, state.terms.threshold)
        if found is None:
            if as_json:
                print_json({"study": name, "accepted": False})
            else:
                click.echo(f"nothing to decide: no sum of {name} was opened in vain")
            return
        if not as_json:
            lines = [
                ("study", name),
                ("model that the rounds start from", found.parent_sha256),
                ("sums opened from it without a model", found.opened),
                ("contributors of the largest", found.contributors),
                ("last round", f"{state.last_round}, {state.last_round_state}"),
            ]
            print_fields("to be decided:", lines)
            click.echo(
                "Find out first why those rounds gave no model: `hospital-client audit round`.",
                err=True,
            )
        if not yes:
            click.confirm("Take part in one more sum from this model?", abort=True, err=True)
        client.store(name).accept(found.parent_sha256, found.opened)
    if as_json:
        print_json(
            {
                "study": name,
                "accepted": True,
                "parent_sha256": found.parent_sha256,
                "opened": found.opened,
                "contributors": found.contributors,
            }
        )
        return
    click.echo(f"kept: this hospital takes part in one more sum; `train --study {name}` goes on")
