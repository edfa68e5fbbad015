"""The parts of the evidence: what they hold, in what order, and how processes share them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cells_by_hand import CHANCE, write_cell

from benchmarks.evidence.cells import Cells
from benchmarks.evidence.plan import PARTS, Job, Plan, jobs_of
from benchmarks.evidence.work import copied, estimate, held, is_done, missing, weights_path, work

HOSPITALS = ("ucsd", "saopaulo", "moscow1", "moscow2")
PLAN = Plan(HOSPITALS)


class Bench:
    """Makes cells by hand instead of training, and notes the order."""

    def __init__(self, folder: Path) -> None:
        self.cells, self.cache = Cells(folder / "cells"), folder / "cache"
        self.cache.mkdir(exist_ok=True)
        self.made: list[Job] = []
        self.lines: list[str] = []

    def make(self, job: Job) -> None:
        self.made.append(job)
        start = job.start()
        facts = {"views": 1, "weights": f"{job.name}"}
        if start is not None:
            facts["start"] = (self.cells.facts(start) or {})["weights"]
        for name, cell in zip(job.readers, job.cells(), strict=True):
            write_cell(self.cells, cell.removesuffix(f"-{name}"), name, CHANCE, **facts)
            path = weights_path(self.cache, cell)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"weights")

    def work(self, jobs: list[Job], minutes: float = 1, **more: Any) -> bool:
        return work(
            jobs,
            self.cells,
            self.cache,
            self.make,
            minutes=minutes,
            told=self.lines.append,
            **more,
        )


def test_no_two_jobs_make_the_same_cell_or_hold_the_same_lock() -> None:
    jobs = jobs_of(PLAN)
    cells = [cell for job in jobs for cell in job.cells()]
    assert len(cells) == len(set(cells))
    assert len({job.name for job in jobs}) == len(jobs)


def test_every_adaptation_starts_from_a_cell_of_an_earlier_job() -> None:
    known: set[str] = set()
    for job in jobs_of(PLAN):
        start = job.start()
        assert start is None or start in known
        known |= set(job.cells())


def test_the_short_recipe_ends_a_fold_before_it_begins_the_next() -> None:
    folds = [job.fold for job in jobs_of(PLAN, ["short"])]
    assert folds == sorted(folds)
    assert set(folds) == {0, 1, 2, 3, 4}


def test_folds_limit_the_parts_and_are_taken_as_they_are_for_a_named_part() -> None:
    assert {job.fold for job in jobs_of(PLAN, (), (0, 2))} == {0, 2}
    assert not [job for job in jobs_of(PLAN, (), (2,)) if job.part == "widths"]
    assert {job.fold for job in jobs_of(PLAN, ["widths"], (2, 3))} == {2, 3}


def test_steps_are_those_of_all_hospitals_that_take_part() -> None:
    steps = {part: sum(job.steps for job in jobs_of(PLAN, [part])) for part in PARTS}
    assert steps["short"] == 5 * (4 * 160 + 4 * 240 + 4 * 80)
    assert steps["pooled"] == 5 * 4 * 240
    assert steps["counts"] == (3 + 6 + 12) * 160
    assert steps["late"] == 2 * (3 * 160 + 80 + 80)


def test_rounds_are_compared_at_equal_steps_and_at_equal_bytes() -> None:
    pairs = PLAN.rounds_and_steps
    assert [pair for pair in pairs if pair[0] * pair[1] == 160] == [(5, 32), (10, 16), (20, 8)]
    assert [pair for pair in pairs if pair[0] == 10] == [(10, 16), (10, 8), (10, 32)]


def test_work_makes_everything_once_and_nothing_again(tmp_path: Path) -> None:
    jobs = jobs_of(PLAN, (), (0,))
    bench = Bench(tmp_path)
    assert bench.work(jobs)
    assert len(bench.made) == len({job.name for job in bench.made})
    again = Bench(tmp_path)
    assert again.work(jobs)
    assert not again.made


def test_the_same_thing_in_two_parts_is_made_once_and_copied(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.work(jobs_of(PLAN, (), (0,)))
    names = {job.name for job in bench.made}
    assert "ensemble-f0s1-local-only-ucsd" in names
    assert "short-f0s1-local-only-ucsd" not in names
    assert "counts-f0s0-hospitals3" in names
    assert "late-f0s0-without-moscow2" not in names
    assert weights_path(bench.cache, "late/f0s0/without-moscow2-moscow2").exists()
    copy = bench.cells.read("late/f0s0/without-moscow2-moscow2")
    assert copy is not None
    assert copy.facts["weights"] == "counts-f0s0-hospitals3"


def test_nothing_is_copied_from_an_unfinished_job(tmp_path: Path) -> None:
    (job,) = [each for each in jobs_of(PLAN, ["counts"]) if each.tag == "hospitals3"]
    cells = Cells(tmp_path)
    write_cell(cells, "late/f0s0/without-moscow2", "ucsd", CHANCE)
    assert not copied(job, cells, tmp_path)


def test_a_job_that_is_held_is_left_to_its_holder_and_others_are_made(tmp_path: Path) -> None:
    jobs = jobs_of(PLAN, ["widths"])
    bench = Bench(tmp_path)
    with held(jobs[0], bench.cache) as mine:
        assert mine

        def finished_elsewhere(seconds: float) -> None:
            bench.made.clear()
            bench.make(jobs[0])

        assert bench.work(jobs[:2], pause=finished_elsewhere)
    assert bench.made == [jobs[0]]
    assert is_done(jobs[1], bench.cells)


def test_a_lock_that_was_left_behind_holds_nothing(tmp_path: Path) -> None:
    job = jobs_of(PLAN, ["widths"])[0]
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / job.name).write_text("1\n")
    with held(job, tmp_path) as mine:
        assert mine


def test_cells_that_were_read_in_one_view_are_made_again_where_several_are_asked_for(
    tmp_path: Path,
) -> None:
    job = jobs_of(PLAN, ["recommended"])[0]
    cells = Cells(tmp_path)
    for name in job.readers:
        write_cell(cells, f"{job.folder}/{job.place}/{job.tag}", name, CHANCE)
    assert not is_done(job, cells)
    assert is_done(replace(job, views=False), cells)


def test_a_run_from_another_machine_is_added_to_without_its_weights(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.work(jobs_of(PLAN, ["short"], (0,)))
    shutil.rmtree(bench.cache / "weights")
    again = Bench(tmp_path)
    assert again.work(jobs_of(PLAN, ["short"], (0, 1)))
    assert {job.fold for job in again.made} == {1}


def test_a_start_whose_weights_are_gone_is_trained_again_and_all_that_starts_from_it(
    tmp_path: Path,
) -> None:
    jobs = jobs_of(PLAN, ["short"], (0,))
    bench = Bench(tmp_path)
    bench.work(jobs)
    shutil.rmtree(bench.cache / "weights")
    bench.cells.path("short/f0s0/fine-tuned-ucsd").unlink()
    names = [job.name for job in missing(jobs, bench.cells, bench.cache)]
    assert names == ["short-f0s0-federated", "short-f0s0-fine-tuned-ucsd"]
    (federated,) = [job for job in jobs if job.kind == "federated"]
    for name, cell in zip(federated.readers, federated.cells(), strict=True):
        write_cell(bench.cells, cell.removesuffix(f"-{name}"), name, CHANCE, weights="other")
        weights_path(bench.cache, cell).parent.mkdir(parents=True, exist_ok=True)
        weights_path(bench.cache, cell).write_bytes(b"weights")
    left = [job.kind for job in missing(jobs, bench.cells, bench.cache)]
    assert left == ["fine-tuned"] * 4


def test_a_failed_job_is_given_up(tmp_path: Path) -> None:
    job = jobs_of(PLAN, ["widths"])[0]
    bench = Bench(tmp_path)

    def fail(_: Job) -> None:
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        work([job], bench.cells, bench.cache, fail, minutes=1, told=print)
    with held(job, bench.cache) as mine:
        assert mine


def test_a_fine_tuning_without_its_start_is_not_begun(tmp_path: Path) -> None:
    jobs = [job for job in jobs_of(PLAN, ["short"], (0,)) if job.kind == "fine-tuned"]
    bench = Bench(tmp_path)
    assert not bench.work(jobs)
    assert not bench.made
    assert any("what it starts from is missing" in line for line in bench.lines)


def test_no_job_is_begun_after_its_time(tmp_path: Path) -> None:
    times = iter(range(0, 100_000, 61))
    bench = Bench(tmp_path)
    jobs = jobs_of(PLAN, ["widths"])
    assert not bench.work(jobs, minutes=2, clock=lambda: float(next(times)))
    assert 0 < len(bench.made) < len(jobs)


def test_the_time_left_is_steps_times_the_median_of_such_jobs(tmp_path: Path) -> None:
    jobs = jobs_of(PLAN, ["widths"])
    assert estimate(jobs, tmp_path) is None
    notes = [
        {"job": "a", "like": "federated capsnet", "steps": 10, "seconds": seconds}
        for seconds in (10.0, 20.0, 90.0)
    ]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(note) + "\n" for note in notes))
    assert estimate(jobs, tmp_path) == pytest.approx(2.0 * sum(job.steps for job in jobs))
