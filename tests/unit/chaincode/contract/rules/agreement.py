"""Rows of rules on members, studies and their terms."""

from __future__ import annotations

from dataclasses import replace

from chaincode.contract.rules.agreement import PROPOSALS_MAX, WITHDRAWALS_MAX
from chaincode.records import register
from chaincode.records.study import (
    TENSORS_MAX,
    Deadlines,
    Ordering,
    StudyHospital,
    Weight,
    weights_digest,
)
from chaincode.records.terms import CLIP_NANO_MAX, CLIP_NANO_MIN
from tests.unit.chaincode.contract.played import MSPS, Played, make_study
from tests.unit.chaincode.contract.rules.table import EAST, NORTH, WEST, propose, row

CLIP = 1_000_000

# --- members and agreement -------------------------------------------------------------------


@row("NotAMemberError", "the authority proposes")
def _() -> object:
    return Played().submit("AuthorityMSP", "propose_study", make_study().to_bytes())


@row("NotAMemberError", "the authority joins")
def _() -> object:
    played = Played().to_open()
    args, transient = played.join_arguments("AuthorityMSP")
    return played.submit("AuthorityMSP", "join_round", *args, transient=transient)


@row("ClientIdentityError", "a hospital's peer opens a round")
def _() -> object:
    played = Played().agree()
    played.add_identity(EAST, role="peer")
    return played.open()


@row("ClientIdentityError", "a hospital's ordering node proposes")
def _() -> object:
    played = Played()
    played.add_identity(EAST, role="orderer")
    return played.submit(EAST, "propose_study", make_study().to_bytes())


@row("ClientIdentityError", "a hospital's administrator joins")
def _() -> object:
    played = Played().to_open()
    played.add_identity(EAST, role="admin")
    return played.join(EAST)


@row("ClientIdentityError", "another user of a hospital approves")
def _() -> object:
    played = Played()
    played.submit(EAST, "propose_study", played.study.to_bytes())
    played.add_identity(NORTH, acts_for_hospital=False)
    return played.submit(NORTH, "approve_study", "lungs", played.study.sha256)


@row("NotJoinedError", "a chunk of a hospital that did not join")
def _() -> object:
    played = Played().to_open().join(*MSPS[:3]).wait(60).close()
    return played.update(WEST)


@row("NotJoinedError", "a share sum of a hospital that did not join")
def _() -> object:
    played = Played().to_open().join(*MSPS[:3]).wait(60).close().update().aggregate()
    return played.answer(WEST)


@row("SuspendedError", "a join of a suspended hospital")
def _() -> object:
    played = Played().agree()
    for msp in MSPS[:2]:
        played.submit(msp, "suspend_hospital", "lungs", WEST, "boxes do not open")
    return played.open().join(WEST)


@row("NotSuspendableError", "a vote against an organisation outside the study")
def _() -> object:
    return Played().agree().submit(EAST, "suspend_hospital", "lungs", "AuthorityMSP", "reason")


@row("NotSuspendableError", "a vote against oneself")
def _() -> object:
    return Played().agree().submit(EAST, "suspend_hospital", "lungs", EAST, "reason")


@row("UnknownStudyError", "a study nobody proposed")
def _() -> object:
    return Played().submit(EAST, "open_round", "hearts", 1)


@row("UnknownRoundError", "a round nobody opened")
def _() -> object:
    return Played().agree().submit(EAST, "close_joins", "lungs", 1)


@row("UnknownRecordError", "the key of a round that has none")
def _() -> object:
    return Played().to_summed().query("round_key", "lungs", 1)


@row("UnknownRecordError", "an aggregate before there is one")
def _() -> object:
    played = Played().to_submitting()
    return register.aggregate(played.view(), "lungs", 1)


@row("UnknownRecordError", "a manifest of a hospital that submitted none")
def _() -> object:
    played = Played().to_submitting()
    return register.manifest(played.view(), "lungs", 1, EAST)


@row("StudyExistsError", "a study of the same name with other terms")
def _() -> object:
    played = Played().agree()
    return played.submit(EAST, "propose_study", make_study(title="Other lungs").to_bytes())


@row("StudyNotInForceError", "a round of a study that half of the hospitals approved")
def _() -> object:
    played = Played()
    played.submit(EAST, "propose_study", played.study.to_bytes())
    played.submit(NORTH, "approve_study", "lungs", played.study.sha256)
    return played.open()


@row("OtherStudyTextError", "an approval of another text")
def _() -> object:
    played = Played()
    played.submit(EAST, "propose_study", played.study.to_bytes())
    other = replace(played.study, gate_margin_ppm=900_000)
    return played.submit(NORTH, "approve_study", "lungs", other.sha256)


@row("NotWithdrawableError", "a withdrawal after another hospital approved")
def _() -> object:
    return Played().agree().submit(EAST, "withdraw_study", "lungs")


@row("NotWithdrawableError", "a withdrawal by another than the proposer")
def _() -> object:
    played = Played()
    played.submit(EAST, "propose_study", played.study.to_bytes())
    return played.submit(NORTH, "withdraw_study", "lungs")


