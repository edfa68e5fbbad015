"""Readings: which slices are read, and what is kept of the answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from peer_client.ct.cohort import SliceSet
from peer_client.evaluation.readings import read_slices, thinned
from peer_client.evaluation.views import log_odds


def slices(patients: list[str], labels: list[int], masked: list[int]) -> SliceSet:
    count = len(patients)
    masks = np.zeros((len(masked), 4, 4), np.uint8)
    masks[:, 0, :2] = 3
    return SliceSet(
        images=np.linspace(0, 1, count, dtype=np.float32)[:, None, None, None]
        * np.ones((1, 4, 4, 1), np.float32),
        labels=np.array(labels, np.int64),
        patients=tuple(patients),
        files=tuple(str(number) for number in range(count)),
        parts=("p",) * count,
        masks=masks,
        mask_index=np.array(masked, np.int64),
        lung_found=np.ones(count, bool),
        digests=np.zeros((count, 32), np.uint8),
        fingerprints=np.zeros((count, 32), np.uint8),
    )


def reader(
    images: NDArray[np.float32], few: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Probability is the picture's grey; the first pixel of each picture is lesion."""
    lesion = np.zeros(images.shape[:3], np.float32)
    lesion[:, 0, 0] = 1.0
    return log_odds(images[:, 0, 0, 0]), lesion


def test_slices_without_a_label_count_for_their_masks_only() -> None:
    found = read_slices(reader, slices(["a", "b", "m"], [0, 1, -1], [2]))
    assert found.patients == ("a", "b")
    assert found.mask_patients == ("m",)
    assert found.mask_areas.tolist() == [[1, 1, 2]]


def test_certain_answers_stay_finite() -> None:
    found = read_slices(reader, slices(["a", "b"], [0, 1], []))
    assert np.isfinite(found.logits).all()
    assert found.logits[0] < -10
    assert found.logits[1] > 10
    assert found.lesion_share.tolist() == pytest.approx([1 / 16, 1 / 16])


def test_patients_with_few_slices_are_read_in_all_views_and_no_others() -> None:
    asked: list[list[bool]] = []

    def noting(
        images: NDArray[np.float32], few: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        asked.append(few.tolist())
        return reader(images, few)

    given = slices(["many"] * 13 + ["few"] * 2 + ["mask only"], [0] * 13 + [1] * 2 + [-1], [15])
    read_slices(noting, given)
    read_slices(noting, given, views=False)
    assert asked == [[False] * 13 + [True] * 2 + [False], [False] * 16]


def test_nothing_to_read_gives_an_empty_reading() -> None:
    found = read_slices(reader, slices([], [], []))
    assert len(found.logits) == 0
    assert found.mask_areas.shape == (0, 3)


def test_thinning_spreads_over_a_patient_and_keeps_every_mask() -> None:
    given = slices(["a"] * 9 + ["m"], [1] * 9 + [-1], [9])
    found = thinned(given, 3)
    assert found.files == ("0", "4", "8", "9")
    assert len(found.mask_index) == 1
