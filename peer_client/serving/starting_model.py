"""What a study starts from: weights drawn from its seed, or the shared part of an earlier model.

A study that takes up another one's model (hospitals that come later, a new question for the same
network) names that model by its digest, in the record that all approve. The weights themselves go
round as an exported file, and are kept in the store as the model of round 0. Nothing is taken that
is not the one agreed on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peer_client.errors import SettingsError, StudyClaimError
from peer_client.rounds.lineage import initial_model
from peer_client.serving.exported import read_exported
from peer_client.serving.served import read_facts
from peer_client.serving.starting_statistics import TensorStatistics, starting_statistics
from peer_client.studies.study_file import initial_shared, shared_part
from peer_client.update import model_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from chaincode.records.study import Study, Weight
    from peer_client.storage.study_store import StudyStore


def exported_shared(path: Path, weights: Sequence[Weight]) -> NDArray[np.float32]:
    """Return the shared weights of an exported model.

    Args:
        path: A file of `hospital-client model export --federated`.
        weights: The manifest of the study that starts from it.

    Returns:
        float32, shape `(parameters,)`.

    Raises:
        NoModelError: There is no such file.
        ModelFileError: It cannot be read.
        SettingsError: It holds another network than the study's.
    """
    from model.weights import get_vector

    if read_facts(path) is not None:
        raise SettingsError(
            f"{path} is what one hospital serves; a study starts from the shared model, which "
            "`model export --federated` writes"
        )
    net = read_exported(path)
    mine = [(each.name, tuple(each.shape)) for each in net.manifest]
    wanted = [(each.name, tuple(each.shape)) for each in weights]
    if mine != wanted:
        raise SettingsError(f"{path} holds another network than the study's")
    return shared_part(get_vector(net), weights)


def starts_from_a_file(study: Study, drawn: NDArray[np.float32]) -> bool:
    """Return whether a study starts from an earlier model instead of from its seed.

    Args:
        study: The study's terms.
        drawn: A fresh draw of its network.
    """
    return model_digest(drawn) != study.initial_model_sha256


def shown_starting_model(
    study: Study, store: StudyStore, path: Path | None
) -> list[TensorStatistics] | None:
    """Return what the study's starting model looks like beside a fresh draw.

    Args:
        study: The study's terms.
        store: Its files here, which may hold the starting model already.
        path: An exported model, where one was named.

    Returns:
        One entry a shared tensor; None where the study starts from its seed.

    Raises:
        StudyClaimError: There is no such model here, or the one named is not the study's.
        SettingsError: It holds another network.
    """
    drawn = initial_shared(study)
    if not starts_from_a_file(study, drawn):
        return None
    if path is not None:
        start = initial_model(study, exported_shared(path, study.weights)).weights
    else:
        kept = store.read_model(0)
        if kept is None:
            raise StudyClaimError(
                f"study {study.study} starts from an earlier model, which is not here; its "
                "statistics are seen before it is approved: name its file with --start-from"
            )
        start = initial_model(study, kept.weights).weights
    return starting_statistics(study.weights, start, drawn)


def take_starting_model(study: Study, store: StudyStore, path: Path) -> None:
    """Keep an exported model as the one that a study starts from.

    Args:
        study: The study's terms.
        store: Its files here.
        path: A file of `hospital-client model export --federated`.

    Raises:
        StudyClaimError: It is not the model that the study's record names.
        SettingsError: It holds another network.
    """
    store.write_model(initial_model(study, exported_shared(path, study.weights)))


def starting_weights(study: Study, store: StudyStore) -> NDArray[np.float32]:
    """Return the shared weights before round 1: those kept, else drawn from the study's seed.

    Returns:
        float32, shape `(parameters,)`; whether they are the ones agreed on is for
        `lineage.initial_model` to prove.
    """
    kept = store.read_model(0)
    return kept.weights if kept is not None else initial_shared(study)