@row("StudyWithdrawnError", "an approval of a study that was taken back")
def _() -> object:
    played = Played()
    played.submit(EAST, "propose_study", played.study.to_bytes())
    played.submit(EAST, "withdraw_study", "lungs")
    return played.submit(NORTH, "approve_study", "lungs", played.study.sha256)


@row("TooManyProposalsError", "one more proposal than a hospital may have open")
def _() -> object:
    played = Played()
    for number in range(PROPOSALS_MAX + 1):
        study = make_study(study=f"lungs{number}")
        played.submit(EAST, "propose_study", study.to_bytes())
    return played


@row("TooManyProposalsError", "one more proposal than a hospital may take back")
def _() -> object:
    played = Played()
    for number in range(WITHDRAWALS_MAX + 1):
        study = make_study(study=f"lungs{number}")
        played.submit(EAST, "propose_study", study.to_bytes())
        played.submit(EAST, "withdraw_study", study.study)
    return played


# --- terms -----------------------------------------------------------------------------------


@row("OrderingError", "three ordering nodes")
def _() -> object:
    return propose(ordering=Ordering("BFT", 3))


@row("OrderingError", "ordering by Raft")
def _() -> object:
    return propose(ordering=Ordering("etcdraft", 5))


@row("HospitalListError", "hospitals out of order")
def _() -> object:
    return propose(hospitals=tuple(reversed(make_study().hospitals)))


@row("HospitalListError", "a hospital twice")
def _() -> object:
    first, *others = make_study().hospitals
    return propose(hospitals=(first, replace(first, point=4), *others[1:]))


@row("HospitalListError", "two hospitals with one evaluation point")
def _() -> object:
    *others, last = make_study().hospitals
    return propose(hospitals=(*others, replace(last, point=1)))


@row("HospitalListError", "an evaluation point beyond N")
def _() -> object:
    *others, last = make_study().hospitals
    return propose(hospitals=(*others, replace(last, point=5)))


@row("ThresholdError", "T one too low")
def _() -> object:
    return propose(threshold=2)


@row("ThresholdError", "T above N")
def _() -> object:
    return propose(threshold=5, contributors_min=5)


@row("ThresholdError", "k below a raised T")
def _() -> object:
    return propose(threshold=4)


@row("ThresholdError", "k below T")
def _() -> object:
    return propose(contributors_min=2)


@row("ThresholdError", "k above N")
def _() -> object:
    return propose(contributors_min=5)


@row("ParameterTermsError", "more bits than a slot holds")
def _() -> object:
    return propose(bits=60)


@row("ParameterTermsError", "two hospitals")
def _() -> object:
    hospitals = (StudyHospital(EAST, 1, 1, "none"), StudyHospital(NORTH, 2, 1, "none"))
    return propose(hospitals=hospitals, threshold=2, contributors_min=2)


@row("ParameterTermsError", "no shared value")
def _() -> object:
    weights = (Weight("a", (3,), "personal", 0),)
    return propose(weights=weights, weights_sha256=weights_digest(weights))


@row("WeightManifestError", "a tensor twice")
def _() -> object:
    weights = (Weight("a", (3,), "all", CLIP), Weight("a", (4,), "all", CLIP))
    return propose(weights=weights, weights_sha256=weights_digest(weights))


@row("WeightManifestError", "another digest than that of the tensors")
def _() -> object:
    return propose(weights_sha256="ab" * 32)


@row("WeightManifestError", "a shared tensor without a clipping scale")
def _() -> object:
    weights = (Weight("a", (3,), "all", 0),)
    return propose(weights=weights, weights_sha256=weights_digest(weights))


@row("WeightManifestError", "a clipping scale that leaves nothing but signs")
def _() -> object:
    weights = (Weight("a", (3,), "all", CLIP_NANO_MIN - 1),)
    return propose(weights=weights, weights_sha256=weights_digest(weights))


@row("WeightManifestError", "a clipping scale coarser than any change")
def _() -> object:
    weights = (Weight("a", (3,), "all", CLIP_NANO_MAX + 1),)
    return propose(weights=weights, weights_sha256=weights_digest(weights))


@row("RecordError", "more tensors than a study may have")
def _() -> object:
    weights = tuple(Weight(f"a{number}", (1,), "all", CLIP) for number in range(TENSORS_MAX + 1))
    return propose(weights=weights, weights_sha256=weights_digest(weights))


@row("TrainingTermsError", "three local steps")
def _() -> object:
    return propose(local_steps=3)


@row("DataRuleError", "a deadline within the peers' time window")
def _() -> object:
    return propose(deadlines_s=Deadlines(join=59, submit=600, answer=120))


@row("WeightManifestError", "tensors for masks that nobody has")
def _() -> object:
    weights = (Weight("a", (3,), "masks", CLIP),)
    hospitals = tuple(replace(h, has_masks=0) for h in make_study().hospitals)
    return propose(weights=weights, weights_sha256=weights_digest(weights), hospitals=hospitals)


@row("DataRuleError", "a hospital that does not say what its negative label means")
def _() -> object:
    *others, last = make_study().hospitals
    return propose(hospitals=(*others, replace(last, label_negative=" ")))


@row("DataRuleError", "no label scheme")
def _() -> object:
    return propose(label_scheme={})
