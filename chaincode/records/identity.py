"""Whose certificate may act for a hospital: that of its client, and no other of its member's.

A member's CA signs certificates for its peer, its ordering node, its administrators and its users
as well. Whoever breaks into a process that listens to the outside holds such a key, so none of
them joins, submits, answers, approves or votes. The client's certificate has the role (NodeOU)
``client`` and the attribute ``hospital-client``, in the extension of Fabric CA that
fabric-chaincode-go's package cid reads.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from chaincode.records.errors import ClientIdentityError
from network.client_attribute import ATTRIBUTE_OID, HOSPITAL_CLIENT

ROLE: Final = "client"


def check_hospital_client(certificate: x509.Certificate) -> None:
    """Check that a certificate is that of a hospital's client.

    Args:
        certificate: Its chain is checked elsewhere: by the peer, and by each client against the
            roots in its own directory.

    Raises:
        ClientIdentityError: It has another role, or lacks the attribute.
    """
    roles = _roles(certificate)
    if roles != [ROLE]:
        raise ClientIdentityError(
            f"the signer has the role {', '.join(roles) or 'none'}; a hospital acts by its "
            f"{ROLE} alone"
        )
    if _attributes(certificate).get(HOSPITAL_CLIENT) != "true":
        raise ClientIdentityError(
            f"the signer's certificate lacks the attribute {HOSPITAL_CLIENT}: it is a user's, not "
            "that of the hospital's client"
        )


@lru_cache(maxsize=256)
def check_hospital_client_pem(certificate_pem: bytes) -> None:
    """Check a certificate as PEM; a hospital's is read again and again.

    Raises:
        ClientIdentityError: It is no certificate, or not that of a hospital's client.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except (ValueError, x509.InvalidVersion):
        raise ClientIdentityError("the signer has no X.509 certificate") from None
    check_hospital_client(certificate)


def _roles(certificate: x509.Certificate) -> list[str]:
    try:
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    except ValueError:  # names are decoded only when they are read
        return []
    return [str(unit.value) for unit in units]


def _attributes(certificate: x509.Certificate) -> dict[str, object]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ObjectIdentifier(ATTRIBUTE_OID))
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        return {}
    if not isinstance(extension.value, x509.UnrecognizedExtension):
        return {}
    try:
        found = json.loads(extension.value.value)
    except (ValueError, RecursionError):
        return {}
    attributes = found.get("attrs") if isinstance(found, dict) else None
    return attributes if isinstance(attributes, dict) else {}
