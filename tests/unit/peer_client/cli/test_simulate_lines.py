"""Progress of a simulation: not too often, and with the time that training still takes."""

from __future__ import annotations

import pytest

from peer_client.cli.simulate import Lines, simulate, training_steps
from peer_client.simulation.recipe import Recipe


def test_a_line_says_how_long_training_still_takes(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = Lines(1000, clock=lambda: now)

    for step in range(1, 101):
        lines("ucsd", "alone", step, 400)
        now += 1.0

    told = capsys.readouterr().err.splitlines()
    assert told[0] == "ucsd: alone 1 of 400"
    assert told[-1] == "ucsd: alone 96 of 400, training ends in at most 15 min"
    assert len(told) == 20


def test_all_steps_of_a_simulation_are_counted() -> None:
    recipe = Recipe(rounds=2, local_steps=3, adapt_steps=4)

    # In rounds 6, alone 10, adapting 4.
    assert training_steps(recipe, 5) == 100


def test_the_commands_defaults_are_the_recommended_recipe() -> None:
    defaults = {option.name: option.default for option in simulate.params}
    recipe = Recipe().to_dict()

    shared = sorted(set(defaults) & set(recipe))
    assert shared == ["adapt_steps", "bits", "local_steps", "rounds", "seed"]
    assert {name: defaults[name] for name in shared} == {name: recipe[name] for name in shared}
