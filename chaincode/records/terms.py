"""Which terms a study may have.

`check_terms` refuses a study that could leak, overflow or fork: fewer than four BFT ordering
nodes, a threshold below the quorum, points other than 1 to N, a weight manifest that is not the
one hashed, so few local steps that an update is nearly a gradient, clipping scales that leave
nothing but signs. Source of every number: `chaincode.roundkey.parameters.derive`.
"""

from __future__ import annotations

from typing import Final

from chaincode.records.errors import (
    DataRuleError,
    HospitalListError,
    OrderingError,
    ParameterTermsError,
    ThresholdError,
    TrainingTermsError,
    WeightManifestError,
)
from chaincode.records.study import GROUP_MASKS, GROUP_PERSONAL, Study, weights_digest
from chaincode.roundkey.parameters import ParameterError, RoundParameters, derive
from network.clock import DEADLINE_MIN_S, TIME_WINDOW_S

ORDERING_NODES_MIN: Final = 4  # SmartBFT tolerates f = 1 liar among 3f + 1
#: Fewer steps make an update nearly a plain gradient, from which images can be reconstructed (Zhu
#: and others, Deep Leakage from Gradients, NeurIPS 2019).
LOCAL_STEPS_MIN: Final = 4
#: Below it every value is clipped to its sign, which a unanimous sum shows of each hospital; a step
#: of Adam at the usual rate moves a weight by about 1.5e-3. In units of 1e-9.
CLIP_NANO_MIN: Final = 100_000
#: Above it one level of an 8-bit value is coarser than any trained change. In units of 1e-9.
CLIP_NANO_MAX: Final = 10_000_000_000


def check_terms(terms: Study) -> RoundParameters:
    """Check a study's terms and return the round parameters that follow from them.

    Raises:
        OrderingError: The ordering is not BFT with at least four nodes.
        HospitalListError: Hospitals are not in MSP order or points are not 1 to N.
        WeightManifestError: Tensors are doubled, without a usable scale, or not those hashed.
        TrainingTermsError: Too few local steps.
        ParameterTermsError: No safe parameters exist for N, bits and the number of values.
        ThresholdError: T or k is out of its range.
        DataRuleError: A label meaning is missing, or a deadline is too short.
    """
    _check_ordering(terms)
    _check_hospitals(terms)
    _check_weights(terms)
    _check_labels(terms)
    _check_training(terms)
    _check_deadlines(terms)
    return _check_thresholds(terms)


def round_parameters(terms: Study) -> RoundParameters:
    """Return the parameters of a study whose terms were checked when it was proposed."""
    return derive(
        len(terms.hospitals),
        terms.bits,
        terms.parameters,
        threshold=terms.threshold,
        contributors_min=terms.contributors_min,
    )


def _check_ordering(terms: Study) -> None:
    ordering = terms.ordering
    if ordering.type != "BFT" or ordering.nodes < ORDERING_NODES_MIN:
        raise OrderingError(
            f"the study names {ordering.nodes} ordering nodes of type {ordering.type}; at least "
            f"{ORDERING_NODES_MIN} of type BFT are needed, or the ledger could fork"
        )


def _check_hospitals(terms: Study) -> None:
    msps = list(terms.msps)
    if msps != sorted(set(msps)):
        raise HospitalListError("hospitals must stand in MSP order, each once")
    points = sorted(hospital.point for hospital in terms.hospitals)
    if points != list(range(1, len(points) + 1)):
        raise HospitalListError(
            f"evaluation points must be 1 to {len(points)}, each once; the study has {points[:20]}"
        )


def _check_weights(terms: Study) -> None:
    names = [weight.name for weight in terms.weights]
    if len(set(names)) != len(names):
        raise WeightManifestError("two tensors have the same name")
    if weights_digest(terms.weights) != terms.weights_sha256:
        raise WeightManifestError("weights_sha256 is not the SHA-256 of the weights listed")
    for weight in terms.weights:
        if weight.group == GROUP_PERSONAL:
            continue
        if not CLIP_NANO_MIN <= weight.clip_nano <= CLIP_NANO_MAX:
            raise WeightManifestError(
                f"the shared tensor {weight.name} has a clipping scale of {weight.clip_nano} "
                f"billionths; it must be from {CLIP_NANO_MIN} to {CLIP_NANO_MAX}"
            )
    if any(weight.group == GROUP_MASKS for weight in terms.weights) and not any(
        hospital.has_masks for hospital in terms.hospitals
    ):
        raise WeightManifestError("tensors are averaged by hospitals with masks, but none has any")


def _check_labels(terms: Study) -> None:
    if not terms.title.strip() or not terms.label_scheme:
        raise DataRuleError("a study needs a title and a label scheme")
    for hospital in terms.hospitals:
        if not hospital.label_negative.strip():
            raise DataRuleError(f"{hospital.msp} must say what its negative label means")


def _check_training(terms: Study) -> None:
    if terms.local_steps < LOCAL_STEPS_MIN:
        raise TrainingTermsError(
            f"local_steps is {terms.local_steps}; an update of fewer than {LOCAL_STEPS_MIN} steps "
            "is nearly a gradient, and images can be reconstructed from gradients"
        )


def _check_deadlines(terms: Study) -> None:
    waits = terms.deadlines_s
    for name, wait_s in (("join", waits.join), ("submit", waits.submit), ("answer", waits.answer)):
        if wait_s < DEADLINE_MIN_S:
            raise DataRuleError(
                f"the deadline to {name} is {wait_s} s; peers take proposals whose time is up to "
                f"{TIME_WINDOW_S} s off, so at least {DEADLINE_MIN_S} s are needed"
            )


def _check_thresholds(terms: Study) -> RoundParameters:
    hospitals = len(terms.hospitals)
    try:
        derived = derive(hospitals, terms.bits, terms.parameters)
    except ParameterError as error:
        raise ParameterTermsError(str(error)) from None
    if not derived.threshold <= terms.threshold <= hospitals:
        raise ThresholdError(
            f"the threshold is {terms.threshold}; {hospitals} hospitals need one from "
            f"{derived.threshold} to {hospitals}"
        )
    if not terms.threshold <= terms.contributors_min <= hospitals:
        raise ThresholdError(
            f"contributors_min is {terms.contributors_min}; it must be from "
            f"{terms.threshold} to {hospitals}"
        )
    return round_parameters(terms)
