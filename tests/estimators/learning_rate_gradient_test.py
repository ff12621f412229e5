"""The gradient of a learning rate, Metz et al. 2019, section 2.3.

    w_{t+1} = w_t - theta g_t,    g_t = H_t w_t + c
    d l(w_T) / d theta
        = < g_T, - sum_i ( prod_{j=i+1}^{T-1} (I - theta H_j) ) g_i >

with a Hessian H_j of its own for every minibatch.
"""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.layout import Layout
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.unroll.carry import batch_seed, boundary_seed, start_episode
from l2o_tf.unroll.meta_losses import LossAt

LONGEST = 50
SIZE = 4


class RandomHessians(Optimizee):
    """f(w; H) = 1/2 w^T H w + c^T w, every minibatch its own symmetric H."""

    layout = Layout(("w",), ((SIZE,),))

    def __init__(self):
        draw = np.random.default_rng(5)
        basis, _ = np.linalg.qr(draw.normal(size=(SIZE, SIZE)))
        self.mean = basis @ np.diag([0.3, 1.0, 2.5, 6.0]) @ basis.T
        self.slope = draw.normal(size=SIZE)
        self.start = draw.normal(size=SIZE)

    def reset(self, seed):
        return tf.constant(self.start), ()

    def sample(self, seed):
        noise = tf.cast(seeds.normal(seed, [SIZE, SIZE]), tf.float64)
        return self.mean + 0.2 * (noise + tf.transpose(noise))

    def loss(self, params, constants, batch):
        quadratic = tf.tensordot(params, tf.linalg.matvec(batch, params), 1)
        return 0.5 * quadratic + tf.tensordot(self.slope, params, 1)


PROBLEM = RandomHessians()


def estimated(problem, theta):
    """Return a function of T, one trace for all T up to `LONGEST`."""
    cell = LearnableSGD(theta, dtype="float64")
    estimator = TruncatedBackpropagation(
        LONGEST, LossAt(-1), second_derivatives=True, backward="tape"
    )
    carry = start_episode(cell, problem, seeds.make_seed(3))

    def run(length):
        found, _ = estimator.estimate(
            cell, problem, cell.meta_params(), carry, length
        )
        return found.meta_loss, found.meta_gradient[0]

    return compiled(run, False)


@pytest.fixture(scope="module")
def drawn():
    """The Hessians of steps 0 .. 50, and of windows that end there."""
    carry = start_episode(LearnableSGD(), PROBLEM, seeds.make_seed(3))
    at = [carry._replace(step=tf.constant(t)) for t in range(LONGEST + 1)]
    return [
        [PROBLEM.sample(seed_of(c)).numpy() for c in at]
        for seed_of in (batch_seed, boundary_seed)
    ]


def by_product(theta, length, drawn):
    """The formula: loss and derivative at w_T."""
    hessians, last = drawn[0], drawn[1][length]
    w, gradients = PROBLEM.start, []
    for t in range(length):
        gradients.append(hessians[t] @ w + PROBLEM.slope)
        w = w - theta * gradients[t]
    total = np.zeros(SIZE)
    for i in range(length):
        product = np.eye(SIZE)
        for j in range(i + 1, length):
            product = (np.eye(SIZE) - theta * hessians[j]) @ product
        total -= product @ gradients[i]
    loss = 0.5 * w @ last @ w + PROBLEM.slope @ w
    return loss, (last @ w + PROBLEM.slope) @ total


@pytest.mark.parametrize("theta", [0.05, 0.45])
def test_the_gradient_is_the_product_formula_for_1_to_50_steps(theta, drawn):
    run = estimated(PROBLEM, theta)
    for length in range(1, LONGEST + 1):
        expected = by_product(theta, length, drawn)
        np.testing.assert_allclose(
            run(tf.constant(length)), expected, rtol=1e-9, err_msg=f"{length}"
        )
    assert run.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("theta", "grows"), [(2.5, True), (2.1, True), (1.9, False), (0.5, False)]
)
def test_the_gradient_grows_exponentially_where_the_step_overshoots(
    theta, grows
):
    """One coordinate of curvature 1: dl/d theta = -T w_0^2 r^(2T - 1).

    With r = 1 - theta: beyond |r| = 1 each further step multiplies it by
    (T + 1) / T r^2.
    """
    run = estimated(DiagonalQuadratic([1.0], [0.8]), theta)
    lengths = np.arange(1, LONGEST + 1)
    found = np.array([float(run(tf.constant(t, tf.int32))[1]) for t in lengths])
    ratio = 1.0 - theta
    expected = -lengths * 0.8**2 * ratio ** (2.0 * lengths - 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    rise = np.abs(found[1:] / found[:-1])
    np.testing.assert_allclose(
        rise, lengths[1:] / lengths[:-1] * ratio**2, rtol=1e-9
    )
    assert (abs(found[-1]) > 50.0 * abs(found[0])) == grows
