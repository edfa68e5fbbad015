"""A folder that shows what a study did: a table of rounds, learning curves, masks over CT.

Reads plain values, writes `report.md`, `report.json` and PNG pictures; asks no ledger and no model.
matplotlib is loaded only when a picture is drawn, with its file-only backend, so a machine without
a display can write a report. Every page carries the sentence "Research use, not a diagnosis".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chaincode.records.round import RoundState
from peer_client.rounds.ledger_figures import (
    CANDIDATES_HEAD,
    COUNTS,
    TOO_FEW,
    candidates_text,
    served_text,
)
from peer_client.storage.study_store import write_file
from peer_client.studies.wording import RESEARCH_USE, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Phases of a round in the order they are shown, each with what it is called.
PHASES: Final = (
    ("join", "join"),
    ("train", "train"),
    ("seal", "seal"),
    ("submit", "submit"),
    ("aggregate", "sum"),
    ("answer", "answer"),
    ("record_key", "key"),
    ("apply", "apply"),
    ("confirm", "confirm"),
    ("publish", "publish"),
)


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round, as the table shows it.

    Attributes:
        round_number: From 1.
        state: PUBLISHED, REJECTED or ABANDONED (or a running state).
        contributors: MSPs whose updates are in the sum.
        safe_against: Hospitals that may cheat, and that may pool what they have, without learning
            more than the sum; None where nothing was encrypted.
        seconds: By phase, one hospital's view; a phase that was not done is absent.
        ledger_bytes: Bytes of the round on the chain, 0 where not counted.
        upload_bytes: Bytes of one hospital's upload beside the chain.
        metrics: By hospital, as fractions: `auc_after`, `dice_after` and others; empty where a
            hospital has too few validation patients for figures to leave it.
        votes: By hospital, 1 for the round's model, 0 against it.
    """

    round_number: int
    state: str
    contributors: tuple[str, ...]
    safe_against: tuple[int, int] | None
    seconds: Mapping[str, float] = field(default_factory=dict)
    ledger_bytes: int = 0
    upload_bytes: int = 0
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    votes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MaskPicture:
    """A slice with its lesion mask.

    Attributes:
        title: Words above the picture.
        image: float32 `(h, w)` in [0, 1].
        mask: float32 `(h, w)` in [0, 1], the predicted lesion share of each pixel.
        truth: uint8 `(h, w)`, not zero where a lesion was marked; None where nothing was.
    """

    title: str
    image: NDArray[np.float32]
    mask: NDArray[np.float32]
    truth: NDArray[np.uint8] | None = None


def write_report(
    folder: Path,
    title: str,
    rounds: Sequence[RoundRow],
    *,
    masks: Sequence[MaskPicture] = (),
    closing: Sequence[str] = (),
) -> Path:
    """Write a report's pages and pictures.

    Args:
        folder: Where to; made if it is not there.
        title: First line.
        rounds: One row a round, in order.
        masks: Slices with masks, shown in a grid; the picture is left out where there are none.
        closing: Lines at the end (what to do next).

    Returns:
        The page, `folder/report.md`.

    Raises:
        StoreError: The folder cannot be written.
    """
    pictures = []
    if any(row.metrics for row in rounds):
        save_figure(learning_curves(rounds), folder / "learning_curves.png")
        pictures.append("![Learning curves](learning_curves.png)")
    if masks:
        save_figure(mask_grid(masks), folder / "masks.png")
        pictures.append("![Lesion masks over CT](masks.png)")
    lines = [f"# {title}", "", f"*{RESEARCH_USE}*", "", *markdown_table(rounds), ""]
    lines += [*markdown_served(rounds), *pictures, "", *closing, ""]
    write_file(folder / "report.json", _report_json(title, rounds))
    page = folder / "report.md"
    write_file(page, "\n".join(lines).encode())
    return page


