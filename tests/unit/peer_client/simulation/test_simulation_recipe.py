"""A recipe that cannot be run is refused before anything is trained."""

from __future__ import annotations

import json

import pytest

from peer_client.simulation.errors import RecipeError
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.steps import draw_seed


@pytest.mark.parametrize(
    "values",
    [{"rounds": 0}, {"local_steps": 0}, {"adapt_steps": -1}, {"bits": 1}, {"bits": 17}],
)
def test_values_out_of_range_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match=next(iter(values))):
        Recipe(**values)


def test_alone_takes_as_many_steps_as_federated_and_adapted_together() -> None:
    recipe = Recipe(rounds=10, local_steps=24, adapt_steps=120)
    assert recipe.steps == 360


def test_a_recipe_is_plain_values() -> None:
    assert json.loads(json.dumps(Recipe(personal=("a",)).to_dict()))["personal"] == ["a"]


def test_hospitals_and_purposes_draw_differently() -> None:
    recipe = Recipe()
    seeds = {draw_seed(recipe, hospital, purpose) for hospital in range(4) for purpose in range(4)}
    assert len(seeds) == 16
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert draw_seed(recipe, 1, 2) == draw_seed(Recipe(rounds=3), 1, 2)
