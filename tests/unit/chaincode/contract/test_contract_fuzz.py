"""Whatever bytes come in: a RuleError comes out, or a transaction whose records can be read."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chaincode.contract import dispatch, joining
from chaincode.contract.dispatch import QUERIES, TRANSACTIONS, invoke
from chaincode.contract.rules.answers import check_share_values
from chaincode.ledger import Creator
from chaincode.memory_ledger import MemoryEndorseError, MemoryPeerError
from chaincode.records import keys, round
from chaincode.records.canonical import Record
from chaincode.records.errors import RuleError, from_message
from chaincode.records.study import Study
from chaincode.records.sums import validate_ciphertext
from chaincode.roundkey.parameters import MODULUS, SHARE_PRIME
from tests.unit.chaincode.contract.played import MSPS, STUDY, Played, new_sealing_key

RECORDS: dict[str, type[Record]] = {
    keys.STUDY: Study,
    keys.APPROVAL: round.Approval,
    keys.SUSPENSION: round.Suspension,
    keys.ROUND: round.Round,
    keys.JOIN: round.Join,
    keys.SEALING_KEY: round.Use,
    keys.UPDATE: round.Manifest,
    keys.SPENT: round.Use,
    keys.AGGREGATE: round.Aggregate,
    keys.SHARE_SUM: round.ShareSum,
    keys.ROUND_KEY: round.RoundKey,
    keys.CONFIRMATION: round.Confirmation,
    keys.GIVE_UP: round.GiveUpVote,
}
#: Mutants of each kind; together with the examples below more than 10,000.
MUTANTS = 2_500
QUIET = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def open_round() -> Played:
    return Played().to_open()


@pytest.fixture(scope="module")
def submitting() -> Played:
    played = Played().to_submitting()
    played.put(MSPS[0], played.make_upload(MSPS[0]))
    return played


@pytest.fixture(scope="module")
def summed() -> Played:
    return Played().to_summed().answer(*MSPS[:3])


def outcome(played: Played, msp: str, function: str, *args: Any, **transient: bytes) -> str:
    """Simulate; return the rule that refused, or an empty text when all it writes can be read."""
    try:
        simulation = played.ledger.simulate(
            played.creators[msp],
            function,
            *args,
            transient=transient or None,
            timestamp_s=played.now_s,
        )
    except MemoryEndorseError as error:
        cause, found = error.__cause__, from_message(error.message)
        if not isinstance(cause, RuleError | MemoryPeerError):
            raise
        return found.rule if found else "peer"
    for key, value in simulation.writes.items():
        assert value is not None
        RECORDS[keys.split(key)[0]].from_bytes(value)
    return ""


class Recorder:
    """The least ledger that lets an entry point run: nothing stored, nothing refused."""

    channel = "consortium"
    transaction_id = "0" * 64
    creator = Creator(MSPS[0], b"")
    timestamp_s = 0
    transient: ClassVar[dict[str, bytes]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Any] = {"states": iter(()), "states_page": ([], ""), "history": iter(())}
        return lambda *args, **kwargs: answers.get(name, b"")


@QUIET
@given(st.lists(st.binary(max_size=30), max_size=5))
@example([])
@example([b"study", b"\xff"])
def test_any_arguments_give_an_answer_or_a_rule(args: list[bytes]) -> None:
    try:
        answer = invoke(Recorder(), args)  # type: ignore[arg-type]
    except RuleError:
        return
    json.loads(answer)


@QUIET
@given(
    st.sampled_from(sorted({*TRANSACTIONS, *QUERIES})),
    st.lists(
        st.sampled_from([b"lungs", b"1", b"2", b"0", b"{}", b"[]", b"EastMSP", b"", b"a" * 64])
        | st.binary(max_size=20)
        | st.text(max_size=10).map(str.encode),
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(["chunk", "sealing_key", "share_sum", "check_sum", "x"]),
        st.binary(max_size=40),
        max_size=2,
    ),
)
def test_any_arguments_of_a_known_function_give_an_answer_or_a_rule(
    open_round: Played, name: str, args: list[bytes], transient: dict[str, bytes]
) -> None:
    outcome(open_round, MSPS[1], name, *args, **transient)


def mutants(valid: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Yield damaged copies: bits, bytes, cuts, repeats, and values at the edges of ranges."""
    rng = random.Random(seed)
    edges = [
        b"\xff" * 8,
        MODULUS.to_bytes(8, "little"),
        SHARE_PRIME.to_bytes(2, "little"),
        b"\0" * 8,
    ]
    for _ in range(count):
        data = bytearray(valid)
        at = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.choice([1, 2, 8, len(data)])]
        elif kind == 3:
            data[at:at] = bytes(rng.choices(range(256), k=rng.choice([1, 2, 8])))
        elif kind == 4:
            edge = rng.choice(edges)
            data[at : at + len(edge)] = edge
        else:
            piece = data[at : at + rng.randrange(1, 40)]
            data[at:at] = piece
        if bytes(data) != valid:
            yield bytes(data)


