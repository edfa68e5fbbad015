"""One patient's answer says what it rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.errors import EvaluationError
from peer_client.evaluation.readings import Reading
from peer_client.serving.choice import choose
from peer_client.serving.manifest import TrainingManifest
from peer_client.serving.patient import NOT_CALIBRATED, POINTS, patient_answer
from peer_client.serving.predictor import Predictor
from peer_client.serving.served import LabelScheme, ServedModel

NO_NET: Any = None
NO_HASHES = np.zeros((0, 32), np.uint8)


@pytest.fixture
def predictor() -> Predictor:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    logits = rng.normal(labels * 2.0, 1.0)
    names = tuple(f"p{number}" for number in range(80))
    reading = Reading(names, labels, logits, np.zeros(80), (), np.zeros((0, 3), np.int64))
    choice = choose({"alone": reading, "adapted": reading})
    manifest = TrainingManifest(NO_HASHES, NO_HASHES, NO_HASHES)
    served = ServedModel(NO_NET, "north", LabelScheme("a", "b"), choice, {}, manifest, {})
    return Predictor("north", NO_NET, served)


def test_a_served_models_probability_names_its_patients(predictor: Predictor) -> None:
    high, low = (patient_answer(predictor, np.array([value])) for value in (3.0, -3.0))
    assert high.probability > 0.8 > 0.2 > low.probability
    assert "80 validation patients of north" in high.note
    assert high.calibrated
    assert high.served == "mixture"


def test_calls_follow_the_stored_thresholds(predictor: Predictor) -> None:
    decision = predictor.decision
    at = {
        "balanced": decision.balanced.threshold,
        "sensitivity_90": decision.sensitive.threshold,
        "specificity_90": decision.specific.threshold,
    }
    assert set(at) == set(POINTS)
    for name, threshold in at.items():
        assert patient_answer(predictor, np.array([threshold])).calls[name].positive
        assert not patient_answer(predictor, np.array([threshold - 1e-9])).calls[name].positive


def test_each_call_says_what_its_point_reached_on_validation_patients(predictor: Predictor) -> None:
    calls = patient_answer(predictor, np.array([0.0])).calls
    assert calls["sensitivity_90"].sensitivity >= 0.9
    assert calls["specificity_90"].specificity >= 0.9


def test_the_answer_names_the_finding_and_the_models_that_decide(predictor: Predictor) -> None:
    found = patient_answer(predictor, np.array([0.0]))
    assert (found.finding, found.against) == ("a", "b")
    assert found.members == ("alone", "adapted")
    assert (
        predictor.description == "north serves mixture of alone, adapted; masks of the adapted one"
    )


def test_a_plain_network_says_that_nothing_was_fitted() -> None:
    found = patient_answer(Predictor("exported", NO_NET, None), np.array([1.0, 3.0]))
    assert not found.calibrated
    assert found.note == NOT_CALIBRATED
    assert found.calls == {}
    assert found.probability == pytest.approx(1 / (1 + np.exp(-2)))


def test_no_slice_gives_no_answer(predictor: Predictor) -> None:
    with pytest.raises(EvaluationError):
        patient_answer(predictor, np.zeros(0))
