"""The meta-gradient against vectors recorded from the original program."""

import os

import numpy as np
import pytest
import tensorflow as tf
from support.small_problem import (
    DM_ARRAYS,
    FIXTURE,
    SmallProblem,
    flat_weights,
    relative_error,
)

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.unroll.carry import start_episode


@pytest.fixture(params=["fixture", "released"])
def golden(request):
    if request.param == "fixture":
        return np.load(FIXTURE)
    return np.load(
        request.getfixturevalue("shared_dir") / "golden" / "golden_tf114.npz"
    )


def weights_of(golden, shared):
    if "dm_weights:linear/w" in golden.files:
        return flat_weights(golden, "dm_weights")
    released = np.load(os.path.join(shared, "weights", "dm_cl_il.npz"))
    return np.concatenate([released[k].ravel() for k in DM_ARRAYS])


def two_windows(golden, weights, backward, scale=None, jit_compile=False):
    cell, problem = DMLSTM(), SmallProblem(golden, scale)
    estimator = TruncatedBackpropagation(20, backward=backward)
    window = compiled(
        lambda w, c: estimator.estimate(cell, problem, w, c), jit_compile
    )
    carry = start_episode(cell, problem, seeds.make_seed(0))
    estimates, carries = [], []
    for w in weights:
        estimate, carry = window(tf.constant(w, tf.float32), carry)
        estimates.append(estimate)
        carries.append(carry)
    return estimates, carries


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_dm_windows_equal_the_original(golden, backward, jit_compile, request):
    shared = (
        None
        if "dm_weights:linear/w" in golden.files
        else request.getfixturevalue("shared_dir")
    )
    weights = [weights_of(golden, shared), flat_weights(golden, "dm_meta_w0")]
    estimates, carries = two_windows(
        golden, weights, backward, jit_compile=jit_compile
    )
    for u in range(2):
        estimate, carry = estimates[u], carries[u]
        assert relative_error(
            estimate.meta_loss, golden[f"dm_meta_loss{u}"]
        ) < 1e-5
        assert relative_error(
            estimate.last_loss, golden[f"dm_meta_final{u}"]
        ) < 1e-5
        cell = DMLSTM()
        for name, value in zip(
            DM_ARRAYS,
            cell.meta_layout.split(estimate.meta_gradient),
            strict=True,
        ):
            error = relative_error(value, golden[f"dm_meta_grad{u}:{name}"])
            assert error < 3e-4, (u, name, error)
        x = np.concatenate(
            [golden[f"dm_meta_x{u}_{i}"].ravel() for i in range(2)]
        )
        assert relative_error(carry.params, x) < 1e-5
        stored = [golden[f"dm_meta_state{u}:0{i}"] for i in range(8)]
        for i, state in enumerate(tf.nest.flatten(carry.states)):
            both = np.concatenate([stored[i], stored[4 + i]])  # [15, 20]
            assert relative_error(tf.transpose(state), both) < 1e-5
