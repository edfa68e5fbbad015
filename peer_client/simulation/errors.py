"""What a simulation refuses."""

from __future__ import annotations

from typing import ClassVar


class SimulationError(Exception):
    """A simulation cannot be run or gone on with. Never raised itself."""

    exit_code: ClassVar[int]
    hint: ClassVar[str]


class RecipeError(SimulationError):
    """A recipe has a value that cannot be run."""

    exit_code: ClassVar[int] = 76
    hint: ClassVar[str] = "See `hospital-client simulate --help` for what is allowed."


class ResumeError(SimulationError):
    """The output folder holds a simulation of other settings or other data."""

    exit_code: ClassVar[int] = 77
    hint: ClassVar[str] = "Name another --output, or remove the folder to start over."


class StuckRoundError(SimulationError):
    """A simulated round did not end: a fault of the programs, not of the settings."""

    exit_code: ClassVar[int] = 116
    hint: ClassVar[str] = "Start again: finished rounds are kept. If it recurs, report it."
