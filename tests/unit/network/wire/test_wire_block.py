"""Blocks are read layer by layer, and what a block proves is proved."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2
from fabric_protos.peer import proposal_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from network.errors import CertificateError, MalformedBytesError
from network.wire.block import check_link, encode_header, read_block
from network.wire.block_signature import Consenter, bft_quorum, check_signatures, read_consenters
from network.wire.proposal import build_proposal
from network.wire.row import NOT_VALIDATED, KeyWrite
from network.wire.transaction import read_result
from tests.support.certificate_authority import NOW, Authority
from tests.support.fake_chain import MVCC, FakeChain, Orderer, Result, der_header, endorse

AT = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
AUTHORITIES = {f"{name}MSP": Authority(name) for name in ("A", "B", "C", "D")}
ROOTS = {msp_id: (authority.root_pem,) for msp_id, authority in AUTHORITIES.items()}
CLIENT = AUTHORITIES["AMSP"].issue("client").identity("AMSP")
ORDERERS = [
    Orderer(number, AUTHORITIES[msp_id].issue("orderer").identity(msp_id))
    for number, msp_id in enumerate(AUTHORITIES, start=1)
]
CONSENTERS = [
    Consenter(one.number, one.identity.msp_id, one.identity.certificate_pem) for one in ORDERERS
]
RESULT = Result(
    payload=b"answer",
    writes=(("\x00round\x00lungs\x00", b"1"), ("b", b"")),
    private=(("updates_AMSP", b"chunk", b"value"),),
    event=("round.open", b"{}"),
)


def envelope(*args: str | bytes, nonce: bytes = b"n" * 24) -> tuple[str, common_pb2.Envelope]:
    proposal = build_proposal(
        CLIENT,
        channel="consortium",
        chaincode="federation",
        args=args,
        nonce=nonce,
        at=AT,
        transient={"chunk": b"s3cret"},
    )
    signed = proposal_pb2.SignedProposal.FromString(proposal.encoded)
    endorsers = [AUTHORITIES[one].issue("peer").identity(one) for one in ("CMSP", "AMSP")]
    payload = endorse(signed.proposal_bytes, RESULT, endorsers, "federation")
    return proposal.transaction_id, common_pb2.Envelope(
        payload=payload, signature=CLIENT.sign(payload)
    )


def chain(orderers: list[Orderer] | None = None, code: int = 0) -> FakeChain:
    made = FakeChain(orderers=ORDERERS if orderers is None else orderers)
    for number in range(3):
        transaction_id, one = envelope("open_round", b"\xff", nonce=bytes([number]) * 24)
        made.append(one, transaction_id, code)
    return made


CHAIN = chain()


def encoded(number: int, of: FakeChain = CHAIN) -> bytes:
    return bytes(of.blocks[number].SerializeToString())


def test_a_row_says_who_called_what_when_and_what_it_wrote() -> None:
    row = read_block(encoded(1)).transactions[0]

    assert row.transaction_id == envelope("x", nonce=bytes(24))[0]
    assert row.type == "ENDORSER_TRANSACTION"
    assert row.creator_msp == "AMSP"
    assert row.creator_certificate_pem == CLIENT.certificate_pem
    assert row.timestamp_s == 1_795_608_000
    assert row.validation_code == "VALID"
    assert (row.chaincode, row.function, row.args) == ("federation", "open_round", (b"\xff",))
    assert row.endorser_msps == ("AMSP", "CMSP")
    assert (row.event_name, row.event_payload) == ("round.open", b"{}")
    assert row.writes == (
        KeyWrite("federation", "\x00round\x00lungs\x00", b"1", False),
        KeyWrite("federation", "b", b"", False),
    )
    (private,) = row.private_writes
    assert (private.namespace, private.collection) == ("federation", "updates_AMSP")
    assert private.key_sha256 == hashlib.sha256(b"chunk").digest()
    assert private.value_sha256 == hashlib.sha256(b"value").digest()


def test_an_invalid_transaction_is_shown_with_its_code() -> None:
    row = read_block(encoded(2, chain(code=MVCC))).transactions[0]

    assert row.validation_code == "MVCC_READ_CONFLICT"


def test_a_block_without_validation_flags_says_so() -> None:
    block = common_pb2.Block.FromString(encoded(1))
    del block.metadata.metadata[:]

    read = read_block(block.SerializeToString())

    assert read.transactions[0].validation_code == NOT_VALIDATED
    assert read.signatures == ()


def test_a_configuration_is_a_row_without_a_call() -> None:
    row = read_block(encoded(0)).transactions[0]

    assert (row.type, row.chaincode, row.function, row.writes) == ("CONFIG", "", "", ())


@given(
    st.integers(0, 2**64 - 1),
    st.binary(min_size=0, max_size=40),
    st.binary(min_size=0, max_size=40),
)
def test_a_header_encodes_as_asn1(number: int, previous_hash: bytes, data_hash: bytes) -> None:
    assert encode_header(number, previous_hash, data_hash) == der_header(
        number, previous_hash, data_hash
    )


def test_a_long_header_field_has_a_long_length() -> None:
    # X.690 8.1.3.5: 0x81 says that one byte of length follows.
    assert encode_header(0, bytes(200), b"")[:9].hex() == "3081d0" + "020100" + "0481c8"


def test_blocks_of_a_chain_follow_each_other() -> None:
    previous = None
    for number in range(4):
        previous = check_link(read_block(encoded(number)), previous)

    assert previous is not None
    assert previous.number == 3


def test_a_block_whose_transactions_were_changed_is_refused() -> None:
    block = common_pb2.Block.FromString(encoded(2))
    block.data.data[0] = common_pb2.Block.FromString(encoded(1)).data.data[0]

    with pytest.raises(MalformedBytesError, match="block 2 are not the ones its header names"):
        check_link(read_block(block.SerializeToString()), None)


def test_a_block_of_another_chain_is_refused() -> None:
    other = chain(orderers=[])
    ours = read_block(encoded(1))
    theirs = replace(read_block(encoded(2, other)), previous_hash=b"\x00" * 32)

    with pytest.raises(MalformedBytesError, match="does not continue the chain of block 1"):
        check_link(theirs, ours)


def test_a_skipped_block_is_noticed() -> None:
    with pytest.raises(MalformedBytesError, match="block 3 does not follow block 1"):
        check_link(read_block(encoded(3)), read_block(encoded(1)))


@settings(deadline=None)
@given(st.data())
def test_a_damaged_block_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(ENCODED)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not damaged:
            break

    try:
        read_block(bytes(damaged))
    except MalformedBytesError as error:
        refused = str(error)
        assert "s3cret" not in refused


ENCODED = encoded(1)


@pytest.mark.parametrize("nothing", [b"", b"\x0a\x00", b"\x12\x00"])
def test_an_envelope_with_nothing_in_it_is_refused(nothing: bytes) -> None:
    with pytest.raises(MalformedBytesError):
        read_result(nothing)


def test_the_result_of_an_envelope_is_the_chaincodes_answer() -> None:
    _, one = envelope("open_round")

    assert read_result(one.SerializeToString()) == b"answer"


def test_transient_data_are_not_on_the_chain() -> None:
    assert all(b"s3cret" not in one.SerializeToString() for one in CHAIN.blocks)


@pytest.mark.parametrize("by_number", [True, False])
def test_a_quorum_of_ordering_nodes_signed(by_number: bool) -> None:
    signed = chain([replace(one, by_number=by_number) for one in ORDERERS[:3]])

    proved = check_signatures(read_block(encoded(2, signed)), CONSENTERS, roots_pem=ROOTS, at=NOW)

    assert [one.msp_id for one in proved] == ["AMSP", "BMSP", "CMSP"]


def refused(signed: FakeChain, **more: object) -> str:
    arguments = {"roots_pem": ROOTS, "at": NOW, **more}
    with pytest.raises(CertificateError) as caught:
        check_signatures(read_block(encoded(2, signed)), CONSENTERS, **arguments)  # type: ignore[arg-type]
    return str(caught.value)


def test_two_signatures_of_four_are_too_few() -> None:
    assert "has 2 valid signatures of ordering nodes and needs 3" in refused(chain(ORDERERS[:2]))


def test_one_node_that_signs_thrice_counts_once() -> None:
    assert "has 1 valid signatures" in refused(chain([ORDERERS[0]] * 3))


def test_a_signature_with_another_nodes_number_does_not_count() -> None:
    liar = Orderer(3, ORDERERS[0].identity)

    assert "CMSP: the signature is not one of" in refused(chain([*ORDERERS[:2], liar]))


def test_a_signer_who_is_no_ordering_node_does_not_count() -> None:
    stranger = Orderer(9, ORDERERS[2].identity)

    assert "no ordering node of the channel" in refused(chain([*ORDERERS[:2], stranger]))


def test_a_consenter_whose_certificate_is_of_another_ca_does_not_count() -> None:
    # The mapping says CMSP, but this member's roots say otherwise: the mapping alone is not proof.
    roots = {**ROOTS, "CMSP": ROOTS["DMSP"]}

    assert "was not issued by its member's CA" in refused(chain(ORDERERS[:3]), roots_pem=roots)


def test_signatures_of_a_changed_header_do_not_count() -> None:
    block = common_pb2.Block.FromString(encoded(2))
    block.header.previous_hash = b"\x00" * 32

    with pytest.raises(CertificateError, match="has 0 valid signatures"):
        check_signatures(read_block(block.SerializeToString()), CONSENTERS, roots_pem=ROOTS, at=NOW)


def test_expired_certificates_do_not_count() -> None:
    assert "has 0 valid" in refused(CHAIN, at=NOW + timedelta(days=30))


def test_any_two_quorums_share_more_than_the_faulty() -> None:
    for nodes in range(1, 50):
        faulty = (nodes - 1) // 3
        assert 2 * bft_quorum(nodes) - nodes >= faulty + 1
        assert bft_quorum(nodes) <= nodes - faulty


def test_consenters_are_read_from_a_configuration_block_by_number() -> None:
    mapping = configuration_pb2.Orderers()
    for one in reversed(CONSENTERS):
        mapping.consenter_mapping.add(
            id=one.identifier, msp_id=one.msp_id, identity=one.certificate_pem
        )
    envelope = configtx_pb2.ConfigEnvelope()
    group = envelope.config.channel_group.groups["Orderer"]
    group.values["Orderers"].value = mapping.SerializeToString()
    payload = common_pb2.Payload(data=envelope.SerializeToString())
    outer = common_pb2.Envelope(payload=payload.SerializeToString())
    block = common_pb2.Block(data=common_pb2.BlockData(data=[outer.SerializeToString()]))

    assert list(read_consenters(block.SerializeToString())) == CONSENTERS


def test_a_block_that_is_no_configuration_names_no_consenters() -> None:
    with pytest.raises(MalformedBytesError, match="names no ordering nodes"):
        read_consenters(encoded(0))
