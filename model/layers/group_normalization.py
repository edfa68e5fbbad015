"""Group normalisation, in the order that a processor likes."""

from __future__ import annotations

import keras
from keras import ops

from model.layers.squash import PACKAGE
from model.tensors import Tensor


@keras.saving.register_keras_serializable(package=PACKAGE)
class GroupNormalization(keras.layers.GroupNormalization):
    """Keras's group normalisation, computed in fewer and longer passes.

    Formula (Wu & He 2018, equations 1 to 3), for the channels of one group of one picture, over
    all places:

        y = gamma (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) + beta

    Weights and result are those of `keras.layers.GroupNormalization`, for channels last, with scale
    and shift (its defaults; nothing else is offered here). That one reduces over places and
    channels at once, which is slow on processors; here each channel is reduced over the places, and
    then a few numbers over the group: docs/adr/0010-group-normalisation.md. The class has the
    library's name because model files are read by it.

    Call arguments:
        inputs: float32, shape `(batch, height, width, channels)`.

    Output:
        float32, the shape of the input.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Centre, scale and shift."""
        centred = inputs - over_groups(inputs, self.groups)
        spread = over_groups(ops.square(centred), self.groups)
        return centred * (self.gamma * ops.rsqrt(spread + self.epsilon)) + self.beta


def over_groups(values: Tensor, groups: int) -> Tensor:
    """Return each group's mean over all places, repeated for each of its channels.

    Args:
        values: float32, shape `(batch, height, width, channels)`.
        groups: Parts of equal size that the channels are cut into, in their order.

    Returns:
        float32, shape `(batch, 1, 1, channels)`.
    """
    channels = values.shape[-1]
    by_channel = ops.reshape(ops.mean(values, axis=(1, 2)), (-1, groups, channels // groups))
    by_group = ops.mean(by_channel, axis=-1, keepdims=True)
    repeated = ops.broadcast_to(by_group, ops.shape(by_channel))
    return ops.reshape(repeated, (-1, 1, 1, channels))
