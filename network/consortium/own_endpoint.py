"""HTTPS to one of a member's own nodes, on loopback, with mutual TLS.

The admin port of an ordering node and the operations ports of both kinds take certificates of the
member's own TLS root alone: another user of the machine, or another member, has none.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from network.consortium.member import MemberDirectory

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class OwnEndpoint:
    """One local port of one member's node, spoken to as that member."""

    directory: MemberDirectory
    port: int
    timeout_s: float

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body.

        Raises:
            OSError: Nothing answers, what answers is not this member's, or a certificate is
                missing.
        """
        connection = http.client.HTTPSConnection(
            LOOPBACK, self.port, context=self._context(), timeout=self.timeout_s
        )
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.directory.tls_root))
        certificate, key = self.directory.tls("client")
        context.load_cert_chain(str(certificate), str(key))
        # A node's certificate names the member's host; these ports listen on loopback alone. The
        # root signs this member's certificates and no other's.
        context.check_hostname = False
        return context
