"""What a function found outside of itself becomes an argument."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core.compile import compiled
from l2o_tf.runtime.shipped import shipped

DATA = tf.random.stateless_uniform([100, 3], (1, 2))
SPECS = (tf.TensorSpec([3]), {"steps": tf.TensorSpec([], tf.int32)})


def function(x, more):
    """Add rows of the data, in a loop inside of the graph."""
    total = tf.while_loop(
        lambda i, _: i < more["steps"],
        lambda i, x: (i + 1, x + tf.gather(DATA, i)),
        (tf.constant(0), x),
        maximum_iterations=100,
    )[1]
    return {"total": total, "same": x}, ()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_result_is_that_of_the_function(jit_compile):
    made = shipped(function, SPECS, jit_compile)
    arguments = (tf.ones([3]), {"steps": tf.constant(50)})
    expected = compiled(function, jit_compile)(*arguments)
    found = made.call(arguments, made.captured)
    tf.nest.assert_same_structure(found, expected)
    for one, other in zip(
        tf.nest.flatten(found), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert made.results == (
        {"total": tf.TensorSpec([3]), "same": tf.TensorSpec([3])},
        (),
    )


def test_the_function_captures_nothing_any_more():
    made = shipped(function, SPECS, False)
    assert any(tensor is DATA for tensor in made.captured)
    arguments = (tf.ones([3]), {"steps": tf.constant(50)})
    traced = made.call.get_concrete_function(arguments, made.captured)
    assert traced.captured_inputs == []
    others = [2.0 * t if t is DATA else t for t in made.captured]
    found, _ = made.call(arguments, others)
    np.testing.assert_allclose(
        found["total"], 1 + 2 * tf.reduce_sum(DATA[:50], 0), rtol=1e-5
    )


def test_variables_are_refused():
    variable = tf.Variable(1.0)
    with pytest.raises(ValueError, match="Received: variables=.*Variable"):
        shipped(lambda x: x * variable, (tf.TensorSpec([]),), False)
