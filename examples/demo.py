"""The whole system in one run: a consortium comes up, agrees, trains, opens only sums, is audited.

Uses the same commands a person would, and shows each before it runs. Everything it starts is a
child of this program or a node under its own root, and is stopped when it ends, also after Ctrl-C.
Without `--data` the hospitals' pictures are chest phantoms that the project draws itself.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from network.runtime.folders import data_folder

if TYPE_CHECKING:
    from peer_client.reports.report import MaskPicture, RoundRow

EXAMPLES = Path(__file__).resolve().parent
PROJECT = EXAMPLES.parent
PROGRAMS = Path(sys.executable).parent
AUTHORITY = "authority"
LINE_EVERY_S = 10.0


@dataclass(slots=True)
class Demo:
    """What one run works with, and what it has started.

    Attributes:
        root: The consortium's root directory; kept.
        output: Folder for logs, table and pictures of this run.
        data: Folder with index.csv and the pictures.
        hospitals_file: YAML file that says which parts are whose.
        hospitals: Names of the hospitals, the first one proposes.
        rounds: Rounds to train.
        personal: When hospitals choose what they serve: "each", "last" or "off".
        study: Name of this run's study.
    """

    root: Path
    output: Path
    data: Path
    hospitals_file: Path
    hospitals: tuple[str, ...]
    rounds: int
    personal: str
    study: str = ""
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def member(self, name: str) -> list[str]:
        """Return the beginning of a member's commands."""
        return ["hospital-client", "--member", str(self.root / name)]

    def start(self, command: Sequence[str], **streams: Any) -> subprocess.Popen[str]:
        """Start one of our commands and remember it until it has ended.

        Args:
            command: Program and arguments.
            streams: Where its output goes, as for `subprocess.Popen`.
        """
        process = subprocess.Popen(program(command), text=True, **streams)
        self.started.append(process)
        return process

    def ended(self, process: subprocess.Popen[str]) -> None:
        """Wait for a command, and forget it.

        Raises:
            SystemExit: It failed; its own sentence has been shown.
        """
        process.wait()
        self.started.remove(process)
        if process.returncode:
            raise SystemExit(process.returncode)


def say(text: str = "") -> None:
    """Print a line at once."""
    print(text, flush=True)


def heading(number: int, text: str) -> float:
    """Print a step's heading and return when it began."""
    say(f"\n\033[1m{number}/6  {text}\033[0m" if sys.stdout.isatty() else f"\n{number}/6  {text}")
    return time.monotonic()


def shown(command: Sequence[str]) -> str:
    """Return a command as a person would type it in the project's folder.

    >>> shown(["hospital-client", "study", "list"])
    '  $ hospital-client study list'
    """
    words = [word.replace(str(PROJECT) + "/", "") for word in command]
    return "  $ " + shlex.join(words).replace(f" {Path.home()}/", " ~/")


def program(command: Sequence[str]) -> list[str]:
    """Return a command with the full path of the program in this environment."""
    return [str(PROGRAMS / command[0]), *command[1:]]


def run(demo: Demo, command: Sequence[str], *, quiet: bool = False) -> str:
    """Run one of our commands to its end, show it, and return what it printed.

    Raises:
        SystemExit: It failed; its own sentence has been shown.
    """
    if not quiet:
        say(shown(command))
    process = demo.start(command, stdout=subprocess.PIPE)
    output, _ = process.communicate()
    demo.ended(process)
    if not quiet:
        say("\n".join("    " + line for line in output.rstrip().splitlines()))
    return output


def ask(demo: Demo, member: str, *question: str) -> Any:
    """Return the JSON answer to a question of a member."""
    return json.loads(run(demo, [*demo.member(member), *question, "--json"], quiet=True))


def draw_phantoms(demo: Demo) -> None:
    """Draw the phantoms that are not there yet, on two processes."""
    from peer_client.ct.hospitals import read_hospitals
    from peer_client.ct.phantoms import write_phantoms

    begin = last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 2 and done:
            last = now
            left = (now - begin) / done * (total - done)
            say(f"  phantoms: {done} of {total}, about {left:.0f} s left")

    write_phantoms(read_hospitals(demo.hospitals_file), demo.data, progress=progress, processes=2)


