"""Draw a model's best and worst lesion masks on phantoms, never on patients.

The phantoms are drawn from seeds of their own, so a model trained on the project's phantoms has
not seen them. A slice without lesion in the phantom is left out; empty masks say nothing.

    python benchmarks/evidence_phantoms.py OUTPUT/models/ucsd.keras
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from peer_client.ct.cohort import SliceSet, load_part  # noqa: E402
from peer_client.ct.hospitals import HospitalData, read_hospitals  # noqa: E402
from peer_client.ct.phantoms import write_phantoms  # noqa: E402
from peer_client.evaluation.readings import LESION_THRESHOLD  # noqa: E402

#: Added to the seeds of the file: other patients than those that models are trained on.
OTHER_SEED = 7_000
PATIENTS, SHOWN = 16, 4


def others(hospitals: tuple[HospitalData, ...], patients: int) -> list[HospitalData]:
    """Return hospitals with as many phantoms of other seeds, one slice a patient."""
    return [
        replace(
            each,
            phantoms=replace(
                each.phantoms, seed=each.phantoms.seed + OTHER_SEED, patients=patients, slices=1
            ),
        )
        for each in hospitals
        if each.phantoms is not None and each.has_masks
    ]


def dice_of_each(lesions: np.ndarray, slices: SliceSet) -> np.ndarray:
    """Return Dice of every mask, float64, shape `(m,)`; NaN where the mask shows no lesion.

    Args:
        lesions: Probabilities, float32, shape `(n, size, size)`.
        slices: The n slices.
    """
    called = lesions[slices.mask_index] >= LESION_THRESHOLD
    true = slices.masks > 0
    both, sizes = (called & true).sum((1, 2)), called.sum((1, 2)) + true.sum((1, 2))
    return np.where(true.any((1, 2)), 2 * both / np.maximum(sizes, 1), np.nan)


def masks_picture(
    lesions: np.ndarray, slices: SliceSet, name: str, shown: int = SHOWN
) -> Figure | None:
    """Draw the best masks above the worst; None where no phantom has a lesion.

    Args:
        lesions: Probabilities, float32, shape `(n, size, size)`.
        slices: The n slices, of phantoms.
        name: For the title.
        shown: How many of each.
    """
    scores = dice_of_each(lesions, slices)
    known = np.flatnonzero(~np.isnan(scores))
    if not len(known):
        return None
    order = known[np.argsort(scores[known], kind="stable")]
    shown = min(shown, max(1, len(order) // 2))  # none is both best and worst
    figure = Figure(figsize=(2.1 * shown, 4.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, shown, squeeze=False)
    for row, places in enumerate((order[::-1][:shown], order[:shown])):
        for axis, place in zip(axes[row], places.tolist(), strict=True):
            image = slices.mask_index[place]
            axis.imshow(slices.images[image, :, :, 0], cmap="gray", vmin=0, vmax=1)
            contour(axis, slices.masks[place] > 0, "#2ecc40")
            contour(axis, lesions[image] >= LESION_THRESHOLD, "#ff4136")
            axis.set_title(f"{('best', 'worst')[row]}: Dice {scores[place]:.2f}", fontsize=8)
            axis.set_axis_off()
    title = f"{name}, {len(known)} phantoms: green as drawn, red as found; mean Dice "
    figure.suptitle(title + f"{np.nanmean(scores):.2f}", fontsize=9)
    return figure


def contour(axis: Any, mask: np.ndarray, colour: str) -> None:
    """Draw a mask's outline, where it has one."""
    if mask.any() and not mask.all():
        axis.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=0.9)


def main() -> None:
    """Draw phantoms, let the model read them, draw its masks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a .keras file")
    parser.add_argument("--hospitals", type=Path, default=ROOT / "examples" / "phantoms.yaml")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="of each hospital")
    target = ROOT / "docs" / "pictures" / "evidence_phantoms.png"
    parser.add_argument("--output", type=Path, default=target)
    options = parser.parse_args()
    from model.threads import set_threads

    set_threads(1)
    from peer_client.serving.predictor import open_predictor

    predictor = open_predictor(options.model)
    hospitals = others(read_hospitals(options.hospitals), options.patients)
    with tempfile.TemporaryDirectory() as folder:
        data = write_phantoms(hospitals, Path(folder))
        parts = load_part(data, size_px=predictor.net.config.size_px)
    lesions, slices = [], []
    for part in parts.values():
        masked = part.rows(np.unique(part.mask_index))
        if len(masked):
            slices.append(masked)
            lesions.append(predictor.read_images(masked.images)[1])
    joined = slices[0]
    for more in slices[1:]:
        joined = replace(
            joined,
            images=np.concatenate([joined.images, more.images]),
            masks=np.concatenate([joined.masks, more.masks]),
            mask_index=np.concatenate([joined.mask_index, more.mask_index + len(joined.images)]),
        )
    figure = masks_picture(np.concatenate(lesions), joined, predictor.name)
    if figure is None:
        raise SystemExit("no phantom has a lesion")
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
