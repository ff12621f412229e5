"""One way to make a compiled function, for the whole package."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

_VECTOR_WIDTH = "--xla_cpu_prefer_vector_width"


def prefer_wide_vectors() -> None:
    """Let XLA use the widest vectors of the processor, unless told otherwise.

    Its default is 256 bits. On a processor with 512 an L2O-DM window takes 0.89
    and an evaluation step 0.77 of the time; on others nothing changes. XLA
    reads the variable when it compiles for the first time.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _VECTOR_WIDTH not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_VECTOR_WIDTH}=512".strip()


def compiled_by_xla() -> bool:
    """Return whether what is being traced now is for XLA to compile.

    TensorFlow has no public name for this; it asks itself the same way.
    """
    graph = tf.compat.v1.get_default_graph()
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def _leave_graphs_alone() -> None:
    """Keep TensorFlow's graph rewriter away, for the whole process.

    Its memory pass turns a sum of more than two tensors into one that is added
    up in place, and such a sum in a loop inside a loop (an episode's windows)
    fails in the second round: "AlreadyExistsError: Resource ... tmp_var". The
    pass cannot be switched off alone. Without all of them an L2O-DM window, an
    evaluation step and a first call take the same time, within 4 %.
    """
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": True}
    )


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
    if jit_compile:
        prefer_wide_vectors()
    else:
        _leave_graphs_alone()
    return tf.function(function, jit_compile=jit_compile, autograph=False)
