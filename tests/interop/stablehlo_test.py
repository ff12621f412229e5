"""What is written is StableHLO, and says what it takes and gives."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from support.stablehlo import commented, entry, parse

from l2o_tf.interop.stablehlo import stablehlo_text

HELD = tf.constant(np.arange(2000, dtype="u1"))


class Pair(NamedTuple):
    left: object
    right: object


def spec(*shape, dtype=tf.float32):
    return tf.TensorSpec(shape, dtype)


def scaled(pair, factor):
    held = tf.cast(HELD[:3], tf.float32)
    return {
        "sum": pair.left * factor + held,
        "again": Pair(pair.right, tf.zeros([4])),
        # Its comparison is a region, whose arguments have locations too.
        "order": tf.argsort(pair.left),
    }


@pytest.fixture(scope="module")
def text():
    arguments = {
        "pair": Pair(spec(3), spec(2, 2, dtype=tf.int32)),
        "factor": spec(),
    }
    return stablehlo_text("scaled", scaled, arguments)


def test_its_own_parser_takes_it(text):
    assert parse(text).startswith(b"ML\xefR")
    with pytest.raises(ValueError, match="serialize"):
        parse(text.replace("stablehlo.add", "stablehlo.ad"))


def test_the_entry_takes_leaves_and_held_tensors_and_gives_leaves(text):
    arguments, results = entry(text)
    assert arguments == [
        "float32 [3]",
        "int32 [2, 2]",
        "float32 []",
        "uint8 [2000]",
    ]
    assert results == [
        "float32 [3]",
        "int32 [2, 2]",
        "float32 [4]",
        "int32 [3]",
    ]


def test_the_comment_lists_them_by_their_paths(text):
    arguments, results = commented(text)
    assert [name for name, _ in arguments] == [
        "pair.left",
        "pair.right",
        "factor",
        "held",
    ]
    assert [name for name, _ in results] == [
        "sum",
        "again.left",
        "again.right",
        "order",
    ]
    types = [t for _, t in arguments], [t for _, t in results]
    assert types == entry(text)


def test_nothing_of_the_machine_is_in_it(text):
    assert "loc" not in text
    assert ".py" not in text
    assert "module @scaled " in text


def test_the_same_function_gives_the_same_text(text):
    arguments = {
        "pair": Pair(spec(3), spec(2, 2, dtype=tf.int32)),
        "factor": spec(),
    }
    assert stablehlo_text("scaled", scaled, arguments) == text


def test_a_shape_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="Received: arguments=.*None"):
        stablehlo_text("f", lambda x: {"y": x}, {"x": spec(None)})
