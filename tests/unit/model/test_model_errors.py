"""Every error of the package has a code of its own and a page that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import errors

PAGES = Path(__file__).parents[3] / "docs" / "errors"
KINDS = sorted(errors.ModelError.__subclasses__(), key=lambda kind: kind.exit_code)


def test_exit_codes_are_70_to_79_and_occur_once():
    codes = [kind.exit_code for kind in KINDS]

    assert len(set(codes)) == len(codes)
    assert all(70 <= code <= 79 for code in codes)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_error_has_a_page_with_its_title_and_the_three_parts(kind):
    page = (PAGES / f"{kind.exit_code}.md").read_text()

    assert page.splitlines()[0] == f"# {kind.exit_code} {kind.__name__}"
    for part in ("## What happened", "## What to do", "## Example"):
        assert part in page


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_error_says_what_to_do(kind):
    assert kind.hint.endswith(".")


def test_diverged_error_names_the_step_and_what_was_not_finite():
    error = errors.DivergedError(17, "a weight")

    assert str(error) == "training diverged at step 17: a weight is not a finite number"
    assert (error.step, error.quantity) == (17, "a weight")
