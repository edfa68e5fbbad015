"""What the capsule network and its twin have in common: an encoder, a decoder, a vector, a file.

A network reads one slice: the encoder gives class scores and the features that the decoder needs,
and the decoder the tissue of every pixel. They are two models so that only the slices with masks
pay for the decoder in training, and slices whose mask nobody asked for do not pay in prediction.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras

from model.errors import ModelError, ModelFileError, WeightLayoutError
from model.tensors import Tensor
from model.weights import WeightSpec


class CompiledCalls:
    """Compiled functions of one network, kept because tracing one takes seconds.

    A plain object, so that Keras does not take what is inside for a part of the model.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], Any] = {}

    def get(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return what was made for `key`, making it first if need be."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


class SliceNetwork(keras.Model):
    """One encoder and one decoder, whose tensors stand in the order of a manifest.

    The encoder maps float32 `(batch, size_px, size_px, 1)` in [0, 1] to a list: class scores
    `(batch, 2)`, auxiliary logits `(batch, 2)`, then the decoder's inputs. The decoder maps these
    to tissue probabilities `(batch, size_px, size_px, 3)`: background, ground glass, consolidation.
    """

    #: Name for records and benchmarks.
    architecture: ClassVar[str]

    def __init__(
        self, encoder: Tensor, decoder: Tensor, manifest: Sequence[WeightSpec], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.compiled_calls = CompiledCalls()
        self.manifest = tuple(manifest)
        found = {
            "/".join(variable.path.split("/")[-2:]): variable
            for part in (encoder, decoder)
            for variable in part.trainable_variables
        }
        shapes = {name: tuple(variable.shape) for name, variable in found.items()}
        expected = {spec.name: spec.shape for spec in self.manifest}
        if shapes != expected:
            different = sorted(set(shapes.items()) ^ set(expected.items()))
            raise WeightLayoutError(f"tensors {different}", "those of the manifest")
        self.ordered_variables = [found[spec.name] for spec in self.manifest]
        encoder_names = {
            "/".join(variable.path.split("/")[-2:]) for variable in encoder.trainable_variables
        }
        self.encoder_tensors = sum(spec.name in encoder_names for spec in self.manifest)
        self.built = True

    @property
    def size_px(self) -> int:
        """Side of the input in pixels."""
        return int(self.encoder.inputs[0].shape[1])

    def call(self, images: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Run encoder and decoder; keys `scores`, `auxiliary`, `tissue`."""
        scores, auxiliary, *features = self.encoder(images, training=training)
        tissue = self.decoder(features, training=training)
        return {"scores": scores, "auxiliary": auxiliary, "tissue": tissue}

    def classification_loss(self, labels: Tensor, scores: Tensor) -> Tensor:
        """Return the loss of the class scores, a scalar."""
        raise NotImplementedError

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turn class scores `(batch, 2)` into probabilities `(batch, 2)`."""
        raise NotImplementedError


def save(net: SliceNetwork, path: Path) -> None:
    """Write a network, architecture and weights, as a Keras file.

    Args:
        net: The network.
        path: Ends in `.keras`; replaced if it exists.
    """
    net.save(path)


def load(path: Path) -> SliceNetwork:
    """Read what `save` wrote.

    Raises:
        ModelFileError: The file is absent, damaged, or holds another kind of model.
    """
    # The classes must be registered before Keras reads their names.
    import model.capsnet
    import model.twin  # noqa: F401

    try:
        net = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ModelError) as error:
        raise ModelFileError(str(path), str(error).splitlines()[0][:200]) from error
    if not isinstance(net, SliceNetwork):
        raise ModelFileError(str(path), f"it holds a {type(net).__name__}")
    return net
