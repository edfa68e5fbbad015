"""The name under which Keras tensors appear in signatures.

Keras ships no types that `mypy` could check, so a tensor is `Any` to it; the shape and dtype are in
each docstring.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
