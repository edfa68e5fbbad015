"""The only package that touches secrets: draw, encrypt, share, seal, answer, open.

    memory_backed_folder, SealingKeys   a round's private sealing key, in memory-backed files
    sign_join, verify_join              sealing keys signed by identities, checked against roots
    RoundTranscript, Joined             the public facts every secret is bound to
    seal_update_once, seal_update       an update becomes an upload, once
    ReceivedBox, answer_once            the one share sum of a hospital in a round
    open_sum                            the sum, under the recorded round key
    Journal                             what must not happen twice, with fsync
    forbid_core_dumps                   called by the command line first

Secrets are a type of their own (`RoundSecret`, `SealingKey`), print as a fingerprint and
are overwritten. Nothing outside this package gets one.
"""

from peer_client.sealing.answer import (
    OwnShareSum,
    ReceivedBox,
    Unopened,
    answer_once,
    check_contributors,
    open_boxes,
)
from peer_client.sealing.boxes import SealingKey
from peer_client.sealing.errors import (
    JournalError,
    MemoryStorageError,
    OpeningError,
    SealingError,
    SealingInputError,
    SealingKeySignatureError,
    SecretWipedError,
    ShareRefusedError,
    UpdateSealedBeforeError,
)
from peer_client.sealing.joining import sign_join, verify_join
from peer_client.sealing.journal import Journal
from peer_client.sealing.opening import open_sum
from peer_client.sealing.process import forbid_core_dumps
from peer_client.sealing.round_secret import RoundSecret
from peer_client.sealing.sealing_keys import SealingKeys, memory_backed_folder
from peer_client.sealing.transcript import Joined, RoundTranscript
from peer_client.sealing.upload import SealedUpload, seal_update, seal_update_once

__all__ = [
    "Joined",
    "Journal",
    "JournalError",
    "MemoryStorageError",
    "OpeningError",
    "OwnShareSum",
    "ReceivedBox",
    "RoundSecret",
    "RoundTranscript",
    "SealedUpload",
    "SealingError",
    "SealingInputError",
    "SealingKey",
    "SealingKeySignatureError",
    "SealingKeys",
    "SecretWipedError",
    "ShareRefusedError",
    "Unopened",
    "UpdateSealedBeforeError",
    "answer_once",
    "check_contributors",
    "forbid_core_dumps",
    "memory_backed_folder",
    "open_boxes",
    "open_sum",
    "seal_update",
    "seal_update_once",
    "sign_join",
    "verify_join",
]
