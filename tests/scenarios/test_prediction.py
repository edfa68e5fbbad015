"""A slice, a folder and a volume are read and decided on; masks fit what was given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from model.config import CapsNetConfig
from peer_client.cli.main import main
from peer_client.ct.errors import ImageError, NormalisationError
from peer_client.ct.phantoms import phantom_volume
from peer_client.ct.volume import CtVolume
from peer_client.ct.volume_files import read_volume
from peer_client.errors import NoModelError
from peer_client.evaluation.errors import ServedModelError
from peer_client.evaluation.readings import Reading
from peer_client.inference.predict import predict_input
from peer_client.inference.prediction import Prediction
from peer_client.serving.choice import choose
from peer_client.serving.exported import ModelFacts, export_model, exported_facts, read_exported
from peer_client.serving.manifest import TrainingManifest
from peer_client.serving.patient import NOT_CALIBRATED, POINTS
from peer_client.serving.predictor import Predictor, open_predictor
from peer_client.serving.served import LabelScheme, ServedModel, save_served
from peer_client.studies.wording import RESEARCH_USE
from tests.support.dicom_series import write_dicom

pytestmark = pytest.mark.tensorflow
SIZE = 32
CONFIG = CapsNetConfig(
    size_px=SIZE,
    stem_channels=8,
    stage_channels=16,
    capsule_types=4,
    primary_size=4,
    deep_size=4,
    decoder_size=4,
)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from model.capsnet import build
    from model.threads import set_threads

    set_threads(1)  # once in a process, whichever scenario comes first
    facts = ModelFacts("tiny", 2, "ab" * 32, "AMSP", "COVID-19", "other disease")
    file, _ = export_model(build(CONFIG), facts, tmp_path_factory.mktemp("model") / "m.keras")
    return file


def validation(seed: int) -> Reading:
    """Return what a model said of 40 patients, one slice each."""
    labels = np.repeat([0, 1], 20)
    logits = np.random.default_rng(seed).normal(labels * 2.0, 1.0)
    names = tuple(f"p{number}" for number in range(40))
    return Reading(names, labels, logits, np.zeros(40), (), np.zeros((0, 3), np.int64))


@pytest.fixture(scope="module")
def served_file(model_file: Path) -> Path:
    """Return a served model of three members, as `simulate` writes it."""
    from model.weights import initial_vector

    net = read_exported(model_file)
    names = ("alone", "federated", "adapted")
    nothing = np.zeros((0, 32), np.uint8)
    served = ServedModel(
        net=net,
        hospital="north",
        labels=LabelScheme("COVID-19", "other disease"),
        choice=choose({name: validation(seed) for seed, name in enumerate(names)}),
        vectors={name: initial_vector(net.manifest, seed) for seed, name in enumerate(names)},
        manifest=TrainingManifest(nothing, nothing, nothing),
        training={},
    )
    return save_served(served, model_file.with_name("north.keras"))[0]


@pytest.fixture
def exported(model_file: Path) -> Predictor:
    return open_predictor(model_file)


@pytest.fixture
def served(served_file: Path) -> Predictor:
    return open_predictor(served_file)


def test_an_exported_model_says_what_it_is(model_file: Path) -> None:
    beside = json.loads(model_file.with_suffix(".json").read_text())

    assert beside["round"] == 2
    assert beside["label_negative"] == "other disease"
    assert beside["use"] == RESEARCH_USE
    assert read_exported(model_file).size_px == SIZE
    facts = exported_facts(model_file)
    assert facts is not None
    assert (facts.round_number, facts.label_negative) == (2, "other disease")
    with pytest.raises(NoModelError):
        read_exported(model_file.with_name("absent.keras"))


def picture(path: Path, position: int) -> np.ndarray:
    from PIL import Image

    volume, _ = phantom_volume(3, size_px=96)
    grey = np.clip((volume.voxels[position].astype(float) + 1350) / 1500 * 255, 0, 255)
    Image.fromarray(grey.astype(np.uint8)).save(path)
    return grey


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a phantom with ten slices, the upper three of which are black: no lungs."""
    from peer_client.ct.nifti import write_nifti

    volume, _ = phantom_volume(3, size_px=96, slices=10)
    voxels = volume.voxels.copy()
    voxels[:3] = -1000
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    changed = CtVolume(voxels, volume.spacing_mm, True, volume.affine, "npz", volume.axes)
    write_nifti(path, voxels.astype(np.float32), changed)
    return path


