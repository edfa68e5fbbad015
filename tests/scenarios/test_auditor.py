"""An auditor traces a model back to the initial one, and sees every difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fabric_protos.common import common_pb2

from network.errors import UnprovedBlockError
from network.gateway import blocks as gateway_blocks
from network.wire.block import read_block
from peer_client.audit.block_walk import BlockAudit, check_chain
from peer_client.audit.recomputation import compare_answer, proved_lineage, recompute
from peer_client.cli.main import main
from peer_client.errors import BundleMissingError, ChainBrokenError, StudyClaimError
from peer_client.ledgers.fabric import FabricLedger
from peer_client.ledgers.ledger import LedgerBlock
from peer_client.rounds.lineage import initial_model
from tests.support.fabric_network import FabricNetwork
from tests.support.hospitals import (
    MSPS,
    Consortium,
    MemoryConsortium,
    initial_weights,
    played_round,
    small_study,
)
from tests.support.wrapped_ledger import WrappedLedger


def audited(consortium: Consortium, **more: Any) -> Any:
    study = consortium.study
    walked = BlockAudit(consortium.ledger(MSPS[3]))
    walked.walk()
    return recompute(walked, study, initial_model(study, initial_weights()), **more)


def test_every_model_follows_from_its_parent_and_its_sum(consortium: Consortium) -> None:
    records = [played_round(consortium, 1), played_round(consortium, 2)]

    checks, model = audited(consortium)

    assert [each.model_sha256 for each in checks] == [r.record.model_sha256 for r in records]
    assert {each.source for each in checks} == {"chunks"}
    assert model.round_number == 2


def test_blocks_continue_each_other(consortium: Consortium) -> None:
    played_round(consortium, 1)

    report = check_chain(consortium.ledger(MSPS[0]), study=consortium.study.study)

    assert report.blocks > 10
    assert report.transactions >= 25
    assert len(report.head) == 64


def test_expired_chunks_are_replaced_by_a_bundle_and_missed_without_one(tmp_path: Any) -> None:
    consortium = MemoryConsortium(tmp_path, small_study(), block_to_live=30)
    consortium.agree()
    played_round(consortium, 1)
    for _ in range(40):
        consortium.channel.commit()

    with pytest.raises(BundleMissingError, match="round 1"):
        audited(consortium)
    bundle = consortium.store(MSPS[2]).folder / "rounds"
    checks, _ = audited(consortium, bundles=[bundle])

    assert checks[0].source == "bundle"
    consortium.close()


def test_a_changed_bundle_is_seen(tmp_path: Any) -> None:
    consortium = MemoryConsortium(tmp_path, small_study(), block_to_live=30)
    consortium.agree()
    played_round(consortium, 1)
    for _ in range(40):
        consortium.channel.commit()
    path = consortium.store(MSPS[2]).round_folder(1) / "sum.bin"
    changed = bytearray(path.read_bytes())
    changed[100] ^= 1
    path.write_bytes(changed)

    with pytest.raises(ChainBrokenError, match="round 1"):
        audited(consortium, bundles=[path.parent.parent])
    consortium.close()


def test_another_initial_model_than_agreed_on_is_seen(memory: Consortium) -> None:
    with pytest.raises(StudyClaimError):
        initial_model(memory.study, initial_weights() + np.float32(1e-3))


def test_who_may_not_read_the_chunks_audits_with_a_bundle(memory: MemoryConsortium) -> None:
    played_round(memory, 1)
    for name, found in tuple(memory.channel.collections.items()):
        members = tuple(msp for msp in found.members if msp != MSPS[3])
        memory.channel.collections[name] = replace(found, members=members)

    with pytest.raises(BundleMissingError, match="not at this hospital's peer"):
        audited(memory)
    checks, _ = audited(memory, bundles=[memory.store(MSPS[0]).folder / "rounds"])

    assert checks[0].source == "bundle"


class ForgedBlocks(WrappedLedger):
    """A ledger whose blocks are changed by a peer."""

    def __init__(self, ledger: Any, change: Any) -> None:
        super().__init__(ledger)
        self._change = change

    def proved_blocks(self, start: int = 0) -> Iterator[LedgerBlock]:
        found = list(self._ledger.proved_blocks(start))
        yield from self._change(found)


FORGERIES = {
    "a transaction changed": lambda blocks: [
        *blocks[:5],
        replace(blocks[5], recomputed_data_hash=bytes(32)),
        *blocks[6:],
    ],
    "a block left out": lambda blocks: [*blocks[:5], *blocks[6:]],
    "a header changed": lambda blocks: [
        *blocks[:5],
        replace(blocks[5], header_hash=bytes(32)),
        *blocks[6:],
    ],
    "two blocks exchanged": lambda blocks: [*blocks[:5], blocks[6], blocks[5], *blocks[7:]],
    "the beginning left out": lambda blocks: blocks[1:],
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_chain_is_seen(memory: Consortium, forgery: str) -> None:
    played_round(memory, 1)
    ledger = ForgedBlocks(memory.ledger(MSPS[0]), FORGERIES[forgery])

    with pytest.raises(ChainBrokenError, match=r"block \d+"):
        check_chain(ledger)  # type: ignore[arg-type]


def _other_transaction(block: Any) -> None:
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    envelope.signature = bytes([*envelope.signature[:-1], envelope.signature[-1] ^ 1])
    block.data.data[0] = envelope.SerializeToString()


def _garbage(block: Any) -> None:
    block.data.data[0] = b"\xff" + block.data.data[0]


def _other_header(block: Any) -> None:
    block.header.previous_hash = bytes(32)


def _other_signatures(block: Any) -> None:
    metadata = common_pb2.Metadata.FromString(block.metadata.metadata[0])
    for one in metadata.signatures[:2]:
        one.signature = metadata.signatures[2].signature
    block.metadata.metadata[0] = metadata.SerializeToString()


def _fewer_signatures(block: Any) -> None:
    metadata = common_pb2.Metadata.FromString(block.metadata.metadata[0])
    del metadata.signatures[2:]
    block.metadata.metadata[0] = metadata.SerializeToString()


def _left_out(block: Any) -> None:
    block.metadata.metadata[2] = bytes([9])  # DUPLICATE_TXID


#: What a peer may do to its copy of a block, and what the audit says.
TAMPERED: dict[str, tuple[Callable[[Any], None], str]] = {
    "a transaction": (_other_transaction, "are not the ones its header names"),
    "bytes that are no transaction": (_garbage, "does not decode"),
    "the header": (_other_header, "does not continue the chain"),
    "the signatures": (_other_signatures, "valid signatures of ordering nodes and needs 3"),
    "too few signatures": (_fewer_signatures, "has 2 valid signatures of ordering nodes"),
    "a transaction left out": (_left_out, "the peer leaves it out, and nothing is wrong"),
}


@pytest.mark.parametrize("make", [pytest.param("fabric", marks=pytest.mark.fabric)], indirect=True)
def test_an_audit_proves_every_signature_of_a_real_chain_and_no_tampered_copy(
    consortium: Consortium, network: FabricNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    played_round(consortium, 1)
    name = consortium.study.study
    arguments = ["--member", str(network.member("authority").path), "audit", "lineage", name]
    shown = CliRunner().invoke(main, [*arguments, "--blocks", "--json"])
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert document["chain"]["signed"] == document["chain"]["blocks"] - 1
    assert [each["state"] for each in document["rounds"]] == ["PUBLISHED"]
    ledger = consortium.ledger(MSPS[0])
    assert isinstance(ledger, FabricLedger)
    walked = BlockAudit(ledger)
    walked.walk()
    compare_answer(walked, name)

    report = walked.report()
    assert report.signed == report.blocks - 1 > 10
    assert report.signers_least >= report.signers_needed == 3
    assert report.believed <= report.invalid
    assert proved_lineage(walked.records, name)["rounds"] == document["rounds"]

    number = report.blocks - 2
    for change, words in TAMPERED.values():

        def tampered(encoded: bytes, change: Callable[[Any], None] = change) -> Any:
            block = common_pb2.Block.FromString(encoded)
            if block.header.number == number:
                change(block)
            return read_block(block.SerializeToString())

        monkeypatch.setattr(gateway_blocks, "read_block", tampered)
        again = BlockAudit(ledger)
        with pytest.raises(UnprovedBlockError, match=f"block {number}: .*{words}"):
            again.walk()
        assert again.report().blocks == number  # what came before is proved
