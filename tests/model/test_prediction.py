"""Prediction: shapes, batches, flips, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from model.errors import TrainingDataError
from model.prediction import predict, predict_scores, predict_tissue

pytestmark = pytest.mark.tensorflow


def pictures(count, size=32):
    return np.random.default_rng(0).random((count, size, size, 1), dtype=np.float32)


@pytest.mark.parametrize("count", [1, 5])
def test_predict_gives_one_probability_and_one_map_for_each_slice(fresh_net, count):
    probabilities, masks = predict(fresh_net, pictures(count))

    assert probabilities.shape == (count,)
    assert masks.shape == (count, 32, 32)
    assert probabilities.dtype == masks.dtype == np.float32
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert ((masks >= 0) & (masks <= 1)).all()


def test_predict_does_not_depend_on_the_batch(fresh_net):
    images = pictures(5)

    large, small = predict(fresh_net, images, batch=8), predict(fresh_net, images, batch=2)

    assert np.allclose(large[0], small[0], atol=1e-5)
    assert np.allclose(large[1], small[1], atol=1e-4)


def test_predict_with_flips_is_the_same_for_a_slice_and_its_mirror(fresh_net):
    images = pictures(3)

    plain, mirrored = predict(fresh_net, images), predict(fresh_net, images[:, :, ::-1].copy())

    assert np.allclose(plain[0], mirrored[0], atol=1e-5)
    assert np.allclose(plain[1], mirrored[1][:, :, ::-1], atol=1e-4)


def test_predict_scores_rank_as_the_probabilities_do(fresh_net):
    images = pictures(6)

    scores = predict_scores(fresh_net, images, flips=False)
    probabilities, _ = predict(fresh_net, images, flips=False)

    assert np.allclose(1 / (1 + np.exp(-scores)), probabilities, atol=1e-5)


def test_predict_tissue_sums_to_one_and_holds_the_lesion(fresh_net):
    images = pictures(2)

    _, tissue = predict_tissue(fresh_net, images)
    _, lesion = predict(fresh_net, images)

    assert np.allclose(tissue.sum(-1), 1, atol=1e-5)
    assert np.allclose(tissue[..., 1] + tissue[..., 2], lesion, atol=1e-6)


def test_predict_tells_its_progress_up_to_the_end(fresh_net):
    seen = []

    predict(
        fresh_net, pictures(5), batch=2, progress=lambda done, total: seen.append((done, total))
    )

    assert seen[-1] == (5, 5)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 48, 48, 1), np.float32), "32 x 32"),
        (np.zeros((0, 32, 32, 1), np.float32), "no slice"),
        (np.zeros((2, 32, 32, 1)), "float64"),
        (np.full((1, 32, 32, 1), np.nan, np.float32), "finite"),
    ],
)
def test_predict_of_images_that_do_not_fit_is_refused(fresh_net, images, message):
    with pytest.raises(TrainingDataError, match=message):
        predict(fresh_net, images)
