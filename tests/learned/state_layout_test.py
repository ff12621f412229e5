"""Types that know a layout: one for each, and kept by nests."""

from typing import NamedTuple

import pytest
import tensorflow as tf

from l2o_tf.core.layout import Layout
from l2o_tf.learned.state_layout import layout_of, with_layout

MATRIX = Layout(("x",), ((2, 3),))
VECTOR = Layout(("x",), ((6,),))


class Pair(NamedTuple):
    """A state."""

    first: tf.Tensor
    second: tf.Tensor


def test_a_state_knows_the_layout_it_was_made_for():
    for layout in (MATRIX, VECTOR):
        state = with_layout(Pair, layout)(tf.zeros([6]), tf.ones([2, 6]))
        assert layout_of(state) is layout
        assert isinstance(state, Pair)
        assert layout_of(state._replace(first=tf.ones([6]))) is layout
        doubled = tf.nest.map_structure(lambda t: 2.0 * t, state)
        assert layout_of(doubled) is layout
        assert doubled.second.numpy().sum() == 24.0


def test_the_same_layout_is_the_same_type_and_another_another():
    again = Layout(("x",), ((2, 3),))
    assert with_layout(Pair, MATRIX) is with_layout(Pair, again)
    assert with_layout(Pair, MATRIX) is not with_layout(Pair, VECTOR)
    one, other = (with_layout(Pair, x)(0, 1) for x in (MATRIX, VECTOR))
    with pytest.raises(TypeError, match="sequence type"):
        tf.nest.assert_same_structure(one, other)


def test_a_compiled_function_sees_which_layout_it_is():
    seen = []

    @tf.function(autograph=False)
    def total(state):
        seen.append(layout_of(state))
        return tf.reduce_sum(state.first)

    for layout in (MATRIX, VECTOR, MATRIX, Layout(("x",), ((2, 3),))):
        total(with_layout(Pair, layout)(tf.ones([6]), tf.ones([6])))
    assert seen == [MATRIX, VECTOR]


def test_a_plain_state_is_refused():
    with pytest.raises(ValueError, match="Received: a plain Pair"):
        layout_of(Pair(0, 1))
