"""A member's keys stay at home, are its own alone, and bad certificates are named."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from network.consortium.bring_up import check_certificates, open_members
from network.consortium.certificates import CertificateAuthority, KeyPair
from network.consortium.errors import (
    MemberCertificateError,
    MemberFileError,
    NotInitialisedError,
    UnknownMemberError,
)
from network.consortium.member import MemberDirectory
from network.consortium.provisioning import accept_public, provision_consortium, provision_member
from network.consortium.topology import CertificateSubject, Topology
from tests.unit.network.consortium.conftest import NOW


def keys_in(folder: Path) -> dict[Path, bytes]:
    """Return every private key beneath a folder, as its public half."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
            key = load_pem_private_key(path.read_bytes(), None)
            found[path] = key.public_key().public_numbers()  # type: ignore[union-attr]
    return found


def certificates_in(folder: Path) -> dict[Path, x509.Certificate]:
    """Return every certificate beneath a folder."""
    return {
        path: x509.load_pem_x509_certificate(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.read_bytes().startswith(b"-----BEGIN CERTIFICATE")
    }


def test_keys_are_readable_by_their_owner_alone(provisioned: Path) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in keys_in(provisioned)}

    assert len(modes) == 5 * 2 + 4 * 9 + 5  # two roots a member; nine leaves a hospital
    assert set(modes.values()) == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in provisioned.glob("*/")} == {0o700}


def test_no_key_lies_in_two_places_or_in_what_is_exchanged(provisioned: Path) -> None:
    keys = keys_in(provisioned)

    assert len(set(keys.values())) == len(keys)
    assert not [path for path in keys if {"public", "others"} & set(path.parts)]


def test_everything_of_a_member_is_signed_by_its_own_roots(provisioned: Path) -> None:
    for member in provisioned.glob("*/"):
        roots = [
            x509.load_pem_x509_certificate((member / "ca" / name).read_bytes())
            for name in ("ca.pem", "tlsca.pem")
        ]
        for path, certificate in certificates_in(member).items():
            if "others" in path.parts:
                continue
            issuer = next(root for root in roots if root.subject == certificate.issuer)
            certificate.verify_directly_issued_by(issuer)


def test_roles_are_told_apart_by_ou(provisioned: Path) -> None:
    def role(path: str) -> str:
        certificate = x509.load_pem_x509_certificate((provisioned / "ucsd" / path).read_bytes())
        (found,) = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        return str(found.value)

    assert role("peer/msp/signcerts/cert.pem") == "peer"
    assert role("orderer/msp/signcerts/cert.pem") == "orderer"
    assert role("users/Admin/msp/signcerts/cert.pem") == "admin"
    assert role("users/client/msp/signcerts/cert.pem") == "client"


