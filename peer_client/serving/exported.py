"""A hospital's current model as a file that needs nothing else: export, and read again.

The file is Keras' own; beside it lies a JSON with study, round, digest and what the labels mean.
Exporting changes nothing; reading refuses weights whose digest is not the one written beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaincode.records.study import Study
from peer_client.errors import NoModelError
from peer_client.storage.study_store import (
    JSON_BYTES_MAX,
    ModelState,
    StudyStore,
    read_file,
    write_file,
)
from peer_client.studies.study_file import network_of, shared_places
from peer_client.studies.wording import RESEARCH_USE
from peer_client.update import model_digest

if TYPE_CHECKING:
    from model.network import SliceNetwork


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is written beside an exported model.

    Attributes:
        study: The study.
        round_number: The round that published the shared weights, 0 for the initial ones.
        model_sha256: Digest of the shared weights, as on the ledger.
        msp_id: The hospital whose personal tensors are in it.
        label_positive: What label 1 means.
        label_negative: What label 0 means at this hospital.
    """

    study: str
    round_number: int
    model_sha256: str
    msp_id: str
    label_positive: str
    label_negative: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "format": 1,
            "study": self.study,
            "round": self.round_number,
            "model_sha256": self.model_sha256,
            "hospital": self.msp_id,
            "label_positive": self.label_positive,
            "label_negative": self.label_negative,
            "use": RESEARCH_USE,
        }


def exported_facts(path: Path) -> ModelFacts | None:
    """Return the facts beside an exported model; nothing where there are none.

    Args:
        path: The Keras file.
    """
    content = read_file(path.with_suffix(".json"), JSON_BYTES_MAX)
    if content is None:
        return None
    try:
        facts = json.loads(content)
        return ModelFacts(
            study=str(facts["study"]),
            round_number=int(facts["round"]),
            model_sha256=str(facts["model_sha256"]),
            msp_id=str(facts["hospital"]),
            label_positive=str(facts["label_positive"]),
            label_negative=str(facts["label_negative"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None  # another program's file, or one written by hand: the network is whole


def current_model(store: StudyStore, model_sha256: str) -> ModelState:
    """Return the model of that digest from the store.

    Args:
        store: The study's files.
        model_sha256: Digest of the model in force, from the ledger.

    Raises:
        NoModelError: It is not here; this hospital has not followed the study that far.
    """
    for number in reversed(store.model_rounds()):
        model = store.read_model(number)
        if model is not None and model_digest(model.weights) == model_sha256:
            return model
    raise NoModelError(
        f"the study's model in force ({model_sha256[:16]}) is not in this hospital's store: it has "
        "not followed the study that far, or no round has been accepted yet"
    )


def network_with(study: Study, model: ModelState, store: StudyStore) -> SliceNetwork:
    """Return the study's network with a model's weights and this hospital's personal ones."""
    from model.capsnet import build
    from model.weights import set_vector
    from peer_client.serving.local_training import whole_vector

    net = build(network_of(study), seed=study.seed)
    whole = whole_vector(study, store, shared_places(study.weights), model.weights)
    set_vector(net, whole)
    return net


def facts_of(study: Study, model: ModelState, msp_id: str) -> ModelFacts:
    """Return what is written beside a model."""
    hospital = study.hospital(msp_id)
    return ModelFacts(
        study=study.study,
        round_number=model.round_number,
        model_sha256=model_digest(model.weights),
        msp_id=msp_id,
        label_positive=str(study.label_scheme.get("positive", "")),
        label_negative=hospital.label_negative if hospital else "",
    )


def export_model(net: SliceNetwork, facts: ModelFacts, path: Path) -> tuple[Path, Path]:
    """Write a model and its facts; return the two files.

    Args:
        net: The network with its weights.
        facts: What it is.
        path: Ends in `.keras`.
    """
    from model.files import save

    beside = path.with_suffix(".json")
    save(net, path)
    write_file(beside, json.dumps(facts.to_json(), indent=1, sort_keys=True).encode())
    return path, beside


def read_exported(path: Path) -> SliceNetwork:
    """Return an exported network.

    Raises:
        NoModelError: There is no such file.
        ModelFileError: It cannot be read.
    """
    from model.files import load

    if not path.exists():
        raise NoModelError(f"there is no model file {path}")
    return load(path)
