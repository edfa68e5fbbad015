"""`hospital-client data check`: look at a data folder before any study exists."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields, print_table

if TYPE_CHECKING:
    from peer_client.ct.data_check import FolderCheck
    from peer_client.evaluation.training_step import StepTime

#: Names that are listed for people of a longer list; `--json` has all.
SHOWN = 10


@click.command("check")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--hospitals", "hospitals_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file that says which parts of the folder are whose (default: every part is used, "
    "patients are split by the folds of index.csv, or at random).",
)  # fmt: skip
@click.option("--hospital", "name", metavar="NAME", help="Only this hospital of the file.")
@click.option("--size-px", type=click.IntRange(16), default=96, show_default=True,
              help="Side of the network's input.")  # fmt: skip
@click.option("--local-steps", type=click.IntRange(1), default=24, show_default=True,
              help="Steps of a round, for the forecast.")  # fmt: skip
@click.option("--step/--no-step", default=True, show_default=True,
              help="Measure a training step (half a minute).")  # fmt: skip
@click.option("--contact-sheet", "sheet", type=click.Path(dir_okay=False, path_type=Path),
              default=Path("contact-sheet.png"), show_default=True,
              help="PNG file for small pictures of the slices; shows patients.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@json_option
@click.pass_context
def check(
    context: click.Context,
    folder: Path,
    hospitals_file: Path | None,
    name: str | None,
    size_px: int,
    local_steps: int,
    step: bool,
    sheet: Path,
    threads: int,
    as_json: bool,
) -> None:
    """Check a data folder: would `train` start with it, and how long would a round take?

    Counts patients and slices by data set, split, class and mask; names slices without lungs and
    pictures that lie, or nearly lie, in two splits; measures a training step; draws a contact
    sheet. Nothing is sent anywhere. The exit code is that of `train` at its start: 0 where it
    would go on.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from peer_client.cli.live import Counter
    from peer_client.ct.cache import slices_cache
    from peer_client.ct.data_check import check_folder, hospital_of_folder
    from peer_client.ct.hospitals import hospital_named, read_hospitals
    from peer_client.ct.index import parts_of, read_index
    from peer_client.storage.study_store import write_file

    items = read_index(folder)
    if hospitals_file is None:
        hospitals = [hospital_of_folder(items, folder.resolve().name)]
    else:
        known = read_hospitals(hospitals_file)
        parts = set(parts_of(items))
        chosen = [
            each for each in known if any(part.part in parts for part in each.classes)
        ] or list(known)
        hospitals = [hospital_named(known, name)] if name is not None else chosen
    documents = []
    code = 0
    for number, hospital in enumerate(hospitals):
        found = check_folder(
            folder,
            items,
            hospital,
            size_px=size_px,
            cache=slices_cache(),
            progress=Counter("pictures normalised"),
            processes=threads,
        )
        code = code or found.exit_code
        drawn = _sheet_name(sheet, hospital.name, len(hospitals))
        if len(found.slices.item):
            write_file(drawn, _drawn(found))
        timed = None
        # One is measured: they share the machine and the architecture.
        if step and number == 0 and found.cohort is not None:
            from peer_client.evaluation.training_step import measured_step

            timed = measured_step(
                found.cohort,
                size_px=size_px,
                local_steps=local_steps,
                threads=threads,
                told=Counter("training steps"),
            )
        documents.append(_document(found, timed, drawn))
        if not as_json:
            _print(found, timed, drawn)
    if as_json:
        print_json({"folder": str(folder), "would_start": code == 0, "hospitals": documents})
    context.exit(code)


def _sheet_name(sheet: Path, hospital: str, hospitals: int) -> Path:
    return sheet if hospitals == 1 else sheet.with_name(f"{sheet.stem}-{hospital}{sheet.suffix}")


def _drawn(found: FolderCheck) -> bytes:
    from peer_client.ct.contact_sheet import contact_sheet

    owners = [found.items[row] for row in found.slices.item.tolist()]
    sides = [found.split_of.get(item.patient, "no split") for item in owners]
    return contact_sheet(found.items, found.slices, sides)


def _document(found: FolderCheck, timed: StepTime | None, sheet: Path) -> dict[str, Any]:
    step = None if timed is None else {**asdict(timed), "round_s": timed.round_s}
    drawn = str(sheet) if len(found.slices.item) else None
    return {**found.to_json(), "step": step, "contact_sheet": drawn}


def _print(found: FolderCheck, timed: StepTime | None, sheet: Path) -> None:
    print_table(
        found.hospital,
        ["data set", "split", "patients", "label 1", "label 0", "masks only", "slices", "masks",
         "no lungs"],
        [
            (each.dataset, each.split, each.patients, each.positive, each.negative,
             each.unlabelled, each.slices, each.masks, each.without_lungs)
            for each in found.counts
        ],
    )  # fmt: skip
    same = [each for each in found.pairs if each.same]
    fields: list[tuple[str, Any]] = [
        ("both classes in", ", ".join(k for k, has in found.both_classes.items() if has) or "none"),
        ("same in two splits", len(same)),
        ("nearly the same", len(found.pairs) - len(same)),
        ("without lungs", _some(found.without_lungs)),
    ]
    if found.passed_over:
        fields.append(("passed over", _some(found.passed_over)))
    if timed is not None:
        fields += [
            ("training step", f"{timed.step_s:.2f} s on {timed.threads} threads"),
            ("memory", f"{timed.peak_mib} MiB at the peak"),
            ("a round", f"about {timed.round_s:.0f} s of training ({timed.local_steps} steps, "
             f"{timed.validation_slices} validation slices); the first starts in "
             f"{timed.start_s:.0f} s"),
        ]  # fmt: skip
    if len(found.slices.item):
        fields.append(("contact sheet", sheet))
    print_fields("in all:", fields)
    for each in found.findings:
        kind = f"stops train with {each.exit_code}" if each.stops else "note"
        click.echo(f"{kind}: {each.text}\n  {each.hint}")
    click.echo("train would start" if found.would_start else "train would not start")


def _some(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: " + ", ".join(names[:SHOWN]) + more
