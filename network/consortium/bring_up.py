"""Bring members up: from certificates on disk to a committed chaincode.

Every step looks at what is there and does the rest, so `bring_up` may be repeated, after a crash
too. When a node of its own cannot be started, or on an interrupt, what it started is stopped again;
when it waits in vain for other members or for the ordering, what runs goes on running, because the
others wait for it. Nodes that ran before are left alone, unless crypto-config.yaml says otherwise
than when they were started; these are started again and never stopped. Where all
members run on one machine it plays each in turn; on separate hosts each member calls it for
itself, with the genesis block and the public files handed over.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from network.consortium.certificates import check_issued, read_file, write_public
from network.consortium.channel import join_peer, wait_gossip, wait_ordering, wait_until
from network.consortium.discovery import endorsing_members
from network.consortium.errors import MemberFileError, NotInitialisedError
from network.consortium.genesis import make_genesis_block
from network.consortium.lifecycle import (
    Definition,
    approve,
    commit,
    install,
    is_in_force,
    query_committed,
    wait_approved,
    wanted_definition,
)
from network.consortium.member import CHAINCODE, ORDERER, PEER, TOPOLOGY_FILE, MemberDirectory
from network.consortium.member_lock import held
from network.consortium.nodes import Host, Node, nodes_of
from network.consortium.package import build_package
from network.consortium.participation import Participation
from network.consortium.processes import NodeProcess, stop_all
from network.consortium.provisioning import check_public, user_names
from network.consortium.topology import Topology
from network.errors import NetworkError
from network.gateway.gateway import Gateway
from network.quorum import hospital_quorum
from network.runtime.errors import DiskFullError

_Item = TypeVar("_Item")


class Reporter(Protocol):
    """Shows what is being done; `network.runtime.progress` has one for the terminal."""

    def step(self, text: str, expected_s: float) -> AbstractContextManager[object]:
        """Show a step while it lasts, with an estimate of its seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each part may take, in seconds, and what disk there must be."""

    node_s: float = 60.0
    ports_s: float = 5.0  # until the system has closed what a stopped node had open
    gossip_s: float = 90.0
    ordering_s: float = 60.0
    approvals_s: float = 60.0
    commit_s: float = 15.0
    disk_free_bytes: int = 300_000_000


@dataclass(slots=True)
class BringUp:
    """One run of `consortium up`."""

    directories: tuple[MemberDirectory, ...]
    topology: Topology
    host: Host
    report: Reporter
    now: datetime
    limits: Limits = field(default_factory=Limits)
    started: list[NodeProcess] = field(default_factory=list)
    #: Those of them that did not run before.
    added: list[NodeProcess] = field(default_factory=list)

    def run(self) -> int:
        """Bring the members up; return how many nodes had to be started.

        Raises:
            MemberBusyError: Another program starts or stops nodes of one of these members.
            ConsortiumError: Something is wrong: with a node of these members, and what this run
                added is stopped again; or other members are late, and everything goes on running.
        """
        with held(self.directories):
            with self._undone_on_failure():
                with self.report.step("checking certificates and ports", 0.3):
                    self._check()
                    self._genesis()
                with self.report.step("starting the nodes", 1.5):
                    self._start()
                with self.report.step("joining the channel", 1.0):
                    self._join()
            with self._kept_while_others_are_late():
                with self.report.step("installing and approving the chaincode", 1.5):
                    self._approve()
                with self.report.step("waiting for the peers and ordering nodes to agree", 5.0):
                    self._wait_together()
                with self.report.step("committing the chaincode", 0.5):
                    self._commit()
        return len(self.started)

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        """Stop what this run added when a node of its own fails, or on an interrupt."""
        try:
            yield
        except BaseException:
            with _uninterrupted():
                stop_all(self.added)
            raise

    @contextmanager
    def _kept_while_others_are_late(self) -> Iterator[None]:
        """Let everything run on when others or the ordering are late: they may need these nodes."""
        try:
            yield
        except NetworkError as error:
            error.hint = (
                f"{error.hint}. All nodes started here go on running, the others may wait for "
                "them; `consortium up` goes on from here"
            )
            raise
        except BaseException:
            with _uninterrupted():
                stop_all(self.added)
            raise

    @property
    def _nodes(self) -> list[Node]:
        return [
            node for directory in self.directories for node in nodes_of(directory, self.topology)
        ]

    @property
    def _hospitals(self) -> list[MemberDirectory]:
        return [
            directory
            for directory in self.directories
            if self.topology.member(directory.name).is_hospital
        ]

    @property
    def _is_everyone(self) -> bool:
        return len(self.directories) == len(self.topology.members)

    def _check(self) -> None:
        for directory in self.directories:
            free = shutil.disk_usage(directory.path).free
            if free < self.limits.disk_free_bytes:
                raise DiskFullError(
                    f"only {free / 1e6:.0f} MB are free in {directory.path}; a member is not "
                    f"started with less than {self.limits.disk_free_bytes / 1e6:.0f} MB"
                )
        for directory in self.directories:
            check_certificates(directory, self.topology, now=self.now)
        for node in self._nodes:
            if node.process() is None:
                node.check_ports(timeout_s=self.limits.ports_s)

    def _genesis(self) -> None:
        """Take the first block from a member that has it; else let the first member make it."""
        block = next(
            (
                read_file(directory.genesis_block)
                for directory in self.directories
                if directory.genesis_block.exists()
            ),
            None,
        )
        if block is None:
            first = self.topology.members[0]
            makers = [one for one in self.directories if one.name == first.name]
            if not makers:
                raise MemberFileError(
                    self.directories[0].genesis_block,
                    f"is missing; {first.name} makes it for all and hands it over "
                    "(docs/consortium.md, Separate hosts)",
                )
            block = make_genesis_block(makers[0], self.host.binaries)
        for directory in self.directories:
            if not directory.genesis_block.exists():
                write_public(directory.genesis_block, block)

    def _start(self) -> None:
        waiting = []
        for node in self._nodes:
            process = node.process()
            if process is not None and not node.is_configured():
                # crypto-config.yaml has changed since it was started: a new chaincode version has
                # another package id, which the peer would refuse from the old service.
                process.stop()
                node.check_ports(timeout_s=self.limits.ports_s)
                node.write_configuration()
                process = node.start(self.host)
                self.started.append(process)
            elif process is None:
                node.write_configuration()
                process = node.start(self.host)
                self.started.append(process)
                self.added.append(process)
            waiting.append((node, process))
        _side_by_side(lambda pair: pair[0].wait(pair[1], timeout_s=self.limits.node_s), waiting)

    def _join(self) -> None:
        channel = self.topology.channel

        def join(directory: MemberDirectory) -> None:
            block = read_file(directory.genesis_block)
            member = self.topology.member(directory.name)
            if member.orderer_hostname:
                Participation(directory, member).join(channel, block)
            with directory.connect_own("Admin") as gateway:
                join_peer(gateway, channel, block)

        _side_by_side(join, self.directories)

    def _approve(self) -> None:
        def approve_own(directory: MemberDirectory) -> None:
            package = build_package(directory, self.topology)
            with directory.connect_own("Admin") as gateway:
                install(gateway, package)
                committed = query_committed(gateway, self.topology.chaincode.name)
                definition = wanted_definition(self.topology, committed)
                msp_id = self.topology.member(directory.name).msp_id
                limit_s = self.limits.approvals_s
                approve(gateway, msp_id, definition, package, timeout_s=limit_s)

        _side_by_side(approve_own, self._hospitals, let_finish=True)

    def _wait_together(self) -> None:
        everyone = len(self.topology.members)
        # A member alone needs as many others as make a quorum; all on one machine need all.
        others = everyone - 1 if self._is_everyone else hospital_quorum(everyone) - 1
        wait_gossip(self.directories, self.topology, others, timeout_s=self.limits.gossip_s)
        orderers = [
            directory
            for directory in self.directories
            if self.topology.member(directory.name).orderer_hostname
        ]
        if orderers:
            wait_ordering(orderers, self.topology, timeout_s=self.limits.ordering_s)

    def _commit(self) -> None:
        """Commit what is approved and not in force; wait until every peer here can use it."""
        if not self._hospitals:
            return
        with ExitStack() as stack:
            gateways: list[Gateway] = [
                stack.enter_context(directory.connect_own("Admin")) for directory in self._hospitals
            ]
            name = self.topology.chaincode.name
            definition = wanted_definition(self.topology, query_committed(gateways[0], name))
            if not is_in_force(gateways[0], definition):
                everyone = [member.msp_id for member in self.topology.hospitals]
                needed = len(everyone) if self._is_everyone else hospital_quorum(len(everyone))
                approved = wait_approved(
                    gateways, everyone, needed, definition, timeout_s=self.limits.approvals_s
                )
                with self._hospitals[0].connect("Admin") as gateway:
                    commit(gateway, approved, definition, timeout_s=self.limits.commit_s)
            for directory, gateway in zip(self._hospitals, gateways, strict=True):
                self._wait_usable(directory, gateway, definition)

    def _wait_usable(
        self, directory: MemberDirectory, gateway: Gateway, definition: Definition
    ) -> None:
        """Wait until a hospital's own peer has the definition and can plan an endorsement."""
        name = self.topology.chaincode.name
        hospitals = len(self.topology.hospitals)
        wanted = hospitals if self._is_everyone else hospital_quorum(hospitals)

        def usable() -> bool:
            return is_in_force(gateway, definition) and endorsing_members(gateway, name) >= wanted

        wait_until(
            f"the peer of {directory.name}",
            f"does not see {wanted} hospitals with the chaincode",
            usable,
            timeout_s=self.limits.gossip_s,
        )


