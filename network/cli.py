"""`consortium`: set up, bring up, look at and stop a consortium's members.

Thin: each command calls one function of `network.consortium` and prints; `network.runtime.program`
turns errors into exit codes. Results go to stdout, progress to stderr; `--json` is for programs. It
reads the environment for the package; only network.fabric.binaries, run before all else, does so
itself.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from network.consortium.bring_up import BringUp, Limits, open_members, stop_members
from network.consortium.environment import (
    as_shell,
    connection_profile,
    peer_cli_exports,
    write_profile,
)
from network.consortium.leftovers import prune_builds, prune_logs
from network.consortium.member import CHAINCODE, ORDERER, PEER, TOPOLOGY_FILE
from network.consortium.member_lock import held
from network.consortium.nodes import Host
from network.consortium.provisioning import provision_consortium, provision_member, with_port_base
from network.consortium.status import MemberStatus, consortium_status
from network.consortium.topology import Topology
from network.fabric.binaries import VERSION as FABRIC_VERSION
from network.fabric.binaries import find_binaries
from network.runtime.folders import data_folder
from network.runtime.program import (
    Program,
    completion,
    explain,
    json_option,
    print_json,
    stop_on_signals,
)
from network.runtime.progress import TerminalProgress
from network.runtime.shipped import shipped
from network.runtime.table import print_table

#: What nodes and chaincode services may see of this program's environment.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE")

PATIENT = Limits(gossip_s=600.0, ordering_s=600.0, approvals_s=600.0)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def host() -> Host:
    """Return what nodes are started with, from the environment."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return Host(find_binaries(os.environ), sys.executable, passed)


def _shared(command: _Command) -> _Command:
    """Add --root and --json."""
    command = click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="CONSORTIUM_ROOT",
        default=data_folder,
        help="Folder of all members (CONSORTIUM_ROOT; default: under the XDG data folder).",
    )(command)
    return json_option(command)


def _members(command: _Command) -> _Command:
    """Add --member, for hosts that run some members only."""
    return click.option(
        "--member",
        "members",
        multiple=True,
        metavar="NAME",
        help="Only this member (may be given more than once); all by default.",
    )(command)


def _say(as_json: bool, found: Any, text: str) -> None:
    if as_json:
        print_json(found)
    else:
        click.echo(text)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    package_name="capsule-consortium",
    message=f"consortium, version %(version)s (Hyperledger Fabric {FABRIC_VERSION})",
)
def main() -> None:
    """Run a consortium of hospitals on Hyperledger Fabric."""
    stop_on_signals()


main.add_command(explain)
main.add_command(completion)


@main.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that says who exists (default: crypto-config.yaml here, else the "
    "demonstration's: five members on this machine).",
)
@click.option("--port-base", type=click.IntRange(1024, 65000), help="Replace its PortBase.")
@click.option("--member", metavar="NAME", help="Only this member: separate hosts.")
@click.option(
    "--from",
    "exchange",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --member: folder of the others' public/ folders (named as the members), and "
    "genesis.block.",
)
@_shared
def init(
    config: Path | None,
    port_base: int | None,
    member: str | None,
    exchange: Path | None,
    root: Path,
    as_json: bool,
) -> None:
    """Make a directory for each member of crypto-config.yaml: keys, certificates, public files.

    Safe to repeat: keys and certificates that are there stay.
    """
    if exchange and not member:
        raise click.UsageError("--from needs --member")
    config = config or _topology_here(own=member is not None)
    Topology.load(config)
    document = config.read_text(encoding="utf-8")
    if port_base is not None:
        document = with_port_base(document, port_base)
        Topology.read(document)
    if member:
        directory, missing = provision_member(
            root, document, member, exchange, now=datetime.now(UTC)
        )
        found = {"root": str(root), "members": [member], "missing": list(missing)}
        text = f"{member} in {directory.path}\nHand {directory.public} to the others"
        if missing:
            text += f"; missing still: the public/ folder of {', '.join(missing)}"
        else:
            text += f"\nAll others' files are here. Next: consortium up --member {member}"
        _say(as_json, found, text)
        return
    directories = provision_consortium(root, document, now=datetime.now(UTC))
    names = [directory.name for directory in directories]
    _say(
        as_json,
        {"root": str(root), "members": names, "missing": []},
        f"{len(names)} members in {root}: {', '.join(names)}\nNext: consortium up",
    )


