"""The model that a hospital uses of a study: what its client chose to serve, else the one in force.

What is served belongs to one model in force (its digest is among the served model's facts); when
the study has moved on, the older choice is not used.
"""

from __future__ import annotations

from chaincode.study import Study
from peer_client.models import current_model, facts_of, network_with
from peer_client.personal.reading import Decider
from peer_client.personal.served import LabelScheme
from peer_client.report import short_name
from peer_client.store import StudyStore


def federated_decider(study: Study, store: StudyStore, msp_id: str, model_sha256: str) -> Decider:
    """Return the study's model in force with this hospital's personal tensors, nothing fitted.

    Args:
        study: The study's terms.
        store: Its files here.
        msp_id: This hospital.
        model_sha256: Digest of the model in force, from the ledger.

    Raises:
        NoModelError: The model is not here.
    """
    model = current_model(store, model_sha256)
    facts = facts_of(study, model, msp_id)
    name = f"{short_name(msp_id)}, round {model.round_number} of {study.study}"
    labels = LabelScheme(facts.label_positive, facts.label_negative)
    return Decider(name, network_with(study, model, store), None, labels)
