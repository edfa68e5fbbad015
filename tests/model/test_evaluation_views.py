"""Slices of patients who have few are read in all views; the others' log odds stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from model.capsnet import CapsNet, CapsNetConfig, build
from model.prediction import predict
from model.views import VIEWS, viewed
from model.weights import get_vector, initial_vector, set_vector
from peer_client.evaluation.scores import EnsembleMember, lesion_scores
from peer_client.evaluation.views import averaged_over_views, log_odds, mirrored_log_odds
from peer_client.serving.choice import Choice
from peer_client.serving.manifest import TrainingManifest
from peer_client.serving.predictor import EVEN_ODDS, Predictor
from peer_client.serving.served import LabelScheme, ServedModel

pytestmark = pytest.mark.tensorflow
IMAGES = np.random.default_rng(0).random((5, 32, 32, 1), dtype=np.float32)


@pytest.fixture(scope="module")
def net() -> CapsNet:
    return build(CapsNetConfig(size_px=32), seed=3)


def test_few_slices_get_the_mean_over_all_views_and_others_stay(net: CapsNet) -> None:
    plain = log_odds(predict(net, IMAGES)[0])
    few = np.array([True, False, True, False, False])
    told: list[tuple[int, int]] = []

    found = averaged_over_views(
        net, IMAGES, plain, few, lambda done, total: told.append((done, total))
    )

    by_view = [log_odds(predict(net, viewed(IMAGES[few], view))[0]) for view in VIEWS]
    np.testing.assert_allclose(found[few], np.mean([plain[few], *by_view], axis=0), atol=1e-5)
    np.testing.assert_array_equal(found[~few], plain[~few])
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (5, 5)


def test_without_few_slices_nothing_is_read_again(net: CapsNet) -> None:
    plain = np.zeros(5)
    told: list[int] = []
    found = averaged_over_views(
        net, IMAGES, plain, np.zeros(5, bool), lambda done, _: told.append(done)
    )
    assert found is not plain
    np.testing.assert_array_equal(found, plain)
    np.testing.assert_array_equal(averaged_over_views(net, IMAGES, plain, None), plain)
    assert not told


@pytest.mark.parametrize("few", [None, np.zeros(5, bool), np.ones(5, bool)])
def test_progress_ends_when_all_slices_are_read(net: CapsNet, few: np.ndarray | None) -> None:
    told: list[tuple[int, int]] = []
    Predictor("plain", net, None).read_images(
        IMAGES, few, lambda done, total: told.append((done, total))
    )
    assert told[-1] == (5, 5)


def test_log_odds_without_maps_are_those_of_predict(net: CapsNet) -> None:
    np.testing.assert_allclose(
        mirrored_log_odds(net, IMAGES), log_odds(predict(net, IMAGES)[0]), atol=1e-5
    )


def test_a_served_mixture_reads_each_member_in_all_views_and_the_lesions_as_they_are(
    net: CapsNet,
) -> None:
    vectors = {"alone": get_vector(net), "federated": initial_vector(net.manifest, 4)}
    members = (
        EnsembleMember("alone", 0.25, 0.5, 2.0),
        EnsembleMember("federated", 0.25, -0.5, 1.0),
        EnsembleMember("lesions", 0.5, -3.0, 0.5),
    )
    choice = Choice("lesion_mixture", members, "federated", {}, {}, EVEN_ODDS)
    hashes = np.zeros((0, 32), np.uint8)
    manifest = TrainingManifest(hashes, hashes, hashes)
    served = ServedModel(net, "north", LabelScheme("a", "b"), choice, vectors, manifest, {})
    few = np.array([True, True, False, False, True])

    told: list[int] = []
    predictor = Predictor("north", net, served)
    logits, lesion = predictor.read_images(IMAGES, few, lambda done, _: told.append(done))

    assert (told, told[-1]) == (sorted(told), 5)
    by_hand = np.zeros(5)
    for member in members[:2]:
        set_vector(net, vectors[member.name])
        plain = log_odds(predict(net, IMAGES)[0])
        read = averaged_over_views(net, IMAGES, plain, few)
        by_hand += member.weight * (read - member.centre) / member.spread
    set_vector(net, vectors["federated"])
    np.testing.assert_allclose(lesion, predict(net, IMAGES)[1], atol=1e-6)
    share = lesion_scores(lesion.mean((1, 2), dtype=np.float64))
    by_hand += 0.5 * (share + 3.0) / 0.5
    np.testing.assert_allclose(logits, by_hand, atol=1e-4)
    set_vector(net, vectors["alone"])
