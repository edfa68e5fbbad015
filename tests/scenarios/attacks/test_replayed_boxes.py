"""A box moved to another round, study, channel, dealer, recipient or ciphertext does not open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaincode.roundkey.frame import frame
from peer_client.sealing import RoundTranscript
from peer_client.sealing.transcript import Joined
from tests.support.sealed_round import SealedRound

DEALER, RECIPIENT = "H001MSP", "H002MSP"

#: What a replay changes, as the keyword arguments of the place it is replayed at.
ELSEWHERE: dict[str, dict[str, object]] = {
    "round": {"number": 2},
    "study": {"study": "brains"},
    "channel": {"channel": "other"},
    "genesis": {"genesis": "cd" * 32},
    "dealer": {"dealer": "H003MSP"},
    "ciphertext": {"ciphertext": b"\x01" * 32},
    "joined": {"joined": ("H001MSP", "H002MSP", "H003MSP")},
    "recipient": {"recipient": "H003MSP"},
}


def _opens(played: SealedRound, **place: object) -> bool:
    """Open the first round's box as if it had come at another place, with the same private key."""
    joined = place.get("joined", played.msps)
    transcript = RoundTranscript(
        str(place.get("genesis", played.genesis_sha256)),
        str(place.get("channel", played.channel)),
        str(place.get("study", played.study)),
        int(place.get("number", played.number)),  # type: ignore[call-overload]
        tuple(member for member in played.members if member.msp_id in joined),  # type: ignore[operator]
        DEALER,
    )
    recipient = next(m for m in played.members if m.msp_id == RECIPIENT)
    if name := place.get("recipient"):
        recipient = Joined(str(name), 3, recipient.sealing_key)
    ciphertext = place.get("ciphertext", bytes.fromhex(played.uploads[DEALER].ciphertext_sha256))
    info = transcript.box_info(str(place.get("dealer", DEALER)), recipient, ciphertext)  # type: ignore[arg-type]
    return played.keys[RECIPIENT].open(played.box(DEALER, RECIPIENT).box, info) is not None


def test_a_box_opens_where_it_belongs() -> None:
    assert _opens(SealedRound(4).play())


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_replayed_box_does_not_open(name: str) -> None:
    assert not _opens(SealedRound(4).play(), **ELSEWHERE[name])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_switched_off_binding_to_exactly_that_lets_the_replay_open(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoundTranscript, "box_info", _binding_without(name))

    assert _opens(SealedRound(4).play(), **ELSEWHERE[name])


@pytest.mark.parametrize(("bound", "moved"), [("round", "study"), ("dealer", "ciphertext")])
def test_switching_one_binding_off_leaves_the_others_on(
    bound: str, moved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoundTranscript, "box_info", _binding_without(bound))

    assert not _opens(SealedRound(4).play(), **ELSEWHERE[moved])


def _binding_without(name: str) -> Callable[[RoundTranscript, str, Joined, bytes], bytes]:
    """`box_info` with one of its parts left out."""

    def box_info(self: RoundTranscript, dealer: str, recipient: Joined, sha256: bytes) -> bytes:
        parts: dict[str, str | int | bytes] = {
            "genesis": bytes.fromhex(self.genesis_sha256),
            "channel": self.channel,
            "study": self.study,
            "round": self.round_number,
            "dealer": dealer,
            "recipient": recipient.msp_id,
            # The digest of the joined names the first block, channel, study and round too: leave
            # those out of it.
            "joined": frame(*(m.msp_id for m in self.joined)),
            "ciphertext": sha256,
        }
        del parts[name]
        return frame("roundkey/share/v2", *parts.values(), recipient.sealing_key)

    return box_info
