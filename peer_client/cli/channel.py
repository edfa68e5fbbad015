"""`hospital-client channel`: what the channel is, and a person's word that a change is right."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields


@click.group()
def channel() -> None:
    """What the channel is: its policies, members, ordering nodes and chaincode."""


@channel.command()
@json_option
@click.pass_obj
def show(member: Path | None, as_json: bool) -> None:
    """Show what the channel is, and whether it is what this hospital accepted.

    The own peer is asked. What was accepted is kept in this hospital's client directory with its
    first approval of a study.
    """
    from peer_client.client import member_client
    from peer_client.studies.channel_rules import differences

    with member_client(member) as client:
        name, facts = client.ledger.channel, client.ledger.channel_facts()
        kept = client.agreement().pinned()
    changes = [] if kept is None else differences(kept, facts)
    if as_json:
        print_json(
            {
                "channel": name,
                "facts": dict(facts),
                "accepted": None if kept is None else dict(kept),
                "changes": _changes_json(changes),
            }
        )
        return
    print_fields(f"channel {name}:", facts)
    if kept is None:
        click.echo("\nnothing is kept of it here yet: the first approval of a study keeps it")
    elif changes:
        click.echo("\nit has changed since this hospital accepted it:")
        _print_changes(changes)
        click.echo("`hospital-client channel accept` keeps the change")
    else:
        click.echo("\nit is what this hospital accepted")


@channel.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def accept(member: Path | None, yes: bool, as_json: bool) -> None:
    """Show how the channel differs from what was accepted, and keep what it is now.

    A hospital's client joins, trains, submits and answers on the accepted channel alone. Ask the
    other hospitals who made a change and why before accepting it. A channel that fewer than T
    hospitals can write to or change is refused.
    """
    from peer_client.client import member_client
    from peer_client.studies.channel_rules import check_channel_rules, differences

    with member_client(member) as client:
        name, facts = client.ledger.channel, client.ledger.channel_facts()
        agreement = client.agreement()
        kept = agreement.pinned()
        changes = differences(kept or (), facts)
        if not as_json and changes:
            _print_changes(changes)
        check_channel_rules(facts, agreement.hospitals)
        if changes:
            if not yes:
                click.confirm("Keep the channel as it is now?", abort=True, err=True)
            agreement.pin(facts, time.time())
    if as_json:
        print_json({"channel": name, "accepted": bool(changes), "changes": _changes_json(changes)})
        return
    click.echo(f"kept: {name} as it is now" if changes else "nothing to accept: nothing changed")


def _print_changes(changes: list[tuple[str, str, str]]) -> None:
    for name, was, now in changes:
        click.echo(f"  {name}\n    was  {was}\n    is   {now}")


def _changes_json(changes: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    return [{"name": name, "was": was, "is": now} for name, was, now in changes]
