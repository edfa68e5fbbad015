"""The attribute by which a certificate is that of a hospital's client.

The extension is Fabric CA's: its value is JSON, ``{"attrs": {name: value}}``, all of it text
(fabric-ca, lib/attrmgr; read by fabric-chaincode-go, pkg/cid).
"""

from __future__ import annotations

import json
from typing import Final

from cryptography import x509

ATTRIBUTE_OID: Final = "1.2.3.4.5.6.7.8.1"
HOSPITAL_CLIENT: Final = "hospital-client"


def client_extension() -> x509.UnrecognizedExtension:
    """Return the extension in the certificate of a hospital's client; not critical.

    >>> client_extension().value
    b'{"attrs":{"hospital-client":"true"}}'
    """
    attributes = {"attrs": {HOSPITAL_CLIENT: "true"}}
    value = json.dumps(attributes, sort_keys=True, separators=(",", ":")).encode("ascii")
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(ATTRIBUTE_OID), value)
