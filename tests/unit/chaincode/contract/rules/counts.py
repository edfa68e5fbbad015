"""Rows of rules on what is there once, and what needs enough."""

from __future__ import annotations

import json

from tests.unit.chaincode.contract.played import MSPS, Played, make_study
from tests.unit.chaincode.contract.rules.table import EAST, SOUTH, WEST, row

# --- once ------------------------------------------------------------------------------------


@row("SecondApprovalError", "the proposer approves again")
def _() -> object:
    played = Played().agree()
    return played.submit(EAST, "approve_study", "lungs", played.study.sha256)


@row("SecondSuspensionVoteError", "a second vote against one hospital")
def _() -> object:
    played = Played().agree()
    played.submit(EAST, "suspend_hospital", "lungs", WEST, "reason")
    return played.submit(EAST, "suspend_hospital", "lungs", WEST, "another reason")


@row("SecondJoinError", "a second sealing key")
def _() -> object:
    return Played().to_open().join(EAST).join(EAST)


@row("SecondUpdateError", "another update")
def _() -> object:
    played = Played().to_submitting().update(EAST)
    played.seed = 1
    manifest = played.make_upload(EAST).manifest(played.round(), EAST).to_bytes()
    return played.submit(EAST, "submit_update", "lungs", 1, manifest)


@row("SecondUpdateError", "another chunk under a recorded manifest")
def _() -> object:
    played = Played().to_submitting().update(EAST)
    played.seed = 1
    return played.put(EAST, played.make_upload(EAST))


@row("SecondAggregateError", "another aggregate with one more update")
def _() -> object:
    played = Played().to_submitting().update(*MSPS[:3]).wait(600).aggregate()
    return played.aggregate()


@row("SecondShareSumError", "another answer")
def _() -> object:
    return Played().to_summed().answer(EAST).answer(EAST)


@row("SecondShareSumError", "an answer after a report")
def _() -> object:
    played = Played().to_summed()
    digest = played.aggregate_record().digest
    played.submit(EAST, "submit_share_sum", "lungs", 1, digest, json.dumps([WEST]))
    return played.answer(EAST)


@row("SecondRoundKeyError", "another round key")
def _() -> object:
    return Played().to_opened().record_key()


@row("SecondConfirmationError", "another confirmation")
def _() -> object:
    return Played().to_opened().confirm(EAST).confirm(EAST)


@row("SecondGiveUpVoteError", "another vote to give up")
def _() -> object:
    played = Played().to_summed()
    played.submit(EAST, "give_up", "lungs", 1, "reason")
    return played.submit(EAST, "give_up", "lungs", 1, "reason")


# --- too early, too few ----------------------------------------------------------------------


@row("JoinsAwaitedError", "joins closed one second before the deadline")
def _() -> object:
    return Played().to_open().join(*MSPS[:3]).wait(59).close()


@row("UpdatesAwaitedError", "a sum one second before the deadline")
def _() -> object:
    return Played().to_submitting().update(*MSPS[:3]).wait(599).aggregate()


@row("AbandonTooEarlyError", "a round abandoned one second before the deadline")
def _() -> object:
    return Played().to_open().wait(59).submit(EAST, "abandon", "lungs", 1, "reason")


@row("TooFewJoinedError", "joins closed with fewer than k")
def _() -> object:
    return Played().to_open().join(*MSPS[:2]).wait(60).close()


@row("TooFewContributorsError", "a sum of fewer than k")
def _() -> object:
    return Played().to_submitting().update(*MSPS[:2]).wait(600).aggregate()


@row("TooFewContributorsError", "a sum of k updates of which one is not valid")
def _() -> object:
    played = Played().to_submitting().update(*MSPS[:2])
    upload = played.make_upload(SOUTH)
    upload.payload = b"\xff" * 8 + upload.payload[8:]
    played.put(SOUTH, upload)
    manifest = upload.manifest(played.round(), SOUTH).to_bytes()
    played.submit(SOUTH, "submit_update", "lungs", 1, manifest)
    return played.wait(600).aggregate()


@row("TooFewContributorsError", "a sum of T updates where the study asks for all four")
def _() -> object:
    played = Played(study=make_study(contributors_min=4)).to_submitting()
    return played.update(*MSPS[:3]).wait(600).aggregate()


@row("EnoughJoinedError", "an open round abandoned although enough joined")
def _() -> object:
    played = Played().to_open().join(*MSPS[:3]).wait(60)
    return played.submit(EAST, "abandon", "lungs", 1, "reason")


@row("EnoughUpdatesError", "a round abandoned although enough submitted")
def _() -> object:
    played = Played().to_submitting().update(*MSPS[:3]).wait(600)
    return played.submit(EAST, "abandon", "lungs", 1, "reason")


@row("ReasonError", "an empty reason")
def _() -> object:
    return Played().to_open().wait(60).submit(EAST, "abandon", "lungs", 1, " ")


@row("ReasonError", "a reason with a line break")
def _() -> object:
    return Played().to_open().wait(60).submit(EAST, "abandon", "lungs", 1, "one\ntwo")
