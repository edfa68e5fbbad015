"""Share the work among processes: nothing is made twice, nothing waits for a process that died.

A job is held by an advisory lock on a file of its own (`flock`), which the system gives up when
the process ends, however it ends; so a lock is never stale. The file tells who held it last. What a
job took goes into one line of `jobs.jsonl`, from which the time left is told.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.evidence.cells import Cells
from benchmarks.evidence.plan import TEXTBOOK_SLOWER, Job, cell_name

#: Seconds between two looks when only another process's jobs are left.
PAUSE_S = 5.0


@contextmanager
def held(job: Job, cache: Path) -> Iterator[bool]:
    """Hold a job for this process; yields whether it could be had."""
    folder = cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / job.name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield True
    finally:
        os.close(descriptor)  # gives up the lock


def work(
    jobs: Sequence[Job],
    cells: Cells,
    cache: Path,
    make: Callable[[Job], None],
    *,
    minutes: float,
    told: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Make jobs in order while there is time, beside other processes that do the same.

    Args:
        jobs: In the order of their value.
        cells: Where cells are kept.
        cache: Where weights, locks and notes are.
        make: Makes the cells of one job.
        minutes: Begin no job after so long.
        told: Told what is done, in lines.
        clock: Seconds.
        pause: Waits so many seconds.

    Returns:
        Whether all jobs are done.
    """
    begun = clock()
    while left := missing(jobs, cells, cache):
        made = False
        for job in left:
            start = job.start()
            if start is not None and not weights_path(cache, start).exists():
                continue
            if clock() - begun > 60 * minutes:
                told(f"time is up in part {job.part}; start again to go on")
                return False
            with held(job, cache) as mine:
                # Another process may have finished it between the look and the lock.
                if mine and job in missing(jobs, cells, cache):
                    if not copied(job, cells, cache):
                        told(f"{job.name}: {time_left(left, cache)}")
                        timed(job, cache, make)
                    made = True
            if made:
                break  # look again from the front: the most valuable first
        if not made:
            if not any(is_held(job, cache) for job in left):
                names = ", ".join(job.name for job in left[:3])
                told(f"cannot be begun, what it starts from is missing: {names}")
                return False
            if clock() - begun > 60 * minutes:
                return False
            pause(PAUSE_S)
    return True


def weights_path(cache: Path, cell: str) -> Path:
    """Return where the weights behind a cell lie."""
    return cache / "weights" / f"{cell}.npz"


def is_done(job: Job, cells: Cells) -> bool:
    """Return whether all cells of a job are there, read as it reads.

    A fine-tuned one must have started from the weights that its start's cell was read of: where
    these were trained again, it is made again too.
    """
    start = job.start()
    wanted = None if start is None else (cells.facts(start) or {}).get("weights")
    for name in job.cells():
        facts = cells.facts(name)
        if facts is None or (job.views and not facts.get("views")):
            return False
        if wanted is not None and facts.get("start") != wanted:
            return False
    return True


def missing(jobs: Sequence[Job], cells: Cells, cache: Path) -> list[Job]:
    """Return the jobs that are to be made, in their order.

    Cells may have come from another machine, without weights: what a missing fine-tuning starts
    from is then trained again.
    """
    undone = [job for job in jobs if not is_done(job, cells)]
    needed = {start for job in undone if (start := job.start()) is not None}
    again = {start for start in needed if not weights_path(cache, start).exists()}
    return [job for job in jobs if job in undone or again.intersection(job.cells())]


def is_held(job: Job, cache: Path) -> bool:
    """Return whether another process holds the job."""
    with held(job, cache) as mine:
        return not mine


def timed(job: Job, cache: Path, make: Callable[[Job], None]) -> None:
    """Make a job and note what it took."""
    begun, cpu = time.monotonic(), time.process_time()
    make(job)
    line = {
        "job": job.name,
        "like": like(job),
        "steps": job.steps,
        "seconds": round(time.monotonic() - begun, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "pid": os.getpid(),
    }
    with (cache / "jobs.jsonl").open("a") as notes:
        notes.write(json.dumps(line) + "\n")


def like(job: Job) -> str:
    """Name the jobs that take about as long for each step."""
    return f"{job.kind} {job.trial.network}"


def copied(job: Job, cells: Cells, cache: Path) -> bool:
    """Take a job's cells, with their weights, from where they were made for another part."""
    for folder, tag in job.same_as:
        sources = [cell_name(folder, job.place, tag, reader) for reader in job.readers]
        if any(cells.facts(each) is None or not weights_path(cache, each).exists()
               for each in sources):  # fmt: skip
            continue
        for target, source in zip(job.cells(), sources, strict=True):
            # The cell last: it says that all is there.
            for path, other in (
                (weights_path(cache, target), weights_path(cache, source)),
                (cells.path(target), cells.path(source)),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                shutil.copyfile(other, temporary)
                temporary.replace(path)
        return True
    return False


def time_left(left: Sequence[Job], cache: Path) -> str:
    """Tell how much is left: jobs, steps, and hours of one process by the median so far."""
    seconds = estimate(left, cache)
    steps = sum(job.steps for job in left)
    hours = "no estimate yet" if seconds is None else f"about {seconds / 3600:.1f} h of one process"
    return f"{len(left)} jobs, {steps} steps left, {hours}"


def estimate(left: Sequence[Job], cache: Path) -> float | None:
    """Return seconds that the jobs will take: medians of such jobs per step, or of any job."""
    notes = cache / "jobs.jsonl"
    if not notes.exists():
        return None
    rates: dict[str, list[float]] = {}
    baselines: list[float] = []
    for line in notes.read_text().splitlines():
        note = json.loads(line)
        if note["steps"]:
            rates.setdefault(note["like"], []).append(note["seconds"] / note["steps"])
        else:
            baselines.append(note["seconds"])
    if not rates:
        return None
    usual = statistics.median(rate for mine in rates.values() for rate in mine)
    total = 0.0
    for job in left:
        if not job.steps:
            total += statistics.median(baselines) if baselines else 0.0
        elif like(job) in rates:
            total += job.steps * statistics.median(rates[like(job)])
        else:
            total += job.steps * usual * (TEXTBOOK_SLOWER if "textbook" in like(job) else 1)
    return total
