"""What a starting model looks like beside a fresh draw of the same network.

A study may start from an earlier model, which the record names by its digest alone. Weights can be
chosen so that the sum of a few hospitals' updates falls apart into single patients: "trap weights"
(Boenisch and others, EuroS&P 2023), repeated or rank-one layers (Fowl and others, "Robbing the
Fed", ICLR 2022), a few huge values (Wen and others, "Fishing for User Data", ICML 2022). Such
tensors differ from drawn and from honestly trained ones in plain statistics. A model that passes is
not thereby proved to be harmless; one that does not must be explained before it is approved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaincode.records.study import Weight

#: Outside these an honestly trained tensor is not found (docs/hospital-client.md has what was
#: measured): spread beside that of a fresh draw, values in units of it, shares of the tensor.
SPREAD_RATIO_MAX: Final = 3.0
LARGEST_RATIO_MAX: Final = 8.0
ZEROS_MAX: Final = 0.05
REPEATED_MAX: Final = 0.05
RANK_ONE_MAX: Final = 0.8
#: Directions in fewer dimensions fall together by chance.
DIRECTIONS_MIN: Final = 8
#: Tensors that are drawn constant (offsets, gains) move by steps of training alone.
CONSTANT_MOVE_MAX: Final = 2.0


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """One shared tensor of a starting model.

    Attributes:
        name: Its name.
        size: Number of values.
        spread_ratio: Its standard deviation over that of a fresh draw; None where that is drawn
            constant.
        largest: Largest absolute value.
        zeros: Share of values that are exactly zero, beyond those of a fresh draw.
        repeated: Share of rows or columns (inputs or outputs) that are another one times a factor,
            beyond a fresh draw's.
        rank_one: Share of the squared values that one rank-one matrix explains, beyond a fresh
            draw's; 0 for what is no matrix.
        outlying: What is unusual, in words; empty where nothing is.
    """

    name: str
    size: int
    spread_ratio: float | None
    largest: float
    zeros: float
    repeated: float
    rank_one: float
    outlying: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "size": self.size,
            "spread_ratio": self.spread_ratio,
            "largest": self.largest,
            "zeros": self.zeros,
            "repeated": self.repeated,
            "rank_one": self.rank_one,
            "outlying": list(self.outlying),
        }


def starting_statistics(
    weights: Sequence[Weight], start: NDArray[np.float32], fresh: NDArray[np.float32]
) -> list[TensorStatistics]:
    """Compare a starting model's shared tensors with those of a fresh draw.

    Args:
        weights: The study's manifest.
        start: Shared values of the starting model, float32, shape `(parameters,)`.
        fresh: The same of a model drawn from the study's seed.
    """
    found, place = [], 0
    for weight in weights:
        if weight.group == "personal":
            continue
        part = slice(place, place + weight.size)
        found.append(_statistics(weight, start[part], fresh[part]))
        place += weight.size
    return found


def _statistics(
    weight: Weight, values: NDArray[np.float32], fresh: NDArray[np.float32]
) -> TensorStatistics:
    is_constant = bool(np.all(fresh == fresh[0]))
    ratio = None if is_constant else float(np.std(values)) / float(np.std(fresh))
    largest = float(np.max(np.abs(values)))
    zeros = max(0.0, float(np.mean(values == 0)) - float(np.mean(fresh == 0)))
    repeated, rank_one = 0.0, 0.0
    if ratio is not None and len(weight.shape) > 1:
        mine, drawn = _matrix(weight, values), _matrix(weight, fresh)
        repeated = max(
            0.0, _repeated(mine) - _repeated(drawn), _repeated(mine.T) - _repeated(drawn.T)
        )
        rank_one = max(0.0, _rank_one(mine) - _rank_one(drawn))
    outlying = []
    if ratio is None:
        moved = float(np.max(np.abs(values - fresh)))
        if moved > CONSTANT_MOVE_MAX:
            outlying.append(f"moved by {moved:.3g}")
    else:
        if not 1 / SPREAD_RATIO_MAX <= ratio <= SPREAD_RATIO_MAX:
            outlying.append("spread")
        if largest > LARGEST_RATIO_MAX * float(np.max(np.abs(fresh))):
            outlying.append("largest")
        if zeros > ZEROS_MAX:
            outlying.append("zeros")
    if repeated > REPEATED_MAX:
        outlying.append("repeated")
    if rank_one > RANK_ONE_MAX:
        outlying.append("rank one")
    return TensorStatistics(
        weight.name, weight.size, ratio, largest, zeros, repeated, rank_one, tuple(outlying)
    )


def _matrix(weight: Weight, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a tensor as a matrix, one column an output (its last axis)."""
    return values.reshape(-1, weight.shape[-1]).astype(np.float64)


def _repeated(matrix: NDArray[np.float64]) -> float:
    """Return the share of columns that point the same way as an earlier one, or the other way."""
    if matrix.shape[0] < DIRECTIONS_MIN or matrix.shape[1] < 2:
        return 0.0
    lengths = np.linalg.norm(matrix, axis=0)
    directions = matrix[:, lengths > 0] / lengths[lengths > 0]
    alike = np.abs(np.triu(directions.T @ directions, 1)) > 1 - 1e-6
    return float(np.sum(alike.any(axis=0)) / matrix.shape[1])


def _rank_one(matrix: NDArray[np.float64]) -> float:
    """Return the share of the squared values that the largest singular value stands for."""
    total = float(np.sum(matrix * matrix))
    if min(matrix.shape) < 2 or not total:
        return 0.0
    largest = float(np.linalg.norm(matrix, 2))
    return float(largest * largest / total)
