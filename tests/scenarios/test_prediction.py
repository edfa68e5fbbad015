"""A slice, a folder and a volume are read by an exported model; masks fit what was given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.config import CapsNetConfig
from peer_client.ct.errors import NormalisationError
from peer_client.ct.phantoms import phantom_volume
from peer_client.errors import NoModelError
from peer_client.models import ModelFacts, export_model, read_exported
from peer_client.report import RESEARCH_USE

pytestmark = pytest.mark.tensorflow
SIZE = 32


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from model.capsnet import build
    from model.threads import set_threads

    set_threads(1)  # once in a process, whichever scenario comes first
    config = CapsNetConfig(
        size_px=SIZE,
        stem_channels=8,
        stage_channels=16,
        capsule_types=4,
        primary_size=4,
        middle_size=4,
        deep_size=4,
    )
    facts = ModelFacts("tiny", 2, "ab" * 32, "AMSP", "COVID-19", "other disease")
    file, _ = export_model(build(config), facts, tmp_path_factory.mktemp("model") / "m.keras")
    return file


def test_an_exported_model_says_what_it_is(model_file: Path) -> None:
    beside = json.loads(model_file.with_suffix(".json").read_text())

    assert beside["round"] == 2
    assert beside["label_negative"] == "other disease"
    assert beside["use"] == RESEARCH_USE
    assert read_exported(model_file).size_px == SIZE
    with pytest.raises(NoModelError):
        read_exported(model_file.with_name("absent.keras"))


def picture(path: Path, position: int) -> np.ndarray:
    from PIL import Image

    volume, _ = phantom_volume(3, size_px=96)
    grey = np.clip((volume.voxels[position].astype(float) + 1350) / 1500 * 255, 0, 255)
    Image.fromarray(grey.astype(np.uint8)).save(path)
    return grey


def test_a_folder_of_slices_gives_a_mask_of_each_slices_size(
    model_file: Path, tmp_path: Path
) -> None:
    from PIL import Image

    from peer_client.predict import predict_input

    folder = tmp_path / "slices"
    folder.mkdir()
    for position in (10, 12):
        picture(folder / f"{position}.png", position)

    found = predict_input(read_exported(model_file), folder, tmp_path / "out")

    assert [each.name for each in found.slices] == ["10.png", "12.png"]
    assert all(each.lung_found and 0 <= each.probability <= 1 for each in found.slices)
    assert found.use == RESEARCH_USE
    for each in found.slices:
        with Image.open(tmp_path / "out" / each.mask) as mask:
            assert mask.size == (96, 96)
    assert (tmp_path / "out" / "overview.png").stat().st_size > 1000


def test_one_slice_alone_is_read(model_file: Path, tmp_path: Path) -> None:
    from peer_client.predict import predict_input

    picture(tmp_path / "one.png", 11)

    found = predict_input(read_exported(model_file), tmp_path / "one.png", tmp_path / "out")

    assert len(found.slices) == 1
    assert found.files == ("one_lesion.png", "overview.png")


def test_a_volume_gives_a_mask_on_its_own_grid(model_file: Path, tmp_path: Path) -> None:
    import nibabel

    from peer_client.ct.nifti import write_nifti
    from peer_client.predict import predict_input

    volume, _ = phantom_volume(3, size_px=96)
    source = tmp_path / "scan.nii.gz"
    write_nifti(source, volume.voxels.astype(np.float32), volume)
    told: list[tuple[int, int]] = []

    found = predict_input(
        read_exported(model_file),
        source,
        tmp_path / "out",
        progress=lambda done, total: told.append((done, total)),
    )

    given, made = (nibabel.load(path) for path in (source, tmp_path / "out" / found.files[0]))
    assert made.shape == given.shape
    assert np.allclose(made.affine, given.affine)
    assert set(np.unique(np.asarray(made.dataobj))) <= {0, 1}
    assert 0 <= found.lesion_share <= 1
    assert told[-1][0] == told[-1][1] == len(found.slices)


def test_a_picture_without_lungs_is_refused(model_file: Path, tmp_path: Path) -> None:
    from PIL import Image

    from peer_client.predict import predict_input

    slope = np.tile(np.linspace(100, 150, 64), (64, 1)).astype(np.uint8)
    Image.fromarray(slope).save(tmp_path / "slope.png")

    with pytest.raises(NormalisationError, match="no lungs were found"):
        predict_input(read_exported(model_file), tmp_path / "slope.png", tmp_path / "out")
