"""What a hospital's model says of a slice, a folder of slices, or a volume.

Each slice is normalised as in training, read by the network, and its lesion map put back to its
place in the picture: masks have the size of what was given, a volume's mask is a NIfTI on the
volume's own grid. Nothing is judged that has no lungs in it: such a slice is named and counts for
nothing. Every result says "Research use, not a diagnosis".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from peer_client.ct.errors import NormalisationError, VolumeError
from peer_client.ct.grid import pasted_back
from peer_client.ct.image import Image2D, read_image
from peer_client.ct.normalise import NormalisedSlice, lung_on_grid, to_network_input
from peer_client.ct.slices import is_picture
from peer_client.ct.volume import CtVolume, read_volume
from peer_client.report import RESEARCH_USE, MaskPicture, mask_grid, save_figure
from peer_client.store import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model.network import SliceNetwork

LESION_THRESHOLD: Final = 0.5
#: Slices shown in a volume's overview: those with the largest lesions.
OVERVIEW_SLICES: Final = 8

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What is said of one slice.

    Attributes:
        name: File name, or the slice's number in its volume.
        probability: Of COVID, in [0, 1]; not calibrated.
        lesion_share: Lesion within the lung field, in [0, 1].
        lung_found: Whether lungs were found; without them the other figures mean nothing.
        mask: File of the lesion mask, empty where none was written.
    """

    name: str
    probability: float
    lesion_share: float
    lung_found: bool
    mask: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said of the whole input.

    Attributes:
        input: What was read.
        probability: Mean over the slices with lungs.
        lesion_share: Lesion in the lung, over all slices with lungs, in [0, 1].
        lesion_ml: Volume of the lesion in millilitres; 0 where spacing is not known.
        slices: One row each.
        files: What was written.
        use: What this is not.
    """

    input: str
    probability: float
    lesion_share: float
    lesion_ml: float
    slices: tuple[SliceResult, ...]
    files: tuple[str, ...]
    use: str = RESEARCH_USE

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """Slices as the network was given them, and what it said."""

    normal: list[NormalisedSlice]
    shapes: list[tuple[int, int]]
    probabilities: NDArray[np.float32]
    lesions: NDArray[np.float32]
    lungs: list[NDArray[np.bool_]]  # on the network's grid, (size_px, size_px) each

    def mask(self, row: int) -> NDArray[np.uint8]:
        """Return the lesion mask of a slice at its own size, 0 or 1."""
        found = pasted_back(self.lesions[row], self.normal[row].box, self.shapes[row])
        return (found >= LESION_THRESHOLD).astype(np.uint8)


def predict_input(
    net: SliceNetwork, path: Path, output: Path, *, progress: Progress | None = None
) -> Prediction:
    """Predict for whatever a path names, and write masks and an overview.

    Args:
        net: The network with the hospital's weights.
        path: A picture, a folder of pictures, or a volume (DICOM folder, NIfTI, npz).
        output: Folder for masks and the overview; made where it is missing.
        progress: Called with (slices done, slices).

    Raises:
        IntakeError: The input cannot be read, or no slice shows lungs.
    """
    pictures = _pictures(path)
    if pictures:
        return _predict_pictures(net, path, pictures, output, progress)
    return _predict_volume(net, path, output, progress)


def _pictures(path: Path) -> list[Path]:
    """Return the pictures that a path names; none where it is a volume."""
    if path.is_dir():
        return sorted(filter(is_picture, path.iterdir()))
    return [path] if is_picture(path) else []


def _predict_pictures(
    net: SliceNetwork,
    path: Path,
    pictures: Sequence[Path],
    output: Path,
    progress: Progress | None,
) -> Prediction:
    read = _read(net, [read_image(each) for each in pictures], progress)
    rows = []
    for row, each in enumerate(pictures):
        mask = output / f"{each.stem}_lesion.png"
        _write_png(mask, read.mask(row) * np.uint8(255))
        rows.append(_slice_result(read, row, each.name, mask.name))
    overview = _overview(read, [each.stem for each in pictures], output / "overview.png")
    files = (*(each.mask for each in rows), overview)
    return _prediction(str(path), rows, read, files)


def _predict_volume(
    net: SliceNetwork, path: Path, output: Path, progress: Progress | None
) -> Prediction:
    volume = read_volume(path)
    positions = volume.lung_slices()
    if not positions:
        raise VolumeError(f"no slice of {path} shows lungs")
    read = _read(net, [volume.slice(position) for position in positions], progress)
    mask = np.zeros(volume.voxels.shape, np.uint8)
    for row, position in enumerate(positions):
        mask[position] = read.mask(row)
    stem = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".npz")
    target = output / f"{stem}_lesion.nii.gz"
    _write_volume_mask(target, mask, volume)
    rows = [_slice_result(read, row, str(position), "") for row, position in enumerate(positions)]
    names = [f"slice {position}" for position in positions]
    overview = _overview(read, names, output / "overview.png")
    voxel_ml = float(np.prod(volume.spacing_mm)) / 1000
    return _prediction(
        str(path), rows, read, (target.name, overview), lesion_ml=float(mask.sum()) * voxel_ml
    )


def _write_volume_mask(target: Path, mask: NDArray[np.uint8], volume: CtVolume) -> None:
    from peer_client.ct.nifti import write_nifti

    target.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(target, mask, volume)


def _read(net: SliceNetwork, images: Sequence[Image2D], progress: Progress | None) -> _Read:
    from model.prediction import predict

    normal = [to_network_input(image, size_px=net.size_px) for image in images]
    if not any(each.lung_found for each in normal):
        raise NormalisationError(f"no lungs were found: {normal[0].reason}")
    batch = np.stack([each.pixels for each in normal])
    probabilities, lesions = predict(net, batch, progress=progress)
    shapes = [(image.pixels.shape[0], image.pixels.shape[1]) for image in images]
    lungs = [
        lung_on_grid(each.field, shape, each.box, size_px=net.size_px)
        for each, shape in zip(normal, shapes, strict=True)
    ]
    return _Read(normal, shapes, probabilities, lesions, lungs)


def _slice_result(read: _Read, row: int, name: str, mask: str) -> SliceResult:
    lung = read.lungs[row]
    lesion = (read.lesions[row] >= LESION_THRESHOLD) & lung
    share = float(lesion.sum() / lung.sum()) if lung.any() else 0.0
    found = read.normal[row].lung_found
    return SliceResult(name, float(read.probabilities[row]), share, found, mask)


def _prediction(
    name: str,
    rows: Sequence[SliceResult],
    read: _Read,
    files: tuple[str, ...],
    *,
    lesion_ml: float = 0.0,
) -> Prediction:
    with_lung = [row for row, each in enumerate(rows) if each.lung_found]
    lung = sum(int(read.lungs[row].sum()) for row in with_lung)
    lesion = sum(
        int(((read.lesions[row] >= LESION_THRESHOLD) & read.lungs[row]).sum()) for row in with_lung
    )
    return Prediction(
        input=name,
        probability=float(np.mean([rows[row].probability for row in with_lung])),
        lesion_share=lesion / lung if lung else 0.0,
        lesion_ml=lesion_ml,
        slices=tuple(rows),
        files=files,
    )


def _overview(read: _Read, names: Sequence[str], path: Path) -> str:
    """Draw the slices with the largest lesions; return the picture's name."""
    sizes = [float(lesion.sum()) for lesion in read.lesions]
    largest = sorted(sorted(range(len(sizes)), key=lambda row: -sizes[row])[:OVERVIEW_SLICES])
    pictures = [
        MaskPicture(
            f"{names[row]}: {read.probabilities[row]:.2f}",
            read.normal[row].pixels[:, :, 0],
            read.lesions[row],
        )
        for row in largest
    ]
    save_figure(mask_grid(pictures), path)
    return path.name


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    write_file(path, buffer.getvalue())