def _topology_here(*, own: bool) -> Path:
    """Return the topology of the current folder, else the demonstration's.

    Args:
        own: Whether it must be the consortium's own, as for a member on a host of its own.
    """
    here = Path(TOPOLOGY_FILE)
    if own or here.exists():
        return here
    click.echo(
        f"no {TOPOLOGY_FILE} here: taking the demonstration's, all on this machine", err=True
    )
    return shipped(TOPOLOGY_FILE)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
def examples(folder: Path, as_json: bool) -> None:
    """Write the example topology, hospitals and study into FOLDER, to be changed.

    A file that is there already stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = [shipped(TOPOLOGY_FILE), *sorted(shipped("examples").glob("*.yaml"))]
    written = []
    for source in sources:
        target = folder / source.name
        if not target.exists():
            target.write_bytes(source.read_bytes())
            written.append(str(target))
    _say(as_json, {"written": written}, "\n".join(f"wrote {name}" for name in written))


@main.command()
@click.argument("config", type=click.Path(path_type=Path), default=Path(TOPOLOGY_FILE))
@json_option
def validate(config: Path, as_json: bool) -> None:
    """Check a crypto-config.yaml; a mistake is named by its line."""
    topology = Topology.load(config)
    found = {
        "channel": topology.channel,
        "chaincode": topology.chaincode.label,
        "hospitals": [member.name for member in topology.hospitals],
        "members": [member.name for member in topology.members],
        "orderers": [member.name for member in topology.orderers],
    }
    _say(
        as_json,
        found,
        f"{config} is right: {len(topology.members)} members, {len(topology.hospitals)} of them "
        f"hospitals, {len(topology.orderers)} ordering nodes, channel {topology.channel}, "
        f"chaincode {topology.chaincode.label}",
    )


@main.command()
@click.option("--foreground", is_flag=True, help="Stay; Ctrl-C stops the members.")
@_members
@_shared
def up(foreground: bool, members: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Bring the members up, in the background, and return when all is ready.

    Safe to repeat: what runs is left alone, what is missing is started. If a node cannot be
    started, or on an interrupt, what it started is stopped again; if only the others are late,
    everything goes on running.
    """
    directories = open_members(root, members)
    started = time.monotonic()
    run = BringUp(
        directories,
        directories[0].topology(),
        host(),
        TerminalProgress(quiet=as_json),
        datetime.now(UTC),
        # Members of other hosts are brought up by other people, in their own time.
        PATIENT if members else Limits(),
    )
    count = run.run()
    seconds = time.monotonic() - started
    _say(
        as_json,
        {"started": count, "seconds": round(seconds, 2), "root": str(root)},
        f"ready after {seconds:.1f} s: {count} nodes started"
        + ("" if count else " (all were running)"),
    )
    if foreground:
        try:
            while any(process.is_running() for process in run.started) or not run.started:
                time.sleep(0.5)
        except KeyboardInterrupt:
            click.echo("stopping", err=True)
        finally:
            with held(directories):
                stop_members(directories)


