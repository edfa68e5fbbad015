"""Whoever shares the machine with a member can use none of the ports that its nodes listen on."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from network.consortium.member import MemberDirectory
from network.consortium.own_endpoint import OwnEndpoint
from tests.support.fabric_network import FabricNetwork

pytestmark = pytest.mark.fabric
#: HTTP/2's connection preface and an empty SETTINGS frame (RFC 9113, section 3.4).
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
HTTP2_SETTINGS = 4  # frame type, byte 3 of a frame
HEALTH_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
#: They take only what a member has signed, but ask no client for a TLS certificate (see
#: network/consortium/orderer_configuration.py).
WITHOUT_CLIENT_CERTIFICATES = {"Orderer"}


@dataclass(frozen=True)
class Listener:
    """One open port of one member."""

    member: str
    key: str  # as in crypto-config.yaml
    port: int


def listeners(consortium: FabricNetwork) -> list[Listener]:
    """Return every port that some node listens on, by the sockets of its process."""
    ports = {
        port: (one["member"], key)
        for one in consortium.json("status")
        for node in one["nodes"]
        for key, port in node["ports"].items()
    }
    return [Listener(*ports[port], port) for port in sorted(_listening(consortium))]


def _listening(consortium: FabricNetwork) -> Iterator[int]:
    inodes = set()
    for pid in consortium.pids().values():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link)):
                inodes.add(match[1])
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # 0A: listening
                yield int(fields[1].split(":")[1], 16)


def answer(connection: socket.socket, request: bytes) -> bytes:
    """Send something and return what comes back, empty where the other side hangs up."""
    connection.sendall(request)
    try:
        return connection.recv(4096)
    except ConnectionError:
        return b""


def is_refusal(found: bytes) -> bool:
    """Tell whether an answer is none: closed, a TLS alert, or "this is an HTTPS port"."""
    is_alert = found[:1] == b"\x15"  # content type 21, RFC 8446 section 5.1
    return not found or is_alert or found.startswith(b"HTTP/1.0 400 ")


def tls_refuses(port: int, context: ssl.SSLContext) -> bool:
    """Tell whether the server ends a TLS connection instead of answering."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain) as secured,
        ):
            # In TLS 1.3 the refusal arrives with the first read.
            request = HTTP2_PREFACE if secured.selected_alpn_protocol() == "h2" else HEALTH_REQUEST
            return not answer(secured, request)
    except (ssl.SSLError, ConnectionError):
        return True


def as_member(
    server: MemberDirectory, client: MemberDirectory | None, *, trusted: bool = True
) -> ssl.SSLContext:
    """Return what a client is: another member's, its own, or nobody's."""
    context = ssl.create_default_context(cafile=str(server.tls_root))
    context.check_hostname = False
    if not trusted:
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if client is not None:
        context.load_cert_chain(*client.tls("client"))
    return context


def set_logging_to_debug(port: int, context: ssl.SSLContext | None) -> int:
    """Ask an operations endpoint for it, in plain HTTP without a context; return the status."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
        if context
        else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    )
    try:
        connection.request("PUT", "/logspec", json.dumps({"spec": "debug"}))
        return connection.getresponse().status
    finally:
        connection.close()


def test_every_port_of_every_node_refuses_plain_text(consortium: FabricNetwork) -> None:
    found = listeners(consortium)

    # Four hospitals with seven ports each, the authority with three.
    assert len(found) == 4 * 7 + 3
    for listener in found:
        for request in (HEALTH_REQUEST, HTTP2_PREFACE):
            with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
                assert is_refusal(answer(connection, request)), listener


def test_every_port_but_the_ordering_nodes_refuses_a_client_without_certificate(
    consortium: FabricNetwork,
) -> None:
    for listener in listeners(consortium):
        context = as_member(consortium.member(listener.member), None, trusted=False)

        refused = tls_refuses(listener.port, context)

        assert refused == (listener.key not in WITHOUT_CLIENT_CERTIFICATES), listener


def test_ports_of_a_members_own_refuse_another_members_certificate(
    consortium: FabricNetwork,
) -> None:
    stranger = consortium.member("moscow2")
    tried = set()
    for listener in listeners(consortium):
        if listener.member == stranger.name or listener.key in {"Peer", "Orderer"}:
            continue
        context = as_member(consortium.member(listener.member), stranger, trusted=False)
        assert tls_refuses(listener.port, context), listener
        tried.add(listener.key)

    assert tried == {
        "PeerChaincode",
        "PeerOperations",
        "Chaincode",
        "OrdererAdmin",
        "OrdererOperations",
    }


@pytest.mark.parametrize("kind", ["peer", "orderer"])
def test_operations_answer_their_own_member_alone_and_nobody_else_sets_logging(
    consortium: FabricNetwork, kind: str
) -> None:
    directory = consortium.member("ucsd")
    ports = consortium.topology.member("ucsd").ports
    port = ports.peer_operations if kind == "peer" else ports.orderer_operations
    own = OwnEndpoint(directory, port, 5.0)
    before = own.request("GET", "/logspec")

    for stranger in (None, consortium.member("moscow1")):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            set_logging_to_debug(port, as_member(directory, stranger))
    assert set_logging_to_debug(port, None) == 400  # an HTTPS port

    assert own.request("GET", "/logspec") == before == (200, b'{"spec":"warn"}\n')
    assert own.request("GET", "/healthz")[0] == 200
    assert b"process_start_time_seconds" in own.request("GET", "/metrics")[1]
