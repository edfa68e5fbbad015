"""A served model on disk: one Keras file, and beside it what it needs to predict.

    <hospital>.keras   the network, with the weights whose lesion maps are served
    <hospital>.json    members, calibration, thresholds, label scheme, validation figures
    <hospital>.npz     weights of every member, and the training manifest (hashes)

The Keras file alone is a whole network; the JSON says which one the hospital decides with. Files
that do not belong together (their digests are in the JSON) are refused.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from model.decision import Decision
from model.errors import EvaluationError
from peer_client.errors import StoreError
from peer_client.evaluation.errors import ServedModelError
from peer_client.evaluation.scores import PATIENT_RULE, EnsembleMember
from peer_client.serving.choice import Choice
from peer_client.serving.manifest import TrainingManifest
from peer_client.storage.arrays import read_arrays
from peer_client.storage.study_store import JSON_BYTES_MAX, read_file, write_file
from peer_client.studies.wording import RESEARCH_USE

if TYPE_CHECKING:
    from model.network import SliceNetwork

FORMAT = 1
#: Weights of all members, and 48 bytes for each training picture.
ARRAYS_BYTES_MAX: Final = 512 * 1024 * 1024
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error)
KIND = "served model"
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LabelScheme:
    """What a hospital's labels mean."""

    positive: str
    negative: str


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A network and how this hospital decides with it.

    Attributes:
        net: The network; its weights are those of the mask member.
        hospital: Whose model it is.
        labels: What the labels mean there.
        choice: Members, calibration, thresholds, grounds.
        vectors: Weights of each member, float32, each of shape `(values,)`.
        manifest: What it was trained and chosen on.
        training: How it was trained, for people (encryption on or off, rounds, steps).
    """

    net: SliceNetwork
    hospital: str
    labels: LabelScheme
    choice: Choice
    vectors: Mapping[str, Vector]
    manifest: TrainingManifest
    training: Mapping[str, Any]


def save_served(served: ServedModel, path: Path) -> tuple[Path, ...]:
    """Write a served model's three files.

    Args:
        served: The model.
        path: Of the Keras file; ends in `.keras`.

    Returns:
        The files.

    Raises:
        StoreError: The disk is full, or the folder cannot be written.
    """
    from model.files import save
    from model.weights import set_vector

    beside = path.with_suffix(".json"), path.with_suffix(".npz")
    set_vector(served.net, served.vectors[served.choice.mask_member])
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    save(served.net, path)
    path.chmod(0o600)
    arrays = _arrays(served)
    write_file(beside[1], arrays)
    facts = {**_facts(served), "npz_sha256": hashlib.sha256(arrays).hexdigest()}
    write_file(beside[0], json.dumps(facts, indent=1, sort_keys=True).encode())
    return (path, *beside)


def export_served(path: Path, output: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Copy a served model's three files to another name.

    Args:
        path: Of the Keras file.
        output: Of the Keras file to write; ends in `.keras`.

    Returns:
        The facts beside it, and the files written.

    Raises:
        ServedModelError: A file is absent, damaged or belongs to another model.
        StoreError: The disk is full, or the folder cannot be written.
    """
    files = save_served(load_served(path), output)
    facts = read_facts(output)
    assert facts is not None  # noqa: S101 - written a moment ago
    return facts, files


def load_served(path: Path) -> ServedModel:
    """Read what `save_served` wrote.

    Raises:
        ServedModelError: A file is absent, damaged or belongs to another model.
        ModelFileError: The Keras file is absent or damaged.
    """
    from model.files import load

    facts = read_facts(path)
    if facts is None:
        raise ServedModelError(f"{path.with_suffix('.json')} is not that of a served model")
    content = _content(path.with_suffix(".npz"), ARRAYS_BYTES_MAX)
    if hashlib.sha256(content).hexdigest() != facts.get("npz_sha256"):
        raise ServedModelError(f"{path.with_suffix('.npz')} is not the one {path.stem}.json names")
    try:
        choice, labels = _choice(facts), LabelScheme(**facts["labels"])
        hospital, training = str(facts["hospital"]), dict(facts["training"])
    except (KeyError, TypeError, ValueError, EvaluationError) as error:
        raise ServedModelError(f"{path.with_suffix('.json')} is damaged: {error}") from error
    vectors, manifest = _read_arrays(content, path.with_suffix(".npz"))
    return ServedModel(load(path), hospital, labels, choice, vectors, manifest, training)


def read_facts(path: Path) -> dict[str, Any] | None:
    """Return the facts beside a Keras file; nothing where it is no served model.

    Raises:
        ServedModelError: The JSON beside it cannot be read.
    """
    beside = path.with_suffix(".json")
    if not beside.exists():
        return None
    try:
        facts: dict[str, Any] = json.loads(_content(beside, JSON_BYTES_MAX))
    except (ValueError, RecursionError) as error:
        raise ServedModelError(f"{beside} cannot be read") from error
    return facts if isinstance(facts, dict) and facts.get("kind") == KIND else None


def _content(path: Path, bytes_max: int) -> bytes:
    """Read one of the files beside the network, bounded."""
    try:
        content = read_file(path, bytes_max)
    except StoreError as error:
        raise ServedModelError(str(error)) from error
    if content is None:
        raise ServedModelError(f"cannot read {path}")
    return content


def _facts(served: ServedModel) -> dict[str, Any]:
    choice = served.choice
    return {
        "format": FORMAT,
        "kind": KIND,
        "hospital": served.hospital,
        "labels": asdict(served.labels),
        "choice": {**asdict(choice), "decision": choice.decision.to_dict()},
        "patient_rule": PATIENT_RULE,
        "calibration_note": (
            f"fitted on {choice.decision.calibration.patients} validation patients, of whom "
            f"{100 * choice.decision.calibration.prevalence:.0f} % had the finding; "
            "holds for that mix only"
        ),
        "training": dict(served.training),
        "manifest": {
            "patients": len(served.manifest.patients),
            "pictures": len(served.manifest.digests),
        },
        "use": RESEARCH_USE,
    }


def _choice(facts: Mapping[str, Any]) -> Choice:
    found = facts["choice"]
    return Choice(
        name=str(found["name"]),
        members=tuple(EnsembleMember(**each) for each in found["members"]),
        mask_member=str(found["mask_member"]),
        auc_validation=dict(found["auc_validation"]),
        dice_validation=dict(found["dice_validation"]),
        decision=Decision.from_dict(found["decision"]),
    )


def _arrays(served: ServedModel) -> bytes:
    names = sorted(served.vectors)
    buffer = BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        names=np.array(names),
        vectors=np.stack([served.vectors[name] for name in names]),
        patients=served.manifest.patients,
        digests=served.manifest.digests,
        fingerprints=served.manifest.fingerprints,
    )
    return buffer.getvalue()


def _read_arrays(content: bytes, path: Path) -> tuple[dict[str, Vector], TrainingManifest]:
    try:
        stored = read_arrays(BytesIO(content), ARRAYS_BYTES_MAX)
        vectors = dict(zip(stored["names"].tolist(), stored["vectors"], strict=True))
        return vectors, TrainingManifest(
            stored["patients"], stored["digests"], stored["fingerprints"]
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, *_DAMAGED) as error:
        raise ServedModelError(f"{path} is damaged") from error
