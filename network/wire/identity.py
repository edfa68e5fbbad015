"""Who signs: a member's certificate with a signing function, and the check of others' signatures.

Fabric takes ECDSA on P-256 over SHA-256, DER encoded, and refuses a signature whose s lies in the
upper half of the group's order (bccsp/utils/ecdsa.go, IsLowS), because (r, n - s) verifies as well
and would be a second valid encoding of the same statement. So signing always lowers s, and
`verify_signature` refuses a high one. Only certificates issued directly by a root are accepted:
the consortium's CAs use no intermediates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fabric_protos.msp import identities_pb2

from network.errors import CertificateError

#: Order of the P-256 group (SEC 2, section 2.4.2).
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Identity:
    """A member's user, as Fabric sees it.

    Attributes:
        msp_id: MSP that vouches for the certificate.
        certificate_pem: X.509 certificate.
        sign: Takes a message, returns a low-S DER signature; the key stays behind it, so that a
            hardware key needs no other class.
    """

    msp_id: str
    certificate_pem: bytes = field(repr=False)
    sign: Sign = field(repr=False)

    @property
    def creator(self) -> bytes:
        """This identity as the `creator` bytes of Fabric's headers."""
        return serialize_identity(self.msp_id, self.certificate_pem)


def serialize_identity(msp_id: str, certificate_pem: bytes) -> bytes:
    """Encode an MSP id and a certificate as msp.SerializedIdentity."""
    message = identities_pb2.SerializedIdentity(mspid=msp_id, id_bytes=certificate_pem)
    return bytes(message.SerializeToString())


def lower_s(signature_der: bytes) -> bytes:
    """Return the encoding of a P-256 signature whose s lies in the lower half of the order.

    >>> low = utils.encode_dss_signature(5, 7)
    >>> lower_s(utils.encode_dss_signature(5, P256_ORDER - 7)) == lower_s(low) == low
    True
    """
    r, s = utils.decode_dss_signature(signature_der)
    return utils.encode_dss_signature(r, min(s, P256_ORDER - s))


def sign_with(key: ec.EllipticCurvePrivateKey) -> Sign:
    """Return a signing function for a P-256 key.

    Raises:
        CertificateError: The key is on another curve.
    """
    if not isinstance(key.curve, ec.SECP256R1):
        raise CertificateError(
            f"the signing key is on {key.curve.name}, Fabric's members use P-256"
        )

    def sign(message: bytes) -> bytes:
        return lower_s(key.sign(message, ec.ECDSA(hashes.SHA256())))

    return sign


def load_certificate(certificate_pem: bytes, *, what: str) -> x509.Certificate:
    """Parse one PEM certificate; `what` names it in the error."""
    try:
        return x509.load_pem_x509_certificate(certificate_pem)
    except ValueError as error:
        raise CertificateError(f"{what} is not an X.509 certificate in PEM") from error


def certificate_sha256(certificate_pem: bytes) -> bytes:
    """Return the SHA-256 of a certificate's DER encoding, 32 bytes."""
    certificate = load_certificate(certificate_pem, what="the certificate to hash")
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


def _only_file(folder: Path) -> Path:
    files = sorted(path for path in folder.glob("*") if path.is_file())
    if len(files) != 1:
        raise CertificateError(
            f"{folder} should hold exactly one file and holds {len(files)}",
            hint="point at an MSP folder as `consortium up` writes it: signcerts/, keystore/",
        )
    return files[0]


def load_identity(msp_dir: Path, msp_id: str) -> Identity:
    """Read an identity from an MSP folder (signcerts/ and keystore/, one file each).

    Raises:
        CertificateError: A file is missing or not what it should be, or the key is not the
            certificate's.
    """
    certificate_path = _only_file(msp_dir / "signcerts")
    key_path = _only_file(msp_dir / "keystore")
    certificate_pem = certificate_path.read_bytes()
    certificate = load_certificate(certificate_pem, what=str(certificate_path))
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: a parser's message about a key file must not travel.
        raise CertificateError(f"{key_path} is not an unencrypted private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{key_path} is not an elliptic-curve key")
    if key.public_key() != certificate.public_key():
        raise CertificateError(f"{key_path} is not the key of {certificate_path}")
    return Identity(msp_id, certificate_pem, sign_with(key))


