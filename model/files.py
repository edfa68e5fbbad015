"""Networks as Keras files: written whole or not at all; read as numbers, never as a program.

Keras' own loader makes the classes and calls the functions that a file names. Here a file gives two
things only: the values of `CapsNetConfig`, and the weights. The network is built by our own code
from the checked values, and the weights are put into it, each with its exact shape and type. Every
size is refused by its number before anything is unpacked.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from model.capsnet import CapsNet
from model.config import CapsNetConfig
from model.errors import ModelError, ModelFileError
from model.layers.squash import PACKAGE
from model.network import SliceNetwork
from model.weights import set_vector, specs

#: The name under which Keras writes the network that a file holds.
_REGISTERED: Final = f"{PACKAGE}>CapsNet"
SUFFIX: Final = ".keras"
FILE_BYTES_MAX: Final = 256 * 1024 * 1024
CONFIG_BYTES_MAX: Final = 64 * 1024
#: Trainable values of a network, 64 MiB of float32; the default network has 278,075.
VALUES_MAX: Final = 1 << 24
#: What an HDF5 file holds beside the weights: names and the other layers' empty groups.
_HDF5_BYTES: Final = 4 * 1024 * 1024
_MEMBERS_MAX: Final = 16
#: Greatest values of the architecture's whole numbers in a file.
LIMITS: Final[Mapping[str, int]] = {
    "size_px": 1024,
    "stem_channels": 512,
    "stage_channels": 1024,
    "capsule_types": 64,
    "primary_size": 64,
    "deep_size": 128,
    "decoder_size": 64,
    "routing_iterations": 16,
}
_PERSONAL_MAX: Final = 64


def save(net: SliceNetwork, path: Path) -> None:
    """Write a network, architecture and weights, as a Keras file.

    Args:
        net: The network.
        path: Ends in `.keras`; replaced if it exists, its folder made if it does not.
    """
    temporary = path.with_name(f".{path.stem}.new.keras")
    path.parent.mkdir(parents=True, exist_ok=True)
    net.save(temporary)
    temporary.replace(path)


def load(path: Path) -> SliceNetwork:
    """Read what `save` wrote.

    Args:
        path: Ends in `.keras`.

    Returns:
        The network, with the weights of the file.

    Raises:
        ModelFileError: The file is absent, too large, damaged, or holds another kind of model.
    """
    if not path.exists():
        raise ModelFileError(str(path), "there is no such file")
    if path.suffix != SUFFIX:
        raise ModelFileError(str(path), f"its name does not end in {SUFFIX}")
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ModelFileError(str(path), f"it is larger than {FILE_BYTES_MAX} bytes")
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > _MEMBERS_MAX:
                raise ModelFileError(str(path), f"it has more than {_MEMBERS_MAX} members")
            config = _description(_member(path, archive, "config.json", CONFIG_BYTES_MAX))
            values_max = _check_values(config)
            # Keras writes every weight twice, once under its layer.
            weights_bytes_max = 2 * 4 * values_max + _HDF5_BYTES
            stored = _member(path, archive, "model.weights.h5", weights_bytes_max)
        net = CapsNet(config)
        set_vector(net, _weights(stored, net))
    except ModelFileError:
        raise
    except _RefusedError as error:
        raise ModelFileError(str(path), str(error)) from error
    except ModelError as error:
        raise ModelFileError(str(path), str(error).splitlines()[0][:200]) from error
    # zipfile, json and h5py meet damaged bytes with errors of many kinds; all mean the same here.
    except Exception as error:
        raise ModelFileError(str(path), f"it is damaged ({type(error).__name__})") from error
    return net


class _RefusedError(Exception):
    """What a file says is not allowed; `load` adds the file's name."""


def _member(path: Path, archive: zipfile.ZipFile, name: str, bytes_max: int) -> bytes:
    """Unpack one member, bounded by what it says of itself and by what comes out."""
    found = [each for each in archive.infolist() if each.filename == name]
    if len(found) != 1:
        raise ModelFileError(str(path), f"it holds {len(found)} members called {name}")
    if found[0].file_size > bytes_max:
        raise ModelFileError(
            str(path), f"{name} unpacks to {found[0].file_size} bytes; allowed are {bytes_max}"
        )
    with archive.open(found[0]) as stream:
        content = stream.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise ModelFileError(str(path), f"{name} unpacks to more than {bytes_max} bytes")
    return content


def _description(content: bytes) -> CapsNetConfig:
    """Read config.json: the architecture, checked field by field."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _RefusedError("config.json is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise _RefusedError("config.json is not that of a network")
    if document.get("registered_name") != _REGISTERED:
        raise _RefusedError(f"it holds a {str(document.get('class_name'))[:64]}")
    values = document["config"].get("config")
    if not isinstance(values, dict):
        raise _RefusedError("config.json has no architecture")
    unknown = set(values) - {field.name for field in fields(CapsNetConfig)}
    if unknown:
        names = ", ".join(sorted(unknown))[:200]
        raise _RefusedError(f"unknown fields of the architecture: {names}")
    for name, most in LIMITS.items():
        value = values.get(name, 1)
        if type(value) is not int or not 1 <= value <= most:
            raise _RefusedError(
                f"{name} is {str(value)[:40]}; allowed are whole numbers 1 to {most}"
            )
    if type(values.get("auxiliary_dropout", 0.0)) not in (int, float):
        raise _RefusedError("auxiliary_dropout is no number")
    personal = values.get("personal", [])
    if (
        not isinstance(personal, list)
        or len(personal) > _PERSONAL_MAX
        or not all(isinstance(name, str) and len(name) <= 64 for name in personal)
    ):
        raise _RefusedError("personal is not a list of names of layers")
    return CapsNetConfig.from_dict(values)


def _check_values(config: CapsNetConfig) -> int:
    """Return the most values that the network can have, counted before it is built."""
    values = sum(spec.size for spec in specs(config))
    if values > VALUES_MAX:
        raise _RefusedError(f"its architecture has {values} weights; allowed are {VALUES_MAX}")
    return values


def _weights(content: bytes, net: SliceNetwork) -> NDArray[np.float32]:
    """Read the weights in the order of the manifest, float32, shape `(values,)`."""
    variables = net.ordered_variables
    parts = []
    with h5py.File(io.BytesIO(content), "r") as file:
        group = _linked(file, "vars", h5py.Group)
        # Keras adds no other variable of the network itself; its layers' stand in their groups.
        if len(group) != len(variables):
            raise _RefusedError(f"it holds {len(group)} weights, the network {len(variables)}")
        for number, spec in enumerate(net.manifest):
            stored = _linked(group, str(number), h5py.Dataset)
            if stored.dtype != np.dtype("<f4") or stored.shape != spec.shape:
                raise _RefusedError(
                    f"{spec.name} has {stored.shape} of {stored.dtype}, the network {spec.shape} "
                    "of float32"
                )
            # Contiguous in this file: neither packed, nor in another file, nor put together.
            if stored.chunks is not None or stored.is_virtual or stored.external is not None:
                raise _RefusedError(f"{spec.name} is not stored as plain numbers")
            parts.append(np.asarray(stored[()], np.float32).reshape(-1))
    return np.concatenate(parts)


def _linked(group: Any, name: str, kind: type) -> Any:
    """Return what lies under a name of an HDF5 group, if it lies in this very file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _RefusedError(f"{name} is missing from its weights, or a link to somewhere else")
    found = group[name]
    if not isinstance(found, kind):
        raise _RefusedError(f"{name} of its weights is a {type(found).__name__}")
    return found
