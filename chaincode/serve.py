"""Run the contract as a service that a hospital's peer dials: ``python -m chaincode.serve FILE``.

The settings file is JSON: ``format`` 1, ``package_id``, ``address`` (host:port) and ``tls`` with
the paths ``certificate``, ``key`` and ``client_root`` (relative ones start at the file's folder);
`network.consortium` writes it for each member. A missing or unknown setting stops it with a
sentence; there is no serving without TLS. This is the only module of the package that imports
`network`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaincode.contract.dispatch import invoke
from chaincode.records.errors import RuleError
from network.freed_memory import keep_freed_memory
from network.runtime.failures import failure_of
from network.shim.errors import ShimError
from network.shim.server import serve
from network.shim.settings import ServerTls
from network.shim.stub import LedgerStub

EXIT_CODE = 30
FORMAT = 1


class ServiceSettingsError(Exception):
    """The settings file of the chaincode service cannot be used."""

    exit_code = EXIT_CODE
    hint = "run `consortium up` again: it writes the file"


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What the service needs.

    Attributes:
        package_id: Identifier of the installed package, ``label:sha256``.
        address: Where the peer dials, host:port.
        tls: The service's certificate and key and the roots of the peer's certificate.
    """

    package_id: str
    address: str
    tls: ServerTls


def read_settings(path: Path) -> ServiceSettings:
    """Read the settings file and the TLS files it names.

    Raises:
        ServiceSettingsError: A file is missing or a setting is missing, unknown or not text.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ServiceSettingsError(f"{path.name} is not a readable JSON file") from None
    outer = _exactly(value, ("address", "format", "package_id", "tls"), "the settings")
    tls = _exactly(outer["tls"], ("certificate", "client_root", "key"), "tls")
    if type(outer["format"]) is not int or outer["format"] != FORMAT:
        raise ServiceSettingsError(f"the settings must have format {FORMAT}")
    texts = [outer["address"], outer["package_id"], *tls.values()]
    if not all(isinstance(text, str) and text for text in texts):
        raise ServiceSettingsError("every setting must be text and not empty")
    return ServiceSettings(
        package_id=outer["package_id"],
        address=outer["address"],
        tls=ServerTls(
            certificate_pem=_bytes(path.parent / tls["certificate"]),
            key_pem=_bytes(path.parent / tls["key"]),
            client_roots_pem=_bytes(path.parent / tls["client_root"]),
        ),
    )


def handle(stub: LedgerStub) -> bytes:
    """Answer one transaction of the peer."""
    return invoke(stub, stub.args)


def main(arguments: list[str]) -> int:
    """Serve until the process is told to stop; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m chaincode.serve SETTINGS.json\n")
        return EXIT_CODE
    keep_freed_memory(arenas=2)
    try:
        settings = read_settings(Path(arguments[0]))
        serve(
            handle,
            package_id=settings.package_id,
            address=settings.address,
            tls=settings.tls,
            refusals=(RuleError,),
        )
    except (ServiceSettingsError, ShimError) as error:
        failure = failure_of(error)
        sys.stderr.write(f"{failure.text()}\n")
        return failure.code
    return 0


def _exactly(value: object, names: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or sorted(value) != list(names):
        raise ServiceSettingsError(f"{what} must have exactly the fields {', '.join(names)}")
    return value


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ServiceSettingsError(f"{path.name} cannot be read") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
