"""Rows of rules on turns: what a round takes in which state."""

from __future__ import annotations

from tests.unit.chaincode.contract.played import MSPS, Played, make_study
from tests.unit.chaincode.contract.rules.table import EAST, WEST, row


@row("RoundStateError", "a join after the joins closed")
def _() -> object:
    return Played().to_open().join(*MSPS[:3]).wait(60).close().join(WEST)


@row("RoundStateError", "a sum before the joins closed")
def _() -> object:
    return Played().to_open().join().submit(EAST, "aggregate", "lungs", 1)


@row("RoundStateError", "a chunk after the aggregate, from a hospital that missed it")
def _() -> object:
    played = Played().to_submitting().update(*MSPS[:3]).wait(600).aggregate()
    chunk = b"\0" * played.layout.upload_bytes
    return played.submit(WEST, "put_chunk", "lungs", 1, 0, transient={"chunk": chunk})


@row("RoundStateError", "a manifest after the aggregate, from a hospital that missed it")
def _() -> object:
    played = Played().to_submitting().update(*MSPS[:3])
    upload = played.make_upload(WEST)
    played.put(WEST, upload)
    played.wait(600).aggregate()
    manifest = upload.manifest(played.round(), WEST).to_bytes()
    return played.submit(WEST, "submit_update", "lungs", 1, manifest)


@row("RoundStateError", "a round key before the aggregate")
def _() -> object:
    return Played().to_submitting().record_key()


@row("RoundStateError", "a confirmation before the key")
def _() -> object:
    return Played().to_summed().confirm(EAST)


@row("RoundStateError", "publication before the key")
def _() -> object:
    return Played().to_summed().publish()


@row("RoundStateError", "a confirmation after the publication")
def _() -> object:
    return Played().to_opened().confirm(*MSPS[:3]).publish().confirm(WEST)


@row("RoundStateError", "a share sum after the round was given up")
def _() -> object:
    played = Played().to_summed()
    for msp in MSPS[:3]:
        played.submit(msp, "give_up", "lungs", 1, "no key")
    return played.answer(EAST)


@row("RoundStateError", "a round abandoned after its sum was fixed")
def _() -> object:
    return Played().to_summed().wait(10_000).submit(EAST, "abandon", "lungs", 1, "changed our mind")


@row("RoundStateError", "a round given up before its sum was fixed")
def _() -> object:
    return Played().to_submitting().submit(EAST, "give_up", "lungs", 1, "changed our mind")


@row("RoundRunningError", "a second round while the first runs")
def _() -> object:
    return Played().to_open().open(2)


@row("RoundRepeatedError", "the number of a round that was abandoned")
def _() -> object:
    played = Played().to_open().wait(60)
    played.submit(EAST, "abandon", "lungs", 1, "nobody came")
    return played.open(1)


@row("RoundOrderError", "a round number that leaves a gap")
def _() -> object:
    return Played().agree().open(2)


@row("StudyFinishedError", "a round more than the study has")
def _() -> object:
    return Played(study=make_study(rounds=1)).to_published().open(2)
