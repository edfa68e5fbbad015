"""What a hospital serves follows from its own validation patients alone."""

from __future__ import annotations

import numpy as np
import pytest

from peer_client.evaluation.errors import ChoiceError
from peer_client.evaluation.readings import Reading
from peer_client.evaluation.scores import by_patient, mixed_scores
from peer_client.serving.choice import choose, decided

NOTHING = np.zeros((0, 3), np.int64)


def reading(
    logits: list[float],
    labels: list[int],
    areas: list[list[int]] | None = None,
    shares: list[float] | None = None,
) -> Reading:
    """One slice a patient."""
    names = tuple(f"p{number}" for number in range(len(labels)))
    found = np.array(areas, np.int64) if areas else NOTHING
    return Reading(
        names,
        np.array(labels, np.int64),
        np.array(logits, float),
        np.array(shares, float) if shares else np.zeros(len(labels)),
        names[: len(found)],
        found,
    )


LABELS = [0, 0, 0, 1, 1, 1]
RIGHT = [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]
WRONG = RIGHT[::-1]


def test_a_mixture_worse_than_alone_on_validation_is_not_served() -> None:
    found = choose({"alone": reading(RIGHT, LABELS), "federated": reading(WRONG, LABELS)})
    assert found.auc_validation["mixture"] < found.auc_validation["alone"]
    assert found.name == "alone"
    assert [member.name for member in found.members] == ["alone"]


def test_nothing_served_ranks_validation_patients_worse_than_alone() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        labels = [0] * 8 + [1] * 8
        models = {
            name: reading(rng.normal(size=16).tolist(), labels)
            for name in ("alone", "federated", "adapted")
        }
        found = choose(models)
        assert found.auc_validation[found.name] >= found.auc_validation["alone"]


def test_the_mixture_is_preferred_where_it_is_not_worse() -> None:
    close = [-1.0, 0.0, 0.1, 0.2, 1.0, 1.1]
    model = reading(close, LABELS, shares=[0.01, 0.01, 0.9, 0.0, 0.01, 0.01])
    found = choose({"alone": model, "adapted": model})
    assert found.auc_validation["lesion_mixture"] < 1.0
    assert found.name == "mixture"
    assert sum(member.weight for member in found.members) == pytest.approx(1.0)


def test_the_best_candidate_is_served_where_the_mixture_loses() -> None:
    figures = {"alone": 0.8, "federated": 0.9, "mixture": 0.7, "lesion_mixture": 0.7}
    assert decided(figures) == "federated"


def test_the_lesion_share_is_a_member_where_it_ranks_validation_patients_better() -> None:
    unsure = [-1.0, 0.5, -0.5, 0.0, 1.0, -0.2]
    model = reading(unsure, LABELS, shares=[0.001, 0.002, 0.001, 0.1, 0.2, 0.3])
    found = choose({"alone": model, "federated": model})
    assert found.name == "lesion_mixture"
    assert [member.name for member in found.members] == ["alone", "federated", "lesions"]
    assert found.auc_validation["lesion_mixture"] > found.auc_validation["mixture"]


def test_the_lesion_share_is_that_of_the_model_whose_masks_are_served() -> None:
    without = reading([0.0] * 6, LABELS, [[1, 10, 10]], shares=[0.0] * 6)
    sees = reading([0.0] * 6, LABELS, [[9, 10, 10]], shares=[0.0, 0.0, 0.0, 0.1, 0.1, 0.1])
    found = choose({"alone": without, "federated": sees})
    assert (found.mask_member, found.auc_validation["lesion_mixture"]) == ("federated", 1.0)
    turned = reading([0.0] * 6, LABELS, [[10, 10, 10]], shares=[0.0] * 6)
    found = choose({"alone": turned, "federated": sees})
    assert (found.mask_member, found.auc_validation["lesion_mixture"]) == ("alone", 0.5)


def test_members_of_other_scale_weigh_the_same_in_a_mixture() -> None:
    small = reading([value / 100 for value in WRONG], LABELS)
    models = {"alone": reading(RIGHT, LABELS), "federated": small}
    found = choose(models)
    scores = mixed_scores(
        [*found.members],
        {name: models[name] for name in models},
    )
    # Alone is served here; by hand the equal mixture of both cancels out.
    assert scores.scores[0] < scores.scores[-1]
    from peer_client.evaluation.scores import equal_mixture

    cancelled = mixed_scores(equal_mixture(models, ["alone", "federated"]), models)
    assert np.abs(cancelled.scores).max() < 1e-12


def test_masks_come_from_the_model_with_the_best_dice() -> None:
    poor, good = [[1, 10, 10]], [[9, 10, 10]]
    found = choose(
        {
            "alone": reading(RIGHT, LABELS, poor),
            "federated": reading(RIGHT, LABELS, good),
            "adapted": reading(RIGHT, LABELS, poor),
        }
    )
    assert found.mask_member == "federated"
    assert found.dice_validation["federated"] == pytest.approx(0.9)


def test_a_hospital_without_masks_takes_the_federated_decoder() -> None:
    models = {name: reading(RIGHT, LABELS) for name in ("alone", "federated", "adapted")}
    assert choose(models).mask_member == "federated"


def test_one_class_of_validation_patients_is_refused() -> None:
    one = [1] * 6
    with pytest.raises(ChoiceError, match="one class"):
        choose({"alone": reading(RIGHT, one), "federated": reading(RIGHT, one)})


def test_alone_must_be_among_the_candidates() -> None:
    with pytest.raises(ChoiceError, match="alone"):
        choose({"federated": reading(RIGHT, LABELS), "adapted": reading(RIGHT, LABELS)})


def test_members_that_read_other_slices_are_not_mixed() -> None:
    other = reading(RIGHT[:5], LABELS[:5])
    with pytest.raises(ChoiceError, match="different slices"):
        choose({"alone": reading(RIGHT, LABELS), "federated": other})


def test_operating_points_reach_what_they_are_for() -> None:
    rng = np.random.default_rng(1)
    labels = [0] * 50 + [1] * 50
    logits = np.concatenate([rng.normal(0, 1, 50), rng.normal(1, 1, 50)]).tolist()
    model = reading(logits, labels)
    found = choose({"alone": model, "adapted": model}).decision
    assert found.sensitive.sensitivity >= 0.9
    assert found.specific.specificity >= 0.9
    probabilities = found.calibration.probability(by_patient(model).scores)
    assert (np.diff(probabilities[np.argsort(by_patient(model).scores)]) >= 0).all()
