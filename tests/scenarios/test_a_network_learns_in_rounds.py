"""The real network in the real round: capsule networks of four hospitals, averaged encrypted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.weights import specs
from peer_client.errors import SettingsError, StudyClaimError
from peer_client.evaluation.readings import thinned
from peer_client.evaluation.views import FEW_SLICES
from peer_client.rounds.lineage import initial_model
from peer_client.serving.exported import export_model, facts_of, network_with
from peer_client.serving.local_training import LocalTraining, seed_of
from peer_client.serving.starting_model import (
    exported_shared,
    shown_starting_model,
    starting_weights,
    take_starting_model,
)
from peer_client.storage.study_store import StudyStore
from peer_client.studies.study_file import initial_shared, weights_of
from peer_client.update import model_digest
from tests.support.hospitals import MSPS, MemoryConsortium, play
from tests.support.tiny_network import NETWORK, cohort, slices, study

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    consortium = MemoryConsortium(tmp_path_factory.mktemp("tiny"), study())
    for number, msp in enumerate(MSPS):
        masks = consortium.study.hospitals[number].has_masks == 1
        patients = cohort(number, masks=masks)
        trainer = LocalTraining(consortium.study, msp, patients, consortium.store(msp))
        consortium.trainers[msp] = trainer  # type: ignore[assignment]
    consortium.agree()
    for number in (1, 2):
        draw = lambda: initial_shared(consortium.study)  # noqa: E731
        parts = {msp: consortium.part(msp, number, initial=draw) for msp in MSPS}
        play(consortium, parts)
    yield consortium
    consortium.close()


def test_two_rounds_are_published_with_metrics_of_every_hospital(played: Any) -> None:
    for number in (1, 2):
        records = played.records(number)
        assert records.record.state == "PUBLISHED"
        assert set(records.confirmations) == set(MSPS)
        for msp, confirmation in records.confirmations.items():
            metrics = confirmation.metrics_ppm
            assert {"auc_before", "auc_after", "validation_patients"} <= set(metrics)
            assert ("dice_after" in metrics) == (msp != MSPS[1])


def test_personal_tensors_never_leave_their_hospital(played: Any) -> None:
    shared = played.study.parameters
    whole = sum(weight.size for weight in played.study.weights)
    personal = [played.store(msp).personal_folder / "weights.bin" for msp in MSPS]

    assert shared < whole
    assert played.store(MSPS[0]).read_model(2).weights.shape == (shared,)
    contents = {path.read_bytes() for path in personal}
    assert len(contents) == len(MSPS)


def test_moments_are_kept_for_the_next_round_and_older_ones_removed(played: Any) -> None:
    names = sorted(path.name for path in played.store(MSPS[0]).personal_folder.glob("moments-*"))

    assert names == ["moments-000001.bin", "moments-000002.bin"]


def test_seeds_differ_by_hospital_and_by_round() -> None:
    terms = study()

    seeds = {seed_of(terms, msp, number) for msp in MSPS for number in (1, 2, 3)}

    assert len(seeds) == 12


def test_a_patient_counts_with_at_most_twelve_slices_and_all_masks() -> None:
    many = slices(1, patients=2)
    rows = np.concatenate([np.tile(np.arange(3), 10), np.arange(3, 6)])
    found = thinned(
        replace(
            many,
            images=many.images[rows],
            labels=many.labels[rows],
            patients=tuple(many.patients[row] for row in rows),
            files=tuple(str(n) for n in range(len(rows))),
            parts=("part",) * len(rows),
            masks=many.masks[:1],
            mask_index=np.array([32]),
            lung_found=many.lung_found[rows],
            digests=many.digests[rows],
            fingerprints=many.fingerprints[rows],
        ),
        FEW_SLICES,
    )

    assert found.patients.count("p1-0") == 12
    assert found.patients.count("p1-1") == 3
    assert len(found.masks) == 1


def test_a_later_study_starts_from_the_model_that_an_earlier_one_exported(
    played: Any, tmp_path: Path
) -> None:
    earlier = played.study
    model = played.store(MSPS[0]).read_model(2)
    file = exported(played, tmp_path)
    start = exported_shared(file, earlier.weights)
    later = replace(earlier, study="later", initial_model_sha256=model_digest(start))
    store = StudyStore(tmp_path / "later")

    tensors = shown_starting_model(later, store, file)
    take_starting_model(later, store, file)

    assert tensors is not None
    assert {each.outlying for each in tensors} == {()}  # honestly trained
    assert shown_starting_model(later, store, None) == tensors  # from the model kept
    assert shown_starting_model(earlier, store, None) is None  # drawn from its seed
    np.testing.assert_array_equal(starting_weights(later, store), model.weights)
    assert initial_model(later, starting_weights(later, store)).round_number == 0


def test_a_study_takes_no_other_model_than_the_one_its_record_names(
    played: Any, tmp_path: Path
) -> None:
    file = exported(played, tmp_path)
    store = StudyStore(tmp_path / "first")

    with pytest.raises(StudyClaimError, match="not the one of study"):
        take_starting_model(played.study, store, file)

    assert store.read_model(0) is None


def test_a_file_of_another_network_is_refused(played: Any, tmp_path: Path) -> None:
    file = exported(played, tmp_path)
    others = weights_of(specs(replace(NETWORK, stem_channels=16)), 2)

    with pytest.raises(SettingsError, match="another network"):
        exported_shared(file, others)


def exported(played: Any, folder: Path) -> Path:
    """Return the file of the model after round 2, as `model export` writes it."""
    store = played.store(MSPS[0])
    model = store.read_model(2)
    facts = facts_of(played.study, model, MSPS[0])
    return export_model(network_with(played.study, model, store), facts, folder / "model.keras")[0]
