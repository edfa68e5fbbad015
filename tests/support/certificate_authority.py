"""Certificates for tests: a member's CA and what it issues, made in milliseconds."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from network.wire.identity import Identity, sign_with

#: Certificates of these tests are in force for a day around this time unless they say otherwise.
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate_pem: bytes
    key: ec.EllipticCurvePrivateKey

    @property
    def key_pem(self) -> bytes:
        """The key, unencrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def identity(self, msp_id: str) -> Identity:
        """The same as somebody who signs."""
        return Identity(msp_id, self.certificate_pem, sign_with(self.key))


def _name(text: str, unit: str = "") -> x509.Name:
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """One member's CA."""

    def __init__(self, name: str = "north", *, start: datetime = NOW - timedelta(hours=1)) -> None:
        self._name = _name(f"ca.{name}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build(self._name, self._key.public_key(), is_ca=True, start=start)
        self._certificate = certificate
        self.root_pem = certificate.public_bytes(serialization.Encoding.PEM)

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        is_ca: bool,
        start: datetime,
        days: float = 1,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName(
                    [
                        x509.DNSName("localhost"),
                        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    ]
                ),
                critical=False,
            )
        )
        return builder.sign(self._key, hashes.SHA256())

    def issue(
        self,
        name: str = "user",
        *,
        start: datetime = NOW - timedelta(hours=1),
        days: float = 1,
        is_ca: bool = False,
        curve: ec.EllipticCurve | None = None,
        unit: str = "",
    ) -> Issued:
        """Issue a certificate, also for a TLS server on loopback; `unit` is its OU."""
        key = ec.generate_private_key(curve or ec.SECP256R1())
        certificate = self._build(
            _name(name, unit), key.public_key(), is_ca=is_ca, start=start, days=days
        )
        return Issued(certificate.public_bytes(serialization.Encoding.PEM), key)

    def revoke(self, certificate_pem: bytes) -> bytes:
        """Return a revocation list, PEM, with one certificate on it."""
        revoked = x509.load_pem_x509_certificate(certificate_pem).serial_number
        one = x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(NOW).build()
        listed = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(NOW)
            .next_update(NOW + timedelta(days=1))
            .add_revoked_certificate(one)
        )
        return listed.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
