"""Prove that enough ordering nodes signed a block.

Who may sign is the channel's consenter mapping (`read_consenters` of a configuration block that is
trusted already, such as the genesis block that the members exchanged); each signer's certificate
must also chain to its own member's roots, from the checker's files. A Byzantine fault tolerant
ordering service needs ceil((n + f + 1) / 2) signatures, f = floor((n - 1) / 3): any two such groups
share an honest node (SmartBFT, internal/bft/util.go, computeQuorum).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fabric_protos.common import configuration_pb2

from network.errors import CertificateError, MalformedBytesError
from network.quorum import bft_quorum
from network.wire.block import Block, OrdererSignature
from network.wire.configuration import ordering_values
from network.wire.decoding import decode
from network.wire.identity import verify_signature


@dataclass(frozen=True, slots=True)
class Consenter:
    """One ordering node as the channel's configuration names it."""

    identifier: int
    msp_id: str
    certificate_pem: bytes = field(repr=False)


def read_consenters(config_block: bytes) -> tuple[Consenter, ...]:
    """Return the consenter mapping of a configuration block, by number.

    Raises:
        MalformedBytesError: The block is no configuration, or names no ordering nodes.
    """
    values = ordering_values(config_block)
    if "Orderers" not in values:
        raise MalformedBytesError("the configuration names no ordering nodes")
    encoded = values["Orderers"].value
    mapping = decode(configuration_pb2.Orderers, encoded, what="the ordering nodes")
    return tuple(
        sorted(
            (Consenter(one.id, one.msp_id, one.identity) for one in mapping.consenter_mapping),
            key=lambda one: one.identifier,
        )
    )


def check_signatures(
    block: Block,
    consenters: Sequence[Consenter],
    *,
    roots_pem: Mapping[str, Sequence[bytes]],
    at: datetime,
) -> tuple[Consenter, ...]:
    """Return the ordering nodes proved to have signed a block: at least a quorum of them.

    Args:
        block: Any block but the first, which nobody signs.
        consenters: All ordering nodes of the channel.
        roots_pem: Each member's root certificates, by MSP id, from the checker's files.
        at: Time at which certificates must be in force.

    Raises:
        CertificateError: Too few valid signatures; the text says what was wrong with the others.
    """
    proved: dict[int, Consenter] = {}
    wrong = []
    for signature in block.signatures:
        consenter = _signer(signature, consenters)
        if consenter is None:
            wrong.append("a signer who is no ordering node of the channel")
            continue
        try:
            verify_signature(
                consenter.certificate_pem,
                signature.signed,
                signature.signature,
                roots_pem=roots_pem.get(consenter.msp_id, ()),
                at=at,
            )
        except CertificateError as error:
            wrong.append(f"{consenter.msp_id}: {error}")
        else:
            proved[consenter.identifier] = consenter
    needed = bft_quorum(len(consenters))
    if len(proved) < needed:
        reasons = f" ({'; '.join(wrong)})" if wrong else ""
        raise CertificateError(
            f"block {block.number} has {len(proved)} valid signatures of ordering nodes and needs "
            f"{needed}{reasons}",
            hint="do not trust this peer's copy of the chain; compare it with another member's",
        )
    return tuple(proved[identifier] for identifier in sorted(proved))


def _signer(signature: OrdererSignature, consenters: Sequence[Consenter]) -> Consenter | None:
    for consenter in consenters:
        if signature.identifier is None:
            same = (consenter.msp_id, consenter.certificate_pem.strip()) == (
                signature.msp_id,
                signature.certificate_pem.strip(),
            )
        else:
            same = consenter.identifier == signature.identifier
        if same:
            return consenter
    return None
