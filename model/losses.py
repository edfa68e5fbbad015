"""What training minimises: losses of the class capsules, the auxiliary head and the masks.

Plain functions of tensors. A mask counts only where one exists: the caller passes the slices that
have one, and a slice without a mask is never taken for a slice without a lesion.

Codes of a mask's pixel: 0 background, 1 ground glass, 2 consolidation, 3 lesion of a kind that the
mask does not tell.
"""

from __future__ import annotations

from typing import Final

from keras import ops

from model.tensors import Tensor

#: m+, m- and lambda of Sabour et al. 2017, equation 4.
PRESENT_MARGIN: Final = 0.9
ABSENT_MARGIN: Final = 0.1
ABSENT_WEIGHT: Final = 0.5
#: Weight of the margin loss beside the cross-entropy.
MARGIN_WEIGHT: Final = 2.0
#: Lengths lie in [0, 1): ten times as much spans the softmax.
LENGTH_SCALE: Final = 10.0
#: Lesions cover a few percent of a slice: their pixels count twice.
LESION_WEIGHT: Final = 2.0
#: Pixels added to both parts of the soft Dice, so that a small lesion does not rule a batch.
DICE_SMOOTHING: Final = 20.0
#: Weight of telling ground glass from consolidation beside finding the lesion.
KIND_WEIGHT: Final = 1.0
#: Probabilities are held this far from 0 and 1.
CLIP: Final = 1e-4


def margin_loss(labels: Tensor, lengths: Tensor) -> Tensor:
    """Ask the right capsule for a length of 0.9 or more and the others for 0.1 or less.

    Formula (Sabour et al. 2017, equation 4), summed over classes k, mean over the batch:

        L_k = T_k max(0, 0.9 - |v_k|)^2 + 0.5 (1 - T_k) max(0, |v_k| - 0.1)^2

    Args:
        labels: int32, shape `(batch,)`.
        lengths: float32, shape `(batch, classes)`.

    Returns:
        float32 scalar.
    """
    present = ops.one_hot(labels, lengths.shape[-1], dtype="float32")
    short = ops.square(ops.relu(PRESENT_MARGIN - lengths))
    long = ops.square(ops.relu(lengths - ABSENT_MARGIN))
    each = present * short + ABSENT_WEIGHT * (1.0 - present) * long
    return ops.mean(ops.sum(each, axis=-1))


def cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """Return the mean of -log softmax(logits)[label].

    Args:
        labels: int32, shape `(batch,)`.
        logits: float32, shape `(batch, classes)`.

    Returns:
        float32 scalar.
    """
    return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def capsule_class_loss(labels: Tensor, lengths: Tensor) -> Tensor:
    """Add the margin loss and a cross-entropy of the lengths.

    Formula (ours): 2 x margin + cross-entropy(softmax(10 x lengths)). The margin loss alone has a
    plateau at equal lengths of 0.63 (value 0.21) where its gradient pulls no class ahead; the
    cross-entropy looks at the difference of the lengths and leaves it at once.
    """
    return MARGIN_WEIGHT * margin_loss(labels, lengths) + cross_entropy(
        labels, LENGTH_SCALE * lengths
    )


def tissue_loss(masks: Tensor, tissue: Tensor) -> Tensor:
    """Add cross-entropy by pixel and soft Dice of the lesion.

    Formula, with l = P(ground glass) + P(consolidation), m = [code > 0] and the kind k of a lesion:

        cross-entropy = mean of -2 m log l - (1 - m) log(1 - l)
        kind          = (mean of -log(1 - k) over code 1 + mean of -log k over code 2) / 2,
                        k = P(consolidation) / l
        soft Dice     = mean over slices of 1 - (2 sum m l + 20) / (sum m + sum l + 20)

    (Milletari et al. 2016 for soft Dice.) Consolidation is rarer than ground glass and counts as
    much. A batch without code 1 or without code 2 has no part of the kind term for it.

    Args:
        masks: int32 or uint8, shape `(batch, height, width)`, codes of this module.
        tissue: float32, shape `(batch, height, width, 3)`, probabilities.

    Returns:
        float32 scalar.
    """
    code = ops.cast(masks, "int32")
    present = ops.cast(code > 0, "float32")
    lesion = ops.clip(tissue[..., 1] + tissue[..., 2], CLIP, 1.0 - CLIP)
    by_pixel = LESION_WEIGHT * present * ops.log(lesion) + (1.0 - present) * ops.log(1.0 - lesion)
    overlap = 2.0 * ops.sum(present * lesion, axis=(1, 2)) + DICE_SMOOTHING
    area = ops.sum(present, axis=(1, 2)) + ops.sum(lesion, axis=(1, 2)) + DICE_SMOOTHING
    ground = ops.cast(code == 1, "float32")
    dense = ops.cast(code == 2, "float32")
    share = ops.clip(tissue[..., 2] / lesion, CLIP, 1.0 - CLIP)
    kind = -0.5 * (
        ops.sum(ground * ops.log(1.0 - share)) / ops.maximum(ops.sum(ground), 1.0)
        + ops.sum(dense * ops.log(share)) / ops.maximum(ops.sum(dense), 1.0)
    )
    return -ops.mean(by_pixel) + ops.mean(1.0 - overlap / area) + KIND_WEIGHT * kind
