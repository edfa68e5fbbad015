"""How many processor threads TensorFlow may use.

Results are the same bit for bit where each operation runs on one thread; several hospitals on one
machine also want one thread each. To be set before the first network is built.
"""

from __future__ import annotations

import tensorflow as tf


def set_threads(threads: int, *, networks_at_once: int = 1) -> None:
    """Let TensorFlow use this many threads for each network.

    Args:
        threads: Of one operation, at least 1.
        networks_at_once: Networks that work at the same time, each called from a thread of its own.

    Raises:
        RuntimeError: TensorFlow has already started with another number.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    try:
        tf.config.threading.set_inter_op_parallelism_threads(max(threads, networks_at_once))
    except RuntimeError:
        # Started already, for fewer networks: they wait for each other, and compute the same.
        if networks_at_once == 1:
            raise
