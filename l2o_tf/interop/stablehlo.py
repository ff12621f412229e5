"""Write a function of tensors as StableHLO text.

StableHLO is the portable form of what XLA compiles: other compilers and
runtimes read it, and a person can see in it what a step consists of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from l2o_tf.core.compile import compiled
from l2o_tf.core.leaf_paths import leaf_paths
from l2o_tf.core.types import Nest

# Where an operation came from: files and lines of this machine. The brackets
# nest, as in loc(callsite("f"(#loc1) at #loc2)).
_PLAIN = r'[^()"\n]|"[^"\n]*"'
_NESTED = rf"{_PLAIN}|\((?:{_PLAIN}|\((?:{_PLAIN})*\))*\)"
_LOCATION = re.compile(rf" loc\((?:{_NESTED})*\)")
_LOCATION_LINE = re.compile(r"^#loc.*\n", re.MULTILINE)
# TensorFlow numbers the functions of a process; the number behind the dot is
# the module's own.
_COUNTED = re.compile(r"@(\w+?)_\d+(?:_const_\d+)?__\.(\d+)")
_MODULE = re.compile(r"^module @\S+", re.MULTILINE)


def stablehlo_text(
    name: str,
    function: Callable[..., Mapping[str, Nest]],
    arguments: Mapping[str, Nest],
) -> str:
    """Return the StableHLO module of a function.

    Its entry is @main. The arguments are the leaves of the function's, then
    tensors that the function holds itself, such as a data set; the results are
    the leaves of what it returns. Dicts at the root keep their order, what is
    below has `tf.nest`'s. A comment at the top lists all leaves by their paths.

    Args:
        name: of the module.
        function: takes the arguments in their order, returns nests by name.
        arguments: name to a nest of `tf.TensorSpec`, of known shapes.

    Raises:
        ValueError: if a shape is not known.
    """
    nests = list(arguments.values())
    specs = tf.nest.flatten(nests)
    if not all(spec.shape.is_fully_defined() for spec in specs):
        raise ValueError(
            "StableHLO is written for known shapes. Received: arguments="
            f"{dict(arguments)}."
        )
    names: list[str] = []

    def flat(*leaves: tf.Tensor) -> list[tf.Tensor]:
        results = function(*tf.nest.pack_sequence_as(nests, leaves))
        names[:] = _names(results)
        return tf.nest.flatten(list(results.values()))

    traced: Any = compiled(flat, jit_compile=True)
    graph = traced.get_concrete_function(*specs)
    text = traced.experimental_get_compiler_ir(*specs)(
        stage="stablehlo", platform_name="CPU"
    )
    text = _LOCATION_LINE.sub("", _LOCATION.sub("", text))
    text = _COUNTED.sub(r"@\1.\2", text)
    text = _MODULE.sub(f"module @{name}", text, count=1)
    held = graph.captured_inputs
    argument_names = _names(arguments) + ["held"] * len(held)
    return (
        _comment("%arg", argument_names, [*specs, *held])
        + _comment("result ", names, graph.outputs)
        + text
    )


def _names(nests: Mapping[str, Nest]) -> list[str]:
    return [
        path for root in nests for path in leaf_paths(nests[root], root, ".")
    ]


def _comment(word: str, names: Iterable[str], tensors: Iterable[Any]) -> str:
    lines = [
        f"// {word}{i}: {name}, {tensor.dtype.name} {tensor.shape.as_list()}\n"
        for i, (name, tensor) in enumerate(zip(names, tensors, strict=True))
    ]
    return "".join(lines)
