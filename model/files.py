"""Networks as Keras files: written whole or not at all, refused by name when damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

# The class must be registered before Keras reads its name from a file.
import model.capsnet  # noqa: F401
from model.errors import ModelError, ModelFileError
from model.network import SliceNetwork


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

    Raises:
        ModelFileError: The file is absent, damaged, or holds another kind of model.
    """
    if not path.exists():
        raise ModelFileError(str(path), "there is no such file")
    try:
        net = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ModelError) as error:
        raise ModelFileError(str(path), str(error).splitlines()[0][:200]) from error
    if not isinstance(net, SliceNetwork):
        raise ModelFileError(str(path), f"it holds a {type(net).__name__}")
    return net
