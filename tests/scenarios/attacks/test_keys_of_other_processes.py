"""Whoever breaks into a hospital's peer or ordering node has a key of the hospital's own authority.

With it he would join, and every other hospital would seal its shares to the key he joined with:
that of T such processes reads every update. The contract takes a hospital's word from its client
alone. (That a client refuses such a join, whatever the contract took: tests of `verify_join`.)
"""

from __future__ import annotations

import pytest

from chaincode.contract.rules import members
from chaincode.memory_ledger import MemoryEndorseError
from tests.unit.chaincode.contract.played import MSPS, Played, decoded, new_sealing_key

VICTIM = MSPS[3]
#: Processes and people of a hospital, by the role that their certificate has (NodeOU). None has the
#: attribute of the hospital's client.
STOLEN = {"peer": "peer", "ordering node": "orderer", "administrator": "admin", "a user": "client"}


@pytest.fixture(params=sorted(STOLEN))
def stolen(request: pytest.FixtureRequest) -> Played:
    """An open round that all but the victim joined; the victim's identity is the stolen one."""
    played = Played().to_open().join(*MSPS[:3])
    played.add_identity(VICTIM, role=STOLEN[request.param], acts_for_hospital=False)
    return played


def join_in_the_victims_name(played: Played) -> bytes:
    """Join with a sealing key of the thief's own, signed by the stolen key; return that key."""
    sealing_key = new_sealing_key()
    arguments, transient = played.join_arguments(VICTIM, sealing_key=sealing_key)
    played.submit(VICTIM, "join_round", *arguments, transient=transient)
    return sealing_key


def test_a_stolen_key_of_another_process_does_not_join(stolen: Played) -> None:
    with pytest.raises(MemoryEndorseError, match="ClientIdentityError: the signer"):
        join_in_the_victims_name(stolen)

    assert VICTIM not in stolen.query("joins", "lungs", 1)


def test_switched_off_identity_lets_it_play_the_hospitals_part_in_a_whole_round(
    stolen: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "check_hospital_client_pem", lambda certificate_pem: None)

    sealing_key = join_in_the_victims_name(stolen)
    shown = stolen.query("joins", "lungs", 1)[VICTIM]["sealing_key"]
    assert decoded(shown) == sealing_key  # what the others seal their shares to
    stolen.close().update().aggregate().answer(*MSPS[1:]).record_key(*MSPS[1:])
    stolen.confirm(*MSPS[1:]).publish()

    assert stolen.round().joined == MSPS
    assert stolen.round().state == "PUBLISHED"