def _report_json(title: str, rounds: Sequence[RoundRow]) -> bytes:
    document = {"title": title, "use": RESEARCH_USE, "rounds": [asdict(row) for row in rounds]}
    return json.dumps(document, indent=1, sort_keys=True).encode()


def table_cells(rounds: Sequence[RoundRow]) -> tuple[list[str], list[list[str]]]:
    """Return the table's head and rows as text.

    >>> row = RoundRow(1, "PUBLISHED", ("AMSP", "BMSP", "CMSP"), (1, 2), {"train": 2.0}, 20480)
    >>> head, rows = table_cells([row])
    >>> head[2:4], rows[0][2:4]
    (['contributors', 'safe against (cheat, pool)'], ['all 3', '1, 2'])
    """
    shown = [(key, name) for key, name in PHASES if any(key in row.seconds for row in rounds)]
    hospitals = sorted({msp for row in rounds for msp in row.metrics})
    head = ["round", "state", "contributors", "safe against (cheat, pool)"]
    head += [f"{name} s" for _, name in shown]
    head += ["on ledger kB", "upload kB"]
    head += [f"AUC {short_name(msp)}" for msp in hospitals]
    everybody = sorted({*hospitals, *(msp for row in rounds for msp in row.contributors)})
    rows = []
    for row in rounds:
        cells = [str(row.round_number), row.state]
        cells += [contributors_text(row.contributors, everybody), safe_text(row.safe_against)]
        cells += [f"{row.seconds[key]:.1f}" if key in row.seconds else "-" for key, _ in shown]
        cells += [f"{row.ledger_bytes / 1000:.0f}", f"{row.upload_bytes / 1000:.0f}"]
        cells += [metric_cell(row.metrics.get(msp, {}), row.votes.get(msp)) for msp in hospitals]
        rows.append(cells)
    return head, rows


def safe_text(safe_against: tuple[int, int] | None) -> str:
    """Return how many hospitals may cheat, and how many may pool what they have.

    >>> safe_text((1, 2)), safe_text(None)
    ('1, 2', 'nothing encrypted')
    """
    if safe_against is None:
        return "nothing encrypted"
    return f"{safe_against[0]}, {safe_against[1]}"


def contributors_text(contributors: Sequence[str], everybody: Sequence[str]) -> str:
    """Return who contributed, as short as it can be said.

    >>> contributors_text(["AMSP", "CMSP"], ["AMSP", "BMSP", "CMSP"])
    '2, without B'
    """
    missing = [short_name(msp) for msp in everybody if msp not in contributors]
    if not contributors:
        return "-"
    if not missing:
        return f"all {len(contributors)}"
    return f"{len(contributors)}, without {', '.join(missing)}"


def metric_cell(metrics: Mapping[str, float], vote: int | None = None) -> str:
    """Return AUC, and Dice where there is one, as one cell; without figures the vote alone.

    >>> metric_cell({"auc_after": 0.7, "dice_after": 0.55}), metric_cell({}, 1), metric_cell({})
    ('0.70 / Dice 0.55', 'voted for', '-')
    """
    if "auc_after" not in metrics:
        return "-" if vote is None else ("voted for" if vote else "voted against")
    text = f"{metrics['auc_after']:.2f}"
    return text + (f" / Dice {metrics['dice_after']:.2f}" if "dice_after" in metrics else "")


def markdown_table(rounds: Sequence[RoundRow]) -> list[str]:
    """Return the table of rounds as Markdown lines."""
    head, rows = table_cells(rounds)
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def served_cells(rounds: Sequence[RoundRow]) -> tuple[list[str], list[list[str]]]:
    """Return the head and rows of a table of what each hospital serves after its last choice.

    >>> served_cells([RoundRow(1, "PUBLISHED", (), None, metrics={"AMSP": {"auc_after": 0.5}})])[1]
    [['A', '-', 'federated: nothing was chosen', '-']]
    """
    head = ["hospital", "round", "serves (AUC, validation)"]
    head += [CANDIDATES_HEAD]
    rows = []
    for msp in sorted({msp for row in rounds for msp in row.metrics}):
        cells = [short_name(msp), "-", "federated: nothing was chosen", "-"]
        for row in rounds:
            metrics = {
                name: round(value if name in COUNTS else 1e6 * value)
                for name, value in row.metrics.get(msp, {}).items()
            }
            if row.state == RoundState.PUBLISHED and row.metrics.get(msp) == {}:
                cells = [short_name(msp), "-", TOO_FEW, "-"]
            if row.state == RoundState.PUBLISHED and (served := served_text(metrics)):
                cells = [short_name(msp), str(row.round_number), served]
                cells += [candidates_text(metrics) or "-"]
        rows.append(cells)
    return head, rows


