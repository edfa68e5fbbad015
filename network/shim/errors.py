"""What can go wrong between a chaincode and its peer, and whose fault it was."""

from __future__ import annotations

from network.errors import NetworkError


class ShimError(NetworkError):
    """The conversation between a chaincode and its peer failed."""

    exit_code = 29
    hint = "look at the chaincode's and the peer's log with `consortium logs`"


class LocalProtocolError(ShimError):
    """This side asked for something that the conversation does not allow; nothing was sent."""


class RemoteProtocolError(ShimError):
    """The peer sent something that the conversation does not allow; the stream is given up."""


class PeerError(ShimError):
    """The peer could not answer a request of a transaction; the words are the peer's."""


class PeerHungUpError(ShimError):
    """The stream to the peer ended while a transaction was waiting for an answer."""
