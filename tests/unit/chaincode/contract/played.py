"""Four hospitals that play a study on the in-memory ledger, with real keys and real arithmetic.

`Played` holds the ledger, a clock and the hospitals, and has one method for each step of a round,
so that a test plays up to the step it is about, changes one thing and looks at the refusal.
Encryption here is the specification's formula with secrets drawn from a seed: fit for tests alone.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from chaincode.contract import dispatch
from chaincode.contract.joining import P256_ORDER
from chaincode.ledger import Creator, Ledger
from chaincode.memory_ledger import MemoryLedger, MemoryView, Simulation, memory_genesis_sha256
from chaincode.records.round import (
    BOX_BYTES,
    CHUNK_BYTES,
    Aggregate,
    Chunk,
    Manifest,
    Round,
    UploadLayout,
    join_statement,
)
from chaincode.records.study import (
    Architecture,
    Deadlines,
    Ordering,
    Study,
    StudyHospital,
    Weight,
    weights_digest,
)
from chaincode.records.terms import round_parameters
from chaincode.roundkey import ntt, ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import NOISE_BOUND, RING_DEGREE, SHARE_PRIME, derive
from network.client_attribute import client_extension

CHANNEL = "consortium"
GENESIS = memory_genesis_sha256(CHANNEL)
STUDY = "lungs"
MSPS = ("EastMSP", "NorthMSP", "SouthMSP", "WestMSP")
START_S = 1_700_000_000


def new_identity(
    msp: str,
    curve: ec.EllipticCurve | None = None,
    *,
    role: str = "client",
    acts_for_hospital: bool = True,
) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Make a key (on P-256 where no curve is named) and a self-signed certificate for it."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{role}@{msp}"),
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, role),
        ]
    )
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
    )
    if acts_for_hospital:
        builder = builder.add_extension(client_extension(), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return key, certificate.public_bytes(Encoding.PEM)


def sign(key: ec.EllipticCurvePrivateKey, message: bytes, *, low: bool = True) -> bytes:
    """Sign as Fabric identities do: ECDSA, SHA-256, DER, low s."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    if (s > P256_ORDER // 2) == low:
        s = P256_ORDER - s
    return encode_dss_signature(r, s)


def new_sealing_key() -> bytes:
    """Make the public half of a sealing key, 1216 bytes."""
    return (
        mlkem.MLKEM768PrivateKey.generate().public_key().public_bytes_raw()
        + x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    )


def make_study(
    *, hospitals: tuple[str, ...] = MSPS, parameters: int = 100, bits: int = 8, **changes: Any
) -> Study:
    """Make a study whose terms are right."""
    derived = derive(len(hospitals), bits, parameters)
    weights = (
        Weight("encoder/kernel", (parameters,), "all", 1_000_000),
        Weight("head/bias", (2,), "personal", 0),
    )
    study = Study(
        study=STUDY,
        genesis_sha256=GENESIS,
        title="Lungs of four hospitals",
        architecture=Architecture("capsnet", {"size_px": 96}),
        label_scheme={"positive": "COVID-19"},
        hospitals=tuple(
            StudyHospital(msp, point, int(point < 4), "no pneumonia")
            for point, msp in enumerate(hospitals, start=1)
        ),
        ordering=Ordering("BFT", 4),
        bits=bits,
        threshold=derived.threshold,
        contributors_min=derived.threshold,
        rounds=2,
        local_steps=100,
        seed=7,
        weights=weights,
        weights_sha256=weights_digest(weights),
        initial_model_sha256="11" * 32,
        deadlines_s=Deadlines(join=60, submit=600, answer=120),
        gate_margin_ppm=20_000,
    )
    return replace(study, **changes)


