"""How many processor threads TensorFlow may use.

Results are the same bit for bit on one thread only; several hospitals on one machine also want one
thread each. To be set before the first network is built.
"""

from __future__ import annotations

import tensorflow as tf


def set_threads(threads: int) -> None:
    """Let TensorFlow use this many threads in all.

    Args:
        threads: At least 1.

    Raises:
        RuntimeError: TensorFlow has already started with another number.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
