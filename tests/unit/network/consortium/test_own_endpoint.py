"""A member's local ports are spoken to with its own certificate, and believed by its own root."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from network.consortium.health import Operations
from network.consortium.member import PEER, MemberDirectory
from network.consortium.own_endpoint import OwnEndpoint


class _Answering(BaseHTTPRequestHandler):
    """Answers as a node's operations endpoint does."""

    def do_GET(self) -> None:
        """Answer with the path that was asked for."""
        body = b'{"Version": "3.1.1"}' if self.path == "/version" else self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def listening_as(directory: MemberDirectory) -> Iterator[int]:
    """Run a server with a member's peer certificate that asks for one of its own root."""
    certificate, key = directory.tls(PEER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(directory.tls_root)
    context.verify_mode = ssl.CERT_REQUIRED
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def ask(port: int, context: ssl.SSLContext) -> int:
    """Ask for the health and return the status; in TLS 1.3 a refusal comes with the answer."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def test_member_is_answered_by_its_own_node(provisioned: Path) -> None:
    ucsd = MemberDirectory(provisioned / "ucsd")
    with listening_as(ucsd) as port:
        operations = Operations(ucsd, port)

        assert OwnEndpoint(ucsd, port, 2.0).request("GET", "/x") == (200, b"/x")
        assert operations.is_healthy()
        assert operations.version() == "3.1.1"


def test_another_members_certificate_is_not_answered(provisioned: Path) -> None:
    ucsd, moscow1 = (MemberDirectory(provisioned / name) for name in ("ucsd", "moscow1"))
    context = ssl.create_default_context(cafile=str(ucsd.tls_root))
    context.check_hostname = False
    context.load_cert_chain(*moscow1.tls("client"))
    with listening_as(ucsd) as port:
        assert Operations(ucsd, port).is_healthy()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(port, context)


def test_program_that_took_the_port_is_not_believed(provisioned: Path) -> None:
    """Another user of the machine may listen first, but has no certificate of the member's root."""
    ucsd, moscow1 = (MemberDirectory(provisioned / name) for name in ("ucsd", "moscow1"))
    with listening_as(moscow1) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            OwnEndpoint(ucsd, port, 2.0).request("GET", "/healthz")
        assert not Operations(ucsd, port).is_healthy()
