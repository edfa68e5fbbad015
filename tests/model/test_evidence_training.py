"""The evidence is trained by the clients' own code: what a simulation makes, cell by cell."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evidence.__main__ import done, parsed
from benchmarks.evidence.cells import CellError, Cells, kept_key
from benchmarks.evidence.data import Worlds
from benchmarks.evidence.plan import Job, Plan, Trial, View
from benchmarks.evidence.train import Maker, float_average, pooled_seed
from benchmarks.evidence.work import weights_path, work
from model.weights import WeightSpec
from peer_client.ct.hospitals import HospitalData, read_hospitals
from peer_client.ct.phantoms import write_phantoms
from peer_client.simulation import simulate as simulation
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.setting import Setting
from peer_client.storage.study_store import ModelState, StudyStore

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(rounds=2, local_steps=4, adapt_steps=4, size_px=32)


@pytest.fixture(scope="module")
def hospitals() -> tuple[HospitalData, ...]:
    """Four of the example's hospitals, with few patients; the last has no masks."""
    found = read_hospitals(ROOT / "examples" / "phantoms.yaml")
    small = []
    for each in found:
        assert each.phantoms is not None
        small.append(replace(each, phantoms=replace(each.phantoms, patients=20, slices=1)))
    return tuple(small)


@pytest.fixture(scope="module")
def data(hospitals: tuple[HospitalData, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(hospitals, tmp_path_factory.mktemp("phantoms"))


class Bench:
    """A run of the evidence in a folder of its own."""

    def __init__(self, folder: Path, hospitals: Sequence[HospitalData], data: Path) -> None:
        self.cells, self.cache = Cells(folder / "cells"), folder / "cache"
        self.plan = Plan(tuple(each.name for each in hospitals), RECIPE, RECIPE)
        worlds = Worlds(tuple(hospitals), data, data.parent / "shared-cache")
        key = kept_key(self.cache / "patients.key")
        self.lines: list[str] = []
        self.maker = Maker(worlds, self.cells, self.cache, key, "code", self.lines.append)

    def work(self, jobs: list[Job]) -> bool:
        return work(
            jobs, self.cells, self.cache, self.maker.make, minutes=60, told=self.lines.append
        )

    def weights(self, cell: str) -> np.ndarray:
        with np.load(weights_path(self.cache, cell)) as stored:
            vector: np.ndarray = stored["vector"]
        return vector


@pytest.fixture(scope="module")
def bench(
    hospitals: tuple[HospitalData, ...], data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    """The short recipe's first fold, made whole."""
    made = Bench(tmp_path_factory.mktemp("evidence"), hospitals, data)
    assert made.work(made.plan.headline(0, (0,)))
    return made


def test_a_simulation_of_the_same_recipe_makes_the_same_models(
    bench: Bench, hospitals: tuple[HospitalData, ...], data: Path, tmp_path: Path
) -> None:
    setting = Setting(hospitals, data, RECIPE, False, tmp_path, data.parent / "shared-cache")
    simulation.simulate(setting, lambda *_: None)

    store = StudyStore(tmp_path / "work" / hospitals[0].name)
    shared = store.read_model(RECIPE.rounds)
    assert shared is not None
    name = hospitals[0].name
    assert np.array_equal(bench.weights(f"short/f0s0/federated-{name}"), shared.weights)
    alone = (store.personal_folder / "alone.bin").read_bytes()[8:]
    local = bench.weights(f"short/f0s0/local-only-{name}").astype("<f4").tobytes()
    assert alone[: len(local)] == local
    adapted = (store.personal_folder / "adapted.bin").read_bytes()[32:]
    assert adapted == bench.weights(f"short/f0s0/fine-tuned-{name}").astype("<f4").tobytes()


def test_a_cell_says_what_it_is_and_a_curve_only_of_what_was_judged(bench: Bench) -> None:
    facts = bench.cells.facts(f"short/f0s0/federated-{bench.plan.hospitals[0]}")
    assert facts is not None
    assert [number for number, _ in facts["curve"]] == [1, 2]
    assert 0 < facts["relative_error"] < 0.2
    assert facts["taking_part"] == len(bench.plan.hospitals)
    assert facts["trial"]["recipe"] == RECIPE.to_dict()
    tuned = bench.cells.facts(f"short/f0s0/fine-tuned-{bench.plan.hospitals[0]}")
    assert tuned is not None
    assert tuned["start"] == facts["weights"]
    assert "curve" not in tuned


def test_nothing_is_made_twice_and_nothing_is_left_under_way(bench: Bench) -> None:
    before = {path: path.stat().st_mtime_ns for path in bench.cells.folder.rglob("*.json")}
    assert bench.work(bench.plan.headline(0, (0,)))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list((bench.cache / "work").glob("*"))


def test_a_federation_that_was_stopped_goes_on_with_the_round_it_was_in(
    bench: Bench, hospitals: tuple[HospitalData, ...], data: Path, tmp_path: Path
) -> None:
    (job,) = [job for job in bench.plan.headline(0, (0,)) if job.kind == "federated"]
    cut = Bench(tmp_path, hospitals, data)

    def stop(line: str) -> None:
        if "round 1 of 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(cut.maker, told=stop).make(job)
    assert cut.cells.all() == {}
    cut.maker.make(job)

    assert [line for line in cut.lines if "round" in line] == [f"    {job.name}: round 2 of 2"]
    for cell in job.cells():
        assert np.array_equal(cut.weights(cell), bench.weights(cell))


def test_floats_twin_textbook_personal_layers_pieces_and_pooled_training_all_make_cells(
    bench: Bench,
) -> None:
    plan, names = bench.plan, bench.plan.hospitals
    jobs = [
        *(job for job in plan.widths((0,)) if job.tag == "float"),
        *(job for job in plan.networks((0,)) if job.trained_at in (None, names[0])),
        *(job for job in plan.personal((0,)) if job.tag == "trunk" or job.trained_at == names[0]),
        *(job for job in plan.counts((0,)) if job.tag == "hospitals6"),
        *(job for job in plan.faults((0,)) if job.tag == "masks-withheld"),
        *plan.pooled((0,)),
    ]
    assert bench.work(jobs)
    for job in jobs:
        for cell in job.cells():
            found = bench.cells.read(cell)
            assert found is not None
            assert np.isfinite(found.readings["test"].logits).all()
            assert found.masks is not None
    first, second = names[:2]
    assert np.array_equal(
        bench.weights(f"widths/f0s0/float-{first}"), bench.weights(f"widths/f0s0/float-{second}")
    )
    # A layer that is kept at its hospital differs there, and the rest does not.
    one, other = (bench.weights(f"personal/f0s0/trunk-{name}") for name in (first, second))
    assert 0 < (one != other).mean() < 1


def test_a_hospital_that_takes_no_part_is_read_with_the_others_model(bench: Bench) -> None:
    last = bench.plan.hospitals[-1]
    (federated,) = [each for each in bench.plan.counts((0,)) if each.view == View(without=last)]
    assert bench.work([federated])
    facts = bench.cells.facts(f"counts/f0s0/hospitals3-{last}")
    assert facts is not None
    assert facts["taking_part"] == len(bench.plan.hospitals) - 1


def test_the_program_adds_to_a_run_without_the_weights_behind_it(
    bench: Bench, data: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(bench.cells.folder / "short", results / "cells" / "short")
    words = ["--data", str(data), "--hospitals", str(ROOT / "examples" / "phantoms.yaml"),
             "--cache", str(tmp_path / "cache"), "--results", str(results), "--folds", "0",
             "--key", str(bench.cache / "patients.key"), "--only", "ensemble",
             "--rounds", "2", "--local-steps", "4", "--adapt-steps", "4",
             "--size-px", "32"]  # fmt: skip
    text = done(parsed(words))
    assert "local-only x 3" in text
    with pytest.raises(CellError, match="cells of other recipes"):
        done(parsed([*words, "--rounds", "3"]))
    assert done(parsed(words[2:])) == text  # tables only: the recipes are those of the folder


SPECS = (WeightSpec("encoder/kernel", (400,), "all"), WeightSpec("decoder/kernel", (50,), "masks"))
MASKS = {"a": True, "b": True, "c": False, "d": False}
BEFORE = np.linspace(-1, 1, 450, dtype=np.float32)


def test_floats_average_the_decoder_over_hospitals_with_masks_however_few() -> None:
    rng = np.random.default_rng(0)
    after = {name: BEFORE + rng.normal(0, 0.02, 450).astype(np.float32) for name in MASKS}
    model, losses = float_average(SPECS, None, MASKS, ModelState(4, BEFORE, np.ones(2)), after)  # type: ignore[arg-type]
    everyone = np.mean([after[name] for name in MASKS], axis=0)
    masked = np.mean([after[name] for name in "ab"], axis=0)
    assert model.weights[:400] == pytest.approx(everyone[:400], abs=1e-6)
    assert model.weights[400:] == pytest.approx(masked[400:], abs=1e-6)
    assert model.round_number == 5
    assert losses == {}


def test_pooled_training_draws_differently_for_each_hospital_and_seed() -> None:
    trials = [Trial(RECIPE), Trial(replace(RECIPE, seed=1))]
    seeds = {pooled_seed(trial, hospital) for trial in trials for hospital in range(4)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)
