"""Training: it learns, is the same bit for bit when cut and resumed, and refuses what is broken."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import phantom_slices

from model.errors import DivergedError, TrainingDataError, WeightLayoutError
from model.evaluation import auc
from model.overlap import dice
from model.prediction import predict, predict_scores
from model.sampling import NO_LABEL
from model.training import OptimiserState, TrainSettings, train
from model.weights import get_vector, set_vector

pytestmark = pytest.mark.tensorflow

SETTINGS = TrainSettings(steps=4, seed=3, total_steps=8, class_items=6, mask_items=2)


def decoder_start(net):
    return sum(spec.size for spec in net.manifest[: net.encoder_tensors])


def test_training_learns_class_and_lesion_of_new_phantoms(fresh_net):
    settings = dataclasses.replace(
        SETTINGS, steps=120, total_steps=120, learning_rate=5e-3, warm_up_steps=5
    )
    new = phantom_slices(seed=7)

    train(fresh_net, phantom_slices(count=64), settings)

    assert auc(new.labels, predict_scores(fresh_net, new.images)) > 0.9
    _, lesion = predict(fresh_net, new.images[new.mask_images])
    assert dice(lesion, new.masks).mean > 0.6


def test_training_cut_in_two_and_resumed_gives_the_same_weights(fresh_net):
    slices, before = phantom_slices(), get_vector(fresh_net)
    whole = train(fresh_net, slices, dataclasses.replace(SETTINGS, steps=8))

    set_vector(fresh_net, before)
    half = train(fresh_net, slices, SETTINGS)
    kept = OptimiserState(
        half.optimiser_state.steps,
        half.optimiser_state.first.copy(),
        half.optimiser_state.second.copy(),
    )
    set_vector(fresh_net, half.vector)
    rest = train(
        fresh_net, slices, dataclasses.replace(SETTINGS, first_step=4), optimiser_state=kept
    )

    assert np.allclose(rest.vector, whole.vector, rtol=0, atol=1e-6)
    assert rest.optimiser_state.steps == 8


def test_training_cut_and_resumed_on_one_thread_is_the_same_bit_for_bit():
    # The number of threads is set once in a process, so this needs one of its own.
    code = """
from dataclasses import replace
from model.threads import set_threads
set_threads(1)
from conftest import SMALL, phantom_slices
from model.capsnet import build
from model.training import TrainSettings, train
from model.weights import get_vector, set_vector
net, slices = build(SMALL, seed=1), phantom_slices()
start = get_vector(net)
settings = TrainSettings(steps=4, seed=5, total_steps=6, class_items=6, mask_items=2)
whole = train(net, slices, settings)
set_vector(net, start)
first = train(net, slices, replace(settings, steps=1))
set_vector(net, first.vector)
rest = replace(settings, steps=3, first_step=1)
again = train(net, slices, rest, optimiser_state=first.optimiser_state)
assert whole.vector.tobytes() == again.vector.tobytes()
assert whole.optimiser_state.second.tobytes() == again.optimiser_state.second.tobytes()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )

    assert done.returncode == 0, done.stderr[-2000:]


def test_training_without_masks_leaves_the_decoder_as_it_was(fresh_net):
    before, start = get_vector(fresh_net), decoder_start(fresh_net)

    result = train(fresh_net, phantom_slices(masks=False), SETTINGS)

    assert np.array_equal(result.vector[start:], before[start:])
    assert not np.array_equal(result.vector[:start], before[:start])
    assert result.metrics["mask_loss"] == 0.0
    assert not result.optimiser_state.first[start:].any()


def test_training_without_labels_leaves_the_class_capsules_as_they_were(fresh_net):
    slices = phantom_slices()
    unlabelled = dataclasses.replace(slices, labels=np.full(len(slices.labels), NO_LABEL))
    before = get_vector(fresh_net)

    result = train(fresh_net, unlabelled, SETTINGS)

    start = 0
    for spec in fresh_net.manifest:
        part = slice(start, start + spec.size)
        start += spec.size
        same = np.array_equal(result.vector[part], before[part])
        assert same == spec.name.startswith(("class_capsules", "auxiliary")), spec.name


def test_training_reports_each_step(fresh_net):
    seen = []

    result = train(fresh_net, phantom_slices(), SETTINGS, progress=seen.append)

    assert [report.step for report in seen] == [1, 2, 3, 4]
    assert {report.steps for report in seen} == {4}
    assert result.metrics["class_loss"] == pytest.approx(
        np.mean([report.losses["class_loss"] for report in seen]), rel=1e-5
    )
    assert result.metrics["steps"] == 4


def test_diverged_training_is_refused_and_leaves_the_network_as_it_was(fresh_net):
    before = get_vector(fresh_net)

    with pytest.raises(DivergedError, match="step"):
        train(
            fresh_net,
            phantom_slices(),
            dataclasses.replace(SETTINGS, learning_rate=1e30, warm_up_steps=0),
        )

    assert np.array_equal(get_vector(fresh_net), before)


def test_training_stopped_by_its_progress_callback_stops(fresh_net):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(fresh_net, phantom_slices(), SETTINGS, progress=stop)


def test_training_on_slices_of_another_size_is_refused(fresh_net):
    with pytest.raises(TrainingDataError, match="32 x 32"):
        train(fresh_net, phantom_slices(size=48), SETTINGS)


def test_training_on_neither_labels_nor_masks_is_refused(fresh_net):
    slices = phantom_slices(masks=False)
    nothing = dataclasses.replace(slices, labels=np.full(len(slices.labels), NO_LABEL))

    with pytest.raises(TrainingDataError, match="neither labels nor masks"):
        train(fresh_net, nothing, SETTINGS)


def test_optimiser_state_of_another_network_is_refused(fresh_net):
    with pytest.raises(WeightLayoutError, match="moments"):
        train(fresh_net, phantom_slices(), SETTINGS, optimiser_state=OptimiserState.zero(3))


def test_first_step_follows_adam_by_hand(fresh_net):
    # Step 1 of Adam moves each value by rate x gradient / (|gradient| + 1e-6), at most the rate,
    # and by the decay of 0.005 x rate x value.
    before = get_vector(fresh_net)
    settings = dataclasses.replace(
        SETTINGS, steps=1, learning_rate=1e-3, warm_up_steps=0, total_steps=100
    )

    result = train(fresh_net, phantom_slices(), settings)

    gradient = result.optimiser_state.first / 0.1
    assert np.allclose(result.optimiser_state.second, 0.01 * gradient**2, rtol=1e-4)
    kernels = np.concatenate(
        [np.full(spec.size, len(spec.shape) > 1) for spec in fresh_net.manifest]
    )
    expected = 1e-3 * (gradient / (np.abs(gradient) + 1e-6) + 5e-3 * kernels * before)
    assert np.allclose(before - result.vector, expected, atol=2e-6)
