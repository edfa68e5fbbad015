"""Check what a block's transactions prove about the codes that a peer gave them.

Ordering nodes sign transactions, not whether they are valid: those codes are each peer's own. So a
transaction counts only where what Fabric's peers check is checked here again: who sent it, that its
endorsers signed this proposal's result, that so many organisations' peers are among them as the
configuration in force asks for, and that the keys and ranges it read had not changed. A peer that
leaves a good transaction out is found too, unless its reason may lie in what is not checked.
Follows Fabric's core/common/validation, core/handlers/validation/builtin and
kvledger/txmgmt/validation.

Not checked: private keys that were read, ranges of more than a peer lists one by one (it keeps
hashes of those), and the policies of private collections.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from network.channel_policies import PEERS, QuorumPolicy
from network.errors import CertificateError
from network.quorum import hospital_quorum
from network.wire.channel_configuration import (
    CHAINCODE_POLICY,
    LIFECYCLE_POLICY,
    ChannelConfiguration,
    Organisation,
)
from network.wire.identity import check_certificate, verify_signature
from network.wire.key_versions import KeyVersions
from network.wire.row import ENDORSED, NOT_VALIDATED, Statement, TransactionRow, Version

#: Namespace in which chaincode definitions are kept.
LIFECYCLE: Final = "_lifecycle"
_CONFLICTS: Final = frozenset({"MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT"})
_POLICY_FAILURE: Final = "ENDORSEMENT_POLICY_FAILURE"
_DUPLICATE: Final = "DUPLICATE_TXID"


class ValidityError(Exception):
    """A transaction's code does not follow from the chain; the text says why."""


def check_policy(configuration: ChannelConfiguration, path: str) -> QuorumPolicy:
    """Return an endorsement policy proved to ask for the peers of enough organisations.

    Raises:
        ValidityError: It is another kind of policy, or asks for fewer than T of N.
    """
    policy = configuration.policies.get(path)
    if policy is None or policy.role != PEERS:
        raise ValidityError(f"the policy {path} does not ask for so many hospitals' peers")
    needed = hospital_quorum(len(policy.msps))
    if policy.least < needed:
        raise ValidityError(
            f"the policy {path} asks for {policy.words()}: fewer than the {needed} that every "
            "hospital relies on"
        )
    return policy


def check_identity(
    statement: Statement, configuration: ChannelConfiguration, at: datetime
) -> tuple[x509.Certificate, Organisation]:
    """Return the certificate that made a signature, and its organisation.

    Raises:
        CertificateError: The signature is not one by an identity of that organisation in force.
    """
    organisation = configuration.organisations.get(statement.msp_id)
    if organisation is None:
        raise CertificateError(f"{statement.msp_id or 'nobody'} is not on the channel")
    certificate = check_certificate(
        statement.certificate_pem, roots_pem=organisation.roots_pem, at=at
    )
    if (certificate.issuer.public_bytes(), certificate.serial_number) in organisation.revoked:
        subject = certificate.subject.rfc4514_string()
        raise CertificateError(f"the certificate of {subject} was revoked")
    verify_signature(
        statement.certificate_pem,
        statement.signed,
        statement.signature,
        roots_pem=organisation.roots_pem,
        at=at,
    )
    return certificate, organisation


def check_sender(row: TransactionRow, configuration: ChannelConfiguration, at: datetime) -> None:
    """Prove that a member sent a transaction under its own id.

    Raises:
        ValidityError: It did not.
    """
    if row.transaction_id != row.expected_id:
        raise ValidityError("its id does not follow from its sender and nonce")
    if row.sent is None:
        raise ValidityError("nobody signed it")
    try:
        check_identity(row.sent, configuration, at)
    except CertificateError as error:
        raise ValidityError(f"its sender is not proved: {error}") from None


def check_endorsers(
    row: TransactionRow, configuration: ChannelConfiguration, chaincode: str, at: datetime
) -> tuple[str, ...]:
    """Return the organisations whose peers are proved to have endorsed a transaction.

    Raises:
        ValidityError: They signed another proposal, or are fewer than the configuration in force
            asks for.
    """
    if row.proposal_sha256 != row.endorsed_proposal_sha256:
        raise ValidityError("its endorsers signed the result of another proposal")
    proved: set[str] = set()
    wrong: list[str] = []
    for one in row.endorsements:
        try:
            certificate, organisation = check_identity(one, configuration, at)
        except CertificateError as error:
            wrong.append(f"{one.msp_id}: {error}")
            continue
        if not organisation.peer_unit or organisation.peer_unit not in _units(certificate):
            wrong.append(f"{one.msp_id}: {certificate.subject.rfc4514_string()} is no peer")
            continue
        proved.add(one.msp_id)
    for path in _policies_of(row, chaincode):
        policy = check_policy(configuration, path)
        count = len(proved & set(policy.msps))
        if count < policy.least:
            reasons = f" ({'; '.join(wrong)})" if wrong else ""
            raise ValidityError(
                f"it is endorsed by {count} hospitals' peers, and {path} asks for "
                f"{policy.least}{reasons}"
            )
    return tuple(sorted(proved))


