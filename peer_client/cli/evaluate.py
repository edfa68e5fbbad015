"""`hospital-client evaluate`: judge a model on a data folder, by patient."""

from __future__ import annotations

import os
from pathlib import Path

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_table


@click.command()
@click.option(
    "--model", "model_file", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="A served or exported model (.keras).",
)  # fmt: skip
@click.option(
    "--data", "folder", required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with index.csv (part, file, mask, label, patient, site).",
)  # fmt: skip
@click.option("--part", metavar="NAME", help="One part of the folder (default: each of them).")
@click.option(
    "--leave-out-seen", is_flag=True,
    help="Leave out patients that the model has seen instead of refusing the folder.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@json_option
def evaluate(
    model_file: Path,
    folder: Path,
    part: str | None,
    leave_out_seen: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Judge a model on a folder of CT: AUC with interval, rates, calibration, Dice.

    Everything is counted by patient; thresholds and calibration are those stored with the model. A
    folder that shares a patient or a near-identical picture with the model's training is refused.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from model.threads import set_threads
    from peer_client.api import evaluate as evaluate_model

    set_threads(threads)
    found = evaluate_model(
        model_file,
        folder,
        part,
        leave_out_seen=leave_out_seen,
        processes=threads,
        told=lambda what, done, total: click.echo(
            f"\r{what}: {done} of {total}", nl=done == total, err=True
        ),
    )
    if as_json:
        print_json(found.to_json())
        return
    print_table(
        f"{found.model} on {folder}",
        ["part", "patients", "slices", "AUC by patient", "95 %", "balanced accuracy",
         "sensitivity", "specificity", "Brier", "constant", "p", "Dice", "pooled"],
        [
            (
                each.part, each.n_patients, each.n_slices, each.auc_patient,
                None if each.auc_patient is None
                else f"{each.auc_patient_low:.2f} to {each.auc_patient_high:.2f}",
                each.balanced_accuracy, each.sensitivity, each.specificity, each.brier,
                each.constant_brier, each.permutation_p, each.dice_mean, each.dice_pooled,
            )
            for each in found.parts
        ],
    )  # fmt: skip
    for name, count in found.left_out.items():
        click.echo(f"{name}: {count} slices of patients that the model has seen were left out")
    for note in (*found.notes, *(f"{p.part}: {n}" for p in found.parts for n in p.notes)):
        click.echo(note)
    click.echo("Research use, not a diagnosis.")
