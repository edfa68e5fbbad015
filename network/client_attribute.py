"""The attribute by which a certificate is that of a hospital's client.

The extension is Fabric CA's: its value is JSON, ``{"attrs": {name: value}}``, all of it text
(fabric-ca, lib/attrmgr; read by fabric-chaincode-go, pkg/cid). Pure bytes, so that the contract may
use it.
"""

from __future__ import annotations

import json
from typing import Final

ATTRIBUTE_OID: Final = "1.2.3.4.5.6.7.8.1"
HOSPITAL_CLIENT: Final = "hospital-client"


def attribute_extension() -> bytes:
    """Return the value of the extension in the certificate of a hospital's client.

    >>> attribute_extension()
    b'{"attrs":{"hospital-client":"true"}}'
    """
    value = {"attrs": {HOSPITAL_CLIENT: "true"}}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
