"""A model file from others is numbers: it chooses no class, calls no function, and is bounded."""

from __future__ import annotations

import io
import json
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from model import files
from model.capsnet import build
from model.errors import ModelFileError
from model.files import load, save
from model.weights import get_vector

MIB = 2**20


@pytest.fixture(name="own")
def _own(small_config, tmp_path) -> Path:
    path = tmp_path / "own.keras"
    save(build(small_config, seed=2), path)
    return path


def changed(own: Path, **members: Callable[[bytes], bytes]) -> Path:
    """Copy a model file with some of its members changed."""
    other = own.with_name("changed.keras")
    names = {"config": "config.json", "weights": "model.weights.h5"}
    changes = {names[key]: change for key, change in members.items()}
    with zipfile.ZipFile(own) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, changes[name](content) if name in changes else content)
    return other


def with_field(name: str, value: object) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        document = json.loads(content)
        document["config"]["config"][name] = value
        return json.dumps(document).encode()

    return change


def with_weights(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def changed_file(content: bytes) -> bytes:
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "r+") as file:
            change(file)
        return buffer.getvalue()

    return changed_file


def layer(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


HOSTILE_LAYERS = {
    "a function of the system": layer("os", "system", {"command": "true"}),
    "a program": layer("subprocess", "Popen", {"args": ["true"]}),
    "a file of this machine": layer(
        "keras.layers", "StringLookup", {"name": "l", "vocabulary": "/etc/hostname"}
    ),
    "a billion units": layer("keras.layers", "Dense", {"name": "d", "units": 10**9}),
}


@pytest.mark.parametrize("hostile", HOSTILE_LAYERS.values(), ids=HOSTILE_LAYERS.keys())
def test_a_file_that_names_classes_or_functions_is_refused(hostile, own: Path) -> None:
    model = layer("keras", "Sequential", {"name": "s", "layers": [hostile]})

    with pytest.raises(ModelFileError, match="it holds a Sequential"):
        load(changed(own, config=lambda _: json.dumps(model).encode()))


def test_nothing_of_keras_loaders_is_called(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*args, **kwargs):
        raise AssertionError("a loader of Keras was called")

    for module, name in (
        (keras.saving, "load_model"),
        (keras.saving, "deserialize_keras_object"),
        (keras.Model, "load_weights"),
        (keras.Model, "from_config"),
    ):
        monkeypatch.setattr(module, name, called)

    assert load(own).size_px == 32


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("size_px", 65536, "size_px is 65536; allowed are whole numbers 1 to 1024"),
        ("stem_channels", 32768, "stem_channels is 32768"),
        ("routing_iterations", 10**9, "routing_iterations is 1000000000"),
        ("capsule_types", True, "capsule_types is True"),
        ("deep_size", 8.0, "deep_size is 8.0"),
        ("deep_size", "8", "deep_size is 8"),
        ("size_px", 33, "multiple of 16"),
        ("auxiliary_dropout", "a", "auxiliary_dropout is no number"),
        ("votes", "others", "unknown fields of the architecture: votes"),
        ("personal", "all", "personal is not a list"),
        ("personal", ["nobody"], "personal layers"),
        ("layers", [], "unknown fields of the architecture: layers"),
    ],
)
def test_an_architecture_out_of_range_is_refused_by_its_field(
    name: str, value: object, sentence: str, own: Path
) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        load(changed(own, config=with_field(name, value)))


def test_more_weights_than_allowed_are_refused_before_the_network_is_built(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(content: bytes) -> bytes:
        for name, value in {"stem_channels": 512, "stage_channels": 1024}.items():
            content = with_field(name, value)(content)
        return content

    def built(config):
        raise AssertionError("the network was built")

    monkeypatch.setattr(files, "CapsNet", built)
    with pytest.raises(ModelFileError, match=r"has \d+ weights; allowed are 16777216"):
        load(changed(own, config=large))


def test_a_member_that_unpacks_to_more_than_the_network_is_refused_with_flat_memory(
    own: Path,
) -> None:
    other = own.with_name("bomb.keras")
    with zipfile.ZipFile(own) as source, zipfile.ZipFile(other, "w") as target:
        target.writestr("config.json", source.read("config.json"))
        target.writestr("model.weights.h5", bytes(512 * MIB), zipfile.ZIP_DEFLATED)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ModelFileError, match=r"model\.weights\.h5 unpacks to 536870912 bytes"):
        load(other)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 * 1024


def test_a_configuration_of_megabytes_is_refused(own: Path) -> None:
    with pytest.raises(ModelFileError, match=r"config\.json unpacks to"):
        load(changed(own, config=lambda content: content + b" " * MIB))


def test_a_deep_configuration_is_refused(own: Path) -> None:
    with pytest.raises(ModelFileError, match=r"config\.json is not JSON"):
        load(changed(own, config=lambda _: b"[" * 60_000))


def replaced(make: Callable[[Any], None]) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["vars"]["0"]
        make(file["vars"])

    return change


SHAPE = (5, 5, 1, 8)
HOSTILE_WEIGHTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "a weight less": (lambda vars: None, "it holds 48 weights, the network 49"),
    "another shape": (
        lambda vars: vars.create_dataset("0", data=np.zeros((5, 5, 1, 9), "f4")),
        "stem_1/kernel has",
    ),
    "terabytes": (
        lambda vars: vars.create_dataset("0", (2**40,), "f4", chunks=(1024,)),
        r"stem_1/kernel has \(1099511627776,\)",
    ),
    "another type": (
        lambda vars: vars.create_dataset("0", data=np.zeros(SHAPE, "f8")),
        "of float64",
    ),
    "packed": (
        lambda vars: vars.create_dataset("0", data=np.zeros(SHAPE, "f4"), compression="gzip"),
        "not stored as plain numbers",
    ),
    "another file": (
        lambda vars: vars.create_dataset("0", SHAPE, "f4", external=[("/etc/passwd", 0, 800)]),
        "not stored as plain numbers",
    ),
    "a link to another file": (
        lambda vars: vars.__setitem__("0", h5py.ExternalLink("/etc/passwd", "/x")),
        "or a link to somewhere else",
    ),
    "not finite": (
        lambda vars: vars.create_dataset("0", data=np.full(SHAPE, np.nan, "f4")),
        "not finite",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), HOSTILE_WEIGHTS.values(), ids=HOSTILE_WEIGHTS.keys())
def test_weights_that_are_not_the_networks_own_plain_numbers_are_refused(
    make: Callable[[Any], None], sentence: str, own: Path
) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        load(changed(own, weights=with_weights(replaced(make))))


def test_a_file_of_another_suffix_is_refused(own: Path) -> None:
    with pytest.raises(ModelFileError, match=r"does not end in \.keras"):
        load(own.rename(own.with_suffix(".h5")))


def test_members_that_lead_outside_are_never_unpacked(own: Path) -> None:
    vector = get_vector(load(own))
    with zipfile.ZipFile(own, "a") as archive:
        archive.writestr("../outside.txt", "x")

    assert np.array_equal(get_vector(load(own)), vector)
    assert not (own.parent.parent / "outside.txt").exists()


def test_keras_own_loader_in_place_of_ours_lets_the_file_choose_its_classes(tmp_path) -> None:
    path = tmp_path / "chosen.keras"
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)]).save(path)

    assert isinstance(keras.saving.load_model(path, compile=False), keras.Sequential)
    with pytest.raises(ModelFileError, match="it holds a Sequential"):
        load(path)
