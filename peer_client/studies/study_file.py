"""Read a study file (YAML or JSON) and make from it the terms that the hospitals agree on.

The file says what people decide: network, hospitals, bits, rounds, steps, deadlines. What follows
from that - thresholds, evaluation points, the weight manifest, the digest of the initial model - is
computed here and never typed in. Unknown keys are refused and named with their line. The ordering
service is not taken from the file: it is read from the channel itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from chaincode.records import terms
from chaincode.records.study import (
    Architecture,
    Deadlines,
    Ordering,
    Study,
    StudyHospital,
    Weight,
    weights_digest,
)
from chaincode.records.terms import LOCAL_STEPS_MIN
from chaincode.roundkey.parameters import derive
from model.config import CapsNetConfig
from model.weights import WeightSpec, initial_vector, specs
from network.runtime.located_yaml import Located
from network.runtime.yaml_limits import read_yaml_text
from peer_client.ct.errors import HospitalFileError
from peer_client.ct.hospitals import read_hospitals
from peer_client.errors import SettingsError
from peer_client.ledgers.ledger import OrderingClaim
from peer_client.update import model_digest

FORMAT: Final = 1
NETWORK: Final = "capsnet"
_STUDY_REQUIRED: Final = (
    "format",
    "study",
    "title",
    "label_positive",
    "bits",
    "rounds",
    "local_steps",
    "seed",
    "deadlines_s",
    "gate_margin",
)
_STUDY: Final = (
    *_STUDY_REQUIRED,
    "network",
    "hospitals",
    "hospitals_file",
    "threshold",
    "contributors_min",
)
_DEADLINES: Final = ("join", "submit", "answer")

#: Adam moves a weight by about the learning rate a step, so round 1 is clipped to what the steps of
#: one round can move at the schedule's top (Kingma & Ba 2015, section 2.1). Later rounds are
#: clipped to what the rounds before them moved (peer_client/update).
LEARNING_RATE_NANO: Final = 1_500_000


@dataclass(frozen=True, slots=True)
class StudyHospitalEntry:
    """One hospital as a study file names it."""

    member: str
    has_masks: bool
    label_negative: str

    @property
    def msp_id(self) -> str:
        """MSP of the member."""
        return f"{self.member}MSP"


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study as people decided it; what follows from it is computed by `study_of`."""

    name: str
    title: str
    network: CapsNetConfig
    label_positive: str
    hospitals: tuple[StudyHospitalEntry, ...]
    bits: int
    threshold: int | None
    contributors_min: int | None
    rounds: int
    local_steps: int
    seed: int
    join_s: int
    submit_s: int
    answer_s: int
    gate_margin_ppm: int


def read_plan(path: Path) -> StudyPlan:
    """Read a study file.

    Raises:
        SettingsError: It cannot be read, or says what cannot be; the message names the line.
    """
    try:
        text = read_yaml_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(f"cannot read {path}: {reason}") from error

    def refusal(line: int, problem: str) -> SettingsError:
        return SettingsError(f"{path.name} line {line}: {problem}")

    try:
        return _plan(Located.read(text, refusal), path.parent)
    except HospitalFileError as error:
        raise SettingsError(str(error)) from error


def _plan(root: Located, folder: Path) -> StudyPlan:
    found = root.fields(_STUDY, required=_STUDY_REQUIRED)
    found["format"].check_format(FORMAT)
    deadlines = found["deadlines_s"].fields(_DEADLINES, required=_DEADLINES)
    optional = {
        name: found[name].integer() if name in found else None
        for name in ("threshold", "contributors_min")
    }
    return StudyPlan(
        name=found["study"].word(),
        title=found["title"].text(),
        network=_network(found["network"]) if "network" in found else CapsNetConfig(),
        label_positive=found["label_positive"].text(),
        hospitals=_hospitals(root, found, folder),
        bits=found["bits"].integer(2, 24),
        threshold=optional["threshold"],
        contributors_min=optional["contributors_min"],
        rounds=found["rounds"].integer(1, 999_999),
        local_steps=found["local_steps"].integer(LOCAL_STEPS_MIN),
        seed=found["seed"].integer(),
        join_s=deadlines["join"].integer(1),
        submit_s=deadlines["submit"].integer(1),
        answer_s=deadlines["answer"].integer(1),
        gate_margin_ppm=round(1e6 * found["gate_margin"].number(0.0, 1.0)),
    )


def _network(section: Located) -> CapsNetConfig:
    """Return the architecture; every field has a default."""
    fields: dict[str, Any] = {}
    for name, value in section.fields(CapsNetConfig.__dataclass_fields__).items():
        if name == "personal":
            fields[name] = value.texts()
        elif name == "auxiliary_dropout":
            fields[name] = value.number(0.0, 0.999)
        else:
            fields[name] = value.integer(1, 4096)
    return CapsNetConfig(**fields)


def _hospitals(
    root: Located, found: Mapping[str, Located], folder: Path
) -> tuple[StudyHospitalEntry, ...]:
    """Return the hospitals, written out or taken from a file of hospitals."""
    if "hospitals_file" in found:
        return _entries_of(folder / found["hospitals_file"].text())
    if "hospitals" not in found:
        raise root.refuse("key `hospitals` is missing, or `hospitals_file`")
    keys = ("member", "has_masks", "label_negative")
    entries = [each.fields(keys, required=keys) for each in found["hospitals"].items(least=1)]
    return tuple(
        StudyHospitalEntry(
            each["member"].word(), each["has_masks"].switch(), each["label_negative"].text()
        )
        for each in entries
    )


