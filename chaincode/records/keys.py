r"""Names of everything the contract keeps: composite keys and collections.

Fabric's composite keys are ``\0 kind \0 attribute \0 ... attribute \0`` (fabric-chaincode-go,
shim/stub.go). There is one key for each (study, round, hospital) and no shared counter, so that
hospitals never write the same key. Names with characters outside a narrow set are refused by
`chaincode.contract.rules.arguments` before they come here.
"""

from __future__ import annotations

from typing import Final

SEPARATOR: Final = "\0"

STUDY: Final = "study"
APPROVAL: Final = "approval"
WITHDRAWAL: Final = "withdrawal"
SUSPENSION: Final = "suspension"
ROUND: Final = "round"
JOIN: Final = "join"
JOIN_REPORT: Final = "join_report"
SEALING_KEY: Final = "sealing_key"
UPDATE: Final = "update"
SPENT: Final = "spent"
AGGREGATE: Final = "aggregate"
SHARE_SUM: Final = "share_sum"
ROUND_KEY: Final = "round_key"
CONFIRMATION: Final = "confirmation"
GIVE_UP: Final = "give_up"
CHUNK: Final = "chunk"


def composite(kind: str, *attributes: str) -> str:
    r"""Build a composite key.

    >>> composite("update", "ct", "000003", "NorthMSP")
    '\x00update\x00ct\x00000003\x00NorthMSP\x00'
    """
    return SEPARATOR + SEPARATOR.join((kind, *attributes)) + SEPARATOR


def split(key: str) -> tuple[str, tuple[str, ...]]:
    r"""Take a composite key apart into kind and attributes.

    >>> split("\x00update\x00ct\x00000003\x00NorthMSP\x00")
    ('update', ('ct', '000003', 'NorthMSP'))
    """
    kind, *attributes = key[1:-1].split(SEPARATOR)
    return kind, tuple(attributes)


def padded(number: int) -> str:
    """Write a number so that keys sort as numbers do.

    >>> padded(42)
    '000042'
    """
    return f"{number:06d}"


def study(study_id: str) -> str:
    """Key of a study's record."""
    return composite(STUDY, study_id)


def approval(study_id: str, msp: str) -> str:
    """Key of one hospital's approval of a study."""
    return composite(APPROVAL, study_id, msp)


def withdrawal(study_id: str) -> str:
    """Key of a study's withdrawal by its proposer."""
    return composite(WITHDRAWAL, study_id)


def suspension(study_id: str, msp: str, voter: str) -> str:
    """Key of one vote to suspend a hospital from a study."""
    return composite(SUSPENSION, study_id, msp, voter)


def round_(study_id: str, number: int) -> str:
    """Key of a round's record."""
    return composite(ROUND, study_id, padded(number))


def join(study_id: str, number: int, msp: str) -> str:
    """Key of one hospital's join record of a round."""
    return composite(JOIN, study_id, padded(number), msp)


def join_report(study_id: str, number: int, msp: str) -> str:
    """Key of a hospital's report that a round's join in its name is not its own."""
    return composite(JOIN_REPORT, study_id, padded(number), msp)


def sealing_key(study_id: str, sha256: str) -> str:
    """Key under which a sealing key is marked as used."""
    return composite(SEALING_KEY, study_id, sha256)


def update(study_id: str, number: int, msp: str) -> str:
    """Key of one hospital's manifest of a round."""
    return composite(UPDATE, study_id, padded(number), msp)


def spent(study_id: str, ciphertext_sha256: str) -> str:
    """Key under which a ciphertext is marked as submitted."""
    return composite(SPENT, study_id, ciphertext_sha256)


def aggregate(study_id: str, number: int) -> str:
    """Key of a round's one aggregate."""
    return composite(AGGREGATE, study_id, padded(number))


def share_sum(study_id: str, number: int, msp: str) -> str:
    """Key of one hospital's answer of a round."""
    return composite(SHARE_SUM, study_id, padded(number), msp)


def round_key(study_id: str, number: int) -> str:
    """Key of a round's opened key."""
    return composite(ROUND_KEY, study_id, padded(number))


def confirmation(study_id: str, number: int, msp: str) -> str:
    """Key of one hospital's confirmation of a round's model."""
    return composite(CONFIRMATION, study_id, padded(number), msp)


def give_up(study_id: str, number: int, msp: str) -> str:
    """Key of one hospital's vote to give a round up."""
    return composite(GIVE_UP, study_id, padded(number), msp)


def chunk(study_id: str, number: int, index: int) -> str:
    """Key, in the owner's collection, of one chunk of an upload."""
    return composite(CHUNK, study_id, padded(number), padded(index))


def collection(msp: str) -> str:
    """Name of the private collection that a hospital owns.

    >>> collection("NorthMSP")
    'updates_NorthMSP'
    """
    return f"updates_{msp}"