def agree(demo: Demo) -> None:
    """Propose a new study and let a majority of the hospitals approve it."""
    known = ask(demo, demo.hospitals[0], "study", "list")
    names = {each["study"] for each in known}
    number = next(n for n in range(1, len(names) + 2) if f"demo-{n}" not in names)
    demo.study = f"demo-{number}"
    first, *others = demo.hospitals
    propose = ["study", "propose", str(EXAMPLES / "study.yaml")]
    options = ["--hospitals", str(demo.hospitals_file), "--name", demo.study]
    run(demo, [*demo.member(first), *propose, *options, "--yes"])
    approve = ["study", "approve", demo.study, "--yes", "--wait", "20"]
    quietly = [
        demo.start([*demo.member(name), *approve], stdout=subprocess.DEVNULL) for name in others[1:]
    ]
    run(demo, [*demo.member(others[0]), *approve])
    for process in quietly:
        demo.ended(process)
    run(demo, [*demo.member(first), "study", "list"])


def last_line(path: Path) -> str:
    """Return the last line of a log."""
    with suppress(OSError):
        lines = path.read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1].split("\r")[-1]
    return "starting"


def train(demo: Demo) -> None:
    """Let every hospital train, each its own process, and show all of them until they end."""
    clients: dict[str, subprocess.Popen[str]] = {}
    logs = {name: demo.output / f"{name}.log" for name in demo.hospitals}
    for name in demo.hospitals:
        command = [*demo.member(name), "train", "--study", demo.study]
        command += ["--rounds", str(demo.rounds), "--data", str(demo.data)]
        command += ["--hospitals", str(demo.hospitals_file), "--personal", demo.personal, "--json"]
        say(shown(command) + " &")
        result = demo.output / f"{name}.rounds.json"
        with logs[name].open("w") as log, result.open("w") as rounds:
            clients[name] = demo.start(command, stdout=rounds, stderr=log)
    if demo.personal == "off":
        say("  Each hospital serves the shared model here. DEMO_OPTIONS=--personal=last lets each")
        say("  choose between that, its own and an adapted one: about three minutes more.")
    say(f"  logs: {demo.output}/<hospital>.log")
    watch(clients, logs)
    for name, client in clients.items():
        if client.poll():
            say(f"\n{name} stopped: the end of {logs[name]}\n{logs[name].read_text()[-2000:]}")
            raise SystemExit(client.returncode)
    for client in clients.values():
        demo.ended(client)


def while_running(clients: dict[str, subprocess.Popen[str]]) -> Iterator[None]:
    """Yield a few times a second until all have ended or one has failed."""
    while any(client.poll() is None for client in clients.values()):
        if any(client.returncode for client in clients.values()):
            return
        yield
        time.sleep(0.3)


def watch(clients: dict[str, subprocess.Popen[str]], logs: dict[str, Path]) -> None:
    """Show where each hospital is: a table that renews itself, or lines in a pipe."""
    if sys.stdout.isatty():
        from rich.live import Live
        from rich.table import Table

        def table() -> Table:
            grid = Table("hospital", "now")
            for name, client in clients.items():
                grid.add_row(name, "done" if client.poll() == 0 else last_line(logs[name]))
            return grid

        with Live(table(), refresh_per_second=2) as live:
            for _ in while_running(clients):
                live.update(table())
            live.update(table())
        return
    shown_at = time.monotonic()
    for _ in while_running(clients):
        if time.monotonic() - shown_at >= LINE_EVERY_S:
            shown_at = time.monotonic()
            for name in clients:
                say(f"  {name:<10} {last_line(logs[name])}")


def audit(demo: Demo) -> None:
    """Ask what an auditor would, as the authority and as a hospital."""
    authority = demo.member(AUTHORITY)
    run(demo, [*authority, "audit", "study", demo.study])
    run(demo, [*authority, "audit", "round", demo.study, "1"])
    run(demo, [*authority, "audit", "history", demo.study, "1"])
    prove = ["audit", "lineage", demo.study, "--recompute", "--blocks"]
    run(demo, [*demo.member(demo.hospitals[0]), *prove])


