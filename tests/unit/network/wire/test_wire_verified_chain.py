"""A chain is believed block by block; each fault has its rule, and passes with that rule off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.common import common_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from network.errors import MalformedBytesError, UnprovedBlockError
from network.wire import validity, verified_chain
from network.wire.block import Block, read_block
from network.wire.channel_configuration import read_channel_configuration
from network.wire.verified_chain import ProvedBlock
from tests.support.certificate_authority import NOW, Authority
from tests.support.fake_chain import MVCC, Orderer, Result
from tests.support.fake_channel import MSPS, FakeChannel

POLICY_FAILURE = 10  # peer.TxValidationCode
DUPLICATE = 9
PHANTOM = 12
VECTORS = Path(__file__).parent / "vectors"


def take_all(channel: FakeChannel, blocks: Sequence[Block] | None = None) -> list[ProvedBlock]:
    verifier = channel.verifier()
    return [verifier.take(block) for block in (channel.blocks() if blocks is None else blocks)]


def channel_of(writes: int = 3) -> FakeChannel:
    made = FakeChannel()
    for number in range(writes):
        made.put(f"key{number}")
    return made


def reread(block: Any) -> Block:
    return read_block(block.SerializeToString())


# --- what a good chain proves -------------------------------------------------------------------


def test_every_block_is_signed_by_a_quorum() -> None:
    proved = take_all(channel_of())

    assert [(len(each.signers), each.needed) for each in proved] == [(0, 0)] + [(4, 3)] * 3
    assert {each.believed for each in proved} == {0}


def test_a_change_of_the_ordering_nodes_counts_from_the_next_block_on() -> None:
    channel = channel_of()
    fresh = Orderer(5, channel.issue("AMSP", "orderer"))
    channel.configure([*channel.orderers[1:], fresh])  # signed by those before
    channel.put("after")

    proved = take_all(channel)

    assert [each.signers for each in proved[-2:]] == [MSPS, ("BMSP", "CMSP", "DMSP", "AMSP")]


def test_a_chain_outlives_the_certificates_that_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Certificates are in force for a day; what counts is the time of the blocks, not now.
    start = NOW - timedelta(days=100)
    monkeypatch.setattr("tests.support.fake_channel.NOW", start + timedelta(hours=2))
    channel = FakeChannel({msp_id: Authority(msp_id, start=start) for msp_id in MSPS})
    for msp_id, authority in channel.authorities.items():
        issued = authority.issue("peer", start=start, unit="peer").identity(msp_id)
        channel.peers[msp_id] = issued
    channel.client = channel.authorities["AMSP"].issue("client", start=start).identity("AMSP")
    old = [
        Orderer(one.number, authority.issue("orderer", start=start).identity(msp_id))
        for one, (msp_id, authority) in zip(
            channel.orderers, channel.authorities.items(), strict=True
        )
    ]
    again = FakeChannel(channel.authorities, orderers=old)
    again.peers, again.client = channel.peers, channel.client
    again.put("old")

    assert len(take_all(again)) == 2


def test_what_was_proved_stays_when_a_later_block_is_refused() -> None:
    channel = channel_of(3)
    blocks = channel.blocks()
    verifier = channel.verifier()
    for block in blocks[:3]:
        verifier.take(block)

    with pytest.raises(UnprovedBlockError):
        verifier.take(replace(blocks[3], signatures=()))

    assert (verifier.height, verifier.head) == (3, blocks[2].header_hash)
    assert verifier.take(blocks[3]).block.number == 3


def test_a_transaction_that_came_too_late_is_proved_to_be_invalid() -> None:
    channel = channel_of(1)
    channel.call(Result(reads=(("key0", (0, 0)),), writes=(("x", b"1"),)), code=MVCC)

    assert take_all(channel)[-1].believed == 0


def test_reads_and_ranges_of_a_valid_transaction_are_replayed() -> None:
    channel = channel_of(3)
    channel.call(Result(deletes=("key1",)))
    channel.call(
        Result(
            reads=(("key0", (1, 0)), ("absent", None)),
            ranges=(("key", "kez", (("key0", (1, 0)), ("key2", (3, 0)))),),
            writes=(("key0", b"2"),),
        )
    )
    channel.call(Result(reads=(("key0", (5, 0)),)))

    assert len(take_all(channel)) == 7


def test_a_transaction_sees_what_those_before_it_in_its_block_wrote() -> None:
    channel = channel_of(1)
    first, second = (
        channel.transaction(Result(reads=(("key0", (1, 0)),), writes=(("key0", b"2"),)))[1]
        for _ in range(2)
    )
    channel.chain.append_all([first, second], [0, MVCC])

    assert take_all(channel)[-1].believed == 0


def test_what_nobody_can_read_does_not_end_the_audit() -> None:
    # Whoever may send to the ordering nodes may send any bytes; peers mark them invalid.
    channel = channel_of(1)
    payload = common_pb2.Payload.FromString(channel.transaction(Result())[1].payload)
    payload.data = b"\xff\xff\xff"
    garbage = payload.SerializeToString()
    envelope = common_pb2.Envelope(payload=garbage, signature=channel.client.sign(garbage))
    channel.chain.append(envelope, "garbage", 2)  # BAD_PAYLOAD

    block = channel.blocks()[-1]
    assert block.transactions[0].type == "UNREADABLE"
    assert take_all(channel)[-1].believed == 0


def test_a_code_whose_reason_is_not_checked_is_the_peers_word() -> None:
    channel = channel_of(1)
    result = Result(writes=(("x", b"1"),), private=(("updates_AMSP", b"k", b"v"),))
    channel.call(result, code=POLICY_FAILURE)  # perhaps of the collection's policy

    assert take_all(channel)[-1].believed == 1


# --- what a real Fabric made --------------------------------------------------------------------


def test_the_configuration_of_a_recorded_first_block_is_read() -> None:
    row = read_block((VECTORS / "block-0.pb").read_bytes()).transactions[0]

    found = read_channel_configuration(row.configuration)

    assert (row.channel, found.sequence, found.ordering) == ("hospitals", 0, "BFT")
    assert len(found.consenters) == 4
    assert {one.peer_unit for one in found.organisations.values()} == {"peer"}
    policy = found.policies["/Channel/Application/Endorsement"]
    assert policy is not None
    assert policy.words() == ("3 of the peers of moscow1MSP, moscow2MSP, saopauloMSP, ucsdMSP")


def test_a_recorded_transaction_is_endorsed_as_its_channels_policy_asks() -> None:
    genesis = read_block((VECTORS / "block-0.pb").read_bytes()).transactions[0]
    block = read_block((VECTORS / "block-12.pb").read_bytes())
    (row,) = block.transactions
    configuration = read_channel_configuration(genesis.configuration)
    at = verified_chain._time(row)

    validity.check_sender(row, configuration, at)
    proved = validity.check_endorsers(row, configuration, "rounds", at)

    assert proved == ("moscow1MSP", "moscow2MSP", "ucsdMSP")
    assert (row.well_formed, block.last_configuration) == (True, 0)
    assert row.ranges[0].found == ()


# --- faults: each is refused by one rule, and passes with it off --------------------------------


def lying_from_the_first_block() -> tuple[FakeChannel, list[Block]]:
    """A peer makes up a whole chain with identities of its own."""
    channel = channel_of()
    return channel, channel_of().blocks()


def another_first_block_of_the_same_members() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of(0)
    other = FakeChannel(channel.authorities, orderers=channel.orderers)
    other.sequence = 7  # any other byte will do
    other.chain.blocks.clear()
    other.chain.genesis = other._configuration(other.orderers)
    other.chain.append(common_pb2.Envelope(payload=other.chain.genesis), "first")
    return channel, other.blocks()


def a_changed_byte() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of()
    blocks = channel.blocks()
    changed = common_pb2.Block.FromString(channel.chain.blocks[2].SerializeToString())
    changed.data.data[0] = channel.transaction(Result(writes=(("key1", b"9"),)))[
        1
    ].SerializeToString()
    blocks[2] = reread(changed)
    return channel, blocks


def a_block_left_out() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of()
    blocks = channel.blocks()
    return channel, [*blocks[:2], *blocks[3:]]


def too_few_signatures() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of(1)
    channel.chain.orderers = channel.orderers[:2]
    channel.put("x")
    return channel, channel.blocks()


def a_strangers_signature() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of(1)
    stranger = Orderer(3, Authority("CMSP").issue("orderer").identity("CMSP"))
    channel.chain.orderers = [*channel.orderers[:2], stranger]
    channel.put("x")
    return channel, channel.blocks()


def a_removed_nodes_signature() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of(1)
    before = channel.orderers
    fresh = [Orderer(n, channel.issue(m, "orderer")) for n, m in zip((5, 6), MSPS[:2], strict=True)]
    channel.configure([*before[2:], *fresh])
    channel.chain.orderers = [before[0], before[2], before[3]]
    channel.put("x")
    return channel, channel.blocks()


def signers_of_another_configuration() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of(1)
    channel.chain.last_configuration = 1
    channel.put("x")
    return channel, channel.blocks()


def bytes_moved_between_transactions() -> tuple[FakeChannel, list[Block]]:
    """Two transactions are shown as one: the header's hash stays, and the first is gone."""
    channel = channel_of(1)
    envelopes = [channel.transaction(Result(writes=((key, b"1"),)))[1] for key in "xy"]
    channel.chain.append_all(envelopes, [0, 0])
    block = common_pb2.Block.FromString(channel.chain.blocks[-1].SerializeToString())
    joined = b"".join(block.data.data)
    del block.data.data[:]
    block.data.data.append(joined)
    return channel, [*channel.blocks()[:-1], reread(block)]


