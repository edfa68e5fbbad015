"""Capsule layers in `keras.ops`, one a file; importing this package loads Keras."""

from __future__ import annotations

from model.layers.capsule_length import CapsuleLength
from model.layers.class_capsules import ClassCapsules
from model.layers.convolutional_capsules import ConvolutionalCapsules
from model.layers.group_normalization import GroupNormalization
from model.layers.pooled_capsules import PooledCapsules
from model.layers.primary_capsules import PrimaryCapsules
from model.layers.squash import Squash
from model.layers.tissue import TissueProbabilities

__all__ = [
    "CapsuleLength",
    "ClassCapsules",
    "ConvolutionalCapsules",
    "GroupNormalization",
    "PooledCapsules",
    "PrimaryCapsules",
    "Squash",
    "TissueProbabilities",
]