@pytest.fixture(scope="module")
def of_the_scan(
    served_file: Path, scan: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Prediction, Path]:
    output = tmp_path_factory.mktemp("out")
    return predict_input(open_predictor(served_file), scan, output), output


def test_a_served_model_gives_a_calibrated_probability_and_calls_at_its_points(
    of_the_scan: tuple[Prediction, Path],
) -> None:
    answer = of_the_scan[0].answer

    assert answer.calibrated
    assert "40 validation patients of north" in answer.note
    assert (answer.finding, answer.against) == ("COVID-19", "other disease")
    assert set(answer.calls) == set(POINTS)
    assert answer.calls["sensitivity_90"].sensitivity >= 0.9
    assert answer.served == "mixture"
    assert answer.members == ("alone", "federated", "adapted")


def test_a_patients_score_is_the_mean_of_its_lung_slices_and_of_no_other(
    of_the_scan: tuple[Prediction, Path], served: Predictor
) -> None:
    found = of_the_scan[0]
    scores = [each.score for each in found.slices]

    mean = served.decision.calibration.probability([np.mean(scores)])[0]
    assert found.answer.probability == pytest.approx(mean)
    assert found.slices_given == 10
    assert found.slices_read == len(found.slices) <= 7
    source = read_volume(Path(found.input))
    assert {int(each.name) for each in found.slices} == set(source.lung_slices())


def test_every_member_reads_as_it_read_the_patients_it_was_fitted_to(
    of_the_scan: tuple[Prediction, Path], served: Predictor, scan: Path
) -> None:
    from model.weights import set_vector
    from peer_client.ct.normalise import to_network_input

    volume = read_volume(scan)
    found = of_the_scan[0].slices[0]
    pixels = to_network_input(volume.slice(int(found.name)), size_px=SIZE).pixels[np.newaxis]
    model = served.served
    assert model is not None
    by_hand = 0.0
    for member in model.choice.members:
        set_vector(served.net, model.vectors[member.name])
        logits, _ = Predictor(member.name, served.net, None).read_images(pixels, np.array([True]))
        by_hand += member.weight * (float(logits[0]) - member.centre) / member.spread
    assert found.score == pytest.approx(by_hand, abs=1e-4)


def test_lesion_percent_and_millilitres_are_those_of_the_mask(
    of_the_scan: tuple[Prediction, Path],
) -> None:
    import nibabel

    found, output = of_the_scan
    made = nibabel.load(output / "scan_lesion.nii.gz")
    voxels = int(np.asarray(made.dataobj).sum())
    voxel_ml = abs(np.linalg.det(made.affine[:3, :3])) / 1000

    assert found.lesion_ml == pytest.approx(voxels * voxel_ml, rel=1e-4)
    assert found.lung_ml is not None
    assert found.lesion_ml is not None
    assert 1000 < found.lung_ml < 10_000
    assert found.lesion_percent == pytest.approx(100 * found.lesion_ml / found.lung_ml)


def test_every_output_says_that_it_is_no_diagnosis(of_the_scan: tuple[Prediction, Path]) -> None:
    import nibabel

    found, output = of_the_scan
    assert found.files == ("scan_lesion.nii.gz", "overview.png", "prediction.json")
    header = nibabel.load(output / "scan_lesion.nii.gz").header
    assert header["descrip"].item().decode() == RESEARCH_USE
    document = json.loads((output / "prediction.json").read_text())
    assert document["use"] == RESEARCH_USE == found.to_json()["use"]
    assert document["calls"]["sensitivity_90"]["positive"] in (True, False)


