"""Which terms a study may have.

`check_terms` refuses a study that could leak, overflow or fork: fewer than four BFT ordering
nodes, thresholds other than the derivation's, points other than 1 to N, a weight manifest that
is not the one hashed. Source of every number: `chaincode.roundkey.parameters.derive`.
"""

from __future__ import annotations

from chaincode.records.errors import (
    DataRuleError,
    HospitalListError,
    OrderingError,
    ParameterTermsError,
    ThresholdError,
    WeightManifestError,
)
from chaincode.records.study import GROUP_MASKS, GROUP_PERSONAL, Study, weights_digest
from chaincode.roundkey.parameters import ParameterError, RoundParameters, derive

ORDERING_NODES_MIN = 4  # SmartBFT tolerates f = 1 liar among 3f + 1


def check_terms(terms: Study) -> RoundParameters:
    """Check a study's terms and return the round parameters that follow from them.

    Raises:
        OrderingError: The ordering is not BFT with at least four nodes.
        HospitalListError: Hospitals are not in MSP order or points are not 1 to N.
        WeightManifestError: Tensors are doubled, without scale, or not those hashed.
        ParameterTermsError: No safe parameters exist for N, bits and the number of values.
        ThresholdError: T or k is not the derivation's.
        DataRuleError: A label meaning is missing.
    """
    _check_ordering(terms)
    _check_hospitals(terms)
    _check_weights(terms)
    _check_labels(terms)
    return _check_thresholds(terms)


def round_parameters(terms: Study) -> RoundParameters:
    """Return the parameters of a study whose terms were checked when it was proposed."""
    return derive(
        len(terms.hospitals),
        terms.bits,
        terms.parameters,
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
        if weight.group != GROUP_PERSONAL and weight.clip_nano == 0:
            raise WeightManifestError(f"the shared tensor {weight.name} has no clipping scale")
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


def _check_thresholds(terms: Study) -> RoundParameters:
    hospitals = len(terms.hospitals)
    try:
        derived = derive(hospitals, terms.bits, terms.parameters)
    except ParameterError as error:
        raise ParameterTermsError(str(error)) from None
    if terms.threshold != derived.threshold:
        raise ThresholdError(
            f"the threshold is {terms.threshold}, but {hospitals} hospitals need exactly "
            f"{derived.threshold}"
        )
    if not derived.threshold <= terms.contributors_min <= hospitals:
        raise ThresholdError(
            f"contributors_min is {terms.contributors_min}; it must be from "
            f"{derived.threshold} to {hospitals}"
        )
    return round_parameters(terms)
