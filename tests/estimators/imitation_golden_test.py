"""The imitation window against vectors recorded from the original program."""

import numpy as np
import pytest
import tensorflow as tf
from support.cells import vector_layout
from support.small_problem import (
    DM_ARRAYS,
    FIXTURE,
    RNNPROP_ARRAYS,
    flat_weights,
    relative_error,
)

from l2o_tf.core.compile import compiled
from l2o_tf.estimators.imitation import imitation_window
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizers.base import OptimizerInputs

LENGTH, SIZE = 20, 15
CELLS = {
    "dm": (DMLSTM, DM_ARRAYS),
    "rp": (RNNprop, RNNPROP_ARRAYS),
}
with_and_without_xla = pytest.mark.parametrize("jit_compile", [False, True])


def assert_windows_are_recorded(
    golden, net, weights, jit_compile, loss_tolerance, gradient_tolerance
):
    """Run both windows; the state of the first is carried to the second."""
    kind, arrays = CELLS[net]
    cell = kind()
    assert cell.meta_layout.names == arrays
    window = compiled(
        lambda weights, inputs, labels, states: imitation_window(
            cell,
            cell.meta_layout.split(weights),
            inputs,
            labels,
            states,
            LENGTH,
        ),
        jit_compile,
    )
    states = cell.get_initial_state(vector_layout(SIZE))
    for u in range(2):
        inputs = OptimizerInputs(
            gradient=tf.constant(golden[f"{net}_mt_inputs"][u]),
            params=(),
            loss=tf.zeros([LENGTH]),
            step=LENGTH * u + tf.range(1, LENGTH + 1),
        )
        labels = tf.constant(golden[f"{net}_mt_labels"][u])
        loss, gradient, _, states = window(
            tf.constant(weights[u]), inputs, labels, states
        )
        error = relative_error(loss, golden[f"{net}_mt_loss{u}"])
        assert error < loss_tolerance, (u, error)
        for name, value in zip(arrays, gradient, strict=True):
            error = relative_error(value, golden[f"{net}_mt_grad{u}:{name}"])
            assert error < gradient_tolerance, (u, name, error)


@with_and_without_xla
@pytest.mark.parametrize("net", CELLS)
def test_windows_equal_the_original(net, jit_compile):
    golden = np.load(FIXTURE)
    weights = [
        flat_weights(golden, prefix, CELLS[net][1])
        for prefix in (f"{net}_weights", f"{net}_mt_w0")
    ]
    # The file's gradients are rounded to 3.1e-5; ours are within 2.5e-5.
    assert_windows_are_recorded(golden, net, weights, jit_compile, 1e-5, 1e-4)


def test_windows_of_released_weights_equal_the_original(shared_dir):
    golden = np.load(shared_dir / "golden" / "golden_tf114.npz")
    released = np.load(shared_dir / "weights" / "dm_cl_il.npz")
    weights = (
        np.concatenate([released[name].ravel() for name in DM_ARRAYS]),
        flat_weights(golden, "dm_mt_w0"),
    )
    # Not rounded: 1.1e-6 is the worst array (9.5e-7 under XLA). The inputs
    # are given, so no error of a trajectory grows, unlike in
    # tbptt_golden_test.py.
    assert_windows_are_recorded(golden, "dm", weights, False, 1e-5, 1e-5)
