"""A cell: one model's readings of one hospital's validation and test patients, kept for good.

    RESULTS/cells/short/f0s0/federated-ucsd.json

A cell is small enough to stay in the repository: one score, one lesion score and one label a
patient, and pixel counts of the masks; no image, no slice, no weights. So a run can be added to, on
another day or another machine, and every figure is made from all cells together.

Patients are named by HMAC-SHA-256 with a key that stays in the cache, cut to 48 bits. A plain hash
would not do, nor a salt in the repository: names of a dataset can be listed and hashed by anyone.
The same key gives the same name, so cells of one key are paired by patient. Cells of two keys
cannot be, and are refused; a run on another machine takes the key along (`--key`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from peer_client.evaluation.readings import LEAST_SHARE, Reading
from peer_client.evaluation.scores import by_lesions, by_patient
from peer_client.storage.study_store import read_file, write_file

FORMAT: Final = 1
KEY_BYTES: Final = 32
#: Of phantoms' names, which are nobody's: anyone can add to a run of phantoms.
PHANTOMS_KEY: Final = bytes(KEY_BYTES)
#: Hexadecimal digits of a hashed name: two of 2,000 patients meet with probability 1e-8.
NAME_DIGITS: Final = 12


class CellError(Exception):
    """A cell cannot be read, or not be compared with another."""


@dataclass(frozen=True)
class Cell:
    """What one model says of one hospital's patients.

    Attributes:
        readings: By "validation", "test" or "masks of <hospital>"; one row a patient, sorted by
            hashed name.
        facts: Who trained it, on what, for how long, with which programs.
    """

    readings: Mapping[str, Reading]
    facts: Mapping[str, Any]

    @property
    def masks_name(self) -> str | None:
        """Return the part with masks: "test", or "masks of" another hospital; None without."""
        for name, reading in sorted(self.readings.items(), key=lambda item: item[0] != "test"):
            if name != "validation" and len(reading.mask_areas):
                return name
        return None

    @property
    def masks(self) -> Reading | None:
        """Return the reading with masks: the hospital's own, or of the masks of another."""
        return self.readings[self.masks_name] if self.masks_name else None

    @property
    def known(self) -> dict[str, Any]:
        """Return the facts, and whose masks the lesion map is compared with."""
        name = self.masks_name
        return {**self.facts, "masks": "own" if name == "test" else name}


