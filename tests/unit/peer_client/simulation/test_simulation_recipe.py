"""A recipe that cannot be run is refused before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peer_client.ct.hospitals import read_hospitals
from peer_client.serving.local_training import seed_of
from peer_client.serving.own_models import own_seed
from peer_client.simulation.errors import RecipeError
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.study import simulated_study

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


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
    assert json.loads(json.dumps(Recipe(seed=3).to_dict()))["seed"] == 3


def test_hospitals_rounds_and_purposes_draw_differently_and_recipes_alike() -> None:
    hospitals = read_hospitals(EXAMPLES / "phantoms.yaml")
    study = simulated_study(hospitals, Recipe())
    longer = simulated_study(hospitals, Recipe(rounds=3, local_steps=48))
    other = simulated_study(hospitals, Recipe(seed=1))
    seeds = {own_seed(study, msp, purpose) for msp in study.msps for purpose in ("alone", "a/20")}
    seeds |= {seed_of(study, msp, number) for msp in study.msps for number in (1, 2)}
    assert len(seeds) == 4 * len(study.msps)
    assert all(0 <= seed < 2**31 for seed in seeds)
    msp = study.msps[0]
    assert own_seed(study, msp, "alone") == own_seed(longer, msp, "alone")
    assert own_seed(study, msp, "alone") != own_seed(other, msp, "alone")
