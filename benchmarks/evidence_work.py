"""Share the work among processes: nothing is made twice, nothing waits for a process that died.

A job is held by an advisory lock on a file of its own (`flock`), which the system gives up when
the process ends, however it ends; so a lock is never stale. The file tells who held it last. What a
job took goes into one line of `jobs.jsonl`, from which the time left is told.
"""

from __future__ import annotations

import fcntl
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from evidence_parts import TEXTBOOK_SLOWER, Job

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
    cache: Path,
    make: Callable[[Job], None],
    *,
    minutes: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Make jobs in order while there is time, beside other processes that do the same.

    Args:
        jobs: In the order of their value.
        cache: Where cells lie.
        make: Makes the missing cells of one job.
        minutes: Begin no job after so long.
        clock: Seconds.
        pause: Waits so many seconds.

    Returns:
        Whether all jobs are done.
    """
    begun = clock()
    while left := [job for job in jobs if not job.is_done(cache)]:
        made = False
        for job in left:
            needed = job.needs(cache)
            if needed is not None and not needed.exists():
                continue
            if clock() - begun > 60 * minutes:
                print(f"time is up in part {job.part}; start again to go on", flush=True)
                return False
            with held(job, cache) as mine:
                # Another process may have finished it between the look and the lock.
                if mine and not job.is_done(cache):
                    if not copied(job, cache):
                        print(f"{job.name}: {time_left(left, cache)}", flush=True)
                        timed(job, cache, make)
                    made = True
            if made:
                break  # look again from the front: the most valuable first
        if not made:
            if not any(is_held(job, cache) for job in left):
                names = ", ".join(job.name for job in left[:3])
                print(f"cannot be begun, what it starts from is missing: {names}", flush=True)
                return False
            if clock() - begun > 60 * minutes:
                return False
            pause(PAUSE_S)
    return True


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
    return f"{job.kind} {job.recipe.network}"


def copied(job: Job, cache: Path) -> bool:
    """Take a job's cells from where the same thing was made for another part."""
    for folder, tag in job.same_as:
        other = cache / folder / job.place
        names = [(tag, reader) for reader in job.readers]
        if not all((other / f"{tag}-{reader}.json").exists() for tag, reader in names):
            continue
        for path, reader in zip(job.cells(cache), job.readers, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            for suffix in (".npz", ".json"):  # the JSON last: it says that the cell is there
                target, source = path.with_suffix(suffix), other / f"{tag}-{reader}{suffix}"
                if source.exists() and not target.exists():
                    os.link(source, target)
        return True
    return False


def time_left(left: Sequence[Job], cache: Path) -> str:
    """Tell how much is left: jobs, steps, and hours of one process by the median so far."""
    seconds = estimate(left, cache)
    steps = sum(job.steps for job in left)
    told = "no estimate yet" if seconds is None else f"about {seconds / 3600:.1f} h of one process"
    return f"{len(left)} jobs, {steps} steps left, {told}"


def estimate(left: Sequence[Job], cache: Path) -> float | None:
    """Return seconds that the jobs will take: medians of such jobs per step, or of any job."""
    notes = cache / "jobs.jsonl"
    if not notes.exists():
        return None
    rates: dict[str, list[float]] = {}
    floors: list[float] = []
    for line in notes.read_text().splitlines():
        note = json.loads(line)
        if note["steps"]:
            rates.setdefault(note["like"], []).append(note["seconds"] / note["steps"])
        else:
            floors.append(note["seconds"])
    if not rates:
        return None
    usual = statistics.median(rate for mine in rates.values() for rate in mine)
    total = 0.0
    for job in left:
        if not job.steps:
            total += statistics.median(floors) if floors else 0.0
        elif like(job) in rates:
            total += job.steps * statistics.median(rates[like(job)])
        else:
            total += job.steps * usual * (TEXTBOOK_SLOWER if "textbook" in like(job) else 1)
    return total