@dataclass(slots=True)
class Upload:
    """A hospital's upload and the secret behind it."""

    payload: bytes
    secret: ring.Integers
    shares: dict[str, ring.Integers]
    ciphertext_bytes: int

    @property
    def chunks(self) -> list[bytes]:
        """The payload in pieces."""
        return [self.payload[i : i + CHUNK_BYTES] for i in range(0, len(self.payload), CHUNK_BYTES)]

    def manifest(self, round_record: Round, msp: str) -> Manifest:
        """The manifest of this upload."""
        return Manifest(
            study=round_record.study,
            round=round_record.round,
            msp=msp,
            joined_sha256=round_record.joined_sha256,
            ciphertext_sha256=hashlib.sha256(self.payload[: self.ciphertext_bytes]).hexdigest(),
            upload_bytes=len(self.payload),
            chunks=tuple(Chunk(hashlib.sha256(c).hexdigest(), len(c)) for c in self.chunks),
        )


@dataclass(slots=True)
class Played:
    """A consortium in memory and what its hospitals keep."""

    study: Study = field(default_factory=make_study)
    block_to_live: int = 0
    seed: int = 0
    now_s: int = START_S
    ledger: MemoryLedger = field(init=False)
    creators: dict[str, Creator] = field(init=False)
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(init=False)
    uploads: dict[str, Upload] = field(default_factory=dict)
    proposals: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make identities and an empty ledger."""
        self.ledger = MemoryLedger(
            dispatch.invoke,
            hospitals=self.study.msps,
            channel=CHANNEL,
            block_to_live=self.block_to_live,
        )
        self.creators, self.keys = {}, {}
        for msp in (*self.study.msps, "AuthorityMSP"):
            self.add_identity(msp)

    def add_identity(
        self,
        msp: str,
        curve: ec.EllipticCurve | None = None,
        *,
        role: str = "client",
        acts_for_hospital: bool = True,
    ) -> Creator:
        """Give an organisation an identity to act with."""
        key, certificate = new_identity(msp, curve, role=role, acts_for_hospital=acts_for_hospital)
        self.keys[msp], self.creators[msp] = key, Creator(msp, certificate)
        return self.creators[msp]

    # --- calls -------------------------------------------------------------------------------

    def simulate(
        self, msp: str, function: str, *args: Any, transient: dict[str, bytes] | None = None
    ) -> Simulation:
        """Endorse a transaction."""
        texts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.proposals.append((self.creators[msp], function, texts, transient, self.now_s))
        return self.ledger.simulate(
            self.creators[msp], function, *texts, transient=transient, timestamp_s=self.now_s
        )

    def submit(
        self, msp: str, function: str, *args: Any, transient: dict[str, bytes] | None = None
    ) -> dict[str, Any]:
        """Endorse and commit a transaction; return its answer."""
        simulation = self.simulate(msp, function, *args, transient=transient)
        codes = self.ledger.commit(simulation)
        assert codes == ("VALID",)
        answer: dict[str, Any] = json.loads(simulation.payload)
        return answer

    def query(self, function: str, *args: Any, msp: str = "") -> Any:
        """Ask and parse the answer, as the first hospital where none is named."""
        texts = [str(a) for a in args]
        creator = self.creators[msp or self.study.msps[0]]
        return json.loads(self.ledger.evaluate(creator, function, *texts, timestamp_s=self.now_s))

    def view(self) -> Ledger:
        """Return the ledger as a transaction of the first hospital would see it."""
        simulation = Simulation("0" * 64, self.creators[self.study.msps[0]], self.now_s, "view")
        return MemoryView(self.ledger, simulation, {})

    def round(self, number: int = 1) -> Round:
        """Return a round's record."""
        answer = self.query("round", self.study.study, number)
        names = [each.name for each in fields(Round)]
        record = {name: answer[name] for name in (*names, "format")}
        return Round.from_text(json.dumps(record).encode())

    def aggregate_record(self, number: int = 1) -> Aggregate:
        """Return a round's aggregate."""
        answer = self.query("round", self.study.study, number)["aggregate"]
        return Aggregate.from_text(json.dumps(answer).encode())

    # --- steps -------------------------------------------------------------------------------

    def agree(self) -> Played:
        """Propose the study and approve it by a majority."""
        self.submit(self.study.msps[0], "propose_study", self.study.to_bytes())
        for msp in self.study.msps[1 : self.study.majority]:
            self.submit(msp, "approve_study", self.study.study, self.study.sha256)
        return self

    def open(self, number: int = 1) -> Played:
        """Open a round."""
        self.uploads.clear()
        self.submit(self.study.msps[0], "open_round", self.study.study, number)
        return self

    def join_arguments(
        self, msp: str, number: int = 1, sealing_key: bytes | None = None
    ) -> tuple[tuple[Any, ...], dict[str, bytes]]:
        """Return what a hospital joins with."""
        sealing_key = sealing_key or new_sealing_key()
        hospital = self.study.hospital(msp)
        statement = join_statement(
            GENESIS,
            CHANNEL,
            self.study.study,
            number,
            msp=msp,
            point=hospital.point if hospital else 1,
            sealing_key=sealing_key,
        )
        signed = {
            "certificate_pem": self.creators[msp].certificate_pem.decode(),
            "signature": sign(self.keys[msp], statement).hex(),
        }
        return (self.study.study, number, json.dumps(signed)), {"sealing_key": sealing_key}

    def join(self, *msps: str, number: int = 1) -> Played:
        """Join some hospitals, all where none is named."""
        for msp in msps or self.study.msps:
            args, transient = self.join_arguments(msp, number)
            self.submit(msp, "join_round", *args, transient=transient)
        return self

    def report_join(self, msp: str, number: int = 1) -> Played:
        """Report that the join in a hospital's name is not its own."""
        digest = self.query("round", self.study.study, number)["joins"][msp]["sealing_key_sha256"]
        self.submit(msp, "report_join", self.study.study, number, digest)
        return self

    def close(self, number: int = 1) -> Played:
        """Close the joins."""
        self.submit(self.study.msps[0], "close_joins", self.study.study, number)
        return self

    def make_upload(self, msp: str, number: int = 1) -> Upload:
        """Encrypt zeros under a fresh secret, share the secret, fill the boxes with noise."""
        round_record = self.round(number)
        parameters = round_parameters(self.study)
        rng = np.random.default_rng([self.seed, number, self.study.msps.index(msp)])
        secret = _binomial(rng, (RING_DEGREE,))
        errors = _binomial(rng, (parameters.polynomials + 1, RING_DEGREE))
        public = expand(self.study.study, number, parameters.polynomials + 1)
        noise = ring.multiply_constant(ntt.forward(ring.lift(errors)), parameters.plaintext_modulus)
        masked = ring.multiply(public, ntt.forward(ring.lift(secret[None, :])))
        ciphertext = ring.subtract(noise, masked).astype("<u8").tobytes()
        coefficients = rng.integers(0, SHARE_PRIME, (parameters.threshold, RING_DEGREE))
        coefficients[0] = secret % SHARE_PRIME
        shares = {
            hospital.msp: sum(
                coefficients[power] * pow(hospital.point, power, SHARE_PRIME)
                for power in range(parameters.threshold)
            )
            % SHARE_PRIME
            for hospital in self.study.hospitals
        }
        boxes = rng.bytes(BOX_BYTES * len(round_record.joined))
        self.uploads[msp] = Upload(ciphertext + boxes, secret, shares, len(ciphertext))
        return self.uploads[msp]

    def put(self, msp: str, upload: Upload, number: int = 1) -> None:
        """Put an upload's chunks."""
        for index, chunk in enumerate(upload.chunks):
            self.submit(
                msp, "put_chunk", self.study.study, number, index, transient={"chunk": chunk}
            )

    def update(self, *msps: str, number: int = 1) -> Played:
        """Upload and submit for some hospitals, all joined ones where none is named."""
        round_record = self.round(number)
        for msp in msps or round_record.joined:
            upload = self.make_upload(msp, number)
            self.put(msp, upload, number)
            manifest = upload.manifest(round_record, msp).to_bytes()
            self.submit(msp, "submit_update", self.study.study, number, manifest)
        return self

    def aggregate(self, number: int = 1) -> Played:
        """Add the updates."""
        self.submit(self.study.msps[0], "aggregate", self.study.study, number)
        return self

    def share_sum(self, msp: str, number: int = 1) -> bytes:
        """Compute a hospital's honest answer."""
        total = sum(
            self.uploads[contributor.msp].shares[msp]
            for contributor in self.aggregate_record(number).contributors
        )
        content: bytes = (total % SHARE_PRIME).astype("<u2").tobytes()
        return content

    def answer(self, *msps: str, number: int = 1, shift: int = 0) -> Played:
        """Answer for some hospitals, T where none is named; `shift` makes the answers false."""
        digest = self.aggregate_record(number).digest
        for msp in msps or self.study.msps[: self.study.threshold]:
            content = self.share_sum(msp, number)
            if shift:
                values = np.frombuffer(content, "<u2").astype(np.int64)
                values[3] = (values[3] + shift) % SHARE_PRIME
                content = values.astype("<u2").tobytes()
            self.submit(
                msp,
                "submit_share_sum",
                self.study.study,
                number,
                digest,
                "[]",
                transient={"share_sum": content},
            )
        return self

    def record_key(self, *senders: str, number: int = 1) -> Played:
        """Record the round key from some senders, the first T where none is named."""
        named = senders or self.study.msps[: self.study.threshold]
        self.submit(
            self.study.msps[0], "record_round_key", self.study.study, number, json.dumps(named)
        )
        return self

    def claim(self, number: int = 1, **changes: Any) -> dict[str, Any]:
        """Return an honest confirmation."""
        return {
            "model_sha256": f"{number + 1:02d}" * 32,
            "parent_sha256": self.round(number).parent_sha256,
            "metrics_ppm": {"auc_before": 700_000, "auc_after": 750_000},
            "vote": 1,
            **changes,
        }

    def confirm(self, *msps: str, number: int = 1, **changes: Any) -> Played:
        """Confirm the model for some hospitals, all where none is named."""
        for msp in msps or self.study.msps:
            claim = json.dumps(self.claim(number, **changes))
            self.submit(msp, "confirm_model", self.study.study, number, claim)
        return self

    def publish(self, number: int = 1) -> Played:
        """Publish or reject."""
        self.submit(self.study.msps[0], "publish_model", self.study.study, number)
        return self

    def wait(self, seconds: int) -> Played:
        """Let time pass."""
        self.now_s += seconds
        return self

    # --- to a state --------------------------------------------------------------------------

    def to_open(self) -> Played:
        """Play until round 1 is open."""
        return self.agree().open()

    def to_submitting(self) -> Played:
        """Play until round 1 takes updates."""
        return self.to_open().join().close()

    def to_summed(self) -> Played:
        """Play until round 1 is summed."""
        return self.to_submitting().update().aggregate()

    def to_opened(self) -> Played:
        """Play until round 1 is opened."""
        return self.to_summed().answer().record_key()

    def to_published(self) -> Played:
        """Play until round 1 is published."""
        return self.to_opened().confirm().publish()

    @property
    def layout(self) -> UploadLayout:
        """Layout of an upload when all have joined."""
        return UploadLayout(round_parameters(self.study).polynomials, len(self.study.hospitals))


def decoded(text: str) -> bytes:
    """Read base64."""
    return base64.b64decode(text)


def _binomial(rng: np.random.Generator, shape: tuple[int, ...]) -> ring.Integers:
    draws: ring.Integers = rng.binomial(2 * NOISE_BOUND, 0.5, shape).astype(np.int64)
    return draws - NOISE_BOUND
