"""`hospital-client predict` and `model ...`: use a trained model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields, print_table

if TYPE_CHECKING:
    from peer_client.inference.prediction import Prediction
    from peer_client.serving.predictor import Predictor

#: Slices listed for people; `--json` has all of them.
SHOWN_SLICES = 12


@click.command()
@click.argument("path", metavar="INPUT", type=click.Path(exists=True, path_type=Path))
@click.option("--study", "name", metavar="STUDY", help="The study; may be left out if only one.")
@click.option(
    "--model", "model_file", type=click.Path(dir_okay=False, path_type=Path),
    help="A served or exported model (.keras); then no ledger is asked.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("prediction"),
    show_default=True, help="Folder for masks and the overview.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@json_option
@click.pass_obj
def predict(
    member: Path | None,
    path: Path,
    name: str | None,
    model_file: Path | None,
    output: Path,
    threads: int,
    as_json: bool,
) -> None:
    """Predict for INPUT, one patient: a slice (PNG, JPEG), a folder of slices, or a volume.

    A volume is a folder of DICOM files, a NIfTI file or an npz file. Gives the probability of the
    finding with its calibration, calls at the stored operating points, the lesion's share of the
    lung, and its mask (PNG for slices, NIfTI on the volume's own grid for volumes). Without --model
    what this hospital serves of the study decides, else the study's model. Research use, not a
    diagnosis.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from model.threads import set_threads
    from peer_client.cli.live import Stages
    from peer_client.inference.predict import predict_input

    set_threads(threads)
    found = predict_input(_predictor(member, name, model_file), path, output, told=Stages())
    if as_json:
        print_json({**found.to_json(), "output": str(output)})
        return
    _print_slices(found)
    written = ("written to", f"{output}: {', '.join(found.files[-3:])}")
    print_fields(f"{found.input}:", [*found.lines, written])
    click.echo(found.use)


def _print_slices(found: Prediction) -> None:
    """Print a table of slices, those with the largest lesions where there are many."""
    shown = sorted(found.slices, key=lambda each: -(each.lesion_percent or 0.0))[:SHOWN_SLICES]
    few = len(shown) == len(found.slices)
    print_table(
        "slices" if few else f"slices: {SHOWN_SLICES} of {found.slices_read}, most lesion first",
        ["slice", f"probability of {found.answer.finding}", "lesion in lung %", "mask"],
        [
            (
                each.name,
                each.probability if each.lung_found else f"not read: {each.reason}",
                f"{each.lesion_percent:.1f}" if each.lesion_percent is not None else "-",
                each.mask or "-",
            )
            for each in shown
        ],
    )


def _predictor(member: Path | None, name: str | None, model_file: Path | None) -> Predictor:
    """Return what predicts: the file's model, else what this hospital has of a study."""
    if model_file is not None:
        from peer_client.serving.predictor import open_predictor

        return open_predictor(model_file)
    from peer_client.client import chosen_study, member_client
    from peer_client.serving.in_force import predictor_in_force

    with member_client(member) as client:
        state = chosen_study(client.ledger, name)
    store = client.store(state.terms.study)
    return predictor_in_force(state.terms, store, client.ledger.msp_id, state.model_sha256)


@click.group()
def model() -> None:
    """A hospital's model as a file."""


@model.command()
@click.option(
    "--output", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, ending in .keras; its facts go beside it as .json.",
)  # fmt: skip
@click.option("--study", "name", metavar="STUDY", help="The study; may be left out if only one.")
@click.option(
    "--federated", is_flag=True,
    help="The study's shared model, also where this hospital chose to serve something else.",
)  # fmt: skip
@json_option
@click.pass_obj
def export(
    member: Path | None, output: Path, name: str | None, federated: bool, as_json: bool
) -> None:
    """Write this hospital's current model of a study to a file.

    What the hospital chose to serve after the model in force (its facts go beside it as .json, all
    members' weights as .npz). Where nothing was chosen, or with --federated, the model in force
    itself with this hospital's own personal tensors.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from peer_client.client import chosen_study, member_client
    from peer_client.errors import SettingsError
    from peer_client.rounds.ledger_figures import in_words
    from peer_client.serving.exported import current_model, export_model, facts_of, network_with
    from peer_client.serving.in_force import served_file
    from peer_client.serving.served import export_served

    if output.suffix != ".keras":
        raise SettingsError(f"--output must end in .keras, not {output.name!r}")
    with member_client(member) as client:
        state = chosen_study(client.ledger, name)
        store = client.store(state.terms.study)
    served = None if federated else served_file(store, state.model_sha256)
    if served is not None:
        facts, files = export_served(served, output)
        said = f"what {facts['hospital']} serves ({in_words(facts['choice']['name'])})"
        number, digest = facts["training"]["round"], state.model_sha256
    else:
        found = current_model(store, state.model_sha256)
        exported = facts_of(state.terms, found, client.ledger.msp_id)
        files = export_model(network_with(state.terms, found, store), exported, output)
        facts, said = exported.to_json(), "the shared model"
        number, digest = exported.round_number, exported.model_sha256
    if as_json:
        kind = "federated" if served is None else "served"
        print_json({**facts, "exported": kind, "files": [str(each) for each in files]})
        return
    click.echo(
        f"{said} after round {number} of {state.terms.study} ({digest[:16]}): "
        + ", ".join(map(str, files))
    )
