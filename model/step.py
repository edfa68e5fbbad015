"""One compiled training step: loss, gradient, Adam.

The only place that takes a gradient, and so the only one that speaks to a backend (TensorFlow)
rather than to `keras.ops`. The optimiser's moments are two flat vectors in the order of the
weights, so that they can be kept, and a hospital resumes to the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model import losses
from model.network import SliceNetwork
from model.sampling import Batch
from model.tensors import Tensor

#: Decay of the two moments (Kingma & Ba 2015 have 0.9 and 0.999; a few hundred steps want less).
FIRST_DECAY: Final = 0.9
SECOND_DECAY: Final = 0.99
EPSILON: Final = 1e-6
AUXILIARY_WEIGHT: Final = 0.5


class TrainingStep:
    """A step over batches of one make-up, with the moments it needs.

    A tensor that no item speaks to does not move, not even by weight decay: the decoder where there
    are no masks, the class capsules where there are no labels.

    Args:
        net: The network; its variables are changed in place.
        class_items: Labelled items of each batch.
        mask_items: Items with masks of each batch.
        gradient_norm: Longer gradients are cut to this norm.
        weight_decay: Decoupled decay of tensors with two axes or more (Loshchilov & Hutter 2019).
        auxiliary_weight: Weight of the auxiliary head's cross-entropy.
    """

    def __init__(
        self,
        net: SliceNetwork,
        *,
        class_items: int,
        mask_items: int,
        gradient_norm: float,
        weight_decay: float,
        auxiliary_weight: float = AUXILIARY_WEIGHT,
    ) -> None:
        self.net = net
        self.class_items = class_items
        self.mask_items = mask_items
        self.gradient_norm = gradient_norm
        self.auxiliary_weight = auxiliary_weight
        trained = len(net.ordered_variables) if mask_items else net.encoder_tensors
        self.variables = [variable.value for variable in net.ordered_variables[:trained]]
        self.sizes = [math.prod(variable.shape) for variable in self.variables]
        decays = [weight_decay if len(variable.shape) > 1 else 0.0 for variable in self.variables]
        self.decay = tf.constant(np.repeat(np.array(decays, np.float32), self.sizes))
        self.first = tf.Variable(tf.zeros(sum(self.sizes)), trainable=False)
        self.second = tf.Variable(tf.zeros(sum(self.sizes)), trainable=False)
        self._run: Callable[..., Tensor] = tf.function(self._step, autograph=False)

    def set_moments(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
        """Start from these moments, float32, shape `(values,)`, as far as they are trained."""
        self.first.assign(first[: sum(self.sizes)])
        self.second.assign(second[: sum(self.sizes)])

    def moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Copy the moments of the trained part out."""
        return self.first.numpy(), self.second.numpy()

    def __call__(self, batch: Batch, *, rate: float, number: int) -> NDArray[np.float32]:
        """Take one step.

        Args:
            batch: Of the make-up given to the constructor.
            rate: Learning rate.
            number: Steps since the moments were zero, this one included.

        Returns:
            float32, shape `(4,)`: class loss, auxiliary loss, mask loss, norm of the gradient.
        """
        first_correction = 1.0 / (1.0 - FIRST_DECAY**number)
        second_correction = 1.0 / (1.0 - SECOND_DECAY**number)
        numbers = tf.constant([rate, first_correction, second_correction], tf.float32)
        result: NDArray[np.float32] = self._run(
            tf.constant(batch.images), tf.constant(batch.labels), tf.constant(batch.masks), numbers
        ).numpy()
        return result

    def _losses(self, images: Tensor, labels: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        nothing = tf.constant(0.0)
        by_class, by_auxiliary, by_mask = nothing, nothing, nothing
        # Apart, not one batch cut in two: each part computes what its losses need, and no gradient
        # of a cut is padded with zeros.
        if self.class_items:
            scores, auxiliary, *_ = self.net.encoder(images[: self.class_items], training=True)
            by_class = self.net.classification_loss(labels, scores)
            by_auxiliary = losses.cross_entropy(labels, auxiliary)
        if self.mask_items:
            # Only the auxiliary head drops anything, so there is nothing to draw here.
            _, _, *features = self.net.encoder(images[self.class_items :], training=False)
            by_mask = losses.tissue_loss(masks, self.net.decoder(features, training=True))
        return by_class, by_auxiliary, by_mask

    def _step(self, images: Tensor, labels: Tensor, masks: Tensor, numbers: Tensor) -> Tensor:
        rate, first_correction, second_correction = numbers[0], numbers[1], numbers[2]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            by_class, by_auxiliary, by_mask = self._losses(images, labels, masks)
            loss = by_class + self.auxiliary_weight * by_auxiliary + by_mask
        gradients = tape.gradient(loss, self.variables)
        spoken_to = np.repeat(np.array([part is not None for part in gradients]), self.sizes)
        gradient = tf.concat(
            [
                tf.zeros(size) if part is None else tf.reshape(part, [-1])
                for part, size in zip(gradients, self.sizes, strict=True)
            ],
            0,
        )
        norm = tf.sqrt(tf.reduce_sum(tf.square(gradient)))
        gradient *= tf.minimum(1.0, self.gradient_norm / tf.maximum(norm, 1e-12))
        # Kingma & Ba 2015, algorithm 1, over all tensors at once.
        first = self.first.assign(FIRST_DECAY * self.first + (1 - FIRST_DECAY) * gradient)
        second = self.second.assign(
            SECOND_DECAY * self.second + (1 - SECOND_DECAY) * tf.square(gradient)
        )
        change = first * first_correction / (tf.sqrt(second * second_correction) + EPSILON)
        weights = tf.concat([tf.reshape(variable, [-1]) for variable in self.variables], 0)
        change = tf.constant(spoken_to.astype(np.float32)) * (change + self.decay * weights)
        moved = weights - rate * change
        for variable, part in zip(self.variables, tf.split(moved, self.sizes), strict=True):
            variable.assign(tf.reshape(part, variable.shape))
        return tf.stack([by_class, by_auxiliary, by_mask, norm])
