"""Checks of a join: whose certificate, whose signature, which sealing key.

A dealer seals shares to the keys that hospitals join with, so a key that a peer or an orderer
could swap would open that dealer's secret (docs/security.md, rule 6). The chaincode sees that the
certificate is the creator's own, that it signed the statement, and that both halves of the key
are well formed; the client checks the chain to its own MSP roots again. Nothing here trusts the
peer's word for a signature.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from chaincode.ledger import CreatorLike
from chaincode.records.errors import (
    ForeignCertificateError,
    SealingKeyFormError,
    SealingKeyLengthError,
    SignatureInvalidError,
)
from chaincode.roundkey.parameters import SEALING_KEY_BYTES

ML_KEM_BYTES: Final = 1184
#: Order of P-256 (SEC 2, section 2.4.2). Fabric takes only the smaller of the two values of s.
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: Any scalar shows a point of low order, whose product with every scalar is zero (RFC 7748, 6.1).
_PROBE: Final = x25519.X25519PrivateKey.from_private_bytes(bytes(31) + b"\x40")


def check_certificate(creator: CreatorLike, certificate_pem: str) -> x509.Certificate:
    """Check that a certificate is the creator's own, and return it.

    Raises:
        ForeignCertificateError: It is another one, or is no certificate.
    """
    try:
        own = x509.load_pem_x509_certificate(creator.certificate_pem)
        claimed = x509.load_pem_x509_certificate(certificate_pem.encode("ascii"))
        same = own.public_bytes(Encoding.DER) == claimed.public_bytes(Encoding.DER)
    except (ValueError, TypeError, x509.InvalidVersion):
        raise ForeignCertificateError("the join record holds no X.509 certificate") from None
    if not same:
        raise ForeignCertificateError(
            f"the join record holds another certificate than the one {creator.msp_id} signed "
            "the proposal with"
        )
    return own


def certificate_text(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM in its one form: what surrounded it does not reach the ledger."""
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def check_signature(certificate: x509.Certificate, statement: bytes, signature: bytes) -> None:
    """Check an ECDSA signature (P-256, SHA-256, DER, low s) over a join statement.

    Raises:
        SignatureInvalidError: It does not verify.
    """
    try:
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
            key.curve, ec.SECP256R1
        ):
            raise SignatureInvalidError("the certificate's key is not on P-256")
        _, s = decode_dss_signature(signature)
        if s > P256_ORDER // 2:
            raise SignatureInvalidError("the signature has a high s, which Fabric refuses")
        key.verify(signature, statement, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        raise SignatureInvalidError(
            "the signature does not verify over channel, study, round, hospital, point and "
            "sealing key"
        ) from None


def check_sealing_key(key: bytes) -> bytes:
    """Check both halves of a sealing key and return it.

    Loading refuses an ML-KEM key with a coefficient of 3329 or more (FIPS 203, section 7.2).

    Raises:
        SealingKeyLengthError: Not 1216 bytes.
        SealingKeyFormError: A half is malformed.
    """
    if len(key) != SEALING_KEY_BYTES:
        raise SealingKeyLengthError(
            f"the sealing key has {len(key)} bytes, {SEALING_KEY_BYTES} are needed"
        )
    try:
        mlkem.MLKEM768PublicKey.from_public_bytes(key[:ML_KEM_BYTES])
    except ValueError:
        raise SealingKeyFormError("an ML-KEM coefficient is not below 3329") from None
    try:
        _PROBE.exchange(x25519.X25519PublicKey.from_public_bytes(key[ML_KEM_BYTES:]))
    except ValueError:
        raise SealingKeyFormError("the X25519 half is a point of low order") from None
    return key
