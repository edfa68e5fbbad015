"""Words that every report, model file and table of a hospital shares."""

from __future__ import annotations

from typing import Final

from peer_client.ct.folder_input import OWN_MARK

#: Stands in every report and beside every result of a model. The CT intake knows own output by it.
RESEARCH_USE: Final = OWN_MARK


def short_name(msp_id: str) -> str:
    """Return an MSP id without its ending.

    >>> short_name("ucsdMSP")
    'ucsd'
    """
    return msp_id.removesuffix("MSP")
