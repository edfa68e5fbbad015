"""Words that every report, model file and table of a hospital shares."""

from __future__ import annotations

from typing import Final

#: Stands in every report and beside every result of a model.
RESEARCH_USE: Final = "Research use, not a diagnosis."


def short_name(msp_id: str) -> str:
    """Return an MSP id without its ending.

    >>> short_name("ucsdMSP")
    'ucsd'
    """
    return msp_id.removesuffix("MSP")
