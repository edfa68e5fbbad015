"""What a hospital agrees to, in words: the lines shown before it proposes or approves a study."""

from __future__ import annotations

from typing import Final

from chaincode.records.study import GROUP_PERSONAL, Study
from chaincode.records.terms import check_terms
from chaincode.roundkey.parameters import RoundParameters
from chaincode.roundkey.safety import safety_words

#: A wider margin lets nearly any spoiled model pass the gate, in millionths.
GATE_MARGIN_WIDE_PPM: Final = 100_000


def agreement_lines(terms: Study) -> list[tuple[str, str]]:
    """Return what a hospital agrees to, as names and values for people."""
    parameters = check_terms(terms)
    groups = {
        group: sum(weight.size for weight in terms.weights if weight.group == group)
        for group in ("all", "masks", "personal")
    }
    hospitals = [
        f"{each.msp} (point {each.point}, {'masks' if each.has_masks else 'no masks'}, "
        f"negative: {each.label_negative})"
        for each in terms.hospitals
    ]
    lines = [
        ("study", terms.study),
        ("title", terms.title),
        ("text (SHA-256)", terms.sha256),
        ("channel's first block", terms.genesis_sha256),
        ("network", f"{terms.architecture.name}, {terms.parameters:,} shared values"),
        ("averaged by all", f"{groups['all']:,} values"),
        ("by those with masks", f"{groups['masks']:,} values"),
        ("stays at home", f"{groups['personal']:,} values"),
        ("positive label", str(terms.label_scheme.get("positive", "-"))),
        *(("hospital", each) for each in hospitals),
        ("ordering", f"{terms.ordering.nodes} nodes, {terms.ordering.type}"),
        ("to open a sum (T)", f"{terms.threshold} of {len(terms.hospitals)} hospitals"),
        ("least updates (k)", str(terms.contributors_min)),
        ("safety", safety_words(parameters.safety())),
        *_safety_of_all(terms, parameters),
        ("masks' tensors", _hidden_masks(terms)),
        ("update", f"{terms.bits} bits a value, {parameters.upload_bytes:,} bytes a round"),
        ("clipping scales", _scales(terms)),
        ("rounds", f"{terms.rounds} of {terms.local_steps} steps"),
        (
            "deadlines",
            f"join {terms.deadlines_s.join} s, submit {terms.deadlines_s.submit} s, "
            f"answer {terms.deadlines_s.answer} s",
        ),
        ("gate", f"AUC may fall by {terms.gate_margin_ppm / 1e6:.3f} at a hospital"),
        ("initial model", terms.initial_model_sha256),
    ]
    return lines


def agreement_warnings(terms: Study) -> list[str]:
    """Return what is allowed in a study and seldom wise."""
    if terms.gate_margin_ppm <= GATE_MARGIN_WIDE_PPM:
        return []
    return [
        f"the AUC may fall by {terms.gate_margin_ppm / 1e6:.2f} at a hospital before it votes "
        "against a model: nearly any spoiled model passes such a gate; "
        f"{GATE_MARGIN_WIDE_PPM / 1e6:.1f} or less is usual"
    ]


def _safety_of_all(terms: Study, parameters: RoundParameters) -> list[tuple[str, str]]:
    """Say what holds when every hospital contributes, where that is another thing."""
    everybody = parameters.safety(len(terms.hospitals))
    if everybody == parameters.safety():
        return []
    return [("when all contribute", safety_words(everybody))]


def _scales(terms: Study) -> str:
    """Say the smallest and the largest clipping scale of a shared tensor, and whose they are."""
    shared = [weight for weight in terms.weights if weight.group != GROUP_PERSONAL]
    least = min(shared, key=lambda weight: weight.clip_nano)
    most = max(shared, key=lambda weight: weight.clip_nano)
    if least.clip_nano == most.clip_nano:
        return f"{least.clip_nano / 1e9:g} in every shared tensor"
    return (
        f"from {least.clip_nano / 1e9:g} ({least.name}) to {most.clip_nano / 1e9:g} ({most.name})"
    )


def _hidden_masks(terms: Study) -> str:
    """Say who hides whom in the tensors that only hospitals with masks average."""
    with_masks = sum(bool(each.has_masks) for each in terms.hospitals)
    k = terms.contributors_min
    if with_masks < k:
        return f"never sent: {with_masks} hospitals have masks, at least {k} must hide each other"
    spare = with_masks - k
    return (
        f"hidden among {with_masks} hospitals with masks, sent where at least {k} of them joined"
        + ("" if spare else "; if one of them then vanishes, the other two see each other's")
    )
