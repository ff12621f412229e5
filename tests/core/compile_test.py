"""The one way to compile: XLA or not, without autograph, traced once."""

import os

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core.compile import compiled, compiled_by_xla

both = pytest.mark.parametrize("jit_compile", [False, True])


@both
def test_the_compiled_function_gives_the_numbers_of_the_function(jit_compile):
    run = compiled(lambda x, y: {"sum": x + y, "rest": ()}, jit_compile)
    result = run(tf.constant([1.0, 2.0]), tf.constant(0.5))
    np.testing.assert_array_equal(result["sum"], [1.5, 2.5])
    assert result["rest"] == ()


@both
def test_other_numbers_of_the_same_shape_do_not_retrace(jit_compile):
    traces = []

    def square(x):
        traces.append(x)
        return x * x

    run = compiled(square, jit_compile)
    assert [run(tf.constant(x)).numpy() for x in (2.0, 3.0)] == [4.0, 9.0]
    assert len(traces) == 1


def test_xla_is_asked_for_when_wanted():
    x = tf.ones([3])
    text = compiled(lambda x: x + 1.0, True).experimental_get_compiler_ir(x)()
    assert "HloModule" in text
    plain = compiled(lambda x: x + 1.0, False)
    with pytest.raises(ValueError, match="jit_compile=True"):
        plain.experimental_get_compiler_ir(x)


@both
def test_autograph_is_off(jit_compile):
    # With autograph this Python choice would become a graph operation.
    def choose(x):
        return x if x > 0 else -x

    with pytest.raises(
        tf.errors.OperatorNotAllowedInGraphError, match="as a Python `bool`"
    ):
        compiled(choose, jit_compile)(tf.constant(1.0))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "--xla_cpu_prefer_vector_width=512"),
        (
            "--xla_cpu_enable_fast_math=false",
            "--xla_cpu_enable_fast_math=false"
            " --xla_cpu_prefer_vector_width=512",
        ),
        (
            "--xla_cpu_prefer_vector_width=128",
            "--xla_cpu_prefer_vector_width=128",
        ),
    ],
)
def test_wide_vectors_unless_the_user_says_otherwise(
    monkeypatch, before, after
):
    monkeypatch.setenv("XLA_FLAGS", before)
    for _ in range(2):
        compiled(lambda x: x, True)
    assert os.environ["XLA_FLAGS"] == after


def test_the_graph_runtime_needs_no_flag(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    compiled(lambda x: x, False)
    assert "XLA_FLAGS" not in os.environ


def test_the_graph_runtime_runs_graphs_as_they_are_written():
    # Its rewriter makes sums in nested loops fail, see core/compile.py.
    compiled(lambda x: x, False)
    options = tf.config.optimizer.get_experimental_options()
    assert options["disable_meta_optimizer"] is True


@both
def test_a_trace_knows_whether_xla_will_compile_it(jit_compile):
    seen = []

    @tf.function(autograph=False)
    def inner(x):
        seen.append(compiled_by_xla())
        return x

    def outer(x):
        seen.append(compiled_by_xla())

        def body(i, x):
            seen.append(compiled_by_xla())
            return i + 1, inner(x)

        return tf.while_loop(lambda i, _: i < 2, body, (tf.constant(0), x))

    compiled(outer, jit_compile)(tf.constant(1.0))
    assert len(seen) >= 3
    assert set(seen) == {jit_compile}
    assert not compiled_by_xla()
