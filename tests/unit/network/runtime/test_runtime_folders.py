from pathlib import Path

import pytest

from network.runtime.folders import cache_folder, data_folder


def test_folders_follow_the_xdg_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "data" / "capsule-consortium"
    assert cache_folder() == tmp_path / "cache" / "capsule-consortium"