def markdown_served(rounds: Sequence[RoundRow]) -> list[str]:
    """Return the table of what hospitals serve as Markdown lines; none without metrics."""
    head, rows = served_cells(rounds)
    if not rows:
        return []
    lines = ["## What each hospital serves", "", "| " + " | ".join(head) + " |"]
    lines += ["|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(cells) + " |" for cells in rows), ""]


def learning_curves(rounds: Sequence[RoundRow]) -> Figure:
    """Draw AUC by round, one line a hospital, and Dice where hospitals report one."""
    figure, axes = _figure(1, 2, width=11.0, height=4.2)
    panels = (("auc_after", "AUC by patient, validation"), ("dice_after", "Dice, validation"))
    for axis, (key, label) in zip(axes, panels, strict=True):
        for place, msp in enumerate(sorted({msp for row in rounds for msp in row.metrics})):
            points = [
                (row.round_number, row.metrics[msp][key])
                for row in rounds
                if key in row.metrics.get(msp, {})
            ]
            if points:
                numbers, values = zip(*points, strict=True)
                # One colour a hospital, also where another has nothing to show.
                colour = f"C{place % 10}"
                axis.plot(numbers, values, marker="o", color=colour, label=short_name(msp))
        axis.set_xlabel("round")
        axis.set_ylabel(label)
        axis.set_ylim(0.0, 1.02)
        axis.set_xticks([row.round_number for row in rounds])
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(frameon=False)
    axes[0].axhline(0.5, color="grey", linewidth=0.8, linestyle="--")
    figure.supxlabel(RESEARCH_USE, x=0.01, ha="left", fontsize=7, color="grey")
    return figure


def mask_grid(masks: Sequence[MaskPicture], columns: int = 4, *, heading: str = "") -> Figure:
    """Draw slices with the predicted lesion in colour and the marked one as an outline.

    Args:
        masks: The slices, at least one.
        columns: How many side by side.
        heading: Words above all of them.
    """
    columns = min(columns, len(masks))
    lines = -(-len(masks) // columns)
    figure, axes = _figure(lines, columns, width=2.9 * columns, height=3.1 * lines)
    for axis in axes:
        axis.set_axis_off()
    for axis, picture in zip(axes, masks, strict=False):
        draw_mask(axis, picture)
    if heading:
        figure.suptitle(heading, x=0.01, ha="left", fontsize=9)
    figure.supxlabel(RESEARCH_USE, x=0.01, ha="left", fontsize=7, color="grey")
    return figure


def draw_mask(axis: Axes, picture: MaskPicture) -> None:
    """Draw one slice with its mask on an axis."""
    axis.imshow(picture.image, cmap="gray", vmin=0.0, vmax=1.0)
    shown = np.ma.masked_less(picture.mask, 0.5)
    axis.imshow(shown, cmap="autumn", alpha=0.45, vmin=0.0, vmax=1.0)
    if picture.truth is not None and picture.truth.any():
        axis.contour(picture.truth > 0, levels=[0.5], colors="cyan", linewidths=0.8)
    axis.set_title(picture.title, fontsize=8)


def _figure(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure that needs no display, and its axes in reading order."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    from io import BytesIO

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Description": RESEARCH_USE})
    write_file(path, buffer.getvalue())
