"""The in-memory ledger behaves as Fabric does, seen on small contracts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaincode.ledger import Creator, Ledger
from chaincode.memory_ledger import (
    DUPLICATE_TXID,
    ENDORSEMENT_POLICY_FAILURE,
    MVCC_READ_CONFLICT,
    PHANTOM_READ_CONFLICT,
    VALID,
    MemoryCommitError,
    MemoryEndorseError,
    MemoryLedger,
)
from chaincode.records.keys import composite
from network.quorum import hospital_quorum

HOSPITALS = ("AMSP", "BMSP", "CMSP", "DMSP")
A = Creator("AMSP", b"certificate of a")
OUTSIDER = Creator("ZMSP", b"certificate of z")


def small_contract(ledger: Ledger, args: Sequence[bytes]) -> bytes:
    """A contract with one function for each of the ledger's."""
    name, *rest = [arg.decode() for arg in args]
    match name, rest:
        case "get", [key]:
            return ledger.get_state(key)
        case "put", [key, value]:
            ledger.put_state(key, value.encode())
        case "delete", [key]:
            ledger.delete_state(key)
        case "put then get", [key, value]:
            ledger.put_state(key, value.encode())
            return ledger.get_state(key)
        case "increment", [key]:
            ledger.put_state(key, str(int(ledger.get_state(key) or b"0") + 1).encode())
        case "count", [kind, target]:
            ledger.put_state(target, str(len(list(ledger.states(kind)))).encode())
        case "list", [kind]:
            return b",".join(value for _, value in ledger.states(kind))
        case "page", [kind, size, bookmark]:
            rows, following = ledger.states_page(kind, page_size=int(size), bookmark=bookmark)
            return b",".join(value for _, value in rows) + b"|" + following.encode()
        case "history", [key]:
            return b",".join(change.value for change in ledger.history(key))
        case "put private", [collection, key]:
            ledger.put_private(collection, key, ledger.transient["value"])
        case "get private", [collection, key]:
            return ledger.get_private(collection, key)
        case "hash", [collection, key]:
            return ledger.private_hash(collection, key)
        case "purge", [collection, key]:
            ledger.purge_private(collection, key)
        case "copy private", [collection, key]:
            ledger.put_state(key, ledger.get_private(collection, key) or b"none")
        case "tell", [event]:
            ledger.set_event("first", b"")
            ledger.set_event(event, b"payload")
            ledger.put_state("told", b"1")
        case "who", []:
            return f"{ledger.creator.msp_id} {ledger.timestamp_s} {ledger.channel}".encode()
        case _:
            raise ValueError("no such function")
    return b""


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(small_contract, hospitals=HOSPITALS)


def test_transaction_does_not_read_its_own_write(ledger: MemoryLedger) -> None:
    ledger.submit(A, "put", "k", "old")

    assert ledger.submit(A, "put then get", "k", "new").payload == b"old"
    assert ledger.evaluate(A, "get", "k") == b"new"


def test_absent_key_reads_as_empty_bytes(ledger: MemoryLedger) -> None:
    assert ledger.evaluate(A, "get", "nothing") == b""


def test_evaluate_commits_nothing(ledger: MemoryLedger) -> None:
    ledger.evaluate(A, "put", "k", "v")

    assert ledger.evaluate(A, "get", "k") == b""
    assert ledger.height == 1


def test_two_read_modify_writes_of_one_key_conflict(ledger: MemoryLedger) -> None:
    first, second = ledger.simulate(A, "increment", "n"), ledger.simulate(A, "increment", "n")

    assert ledger.commit(first, second) == (VALID, MVCC_READ_CONFLICT)
    assert ledger.evaluate(A, "get", "n") == b"1"


def test_conflict_in_a_later_block_is_found_too(ledger: MemoryLedger) -> None:
    early = ledger.simulate(A, "increment", "n")
    ledger.submit(A, "increment", "n")

    assert ledger.commit(early) == (MVCC_READ_CONFLICT,)


def test_blind_writes_of_one_key_do_not_conflict(ledger: MemoryLedger) -> None:
    first, second = ledger.simulate(A, "put", "k", "1"), ledger.simulate(A, "put", "k", "2")

    assert ledger.commit(first, second) == (VALID, VALID)
    assert ledger.evaluate(A, "get", "k") == b"2"