def _entries_of(path: Path) -> tuple[StudyHospitalEntry, ...]:
    return tuple(
        StudyHospitalEntry(each.member, each.has_masks, each.label_negative)
        for each in read_hospitals(path)
    )


def changed_plan(
    plan: StudyPlan, *, name: str | None = None, hospitals_file: Path | None = None
) -> StudyPlan:
    """Return a plan under another name, or for the hospitals of another file.

    Raises:
        IntakeError: The file of hospitals is not what docs/data.md says.
    """
    if name is not None:
        plan = replace(plan, name=name)
    if hospitals_file is not None:
        plan = replace(plan, hospitals=_entries_of(hospitals_file))
    return plan


def study_of(
    plan: StudyPlan,
    ordering: OrderingClaim,
    *,
    genesis_sha256: str,
    start: Callable[[Sequence[Weight]], np.ndarray[Any, np.dtype[np.float32]]] | None = None,
) -> Study:
    """Return the terms that follow from a plan.

    Args:
        plan: What people decided.
        ordering: How the channel is ordered in fact.
        genesis_sha256: SHA-256 of the channel's first block, as the members compared it.
        start: Gives the shared weights of the manifest that the study starts from; None draws them
            from the plan's seed.

    Raises:
        ParameterError: Hospitals, bits and model size do not make a safe encryption.
        SettingsError: Hospitals are named twice.
    """
    manifest = weights_of(specs(plan.network), plan.local_steps)
    if start is not None:
        initial = start(manifest)
    else:
        initial = shared_part(initial_vector(specs(plan.network), plan.seed), manifest)
    return assembled(
        plan,
        ordering,
        genesis_sha256=genesis_sha256,
        architecture=Architecture(NETWORK, architecture_config(plan.network)),
        weights=manifest,
        initial=initial,
    )


def assembled(
    plan: StudyPlan,
    ordering: OrderingClaim,
    *,
    genesis_sha256: str,
    architecture: Architecture,
    weights: tuple[Weight, ...],
    initial: np.ndarray[Any, np.dtype[np.float32]],
) -> Study:
    """Return a study's terms for any network, given its manifest and initial shared weights."""
    msps = sorted({each.msp_id: each for each in plan.hospitals}.items())
    if len(msps) != len(plan.hospitals):
        raise SettingsError("a hospital is named twice in the study file")
    shared = sum(weight.size for weight in weights if weight.group != "personal")
    derived = derive(
        len(msps),
        plan.bits,
        shared,
        threshold=plan.threshold,
        contributors_min=plan.contributors_min,
    )
    return Study(
        study=plan.name,
        genesis_sha256=genesis_sha256,
        title=plan.title,
        architecture=architecture,
        label_scheme={"positive": plan.label_positive},
        hospitals=tuple(
            StudyHospital(msp, point, int(entry.has_masks), entry.label_negative)
            for point, (msp, entry) in enumerate(msps, start=1)
        ),
        ordering=Ordering(ordering.type, len(ordering.consenter_msps)),
        bits=plan.bits,
        threshold=derived.threshold,
        contributors_min=derived.contributors_min,
        rounds=plan.rounds,
        local_steps=plan.local_steps,
        seed=plan.seed,
        weights=weights,
        weights_sha256=weights_digest(weights),
        initial_model_sha256=model_digest(initial),
        deadlines_s=Deadlines(plan.join_s, plan.submit_s, plan.answer_s),
        gate_margin_ppm=plan.gate_margin_ppm,
    )


def weights_of(listed: Sequence[WeightSpec], local_steps: int) -> tuple[Weight, ...]:
    """Return the weight manifest of a study with the clipping scales of round 1."""
    clip_nano = min(LEARNING_RATE_NANO * local_steps, terms.CLIP_NANO_MAX)
    return tuple(Weight(spec.name, spec.shape, spec.group, clip_nano) for spec in listed)


def initial_shared(study: Study) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the shared weights that a study of a capsule network starts from, `(parameters,)`."""
    return shared_part(initial_vector(specs(network_of(study)), study.seed), study.weights)


def shared_part(
    vector: np.ndarray[Any, np.dtype[np.float32]], weights: Sequence[Weight]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the values of a whole vector that the hospitals share, in the manifest's order.

    Args:
        vector: float32, shape `(values,)`, every tensor.
        weights: The manifest.
    """
    shared: np.ndarray[Any, np.dtype[np.float32]] = vector[shared_places(weights)]
    return shared


def shared_places(weights: Sequence[Weight | WeightSpec]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which values of a whole vector are shared: bool, shape `(values,)`."""
    flags = [np.full(weight.size, weight.group != "personal") for weight in weights]
    return np.concatenate(flags) if flags else np.zeros(0, np.bool_)


def architecture_config(network: CapsNetConfig) -> dict[str, Any]:
    """Return an architecture as integers and text, as a ledger's record holds it.

    >>> architecture_config(CapsNetConfig())["auxiliary_dropout_ppm"]
    300000
    """
    plain = network.to_dict()
    dropout: float = plain.pop("auxiliary_dropout")
    return {**plain, "auxiliary_dropout_ppm": round(1e6 * dropout)}


def network_of(study: Study) -> CapsNetConfig:
    """Return the architecture that a study's record names.

    Raises:
        SettingsError: It is not one this program can build.
    """
    if study.architecture.name != NETWORK:
        raise SettingsError(f"study {study.study} is of network {study.architecture.name!r}")
    config: Mapping[str, Any] = study.architecture.config
    plain = {name: value for name, value in config.items() if name != "auxiliary_dropout_ppm"}
    if "auxiliary_dropout_ppm" in config:
        plain["auxiliary_dropout"] = config["auxiliary_dropout_ppm"] / 1e6
    return CapsNetConfig.from_dict(plain)
