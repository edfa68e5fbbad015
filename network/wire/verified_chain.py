"""Take a channel's blocks one after the other, and believe none that is not proved.

The proof starts from this member's own file of the first block, whose digest the members compared,
and from the roots in its own directory, which that block must name. From there each block must hold
the transactions of its header, continue the one before, and be signed by a quorum of the ordering
nodes in force at its height; a configuration block sets them, the organisations' roots and the
endorsement policies from the next block on. Certificates must be in force at the block's time (that
of its latest valid transaction), not now: a chain outlives them. What is proved about transactions
is in `network.wire.validity`.

A configuration block is believed because a quorum of the ordering nodes before it signed it: that
its change was signed by enough administrators is not checked a second time here. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from network.errors import CertificateError, MalformedBytesError, UnprovedBlockError
from network.quorum import bft_quorum
from network.wire.block import Block, check_link, read_block
from network.wire.block_signature import check_signatures
from network.wire.channel_configuration import (
    BFT,
    CHAINCODE_POLICY,
    LIFECYCLE_POLICY,
    ChannelConfiguration,
    read_channel_configuration,
)
from network.wire.key_versions import KeyVersions
from network.wire.row import CONFIGURATION, TransactionRow
from network.wire.validity import ValidityError, check_code, check_policy


@dataclass(frozen=True, slots=True)
class ProvedBlock:
    """A block, and the ordering nodes proved to have signed it.

    Attributes:
        block: The block; the codes of its transactions were checked.
        signers: MSP of each ordering node, by number; empty for the first block, which is this
            member's own file.
        needed: How many of them had to sign.
        believed: Transactions left out on the peer's word alone (`validity.check_code`).
    """

    block: Block
    signers: tuple[str, ...]
    needed: int
    believed: int


class VerifiedChain:
    """What is proved of a channel so far; a block that is refused changes nothing of it.

    Args:
        genesis_block: This member's own file of the first block, whose digest the members compared.
        own_roots: Root certificates by MSP from this member's own directory, PEM. Those that the
            first block names must be among them.
        chaincode: Whose writes are held to the channel's endorsement policy.

    Raises:
        UnprovedBlockError: The file is no first block, or names other roots.
    """

    def __init__(
        self, genesis_block: bytes, *, own_roots: Mapping[str, Sequence[bytes]], chaincode: str
    ) -> None:
        try:
            self._genesis = check_link(read_block(genesis_block), None)
        except MalformedBytesError as error:
            raise UnprovedBlockError(0, f"this member's file of it is damaged: {error}") from None
        first = _configuration_row(self._genesis)
        if self._genesis.number or first is None:
            raise UnprovedBlockError(0, "this member's file of it is not a channel's first block")
        self._chaincode = chaincode
        self.channel = first.channel
        self.configuration = _read_configuration(self._genesis, first)
        check_own_roots(self.configuration, own_roots)
        self._last_configuration = 0
        self._at = _time(first)
        self._previous: Block | None = None
        self._versions = KeyVersions()
        self._ids: set[str] = set()

    @property
    def height(self) -> int:
        """Return how many blocks are proved."""
        return 0 if self._previous is None else self._previous.number + 1

    @property
    def head(self) -> bytes:
        """Return the header's hash of the newest proved block, empty before the first."""
        return b"" if self._previous is None else self._previous.header_hash

    def take(self, block: Block) -> ProvedBlock:
        """Return a block proved to be the next of this chain.

        Raises:
            UnprovedBlockError: It is not; the text says why.
        """
        check_place(block, self._previous, self._genesis)
        if self._previous is None:
            self._previous = block
            return ProvedBlock(block, (), 0, 0)
        check_transactions_apart(block)
        following = _configuration_row(block)
        at = max((_time(row) for row in block.transactions if row.is_valid), default=self._at)
        signers = check_signers(block, self.configuration, at)
        last = self._last_configuration if following is None else block.number
        check_last_configuration(block, last)
        configuration = self.configuration
        believed = 0
        if following is None:
            believed = self._check_codes(block, at)
        else:
            configuration = check_next_configuration(block, following, self.configuration)
        needed = bft_quorum(len(self.configuration.consenters))
        self.configuration, self._last_configuration = configuration, last
        self._at, self._previous = at, block
        return ProvedBlock(block, signers, needed, believed)

    def _check_codes(self, block: Block, at: datetime) -> int:
        """Check each transaction's code; keep what the valid ones wrote, once all are checked.

        Returns:
            How many are left out on the peer's word alone.
        """
        ids: set[str] = set()
        believed = 0
        try:
            for place, row in enumerate(block.transactions):
                wrong = check_code(
                    row,
                    self.configuration,
                    self._versions,
                    chaincode=self._chaincode,
                    channel=self.channel,
                    duplicate=row.transaction_id in self._ids or row.transaction_id in ids,
                    at=at,
                )
                ids.add(row.transaction_id)
                if row.is_valid:
                    self._versions.write(row, (block.number, place))
                elif not wrong:
                    believed += 1
        except ValidityError as error:
            self._versions.drop()
            raise UnprovedBlockError(
                block.number, f"transaction {place} ({row.validation_code}): {error}"
            ) from None
        self._versions.commit()
        self._ids |= ids
        return believed


