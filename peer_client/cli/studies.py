"""`hospital-client study ...`: agree on studies, and see what they cost."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import click

from peer_client.cli.output import CommandGroup, json_option, print_fields, print_json, print_table


@click.group(cls=CommandGroup)
def study() -> None:
    """Agree on studies: propose, approve, list, suspend, parameters."""


@study.command()
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
@json_option
@click.pass_obj
def propose(
    member: Path | None,
    file: Path,
    hospitals_file: Path | None,
    name: str | None,
    start_from: Path | None,
    as_json: bool,
) -> None:
    """Propose the study in FILE (YAML or JSON); that is this hospital's approval too.

    What follows from the file (thresholds, weight manifest, digest of the initial model) is
    computed, and the ordering service is read from the channel's own configuration. With
    --start-from every hospital of the study needs the same file for `train`.
    """
    from peer_client import study as studies
    from peer_client.client import member_client
    from peer_client.starting_model import exported_shared
    from peer_client.study_file import changed_plan, read_plan, study_of

    plan = changed_plan(read_plan(file), name=name, hospitals_file=hospitals_file)
    with member_client(member) as client:
        start = None if start_from is None else partial(exported_shared, start_from)
        terms = study_of(
            plan,
            client.ledger.ordering(),
            genesis_sha256=client.ledger.genesis_sha256,
            start=start,
        )
        done = studies.propose(client.ledger, terms)
        client.ledger.wait_everywhere(done.transaction_id, 10.0)
    if as_json:
        print_json({"study": terms.study, "sha256": terms.sha256, "record": terms.to_json()})
        return
    print_fields("proposed:", studies.agreement_lines(terms))
    click.echo(f"\nThe other hospitals now run: hospital-client study approve {terms.study}")


@study.command()
@click.argument("name", metavar="STUDY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--sha256", metavar="HEX", help="Approve only this text (SHA-256 of the record).")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
    help="Wait this long for the study to be proposed.",
)  # fmt: skip
@json_option
@click.pass_obj
def approve(
    member: Path | None, name: str, yes: bool, sha256: str | None, wait_s: float, as_json: bool
) -> None:
    """Show what STUDY says, and approve exactly that text.

    A study is in force when a majority of its hospitals approved it. The text's SHA-256 is
    computed here from the terms shown.
    """
    from chaincode.records.errors import OtherStudyTextError
    from peer_client import study as studies
    from peer_client.client import member_client

    with member_client(member) as client:
        state = _proposed(client.ledger, name, wait_s)
        if not as_json:
            print_fields("to be agreed to:", studies.agreement_lines(state.terms))
        if sha256 is not None and sha256 != state.terms.sha256:
            raise OtherStudyTextError(f"the text of {name} has SHA-256 {state.terms.sha256}")
        if not yes and sha256 is None:
            click.confirm("Approve this text?", abort=True, err=True)
        done = studies.approve(client.ledger, state)
        client.ledger.wait_everywhere(done.transaction_id, 10.0)
        after = studies.read_study(client.ledger, name)
    if as_json:
        print_json(_state_json(after))
        return
    verdict = "in force" if after.in_force else "not in force yet"
    click.echo(
        f"approved; {name} is {verdict}: {len(after.approved_by)} of "
        f"{len(after.terms.hospitals)} hospitals approved, {after.approvals_needed} are needed"
    )


def _proposed(ledger: Any, name: str, wait_s: float) -> Any:
    """Return a study, waiting for its proposal."""
    from chaincode.records.errors import UnknownStudyError
    from peer_client.study import read_study

    end = time.monotonic() + wait_s
    while True:
        try:
            return read_study(ledger, name)
        except UnknownStudyError:
            if time.monotonic() >= end:
                raise
            ledger.wait_change(1.0)


def _state_json(state: Any) -> dict[str, Any]:
    return {
        "study": state.terms.study,
        "sha256": state.terms.sha256,
        "in_force": state.in_force,
        "approved_by": list(state.approved_by),
        "approvals_needed": state.approvals_needed,
    }


@study.command(name="list")
@json_option
@click.pass_obj
def list_(member: Path | None, as_json: bool) -> None:
    """List the studies of the channel and where they stand."""
    from peer_client.client import member_client
    from peer_client.report import short_name
    from peer_client.study import list_studies

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
    from peer_client import study as studies
    from peer_client.client import chosen_study, member_client

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
@click.option("--hospitals", type=int, required=True, help="N, hospitals of the study.")
@click.option("--bits", type=int, required=True, help="Width of one quantised value.")
@click.option("--parameters", type=int, required=True, help="Shared values of the model.")
@click.option("--threshold", type=int, help="T, share sums that open a round (2N/3 by default).")
@click.option("--contributors-min", type=int, help="k, fewest updates in a sum (T by default).")
@json_option
def parameters(
    hospitals: int,
    bits: int,
    parameters: int,
    threshold: int | None,
    contributors_min: int | None,
    as_json: bool,
) -> None:
    """Derive thresholds, sizes and security from hospitals, bits and model size.

    Unsafe or overflowing combinations are refused with the reason.
    """
    from chaincode.roundkey.parameters import derive
    from chaincode.roundkey.safety import safety_words

    found = derive(
        hospitals, bits, parameters, threshold=threshold, contributors_min=contributors_min
    )
    values = {
        "hospitals": found.hospitals,
        "bits": found.bits,
        "parameters": found.parameters,
        "threshold": found.threshold,
        "contributors_min": found.contributors_min,
        "cheating_max": found.safety().cheating,
        "pooling_max": found.safety().pooling,
        "away_max": found.safety().away,
        "levels": found.levels,
        "plaintext_modulus": found.plaintext_modulus,
        "fields": found.fields,
        "polynomials": found.polynomials,
        "upload_bytes": found.upload_bytes,
        "bytes_per_parameter": round(found.bytes_per_parameter, 4),
        "failure_probability": found.failure_probability,
        "security_bits_classical": found.security_bits_classical,
        "security_bits_quantum": found.security_bits_quantum,
    }
    if as_json:
        print_json(values)
        return
    words = {
        "hospitals": "hospitals (N)",
        "bits": "bits a value",
        "parameters": "shared values",
        "threshold": "share sums that open a round (T)",
        "contributors_min": "fewest updates in a sum (k)",
        "levels": "levels of a value (L)",
        "plaintext_modulus": "plaintext modulus (t)",
        "fields": "values in a slot (K)",
        "polynomials": "polynomials, without the key check",
        "upload_bytes": "bytes a hospital sends in a round",
        "bytes_per_parameter": "bytes a shared value (plain float32: 4)",
        "failure_probability": "probability that a sum cannot be decrypted",
        "security_bits_classical": "log2 of operations to read one update",
        "security_bits_quantum": "the same, with a quantum computer",
    }
    fields = [(words[name], value) for name, value in values.items() if name in words]
    print_fields("parameters:", [*fields, ("safety", safety_words(found.safety()))])
    click.echo(f"\n{found.source}")
