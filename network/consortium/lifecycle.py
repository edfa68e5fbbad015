"""Install, approve and commit the chaincode: calls to `_lifecycle`, no `peer` CLI.

Every step looks first at what is there, so all are safe to repeat. Each hospital approves at its
own peer with its own admin; the commit is sent once enough have. A changed Chaincode section is
the next sequence of the same chaincode.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fabric_protos.peer.lifecycle import lifecycle_pb2

from network.consortium.errors import LifecycleError
from network.consortium.package import Package
from network.consortium.policies import endorsement_policy, hospital_collections
from network.consortium.topology import Topology
from network.gateway.contract import PASSING, Contract
from network.gateway.errors import (
    CommitError,
    GatewayCallError,
    PeerRefusedError,
)
from network.gateway.gateway import Gateway

LIFECYCLE = "_lifecycle"


@dataclass(frozen=True, slots=True)
class CommittedDefinition:
    """The chaincode definition in force, as one peer knows it."""

    version: str
    sequence: int
    approvals: dict[str, bool]  # by MSP id
    collections: bytes


@dataclass(frozen=True, slots=True)
class Definition:
    """What the hospitals agree on; the same bytes in every approval and in the commit."""

    topology: Topology
    sequence: int

    def fields(self) -> dict[str, Any]:
        """Return the fields that approval, readiness and commit share."""
        return {
            "name": self.topology.chaincode.name,
            "version": self.topology.chaincode.version,
            "sequence": self.sequence,
            "endorsement_plugin": "escc",
            "validation_plugin": "vscc",
            "validation_parameter": endorsement_policy(),
            "collections": hospital_collections(self.topology),
        }


def _ask(gateway: Gateway, function: str, args: Any, *, channel: str | None = None) -> bytes | None:
    """Call a lifecycle query at the own peer; None where it knows no such thing."""
    target = gateway.channel if channel is None else channel
    try:
        return gateway.process(LIFECYCLE, [function, args.SerializeToString()], target)
    except PeerRefusedError as error:
        if error.code == "status 404" or "is not defined" in error.status_message:
            return None
        if "could not find" in error.status_message or "not found" in error.status_message:
            return None
        if "could not fetch approved" in error.status_message:
            return None
        raise


def query_committed(gateway: Gateway, name: str) -> CommittedDefinition | None:
    """Return the definition in force at the gateway's own peer, None when there is none."""
    args = lifecycle_pb2.QueryChaincodeDefinitionArgs(name=name)
    answer = _ask(gateway, "QueryChaincodeDefinition", args)
    if answer is None:
        return None
    found = lifecycle_pb2.QueryChaincodeDefinitionResult.FromString(answer)
    return CommittedDefinition(
        found.version,
        found.sequence,
        dict(found.approvals),
        found.collections.SerializeToString(deterministic=True),
    )


def definition_words(gateway: Gateway, name: str) -> dict[str, str]:
    """Return the definition in force at the own peer as names and words, for comparison.

    Raises:
        LifecycleError: The own peer knows no such chaincode.
    """
    args = lifecycle_pb2.QueryChaincodeDefinitionArgs(name=name)
    answer = _ask(gateway, "QueryChaincodeDefinition", args)
    if answer is None:
        raise LifecycleError(f"the own peer knows no chaincode {name} on this channel")
    found = lifecycle_pb2.QueryChaincodeDefinitionResult.FromString(answer)
    collections = found.collections.SerializeToString(deterministic=True)
    return {
        "version": found.version,
        "sequence": str(found.sequence),
        "endorsement plugin": found.endorsement_plugin,
        "validation plugin": found.validation_plugin,
        "endorsement policy": hashlib.sha256(found.validation_parameter).hexdigest(),
        "collections": hashlib.sha256(collections).hexdigest(),
        "needs initialisation": str(found.init_required).lower(),
    }


def wanted_definition(topology: Topology, committed: CommittedDefinition | None) -> Definition:
    """Return the definition to approve: the one in force if nothing changed, else the next."""
    if committed is None:
        return Definition(topology, 1)
    wanted = hospital_collections(topology).SerializeToString(deterministic=True)
    same = committed.version == topology.chaincode.version and committed.collections == wanted
    return Definition(topology, committed.sequence if same else committed.sequence + 1)


def install(gateway: Gateway, package: Package) -> None:
    """Install a package on the gateway's own peer, unless it is there.

    Raises:
        LifecycleError: The peer computed another package id.
        PeerRefusedError: The peer refused it.
    """
    args = lifecycle_pb2.QueryInstalledChaincodeArgs(package_id=package.package_id)
    if _ask(gateway, "QueryInstalledChaincode", args, channel="") is not None:
        return
    request = lifecycle_pb2.InstallChaincodeArgs(chaincode_install_package=package.content)
    answer = gateway.process(LIFECYCLE, ["InstallChaincode", request.SerializeToString()])
    found = lifecycle_pb2.InstallChaincodeResult.FromString(answer).package_id
    if found != package.package_id:
        raise LifecycleError(f"the peer calls the package {found}, expected {package.package_id}")


