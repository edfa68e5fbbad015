"""A hospital acts by its client alone; every other key of its member is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chaincode.contract.dispatch import TRANSACTIONS
from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records.errors import ClientIdentityError
from chaincode.records.identity import check_hospital_client, check_hospital_client_pem
from network.client_attribute import ATTRIBUTE_OID, client_extension
from tests.unit.chaincode.contract import played as played_module
from tests.unit.chaincode.contract.played import Played, make_study, new_identity
from tests.unit.chaincode.contract.rules.table import EAST, NORTH

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
OTHERS = {
    "peer": {"role": "peer"},
    "ordering node": {"role": "orderer"},
    "administrator": {"role": "admin"},
    "another user": {"acts_for_hospital": False},
    "an administrator with the attribute": {"role": "admin", "acts_for_hospital": True},
    "no role": {"role": "none"},
}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "propose_study": (make_study(study="another").to_bytes(),),
    "approve_study": ("lungs", make_study().sha256),
    "withdraw_study": ("lungs",),
    "suspend_hospital": ("lungs", NORTH, "reason"),
    "open_round": ("lungs", 2),
    "join_round": ("lungs", 1, "{}"),
    "report_join": ("lungs", 1, "00" * 32),
    "close_joins": ("lungs", 1),
    "put_chunk": ("lungs", 1, 0),
    "submit_update": ("lungs", 1, "{}"),
    "aggregate": ("lungs", 1),
    "submit_share_sum": ("lungs", 1, "00" * 32, "[]"),
    "record_round_key": ("lungs", 1, "[]"),
    "confirm_model": ("lungs", 1, "{}"),
    "publish_model": ("lungs", 1),
    "abandon": ("lungs", 1, "reason"),
    "give_up": ("lungs", 1, "reason"),
}


def test_every_transaction_is_tried_here() -> None:
    assert set(ARGUMENTS) == set(TRANSACTIONS)


@pytest.mark.parametrize("which", sorted(OTHERS))
def test_no_other_key_of_a_member_submits_anything(which: str) -> None:
    played = Played().to_open()
    played.add_identity(EAST, **OTHERS[which])

    for function, arguments in ARGUMENTS.items():
        with pytest.raises(MemoryEndorseError, match="ClientIdentityError"):
            played.submit(EAST, function, *arguments)


def certificate(**more: Any) -> x509.Certificate:
    return x509.load_pem_x509_certificate(new_identity(EAST, **more)[1])


def test_the_client_of_a_hospital_is_taken() -> None:
    check_hospital_client(certificate())


@pytest.mark.parametrize("which", sorted(OTHERS))
def test_the_refusal_names_the_role_or_the_attribute(which: str) -> None:
    role = OTHERS[which].get("role", "client")
    with pytest.raises(ClientIdentityError) as caught:
        check_hospital_client(certificate(**OTHERS[which]))

    expected = "lacks the attribute hospital-client" if role == "client" else f"the role {role}"
    assert expected in caught.value.sentence


@pytest.mark.parametrize("pem", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(pem: bytes) -> None:
    with pytest.raises(ClientIdentityError, match=r"no X\.509 certificate"):
        check_hospital_client_pem(pem)


def with_extension(oid: str, value: bytes) -> bytes:
    """A client's certificate, DER, with one more extension."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "client"),
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "client"),
        ]
    )
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(START).not_valid_after(END)
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
    for extension in (client_extension(), other):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_the_attribute_twice_is_refused_by_the_rule() -> None:
    other = ATTRIBUTE_OID[:-1] + "2"
    der = with_extension(other, b"{}")
    mark = bytes([0x2A, 3, 4, 5, 6, 7, 8])
    assert der.count(mark + b"\x02") == 1
    check_hospital_client(x509.load_der_x509_certificate(der))

    with pytest.raises(ClientIdentityError, match="lacks the attribute"):
        check_hospital_client(
            x509.load_der_x509_certificate(der.replace(mark + b"\x02", mark + b"\x01"))
        )


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"attrs":[]}',
        b'{"attrs":{"hospital-client":true}}', b'{"attrs":{"hospital-client":"false"}}',
    ],
)  # fmt: skip
def test_an_attribute_of_another_form_is_none(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(ATTRIBUTE_OID), content)
    monkeypatch.setattr(played_module, "client_extension", lambda: extension)

    with pytest.raises(ClientIdentityError, match="lacks the attribute"):
        check_hospital_client(certificate())


def test_a_refusal_is_not_remembered_as_a_pass() -> None:
    pem = new_identity(EAST, role="peer")[1]

    for _ in range(2):
        with pytest.raises(ClientIdentityError):
            check_hospital_client_pem(pem)