def phase_seconds(demo: Demo) -> dict[int, dict[str, float]]:
    """Return for each round the longest time any hospital took for each phase.

    Waiting for others is left out: it is their time.
    """
    longest: dict[int, dict[str, float]] = {}
    for name in demo.hospitals:
        for each in json.loads((demo.output / f"{name}.rounds.json").read_text()):
            phases = longest.setdefault(each["round"], {})
            for phase, seconds in each["seconds"].items():
                if phase != "wait":
                    phases[phase] = max(phases.get(phase, 0.0), seconds)
    return longest


def report(demo: Demo) -> list[Path]:
    """Write the table and the pictures, print the table, and return what was written."""
    from chaincode.records.round import RoundState
    from peer_client.client import member_client
    from peer_client.reports.report import write_report
    from peer_client.reports.study_report import round_rows

    seconds = phase_seconds(demo)
    with member_client(demo.root / demo.hospitals[0]) as client:
        known = round_rows(client.ledger, client.store(demo.study), demo.study)
    rows = [replace(row, seconds=seconds.get(row.round_number, {})) for row in known]
    print_tables(rows)
    trained = any(row.state == RoundState.PUBLISHED.value for row in rows)
    if not trained:
        say("  no round was accepted: the model in force is the one the study started from, so")
        say("  nothing is exported and no lesion mask shown; step 4 tells how the hospitals voted")
    pictures = masks(demo) if trained else []
    page = write_report(demo.output, f"Study {demo.study}", rows, masks=pictures)
    return [page, *sorted(demo.output.glob("*.png"))]


def print_tables(rows: Sequence[RoundRow]) -> None:
    """Print what the rounds cost, and what they brought each hospital."""
    from network.runtime.table import print_table
    from peer_client.reports.report import metric_cell, served_cells, table_cells
    from peer_client.studies.wording import short_name

    title = "Rounds: longest seconds of any hospital by phase, bytes of all on the ledger"
    print_table(title, *table_cells([replace(row, metrics={}) for row in rows]))
    hospitals = sorted({msp for row in rows for msp in row.metrics})
    print_table(
        "Validation patients of each hospital: AUC by patient [95 %] (a constant classifier: 0.50)"
        " / mean Dice of lesion masks",
        ["round", *map(short_name, hospitals)],
        [
            [row.round_number, *(metric_cell(row.metrics.get(msp, {})) for msp in hospitals)]
            for row in rows
        ],
    )
    print_table("What each hospital serves", *served_cells(rows))


def masks(demo: Demo) -> list[MaskPicture]:
    """Export the model and read two validation slices of each hospital with it."""
    from model.threads import set_threads
    from peer_client.ct.cache import slices_cache
    from peer_client.ct.cohort import load_cohort
    from peer_client.ct.hospitals import read_hospitals
    from peer_client.reports.study_report import mask_pictures
    from peer_client.serving.exported import read_exported

    first = demo.hospitals[0]
    file = demo.output / f"{first}.keras"
    export = ["model", "export", "--study", demo.study, "--federated", "--output", str(file)]
    run(demo, [*demo.member(first), *export])
    set_threads(2)
    net = read_exported(file)
    pictures = []
    for hospital in read_hospitals(demo.hospitals_file):
        cohort = load_cohort(hospital, demo.data, size_px=net.size_px, cache=slices_cache())
        for picture in mask_pictures(net, cohort.validation, count=2):
            pictures.append(replace(picture, title=f"{hospital.name}: {picture.title}"))
    return pictures


def finish(demo: Demo, files: Sequence[Path]) -> None:
    """Say what was written, what was kept, and what to try next."""
    first = demo.hospitals[0]
    sample = next(iter(sorted(demo.data.glob("*/images/*.png"))), demo.data)
    exported = demo.output / f"{first}.keras"
    predict = [*demo.member(first), "predict", "--model", str(exported), str(sample)]
    say("  written: " + "\n           ".join(map(str, files)))
    say(f"\nNothing is left running. The ledgers, keys and models are kept in {demo.root}")
    say("Next:")
    for command in (
        ["source", str(PROGRAMS / "activate")],
        ["consortium", "up", "--root", str(demo.root)],
        ["consortium", "status", "--root", str(demo.root)],
        *([predict] if exported.exists() else []),
        [*demo.member(AUTHORITY), "audit", "lineage", demo.study],
        ["consortium", "stop", "--root", str(demo.root)],
        ["consortium", "down", "--root", str(demo.root)],
    ):
        say(shown(command))


