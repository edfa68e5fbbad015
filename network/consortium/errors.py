"""What can go wrong while a consortium is set up, brought up or looked at.

Every error is a sentence; `hint` says what to do and `exit_code` has a page in docs/errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from network.errors import NetworkError


class ConsortiumError(NetworkError):
    """A consortium could not be set up, brought up or read."""

    exit_code: ClassVar[int] = 10
    hint = "read the sentence above; `consortium logs MEMBER` shows what its nodes wrote"


class TopologyError(ConsortiumError):
    """crypto-config.yaml says something that cannot be; names the line."""

    exit_code: ClassVar[int] = 11
    hint = "correct that line; `consortium validate FILE` checks the whole file"

    def __init__(self, line: int, problem: str, path: Path | None = None) -> None:
        super().__init__(f"{path.name if path else 'crypto-config.yaml'} line {line}: {problem}")
        self.line = line


class TopologyFileError(ConsortiumError):
    """crypto-config.yaml is not there, or is no text; no line of it can be named."""

    exit_code: ClassVar[int] = TopologyError.exit_code
    hint = "name the consortium's crypto-config.yaml, or start in the folder that holds it"

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} cannot be read: {problem}")


class MemberCertificateError(ConsortiumError):
    """A member's certificate is expired, foreign, or does not belong to its key."""

    exit_code: ClassVar[int] = 12
    hint = (
        "put the right certificate back; where a member's certificates have run out, that member "
        "renews them with its own CA (docs/consortium.md, Certificates)"
    )

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"certificate {path}: {problem}")
        self.path = path


class PortInUseError(ConsortiumError):
    """Another program listens on a port that a node needs."""

    exit_code: ClassVar[int] = 13

    def __init__(self, port: int, host: str, owner: str) -> None:
        super().__init__(f"port {port} on {host} is in use by another program; {owner} needs it")
        self.port = port
        self.owner = owner
        self.hint = (
            f"end the program that listens there (`ss -ltnp sport = :{port}` shows it), or give "
            f"`{owner}` another port in crypto-config.yaml"
        )


class AddressError(ConsortiumError):
    """A member's host is no address of this machine, or a port may not be opened here."""

    exit_code: ClassVar[int] = 13

    def __init__(self, port: int, host: str, owner: str, reason: str) -> None:
        super().__init__(f"{owner} cannot listen on {host} port {port}: {reason}")
        self.hint = (
            "Host in crypto-config.yaml must be an address of the machine that runs the member; "
            "with --member only that member is started here"
        )


class NotInitialisedError(ConsortiumError):
    """There is no consortium, or not this member, under the root directory."""

    exit_code: ClassVar[int] = 14
    hint = "run `consortium init` first, or name the right root with --root or CONSORTIUM_ROOT"


class NodeNotReadyError(ConsortiumError):
    """A node did not start, or did not become ready in time."""

    exit_code: ClassVar[int] = 15

    def __init__(self, node: str, problem: str, log: Path | None = None) -> None:
        super().__init__(f"{node} {problem}")
        self.node = node
        self.hint = f"read {log}" if log else "`consortium logs MEMBER` shows what it wrote"


class ToolError(ConsortiumError):
    """One of Fabric's own programs, or a call to a node, was refused."""

    exit_code: ClassVar[int] = 16
    hint = "the text after the colon is Fabric's own; `consortium logs MEMBER` may say more"


class LifecycleError(ConsortiumError):
    """The chaincode could not be installed, approved or committed."""

    exit_code: ClassVar[int] = 17
    hint = (
        "`consortium status` shows who approved what; all hospitals must have the same "
        "Chaincode section in crypto-config.yaml"
    )


class UnknownMemberError(ConsortiumError):
    """crypto-config.yaml has no member of that name."""

    exit_code: ClassVar[int] = 18

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no member {name!r}; the members are {', '.join(known)}")
        self.hint = "name one of them; `consortium status` lists them"


class MemberFileError(ConsortiumError):
    """A file of a member directory, its own or another member's public one, cannot be used."""

    exit_code: ClassVar[int] = 19

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.hint = (
            "put the file back from a copy; a file under others/ comes from that member's public/ "
            "(docs/consortium.md, Member directories)"
        )


class MemberBusyError(ConsortiumError):
    """Another program starts or stops this member's nodes at this moment."""

    exit_code: ClassVar[int] = 104

    def __init__(self, member: str, holder: str) -> None:
        by = f" (process {holder})" if holder else ""
        super().__init__(f"another `consortium` command{by} starts or stops the nodes of {member}")
        self.hint = "wait until it has ended, or interrupt it; nothing was changed by this command"