def test_the_overview_shows_the_answer_and_that_it_is_no_diagnosis(
    of_the_scan: tuple[Prediction, Path], monkeypatch: pytest.MonkeyPatch, served: Predictor,
    scan: Path, tmp_path: Path,
) -> None:  # fmt: skip
    drawn = []
    from peer_client.inference import predict

    monkeypatch.setattr(predict, "save_figure", lambda figure, path: drawn.append(figure))
    found = predict_input(served, scan, tmp_path)

    words = " ".join(
        text.get_text() for text in drawn[0].findobj(lambda each: hasattr(each, "get_text"))
    )
    assert RESEARCH_USE in words
    assert f"COVID-19 {found.answer.probability:.2f} (calibrated)" in words
    assert f"{found.lung_ml:.0f} ml" in words


def test_a_plain_network_says_in_a_sentence_that_it_is_not_calibrated(
    exported: Predictor, scan: Path, tmp_path: Path
) -> None:
    found = predict_input(exported, scan, tmp_path)

    assert not found.answer.calibrated
    assert found.answer.note == NOT_CALIBRATED
    assert found.answer.calls == {}
    assert (found.answer.finding, found.answer.against) == ("COVID-19", "other disease")
    assert "nothing fitted" in found.model


def test_a_slice_without_lungs_in_a_folder_is_named_and_not_read(
    served: Predictor, tmp_path: Path
) -> None:
    from PIL import Image

    folder = tmp_path / "slices"
    folder.mkdir()
    picture(folder / "a.png", 11)
    slope = np.tile(np.linspace(100, 150, 64), (64, 1)).astype(np.uint8)
    Image.fromarray(slope).save(folder / "b.png")

    found = predict_input(served, folder, tmp_path / "out")

    assert (found.slices_given, found.slices_read) == (2, 1)
    assert [each.lung_found for each in found.slices] == [True, False]
    without = found.slices[1]
    assert without.reason
    assert without.probability is without.score is without.lesion_percent is None
    assert found.files == ("a_lesion.png", "overview.png", "prediction.json")
    assert found.lesion_ml is found.lung_ml is None


def test_a_served_model_without_its_weights_is_refused(served_file: Path, tmp_path: Path) -> None:
    for ending in (".keras", ".json"):
        source = served_file.with_suffix(ending)
        (tmp_path / f"north{ending}").write_bytes(source.read_bytes())

    with pytest.raises(ServedModelError, match=r"cannot read .*north\.npz"):
        open_predictor(tmp_path / "north.keras")


def test_a_folder_of_slices_gives_a_mask_of_each_slices_size(
    exported: Predictor, tmp_path: Path
) -> None:
    from PIL import Image

    folder = tmp_path / "slices"
    folder.mkdir()
    for position in (10, 12):
        picture(folder / f"{position}.png", position)

    found = predict_input(exported, folder, tmp_path / "out")

    assert [each.name for each in found.slices] == ["10.png", "12.png"]
    assert all(0 <= each.probability <= 1 for each in found.slices if each.probability is not None)
    assert all(each.lung_found for each in found.slices)
    assert found.use == RESEARCH_USE
    for each in found.slices:
        with Image.open(tmp_path / "out" / each.mask) as mask:
            assert mask.size == (96, 96)
            assert mask.info["Description"] == RESEARCH_USE
    assert (tmp_path / "out" / "overview.png").stat().st_size > 1000


def test_one_slice_alone_is_read(exported: Predictor, tmp_path: Path) -> None:
    picture(tmp_path / "one.png", 11)

    found = predict_input(exported, tmp_path / "one.png", tmp_path / "out")

    assert len(found.slices) == 1
    assert found.files == ("one_lesion.png", "overview.png", "prediction.json")


