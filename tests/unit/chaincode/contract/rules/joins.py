"""Rows of rules on joins: who signs what for which round."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from chaincode.records.round import join_statement
from tests.unit.chaincode.contract.played import GENESIS, Played, new_sealing_key, sign
from tests.unit.chaincode.contract.rules.table import EAST, NORTH, row


def join_with(played: Played, msp: str, **changes: Any) -> object:
    """Join with some fields of the signed JSON changed."""
    (study, number, signed), transient = played.join_arguments(msp)
    text = json.dumps(json.loads(signed) | changes)
    return played.submit(msp, "join_round", study, number, text, transient=transient)


@row("ForeignCertificateError", "another hospital's certificate")
def _() -> object:
    played = Played().to_open()
    other = played.creators[NORTH].certificate_pem.decode()
    return join_with(played, EAST, certificate_pem=other)


@row("ForeignCertificateError", "no certificate")
def _() -> object:
    return join_with(Played().to_open(), EAST, certificate_pem="AAAA")


@row("SignatureInvalidError", "a signature over another round")
def _() -> object:
    played = Played().to_open()
    (study, _, signed), transient = played.join_arguments(EAST, number=2)
    return played.submit(EAST, "join_round", study, 1, signed, transient=transient)


@row("SignatureInvalidError", "another sealing key than the signed one")
def _() -> object:
    played = Played().to_open()
    args, _ = played.join_arguments(EAST)
    return played.submit(EAST, "join_round", *args, transient={"sealing_key": new_sealing_key()})


@row("SignatureInvalidError", "a signature with a high s")
def _() -> object:
    played = Played().to_open()
    key = new_sealing_key()
    (study, number, signed), transient = played.join_arguments(EAST, sealing_key=key)
    statement = join_statement(
        GENESIS, "consortium", "lungs", 1, msp=EAST, point=1, sealing_key=key
    )
    high = sign(played.keys[EAST], statement, low=False).hex()
    text = json.dumps(json.loads(signed) | {"signature": high})
    return played.submit(EAST, "join_round", study, number, text, transient=transient)


@row("SignatureInvalidError", "a signature on another curve")
def _() -> object:
    played = Played().to_open()
    played.add_identity(EAST, ec.SECP256K1())
    return played.join(EAST)


@row("SealingKeyLengthError", "a sealing key one byte short")
def _() -> object:
    played = Played().to_open()
    args, transient = played.join_arguments(EAST, sealing_key=new_sealing_key()[:-1])
    return played.submit(EAST, "join_round", *args, transient=transient)


@row("SealingKeyFormError", "an ML-KEM coefficient of 4095")
def _() -> object:
    played = Played().to_open()
    args, transient = played.join_arguments(
        EAST, sealing_key=b"\xff\xff\xff" + new_sealing_key()[3:]
    )
    return played.submit(EAST, "join_round", *args, transient=transient)


@row("SealingKeyFormError", "an X25519 point of low order")
def _() -> object:
    played = Played().to_open()
    args, transient = played.join_arguments(
        EAST, sealing_key=new_sealing_key()[:1184] + b"\1" + bytes(31)
    )
    return played.submit(EAST, "join_round", *args, transient=transient)


@row("SealingKeyReusedError", "the sealing key of another hospital")
def _() -> object:
    played = Played().to_open()
    key = new_sealing_key()
    for msp in (EAST, NORTH):
        args, transient = played.join_arguments(msp, sealing_key=key)
        played.submit(msp, "join_round", *args, transient=transient)
    return played


@row("SealingKeyReusedError", "one's own sealing key of the round before")
def _() -> object:
    played = Played().to_open()
    key = new_sealing_key()
    args, transient = played.join_arguments(EAST, sealing_key=key)
    played.submit(EAST, "join_round", *args, transient=transient)
    played.wait(60).submit(EAST, "abandon", "lungs", 1, "alone")
    played.open(2)
    args, transient = played.join_arguments(EAST, number=2, sealing_key=key)
    return played.submit(EAST, "join_round", *args, transient=transient)


# --- reports of joins ------------------------------------------------------------------------


@row("JoinReportFormError", "a report about a join that does not stand")
def _() -> object:
    return Played().to_open().submit(EAST, "report_join", "lungs", 1, "ab" * 32)


@row("JoinReportFormError", "a report about another sealing key")
def _() -> object:
    return Played().to_open().join(EAST).submit(EAST, "report_join", "lungs", 1, "ab" * 32)


@row("SecondJoinReportError", "a report twice")
def _() -> object:
    return Played().to_open().join(EAST).report_join(EAST).report_join(EAST)


@row("JoinReportedError", "joins closed although one is disowned")
def _() -> object:
    return Played().to_open().join().report_join(EAST).close()


@row("JoinReportedError", "a sum although a join is disowned")
def _() -> object:
    return Played().to_submitting().update().report_join(EAST).aggregate()


@row("RoundStateError", "a report after the sum")
def _() -> object:
    return Played().to_summed().report_join(EAST)
