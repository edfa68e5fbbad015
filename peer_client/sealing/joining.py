"""Sign the sealing key with the hospital's identity, and check the others' signatures.

The key that opens a hospital's boxes travels over the ledger. Whoever could exchange T
of them would read every update dealt to them, so a dealer accepts a key only with a
signature that chains to the MSP roots in its own directory, by a certificate of the hospital's
client and not of its peer, ordering node or another user: never on a peer's word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from chaincode.records.errors import ClientIdentityError
from chaincode.records.identity import check_hospital_client_pem
from chaincode.records.round import join_statement
from network.errors import CertificateError
from network.wire.identity import verify_signature
from peer_client.sealing.errors import SealingKeySignatureError
from peer_client.sealing.transcript import Joined


def sign_join(
    sign: Callable[[bytes], bytes],
    *,
    genesis_sha256: str,
    channel: str,
    study: str,
    round_number: int,
    msp_id: str,
    point: int,
    sealing_key: bytes,
) -> bytes:
    """Sign a join.

    Args:
        sign: The hospital identity's signing function (ECDSA, DER, low S).
        genesis_sha256: SHA-256 of the channel's first block, 64 hex digits.
        channel: Name of the channel.
        study: Name of the study.
        round_number: Number of the round.
        msp_id: The hospital.
        point: Its evaluation point in the study.
        sealing_key: Its public key of this round, 1216 bytes.

    Returns:
        The signature.
    """
    return sign(
        join_statement(
            genesis_sha256,
            channel,
            study,
            round_number,
            msp=msp_id,
            point=point,
            sealing_key=sealing_key,
        )
    )


def verify_join(
    *,
    genesis_sha256: str,
    channel: str,
    study: str,
    round_number: int,
    msp_id: str,
    point: int,
    sealing_key: bytes,
    certificate_pem: bytes,
    signature: bytes,
    roots_pem: Sequence[bytes],
    at: datetime,
) -> Joined:
    """Prove that a hospital published this sealing key for this round.

    Args:
        genesis_sha256: SHA-256 of the channel's first block, 64 hex digits.
        channel: Name of the channel.
        study: Name of the study.
        round_number: Number of the round.
        msp_id: The hospital.
        point: Its evaluation point, from the study's record and not from the join.
        sealing_key: The public key in its join, 1216 bytes.
        certificate_pem: The signer's certificate in its join.
        signature: The signature in its join.
        roots_pem: Roots of that MSP, from this hospital's own directory.
        at: When the certificate must be in force, with a time zone.

    Returns:
        The joined hospital, to be put into a `RoundTranscript`.

    Raises:
        SealingKeySignatureError: The certificate does not chain to the roots, is out of date or is
            not that of a hospital's client, or the signature is not one of this statement.
    """
    statement = join_statement(
        genesis_sha256,
        channel,
        study,
        round_number,
        msp=msp_id,
        point=point,
        sealing_key=sealing_key,
    )
    try:
        verify_signature(certificate_pem, statement, signature, roots_pem=roots_pem, at=at)
        check_hospital_client_pem(certificate_pem)
    except (CertificateError, ClientIdentityError) as error:
        raise SealingKeySignatureError(
            f"the sealing key of {msp_id} in round {round_number} is not signed by it: {error}"
        ) from error
    return Joined(msp_id, point, sealing_key)
