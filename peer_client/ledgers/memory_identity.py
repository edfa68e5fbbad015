"""Members of a consortium that lives in one process: a certificate authority and a user each.

For simulations and tests only: the keys are made here, held in memory and gone with the process.
They are real P-256 identities, so that joins are signed and checked as on a real network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from network.client_attribute import client_extension
from network.wire.identity import sign_with

#: How long the certificates of a simulation are in force.
DAYS = 3650


@dataclass(frozen=True, slots=True)
class MemoryMember:
    """One member: what its client signs with, and the root that the others know it by."""

    msp_id: str
    certificate_pem: bytes = field(repr=False)
    root_pem: bytes = field(repr=False)
    signing: Callable[[bytes], bytes] = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Return this member's signature over a message, DER, low s."""
        return self.signing(message)


@dataclass(frozen=True, slots=True)
class MemoryRoots:
    """The roots of some members, as each of them would hold them in its own directory."""

    by_msp: Mapping[str, bytes]

    def __call__(self, msp_id: str) -> Sequence[bytes]:
        """Return a member's roots; nothing where the member is unknown."""
        root = self.by_msp.get(msp_id)
        return () if root is None else (root,)


def new_member(
    msp_id: str, now: datetime, *, role: str = "client", acts_for_hospital: bool = True
) -> MemoryMember:
    """Make a member's authority and user.

    Args:
        msp_id: The member.
        now: Start of the certificates' time, with a time zone.
        role: Organisational unit of the user, as NodeOUs have it.
        acts_for_hospital: Whether the user's certificate has the attribute of a hospital's client.
    """
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _name(f"ca.{msp_id}")
    root = _certificate(root_name, root_name, root_key, root_key, now, is_ca=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{role}.{msp_id}", role)
    certificate = _certificate(
        name, root_name, key, root_key, now, acts_for_hospital=acts_for_hospital
    )
    return MemoryMember(msp_id, _pem(certificate), _pem(root), sign_with(key))


def roots_of(members: Sequence[MemoryMember]) -> MemoryRoots:
    """Return the roots of some members."""
    return MemoryRoots({member.msp_id: member.root_pem for member in members})


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    is_ca: bool = False,
    acts_for_hospital: bool = False,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if acts_for_hospital:
        builder = builder.add_extension(client_extension(), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common_name: str, role: str = "") -> x509.Name:
    unit = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role)] if role else []
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name), *unit])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
