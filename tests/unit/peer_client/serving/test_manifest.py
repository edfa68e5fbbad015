"""A model is never judged on what it has seen."""

from __future__ import annotations

import numpy as np
import pytest

from peer_client.ct.cohort import SliceSet
from peer_client.ct.errors import SplitLeakError
from peer_client.inference.evaluate import without_seen
from peer_client.serving.manifest import TrainingManifest, patient_hash


def slices(names: list[str], seed: int) -> SliceSet:
    """One random slice a patient."""
    rng = np.random.default_rng(seed)
    count = len(names)
    return SliceSet(
        images=rng.random((count, 16, 16, 1), dtype=np.float32),
        labels=np.arange(count) % 2,
        patients=tuple(names),
        files=tuple(f"{name}.png" for name in names),
        parts=("part",) * count,
        masks=np.zeros((0, 16, 16), np.uint8),
        mask_index=np.zeros(0, np.int64),
        lung_found=np.ones(count, bool),
        digests=rng.integers(0, 256, (count, 32), dtype=np.uint8),
        fingerprints=rng.integers(0, 256, (count, 32), dtype=np.uint8),
    )


def manifest(seen: SliceSet) -> TrainingManifest:
    return TrainingManifest(
        np.stack([patient_hash(patient) for patient in seen.patients]),
        seen.digests,
        seen.fingerprints,
    )


def test_a_shared_patient_is_refused_by_name() -> None:
    seen = manifest(slices(["anna", "bert"], 0))
    with pytest.raises(SplitLeakError, match="bert"):
        seen.check_apart(slices(["bert", "carl"], 1))


def test_a_shared_picture_under_another_name_is_refused_by_file() -> None:
    trained = slices(["anna", "bert"], 0)
    judged = slices(["dora", "emil"], 0)  # the same digests
    with pytest.raises(SplitLeakError, match=r"dora\.png"):
        manifest(trained).check_apart(judged)


def test_a_near_identical_picture_is_refused() -> None:
    trained, judged = slices(["anna", "bert"], 0), slices(["dora", "emil"], 1)
    judged.fingerprints[1] = trained.fingerprints[0]
    judged.fingerprints[1, 0] ^= 0b00000111
    with pytest.raises(SplitLeakError, match=r"emil\.png"):
        manifest(trained).check_apart(judged)


def test_other_patients_and_pictures_pass() -> None:
    manifest(slices(["anna", "bert"], 0)).check_apart(slices(["dora", "emil"], 1))


def test_a_manifest_holds_no_name() -> None:
    seen = manifest(slices(["anna-of-the-north"], 0))
    assert b"anna" not in seen.patients.tobytes()
    assert seen.knows("anna-of-the-north")
    assert not seen.knows("anna")


def test_leaving_out_takes_every_slice_of_a_seen_patient() -> None:
    seen = manifest(slices(["anna", "bert"], 0))
    judged = slices(["bert", "carl", "dora"], 1)
    kept, lost = without_seen({"part": judged}, seen)
    assert kept["part"].patients == ("carl", "dora")
    assert lost == {"part": 1}
    seen.check_apart(kept["part"])


def test_a_part_of_seen_patients_only_is_dropped_and_counted() -> None:
    seen = manifest(slices(["anna"], 0))
    kept, lost = without_seen({"part": slices(["anna"], 1)}, seen)
    assert kept == {}
    assert lost == {"part": 1}
