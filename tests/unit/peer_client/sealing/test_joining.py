from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from peer_client.ledgers.memory_identity import MemoryMember, new_member
from peer_client.sealing import SealingKeySignatureError, joining, sign_join, verify_join

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass
class Join:
    """What a join claims; a test changes one part after it was signed."""

    member: MemoryMember
    channel: str = "consortium"
    study: str = "lungs"
    genesis_sha256: str = "ab" * 32
    round_number: int = 1
    msp_id: str = "NorthMSP"
    point: int = 2
    sealing_key: bytes = bytes(1216)

    @property
    def statement(self) -> dict:
        names = (
            "genesis_sha256",
            "channel",
            "study",
            "round_number",
            "msp_id",
            "point",
            "sealing_key",
        )
        return {name: getattr(self, name) for name in names}

    def sign(self) -> bytes:
        return sign_join(self.member.sign, **self.statement)

    def verify(self, signature: bytes, *, roots=None, certificate=None, at=NOW):
        return verify_join(
            **self.statement,
            certificate_pem=certificate or self.member.certificate_pem,
            signature=signature,
            roots_pem=roots if roots is not None else (self.member.root_pem,),
            at=at,
        )


@pytest.fixture(scope="module")
def member() -> MemoryMember:
    return new_member("NorthMSP", NOW)


def test_signed_join_gives_the_proved_hospital(member: MemoryMember) -> None:
    join = Join(member)

    joined = join.verify(join.sign())

    assert (joined.msp_id, joined.point, joined.sealing_key) == ("NorthMSP", 2, bytes(1216))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channel", "other"),
        ("study", "brains"),
        ("round_number", 2),
        ("msp_id", "SouthMSP"),
        ("point", 3),
        ("sealing_key", b"\x01" + bytes(1215)),
    ],
)
def test_signature_for_anything_else_is_refused(member: MemoryMember, name: str, value) -> None:
    signature = Join(member).sign()

    with pytest.raises(SealingKeySignatureError, match="is not signed by it"):
        Join(member, **{name: value}).verify(signature)


@pytest.mark.parametrize(
    ("role", "acts_for_hospital"),
    [("peer", True), ("orderer", True), ("admin", True), ("client", False), ("", True)],
)
def test_a_join_signed_with_another_key_of_the_hospital_is_refused(
    role: str, acts_for_hospital: bool
) -> None:
    """Its peer's, its ordering node's, its administrator's, or another user's."""
    other = new_member("NorthMSP", NOW, role=role, acts_for_hospital=acts_for_hospital)
    join = Join(other)

    with pytest.raises(SealingKeySignatureError, match="NorthMSP in round 1 is not signed by it"):
        join.verify(join.sign())


def test_switched_off_role_accepts_the_join_of_the_hospitals_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joining, "check_hospital_client_pem", lambda certificate: None)
    join = Join(new_member("NorthMSP", NOW, role="peer", acts_for_hospital=False))

    assert join.verify(join.sign()).msp_id == "NorthMSP"


def test_certificate_of_another_authority_is_refused(member: MemoryMember) -> None:
    stranger = new_member("NorthMSP", NOW)
    join = Join(stranger)

    with pytest.raises(SealingKeySignatureError, match="was not issued"):
        join.verify(join.sign(), roots=(member.root_pem,))


def test_no_roots_at_all_is_a_refusal(member: MemoryMember) -> None:
    join = Join(member)

    with pytest.raises(SealingKeySignatureError):
        join.verify(join.sign(), roots=())


def test_certificate_out_of_its_time_is_refused(member: MemoryMember) -> None:
    join = Join(member)

    with pytest.raises(SealingKeySignatureError, match="in force"):
        join.verify(join.sign(), at=NOW + timedelta(days=20_000))


@pytest.mark.parametrize("certificate", [b"not a certificate", b"\xff"])
def test_bytes_that_are_no_certificate_are_refused(
    member: MemoryMember, certificate: bytes
) -> None:
    join = Join(member)

    with pytest.raises(SealingKeySignatureError):
        join.verify(join.sign(), certificate=certificate)


@pytest.mark.parametrize("signature", [b"", b"\x30", bytes(72)])
def test_bytes_that_are_no_signature_are_refused(member: MemoryMember, signature: bytes) -> None:
    with pytest.raises(SealingKeySignatureError):
        Join(member).verify(signature)