def check_own_roots(
    configuration: ChannelConfiguration, own_roots: Mapping[str, Sequence[bytes]]
) -> None:
    """Prove that the first block names the roots that the members handed to one another.

    Raises:
        UnprovedBlockError: It names others.
    """
    for msp_id, named in configuration.roots_pem().items():
        known = {_der(pem) for pem in own_roots.get(msp_id, ())}
        if not named or not {_der(pem) for pem in named} <= known:
            raise UnprovedBlockError(
                0, f"it names other roots of {msp_id} than this member's own directory holds"
            )


def check_place(block: Block, previous: Block | None, genesis: Block) -> None:
    """Prove that a block holds what its header says, and continues the one before.

    Raises:
        UnprovedBlockError: It does not, or the first one is not this member's own.
    """
    number = 0 if previous is None else previous.number + 1
    if block.number != number:
        raise UnprovedBlockError(number, f"is missing: the peer gave block {block.number} for it")
    try:
        check_link(block, previous)
    except MalformedBytesError as error:
        raise UnprovedBlockError(number, str(error)) from None
    if previous is None and block.header_hash != genesis.header_hash:
        raise UnprovedBlockError(0, "is not the first block whose digest the members compared")


def check_transactions_apart(block: Block) -> None:
    """Prove that each transaction begins and ends where its sender had it.

    Raises:
        UnprovedBlockError: Bytes were moved between transactions, or there are none.
    """
    if not block.transactions:
        raise UnprovedBlockError(block.number, "it holds no transaction")
    for place, row in enumerate(block.transactions):
        if not row.well_formed:
            raise UnprovedBlockError(
                block.number, f"transaction {place} is not the bytes of one signed transaction"
            )


def check_signers(
    block: Block, configuration: ChannelConfiguration, at: datetime
) -> tuple[str, ...]:
    """Return the MSPs of the ordering nodes proved to have signed a block: a quorum of those.

    Raises:
        UnprovedBlockError: They are fewer.
    """
    try:
        proved = check_signatures(
            block, configuration.consenters, roots_pem=configuration.roots_pem(), at=at
        )
    except CertificateError as error:
        raise UnprovedBlockError(block.number, str(error)) from None
    return tuple(one.msp_id for one in proved)


def check_last_configuration(block: Block, number: int) -> None:
    """Prove that the signers go by the configuration that this chain has.

    Raises:
        UnprovedBlockError: They state another.
    """
    if block.last_configuration != number:
        raise UnprovedBlockError(
            block.number,
            f"its signers go by the configuration of block {block.last_configuration}; the newest "
            f"in this chain is that of block {number}",
        )


def check_next_configuration(
    block: Block, row: TransactionRow, before: ChannelConfiguration
) -> ChannelConfiguration:
    """Return the configuration that a block sets, proved to be the next.

    Raises:
        UnprovedBlockError: It is not, or it is none that an audit can go on from.
    """
    if not row.is_valid:
        raise UnprovedBlockError(block.number, f"its configuration is marked {row.validation_code}")
    found = _read_configuration(block, row)
    if found.sequence != before.sequence + 1:
        raise UnprovedBlockError(
            block.number,
            f"its configuration has sequence {found.sequence}, after {before.sequence}",
        )
    return found


def _read_configuration(block: Block, row: TransactionRow) -> ChannelConfiguration:
    try:
        found = read_channel_configuration(row.configuration)
        for path in (CHAINCODE_POLICY, LIFECYCLE_POLICY):
            check_policy(found, path)
    except (MalformedBytesError, ValidityError) as error:
        raise UnprovedBlockError(block.number, f"its configuration: {error}") from None
    if found.ordering != BFT or not found.consenters:
        raise UnprovedBlockError(
            block.number, f"ordering by {found.ordering} is not signed by a quorum of the nodes"
        )
    return found


def _configuration_row(block: Block) -> TransactionRow | None:
    """Return the configuration that a block consists of; None where it holds other transactions.

    Raises:
        UnprovedBlockError: It holds a configuration among others.
    """
    rows = [row for row in block.transactions if row.type == CONFIGURATION]
    if not rows:
        return None
    if len(block.transactions) != 1:
        raise UnprovedBlockError(block.number, "it holds a configuration among other transactions")
    return rows[0]


def _time(row: TransactionRow) -> datetime:
    return datetime.fromtimestamp(row.timestamp_s, UTC)


def _der(pem: bytes) -> bytes:
    try:
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except ValueError:
        raise UnprovedBlockError(0, "a root certificate does not decode") from None
