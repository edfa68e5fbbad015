"""One member's certificate authority, in Python, in that member's own directory.

Two roots a member, as cryptogen has them: one signs identities, one signs TLS certificates. A
certificate's OU (peer, orderer, admin, client) is its role under NodeOUs. Keys are P-256 and
written with mode 0600. Nothing here reads another member's folder, so no key can sign for another
member. Fabric needs a SubjectKeyIdentifier in roots (msp/mspimplsetup.go) and takes ECDSA only.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from network.client_attribute import client_extension
from network.consortium.errors import MemberCertificateError, MemberFileError
from network.consortium.topology import CertificateSubject

ROOT_LIFETIME: Final = timedelta(days=3650)
LEAF_LIFETIME: Final = timedelta(days=365)
#: Certificates begin this long before they are made: hosts' clocks differ.
CLOCK_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"KeyPair(certificate of {len(self.certificate_pem)} bytes, key not shown)"


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, never half."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    scratch.replace(path)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that anyone may read, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".new")
    scratch.write_bytes(content)
    scratch.replace(path)


def read_file(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        MemberFileError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise MemberFileError(path, error.strerror or "cannot be read") from None


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _usage(**on: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: on.get(name, False) for name in names.split()})


def _alternative_names(names: Iterable[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


class CertificateAuthority:
    """A root key and the certificates it signs."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def found(
        cls, organisation: str, common_name: str, subject: CertificateSubject, *, now: datetime
    ) -> CertificateAuthority:
        """Make a new root.

        Args:
            organisation: The member's domain.
            common_name: Name of the root.
            subject: Country, province and locality, where the member states them.
            now: Present time, with time zone.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        parts = (
            (NameOID.COUNTRY_NAME, subject.country),
            (NameOID.STATE_OR_PROVINCE_NAME, subject.province),
            (NameOID.LOCALITY_NAME, subject.locality),
            (NameOID.ORGANIZATION_NAME, organisation),
            (NameOID.COMMON_NAME, common_name),
        )
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + ROOT_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                _usage(digital_signature=True, key_cert_sign=True, crl_sign=True), critical=True
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path, name: str) -> CertificateAuthority:
        """Read a root from `folder/name.pem` and `folder/name.key`.

        Raises:
            MemberFileError: A file is missing.
            MemberCertificateError: A file is not what it should be.
        """
        path = folder / f"{name}.pem"
        certificate_pem, key_pem = read_file(path), read_file(folder / f"{name}.key")
        certificate = parse_certificate(certificate_pem, path)
        try:
            key = serialization.load_pem_private_key(key_pem, None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise MemberCertificateError(path, "its key is no EC key in PEM") from None
        if key.public_key() != certificate.public_key():
            raise MemberCertificateError(path, "its key belongs to another certificate")
        return cls(certificate, key)

    def save(self, folder: Path, name: str) -> None:
        """Write `folder/name.pem`, and `folder/name.key` with mode 0600."""
        write_secret(folder / f"{name}.key", _key_pem(self._key))
        write_public(folder / f"{name}.pem", self.certificate_pem)

    @property
    def certificate_pem(self) -> bytes:
        """The root certificate."""
        return _pem(self._certificate)

    def issue_identity(
        self, common_name: str, role: str, *, now: datetime, acts_for_hospital: bool = False
    ) -> KeyPair:
        """Sign a new identity whose OU is `role` (peer, orderer, admin or client).

        Args:
            common_name: Its name.
            role: Its NodeOU.
            now: Present time, with time zone.
            acts_for_hospital: Give it the attribute without which the contract takes nothing in a
                hospital's name (`network.client_attribute`).
        """
        usage = _usage(digital_signature=True)
        return self._issue(common_name, role, now, usage, (), acts_for_hospital=acts_for_hospital)

    def issue_tls(self, common_name: str, names: Iterable[str], *, now: datetime) -> KeyPair:
        """Sign a new TLS certificate, for server and client use, valid for the names given."""
        usage = _usage(digital_signature=True, key_encipherment=True)
        return self._issue(common_name, None, now, usage, (common_name, *names))

    def _issue(
        self,
        common_name: str,
        role: str | None,
        now: datetime,
        usage: x509.KeyUsage,
        names: tuple[str, ...],
        *,
        acts_for_hospital: bool = False,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if role:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role))
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + LEAF_LIFETIME, self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(
                x509.ExtendedKeyUsage(purposes), critical=False
            ).add_extension(_alternative_names(names), critical=False)
        if acts_for_hospital:
            builder = builder.add_extension(client_extension(), critical=False)
        return KeyPair(_pem(builder.sign(self._key, hashes.SHA256())), _key_pem(key))


def parse_certificate(certificate_pem: bytes, path: Path) -> x509.Certificate:
    """Return the certificate read from `path`.

    Raises:
        MemberCertificateError: The bytes are no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        raise MemberCertificateError(path, "is no certificate in PEM") from None


def check_issued(path: Path, root: Path, *, now: datetime, key: Path | None = None) -> datetime:
    """Check one certificate of a member and return when it expires.

    Args:
        path: The certificate.
        root: The root that must have signed it.
        now: Present time, with time zone.
        key: Its private key, checked to belong to it; None where it is another member's.

    Raises:
        MemberCertificateError: Out of its dates, signed by another root, or not of this key.
        MemberFileError: A file cannot be read.
    """
    certificate = parse_certificate(read_file(path), path)
    issuer = parse_certificate(read_file(root), root)
    for one, place in ((issuer, root), (certificate, path)):
        if now > one.not_valid_after_utc:
            raise MemberCertificateError(place, f"expired on {one.not_valid_after_utc:%Y-%m-%d}")
        if now < one.not_valid_before_utc:
            raise MemberCertificateError(
                place, f"is valid only from {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
            )
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        raise MemberCertificateError(
            path, f"was not signed by this member's CA ({root.name})"
        ) from None
    if key is not None:
        try:
            private = serialization.load_pem_private_key(read_file(key), None)
        except (ValueError, TypeError):
            raise MemberCertificateError(path, f"its key {key.name} cannot be read") from None
        if private.public_key() != certificate.public_key():
            raise MemberCertificateError(path, f"its key {key.name} belongs to another certificate")
    return certificate.not_valid_after_utc
