"""`hospital-client report`: a folder that shows what a study did."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_table

if TYPE_CHECKING:
    from peer_client.client import MemberClient
    from peer_client.reports.report import MaskPicture
    from peer_client.studies.study import StudyState


@click.command()
@click.argument("name", metavar="STUDY")
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write report.md, report.json and pictures into.",
)  # fmt: skip
@click.option(
    "--data", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Data folder: adds lesion masks over this hospital's validation slices.",
)  # fmt: skip
@click.option(
    "--hospitals", "hospitals_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file of hospitals, with --data.",
)  # fmt: skip
@json_option
@click.pass_obj
def report(
    member: Path | None,
    name: str,
    output: Path,
    folder: Path | None,
    hospitals_file: Path | None,
    as_json: bool,
) -> None:
    """Write a table of STUDY's rounds, learning curves, and lesion masks over CT.

    Metrics are those that the hospitals confirmed on the ledger; seconds are this hospital's own.
    """
    from dataclasses import asdict

    from chaincode.records.terms import round_parameters
    from chaincode.roundkey.safety import safety_words
    from peer_client.cli.live import Counter
    from peer_client.client import member_client
    from peer_client.errors import SettingsError
    from peer_client.reports.report import served_cells, table_cells, write_report
    from peer_client.reports.study_report import round_rows
    from peer_client.studies.study import read_study
    from peer_client.studies.wording import RESEARCH_USE

    if (folder is None) != (hospitals_file is None):
        raise SettingsError("--data and --hospitals are given together or not at all")
    with member_client(member) as client:
        state = read_study(client.ledger, name)
        rows = round_rows(client.ledger, client.store(name), name, progress=Counter("blocks read"))
        masks: list[MaskPicture] = []
        if folder is not None and hospitals_file is not None:
            masks = _masks(client, state, folder, hospitals_file)
    safety = safety_words(round_parameters(state.terms).safety())
    closing = [f"The smallest sum that the study allows is {safety}."]
    page = write_report(output, state.terms.title, rows, masks=masks, closing=closing)
    if as_json:
        print_json(
            {
                "page": str(page),
                "use": RESEARCH_USE,
                "safety": safety,
                "rounds": [asdict(row) for row in rows],
            }
        )
        return
    head, cells = table_cells(rows)
    print_table(f"rounds of {name}", head, cells)
    print_table("what each hospital serves", *served_cells(rows))
    click.echo(f"{closing[0]}\n{page}\n{RESEARCH_USE}")


def _masks(
    client: MemberClient, state: StudyState, folder: Path, hospitals_file: Path
) -> list[MaskPicture]:
    """Return pictures of this hospital's validation slices with the model in force."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from peer_client.cli.live import Counter
    from peer_client.ct.cache import slices_cache
    from peer_client.ct.cohort import load_cohort
    from peer_client.ct.hospitals import hospital_named, read_hospitals
    from peer_client.reports.study_report import mask_pictures
    from peer_client.serving.exported import current_model, network_with
    from peer_client.studies.study_file import network_of

    store = client.store(state.terms.study)
    net = network_with(state.terms, current_model(store, state.model_sha256), store)
    cohort = load_cohort(
        hospital_named(read_hospitals(hospitals_file), client.ledger.msp_id),
        folder,
        size_px=network_of(state.terms).size_px,
        cache=slices_cache(),
        progress=Counter("pictures normalised"),
    )
    return mask_pictures(net, cohort.validation)
