"""Networks that the capsule network is compared with; no study and no client builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from model.config import CapsNetConfig

if TYPE_CHECKING:
    from model.network import SliceNetwork

#: The capsule network, a plain U-Net as large as it, and the one with the textbook's capsules.
NetworkName = Literal["capsnet", "unet", "textbook"]


def build_network(name: NetworkName, config: CapsNetConfig, *, seed: int = 0) -> SliceNetwork:
    """Build a network with the initial weights of a seed (imports TensorFlow).

    Args:
        name: Which.
        config: The capsule network's architecture, which the others match.
        seed: Of the initial weights.
    """
    if name == "unet":
        from benchmarks.networks.twin import build_twin

        return build_twin(config, seed=seed)
    if name == "textbook":
        from benchmarks.networks.textbook import build_textbook

        return build_textbook(config, seed=seed)
    from model.capsnet import build

    return build(config, seed=seed)
