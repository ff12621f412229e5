"""Run one function in the three ways TensorFlow has, and count its traces."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.core.compile import compiled


class Everywhere(NamedTuple):
    """The same results three times, as nests of arrays."""

    eager: Any
    graph: Any
    xla: Any


def _tensors(nest):
    return tf.nest.map_structure(tf.convert_to_tensor, nest)


def _arrays(nest):
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), nest)


def run_everywhere(fn, *args):
    """Call `fn` eagerly, in a graph and under XLA.

    Args:
        fn: takes and returns nests of tensors (variables it only reads may be
            closed over).
        *args: nests of anything that converts to tensors.

    Returns:
        An `Everywhere` of nests of numpy arrays, in the structure of `fn`'s
        result.
    """
    args = [_tensors(arg) for arg in args]
    return Everywhere(
        eager=_arrays(_tensors(fn(*args))),
        graph=_arrays(compiled(fn, jit_compile=False)(*args)),
        xla=_arrays(compiled(fn, jit_compile=True)(*args)),
    )


def assert_same_everywhere(fn, *args, rtol=1e-5, atol=0.0):
    """Assert that graph and XLA give the eager results; return those.

    Structure, shapes and dtypes must be equal. A number may differ by `rtol`
    of itself plus `atol` of the largest entry of its tensor, so that tensors
    of any size are compared alike.
    """
    results = run_everywhere(fn, *args)
    for way in ("graph", "xla"):
        other = getattr(results, way)
        tf.nest.assert_same_structure(results.eager, other)
        pairs = zip(
            tf.nest.flatten(results.eager), tf.nest.flatten(other), strict=True
        )
        for i, (expected, actual) in enumerate(pairs):
            where = f"tensor {i}, {way} against eager"
            assert actual.dtype == expected.dtype, where
            assert actual.shape == expected.shape, where
            floor = atol * np.max(np.abs(expected), initial=0.0)
            np.testing.assert_allclose(
                actual, expected, rtol=rtol, atol=floor, err_msg=where
            )
    return results.eager


def count_traces(fn, *calls, jit_compile=False):
    """Call the compiled `fn` once per tuple of `calls`; return its traces."""
    function = compiled(fn, jit_compile=jit_compile)
    for args in calls:
        function(*[_tensors(arg) for arg in args])
    return function.experimental_get_tracing_count()