def test_key_that_appears_in_a_range_read_is_a_phantom(ledger: MemoryLedger) -> None:
    counted = ledger.simulate(A, "count", "kind", "total")
    ledger.submit(A, "put", composite("kind", "x"), "1")

    assert ledger.commit(counted) == (PHANTOM_READ_CONFLICT,)


def test_key_that_changes_in_a_range_read_is_a_phantom(ledger: MemoryLedger) -> None:
    ledger.submit(A, "put", composite("kind", "x"), "1")
    counted = ledger.simulate(A, "count", "kind", "total")
    ledger.submit(A, "put", composite("kind", "x"), "2")

    assert ledger.commit(counted) == (PHANTOM_READ_CONFLICT,)


def test_key_under_another_prefix_is_no_phantom(ledger: MemoryLedger) -> None:
    counted = ledger.simulate(A, "count", "kind", "total")
    ledger.submit(A, "put", composite("kindred", "x"), "1")

    assert ledger.commit(counted) == (VALID,)


def test_range_comes_sorted_by_key(ledger: MemoryLedger) -> None:
    for name in ("b", "c", "a"):
        ledger.submit(A, "put", composite("kind", name), name)

    assert ledger.evaluate(A, "list", "kind") == b"a,b,c"


def test_pages_follow_each_other_and_end(ledger: MemoryLedger) -> None:
    for name in ("a", "b", "c"):
        ledger.submit(A, "put", composite("kind", name), name)

    rows, _, bookmark = ledger.evaluate(A, "page", "kind", "2", "").partition(b"|")
    last, _, end = ledger.evaluate(A, "page", "kind", "2", bookmark).partition(b"|")

    assert (rows, last, end) == (b"a,b", b"c", b"")


def test_history_is_newest_first_and_keeps_deletions(ledger: MemoryLedger) -> None:
    ledger.submit(A, "put", "k", "1")
    ledger.submit(A, "put", "k", "2")
    ledger.submit(A, "delete", "k")

    assert ledger.evaluate(A, "history", "k") == b",2,1"
    assert ledger.evaluate(A, "get", "k") == b""


def test_same_transaction_twice_is_a_duplicate(ledger: MemoryLedger) -> None:
    simulation = ledger.simulate(A, "put", "k", "1")

    assert ledger.commit(simulation, simulation) == (VALID, DUPLICATE_TXID)


@pytest.mark.parametrize(("hospitals", "needed"), [(4, 3), (5, 4), (7, 5), (10, 7), (20, 14)])
def test_public_write_needs_t_hospitals_and_not_a_majority(hospitals: int, needed: int) -> None:
    names = [f"H{number}MSP" for number in range(hospitals)]
    ledger = MemoryLedger(small_contract, hospitals=names)

    assert needed == hospital_quorum(hospitals) == ledger.endorsers_needed
    with pytest.raises(MemoryCommitError, match=ENDORSEMENT_POLICY_FAILURE):
        ledger.submit(A, "put", "k", "v", endorsers=names[: needed - 1])
    ledger.submit(A, "put", "k", "v", endorsers=names[:needed])


def test_public_write_without_t_hospitals_changes_nothing(ledger: MemoryLedger) -> None:
    with pytest.raises(MemoryCommitError) as caught:
        ledger.submit(A, "put", "k", "v", endorsers=["AMSP", "BMSP"])

    assert caught.value.code == ENDORSEMENT_POLICY_FAILURE
    assert ledger.evaluate(A, "get", "k") == b""


def test_endorsement_of_an_organisation_that_is_no_hospital_does_not_count(
    ledger: MemoryLedger,
) -> None:
    with pytest.raises(MemoryCommitError):
        ledger.submit(A, "put", "k", "v", endorsers=["AMSP", "BMSP", "ZMSP"])


def put_private(ledger: MemoryLedger, collection: str, endorsers: list[str]) -> None:
    ledger.submit(
        A, "put private", collection, "k", transient={"value": b"bytes"}, endorsers=endorsers
    )


def test_private_write_endorsed_by_its_owner_alone_is_valid(ledger: MemoryLedger) -> None:
    put_private(ledger, "updates_AMSP", ["AMSP"])

    assert ledger.evaluate(A, "get private", "updates_AMSP", "k") == b"bytes"


def test_private_write_endorsed_by_all_others_is_invalid(ledger: MemoryLedger) -> None:
    with pytest.raises(MemoryCommitError, match=ENDORSEMENT_POLICY_FAILURE):
        put_private(ledger, "updates_AMSP", ["BMSP", "CMSP", "DMSP"])