def approve(
    gateway: Gateway, msp_id: str, definition: Definition, package: Package, *, timeout_s: float
) -> None:
    """Approve a definition for the gateway's own member, unless it has.

    Tried again while the ordering nodes of other hosts are not up yet, and when another member's
    commit came between (MVCC_READ_CONFLICT: an approval reads the sequence in force).

    Raises:
        LifecycleError: Not written within the time.
        GatewayCallError: The peer refused.
    """
    request = lifecycle_pb2.ApproveChaincodeDefinitionForMyOrgArgs(
        source=lifecycle_pb2.ChaincodeSource(
            local_package=lifecycle_pb2.ChaincodeSource.Local(package_id=package.package_id)
        ),
        **definition.fields(),
    ).SerializeToString()
    deadline = time.monotonic() + timeout_s
    while not has_approved(gateway, definition, package):
        try:
            gateway.contract(LIFECYCLE).submit(
                "ApproveChaincodeDefinitionForMyOrg", request, organisations=[msp_id]
            )
        except (CommitError, GatewayCallError) as error:
            passing = error.code in PASSING or error.code == "MVCC_READ_CONFLICT"
            if not passing or (isinstance(error, GatewayCallError) and error.refusal):
                raise
            if time.monotonic() > deadline:
                raise LifecycleError(
                    f"{msp_id} cannot approve {definition.topology.chaincode.label}: {error}"
                ) from error
            time.sleep(0.1)


def has_approved(gateway: Gateway, definition: Definition, package: Package) -> bool:
    """Tell whether the gateway's own member has approved exactly this, with this package."""
    args = lifecycle_pb2.QueryApprovedChaincodeDefinitionArgs(
        name=definition.topology.chaincode.name, sequence=definition.sequence
    )
    answer = _ask(gateway, "QueryApprovedChaincodeDefinition", args)
    if answer is None:
        return False
    found = lifecycle_pb2.QueryApprovedChaincodeDefinitionResult.FromString(answer)
    wanted = definition.fields()
    return bool(
        found.source.local_package.package_id == package.package_id
        and found.version == wanted["version"]
        and found.collections == wanted["collections"]
        and found.validation_parameter == wanted["validation_parameter"]
    )


def approvals(gateway: Gateway, definition: Definition) -> dict[str, bool]:
    """Return who has approved a definition that is not in force yet, as the own peer knows it."""
    request = lifecycle_pb2.CheckCommitReadinessArgs(**definition.fields())
    answer = gateway.process(
        LIFECYCLE, ["CheckCommitReadiness", request.SerializeToString()], gateway.channel
    )
    return dict(lifecycle_pb2.CheckCommitReadinessResult.FromString(answer).approvals)


def is_in_force(gateway: Gateway, definition: Definition) -> bool:
    """Tell whether the gateway's own peer has this definition, or a later one."""
    committed = query_committed(gateway, definition.topology.chaincode.name)
    return committed is not None and committed.sequence >= definition.sequence


def wait_approved(
    gateways: Sequence[Gateway],
    msp_ids: Sequence[str],
    needed: int,
    definition: Definition,
    *,
    timeout_s: float,
) -> tuple[str, ...]:
    """Wait until each of these peers has seen the approvals of `needed` of these members.

    A commit is endorsed by several peers; one that had not seen the last approval would answer
    otherwise than the rest ("ProposalResponsePayloads do not match").

    Returns:
        Who has approved, as all these peers know it.

    Raises:
        LifecycleError: Too few have within the time.
    """
    deadline = time.monotonic() + timeout_s
    approved = set(msp_ids)
    for gateway in gateways:
        while True:
            if is_in_force(gateway, definition):
                break  # another member has committed it meanwhile
            seen = approvals(gateway, definition)
            known = {msp_id for msp_id in msp_ids if seen.get(msp_id)}
            if len(known) >= needed:
                approved &= known
                break
            if time.monotonic() > deadline:
                missing = ", ".join(msp_id for msp_id in msp_ids if msp_id not in known)
                raise LifecycleError(
                    f"{missing} did not approve {definition.topology.chaincode.label} within "
                    f"{timeout_s:.0f} s, as the peer at {gateway.target} knows it; "
                    f"{needed} approvals are needed"
                )
            time.sleep(0.03)
    return tuple(sorted(approved))


def commit(
    gateway: Gateway, msp_ids: Sequence[str], definition: Definition, *, timeout_s: float
) -> None:
    """Commit a definition that these members have approved.

    On separate hosts several members send the commit at once. All but the first are refused, at a
    time when their own peer may not have the first one's block yet; so a refusal is an error only
    when the definition does not come into force within the time.

    Raises:
        LifecycleError: It was refused and is not in force.
    """
    request = lifecycle_pb2.CommitChaincodeDefinitionArgs(**definition.fields()).SerializeToString()
    contract: Contract = gateway.contract(LIFECYCLE)
    deadline = time.monotonic() + timeout_s
    while not is_in_force(gateway, definition):
        try:
            contract.submit("CommitChaincodeDefinition", request, organisations=msp_ids)
        except (CommitError, GatewayCallError) as error:
            if is_in_force(gateway, definition):
                return
            if time.monotonic() > deadline:
                raise LifecycleError(
                    f"{definition.topology.chaincode.label} cannot be committed: {error}"
                ) from error
            time.sleep(0.3)
