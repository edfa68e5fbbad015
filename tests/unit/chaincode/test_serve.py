"""The chaincode service reads its settings strictly and never serves without TLS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaincode import serve

TLS = {"certificate": "c.pem", "key": "k.pem", "client_root": "r.pem"}
SETTINGS: dict[str, Any] = {
    "format": 1,
    "package_id": "consortium_1:abc",
    "address": "127.0.0.1:7052",
    "tls": TLS,
}


def write(folder: Path, settings: object) -> Path:
    for name in TLS.values():
        (folder / name).write_bytes(name.encode())
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    return path


def test_settings_are_read_with_the_files_beside_them(tmp_path: Path) -> None:
    settings = serve.read_settings(write(tmp_path, SETTINGS))

    assert settings.package_id == "consortium_1:abc"
    assert settings.tls.key_pem == b"k.pem"
    assert settings.tls.client_roots_pem == b"r.pem"


@pytest.mark.parametrize(
    "settings",
    [
        [],
        {},
        {**SETTINGS, "format": 2},
        {**SETTINGS, "format": True},
        {**SETTINGS, "tls": None},
        {**SETTINGS, "tls": {**TLS, "key": ""}},
        {**SETTINGS, "tls": {"certificate": "c.pem", "key": "k.pem"}},
        {**SETTINGS, "tls": {**TLS, "key": "absent.pem"}},
        {**SETTINGS, "address": 7052},
        {**SETTINGS, "debug": 1},
    ],
)
def test_settings_that_are_not_complete_are_refused(tmp_path: Path, settings: object) -> None:
    with pytest.raises(serve.ServiceSettingsError):
        serve.read_settings(write(tmp_path, settings))


def test_missing_settings_file_ends_with_a_sentence_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.main([str(tmp_path / "absent.json")]) == 30
    assert "absent.json is not a readable JSON file" in capsys.readouterr().err


def test_no_argument_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main([]) == 30
    assert "usage" in capsys.readouterr().err