def test_outsider_reads_the_hash_but_not_the_value(ledger: MemoryLedger) -> None:
    put_private(ledger, "updates_AMSP", ["AMSP"])

    assert len(ledger.evaluate(OUTSIDER, "hash", "updates_AMSP", "k")) == 32
    with pytest.raises(MemoryEndorseError, match="does not have read access permission"):
        ledger.evaluate(OUTSIDER, "get private", "updates_AMSP", "k")


def test_outsider_cannot_write_privately(ledger: MemoryLedger) -> None:
    with pytest.raises(MemoryEndorseError, match="does not have write access permission"):
        ledger.simulate(OUTSIDER, "put private", "updates_AMSP", "k", transient={"value": b"bytes"})


def test_collection_that_does_not_exist_is_refused(ledger: MemoryLedger) -> None:
    with pytest.raises(MemoryEndorseError, match="updates_ZMSP could not be found"):
        ledger.evaluate(A, "hash", "updates_ZMSP", "k")


def test_private_value_expires_with_its_hash() -> None:
    ledger = MemoryLedger(small_contract, hospitals=HOSPITALS, block_to_live=2)
    put_private(ledger, "updates_AMSP", ["AMSP"])
    ledger.commit()
    ledger.commit()
    assert ledger.evaluate(A, "get private", "updates_AMSP", "k") == b"bytes"

    ledger.commit()

    assert ledger.evaluate(A, "get private", "updates_AMSP", "k") == b""
    assert ledger.evaluate(A, "hash", "updates_AMSP", "k") == b""


def test_rewritten_private_value_lives_from_its_last_write() -> None:
    ledger = MemoryLedger(small_contract, hospitals=HOSPITALS, block_to_live=2)
    put_private(ledger, "updates_AMSP", ["AMSP"])
    put_private(ledger, "updates_AMSP", ["AMSP"])
    ledger.commit()
    ledger.commit()

    assert ledger.evaluate(A, "get private", "updates_AMSP", "k") == b"bytes"


def test_purged_private_value_is_gone_with_its_hash(ledger: MemoryLedger) -> None:
    put_private(ledger, "updates_AMSP", ["AMSP"])
    ledger.submit(A, "purge", "updates_AMSP", "k")

    assert ledger.evaluate(A, "hash", "updates_AMSP", "k") == b""


def test_private_value_that_changed_since_it_was_read_conflicts(ledger: MemoryLedger) -> None:
    put_private(ledger, "updates_AMSP", ["AMSP"])
    copied = ledger.simulate(A, "copy private", "updates_AMSP", "k")
    put_private(ledger, "updates_AMSP", ["AMSP"])

    assert ledger.commit(copied) == (MVCC_READ_CONFLICT,)


def test_private_value_that_has_not_arrived_is_the_peers_error(ledger: MemoryLedger) -> None:
    put_private(ledger, "updates_AMSP", ["AMSP"])
    ledger.lose_private("updates_AMSP", "k")

    assert len(ledger.evaluate(A, "hash", "updates_AMSP", "k")) == 32
    with pytest.raises(MemoryEndorseError, match=r"public hash version is not available.*<nil>"):
        ledger.evaluate(A, "get private", "updates_AMSP", "k")


def test_last_event_of_a_valid_transaction_is_told(ledger: MemoryLedger) -> None:
    ledger.submit(A, "tell", "second")

    assert [(e.block_number, e.name, e.payload) for e in ledger.events] == [
        (1, "second", b"payload")
    ]


def test_invalid_transaction_raises_no_event_but_stays_in_its_block(ledger: MemoryLedger) -> None:
    with pytest.raises(MemoryCommitError):
        ledger.submit(A, "tell", "second", endorsers=["AMSP"])

    assert ledger.events == []
    (row,) = ledger.blocks[1].transactions
    assert (row.validation_code, row.function) == (ENDORSEMENT_POLICY_FAILURE, "tell")


def test_contract_sees_creator_time_and_channel(ledger: MemoryLedger) -> None:
    assert ledger.evaluate(A, "who", timestamp_s=17) == b"AMSP 17 consortium"


def test_exception_of_a_contract_refuses_with_its_class_and_text(ledger: MemoryLedger) -> None:
    with pytest.raises(
        MemoryEndorseError, match="chaincode response 500, ValueError: no such function"
    ):
        ledger.submit(A, "fly")