def check_reads(row: TransactionRow, versions: KeyVersions) -> None:
    """Prove that no public key or range that a transaction read had changed before its commit.

    Raises:
        ValidityError: One had.
    """
    for read in row.reads:
        found = versions.of(read.namespace, read.key)
        if found != read.version:
            raise ValidityError(
                f"it read {_readable(read.key)} of version {_words(read.version)}, which was "
                f"{_words(found)}"
            )
    for one in row.ranges:
        now = versions.within(one.namespace, one.start, one.end, with_end=one.with_end)
        if now != one.found:
            raise ValidityError(
                f"it read {len(one.found)} keys from {_readable(one.start)} on, and they were "
                f"others: {len(now)}"
            )


def check_valid(
    row: TransactionRow,
    configuration: ChannelConfiguration,
    versions: KeyVersions,
    *,
    chaincode: str,
    channel: str,
    duplicate: bool,
    at: datetime,
) -> None:
    """Prove that a call is valid, as far as the chain shows.

    Args:
        row: The transaction.
        configuration: The one in force.
        versions: Of the public keys before it.
        chaincode: Whose records are audited.
        channel: The channel's name.
        duplicate: Whether an earlier transaction had its id.
        at: Time at which certificates must be in force.

    Raises:
        ValidityError: It is not.
    """
    if row.type != ENDORSED:
        raise ValidityError(f"a transaction of type {row.type} calls no chaincode")
    if row.channel != channel:
        raise ValidityError(f"it was sent to channel {row.channel}")
    if duplicate:
        raise ValidityError("its id is that of an earlier transaction")
    check_sender(row, configuration, at)
    check_endorsers(row, configuration, chaincode, at)
    check_reads(row, versions)


def check_code(
    row: TransactionRow,
    configuration: ChannelConfiguration,
    versions: KeyVersions,
    *,
    chaincode: str,
    channel: str,
    duplicate: bool,
    at: datetime,
) -> str:
    """Check the code that the peer gave to a transaction against what the chain shows.

    Args:
        row: The transaction.
        configuration: The one in force.
        versions: Of the public keys before it.
        chaincode: Whose records are audited.
        channel: The channel's name.
        duplicate: Whether an earlier transaction had its id.
        at: Time at which certificates must be in force.

    Returns:
        Of a transaction marked invalid, what is proved to be wrong with it. Empty where that may
        lie in what is not checked here, so that its code is the peer's word alone.

    Raises:
        ValidityError: It is marked valid and is not, or is left out for a reason it has not.
    """
    if row.validation_code == NOT_VALIDATED:
        raise ValidityError("no peer has validated it")
    try:
        check_valid(
            row,
            configuration,
            versions,
            chaincode=chaincode,
            channel=channel,
            duplicate=duplicate,
            at=at,
        )
    except ValidityError as error:
        if row.is_valid:
            raise
        return str(error)
    if not row.is_valid:
        check_left_out(row, chaincode)
    return ""


def check_left_out(row: TransactionRow, chaincode: str) -> None:
    """Refuse to leave a transaction out, with which nothing is wrong, for a reason it has not.

    Raises:
        ValidityError: The reason cannot lie in what is not checked here.
    """
    no_twin = row.validation_code == _DUPLICATE
    unchanged = row.validation_code in _CONFLICTS and not row.reads_more
    endorsed = (
        row.validation_code == _POLICY_FAILURE
        and not row.private_writes
        and bool(_policies_of(row, chaincode))
    )
    if no_twin or unchanged or endorsed:
        raise ValidityError("the peer leaves it out, and nothing is wrong with it")


def _policies_of(row: TransactionRow, chaincode: str) -> tuple[str, ...]:
    """Return the policies that a transaction's public writes are held to."""
    spaces = {write.namespace for write in row.writes} | {name for name, _ in row.metadata_keys}
    named = {chaincode: CHAINCODE_POLICY, LIFECYCLE: LIFECYCLE_POLICY}
    return tuple(sorted(named[space] for space in spaces & set(named)))


def _units(certificate: x509.Certificate) -> set[str]:
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return {str(one.value) for one in found}


def _readable(key: str) -> str:
    return key.replace("\0", " ").strip()


def _words(version: Version | None) -> str:
    return "absent" if version is None else f"{version[0]}/{version[1]}"
