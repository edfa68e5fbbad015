"""Which patients and pictures a model was trained and chosen on, as hashes.

Kept beside a served model, so that it is never judged on what it has seen. Patients' names are kept
as SHA-256: enough to recognise a name that is shown, and no list of patients. (Short names can be
guessed: the file stays at the hospital like the model itself.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.cohort import Cohort, SliceSet
from peer_client.ct.leaks import check_apart_from_training


@dataclass(frozen=True, slots=True, eq=False)
class TrainingManifest:
    """Hashes of everything a model has seen in training or choice.

    Attributes:
        patients: uint8, shape `(k, 32)`: SHA-256 of each patient's name.
        digests: uint8, shape `(m, 32)`: SHA-256 of each picture's size and pixels.
        fingerprints: uint8, shape `(m, 32)`: see `peer_client.ct.fingerprint`.
    """

    patients: NDArray[np.uint8]
    digests: NDArray[np.uint8]
    fingerprints: NDArray[np.uint8]

    def knows(self, patient: str) -> bool:
        """Return whether a patient was seen."""
        return bool((self.patients == patient_hash(patient)).all(axis=1).any())

    def check_apart(self, slices: SliceSet) -> None:
        """Check that slices to be judged were not seen.

        Raises:
            SplitLeakError: A patient, a picture or a near-identical picture was; they are named.
        """
        seen = frozenset(patient for patient in set(slices.patients) if self.knows(patient))
        check_apart_from_training(
            slices.patients,
            slices.files,
            slices.digests,
            slices.fingerprints,
            trained_patients=seen,
            trained_digests=self.digests,
            trained_fingerprints=self.fingerprints,
        )


def patient_hash(patient: str) -> NDArray[np.uint8]:
    """Return SHA-256 of a patient's name, uint8, shape `(32,)`."""
    return np.frombuffer(hashlib.sha256(patient.encode()).digest(), np.uint8)


def manifest_of(cohorts: Sequence[Cohort]) -> TrainingManifest:
    """Return the manifest of a model trained and chosen on these hospitals' patients.

    Args:
        cohorts: Usually one; in a simulation all hospitals that took part.
    """
    parts = [part for cohort in cohorts for part in (cohort.train, cohort.validation)]
    patients = sorted({patient for part in parts for patient in part.patients})
    hashes = np.stack([patient_hash(patient) for patient in patients])
    return TrainingManifest(
        hashes,
        np.concatenate([part.digests for part in parts]),
        np.concatenate([part.fingerprints for part in parts]),
    )