def test_no_mutant_of_a_manifest_is_accepted_but_an_equal_one(submitting: Played) -> None:
    manifest = submitting.uploads[MSPS[0]].manifest(submitting.round(), MSPS[0])
    assert outcome(submitting, MSPS[0], "submit_update", STUDY, "1", manifest.to_bytes()) == ""
    for mutant in mutants(manifest.to_bytes(), 1, MUTANTS):
        refused = outcome(submitting, MSPS[0], "submit_update", STUDY, "1", mutant)
        if refused:
            continue
        read = round.Manifest.from_text(mutant)
        # Only the claim about the ciphertext may differ: its bytes are seen when they are added.
        assert read.ciphertext_sha256 != manifest.ciphertext_sha256 or read == manifest


def test_no_mutant_of_a_share_sum_out_of_its_form_is_accepted(summed: Played) -> None:
    digest = summed.aggregate_record().digest
    valid = summed.share_sum(MSPS[3])
    args = (STUDY, "1", digest, "[]")
    assert outcome(summed, MSPS[3], "submit_share_sum", *args, share_sum=valid) == ""
    for mutant in mutants(valid, 2, MUTANTS):
        refused = outcome(summed, MSPS[3], "submit_share_sum", *args, share_sum=mutant)
        well_formed = len(mutant) == 8192 and max(struct.unpack("<4096H", mutant)) < SHARE_PRIME
        assert (refused == "") == well_formed


def test_no_mutant_of_a_sealing_key_is_accepted_without_its_signature(open_round: Played) -> None:
    key = new_sealing_key()
    args, transient = open_round.join_arguments(MSPS[1], sealing_key=key)
    texts = [str(arg) for arg in args]
    assert outcome(open_round, MSPS[1], "join_round", *texts, **transient) == ""
    for mutant in mutants(key, 3, MUTANTS):
        assert outcome(open_round, MSPS[1], "join_round", *texts, sealing_key=mutant) in {
            "SealingKeyLengthError",
            "SealingKeyFormError",
            "SignatureInvalidError",
        }


def test_no_mutant_of_a_signed_join_is_accepted_but_an_equal_one(open_round: Played) -> None:
    (study, number, signed), transient = open_round.join_arguments(MSPS[1])
    valid = json.loads(signed)
    for mutant in mutants(signed.encode(), 4, MUTANTS // 5):
        refused = outcome(
            open_round, MSPS[1], "join_round", study, str(number), mutant, **transient
        )
        if not refused:
            # The PEM's line breaks may differ; the certificate and the signature may not.
            read = json.loads(mutant)
            assert read["signature"] == valid["signature"]
            joining.check_certificate(open_round.creators[MSPS[1]], read["certificate_pem"])


def test_no_mutant_of_a_summed_key_check_is_accepted(summed: Played) -> None:
    named = json.dumps(MSPS[:3])
    for mutant in mutants(bytes(32_768), 5, 300):
        refused = outcome(summed, MSPS[0], "record_round_key", STUDY, "1", named, check_sum=mutant)
        assert refused == "CheckSumError"


def test_no_mutant_of_a_study_changes_its_approval(open_round: Played) -> None:
    text = open_round.study.to_bytes().replace(b'"lungs"', b'"hearts"')
    for mutant in mutants(text, 6, MUTANTS // 2):
        outcome(open_round, MSPS[1], "propose_study", mutant)


def test_no_mutant_of_a_confirmation_escapes_the_rules() -> None:
    played = Played().to_opened()
    claim = json.dumps(played.claim()).encode()
    for mutant in mutants(claim, 7, MUTANTS // 2):
        outcome(played, MSPS[1], "confirm_model", STUDY, "1", mutant)


def test_no_mutant_of_an_upload_passes_with_a_residue_out_of_range() -> None:
    valid = Played().to_submitting().make_upload(MSPS[0]).payload[: 2 * 32_768]
    validate_ciphertext(valid, 2)
    for mutant in mutants(valid, 8, MUTANTS):
        well_formed = len(mutant) == len(valid) and max(struct.unpack("<8192Q", mutant)) < MODULUS
        try:
            validate_ciphertext(mutant, 2)
        except RuleError:
            assert not well_formed
        else:
            assert well_formed


@given(st.binary(max_size=40))
def test_share_values_of_any_bytes_are_read_or_refused(content: bytes) -> None:
    with pytest.raises(RuleError):
        check_share_values(content)


@QUIET
@given(st.sampled_from(sorted(RECORDS)), st.binary(max_size=80))
def test_any_bytes_as_a_record_are_read_or_refused(kind: str, data: bytes) -> None:
    with pytest.raises(RuleError):
        RECORDS[kind].from_bytes(data)


def test_functions_are_found_by_exact_name_only() -> None:
    for name in (b"Studies", b"studies ", b"__init__", b"invoke", b"_round", b"propose_study\0"):
        with pytest.raises(RuleError):
            dispatch.invoke(Recorder(), [name])  # type: ignore[arg-type]
