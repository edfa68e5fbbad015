"""What every network of slices is: an encoder, a decoder, a vector, a file.

A network reads one slice: the encoder gives class scores and the features that the decoder needs,
and the decoder the tissue of every pixel. They are two models so that only the slices with masks
pay for the decoder in training, and slices whose mask nobody asked for do not pay in prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from model.config import CapsNetConfig
from model.errors import WeightLayoutError
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

    def __init__(
        self,
        config: CapsNetConfig,
        encoder: Tensor,
        decoder: Tensor,
        manifest: Sequence[WeightSpec],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
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
        self.encoder_tensors = len(encoder.trainable_variables)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return what the network is built from."""
        return {"config": self.config.to_dict()}

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
