"""`hospital-client audit ...`: ask the ledger, and check what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from network.runtime.failures import keep_partial_result
from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields, print_table
from peer_client.rounds.ledger_figures import (
    CANDIDATES_HEAD,
    candidates_text,
    served_text,
)
from peer_client.studies.wording import short_name

if TYPE_CHECKING:
    from peer_client.audit.block_walk import BlockAudit
    from peer_client.audit.recomputation import RoundCheck
    from peer_client.client import MemberClient


@click.group()
def audit() -> None:
    """Ask the ledger: study, round, hospital, model, lineage, history.

    An authority may ask too; it needs no share and no ciphertext. `lineage` believes no answer: it
    proves every block and reads the records out of them; with `--recompute` it also makes every
    model again from its sums and compares digests.
    """


def _query(member: Path | None, *question: str) -> Any:
    from peer_client.client import member_client
    from peer_client.ledgers.ledger import query

    with member_client(member) as client:
        return query(client.ledger, *question)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _names(msps: list[str]) -> list[str]:
    return [short_name(msp) for msp in msps]


@audit.command()
@click.argument("name", metavar="STUDY")
@json_option
@click.pass_obj
def study(member: Path | None, name: str, as_json: bool) -> None:
    """Show a study: its terms, who approved them, who is suspended, where it stands."""
    found = _query(member, "study", name)
    if as_json:
        print_json(found)
        return
    from chaincode.records.canonical import encode
    from chaincode.records.study import Study
    from peer_client.studies.agreement_text import agreement_lines

    print_fields("terms:", agreement_lines(Study.from_text(encode(found["record"]))))
    print_fields(
        "agreement:",
        [
            ("state", found["state"].lower().replace("_", " ")),
            ("approved by", _names(found["approved_by"])),
            ("needed", found["approvals_needed"]),
            ("suspended", _names(found["suspended"]) or "-"),
            ("last round", f"{found['last_round']} {found['last_round_state']}"),
            ("models published", found["published_rounds"]),
            ("model in force", found["model_sha256"]),
        ],
    )


@audit.command(name="round")
@click.argument("name", metavar="STUDY")
@click.argument("number", metavar="ROUND", type=click.IntRange(1))
@json_option
@click.pass_obj
def round_(member: Path | None, name: str, number: int, as_json: bool) -> None:
    """Show a round: who joined, submitted, answered and confirmed, and what came out."""
    found = _query(member, "round", name, str(number))
    if as_json:
        print_json(found)
        return
    aggregate, key = found["aggregate"], found["round_key"]
    print_fields(
        f"round {number} of {name}:",
        [
            ("state", found["state"] + (f": {found['reason']}" if found["reason"] else "")),
            ("opened", _time(found["opened_at_s"])),
            ("last change", _time(found["changed_at_s"])),
            ("parent model", found["parent_sha256"]),
            ("model", found["model_sha256"] or "-"),
            ("sum (D)", aggregate["digest"] if aggregate else "-"),
            ("safety", _safety(aggregate) if aggregate else "-"),
            ("key from", _names(key["senders"]) if key else "-"),
            ("false share sums", _names(key["false_senders"]) or "none" if key else "-"),
        ],
    )
    contributors = {each["msp"] for each in aggregate["contributors"]} if aggregate else set()
    refused = aggregate["refused"] if aggregate else {}
    print_table(
        "hospitals",
        [
            *("hospital", "joined", "upload bytes", "in the sum", "answered", "vote", "AUC"),
            *("Dice", "serves"),
        ],
        [
            _hospital_row(found, msp, contributors, refused)
            for msp in sorted({*found["joins"], *found["updates"], *found["confirmations"]})
        ],
    )


def _safety(aggregate: dict[str, Any]) -> str:
    """Return what a sum is safe against, for all tensors and for those of masks."""
    from chaincode.roundkey.safety import collusion_words

    everywhere = collusion_words(aggregate["cheating_max"], aggregate["pooling_max"])
    masks = collusion_words(aggregate["cheating_max_masks"], aggregate["pooling_max_masks"])
    return everywhere if masks == everywhere else f"{everywhere}; the tensors of masks: {masks}"


def _hospital_row(
    found: dict[str, Any], msp: str, contributors: set[str], refused: dict[str, str]
) -> tuple[Any, ...]:
    answer = found["share_sums"].get(msp)
    confirmation = found["confirmations"].get(msp, {})
    metrics = confirmation.get("metrics_ppm", {})
    said = "-"
    if answer is not None:
        unopened = _names(answer["unopened"])
        said = f"boxes of {', '.join(unopened)} do not open" if unopened else "yes"
    return (
        short_name(msp),
        "yes" if msp in found["joins"] else "no",
        found["updates"].get(msp, {}).get("upload_bytes"),
        refused.get(msp) or ("yes" if msp in contributors else "-"),
        said,
        {0: "against", 1: "for"}.get(confirmation.get("vote", -1), "-"),
        _change(metrics, "auc"),
        _change(metrics, "dice"),
        served_text(metrics) or "-",
    )


def _change(metrics: dict[str, int], name: str) -> str:
    if f"{name}_after" not in metrics:
        return "-"
    before = f"{metrics[f'{name}_before'] / 1e6:.3f} -> " if f"{name}_before" in metrics else ""
    return f"{before}{metrics[f'{name}_after'] / 1e6:.3f}"


@audit.command()
@click.argument("name", metavar="HOSPITAL", required=False)
@json_option
@click.pass_obj
def hospital(member: Path | None, name: str | None, as_json: bool) -> None:
    """Show what a hospital (member name or MSP; by default this one) did, round by round."""
    from peer_client.client import member_client
    from peer_client.ledgers.ledger import query

    with member_client(member) as client:
        msp_id = client.ledger.msp_id if name is None else name
        if name is not None and not name.endswith("MSP"):
            msp_id = f"{name}MSP"
        found = query(client.ledger, "hospital", msp_id)
    if as_json:
        print_json(found)
        return
    if not found["studies"]:
        click.echo(f"{msp_id} is in no study of this channel")
    for each in found["studies"]:
        print_table(
            f"{msp_id} in {each['study']} (negative label: {each['label_negative']})"
            + (", suspended" if each["suspended"] else ""),
            [
                *("round", "state", "joined", "upload bytes", "in the sum", "answered", "false"),
                *("AUC", "serves", CANDIDATES_HEAD),
            ],
            [
                (
                    row["round"],
                    row["state"],
                    "yes" if row["joined"] else "no",
                    row["upload_bytes"] or "-",
                    row["refused"] or ("yes" if row["contributed"] else "no"),
                    "yes" if row["answered"] else _names(row["unopened"]) or "no",
                    "yes" if row["false_share_sum"] else "no",
                    _change(row["metrics_ppm"], "auc"),
                    served_text(row["metrics_ppm"]) or "-",
                    candidates_text(row["metrics_ppm"]) or "-",
                )
                for row in each["rounds"]
            ],
        )


@audit.command()
@click.argument("name", metavar="STUDY")
@click.argument("number", metavar="[ROUND]", type=click.IntRange(1), required=False)
@json_option
@click.pass_obj
def model(member: Path | None, name: str, number: int | None, as_json: bool) -> None:
    """Show the model in force, or after ROUND: its digest, parent and contributors."""
    found = _query(member, "model", name, *([str(number)] if number is not None else []))
    if as_json:
        print_json(found)
        return
    print_fields(
        f"model of {name}:",
        [
            ("published in round", found["round"] or "none: the initial model"),
            ("model", found["model_sha256"]),
            ("parent", found["parent_sha256"] or "-"),
            ("contributors", _names(found["contributors"]) or "-"),
            ("sum (D)", found["digest"] or "-"),
        ],
    )


@audit.command()
@click.argument("name", metavar="STUDY")
@click.option("--recompute", is_flag=True, help="Make every model again and compare digests.")
@click.option(
    "--bundles", multiple=True, metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of rounds (000001/sum.bin) for sums that this peer no longer has.",
)  # fmt: skip
@click.option(
    "--start-from", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The exported model that the study starts from, where it starts from one.",
)  # fmt: skip
@click.option("--blocks", is_flag=True, help="Show what was proved of the blocks.")
@json_option
@click.pass_obj
def lineage(
    member: Path | None,
    name: str,
    recompute: bool,
    bundles: tuple[Path, ...],
    start_from: Path | None,
    blocks: bool,
    as_json: bool,
) -> None:
    """Show the chain of models from the initial one, out of blocks that are proved one by one.

    Each block must be signed by a quorum of the ordering nodes in force at its height, from this
    member's own first block on. Where a check fails, what was proved before it is shown.
    """
    from chaincode.records.errors import UnknownStudyError
    from peer_client.audit import recomputation as audits
    from peer_client.audit.block_walk import BlockAudit
    from peer_client.cli.live import Counter
    from peer_client.client import member_client

    with member_client(member) as client:
        walked = BlockAudit(client.ledger, name)
        checks: list[audits.RoundCheck] | None = [] if recompute else None
        try:
            walked.walk(Counter("blocks proved"))
            audits.compare_answer(walked, name)
            if checks is not None:
                _recompute(client, walked, name, start_from, bundles, checks)
        except UnknownStudyError:
            raise
        except Exception as error:
            if walked.height:
                found = _lineage_document(walked, name, checks, blocks=True, complete=False)
                if as_json:
                    keep_partial_result(error, found)
                else:
                    _print_lineage(found)
            raise
        found = _lineage_document(walked, name, checks, blocks=blocks, complete=True)
    if as_json:
        print_json(found)
    else:
        _print_lineage(found)


def _recompute(
    client: MemberClient,
    walked: BlockAudit,
    name: str,
    start_from: Path | None,
    bundles: tuple[Path, ...],
    checks: list[RoundCheck],
) -> None:
    """Make every model again; `checks` has what was proved, also after an error."""
    from chaincode.records import register
    from peer_client.audit import recomputation as audits
    from peer_client.cli.live import Counter
    from peer_client.rounds.lineage import initial_model
    from peer_client.serving.starting_model import starting_weights, take_starting_model

    terms = register.study(walked.records, name)
    store = client.store(name)
    if start_from is not None:
        take_starting_model(terms, store, start_from)
    audits.recompute(
        walked,
        terms,
        initial_model(terms, starting_weights(terms, store)),
        bundles=(store.folder / "rounds", *bundles),
        progress=Counter("rounds recomputed"),
        checks=checks,
    )


def _lineage_document(
    walked: BlockAudit,
    name: str,
    checks: list[RoundCheck] | None,
    *,
    blocks: bool,
    complete: bool,
) -> dict[str, Any]:
    """Return what was proved: all that was asked for, or what came before a fault."""
    from dataclasses import asdict

    from chaincode.records.errors import UnknownStudyError
    from peer_client.audit import recomputation as audits

    try:
        found = audits.proved_lineage(walked.records, name)
    except UnknownStudyError:  # the fault came before the study
        found = {"study": name, "rounds": [], "initial_model_sha256": ""}
    found["complete"] = complete
    if blocks:
        chain = walked.report()
        found["chain"] = asdict(chain) | {"signatures": chain.signature_words()}
    if checks is not None:
        found["recomputed"] = [asdict(each) for each in checks]
    return found


def _print_lineage(found: dict[str, Any]) -> None:
    sources = {each["round_number"]: each["source"] for each in found.get("recomputed", [])}
    rows = [(0, "initial", "-", found["initial_model_sha256"][:16], "-", "-", "-")]
    for each in found["rounds"]:
        rows.append(
            (
                each["round"],
                each["state"] + (f": {each['reason']}" if each["reason"] else ""),
                each["parent_sha256"][:16],
                each["model_sha256"][:16] or "-",
                ", ".join(_names(each["contributors"])) or "-",
                f"{each['cheating_max']}, {each['pooling_max']}",
                {"chunks": "yes, from chunks", "bundle": "yes, from a bundle"}.get(
                    sources.get(each["round"], ""), "-"
                ),
            )
        )
    print_table(
        f"models of {found['study']}",
        ["round", "state", "parent", "model", "contributors", "safe against", "recomputed"],
        rows,
    )
    if not found["complete"]:
        click.echo("NOT COMPLETE: this was proved before the error below")
    elif "recomputed" in found:
        click.echo("every published model follows from its parent and its sum, bit for bit")
    if "chain" in found:
        chain = found["chain"]
        click.echo(
            f"{chain['blocks']} blocks, {chain['transactions']} transactions "
            f"({chain['invalid']} invalid), {chain['bytes']:,} bytes: every block continues the "
            f"one before; head {chain['head'][:16]}"
        )
        click.echo(chain["signatures"])
        if chain["believed"]:
            click.echo(
                f"{chain['believed']} of the invalid transactions are left out on the own peer's "
                "word: its reason cannot be checked from the blocks"
            )


@audit.command()
@click.argument("name", metavar="STUDY")
@click.argument("number", metavar="[ROUND]", type=click.IntRange(1), required=False)
@json_option
@click.pass_obj
def history(member: Path | None, name: str, number: int | None, as_json: bool) -> None:
    """Show every change of a study's record, or of a round's, with its transaction."""
    found = _query(member, "history", name, *([str(number)] if number is not None else []))
    if as_json:
        print_json(found)
        return
    print_table(
        f"history of {name}" + (f", round {number}" if number is not None else ""),
        ["time", "transaction", "state", "model"],
        [
            (
                _time(each["timestamp_s"]),
                each["transaction_id"],
                each["record"].get("state", "proposed") if not each["deleted"] else "deleted",
                each["record"].get("model_sha256", "")[:16] or "-",
            )
            for each in found
        ],
    )
