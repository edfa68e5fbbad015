"""How a chaincode service shows itself to its peer.

Mutual TLS is the ordinary case. Plain text has to be asked for by a name that says what it is for,
and is served on loopback only.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Mutual TLS: the peer has to show a certificate too.

    Attributes:
        certificate_pem: The service's certificate.
        key_pem: Its key.
        client_roots_pem: Roots that the peer's certificate must come from.
    """

    certificate_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    client_roots_pem: bytes = field(repr=False)

    def __post_init__(self) -> None:
        # A missing part must never turn into a weaker connection.
        for name in ("certificate_pem", "key_pem", "client_roots_pem"):
            if not getattr(self, name).strip():
                raise ValueError(f"mutual TLS needs {name}, which is empty")


@dataclass(frozen=True, slots=True)
class PlainTextForTests:
    """No encryption and no authentication; refused on addresses other than loopback."""
