"""What can go wrong with a model, as one small tree.

Every error is a sentence that says what was found and what was allowed, carries the values it
speaks of, and has an exit code whose page in docs/errors says what to do.
"""

from __future__ import annotations

from typing import ClassVar


class ModelError(Exception):
    """Something is wrong with a network, its weights or what it was given. Never raised itself."""

    exit_code: ClassVar[int]
    hint: ClassVar[str]


class DivergedError(ModelError):
    """A loss or a weight stopped being a finite number during training."""

    exit_code: ClassVar[int] = 70
    hint: ClassVar[str] = (
        "Lower the learning rate of the study, or look for constant or broken pictures; the "
        "weights are as they were before this training."
    )

    def __init__(self, step: int, quantity: str) -> None:
        super().__init__(f"training diverged at step {step}: {quantity} is not a finite number")
        self.step = step
        self.quantity = quantity


class WeightLayoutError(ModelError):
    """A vector of weights does not fit the network it was given for."""

    exit_code: ClassVar[int] = 71
    hint: ClassVar[str] = (
        "Use the weights of the same study: the architecture and its weight manifest must be equal."
    )

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"these weights do not fit the network: found {found}, expected {allowed}")
        self.found = found
        self.allowed = allowed


class TrainingDataError(ModelError):
    """The slices given for training or prediction cannot be used."""

    exit_code: ClassVar[int] = 72
    hint: ClassVar[str] = (
        "Check the hospital's data description: it needs labelled slices of one size, grey levels "
        "in [0, 1] and, for each mask, the picture it belongs to."
    )


class ModelFileError(ModelError):
    """A model file cannot be read as one of our networks."""

    exit_code: ClassVar[int] = 73
    hint: ClassVar[str] = (
        "Give a .keras file written by this program, and check that it is complete."
    )

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is not a model file of this program: {reason}")
        self.path = path
        self.reason = reason


class EvaluationError(ModelError):
    """A figure was asked for that the given patients cannot answer."""

    exit_code: ClassVar[int] = 74
    hint: ClassVar[str] = (
        "Evaluate on a part that holds patients of both classes, each patient with one label."
    )


class ModelConfigError(ModelError):
    """A network was described that cannot be built."""

    exit_code: ClassVar[int] = 75
    hint: ClassVar[str] = (
        "Correct the architecture in the study file; docs/model.md lists the fields."
    )