@main.command()
@click.option("--ports", is_flag=True, help="Show each node's ports too.")
@_members
@_shared
def status(ports: bool, members: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Show every member's nodes, height, leader, versions, approvals, ports and memory.

    Ends with 15 when a node is not healthy, or says so and stands still: behind the others, in
    another view, or with requests that no block takes up.
    """
    found = consortium_status(open_members(root, members))
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        _print_status(found, ports=ports)
    if any(node.state != "healthy" for one in found for node in one.nodes):
        sys.exit(15)


def _print_status(found: tuple[MemberStatus, ...], *, ports: bool) -> None:
    nodes = [node for one in found for node in one.nodes]
    healthy = sum(node.state == "healthy" for node in nodes)
    columns = ["member", "node", "state", "height", "version", "approved", "MB"]
    rows = []
    for one in found:
        for node in one.nodes:
            is_chaincode = node.kind == CHAINCODE
            is_leader = node.kind == ORDERER and one.leader == one.member
            row = [
                one.member,
                f"{node.kind} (leader)" if is_leader else node.kind,
                node.state,
                node.height,
                (one.chaincode if is_chaincode else node.fabric_version) or None,
                {True: "yes", False: "no", None: None}[one.approved if is_chaincode else None],
                node.resident_bytes // 1_000_000,
            ]
            rows.append([*row, " ".join(map(str, node.ports.values()))] if ports else row)
    print_table(
        f"{healthy} of {len(nodes)} nodes are healthy",
        [*columns, "ports"] if ports else columns,
        rows,
    )
    for one in found:
        for problem in one.problems:
            click.echo(f"{one.member}: {problem}")
    leaders = {one.leader for one in found if one.leader}
    total = sum(node.resident_bytes for one in found for node in one.nodes)
    click.echo(
        f"leader by its ordering nodes: {', '.join(sorted(leaders)) or 'unknown'}; "
        f"resident memory of all nodes: {total / 1e6:.0f} MB"
    )


@main.command()
@click.argument("member")
@click.option(
    "--node",
    type=click.Choice([PEER, ORDERER, CHAINCODE]),
    multiple=True,
    help="Only this node; all by default.",
)
@click.option("--lines", default=20, show_default=True, help="How many lines of each.")
@_shared
def logs(member: str, node: tuple[str, ...], lines: int, root: Path, as_json: bool) -> None:
    """Show the last lines that a member's nodes wrote."""
    (directory,) = open_members(root, [member])
    found = {}
    for kind in node or (ORDERER, PEER, CHAINCODE):
        path = directory.log(kind)
        if path.exists():
            text = path.read_text(errors="replace").splitlines()
            found[str(path)] = text[-lines:] if lines else []
    text_lines = [f"== {path}\n" + "\n".join(tail) for path, tail in found.items()]
    _say(as_json, found, "\n".join(text_lines) or f"the nodes of {member} have written nothing")


@main.command()
@click.argument("member")
@click.option("--member-directory", is_flag=True, help="Print only the member's folder.")
@_shared
def env(member: str, member_directory: bool, root: Path, as_json: bool) -> None:
    """Print the exports that the stock `peer` CLI reads, plus CHANNEL and CHAINCODE."""
    (directory,) = open_members(root, [member])
    if member_directory:
        path = str(directory.path.absolute())
        _say(as_json, {"member_directory": path}, path)
        return
    exports = peer_cli_exports(directory, find_binaries(os.environ))
    _say(as_json, exports, as_shell(exports))


@main.command()
@click.argument("member")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write it here instead of printing it."
)
@_shared
def profile(member: str, output: Path | None, root: Path, as_json: bool) -> None:
    """Write a Fabric connection profile (JSON) for a member's clients."""
    (directory,) = open_members(root, [member])
    if output is None:
        print_json(connection_profile(directory))
        return
    write_profile(directory, output)
    _say(as_json, {"profile": str(output)}, f"wrote {output}")


@main.command()
@_members
@_shared
def stop(members: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Stop the members' nodes; all data stays."""
    directories = open_members(root, members)
    with held(directories):
        count = stop_members(directories)
    _say(as_json, {"stopped": count}, f"{count} nodes stopped; the data stays in {root}")


@main.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@_shared
def down(yes: bool, root: Path, as_json: bool) -> None:
    """Stop every node and delete the ledgers, keys and all other data, after asking."""
    directories = open_members(root)
    if not yes:
        click.confirm(
            f"Delete all keys and ledgers of {len(directories)} members in {root}?",
            abort=True,
            err=True,
        )
    with held(directories):
        count = stop_members(directories)
        for directory in directories:
            shutil.rmtree(directory.path)
    (root / TOPOLOGY_FILE).unlink()
    _say(as_json, {"stopped": count, "deleted": str(root)}, f"{count} nodes stopped, data deleted")


@main.command()
@_shared
def prune(root: Path, as_json: bool) -> None:
    """Remove what is of no use any more: logs of stopped nodes, builds of other Fabric versions.

    Keys, ledgers and what runs stay.
    """
    removed = prune_logs(root) + prune_builds(os.environ)
    freed = sum(size for _, size in removed)
    _say(
        as_json,
        {"removed": [str(path) for path, _ in removed], "freed_bytes": freed},
        f"{len(removed)} removed, {freed / 1e6:.0f} MB freed",
    )


if __name__ == "__main__":
    main()
