"""What a hospital's model says of one patient: a slice, a folder of slices, or a volume.

Each slice with lungs is normalised as in training, read by the model, and its lesion map put back
to its place in the picture: masks have the size of what was given, a volume's mask is a NIfTI on
the volume's own grid. A slice without lungs is not read and counts for nothing. The lung of a slice
is its lung field together with the lesions found: dense disease at the chest wall is too bright to
be found as lung, and is lung all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.errors import ImageError, NormalisationError, VolumeError
from peer_client.ct.folder_input import PREDICTION_FILE, folder_input, is_own_output, is_picture
from peer_client.ct.grid import pasted_back
from peer_client.ct.image import Image2D, read_image
from peer_client.ct.lung_field import LungField
from peer_client.ct.normalise import NormalisedSlice, lung_on_grid, to_network_input
from peer_client.ct.volume import CtVolume
from peer_client.ct.volume_files import read_volume
from peer_client.evaluation.readings import LESION_THRESHOLD
from peer_client.evaluation.views import of_few
from peer_client.inference.prediction import Prediction, SliceResult
from peer_client.reports.report import MaskPicture, mask_grid, save_figure
from peer_client.serving.patient import patient_answer
from peer_client.serving.predictor import Predictor
from peer_client.storage.study_store import write_file
from peer_client.studies.wording import RESEARCH_USE

#: Slices shown in the overview: those with the largest lesions.
OVERVIEW_SLICES: Final = 8

#: Told (what is done, slices done, slices).
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Input:
    """One slice as it goes into the network.

    Attributes:
        name: For results.
        shape: Height and width of the picture.
        normal: The normalised slice; None where no lungs were found.
        reason: Why not.
    """

    name: str
    shape: tuple[int, int]
    normal: NormalisedSlice | None
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """The slices with lungs, and what the model said of them.

    Attributes:
        inputs: All slices given, or of a volume those with lungs.
        rows: Positions in `inputs` of those that were read.
        logits: float64, shape `(rows,)`.
        lesions: float32, shape `(rows, size_px, size_px)`.
    """

    inputs: Sequence[_Input]
    rows: Sequence[int]
    logits: NDArray[np.float64]
    lesions: NDArray[np.float32]

    def areas(self, place: int) -> tuple[NDArray[np.uint8], int]:
        """Return the lesion mask of a slice at its own size, 0 or 1, and its pixels of lung."""
        one = self.inputs[self.rows[place]]
        assert one.normal is not None  # noqa: S101 - `rows` are those with lungs
        box, size_px = one.normal.box, self.lesions.shape[1]
        lesion = pasted_back(self.lesions[place], box, one.shape) >= LESION_THRESHOLD
        field = lung_on_grid(one.normal.field, one.shape, box, size_px=size_px)
        lung = pasted_back(field.astype(np.float32), box, one.shape) >= 0.5
        return lesion.astype(np.uint8), int((lung | lesion).sum())


def predict_input(
    predictor: Predictor, path: Path, output: Path, *, told: Told = lambda *_: None
) -> Prediction:
    """Predict for the one patient that a path shows; write masks, an overview and the result.

    Args:
        predictor: The model.
        path: A picture, a folder of pictures, or a volume (DICOM folder, NIfTI, npz).
        output: Folder for what is written; made where it is missing.
        told: Told how far it is.

    Raises:
        IntakeError: The input cannot be read, or no slice shows lungs.
        StoreError: The output folder cannot be written.
    """
    pictures, passed_over = _pictures(path)
    if pictures:
        found = _predict_pictures(predictor, path, pictures, output, told)
        found = replace(found, passed_over=passed_over)
    else:
        found = _predict_volume(predictor, path, output, told)
    found = replace(found, files=(*found.files, PREDICTION_FILE))
    document = json.dumps(found.to_json(), indent=1, sort_keys=True)
    write_file(output / PREDICTION_FILE, document.encode())
    return found


def _pictures(path: Path) -> tuple[Sequence[Path], tuple[str, ...]]:
    """Return the pictures that a path names, none where it is a volume, and what lies beside."""
    if path.is_dir():
        found = folder_input(path)
        return found.pictures, tuple(str(each) for each in found.passed_over)
    if is_own_output(path):
        raise ImageError(f"{path} was written by predict", "Name the slice or the scan itself.")
    return [path] if is_picture(path) else [], ()


def _predict_pictures(
    predictor: Predictor, path: Path, pictures: Sequence[Path], output: Path, told: Told
) -> Prediction:
    size_px = predictor.net.size_px
    inputs = []
    for number, each in enumerate(pictures, start=1):
        inputs.append(_input(each.name, read_image(each), size_px))
        told("pictures normalised", number, len(pictures))
    read = _read(predictor, inputs, told)
    results = [SliceResult(each.name, False, each.reason) for each in inputs]
    lesion_px = lung_px = 0
    for place, row in enumerate(read.rows):
        mask, lung = read.areas(place)
        file = output / f"{pictures[row].stem}_lesion.png"
        _write_png(file, mask * np.uint8(255))
        results[row] = _slice_result(predictor, read, place, (int(mask.sum()), lung), file.name)
        lesion_px, lung_px = lesion_px + int(mask.sum()), lung_px + lung
    found = Prediction(
        input=str(path),
        model=predictor.description,
        answer=patient_answer(predictor, read.logits),
        lesion_percent=_percent(lesion_px, lung_px),
        lesion_ml=None,
        lung_ml=None,
        slices=tuple(results),
        slices_given=len(inputs),
        slices_read=len(read.rows),
        files=tuple(each.mask for each in results if each.mask),
    )
    return _with_overview(found, read, output)


def _predict_volume(predictor: Predictor, path: Path, output: Path, told: Told) -> Prediction:
    volume = read_volume(path)
    inputs = list(_volume_inputs(volume, predictor.net.size_px, told))
    if not inputs:
        raise VolumeError(f"no slice of {path} shows lungs")
    read = _read(predictor, inputs, told)
    masks = np.zeros(volume.voxels.shape, np.uint8)
    results = []
    lesion_px = lung_px = 0
    for place, each in enumerate(inputs):
        mask, lung = read.areas(place)
        masks[int(each.name)] = mask
        results.append(_slice_result(predictor, read, place, (int(mask.sum()), lung), ""))
        lesion_px, lung_px = lesion_px + int(mask.sum()), lung_px + lung
        told("masks put back", place + 1, len(inputs))
    stem = path.resolve().name.removesuffix(".gz").removesuffix(".nii").removesuffix(".npz")
    target = output / f"{stem}_lesion.nii.gz"
    _write_volume_mask(target, masks, volume)
    voxel_ml = volume.voxel_mm3 / 1000
    found = Prediction(
        input=str(path),
        model=predictor.description,
        answer=patient_answer(predictor, read.logits),
        lesion_percent=_percent(lesion_px, lung_px),
        lesion_ml=lesion_px * voxel_ml,
        lung_ml=lung_px * voxel_ml,
        slices=tuple(results),
        slices_given=volume.voxels.shape[0],
        slices_read=len(inputs),
        files=(target.name,),
        passed_over=volume.passed_over,
    )
    return _with_overview(found, read, output)


def _volume_inputs(volume: CtVolume, size_px: int, told: Told) -> Iterable[_Input]:
    """Yield the slices with lungs, normalised; one is held in full size at a time."""
    fields = volume.lung_fields()
    for number, (position, field) in enumerate(fields.items(), start=1):
        yield _input(str(position), volume.slice(position), size_px, field)
        told("slices normalised", number, len(fields))


def _input(name: str, image: Image2D, size_px: int, field: LungField | None = None) -> _Input:
    shape = (image.pixels.shape[0], image.pixels.shape[1])
    try:
        normal = to_network_input(image, size_px=size_px, field=field)
    except NormalisationError as error:
        return _Input(name, shape, None, str(error))
    return _Input(name, shape, normal if normal.lung_found else None, normal.reason)


def _read(predictor: Predictor, inputs: Sequence[_Input], told: Told) -> _Read:
    rows = [row for row, each in enumerate(inputs) if each.normal is not None]
    if not rows:
        raise NormalisationError(f"no lungs were found: {inputs[0].reason}")
    batch = np.stack([each.normal.pixels for each in inputs if each.normal is not None])
    few = of_few([""] * len(batch))
    logits, lesions = predictor.read_images(
        batch, few, lambda done, total: told("slices read", done, total)
    )
    return _Read(inputs, rows, logits, lesions)


def _slice_result(
    predictor: Predictor, read: _Read, place: int, areas_px: tuple[int, int], mask: str
) -> SliceResult:
    score = float(read.logits[place])
    return SliceResult(
        name=read.inputs[read.rows[place]].name,
        lung_found=True,
        score=score,
        probability=float(predictor.decision.calibration.probability([score])[0]),
        lesion_percent=_percent(*areas_px),
        mask=mask,
    )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _with_overview(found: Prediction, read: _Read, output: Path) -> Prediction:
    """Draw the slices with the largest lesions under the answer."""
    sizes = read.lesions.sum((1, 2))
    largest = sorted(np.argsort(-sizes, kind="stable")[:OVERVIEW_SLICES].tolist())
    shown = [each for each in found.slices if each.lung_found]
    pictures = []
    for place in largest:
        normal = read.inputs[read.rows[place]].normal
        assert normal is not None  # noqa: S101 - `rows` are those with lungs
        name = shown[place].name
        named = f"slice {name}" if name.isdigit() else name
        title = f"{named}: lesion {shown[place].lesion_percent:.1f} % of the lung"
        pictures.append(MaskPicture(title, normal.pixels[:, :, 0], read.lesions[place]))
    answer = found.answer
    calibrated = "calibrated" if answer.calibrated else "not calibrated"
    heading = (
        f"{Path(found.input).name}: {answer.finding} {answer.probability:.2f} ({calibrated}); "
        f"lesion {found.lesion_text}\n{RESEARCH_USE}"
    )
    save_figure(mask_grid(pictures, heading=heading), output / "overview.png")
    return replace(found, files=(*found.files, "overview.png"))


def _write_volume_mask(target: Path, mask: NDArray[np.uint8], volume: CtVolume) -> None:
    from peer_client.ct.nifti import write_nifti

    target.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(target, mask, volume, description=RESEARCH_USE)


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Description", RESEARCH_USE)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=info)
    write_file(path, buffer.getvalue())