def check_certificate(
    certificate_pem: bytes, *, roots_pem: Sequence[bytes], at: datetime
) -> x509.Certificate:
    """Return a certificate proved to be issued by one of the roots and in force.

    Args:
        certificate_pem: The certificate to check.
        roots_pem: The MSP's root certificates, from the checker's own files.
        at: The time that counts, with a time zone.

    Raises:
        CertificateError: Not issued by a root, out of its dates, or itself a CA.
    """
    if at.tzinfo is None:
        raise ValueError("`at` needs a time zone")
    found = _issued(certificate_pem, tuple(roots_pem))
    if found.issuer is None:
        raise CertificateError(
            f"the certificate of {found.subject} was not issued by its member's CA"
        )
    issuer_subject = found.issuer.subject.rfc4514_string()
    for one, name in ((found.certificate, found.subject), (found.issuer, issuer_subject)):
        if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            raise CertificateError(
                f"the certificate of {name} is in force from {one.not_valid_before_utc:%Y-%m-%d} "
                f"to {one.not_valid_after_utc:%Y-%m-%d}, not on {at:%Y-%m-%d}"
            )
    if found.is_ca:
        raise CertificateError(f"the certificate of {found.subject} is a CA's, not a user's")
    return found.certificate


@dataclass(frozen=True, slots=True)
class _Issued:
    """What does not depend on the time: a certificate, its subject, and the root that issued it."""

    certificate: x509.Certificate
    subject: str
    issuer: x509.Certificate | None
    is_ca: bool


@lru_cache(maxsize=1024)
def _issued(certificate_pem: bytes, roots_pem: tuple[bytes, ...]) -> _Issued:
    """Read a certificate and look for its issuer: once for a signer, however often it signs."""
    certificate = load_certificate(certificate_pem, what="the signer's certificate")
    return _Issued(
        certificate,
        certificate.subject.rfc4514_string(),
        _issuer(certificate, roots_pem),
        _is_ca(certificate),
    )


def _issuer(certificate: x509.Certificate, roots_pem: Sequence[bytes]) -> x509.Certificate | None:
    for root_pem in roots_pem:
        root = load_certificate(root_pem, what="an MSP root")
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        if _is_ca(root):
            return root
    return None


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def verify_signature(
    certificate_pem: bytes,
    message: bytes,
    signature: bytes,
    *,
    roots_pem: Sequence[bytes],
    at: datetime,
) -> None:
    """Check that a member's user signed a message.

    Args:
        certificate_pem: The signer's certificate, as the signer sent it.
        message: What was signed.
        signature: ECDSA, DER, low S.
        roots_pem: Root certificates of the signer's MSP, from the checker's own files and never
            from a peer's answer.
        at: The time at which the certificate must be in force, with a time zone.

    Raises:
        CertificateError: The certificate does not chain to a root or is not in force, or the
            signature is not one of this message by this certificate's key.
    """
    certificate = check_certificate(certificate_pem, roots_pem=roots_pem, at=at)
    key = certificate.public_key()
    subject = certificate.subject.rfc4514_string()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateError(f"the certificate of {subject} does not hold a P-256 key")
    verify_with_key(key, message, signature, subject=subject)


def verify_with_key(
    key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes, *, subject: str
) -> None:
    """Check a low-S ECDSA signature with a key that is already trusted.

    Raises:
        CertificateError: It is no such signature of this message.
    """
    try:
        _, s = utils.decode_dss_signature(signature)
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        raise CertificateError(f"the signature is not one of {subject} on this message") from None
    if s > P256_ORDER // 2:
        raise CertificateError(f"the signature of {subject} has a high s, which Fabric refuses")
