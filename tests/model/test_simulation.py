"""Phantom hospitals in one process: models are served, a stopped run goes on, leaks are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peer_client.ct.errors import SplitLeakError
from peer_client.ct.hospitals import HospitalData, read_hospitals
from peer_client.ct.phantoms import write_phantoms
from peer_client.evaluation.errors import ServedModelError
from peer_client.inference.evaluate import evaluate
from peer_client.serving.predictor import open_predictor
from peer_client.simulation.errors import ResumeError
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.result import HospitalResult
from peer_client.simulation.setting import Setting
from peer_client.simulation.simulate import simulate

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(rounds=1, local_steps=4, adapt_steps=1, size_px=32)


def small_hospitals() -> tuple[HospitalData, ...]:
    """Three of the example's hospitals, with few patients; the last has no masks."""
    found = read_hospitals(ROOT / "examples" / "phantoms.yaml")
    chosen = (*found[:2], next(each for each in found if not each.has_masks))
    small = []
    for each in chosen:
        assert each.phantoms is not None
        small.append(replace(each, phantoms=replace(each.phantoms, patients=10, slices=1)))
    return tuple(small)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("simulation")
    hospitals = small_hospitals()
    data = write_phantoms(hospitals, folder / "data")
    return Setting(hospitals, data, RECIPE, False, folder / "output", folder / "cache")


@pytest.fixture(scope="module")
def results(setting: Setting) -> tuple[HospitalResult, ...]:
    return simulate(setting, lambda *_: None)


def test_every_hospital_serves_a_model_that_evaluate_reads(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    for each in results:
        path = setting.output / each.model
        for ending in (".keras", ".json", ".npz"):
            assert path.with_suffix(ending).exists()
        facts = json.loads(path.with_suffix(".json").read_text())
        assert facts["use"].startswith("Research use")
        assert facts["training"]["encryption"] == "off"
        served = facts["choice"]["auc_validation"]
        assert served[facts["choice"]["name"]] >= served["alone"]


def test_a_served_model_decides_as_it_did_when_it_was_saved(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    predictor = open_predictor(setting.output / results[0].model)
    found = evaluate(predictor, setting.folder, "phantom_sharp", leave_out_seen=True)
    assert found.left_out
    figures = found.parts[0]
    assert figures.n_patients == results[0].test.n_patients
    assert figures.auc_patient == pytest.approx(results[0].test.auc_patient)
    assert figures.brier == pytest.approx(results[0].test.brier, abs=1e-6)


def test_a_folder_with_training_patients_is_refused_by_name(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    predictor = open_predictor(setting.output / results[0].model)
    with pytest.raises(SplitLeakError, match="patients were in the model's training"):
        evaluate(predictor, setting.folder, "phantom_sharp")


def test_a_finished_simulation_gives_the_same_result_again(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    trained: list[str] = []
    again = simulate(setting, lambda _, what, *__: trained.append(what))
    assert [each.to_json() for each in again] == [each.to_json() for each in results]
    assert not any(what.startswith(("round", "alone", "adapt ")) and "read" not in what
                   for what in trained if what != "adapted")  # fmt: skip


def test_going_on_with_another_recipe_is_refused(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    other = replace(setting, recipe=replace(RECIPE, seed=1))
    with pytest.raises(ResumeError, match="recipe"):
        simulate(other, lambda *_: None)


def test_files_of_two_models_are_not_mixed(
    setting: Setting, results: tuple[HospitalResult, ...], tmp_path: Path
) -> None:
    one, other = (setting.output / each.model for each in results[:2])
    for ending, source in ((".keras", one), (".json", one), (".npz", other)):
        (tmp_path / f"model{ending}").write_bytes(source.with_suffix(ending).read_bytes())
    with pytest.raises(ServedModelError, match="is not the one"):
        open_predictor(tmp_path / "model.keras")


def test_the_report_says_that_nothing_was_encrypted(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    assert "Encryption was off" in (setting.output / "report.md").read_text()
    assert (setting.output / "learning_curves.png").exists()
    document = json.loads((setting.output / "result.json").read_text())
    assert document["encryption"] == "off"
    assert len(document["hospitals"]) == 3
    assert np.isfinite(document["hospitals"][0]["test"]["brier"])


def test_models_do_not_depend_on_how_many_hospitals_train_at_the_same_time(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    side_by_side = replace(setting, threads=3, output=setting.output.with_name("side-by-side"))
    found = simulate(side_by_side, lambda *_: None)
    assert [each.to_json() for each in found] == [each.to_json() for each in results]
    for each in results:
        one, other = (
            np.load(path.output / "models" / f"{each.hospital}.npz")
            for path in (setting, side_by_side)
        )
        assert sorted(one) == sorted(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_encryption_changes_nothing_but_the_rounding(
    setting: Setting, results: tuple[HospitalResult, ...]
) -> None:
    sealed = replace(setting, encryption=True, output=setting.output.with_name("sealed"))
    found = simulate(sealed, lambda *_: None)
    assert len(found) == len(results)
    name = setting.hospitals[0].name
    plain, other = (
        np.load(each.output / "work" / name / "models" / "000001.npz")["weights"]
        for each in (setting, sealed)
    )
    scale = 1.5e-3 * RECIPE.local_steps
    assert np.abs(plain - other).max() < 3 * scale / 127
    assert (plain != other).any()
    assert json.loads((sealed.output / "result.json").read_text())["encryption"] == "on"
    assert "Encryption was on" in (sealed.output / "report.md").read_text()


def test_evaluate_from_the_command_line_prints_one_document(
    setting: Setting,
    results: tuple[HospitalResult, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from click.testing import CliRunner

    from peer_client.cli.main import main

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("model.threads.set_threads", lambda threads: None)
    model = str(setting.output / results[1].model)
    words = ["evaluate", "--model", model, "--data", str(setting.folder), "--threads", "1"]
    refused = CliRunner().invoke(main, [*words, "--json"])
    assert refused.exit_code == SplitLeakError.exit_code
    assert "error" in refused.stderr
    done = CliRunner().invoke(main, [*words, "--leave-out-seen", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert {part["part"] for part in document["parts"]} <= {
        each.classes[0].part for each in setting.hospitals
    }
    assert document["parts"][0]["n_patients"] > 0
