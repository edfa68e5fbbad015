"""Rows of rules on answers to the sum, and models."""

from __future__ import annotations

import json

from chaincode.contract.writing import put_new
from chaincode.records import keys
from tests.unit.chaincode.contract.played import MSPS, Played
from tests.unit.chaincode.contract.rules.table import EAST, NORTH, SOUTH, WEST, row

# --- answers ---------------------------------------------------------------------------------


def answer_with(
    played: Played, *, digest: str = "", dealers: str = "[]", content: bytes | None = None
) -> object:
    """Answer with something changed."""
    share_sum = played.share_sum(EAST) if content is None else content
    return played.submit(
        EAST,
        "submit_share_sum",
        "lungs",
        1,
        digest or played.aggregate_record().digest,
        dealers,
        transient={"share_sum": share_sum} if share_sum else None,
    )


@row("OtherAggregateError", "an answer for another aggregate")
def _() -> object:
    return answer_with(Played().to_summed(), digest="ab" * 32)


@row("ShareSumLengthError", "a share sum with eight values more")
def _() -> object:
    played = Played().to_summed()
    return answer_with(played, content=played.share_sum(EAST) + bytes(16))


@row("ShareRangeError", "a share value of 65521")
def _() -> object:
    played = Played().to_summed()
    return answer_with(played, content=b"\xf1\xff" + played.share_sum(EAST)[2:])


@row("UnopenedBoxesError", "a report about a hospital that is not in the sum")
def _() -> object:
    played = Played().to_submitting().update(*MSPS[:3]).wait(600).aggregate()
    return answer_with(played, dealers=json.dumps([WEST]), content=b"")


@row("UnopenedBoxesError", "a report together with a share sum")
def _() -> object:
    return answer_with(Played().to_summed(), dealers=json.dumps([WEST]))


@row("UnopenedBoxesError", "a dealer named twice")
def _() -> object:
    return answer_with(Played().to_summed(), dealers=json.dumps([WEST, WEST]), content=b"")


@row("TransientError", "an answer without a share sum")
def _() -> object:
    return answer_with(Played().to_summed(), content=b"")


@row("FalseShareSumError", "a late share sum off the polynomial")
def _() -> object:
    return Played().to_opened().answer(WEST, shift=1)


@row("SendersError", "T - 1 senders")
def _() -> object:
    return Played().to_summed().answer().record_key(EAST, NORTH)


@row("SendersError", "a sender twice")
def _() -> object:
    return Played().to_summed().answer().record_key(EAST, NORTH, NORTH)


@row("SendersError", "a sender that gave no share sum")
def _() -> object:
    return Played().to_summed().answer().record_key(EAST, NORTH, WEST)


@row("KeyNotShortError", "a false share sum among the senders")
def _() -> object:
    return Played().to_summed().answer(EAST, shift=100).answer(NORTH, SOUTH).record_key()


@row("KeyCheckError", "a false share sum that leaves the key short")
def _() -> object:
    # For points 1, 2, 3 the weight of point 1 at zero is 3: adding 1/3 moves a coefficient by 1.
    third = pow(3, -1, 65521)
    return Played().to_summed().answer(EAST, shift=third).answer(NORTH, SOUTH).record_key()


@row("CheckSumError", "another summed key check beside the arguments")
def _() -> object:
    return (
        Played()
        .to_summed()
        .answer()
        .submit(
            EAST,
            "record_round_key",
            "lungs",
            1,
            json.dumps(MSPS[:3]),
            transient={"check_sum": bytes(32_768)},
        )
    )


# --- models ----------------------------------------------------------------------------------


@row("ParentModelError", "a model made from another parent")
def _() -> object:
    return Played().to_opened().confirm(EAST, parent_sha256="ab" * 32)


@row("MetricsError", "no metric after the round")
def _() -> object:
    return Played().to_opened().confirm(EAST, metrics_ppm={"auc_before": 1})


@row("MetricsError", "a metric above one")
def _() -> object:
    return Played().to_opened().confirm(EAST, metrics_ppm={"auc_before": 1, "auc_after": 1_000_001})


@row("TooFewConfirmationsError", "publication after T - 1 equal digests")
def _() -> object:
    return Played().to_opened().confirm(EAST, NORTH).publish()


@row("GateUndecidedError", "publication while the last vote decides")
def _() -> object:
    played = Played().to_opened().confirm(EAST, NORTH)
    played.confirm(SOUTH, metrics_ppm={"auc_before": 700_000, "auc_after": 670_000}, vote=0)
    return played.publish()


# --- figures ---------------------------------------------------------------------------------


@row("MetricsTooSharpError", "an AUC with three decimals")
def _() -> object:
    return (
        Played()
        .to_opened()
        .confirm(EAST, metrics_ppm={"auc_before": 700_000, "auc_after": 751_000})
    )


@row("MetricsTooSharpError", "a Dice with three decimals")
def _() -> object:
    metrics = {"auc_before": 700_000, "auc_after": 750_000, "dice_after": 612_345}
    return Played().to_opened().confirm(EAST, metrics_ppm=metrics)


@row("MetricsTooSharpError", "the bound of an interval")
def _() -> object:
    metrics = {"auc_before": 700_000, "auc_after": 750_000, "auc_low_after": 600_000}
    return Played().to_opened().confirm(EAST, metrics_ppm=metrics)


@row("VoteError", "a vote against a model that the figures are for")
def _() -> object:
    return Played().to_opened().confirm(EAST, vote=0)


@row("VoteError", "a vote for a model that the figures are against")
def _() -> object:
    return (
        Played()
        .to_opened()
        .confirm(EAST, metrics_ppm={"auc_before": 700_000, "auc_after": 600_000})
    )


@row("RecordExistsError", "a record written twice")
def _() -> object:
    played = Played().agree()
    key = keys.study("lungs")
    return put_new(played.view(), {key: played.study})
