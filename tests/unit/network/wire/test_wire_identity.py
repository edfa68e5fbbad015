"""Signatures are low-S, and accepted only from a member's own CA, in time, on the message."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fabric_protos.msp import identities_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from network.errors import CertificateError
from network.wire.identity import (
    P256_ORDER,
    check_certificate,
    load_identity,
    lower_s,
    sign_with,
    verify_signature,
)
from tests.support.certificate_authority import NOW, Authority, Issued

KEY = ec.generate_private_key(ec.SECP256R1())
NORTH = Authority("north")
SOUTH = Authority("south")


def check(issued: Issued, message: bytes, signature: bytes, at: datetime = NOW) -> None:
    verify_signature(issued.certificate_pem, message, signature, roots_pem=[NORTH.root_pem], at=at)


@settings(deadline=None)
@given(st.binary(max_size=500))
def test_every_signature_is_low_s_and_verifies(message: bytes) -> None:
    signature = sign_with(KEY)(message)

    _, s = utils.decode_dss_signature(signature)
    assert 0 < s <= P256_ORDER // 2
    KEY.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))


@given(st.integers(1, P256_ORDER - 1), st.integers(1, P256_ORDER - 1))
def test_lowering_keeps_r_and_takes_the_smaller_of_s_and_its_negative(r: int, s: int) -> None:
    lowered = utils.decode_dss_signature(lower_s(utils.encode_dss_signature(r, s)))

    assert lowered == (r, min(s, P256_ORDER - s))


def test_a_high_s_signature_verifies_in_openssl_and_is_refused_here() -> None:
    # That it is a valid signature otherwise is the point: it would be a second encoding.
    issued = NORTH.issue()
    r, s = utils.decode_dss_signature(sign_with(issued.key)(b"m"))
    high = utils.encode_dss_signature(r, P256_ORDER - s)
    issued.key.public_key().verify(high, b"m", ec.ECDSA(hashes.SHA256()))

    with pytest.raises(CertificateError, match="high s"):
        check(issued, b"m", high)


def test_a_signature_of_a_members_user_is_accepted() -> None:
    issued = NORTH.issue()

    check(issued, b"statement", sign_with(issued.key)(b"statement"))


def test_a_signature_on_another_message_is_refused() -> None:
    issued = NORTH.issue()

    with pytest.raises(CertificateError, match="is not one of CN=user on this message"):
        check(issued, b"other", sign_with(issued.key)(b"statement"))


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_bytes_that_are_no_signature_are_refused_and_nothing_else(signature: bytes) -> None:
    with pytest.raises(CertificateError):
        check(FIXED, b"statement", signature)


FIXED = NORTH.issue()


def test_a_certificate_of_another_members_ca_is_refused() -> None:
    issued = SOUTH.issue("mallory")

    with pytest.raises(CertificateError, match="CN=mallory was not issued by its member's CA"):
        check(issued, b"m", sign_with(issued.key)(b"m"))


def test_one_of_several_roots_is_enough() -> None:
    issued = NORTH.issue()

    check_certificate(issued.certificate_pem, roots_pem=[SOUTH.root_pem, NORTH.root_pem], at=NOW)


def test_no_roots_accept_nothing() -> None:
    with pytest.raises(CertificateError, match="was not issued"):
        check_certificate(NORTH.issue().certificate_pem, roots_pem=[], at=NOW)


@pytest.mark.parametrize(("start_days", "days"), [(-3, 2), (1, 2)], ids=["expired", "not yet"])
def test_a_certificate_out_of_its_dates_is_refused_with_the_dates(
    start_days: int, days: int
) -> None:
    old = Authority("north", start=NOW - timedelta(days=10))
    old_root = Authority("long", start=NOW - timedelta(hours=1))
    issued = old_root.issue(start=NOW + timedelta(days=start_days), days=days)

    with pytest.raises(CertificateError, match=f"not on {NOW:%Y-%m-%d}"):
        check_certificate(issued.certificate_pem, roots_pem=[old_root.root_pem], at=NOW)
    with pytest.raises(CertificateError, match=r"CN=ca\.north is in force"):
        check_certificate(old.issue().certificate_pem, roots_pem=[old.root_pem], at=NOW)


def test_a_time_without_a_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="time zone"):
        check_certificate(
            NORTH.issue().certificate_pem,
            roots_pem=[NORTH.root_pem],
            at=datetime(2026, 1, 1),
        )


def test_a_cas_own_certificate_may_not_sign_statements() -> None:
    issued = NORTH.issue(is_ca=True)

    with pytest.raises(CertificateError, match="is a CA's"):
        check(issued, b"m", sign_with(issued.key)(b"m"))


def test_a_users_certificate_may_not_issue_another() -> None:
    # Otherwise any user of a member could make itself a second identity.
    user = NORTH.issue("user")

    with pytest.raises(CertificateError, match="was not issued"):
        check_certificate(NORTH.issue().certificate_pem, roots_pem=[user.certificate_pem], at=NOW)


def test_a_key_on_another_curve_is_refused() -> None:
    issued = NORTH.issue(curve=ec.SECP384R1())

    with pytest.raises(CertificateError, match="P-256"):
        check(issued, b"m", issued.key.sign(b"m", ec.ECDSA(hashes.SHA256())))
    with pytest.raises(CertificateError, match="secp384r1"):
        sign_with(issued.key)


def write_msp(folder: Path, issued: Issued, key: Issued | None = None) -> Path:
    for name in ("signcerts", "keystore"):
        (folder / name).mkdir(parents=True)
    (folder / "signcerts" / "cert.pem").write_bytes(issued.certificate_pem)
    (folder / "keystore" / "key.pem").write_bytes((key or issued).key_pem)
    return folder


def test_an_identity_is_read_from_an_msp_folder_and_signs(tmp_path: Path) -> None:
    issued = NORTH.issue()

    identity = load_identity(write_msp(tmp_path, issued), "NorthMSP")

    creator = identities_pb2.SerializedIdentity.FromString(identity.creator)
    assert (creator.mspid, creator.id_bytes) == ("NorthMSP", issued.certificate_pem)
    check(issued, b"m", identity.sign(b"m"))


def test_a_key_that_is_not_the_certificates_is_refused(tmp_path: Path) -> None:
    folder = write_msp(tmp_path, NORTH.issue(), key=NORTH.issue())

    with pytest.raises(CertificateError, match="is not the key of"):
        load_identity(folder, "NorthMSP")


def test_a_missing_or_second_file_is_named(tmp_path: Path) -> None:
    folder = write_msp(tmp_path, NORTH.issue())
    (folder / "keystore" / "second.pem").write_bytes(b"")

    with pytest.raises(CertificateError, match="keystore should hold exactly one file"):
        load_identity(folder, "NorthMSP")


@pytest.mark.parametrize("content", [b"", b"s3cret text", b"-----BEGIN PRIVATE KEY-----\ns3cret"])
def test_a_file_that_is_no_key_is_refused_without_a_word_of_its_content(
    tmp_path: Path, content: bytes
) -> None:
    folder = write_msp(tmp_path, NORTH.issue())
    (folder / "keystore" / "key.pem").write_bytes(content)

    with pytest.raises(CertificateError) as caught:
        load_identity(folder, "NorthMSP")

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_identity_shows_neither_key_nor_certificate(tmp_path: Path) -> None:
    identity = load_identity(write_msp(tmp_path, NORTH.issue()), "NorthMSP")

    assert repr(identity) == "Identity(msp_id='NorthMSP')"