def test_a_volumes_mask_lies_on_its_own_grid_and_the_work_is_told(
    served: Predictor, scan: Path, tmp_path: Path
) -> None:
    import nibabel

    told: list[tuple[str, int, int]] = []

    found = predict_input(served, scan, tmp_path, told=lambda *each: told.append(each))

    given, made = (nibabel.load(path) for path in (scan, tmp_path / found.files[0]))
    assert made.shape == given.shape
    assert np.allclose(made.affine, given.affine)
    assert set(np.unique(np.asarray(made.dataobj))) <= {0, 1}
    for stage in ("slices normalised", "slices read", "masks put back"):
        counts = [done for what, done, _ in told if what == stage]
        assert counts == sorted(counts)
        assert counts[-1] == found.slices_read


def test_a_picture_without_lungs_is_refused(exported: Predictor, tmp_path: Path) -> None:
    from PIL import Image

    slope = np.tile(np.linspace(100, 150, 64), (64, 1)).astype(np.uint8)
    Image.fromarray(slope).save(tmp_path / "slope.png")

    with pytest.raises(NormalisationError, match="no lungs were found"):
        predict_input(exported, tmp_path / "slope.png", tmp_path / "out")


def predict_command(*arguments: str | Path) -> Result:
    """Run `hospital-client predict` as a user does; one thread, as every scenario."""
    words = ["predict", "--threads", "1", *map(str, arguments)]
    return CliRunner().invoke(main, words)


def test_the_command_prints_and_writes_the_same_answer_without_any_ledger(
    served_file: Path, scan: Path, tmp_path: Path
) -> None:
    done = predict_command(scan, "--model", served_file, "--output", tmp_path, "--json")

    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    written = json.loads((tmp_path / "prediction.json").read_text())
    assert printed["probability"] == written["probability"]
    assert printed["use"] == RESEARCH_USE
    assert {"scan_lesion.nii.gz", "overview.png"} <= {each.name for each in tmp_path.iterdir()}


def test_the_command_tells_people_probability_calibration_lesion_and_use(
    served_file: Path, scan: Path, tmp_path: Path
) -> None:
    done = predict_command(scan, "--model", served_file, "--output", tmp_path)

    assert done.exit_code == 0, done.output
    for words in ("COVID-19", "40 validation patients of north", "ml", RESEARCH_USE):
        assert words in done.stdout


def test_the_command_with_a_file_that_is_no_model_says_so_with_its_code(
    scan: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.keras"
    wrong.write_bytes(b"not a model")
    done = predict_command(scan, "--model", wrong, "--output", tmp_path / "out")

    assert done.exit_code == 73
    assert "wrong.keras" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_picture_beside_a_series_is_not_taken_for_the_patient(
    exported: Predictor, tmp_path: Path
) -> None:
    folder = write_dicom(tmp_path / "study", phantom_volume(3, slices=8, size_px=96)[0])
    picture(folder / "preview.jpg", 12)

    found = predict_input(exported, folder, tmp_path / "out")

    assert found.slices_given == 8
    assert found.passed_over == ("preview.jpg: a picture beside DICOM files",)


def test_predict_never_reads_what_it_wrote(exported: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    picture(folder / "s1.png", 12)

    first, second = (predict_input(exported, folder, folder) for _ in range(2))

    assert (first.slices_given, second.slices_given) == (1, 1)
    assert first.answer == second.answer
    assert "overview.png: written by predict" in second.passed_over
    with pytest.raises(ImageError, match="was written by predict"):
        predict_input(exported, folder / "s1_lesion.png", tmp_path / "out")


def test_a_tilted_gantry_does_not_make_lesions_larger(exported: Predictor, tmp_path: Path) -> None:
    volume = phantom_volume(3, slices=8, size_px=96)[0]
    tilt = np.radians(30)

    def tilted(dataset, number) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, f"{np.cos(tilt):.8f}", f"{np.sin(tilt):.8f}"]

    straight = predict_input(exported, write_dicom(tmp_path / "a", volume), tmp_path / "1")
    leaning = predict_input(
        exported, write_dicom(tmp_path / "b", volume, change=tilted), tmp_path / "2"
    )

    assert straight.lung_ml is not None
    assert leaning.lung_ml == pytest.approx(straight.lung_ml * np.cos(tilt), rel=1e-4)