@dataclass(frozen=True)
class Cells:
    """The cells of one dataset.

    Attributes:
        folder: Where they are.
    """

    folder: Path

    def path(self, name: str) -> Path:
        """Return a cell's file."""
        return self.folder / f"{name}.json"

    def places(self, folder: str) -> list[str]:
        """Return the folds and seeds of which a folder has cells, e.g. "f0s0", sorted."""
        return sorted(path.name for path in (self.folder / folder).glob("f*s*"))

    def tags(self, folder: str, place: str, hospital: str) -> list[str]:
        """Return the tags of one fold and seed at a hospital, sorted."""
        end = f"-{hospital}"
        found = (self.folder / folder / place).glob(f"*{end}.json")
        return sorted(path.stem.removesuffix(end) for path in found)

    def facts(self, name: str) -> Mapping[str, Any] | None:
        """Return a cell's facts; None where there is no such cell."""
        document = self._document(name)
        return None if document is None else _facts(document)

    def read(self, name: str) -> Cell | None:
        """Return a cell; None where there is none.

        Raises:
            CellError: It is damaged, or of another format.
        """
        document = self._document(name)
        if document is None:
            return None
        try:
            readings = {part: _reading(value) for part, value in document["readings"].items()}
        except (KeyError, TypeError, ValueError) as error:
            raise CellError(f"{self.path(name)} is damaged: {error}") from error
        return Cell(readings, _facts(document))

    def write(self, name: str, readings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Keep a cell, whole or not at all.

        Args:
            name: As `benchmarks.evidence.plan.cell_name` gives it.
            readings: By part, each as `by_patients` gives it.
            facts: As JSON can hold them.
        """
        document = {"format": FORMAT, **dict(sorted(facts.items())), "readings": readings}
        path = self.path(name)
        write_file(path, _lines(document).encode())
        path.chmod(0o644)  # not secret, unlike a client's files

    def all(self) -> dict[str, Mapping[str, Any]]:
        """Return the facts of every cell, by name."""
        names = sorted(
            path.relative_to(self.folder).with_suffix("").as_posix()
            for path in self.folder.glob("*/f*s*/*.json")
        )
        return {name: facts for name in names if (facts := self.facts(name)) is not None}

    def _document(self, name: str) -> dict[str, Any] | None:
        content = read_file(self.path(name))
        if content is None:
            return None
        try:
            document: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise CellError(f"{self.path(name)} is damaged") from error
        if document.get("format") != FORMAT:
            raise CellError(
                f"{self.path(name)} is of format {document.get('format')}, not {FORMAT}"
            )
        return document


def kept_key(path: Path, entropy: Callable[[int], bytes] = os.urandom) -> bytes:
    """Return the key of the patients' names, drawn and kept at its first use.

    Args:
        path: Where it is kept, readable by its owner alone.
        entropy: Gives so many random bytes.

    Raises:
        CellError: The file is not a key.
    """
    content = read_file(path)
    if content is None:
        content = entropy(KEY_BYTES)
        write_file(path, content)
    if len(content) != KEY_BYTES:
        raise CellError(f"{path} is not a key of {KEY_BYTES} bytes")
    return content


def key_name(key: bytes) -> str:
    """Return what cells say of their key: which one, and nothing of it."""
    return hmac.new(key, b"capsule-consortium evidence key", hashlib.sha256).hexdigest()[:8]


def hashed(key: bytes, hospital: str, patient: str) -> str:
    """Return a patient's name in a cell.

    >>> hashed(bytes(32), "ucsd", "Patient 7") == hashed(bytes(32), "ucsd", "Patient 7")
    True
    >>> hashed(bytes(32), "ucsd", "Patient 7") == hashed(bytes(31) + b"1", "ucsd", "Patient 7")
    False
    """
    message = json.dumps([hospital, patient]).encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:NAME_DIGITS]


def by_patients(reading: Reading, key: bytes, hospital: str) -> dict[str, Any]:
    """Return a reading with one row a patient and hashed names, as a cell holds it.

    A patient's score is the mean log odds of the slices, and a mixture of models is linear in it,
    so nothing that is computed later needs the slices.

    Args:
        reading: Of slices.
        key: Of the names.
        hospital: Whose patients they are.
    """
    found: dict[str, Any] = {"patients": [], "labels": [], "scores": [], "lesions": []}
    if reading.patients:
        scores, lesions = by_patient(reading), by_patient(by_lesions(reading))
        names = [hashed(key, hospital, patient) for patient in scores.patients]
        order = sorted(range(len(names)), key=names.__getitem__)
        found = {
            "patients": [names[place] for place in order],
            "labels": [int(scores.labels[place]) for place in order],
            "scores": [round(float(scores.scores[place]), 5) for place in order],
            "lesions": [round(float(lesions.scores[place]), 5) for place in order],
        }
    masks = [
        [hashed(key, hospital, patient), *areas]
        for patient, areas in zip(reading.mask_patients, reading.mask_areas.tolist(), strict=True)
    ]
    # By name alone: a patient's masks stay in their order, the same in every cell.
    return {**found, "masks": sorted(masks, key=lambda mask: str(mask[0]))}


def _reading(value: Mapping[str, Any]) -> Reading:
    """Return a reading of one row a patient, as if each patient had one slice."""
    masks = value["masks"]
    return Reading(
        tuple(value["patients"]),
        np.array(value["labels"], np.int64),
        np.array(value["scores"], float),
        np.exp(np.array(value["lesions"], float)) - LEAST_SHARE,
        tuple(mask[0] for mask in masks),
        np.array([mask[1:] for mask in masks], np.int64).reshape(-1, 3),
    )


def _lines(document: Mapping[str, Any]) -> str:
    """Return JSON with a fact a line, and a part's column a line: small, and legible in a diff."""

    def joined(rows: list[str], left: str) -> str:
        return "{\n" + ",\n".join(left + row for row in rows) + "\n" + left[1:] + "}"

    def rows(values: Mapping[str, Any]) -> list[str]:
        return [f"{json.dumps(key)}:{_plain(value)}" for key, value in values.items()]

    parts = [
        f"{json.dumps(part)}:{joined(rows(columns), '   ')}"
        for part, columns in document["readings"].items()
    ]
    readings = joined(parts, "  ")
    facts = rows({key: value for key, value in document.items() if key != "readings"})
    return joined([*facts, f'"readings":{readings}'], " ") + "\n"


def _plain(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _facts(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("readings", "format")}
