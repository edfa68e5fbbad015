"""Rows of rules on what a call says: functions, arguments, numbers, texts."""

from __future__ import annotations

import json

from tests.unit.chaincode.contract.played import Played
from tests.unit.chaincode.contract.rules.table import EAST, NORTH, changed, row


@row("UnknownFunctionError", "a function that does not exist")
def _() -> object:
    return Played().submit(EAST, "open_sesame", "lungs")


@row("UnknownFunctionError", "no function at all")
def _() -> object:
    return Played().submit(EAST, "")


@row("ArgumentCountError", "one argument too many")
def _() -> object:
    return Played().agree().submit(EAST, "open_round", "lungs", 1, "now")


@row("ArgumentCountError", "one argument too few")
def _() -> object:
    return Played().agree().submit(EAST, "open_round", "lungs")


@row("TextError", "a digest that is not UTF-8")
def _() -> object:
    played = Played()
    played.submit(EAST, "propose_study", played.study.to_bytes())
    return played.submit(NORTH, "approve_study", "lungs", b"\xff\xfe")


@row("IdentifierError", "a study's name with a zero byte, which would forge a key")
def _() -> object:
    return Played().agree().submit(EAST, "open_round", b"lungs\0000001", 1)


@row("IdentifierError", "an MSP id with a slash")
def _() -> object:
    return Played().query("hospital", "East/MSP")


@row("RoundNumberError", "a round written with a sign")
def _() -> object:
    return Played().agree().submit(EAST, "open_round", "lungs", "+1")


@row("RoundNumberError", "a chunk written with a leading zero")
def _() -> object:
    return (
        Played()
        .to_submitting()
        .submit(EAST, "put_chunk", "lungs", 1, "00", transient={"chunk": b"x"})
    )


@row("TransientError", "no sealing key")
def _() -> object:
    played = Played().to_open()
    args, _ = played.join_arguments(EAST)
    return played.submit(EAST, "join_round", *args)


@row("TransientError", "something else beside the chunk")
def _() -> object:
    played = Played().to_submitting()
    chunk = played.make_upload(EAST).chunks[0]
    return played.submit(
        EAST, "put_chunk", "lungs", 1, 0, transient={"chunk": chunk, "note": b"hello"}
    )


@row("BookmarkError", "a bookmark that no page gave")
def _() -> object:
    return Played().agree().query("rounds", "lungs", "zz")


@row("RecordError", "a study with a field of its own")
def _() -> object:
    played = Played()
    return played.submit(EAST, "propose_study", changed(played.study, extra=1))


@row("RecordError", "a study whose rounds are true")
def _() -> object:
    played = Played()
    return played.submit(EAST, "propose_study", changed(played.study, rounds=True))


@row("RecordError", "a study with a field twice")
def _() -> object:
    played = Played()
    text = played.study.to_bytes().replace(b'"bits":8', b'"bits":8,"bits":8')
    return played.submit(EAST, "propose_study", text)


@row("RecordError", "a confirmation with a fraction")
def _() -> object:
    played = Played().to_opened()
    claim = played.claim(metrics_ppm={"auc_before": 1, "auc_after": 2.0})
    return played.submit(EAST, "confirm_model", "lungs", 1, json.dumps(claim))
