"""`hospital-client train` and `status`: this hospital's side of a study."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields, print_table


@click.command()
@click.option("--study", "name", metavar="STUDY", help="The study; may be left out if only one.")
@click.option(
    "--rounds", type=click.IntRange(1), metavar="N",
    help="Stop after N rounds with a result (default: when the study has all its rounds).",
)  # fmt: skip
@click.option(
    "--data", "folder", required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with index.csv and the pictures.",
)  # fmt: skip
@click.option(
    "--hospitals", "hospitals_file", required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file that says which parts of the folder are this hospital's.",
)  # fmt: skip
@click.option(
    "--start-from", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The exported model that the study starts from, where it starts from one; kept from then.",
)  # fmt: skip
@click.option(
    "--personal", type=click.Choice(["each", "last", "off"]), default="each", show_default=True,
    help="When to train a model alone, adapt the shared one, and choose what is served: in each "
    "round, in the last one (of the study, or of --rounds), or never.",
)  # fmt: skip
@click.option(
    "--adapt-steps", type=click.IntRange(0), metavar="N",
    help="Steps from the shared model when adapting it (default: twice those of a round).",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
              help="Processor threads for training.")  # fmt: skip
@json_option
@click.pass_obj
def train(
    member: Path | None,
    name: str | None,
    rounds: int | None,
    folder: Path,
    hospitals_file: Path,
    start_from: Path | None,
    personal: str,
    adapt_steps: int | None,
    threads: int,
    as_json: bool,
) -> None:
    """Take part in a study's rounds: join, train, encrypt, submit, open, apply, confirm.

    Follows the ledger and does what is this hospital's to do next. It may be stopped at any time
    (Ctrl-C) and started again: it goes on where the ledger stands, sends stored uploads again and
    never encrypts an update or answers twice. After a round it chooses on its own validation
    patients what it serves: its own model, the shared one, the adapted one, or a mixture.
    """
    from chaincode.records.errors import StudyFinishedError
    from network.freed_memory import keep_freed_memory
    from peer_client.cli.live import Counter, LiveRound
    from peer_client.client import (
        check_may_train,
        chosen_study,
        follow,
        member_client,
        next_round,
        open_context,
    )
    from peer_client.ct.cache import slices_cache
    from peer_client.ct.cohort import load_cohort
    from peer_client.ct.hospitals import hospital_named, read_hospitals
    from peer_client.sealing import forbid_core_dumps
    from peer_client.serving.local_training import LocalTraining, network_once
    from peer_client.serving.starting_model import take_starting_model
    from peer_client.studies.study_file import network_of

    forbid_core_dumps()
    keep_freed_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with member_client(member) as client:
        state = chosen_study(client.ledger, name)
        check_may_train(client.ledger, state, client.agreement())
        terms = state.terms
        try:
            next_round(state)
        except StudyFinishedError as finished:
            click.echo(f"nothing to do: {finished.sentence}", err=True)
            if as_json:
                print_json([])
            return
        data = hospital_named(read_hospitals(hospitals_file), client.ledger.msp_id)
        cohort = load_cohort(
            data,
            folder,
            size_px=network_of(terms).size_px,
            cache=slices_cache(),
            progress=Counter("pictures normalised"),
        )
        store = client.store(terms.study)
        if start_from is not None:
            take_starting_model(terms, store, start_from)
        network = network_once(terms, threads)
        trainer = LocalTraining(terms, client.ledger.msp_id, cohort, store, network=network)
        serving = None
        if personal != "off":
            from peer_client.serving.serving import PersonalServing, ServingPlan

            last = min(state.published_rounds + (rounds or terms.rounds), terms.rounds)
            plan = ServingPlan(
                adapt_steps=2 * terms.local_steps if adapt_steps is None else adapt_steps,
                only_after=last - 1 if personal == "last" else None,
            )
            serving = PersonalServing(terms, client.ledger.msp_id, cohort, store, network, plan)
        outcomes = []

        def before_s(number: int) -> dict[str, float]:
            seconds: dict[str, float] = store.read_facts(number - 1).get("seconds", {})
            return seconds

        with (
            LiveRound(before_s) as live,
            open_context(
                client, terms, trainer, watch=live, environment=os.environ, serving=serving
            ) as context,
        ):
            for outcome in follow(context, rounds if rounds is not None else terms.rounds):
                outcomes.append(outcome)
                if not as_json:
                    click.echo(outcome_line(outcome, store.read_facts(outcome.round_number)))
    if as_json:
        print_json([outcome_json(each, store.read_facts(each.round_number)) for each in outcomes])


def outcome_json(outcome: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """Return how a round ended as plain values."""
    return {
        "round": outcome.round_number,
        "state": outcome.state,
        "model_sha256": outcome.model_sha256,
        "contributors": list(outcome.contributors),
        "reason": outcome.reason,
        "seconds": facts.get("seconds", {}),
        "metrics_ppm": facts.get("metrics_ppm", {}),
        "upload_bytes": facts.get("upload_bytes", 0),
    }


def outcome_line(outcome: Any, facts: dict[str, Any]) -> str:
    """Return how a round ended as one line for people."""
    from peer_client.rounds.ledger_figures import served_text
    from peer_client.studies.wording import short_name

    metrics = facts.get("metrics_ppm", {})
    shown = [
        f"{label} {metrics[f'{key}_before'] / 1e6:.3f} -> {metrics[f'{key}_after'] / 1e6:.3f}"
        for key, label in (("auc", "AUC"), ("dice", "Dice"))
        if f"{key}_after" in metrics
    ]
    seconds = sum(facts.get("seconds", {}).values())
    who = ", ".join(short_name(msp) for msp in outcome.contributors) or "nobody"
    parts = [f"round {outcome.round_number} {outcome.state.lower()}", f"sum of {who}", *shown]
    if served := served_text(metrics):
        parts.append(f"serves {served}")
    parts.append(f"{seconds:.1f} s")
    if outcome.reason:
        parts.append(outcome.reason)
    return "; ".join(parts)


def _accepted_text(changes: list[str] | None) -> str:
    """Say whether the channel is what this hospital accepted."""
    if changes is None:
        return "nothing of the channel yet: the first approval of a study keeps what it is"
    if changes:
        return f"the channel has changed ({len(changes)}): see `hospital-client channel show`"
    return "the channel as it is"


@click.command()
@click.option("--study", "name", metavar="STUDY", help="Only this study.")
@json_option
@click.pass_obj
def status(member: Path | None, name: str | None, as_json: bool) -> None:
    """Show where this hospital's studies stand, and what it would do next."""
    from peer_client.client import member_client
    from peer_client.reports.status import hospital_status

    with member_client(member) as client:
        found = hospital_status(client, name)
    if as_json:
        print_json(found)
        return
    fields = [("MSP", found["msp_id"]), ("channel", found["channel"])]
    fields += [("ordering", found["ordering"]), ("directory", found["directory"])]
    fields += [("accepted", _accepted_text(found["channel_changes"]))]
    fields += [(each["study"], each["safety"]) for each in found["studies"]]
    print_fields(f"{found['member']}:", fields)
    print_table(
        "studies of this hospital",
        [
            "study",
            "state",
            "round",
            "it is",
            "next here",
            "published",
            "model here",
            "last metrics",
            "serves",
        ],
        [
            (
                each["study"],
                each["state"].lower().replace("_", " "),
                each["round"] or "-",
                each["round_state"] or "-",
                each["next"],
                f"{each['published_rounds']} of {each['rounds']}",
                "in force" if each["has_model_in_force"] else f"round {each['newest_model']}",
                ", ".join(f"{k} {v / 1e6:.3f}" for k, v in each["metrics_ppm"].items()) or "-",
                each["serves"] or "-",
            )
            for each in found["studies"]
        ],
    )