def test_tls_names_address_and_host(provisioned: Path) -> None:
    certificate = x509.load_pem_x509_certificate((provisioned / "ucsd/tls/peer.pem").read_bytes())

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["peer.ucsd.example", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_founding_again_changes_no_key_and_no_certificate(root: Path, document: str) -> None:
    before = {path: path.read_bytes() for path in (*keys_in(root), *certificates_in(root))}

    provision_consortium(root, document, now=NOW + timedelta(days=1))

    assert {path: path.read_bytes() for path in before} == before


def test_member_json_names_own_gateway_first_and_every_root(provisioned: Path) -> None:
    found = json.loads((provisioned / "moscow1" / "member.json").read_text())

    assert [gateway["member"] for gateway in found["gateways"]] == [
        "moscow1",
        "ucsd",
        "saopaulo",
        "moscow2",
        "authority",
    ]
    assert found["gateways"][1]["server_name"] == "peer.ucsd.example"
    assert found["channel"] == "hospitals"
    assert set(found["roots"]) == {
        f"{name}MSP" for name in ("ucsd", "saopaulo", "moscow1", "moscow2", "authority")
    }
    for relative in (
        *found["roots"].values(),
        *(gateway["tls_root"] for gateway in found["gateways"]),
    ):
        assert (provisioned / "moscow1" / relative).read_bytes().startswith(b"-----BEGIN CERT")
    own = MemberDirectory(provisioned / "moscow1")
    assert own.roots_pem("ucsdMSP") == ((provisioned / "ucsd/ca/ca.pem").read_bytes(),)
    with pytest.raises(MemberFileError, match="knows no MSP 'evilMSP'"):
        own.roots_pem("evilMSP")


def check_all(root: Path, *, now: datetime = NOW) -> None:
    """Do what `up` does first."""
    for directory in open_members(root):
        check_certificates(directory, directory.topology(), now=now)


def test_fresh_consortium_passes(provisioned: Path) -> None:
    check_all(provisioned)


def test_expired_certificate_is_named(provisioned: Path) -> None:
    with pytest.raises(MemberCertificateError, match=r"cert\.pem: expired on 2027-03-01"):
        check_all(provisioned, now=NOW + timedelta(days=366))


def test_certificate_from_the_future_is_named(provisioned: Path) -> None:
    with pytest.raises(MemberCertificateError, match="valid only from 2026-03-01 11:55 UTC"):
        check_all(provisioned, now=NOW - timedelta(days=1))


def replace_peer_tls(root: Path, pair: KeyPair) -> None:
    """Give ucsd's peer another TLS certificate."""
    (root / "ucsd/tls/peer.pem").write_bytes(pair.certificate_pem)
    (root / "ucsd/tls/peer.key").write_bytes(pair.key_pem)


def test_certificate_of_another_members_ca_is_refused(root: Path) -> None:
    other = CertificateAuthority.load(root / "moscow1" / "ca", "tlsca")
    replace_peer_tls(root, other.issue_tls("peer.ucsd.example", ["127.0.0.1"], now=NOW))

    with pytest.raises(MemberCertificateError, match=r"peer\.pem: was not signed by this member"):
        check_all(root)


def test_certificate_of_a_ca_with_the_same_name_is_refused(root: Path) -> None:
    twin = CertificateAuthority.found(
        "ucsd.example", "tlsca.ucsd.example", CertificateSubject(), now=NOW
    )
    replace_peer_tls(root, twin.issue_tls("peer.ucsd.example", ["127.0.0.1"], now=NOW))

    with pytest.raises(MemberCertificateError, match=r"peer\.pem: was not signed by this member"):
        check_all(root)


def test_key_of_another_certificate_is_refused(root: Path) -> None:
    shutil.copy(root / "ucsd/tls/client.key", root / "ucsd/tls/peer.key")

    with pytest.raises(MemberCertificateError, match=r"peer\.key belongs to another certificate"):
        check_all(root)


def test_missing_certificate_is_named(root: Path) -> None:
    (root / "ucsd/tls/peer.pem").unlink()

    with pytest.raises(MemberFileError, match=r"tls/peer\.pem: No such file"):
        check_all(root)


def test_public_folder_with_a_private_key_is_refused(root: Path) -> None:
    source = root / "ucsd" / "public"
    shutil.copy(root / "ucsd/tls/peer.key", source / "msp" / "oops.pem")
    member = Topology.load(root / "crypto-config.yaml").member("ucsd")

    with pytest.raises(MemberFileError, match="never be handed over"):
        accept_public(MemberDirectory(root / "moscow1"), member, source, now=NOW)

    assert not (root / "moscow1/others/ucsd/msp/oops.pem").exists()


def test_member_founded_alone_names_whom_it_lacks_and_holds_no_others_files(
    tmp_path: Path, document: str, provisioned: Path
) -> None:
    exchange = tmp_path / "exchange"
    for name in ("saopaulo", "authority"):
        shutil.copytree(provisioned / name / "public", exchange / name)

    directory, missing = provision_member(tmp_path / "host", document, "ucsd", exchange, now=NOW)

    assert missing == ("moscow1", "moscow2")
    assert sorted(path.name for path in (tmp_path / "host").iterdir()) == [
        "crypto-config.yaml",
        "ucsd",
    ]
    assert directory.roots_pem("saopauloMSP") == (
        (provisioned / "saopaulo/ca/ca.pem").read_bytes(),
    )
    with pytest.raises(MemberFileError, match="public files of moscow1 are missing"):
        check_certificates(directory, directory.topology(), now=NOW)


def test_key_pair_does_not_show_its_key(provisioned: Path) -> None:
    authority = CertificateAuthority.load(provisioned / "ucsd" / "ca", "ca")

    shown = repr(authority.issue_identity("x", "client", now=datetime.now(UTC)))

    assert "PRIVATE" not in shown
    assert "key not shown" in shown


def test_root_without_a_consortium_says_to_run_init(tmp_path: Path) -> None:
    with pytest.raises(NotInitialisedError) as caught:
        open_members(tmp_path)

    assert "consortium init" in caught.value.hint


def test_unknown_member_is_refused(provisioned: Path) -> None:
    with pytest.raises(UnknownMemberError):
        open_members(provisioned, ["harvard"])