def a_configuration_out_of_order() -> tuple[FakeChannel, list[Block]]:
    channel = channel_of(1)
    channel.configure(sequence=2)
    return channel, channel.blocks()


FAULTS: dict[str, tuple[Callable[[], tuple[FakeChannel, list[Block]]], str, str]] = {
    "another first block": (
        another_first_block_of_the_same_members,
        "check_place",
        "block 0: is not the first block whose digest the members compared",
    ),
    "a changed byte": (
        a_changed_byte,
        "check_place",
        "block 2: the transactions of block 2 are not",
    ),
    "a block left out": (a_block_left_out, "check_place", "block 2: is missing"),
    "too few signatures": (too_few_signatures, "check_signers", "block 2: has 2 valid"),
    "a stranger's signature": (
        a_strangers_signature,
        "check_signers",
        "block 2: has 2 valid .*CMSP: the signature is not one of",
    ),
    "a removed node's signature": (
        a_removed_nodes_signature,
        "check_signers",
        "block 3: has 2 valid .*no ordering node of the channel",
    ),
    "another configuration": (
        signers_of_another_configuration,
        "check_last_configuration",
        "block 2: its signers go by the configuration of block 1",
    ),
    "moved bytes": (
        bytes_moved_between_transactions,
        "check_transactions_apart",
        "block 2: transaction 0 is not the bytes of one signed transaction",
    ),
    "a configuration out of order": (
        a_configuration_out_of_order,
        "check_next_configuration",
        "block 2: its configuration has sequence 2, after 0",
    ),
}
#: What each rule does when it is off.
OFF: dict[str, Callable[..., Any]] = {
    "check_place": lambda block, previous, genesis: None,
    "check_signers": lambda block, configuration, at: (),
    "check_last_configuration": lambda block, number: None,
    "check_transactions_apart": lambda block: None,
    "check_next_configuration": lambda block, row, before: verified_chain._read_configuration(
        block, row
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_chain_is_refused_and_passes_with_the_one_rule_off(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, rule, words = FAULTS[fault]
    channel, blocks = make()

    with pytest.raises(UnprovedBlockError, match=words):
        take_all(channel, blocks)
    monkeypatch.setattr(verified_chain, rule, OFF[rule])
    take_all(channel, blocks)


def test_a_chain_made_up_from_the_first_block_on_is_refused() -> None:
    channel, blocks = lying_from_the_first_block()

    with pytest.raises(UnprovedBlockError, match="block 0: is not the first block"):
        take_all(channel, blocks)


def test_a_first_block_that_names_other_roots_than_the_members_files_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel, other = channel_of(0), channel_of(0)

    with pytest.raises(UnprovedBlockError, match="block 0: it names other roots of AMSP"):
        channel.verifier(genesis=other.genesis)
    with pytest.raises(UnprovedBlockError, match="other roots of CMSP"):
        channel.verifier(roots={**channel.roots, "CMSP": ()})
    monkeypatch.setattr(verified_chain, "check_own_roots", lambda configuration, roots: None)
    channel.verifier(genesis=other.genesis)


@pytest.mark.parametrize(("least", "ordering"), [(2, "BFT"), (None, "etcdraft")])
def test_a_channel_with_weaker_rules_than_a_hospital_relies_on_is_refused(
    least: int | None, ordering: str
) -> None:
    words = {2: "asks for 2 of the peers", None: "ordering by etcdraft"}[least]
    channel = FakeChannel(least=least, ordering=ordering)

    with pytest.raises(UnprovedBlockError, match=f"block 0: .*{words}"):
        channel.verifier()


def test_a_configuration_that_weakens_the_endorsement_policy_is_refused() -> None:
    channel = channel_of(1)
    channel.least = 2
    channel.configure()

    with pytest.raises(UnprovedBlockError, match=r"block 2: its configuration: .*fewer than the 3"):
        take_all(channel)


def test_a_configuration_among_other_transactions_is_refused() -> None:
    channel = channel_of(1)
    configuration = common_pb2.Envelope.FromString(channel.chain.blocks[0].data.data[0])
    configuration.signature = b"s"
    channel.chain.append_all([configuration, channel.transaction(Result())[1]], [0, 0])

    with pytest.raises(UnprovedBlockError, match="block 2: it holds a configuration among other"):
        take_all(channel)


def test_a_block_without_the_peers_codes_is_refused() -> None:
    channel = channel_of(1)
    del channel.chain.blocks[1].metadata.metadata[2:]

    with pytest.raises(UnprovedBlockError, match=r"block 1: transaction 0 .*no peer has validated"):
        take_all(channel)


# --- transactions whose code does not follow from the chain -------------------------------------


def stranger_of(channel: FakeChannel) -> Any:
    return Authority("CMSP").issue("peer", unit="peer").identity("CMSP")


def revoked_peer(channel: FakeChannel) -> None:
    authority = channel.authorities["CMSP"]
    channel.revoked["CMSP"] = [authority.revoke(channel.peers["CMSP"].certificate_pem)]
    channel.configure()
    channel.put("x")


def another_members_result(channel: FakeChannel) -> None:
    """The endorsements of one proposal under another, as who submits it could put them."""
    _, good = channel.transaction(Result(writes=(("x", b"1"),)))
    _, other = channel.transaction(Result(writes=(("y", b"1"),)))
    payload = common_pb2.Payload.FromString(good.payload)
    payload.header.CopyFrom(common_pb2.Payload.FromString(other.payload).header)
    encoded = payload.SerializeToString()
    signed = common_pb2.Envelope(payload=encoded, signature=channel.client.sign(encoded))
    channel.chain.append(signed, "swapped")


CODES: dict[str, tuple[Callable[[FakeChannel], Any], str, str]] = {
    "endorsed by too few": (
        lambda channel: channel.put("x", endorsers=MSPS[:2]),
        "check_endorsers",
        "endorsed by 2 hospitals' peers, and /Channel/Application/Endorsement asks for 3",
    ),
    "endorsed thrice by one": (
        lambda channel: channel.put("x", endorsers=("AMSP",) * 3),
        "check_endorsers",
        "endorsed by 1 hospitals' peers",
    ),
    "endorsed by a stranger": (
        lambda channel: channel.put(
            "x", endorsers=[channel.peers["AMSP"], channel.peers["BMSP"], stranger_of(channel)]
        ),
        "check_endorsers",
        "CMSP: the certificate of .* was not issued",
    ),
    "endorsed by a client": (
        lambda channel: channel.put(
            "x", endorsers=[*(channel.peers[m] for m in MSPS[1:3]), channel.client]
        ),
        "check_endorsers",
        "AMSP: .*OU=client is no peer",
    ),
    "endorsed by a revoked peer": (revoked_peer, "check_endorsers", "CMSP: .* was revoked"),
    "another proposal's result": (
        another_members_result,
        "check_endorsers",
        "endorsers signed the result of another proposal",
    ),
    "a definition endorsed by too few": (
        lambda channel: channel.put("sequence", endorsers=MSPS[:2], chaincode="_lifecycle"),
        "check_endorsers",
        "/Channel/Application/LifecycleEndorsement asks for 3",
    ),
    "sent by a stranger": (
        lambda channel: channel.put("x", client=Authority("AMSP").issue("client").identity("AMSP")),
        "check_sender",
        "its sender is not proved",
    ),
    "of a key that had changed": (
        lambda channel: channel.call(Result(reads=(("key0", None),), writes=(("x", b"1"),))),
        "check_reads",
        "it read key0 of version absent, which was 1/0",
    ),
    "of a range that had changed": (
        lambda channel: channel.call(Result(ranges=(("key", "kez", ()),))),
        "check_reads",
        "it read 0 keys from key on, and they were others: 1",
    ),
    "left out as out of date": (
        lambda channel: channel.call(Result(reads=(("key0", (1, 0)),)), code=MVCC),
        "check_left_out",
        "the peer leaves it out, and nothing is wrong with it",
    ),
    "left out for a range": (
        lambda channel: channel.call(
            Result(ranges=(("key", "kez", (("key0", (1, 0)),)),)), code=PHANTOM
        ),
        "check_left_out",
        "the peer leaves it out",
    ),
    "left out as endorsed by too few": (
        lambda channel: channel.put("x", code=POLICY_FAILURE),
        "check_left_out",
        "the peer leaves it out",
    ),
    "left out as sent twice": (
        lambda channel: channel.put("x", code=DUPLICATE),
        "check_left_out",
        "the peer leaves it out",
    ),
}


@pytest.mark.parametrize("fault", CODES)
def test_a_wrong_code_is_refused_and_passes_with_the_one_rule_off(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    play, rule, words = CODES[fault]
    channel = channel_of(1)
    play(channel)
    number = len(channel.chain.blocks) - 1

    with pytest.raises(UnprovedBlockError, match=f"block {number}: transaction 0 .*{words}"):
        take_all(channel)
    monkeypatch.setattr(validity, rule, lambda *args: ())
    take_all(channel)


def test_a_transaction_ordered_again_is_not_valid_a_second_time() -> None:
    channel = channel_of(0)
    transaction_id, envelope = channel.transaction(Result(writes=(("x", b"1"),)))
    channel.chain.append(envelope, transaction_id)
    channel.chain.append_all([envelope], [0])

    with pytest.raises(UnprovedBlockError, match="its id is that of an earlier transaction"):
        take_all(channel)


def test_a_transaction_under_another_id_is_refused() -> None:
    channel = channel_of(0)
    _, envelope = channel.transaction(Result(writes=(("x", b"1"),)))
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    header.tx_id = "0" * 64
    payload.header.channel_header = header.SerializeToString()
    encoded = payload.SerializeToString()
    signed = common_pb2.Envelope(payload=encoded, signature=channel.client.sign(encoded))
    channel.chain.append(signed, header.tx_id)

    with pytest.raises(UnprovedBlockError, match="its id does not follow from its sender"):
        take_all(channel)


def test_a_transaction_of_another_channel_is_refused() -> None:
    channel = channel_of(0)
    channel.put("x", channel="elsewhere")

    with pytest.raises(UnprovedBlockError, match="sent to channel elsewhere"):
        take_all(channel)


GOOD = channel_of(2)
ENCODED = [bytes(block.SerializeToString()) for block in GOOD.chain.blocks]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_block_is_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(ENCODED) - 1))
    damaged = bytearray(ENCODED[number])
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    verifier = GOOD.verifier()
    for encoded in ENCODED[:number]:
        verifier.take(read_block(encoded))

    try:
        proved = verifier.take(read_block(bytes(damaged)))
    except (MalformedBytesError, UnprovedBlockError):
        assert verifier.height == number
        return
    # What is left may differ in nothing that is believed.
    good = read_block(ENCODED[number])
    assert proved.block.header_hash == good.header_hash
    assert [row.writes for row in proved.block.transactions] == [
        row.writes for row in good.transactions
    ]
    assert [row.is_valid for row in proved.block.transactions] == [
        row.is_valid for row in good.transactions
    ] or proved.believed


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_configuration_is_read_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(read_block(ENCODED[0]).transactions[0].configuration)
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

    with contextlib.suppress(MalformedBytesError):
        read_channel_configuration(bytes(damaged))
