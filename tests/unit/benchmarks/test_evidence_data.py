"""What a federation sees: cut by patient, masks withheld, labels turned; test patients stay."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

from benchmarks.evidence.data import cut, mislabelled, seen
from benchmarks.evidence.plan import View
from peer_client.ct.cohort import UNLABELLED, Cohort, SliceSet
from peer_client.ct.hospitals import HospitalData, Split
from peer_client.serving.local_training import training_slices

SIZE = 8
EXAMPLES = ("cells", "comparisons", "data", "plan", "report", "scores", "tables", "work")


def slices(name: str, patients: int, masked: int) -> SliceSet:
    """Return two slices a patient, half of the patients positive, and mask-only patients."""
    labels = [patient % 2 for patient in range(patients) for _ in (0, 1)]
    owners = [f"{name}{patient}" for patient in range(patients) for _ in (0, 1)]
    labels += [UNLABELLED] * masked
    owners += [f"{name}m{patient}" for patient in range(masked)]
    count = len(labels)
    return SliceSet(
        images=np.zeros((count, SIZE, SIZE, 1), np.float32),
        labels=np.array(labels, np.int64),
        patients=tuple(owners),
        files=tuple(str(number) for number in range(count)),
        parts=(name,) * count,
        masks=np.ones((masked, SIZE, SIZE), np.uint8),
        mask_index=np.arange(count - masked, count),
        lung_found=np.ones(count, bool),
        digests=np.zeros((count, 32), np.uint8),
        fingerprints=np.zeros((count, 32), np.uint8),
    )


@pytest.fixture
def parts() -> dict[str, SliceSet]:
    return {"a": slices("a", 12, 4), "b": slices("b", 8, 2), "c": slices("c", 20, 3),
            "d": slices("d", 40, 0)}  # fmt: skip


@pytest.fixture
def cohorts(parts: dict[str, SliceSet]) -> dict[str, Cohort]:
    test = slices("t", 4, 1)
    return {name: Cohort(hospital(name), part, test, test) for name, part in parts.items()}


def hospital(name: str) -> HospitalData:
    return HospitalData(name, name, "COVID-19", "other", True, (), (), Split(), None)


@pytest.mark.parametrize("count", [4, 6, 12])
def test_every_patient_is_in_one_piece_with_all_slices_and_masks(
    parts: dict[str, SliceSet], count: int
) -> None:
    found, pieces = cut(parts, count)
    assert len(found) == count
    for name, part in parts.items():
        mine = [found[piece] for piece, owner in pieces.items() if owner == name]
        assert sum(len(each) for each in mine) == len(part)
        assert sum(len(each.masks) for each in mine) == len(part.masks)
        owners = [set(each.patients) for each in mine]
        assert sum(map(len, owners)) == len(set().union(*owners))
        assert all({0, 1} <= set(each.labels.tolist()) for each in mine)


def test_what_is_left_over_goes_to_the_largest_hospitals_with_masks(
    parts: dict[str, SliceSet],
) -> None:
    _, pieces = cut(parts, 6)
    assert sorted(pieces) == ["a.1", "a.2", "b", "c.1", "c.2", "d"]


def test_cutting_is_the_same_every_time(parts: dict[str, SliceSet]) -> None:
    one, other = cut(parts, 12)[0], cut(parts, 12)[0]
    assert all(one[name].patients == other[name].patients for name in one)


def test_fewer_hospitals_than_there_are_is_refused(parts: dict[str, SliceSet]) -> None:
    with pytest.raises(ValueError, match="cannot be cut"):
        cut(parts, 3)


def test_withheld_masks_are_gone_with_their_slices_and_labels_stay(
    cohorts: dict[str, Cohort],
) -> None:
    world = seen(cohorts, View(masks_withheld="c"))
    has_masks = {name: each.hospital.has_masks for name, each in world.taking_part.items()}
    assert has_masks == {"a": True, "b": True, "c": False, "d": False}
    assert len(world.taking_part["c"].train.images) == 40
    assert UNLABELLED not in world.taking_part["c"].train.labels
    assert len(world.hospitals["c"].test.masks) == 1


def test_a_hospital_left_out_trains_nothing_and_is_still_read(cohorts: dict[str, Cohort]) -> None:
    world = seen(cohorts, View(without="d"))
    assert list(world.taking_part) == ["a", "b", "c"]
    assert "d" in world.hospitals


def test_wrong_labels_turn_a_fifth_of_the_labelled_patients_whole(
    parts: dict[str, SliceSet],
) -> None:
    right = parts["c"]
    wrong = mislabelled(right, 0.2)
    changed = {
        who
        for who, one, other in zip(right.patients, right.labels, wrong.labels, strict=True)
        if one != other
    }
    assert len(changed) == 4
    assert (np.asarray(right.labels) != wrong.labels).sum() == 8
    assert (wrong.labels[right.labels == UNLABELLED] == UNLABELLED).all()
    # The groups that batches are drawn from follow the labels.
    groups = training_slices(wrong).groups("class 1")
    assert sum(map(len, groups)) == (wrong.labels == 1).sum()


def test_pieces_are_hospitals_of_their_own_in_a_study(cohorts: dict[str, Cohort]) -> None:
    world = seen(cohorts, View(count=12))
    members = {each.hospital.msp_id for each in world.taking_part.values()}
    assert len(members) == 12
    assert {world.pieces[name] for name in world.taking_part} == set(cohorts)
    assert all(
        each.test is cohorts[world.pieces[name]].test for name, each in world.taking_part.items()
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_the_evidence_hold(name: str) -> None:
    assert not doctest.testmod(importlib.import_module(f"benchmarks.evidence.{name}")).failed
