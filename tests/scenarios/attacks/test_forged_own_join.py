"""Somebody joins with a hospital's identity and a sealing key of its own: it would open the shares.

Whoever has the client identities of T hospitals can join in their names before they do. The joins
are signed as they must be, so no dealer can see it; but each hospital sees that the sealing key in
its name is not its own. It stops before it deals a share, and says so on the ledger.
"""

from __future__ import annotations

import os

import pytest

from chaincode.records.canonical import encode, plain
from chaincode.records.round import JoinSignature
from chaincode.roundkey.shares import interpolate
from peer_client.errors import OwnJoinForgedError
from peer_client.rounds import own_records, round, submission
from peer_client.rounds.decision import Act
from peer_client.sealing import SealingKey, sign_join
from peer_client.sealing.boxes import PRIVATE_BYTES
from tests.scenarios.attacks.coalition import Coalition, Values, frame_of, watch_updates
from tests.support.hospitals import MSPS, MemoryConsortium, play, play_up_to

DEALER, *IMPERSONATED = MSPS


class Thief:
    """Has the client identities of three hospitals and joins in their names."""

    def __init__(self, consortium: MemoryConsortium) -> None:
        self.consortium = consortium
        self.keys = {msp: SealingKey(bytearray(os.urandom(PRIVATE_BYTES))) for msp in IMPERSONATED}

    def join(self, *msps: str) -> None:
        """Join round 1 in hospitals' names."""
        for msp in msps:
            context = self.consortium.context(msp)
            sealing_key = self.keys[msp].public
            signature = sign_join(
                context.signer.sign,
                **frame_of(context),
                round_number=1,
                msp_id=msp,
                point=context.hospital.point,
                sealing_key=sealing_key,
            )
            signed = JoinSignature(context.signer.certificate_pem.decode(), signature.hex())
            context.ledger.submit(
                "join_round",
                context.study.study,
                "1",
                encode(plain(signed)).decode(),
                transient={"sealing_key": sealing_key},
            )

    def opened(self) -> Values | None:
        """Open the dealer's boxes for the stolen names, and its update with them."""
        records = self.consortium.records(1)
        coalition = Coalition(self.consortium, ())
        transcript = submission.transcript(self.consortium.context(DEALER), records)
        layout = records.layout(coalition.parameters.polynomials)
        digest = bytes.fromhex(records.updates[DEALER].ciphertext_sha256)
        shares = {}
        for msp, key in self.keys.items():
            member = transcript.joined[transcript.position(msp)]
            box = coalition.upload(DEALER)[layout.box_slice(transcript.position(msp))]
            share = key.open(box, transcript.box_info(DEALER, member, digest))
            assert share is not None
            shares[member.point] = share
        return coalition.values_under(DEALER, interpolate(shares))


@pytest.fixture
def consortium(memory: MemoryConsortium) -> MemoryConsortium:
    return memory


def opened_with_forged_joins(consortium: MemoryConsortium, *msps: str) -> Thief:
    thief = Thief(consortium)
    consortium.ledger(DEALER).submit("open_round", consortium.study.study, "1")
    thief.join(*msps)
    return thief


def test_a_hospital_that_sees_a_forged_join_in_its_name_reports_it_and_stops(
    consortium: MemoryConsortium,
) -> None:
    opened_with_forged_joins(consortium, IMPERSONATED[0])

    with pytest.raises(OwnJoinForgedError, match=f"a join in the name of {IMPERSONATED[0]}"):
        consortium.part(IMPERSONATED[0], 1).step()

    assert set(consortium.records(1).join_reports) == {IMPERSONATED[0]}
    assert consortium.trainers[IMPERSONATED[0]].trained == []
    with pytest.raises(OwnJoinForgedError):  # started again, it stops again
        consortium.part(IMPERSONATED[0], 1).step()


def test_the_others_deal_no_share_in_a_reported_round_and_abandon_it(
    consortium: MemoryConsortium,
) -> None:
    opened_with_forged_joins(consortium, IMPERSONATED[0])
    with pytest.raises(OwnJoinForgedError):
        consortium.part(IMPERSONATED[0], 1).step()

    acts = play(consortium, consortium.parts(1, without=[IMPERSONATED[0]]))

    record = consortium.records(1).record
    assert record.state == "ABANDONED"
    assert record.reason.startswith(
        f"reported that the join in its name is not its own: {IMPERSONATED[0]}"
    )
    assert not {Act.SUBMIT, Act.ANSWER} & {act for done in acts.values() for act in done}
    assert not list(consortium.folder.rglob("upload.bin"))


def test_a_forged_join_that_comes_while_hospitals_train_is_seen_before_a_share_is_dealt(
    consortium: MemoryConsortium,
) -> None:
    victim, others = IMPERSONATED[0], [DEALER, *IMPERSONATED[1:]]
    parts = consortium.parts(1)
    play(
        consortium,
        {msp: parts[msp] for msp in others},
        until=lambda: bool(consortium.trainers[others[-1]].trained),
    )
    Thief(consortium).join(victim)
    play_up_to(consortium, {msp: parts[msp] for msp in others}, "SUBMITTING")

    with pytest.raises(OwnJoinForgedError):
        parts[victim].step()
    play(consortium, {msp: parts[msp] for msp in others})

    assert consortium.records(1).record.state == "ABANDONED"
    assert set(consortium.records(1).join_reports) == {victim}


def test_switched_off_look_at_the_own_join_gives_the_dealers_update(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_values = watch_updates(monkeypatch.setattr)
    assert round.check_own_join is own_records.check_own_join
    monkeypatch.setattr(round, "check_own_join", lambda *args: None)
    thief = opened_with_forged_joins(consortium, *IMPERSONATED)
    parts = consortium.parts(1)

    play(consortium, parts, until=lambda: DEALER in consortium.records(1).updates)

    found = thief.opened()
    assert found is not None
    assert (found == true_values[DEALER]).all()


def test_the_own_join_is_known_after_a_power_cut(consortium: MemoryConsortium) -> None:
    """The sealing key is lost with the machine's memory; that the join was the own one is not."""
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUBMITTING")
    consortium.context(DEALER).sealing_keys.wipe_all_before(2)
    parts[DEALER] = consortium.part(DEALER, 1)

    play(consortium, parts)

    assert consortium.records(1).record.state == "PUBLISHED"
    assert consortium.records(1).join_reports == {}
