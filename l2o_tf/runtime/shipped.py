"""Functions that take along nothing but their arguments.

A `tf.function` keeps the tensors that it found outside of itself, such as a
data set. If it is called on another machine, TensorFlow sends them there, each
time. Here they become arguments, so that whoever calls can leave them there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Nest


class Shipped(NamedTuple):
    """A function of everything that it needs.

    Attributes:
        call: of `(arguments, captured)`; a `tf.function`.
        captured: the tensors that the original found outside of itself.
        results: nest of `tf.TensorSpec`, of what it returns.
    """

    call: Callable[..., Any]
    captured: tuple[tf.Tensor, ...]
    results: Nest


def shipped(
    function: Callable[..., Any], specs: tuple[Nest, ...], jit_compile: bool
) -> Shipped:
    """Trace a function and make arguments of what it captures.

    Args:
        function: takes and returns nests of tensors.
        specs: a nest of `tf.TensorSpec` for each argument.
        jit_compile: True for XLA.

    Raises:
        ValueError: if it captures a variable.
    """
    traced = tf.function(function, autograph=False).get_concrete_function(
        *specs
    )
    captured = tuple(traced.captured_inputs)
    if any(tensor.dtype == tf.resource for tensor in captured):
        raise ValueError(
            "A function that is to run on other machines must not use "
            f"variables. Received: variables={traced.variables}."
        )
    graph = traced.graph.as_graph_def()
    inputs = [tensor.name for tensor in traced.inputs]
    outputs = [tensor.name for tensor in traced.outputs]
    # Imported placeholders would stay, unused, and XLA knows no placeholders.
    places = {tensor.op.name for tensor in traced.inputs}
    nodes = [node for node in graph.node if node.name not in places]
    del graph.node[:]
    graph.node.extend(nodes)

    def call(arguments: tuple[Nest, ...], captured: Nest) -> Nest:
        given = (*tf.nest.flatten(arguments), *tf.nest.flatten(captured))
        results = tf.graph_util.import_graph_def(
            graph,
            input_map=dict(zip(inputs, given, strict=True)),
            return_elements=outputs,
            name="",
        )
        return tf.nest.pack_sequence_as(traced.structured_outputs, results)

    results = tf.nest.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
        traced.structured_outputs,
    )
    return Shipped(compiled(call, jit_compile), captured, results)
