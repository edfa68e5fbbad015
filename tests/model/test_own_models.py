"""What a hospital trains by itself goes on where it stopped, and never differs for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.weights import initial_vector
from peer_client.errors import StoreError
from peer_client.serving.local_training import network_once, training_slices, whole_vector
from peer_client.serving.own_models import OwnModels
from peer_client.storage.study_store import StudyStore
from peer_client.studies.study_file import initial_shared, shared_places
from tests.support.hospitals import MSPS
from tests.support.tiny_network import slices, study

pytestmark = pytest.mark.tensorflow
STUDY = study()
NETWORK = network_once(STUDY, 1)


def own_models(folder: Path, msp: str = MSPS[0]) -> OwnModels:
    return OwnModels(STUDY, msp, training_slices(slices(1)), folder, NETWORK)


def nobody(done: int, total: int) -> None:
    """Tell nobody."""


def test_alone_takes_as_many_steps_as_the_rounds_and_no_more(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    models = own_models(tmp_path)

    first = models.alone(1, lambda *each: told.append(each))
    again = models.alone(1, lambda *each: told.append(each))

    steps = STUDY.local_steps
    assert told == [(step, steps) for step in range(1, steps + 1)]
    np.testing.assert_array_equal(first, again)


def test_training_alone_cut_into_rounds_is_training_at_once_bit_for_bit(tmp_path: Path) -> None:
    cut = own_models(tmp_path / "cut")
    cut.alone(1, nobody)
    told: list[tuple[int, int]] = []
    # As after a restart: nothing is remembered but the file.
    went_on = own_models(tmp_path / "cut").alone(2, nobody)

    at_once = own_models(tmp_path / "whole").alone(2, lambda *each: told.append(each))

    steps = 2 * STUDY.local_steps
    assert told == [(step, steps) for step in range(1, steps + 1)]
    np.testing.assert_array_equal(went_on, at_once)


def test_training_that_is_stopped_keeps_what_the_round_before_left(tmp_path: Path) -> None:
    models = own_models(tmp_path)
    models.alone(1, nobody)
    kept = (tmp_path / "alone.bin").read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        models.alone(2, stop)

    assert (tmp_path / "alone.bin").read_bytes() == kept
    assert (tmp_path / "alone.bin").stat().st_mode & 0o777 == 0o600


def test_rounds_that_were_missed_are_kept_one_by_one(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == STUDY.local_steps + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own_models(tmp_path).alone(2, stop)

    left: list[tuple[int, int]] = []
    own_models(tmp_path).alone(2, lambda *each: left.append(each))
    steps = STUDY.local_steps
    assert left == [(step, steps) for step in range(1, steps + 1)]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "alone.bin").write_bytes(b"short")

    with pytest.raises(StoreError, match=r"alone\.bin is damaged"):
        own_models(tmp_path).alone(1, nobody)


def test_adapting_repeats_and_differs_by_hospital(tmp_path: Path) -> None:
    places = shared_places(STUDY.weights)
    start = whole_vector(STUDY, StudyStore(tmp_path), places, initial_shared(STUDY))

    first, again = (own_models(tmp_path / each).adapted(start, 1, 3, nobody) for each in "ab")
    other = own_models(tmp_path / "c", MSPS[1]).adapted(start, 1, 3, nobody)

    np.testing.assert_array_equal(first, again)
    assert (first != start).any()
    assert (first != other).any()
    assert not (tmp_path / "alone.bin").exists()


def test_an_adapted_model_is_kept_and_made_again_from_another_start(tmp_path: Path) -> None:
    start = whole_vector(
        STUDY, StudyStore(tmp_path), shared_places(STUDY.weights), initial_shared(STUDY)
    )
    told: list[tuple[int, int]] = []
    first = own_models(tmp_path).adapted(start, 1, 3, nobody)

    kept = own_models(tmp_path).adapted(start, 1, 3, lambda *each: told.append(each))
    assert told == []
    np.testing.assert_array_equal(kept, first)
    assert (tmp_path / "adapted.bin").stat().st_mode & 0o777 == 0o600

    for other in ((start + np.float32(0.01), 1, 3), (start, 2, 3), (start, 1, 2)):
        told.clear()
        again = own_models(tmp_path).adapted(*other, lambda *each: told.append(each))
        assert len(told) == other[2]
        assert (again != first).any()


def test_extra_steps_are_taken_after_all_rounds_and_go_on_where_they_stopped(
    tmp_path: Path,
) -> None:
    def longer(folder: Path) -> OwnModels:
        return replace(own_models(folder), extra_steps=3)

    told: list[tuple[int, int]] = []
    longer(tmp_path / "cut").alone(STUDY.rounds - 1, nobody)
    steps = STUDY.local_steps
    went_on = longer(tmp_path / "cut").alone(STUDY.rounds, lambda *each: told.append(each))
    at_once = longer(tmp_path / "whole").alone(STUDY.rounds, nobody)

    assert told == [(each + 1, steps + 3) for each in range(steps + 3)]
    np.testing.assert_array_equal(went_on, at_once)
    # The schedule is one over all steps, not the study's with some more behind it.
    plain = own_models(tmp_path / "plain").alone(1, nobody)
    assert (longer(tmp_path / "first").alone(1, nobody) != plain).any()


def test_a_network_that_the_terms_do_not_describe_starts_from_what_is_given(
    tmp_path: Path,
) -> None:
    vector = initial_vector(NETWORK().manifest, 99)
    own = replace(own_models(tmp_path), initial=lambda: vector.copy())

    np.testing.assert_array_equal(own.alone(0, nobody), vector)
