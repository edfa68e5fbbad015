"""What a hospital agrees to is shown with what it is safe against, its scales and its gate."""

from __future__ import annotations

from dataclasses import replace

from chaincode.records.study import weights_digest
from peer_client.studies.agreement_text import agreement_lines, agreement_warnings
from tests.support.hospitals import MSPS, WEIGHTS, small_study

SEVEN = tuple(f"h{number}MSP" for number in range(7))


def lines(**terms: object) -> dict[str, str]:
    return dict(agreement_lines(small_study(**terms)))  # type: ignore[arg-type]


def test_safety_is_said_for_the_smallest_sum_in_the_one_sentence() -> None:
    assert lines()["safety"] == (
        "safe against 1 hospital that cheats, 1 that only pools what it has; 1 may be away"
    )


def test_what_holds_when_all_contribute_is_said_where_it_differs() -> None:
    assert lines()["when all contribute"].startswith(
        "safe against 1 hospital that cheats, 2 that only pool what they have"
    )
    assert "when all contribute" not in lines(threshold=4, contributors_min=4)


def test_a_larger_threshold_is_safe_against_more_and_lets_fewer_be_away() -> None:
    found = lines(threshold=4, contributors_min=4)

    assert found["to open a sum (T)"] == "4 of 4 hospitals"
    assert found["safety"] == (
        "safe against 2 hospitals that cheat, 2 that only pool what they have; none may be away"
    )


def test_a_text_shows_its_digest_and_its_channel() -> None:
    study = small_study()

    assert lines()["text (SHA-256)"] == study.sha256
    assert lines()["channel's first block"] == study.genesis_sha256


def test_clipping_scales_are_shown_with_the_tensors_that_have_them() -> None:
    assert lines()["clipping scales"] == "0.5 in every shared tensor"
    other = (replace(WEIGHTS[0], clip_nano=200_000), *WEIGHTS[1:])

    shown = lines(weights=other, weights_sha256=weights_digest(other))["clipping scales"]

    assert shown == "from 0.0002 (encoder/kernel) to 0.5 (decoder/kernel)"


def test_a_wide_gate_warns_and_a_usual_one_does_not() -> None:
    assert agreement_warnings(small_study(gate_margin_ppm=100_000)) == []
    (warning,) = agreement_warnings(small_study(gate_margin_ppm=100_001))

    assert "nearly any spoiled model passes" in warning


def test_nothing_speaks_of_collusion_in_other_words() -> None:
    for study in (small_study(), small_study(SEVEN), small_study(MSPS, without_masks=MSPS[:1])):
        text = " ".join(f"{name} {value}" for name, value in agreement_lines(study))

        assert "collude" not in text
        assert "coalition" not in text
