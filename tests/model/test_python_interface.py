"""The example of docs/python.md runs as it stands, on fewer and smaller phantoms."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from peer_client import api
from peer_client.ct.phantoms import write_phantoms

pytestmark = pytest.mark.tensorflow
ROOT = Path(__file__).resolve().parents[2]
#: What makes the example short: each is in the page or the file exactly once or more.
SHORTER = {
    "Recipe(rounds=3)": "Recipe(rounds=1, local_steps=2, adapt_steps=1, size_px=32)",
    "patients: 100": "patients: 10",
    "slices: 2": "slices: 1",
}


def shortened(text: str, *changed: str) -> str:
    for old in changed:
        assert old in text
        text = text.replace(old, SHORTER[old])
    return text


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    examples = tmp_path / "examples"
    examples.mkdir()
    text = (ROOT / "examples" / "phantoms.yaml").read_text()
    (examples / "phantoms.yaml").write_text(shortened(text, "patients: 100", "slices: 2"))
    drawn = write_phantoms(api.read_hospitals(examples / "phantoms.yaml"), tmp_path / "drawn")
    with (drawn / "index.csv").open() as index:
        first = next(csv.DictReader(index))
    shutil.copy(drawn / first["file"], tmp_path / "slice.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    names: dict[str, object] = {}
    exec(compile(shortened(program, "Recipe(rounds=3)"), "docs/python.md", "exec"), names)

    results = names["results"]
    assert isinstance(results, tuple)
    assert [each.hospital for each in results] == ["ucsd", "saopaulo", "moscow1", "moscow2"]
    assert (tmp_path / "prediction" / "prediction.json").exists()
    assert "Research use" in capsys.readouterr().out


def test_everything_that_is_exported_is_there_and_said_in_the_page() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    for name in api.__all__:
        assert hasattr(api, name)
        assert name in page
