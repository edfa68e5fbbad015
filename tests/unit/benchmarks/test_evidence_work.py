"""The parts of the evidence: what they hold, in what order, and how processes share them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evidence_hand_made import CHANCE, write_cell
from evidence_parts import PARTS, Job, Plan, jobs_of
from evidence_work import copied, estimate, held, work

HOSPITALS = ("ucsd", "saopaulo", "moscow1", "moscow2")
PLAN = Plan(HOSPITALS)


class Workshop:
    """Makes cells by hand instead of training, and notes the order."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.made: list[Job] = []

    def make(self, job: Job) -> None:
        self.made.append(job)
        for name in job.readers:
            path = write_cell(
                self.cache, f"{job.folder}/{job.place}", job.tag, name, CHANCE, views=1
            )
            path.with_suffix(".npz").write_bytes(b"weights")


def test_no_two_jobs_make_the_same_cell_or_hold_the_same_lock() -> None:
    jobs = jobs_of(PLAN)
    cells = [path for job in jobs for path in job.cells(Path())]
    assert len(cells) == len(set(cells))
    assert len({job.name for job in jobs}) == len(jobs)


def test_every_adaptation_starts_from_a_cell_of_an_earlier_job() -> None:
    known: set[Path] = set()
    for job in jobs_of(PLAN):
        needed = job.needs(Path())
        assert needed is None or needed.with_suffix(".json") in known
        known |= set(job.cells(Path()))


def test_the_headline_ends_a_rotation_before_it_begins_the_next() -> None:
    rotations = [job.rotation for job in jobs_of(PLAN, ["headline"])]
    assert rotations == sorted(rotations)
    assert set(rotations) == {0, 1, 2, 3, 4}


def test_rotations_limit_the_parts_and_are_taken_as_they_are_for_a_named_part() -> None:
    assert {job.rotation for job in jobs_of(PLAN, (), (0, 2))} == {0, 2}
    assert not [job for job in jobs_of(PLAN, (), (2,)) if job.part == "widths"]
    assert {job.rotation for job in jobs_of(PLAN, ["widths"], (2, 3))} == {2, 3}


def test_steps_are_those_of_all_hospitals_that_take_part() -> None:
    steps = {part: sum(job.steps for job in jobs_of(PLAN, [part])) for part in PARTS}
    assert steps["headline"] == 5 * (4 * 160 + 4 * 240 + 4 * 80)
    assert steps["central"] == 5 * 4 * 240
    assert steps["counts"] == (3 + 6 + 12) * 160
    assert steps["late"] == 2 * (3 * 160 + 80 + 80)


def test_rounds_are_compared_at_equal_steps_and_at_equal_bytes() -> None:
    pairs = PLAN.rounds_and_steps
    assert [pair for pair in pairs if pair[0] * pair[1] == 160] == [(5, 32), (10, 16), (20, 8)]
    assert [pair for pair in pairs if pair[0] == 10] == [(10, 16), (10, 8), (10, 32)]


def test_work_makes_everything_once_and_nothing_again(tmp_path: Path) -> None:
    jobs = jobs_of(PLAN, (), (0,))
    shop = Workshop(tmp_path)
    assert work(jobs, tmp_path, shop.make, minutes=1)
    assert len(shop.made) == len({job.name for job in shop.made})
    again = Workshop(tmp_path)
    assert work(jobs, tmp_path, again.make, minutes=1)
    assert not again.made


def test_the_same_thing_in_two_parts_is_made_once_and_copied(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    work(jobs_of(PLAN, (), (0,)), tmp_path, shop.make, minutes=1)
    names = {job.name for job in shop.made}
    assert "ensemble-r0s1-alone-ucsd" in names
    assert "main-r0s1-alone-ucsd" not in names
    assert "counts-r0s0-hospitals3" in names
    assert "late-r0s0-without-moscow2" not in names
    assert (tmp_path / "late" / "r0s0" / "without-moscow2-moscow2.npz").exists()


def test_nothing_is_copied_from_an_unfinished_job(tmp_path: Path) -> None:
    (job,) = [each for each in jobs_of(PLAN, ["counts"]) if each.tag == "hospitals3"]
    write_cell(tmp_path, "late/r0s0", "without-moscow2", "ucsd", CHANCE)
    assert not copied(job, tmp_path)


def test_a_job_that_is_held_is_left_to_its_holder_and_others_are_made(tmp_path: Path) -> None:
    jobs = jobs_of(PLAN, ["widths"])
    shop = Workshop(tmp_path)
    with held(jobs[0], tmp_path) as mine:
        assert mine

        def finished_elsewhere(seconds: float) -> None:
            shop.made.clear()
            shop.make(jobs[0])

        assert work(jobs[:2], tmp_path, shop.make, minutes=1, pause=finished_elsewhere)
    assert shop.made == [jobs[0]]
    assert jobs[1].is_done(tmp_path)


def test_a_lock_that_was_left_behind_holds_nothing(tmp_path: Path) -> None:
    job = jobs_of(PLAN, ["widths"])[0]
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / job.name).write_text("1\n")
    with held(job, tmp_path) as mine:
        assert mine


def test_cells_that_were_read_in_one_view_are_read_again_where_several_are_asked_for(
    tmp_path: Path,
) -> None:
    job = jobs_of(PLAN, ["recommended"])[0]
    for name in job.readers:
        write_cell(tmp_path, f"{job.folder}/{job.place}", job.tag, name, CHANCE)
    assert not job.is_done(tmp_path)
    assert replace(job, views=False).is_done(tmp_path)


def test_a_failed_job_is_given_up(tmp_path: Path) -> None:
    job = jobs_of(PLAN, ["widths"])[0]

    def fail(_: Job) -> None:
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        work([job], tmp_path, fail, minutes=1)
    with held(job, tmp_path) as mine:
        assert mine


def test_an_adaptation_without_its_start_is_not_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [job for job in jobs_of(PLAN, ["headline"], (0,)) if job.kind == "adapted"]
    shop = Workshop(tmp_path)
    assert not work(jobs, tmp_path, shop.make, minutes=1)
    assert not shop.made
    assert "what it starts from is missing" in capsys.readouterr().out


def test_no_job_is_begun_after_its_time(tmp_path: Path) -> None:
    times = iter(range(0, 100_000, 61))
    shop = Workshop(tmp_path)
    jobs = jobs_of(PLAN, ["widths"])
    assert not work(jobs, tmp_path, shop.make, minutes=2, clock=lambda: float(next(times)))
    assert 0 < len(shop.made) < len(jobs)


def test_the_time_left_is_steps_times_the_median_of_such_jobs(tmp_path: Path) -> None:
    jobs = jobs_of(PLAN, ["widths"])
    assert estimate(jobs, tmp_path) is None
    notes = [
        {"job": "a", "like": "federated capsnet", "steps": 10, "seconds": seconds}
        for seconds in (10.0, 20.0, 90.0)
    ]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(note) + "\n" for note in notes))
    assert estimate(jobs, tmp_path) == pytest.approx(2.0 * sum(job.steps for job in jobs))
