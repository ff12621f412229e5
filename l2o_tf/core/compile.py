"""One way to make a compiled function, for the whole package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled(
    function: Callable[..., Any], jit_compile: bool
) -> Callable[..., Any]:
    """Turn a function of tensors into one graph.

    Autograph is off: loops and choices are written as TensorFlow operations.

    Args:
        function: takes and returns nests of tensors, no Python numbers (each
            new one would be a new trace).
        jit_compile: True for XLA, False for TensorFlow's graph runtime.

    Returns:
        A `tf.function`.
    """
    return tf.function(function, jit_compile=jit_compile, autograph=False)
