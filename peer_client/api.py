"""The public Python interface: predict, evaluate and simulate, as the commands of these names do.

    >>> from peer_client.api import evaluate, predict, simulate

What is not exported here is private and may change without notice; the classes that these functions
take and return come with them. An error has what to do as `hint` and its page as `exit_code`
(docs/errors). Research use, not a diagnosis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from peer_client.ct.cache import slices_cache
from peer_client.ct.hospitals import HospitalData, read_hospitals
from peer_client.ct.phantoms import write_phantoms
from peer_client.inference.evaluate import Evaluation
from peer_client.inference.evaluate import evaluate as evaluate_model
from peer_client.inference.predict import predict_input
from peer_client.inference.prediction import Prediction
from peer_client.serving.predictor import open_predictor
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.result import HospitalResult
from peer_client.simulation.setting import Setting
from peer_client.simulation.simulate import simulate as simulate_hospitals

__all__ = [
    "Evaluation",
    "HospitalData",
    "HospitalResult",
    "Prediction",
    "Recipe",
    "evaluate",
    "predict",
    "read_hospitals",
    "simulate",
]


def predict(
    model_file: Path,
    source: Path,
    output: Path,
    *,
    told: Callable[[str, int, int], None] = lambda *_: None,
) -> Prediction:
    """Predict for one patient, and write masks, an overview and the result into a folder.

    Args:
        model_file: A served or exported model (`*.keras`), with its files beside it.
        source: A picture, a folder of pictures, or a volume (DICOM folder, NIfTI, npz).
        output: Folder for what is written; made where it is missing.
        told: Told (what is done, slices done, slices).

    Raises:
        ServedModelError: The model's files are damaged or do not belong together.
        IntakeError: The input cannot be read, or no slice shows lungs.
        StoreError: The output folder cannot be written.
    """
    return predict_input(open_predictor(model_file), source, output, told=told)


def evaluate(
    model_file: Path,
    folder: Path,
    part: str | None = None,
    *,
    leave_out_seen: bool = False,
    processes: int = 1,
    told: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Judge a model on a data folder, by patient, with intervals.

    Args:
        model_file: A served or exported model (`*.keras`), with its files beside it.
        folder: With an index.csv.
        part: One dataset of it, or None for each of them.
        leave_out_seen: Leave out patients that the model was trained on, instead of refusing.
        processes: How many processes read pictures.
        told: Told (what is done, how much of it, of how much).

    Raises:
        ServedModelError: The model's files are damaged or do not belong together.
        IntakeError: The folder or the dataset cannot be read.
        SplitLeakError: The folder shares patients or pictures with the model's training.
        EvaluationError: A patient has slices of both labels.
    """
    return evaluate_model(
        open_predictor(model_file),
        folder,
        part,
        cache=slices_cache(),
        processes=processes,
        leave_out_seen=leave_out_seen,
        told=told,
    )


def simulate(
    hospitals: Sequence[HospitalData],
    output: Path,
    *,
    folder: Path | None = None,
    recipe: Recipe | None = None,
    encryption: bool = False,
    threads: int = 1,
    told: Callable[[str, str, int, int], None] = lambda *_: None,
) -> tuple[HospitalResult, ...]:
    """Train all hospitals in one process, or go on with it, and choose what each serves.

    Args:
        hospitals: As `read_hospitals` gives them.
        output: Where models, table and pictures go; holds another run's only if its settings agree.
        folder: Data with an index.csv; None draws phantoms into the output folder.
        recipe: How they train; None is the recommended recipe.
        encryption: Run complete clients over a ledger in memory; otherwise sum integers.
        threads: Hospitals that train at the same time; the models are the same for any number.
        told: Told (hospital, what it does, steps done, steps in all).

    Raises:
        ResumeError: The output folder is of another simulation.
        IntakeError: The data cannot be used.
        RecipeError: The recipe is not one of a study.
    """
    if folder is None:
        folder = write_phantoms(hospitals, output / "phantoms", processes=threads)
    setting = Setting(
        hospitals=tuple(hospitals),
        folder=folder,
        recipe=recipe or Recipe(),
        encryption=encryption,
        output=output,
        cache=slices_cache(),
        threads=threads,
    )
    return simulate_hospitals(setting, told)
