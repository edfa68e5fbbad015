"""An ordering node's channel participation API, which is what osnadmin calls.

HTTPS with mutual TLS on the node's admin port, for the member's own people alone.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from network.consortium.errors import ToolError
from network.consortium.member import MemberDirectory
from network.consortium.own_endpoint import OwnEndpoint
from network.consortium.topology import Member


@dataclass(frozen=True, slots=True)
class Participation:
    """The admin endpoint of one member's ordering node."""

    directory: MemberDirectory
    member: Member
    timeout_s: float = 30.0

    def channel(self, name: str) -> dict[str, Any] | None:
        """Return what the node knows of a channel (status, height...), None when it is not in it.

        Raises:
            OSError: Nothing answers.
            ToolError: The node refuses.
        """
        status, body = self._request("GET", f"/participation/v1/channels/{name}")
        if status == 404:
            return None
        if status != 200:
            raise ToolError(f"the orderer of {self.member.name} refuses: {status} {body[:300]!r}")
        found: dict[str, Any] = json.loads(body)
        return found

    def join(self, name: str, block: bytes) -> None:
        """Let the node join a channel by its first block; do nothing when it is in it.

        Raises:
            OSError: Nothing answers.
            ToolError: The node refuses.
        """
        if self.channel(name) is not None:
            return
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="config-block"; '
            'filename="config.block"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        body = head.encode() + block + f"\r\n--{boundary}--\r\n".encode()
        status, answer = self._request(
            "POST",
            "/participation/v1/channels",
            body,
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        if status != 201:
            raise ToolError(
                f"the orderer of {self.member.name} cannot join: {status} {answer[:300]!r}"
            )

    def _request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        endpoint = OwnEndpoint(self.directory, self.member.ports.orderer_admin, self.timeout_s)
        return endpoint.request(method, path, body, headers)