def _side_by_side(
    work: Callable[[_Item], object], items: Iterable[_Item], *, let_finish: bool = False
) -> None:
    """Do the same for several members at once; raise the first error.

    After an error, or a Ctrl-C, the others are not waited for: `BringUp.run` stops the nodes they
    wait on, which ends them.

    Args:
        work: What is done for each.
        items: The members, or nodes.
        let_finish: Wait for the others after an error too, because the nodes go on running.
    """
    todo = list(items)
    pool = ThreadPoolExecutor(max_workers=max(len(todo), 1))
    try:
        list(pool.map(work, todo))
    except BaseException as error:
        wait = let_finish and isinstance(error, Exception)
        pool.shutdown(wait=wait, cancel_futures=not wait)
        raise
    pool.shutdown()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a second Ctrl-C wait until what was started is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_certificates(directory: MemberDirectory, topology: Topology, *, now: datetime) -> None:
    """Check every certificate a member uses, and the others' public ones.

    Raises:
        MemberCertificateError: One is out of its dates, foreign, or not of its key.
        MemberFileError: A file is missing.
    """
    member = topology.member(directory.name)
    root, tls_root = directory.ca / "ca.pem", directory.ca / "tlsca.pem"
    folders = [directory.user_msp(user) for user in ("Admin", *user_names(member))]
    kinds = [PEER, "client"]
    if member.is_hospital:
        kinds += [CHAINCODE, "chaincode-client"]
    folders.append(directory.node_msp(PEER))
    if member.orderer_hostname:
        folders.append(directory.node_msp(ORDERER))
        kinds.append(ORDERER)
    for folder in folders:
        key = folder / "keystore/key.pem"
        check_issued(folder / "signcerts/cert.pem", root, now=now, key=key)
    for kind in kinds:
        certificate, key = directory.tls(kind)
        check_issued(certificate, tls_root, now=now, key=key)
    for other in topology.members:
        check_public(directory.check_public_of(other.name), other, now=now)


def open_members(root: Path, names: Sequence[str] = ()) -> tuple[MemberDirectory, ...]:
    """Return the directories of the named members, of all where none is named.

    Raises:
        NotInitialisedError: `consortium init` has not been run here.
        UnknownMemberError: There is no such member.
    """
    path = root / TOPOLOGY_FILE
    if not path.exists():
        raise NotInitialisedError(f"there is no consortium in {root}")
    topology = Topology.load(path)
    members = [topology.member(name) for name in names] or list(topology.members)
    directories = tuple(MemberDirectory(root / member.name) for member in members)
    for directory in directories:
        if not (directory.path / TOPOLOGY_FILE).exists():
            raise NotInitialisedError(f"there is no member directory {directory.path}")
    return directories


def stop_members(directories: Sequence[MemberDirectory]) -> int:
    """Stop every node of these members, services and peers first; return how many ran."""
    processes = []
    for directory in directories:
        for kind in (CHAINCODE, PEER, ORDERER):
            process = NodeProcess.find(directory.pid_file(kind))
            if process is not None:
                processes.append(process)
    stop_all(processes)
    return len(processes)
