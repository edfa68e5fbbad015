"""chaincode and network hold no decryption and no secret key: their syntax trees say so.

They run where every peer's operator can look. What is named here may only exist in
peer_client/sealing (and in the model of nobody): names are looked for in every definition, call,
attribute, argument and import, so that a new name for an old thing must at least be chosen.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("chaincode", "network")
FILES = sorted(
    path
    for side in SIDES
    for path in (ROOT / side).rglob("*.py")
    if "node_modules" not in path.parts
)

FORBIDDEN = re.compile(
    r"decrypt|unseal|secret_?key|round_?secret|secretkey|from_seed_bytes|hpke|pyfhel|pyctxt|seal\b",
    re.IGNORECASE,
)
#: network holds identities' signing keys and TLS keys, chaincode no private key at all.
PRIVATE = re.compile(r"private_?key|privatekey", re.IGNORECASE)
#: The X25519 scalar that shows points of low order: a constant that everybody knows.
ALLOWED_PRIVATE = {("chaincode/contract/joining.py", "X25519PrivateKey")}


def names_in(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a program could call, define, take or import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg) or (isinstance(node, ast.keyword) and node.arg):
            yield node.arg
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if isinstance(node, ast.ImportFrom):
                yield from (node.module or "").split(".")
            for alias in node.names:
                yield from alias.name.split(".")
                if alias.asname:
                    yield alias.asname


def found_in(path: Path, text: str) -> list[str]:
    """Return the names in a file that do not belong on the ledger's side."""
    relative = str(path.relative_to(ROOT))
    found = []
    for name in names_in(ast.parse(text)):
        private = relative.startswith("chaincode/") and PRIVATE.search(name)
        if FORBIDDEN.search(name) or (private and (relative, name) not in ALLOWED_PRIVATE):
            found.append(f"{relative}: {name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_ledger_side_names_no_decryption_and_no_secret_key(path: Path) -> None:
    assert found_in(path, path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "from peer_client.sealing import RoundSecret",
        "from Pyfhel import Pyfhel",
        "def decrypt(x): return x",
        "he.decryptPtxt(c)",
        "from cryptography.hazmat.primitives import hpke",
        "def f(secret_key): ...",
        "mlkem.MLKEM768PrivateKey.from_seed_bytes(b)",
        "f(round_secret=1)",
    ],
)
def test_each_such_name_would_be_found(text: str) -> None:
    assert found_in(ROOT / "chaincode" / "contract.py", text)


@pytest.mark.parametrize(
    "module", ["chaincode.contract.dispatch", "network.cli", "chaincode.serve"]
)
@pytest.mark.parametrize("absent", ["peer_client", "Pyfhel"])
def test_ledger_side_does_not_load_the_hospitals_secrets(module: str, absent: str) -> None:
    code = f"import sys, {module}; sys.exit({absent!r} in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()[-500:]


def test_the_import_rules_keep_secrets_in_one_package() -> None:
    holders = set()
    for path in (ROOT / "peer_client").rglob("*.py"):
        names = set(names_in(ast.parse(path.read_text())))
        if {"RoundSecret", "hpke", "PyCtxt"} & names:
            holders.add(path.parent.relative_to(ROOT / "peer_client").as_posix())

    assert holders == {"sealing"}
