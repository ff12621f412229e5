"""Random scaling against the original's recorded windows."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.small_problem import (
    DM_ARRAYS,
    FIXTURE,
    RNNPROP_ARRAYS,
    SmallProblem,
    flat_weights,
    relative_error,
)

from l2o_tf.core import seeds
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.techniques.random_scaling import RandomScaling
from l2o_tf.unroll.carry import start_episode


class GivenScale(RandomScaling):
    """Random scaling with the golden file's numbers in place of random ones."""

    def __init__(self, optimizee, scale):
        super().__init__(optimizee)
        self.scale = tf.constant(scale)

    def reset(self, seed):
        params, constants = self.optimizee.reset(seed)
        return params / self.scale, (constants, self.scale)


@pytest.mark.parametrize(
    ("kind", "cell", "arrays"),
    [("dm", DMLSTM(), DM_ARRAYS), ("rp", RNNprop(), RNNPROP_ARRAYS)],
)
def test_scaled_window_equals_the_original(kind, cell, arrays):
    golden = np.load(FIXTURE)
    key = f"{kind}_meta_scaled_"
    scale = np.concatenate([golden[f"{key}scale{i}"].ravel() for i in range(2)])
    problem = GivenScale(SmallProblem(golden), scale)
    carry = start_episode(cell, problem, seeds.make_seed(0))
    weights = tf.constant(flat_weights(golden, f"{kind}_weights", arrays))
    result, carry = TruncatedBackpropagation(20).estimate(
        cell, problem, weights, carry
    )
    assert relative_error(result.meta_loss, golden[key + "loss0"]) < 1e-5
    assert relative_error(result.last_loss, golden[key + "final0"]) < 1e-5
    x = np.concatenate([golden[f"{key}x0_{i}"].ravel() for i in range(2)])
    assert relative_error(carry.params, x) < 1e-5
    gradients = dict(
        zip(
            cell.meta_layout.names,
            cell.meta_layout.split(result.meta_gradient),
            strict=True,
        )
    )
    compared = 0
    for name, value in gradients.items():
        if f"{key}grad0:{name}" in golden.files:
            expected = golden[f"{key}grad0:{name}"]
            assert relative_error(value, expected) < 3e-4, name
            compared += 1
    # The file keeps the arrays of at most 80 entries.
    assert compared == {"dm": 4, "rp": 6}[kind]


def test_reset_starts_from_an_ordinary_point():
    inner = DiagonalQuadratic(np.ones(500), np.full(500, 2.0), "float32")
    scaled = RandomScaling(inner, log_scale_bound=3.0)
    params, constants = scaled.reset(seeds.make_seed(1))
    np.testing.assert_allclose(params * constants[1], inner.x0, rtol=1e-6)
    np.testing.assert_allclose(
        scaled.loss(params, constants, ()), inner.loss(inner.x0, (), ()), 1e-5
    )


def test_scale_is_log_uniform_within_the_bound():
    inner = DiagonalQuadratic(np.ones(20_000), np.ones(20_000), "float32")
    _, (_, scale) = RandomScaling(inner, 3.0).reset(seeds.make_seed(2))
    log = np.log(scale)
    assert -3.0 <= log.min() < -2.99
    assert 2.99 < log.max() <= 3.0
    # Uniform on (-3, 3): variance 3; standard error of the mean 0.012.
    assert abs(log.mean()) < 0.05
    assert abs(log.var() - 3.0) < 0.1


def test_gradient_carries_the_factor():
    inner = DiagonalQuadratic([1.0, 4.0], [1.0, 1.0], "float32")
    scaled = RandomScaling(inner, 2.0)
    params, constants = scaled.reset(seeds.make_seed(3))
    _, gradient = scaled.loss_and_gradient(params, constants, ())
    expected = constants[1] * inner.h * (constants[1] * params)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


class WithObjective(DiagonalQuadratic):
    """A quadratic whose objective's batch is the seed that drew it."""

    def sample_objective(self, seed):
        return seed


def test_batches_are_those_of_the_scaled_problem():
    scaled = RandomScaling(WithObjective([1.0], [1.0], "float32"))
    seed = seeds.make_seed(4)
    assert scaled.sample(seed) == ()
    np.testing.assert_array_equal(scaled.sample_objective(seed), seed)


def test_two_episodes_have_two_scales():
    scaled = RandomScaling(DiagonalQuadratic([1.0], [1.0], "float32"))
    a = scaled.reset(seeds.make_seed(1))[1][1]
    b = scaled.reset(seeds.make_seed(2))[1][1]
    assert a.numpy() != b.numpy()


def test_bound_zero_scales_nothing():
    scaled = RandomScaling(DiagonalQuadratic([1.0], [1.0], "float32"), 0.0)
    assert scaled.reset(seeds.make_seed(1))[1][1].numpy() == 1.0


@pytest.mark.parametrize("bound", [-1.0, math.nan, math.inf, "3"])
def test_bad_bound_is_refused(bound):
    inner = DiagonalQuadratic([1.0], [1.0], "float32")
    with pytest.raises(ValueError, match="Received: log_scale_bound="):
        RandomScaling(inner, bound)


def test_an_optimizee_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="Received: optimizee=3"):
        RandomScaling(3)
