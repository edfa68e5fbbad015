from __future__ import annotations

from pathlib import Path

import pytest

from peer_client.ct.errors import DataFolderError, HospitalFileError
from peer_client.ct.hospitals import Split, hospital_named, parse_hospitals, read_hospitals

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"

GOOD = """format: 1
hospitals:
  - name: north
    member: north
    label_positive: pneumonia
    label_negative: sound
    has_masks: true
    classes:
      - part: a
    masks:
      - {part: b, sites: [Home, "Far, away"], folds: [0, 1], mask_values: lesion}
    split: {train: [0, 1], validation: [2], test: [3], seed: 4, groups: 4}
"""


def test_a_good_file_says_all_of_it() -> None:
    (hospital,) = parse_hospitals(GOOD, name="h.yaml")

    assert hospital.msp_id == "northMSP"
    assert hospital.masks[0].sites == ("Home", "Far, away")
    assert hospital.masks[0].folds == (0, 1)
    assert hospital.masks[0].mask_values == "lesion"
    assert hospital.split == Split((0, 1), (2,), (3,), 4, 4)
    assert hospital.line == 3


@pytest.mark.parametrize("name", ["real_ct.yaml", "phantoms.yaml"])
def test_the_examples_are_four_hospitals_of_the_same_members(name: str) -> None:
    hospitals = read_hospitals(EXAMPLES / name)

    assert [one.member for one in hospitals] == ["ucsd", "saopaulo", "moscow1", "moscow2"]
    assert [one.has_masks for one in hospitals] == [True, True, True, False]
    assert all((one.phantoms is None) == (name == "real_ct.yaml") for one in hospitals)


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("format: 1", "format: 2", 1, "format is 2"),
        ("format: 1\n", "", 1, "key `format` is missing"),
        ("member: north", "members: north", 4, "did you mean `member`"),
        ("member: north", "member: north\n    extra: 1", 5, "unknown key `extra`"),
        ("member: north", "member: north\n    member: south", 5, "key `member` stands here twice"),
        ("name: north", "name: no/rth", 3, "name: `no/rth` must be a word"),
        ("has_masks: true", "has_masks: maybe", 7, "allowed: false, true"),
        ("has_masks: true", "has_masks: false", 7, "cannot say has_masks: false"),
        ("- part: a", "- a", 9, "where keys are expected"),
        ("classes:\n      - part: a", "classes: []", 8, "classes: a list of at least 1"),
        ("folds: [0, 1]", "folds: [x]", 11, "not an integer"),
        ("mask_values: lesion", "mask_values: some", 11, "allowed: kinds, lesion"),
        ("validation: [2]", "validation: [1]", 12, "fold 1 lies in two splits"),
        ("groups: 4", "groups: 3", 12, "folds 0 to 2"),
        ("seed: 4", "seed: -4", 12, "seed: -4 is not from 0"),
        ("split: {", "split: [", 12, "line 12"),
    ],
)
def test_a_mistake_is_named_by_its_line(old: str, new: str, line: int, what: str) -> None:
    with pytest.raises(HospitalFileError, match=f"line {line}") as caught:
        parse_hospitals(GOOD.replace(old, new, 1), name="h.yaml")

    assert what in str(caught.value)


def test_two_hospitals_of_one_member_are_refused() -> None:
    twice = GOOD + GOOD[GOOD.index("  - name") :].replace("name: north", "name: other")

    with pytest.raises(
        HospitalFileError, match="member 'north' is taken by the hospital in line 3"
    ):
        parse_hospitals(twice, name="h.yaml")


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "format: 1", "a: &x [*x]", "\t- :", "!!python/x {}"]
)
def test_text_that_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(HospitalFileError):
        parse_hospitals(text, name="h.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match=r"gone\.yaml"):
        read_hospitals(tmp_path / "gone.yaml")


def test_a_hospital_is_found_by_name_member_and_msp() -> None:
    hospitals = parse_hospitals(GOOD, name="h.yaml")

    assert hospital_named(hospitals, "northMSP") is hospitals[0]
    with pytest.raises(HospitalFileError, match="the file has north"):
        hospital_named(hospitals, "east")


def test_five_rotations_test_every_fold_once() -> None:
    splits = [Split().rotated(by) for by in range(5)]

    assert sorted(fold for split in splits for fold in split.test) == [0, 1, 2, 3, 4]
    for split in splits:
        assert sorted((*split.train, *split.validation, *split.test)) == [0, 1, 2, 3, 4]