@contextmanager
def nothing_left_running(demo: Demo) -> Iterator[None]:
    """Stop every process this run started, whatever happens."""
    try:
        yield
    finally:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in list(demo.started):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in list(demo.started):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if (demo.root / "crypto-config.yaml").exists():
            stop = program(["consortium", "stop", "--root", str(demo.root)])
            subprocess.run(stop, stdout=subprocess.DEVNULL, check=False)
        signal.signal(signal.SIGINT, handler)


def play(demo: Demo, own_data: bool) -> list[Path]:
    """Run the first five steps and return what was written."""
    begin = time.monotonic()
    step = heading(1, "The consortium: four hospitals, one authority, four BFT ordering nodes")
    if not (demo.root / "crypto-config.yaml").exists():
        run(demo, ["consortium", "init", "--root", str(demo.root),
                   "--config", str(PROJECT / "crypto-config.yaml")], quiet=True)  # fmt: skip
    up = ["consortium", "up", "--root", str(demo.root)]
    say(shown(up))
    bringing_up = demo.start(up)
    if not own_data:
        draw_phantoms(demo)  # while the nodes start
    demo.ended(bringing_up)
    run(demo, ["consortium", "status", "--root", str(demo.root)])
    say(f"  {time.monotonic() - step:.0f} s")
    step = heading(2, "The study: what is trained and how, agreed on the ledger")
    agree(demo)
    say(f"  {time.monotonic() - step:.0f} s")
    step = heading(3, f"Training: {demo.rounds} rounds, each hospital its own process")
    say(f"  (started {time.monotonic() - begin:.0f} s after the beginning)")
    train(demo)
    say(f"  {time.monotonic() - step:.0f} s")
    step = heading(4, "The audit: every record, every model from the initial one, every block")
    audit(demo)
    heading(5, "What came out")
    return report(demo)


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of CT with an index.csv; phantoms are drawn without it.")  # fmt: skip
@click.option("--hospitals", "hospitals_file",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Whose parts are which; examples/real_ct.yaml with --data.")  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(1), help="Rounds to train (default: 3, with --data 4)."
)
@click.option(
    "--personal", type=click.Choice(["each", "last", "off"]), default="off", show_default=True,
    help="When each hospital chooses what it serves; costs training of its own.",
)  # fmt: skip
@click.option("--root", type=click.Path(file_okay=False, path_type=Path),
              help="Where the consortium lies (default: under the XDG data folder).")  # fmt: skip
def main(
    data: Path | None,
    hospitals_file: Path | None,
    rounds: int | None,
    personal: str,
    root: Path | None,
) -> None:
    """Run a whole consortium on this machine: four hospitals train one network together."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    base = root or data_folder() / "demo"
    default = EXAMPLES / ("real_ct.yaml" if data else "phantoms.yaml")
    hospitals_file = hospitals_file or default
    from peer_client.ct.hospitals import read_hospitals

    names = tuple(hospital.member for hospital in read_hospitals(hospitals_file))
    output = base / "runs" / time.strftime("%Y%m%d-%H%M%S")
    output.mkdir(parents=True, exist_ok=True)
    demo = Demo(
        root=base / "consortium",
        output=output,
        data=data.resolve() if data else base / "phantoms",
        hospitals_file=hospitals_file,
        hospitals=names,
        rounds=rounds or (4 if data else 3),
        personal=personal,
    )
    with nothing_left_running(demo):
        try:
            files = play(demo, own_data=data is not None)
        except KeyboardInterrupt:
            say("\nstopping what was started; the data is kept")
            raise SystemExit(130) from None
    heading(6, "End")
    finish(demo, files)


if __name__ == "__main__":
    main()
