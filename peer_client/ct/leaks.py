"""Find what lies on both sides of a split: patients, identical pictures, near-identical ones.

A check here raises `SplitLeakError`, which names what was found; it never repairs a split.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.errors import SplitLeakError
from peer_client.ct.fingerprint import NEAR_BITS, nearest
from peer_client.ct.index import Item


def check_patients_apart(items: Sequence[Item]) -> None:
    """Check that all rows of a patient have the same fold.

    Raises:
        SplitLeakError: They have not.
    """
    first: dict[str, Item] = {}
    for item in items:
        known = first.setdefault(item.patient, item)
        if known.fold != item.fold:
            raise SplitLeakError(
                f"patient {item.patient!r} is in fold {known.fold} (index.csv line {known.line}) "
                f"and in fold {item.fold} (line {item.line})",
                (item.patient,),
            )


def check_pictures_apart(
    digests: NDArray[np.uint8], sides: Sequence[str], files: Sequence[str]
) -> None:
    """Check that no picture lies in two splits, or at two hospitals.

    Args:
        digests: uint8, shape `(n, 32)`: SHA-256 of size and pixels of each picture.
        sides: The n splits (or hospitals) the pictures are in.
        files: The n names of the pictures.

    Raises:
        SplitLeakError: The same picture is on two sides.
    """
    first: dict[bytes, int] = {}
    for row, side in enumerate(sides):
        known = first.setdefault(digests[row].tobytes(), row)
        if sides[known] != side:
            raise SplitLeakError(
                f"{files[known]} ({sides[known]}) and {files[row]} ({side}) are the same picture",
                (files[known], files[row]),
                "Give the two the same patient name in index.csv, or take one of them out.",
            )


def check_apart_from_training(
    patients: Sequence[str],
    files: Sequence[str],
    digests: NDArray[np.uint8],
    fingerprints: NDArray[np.uint8],
    *,
    trained_patients: frozenset[str],
    trained_digests: NDArray[np.uint8],
    trained_fingerprints: NDArray[np.uint8],
    near_bits: int = NEAR_BITS,
) -> None:
    """Check that pictures to be judged share no patient and no picture with a model's training.

    Args:
        patients: The n patients of the pictures to be judged.
        files: Their n names.
        digests: uint8, shape `(n, 32)`.
        fingerprints: uint8, shape `(n, 32)`.
        trained_patients: Names of the patients the model was trained or chosen with.
        trained_digests: uint8, shape `(m, 32)`.
        trained_fingerprints: uint8, shape `(m, 32)`.
        near_bits: Greatest distance of 256 bits that is called near-identical.

    Raises:
        SplitLeakError: They do; up to 20 patients or pictures are named.
    """
    shared = sorted(set(patients) & trained_patients)
    if shared:
        raise SplitLeakError(
            f"{len(shared)} patients were in the model's training: {_some(shared)}",
            tuple(shared),
            "Judge the model on patients it has never seen.",
        )
    if not len(trained_digests) or not len(files):
        return
    known = {row.tobytes() for row in trained_digests}
    same = [file for file, row in zip(files, digests, strict=True) if row.tobytes() in known]
    if same:
        raise SplitLeakError(
            f"{len(same)} pictures were in the model's training: {_some(same)}",
            tuple(same),
            "Judge the model on pictures it has never seen.",
        )
    _, distance = nearest(fingerprints, trained_fingerprints)
    near = [file for file, bits in zip(files, distance.tolist(), strict=True) if bits <= near_bits]
    if near:
        raise SplitLeakError(
            f"{len(near)} pictures are nearly identical to pictures of the model's training: "
            f"{_some(near)}",
            tuple(near),
            "Judge the model on pictures it has never seen, or take these out.",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
