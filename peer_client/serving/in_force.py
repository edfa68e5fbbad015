"""The model that a hospital uses of a study: what its client chose to serve, else the one in force.

What is served belongs to one shared model (its digest is among the served model's facts). When the
study has moved on without this hospital choosing again, the older choice is not used.
"""

from __future__ import annotations

from pathlib import Path

from chaincode.records.study import Study
from peer_client.serving.exported import current_model, facts_of, network_with
from peer_client.serving.predictor import Predictor, open_predictor
from peer_client.serving.served import LabelScheme, read_facts
from peer_client.storage.study_store import StudyStore
from peer_client.studies.wording import short_name


def predictor_in_force(
    study: Study, store: StudyStore, msp_id: str, model_sha256: str
) -> Predictor:
    """Return what this hospital decides with after the model in force.

    Args:
        study: The study's terms.
        store: Its files here.
        msp_id: This hospital.
        model_sha256: Digest of the model in force, from the ledger.

    Raises:
        NoModelError: The model is not here.
        ServedModelError: What was chosen is damaged.
    """
    served = served_file(store, model_sha256)
    if served is not None:
        return open_predictor(served)
    model = current_model(store, model_sha256)
    facts = facts_of(study, model, msp_id)
    name = f"{short_name(msp_id)}, round {model.round_number} of {study.study}"
    labels = LabelScheme(facts.label_positive, facts.label_negative)
    return Predictor(name, network_with(study, model, store), None, labels)


def served_file(store: StudyStore, model_sha256: str) -> Path | None:
    """Return the Keras file of what was chosen after a shared model, or nothing.

    Args:
        store: The study's files here.
        model_sha256: Digest of the shared model.
    """
    for path in sorted((store.personal_folder / "served").glob("*.keras"), reverse=True):
        facts = read_facts(path)
        if facts is not None and facts["training"].get("model_sha256") == model_sha256:
            return path
    return None
