"""The one loop: against algebra, in pieces, padded, traced once."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.small_problem import FIXTURE, SmallProblem
from support.toy_cells import LearnableMomentum, StepScaled, WeightDecay

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.unroll.carry import batch_seed, boundary_seed, start_episode
from l2o_tf.unroll.engine import Step, inner_step, last_loss, unroll

ETA = 0.11
QUADRATIC = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
SGD_CELL = LearnableSGD(ETA, dtype="float64")
SEED = seeds.make_seed(3)
CELLS = {
    "dm": lambda: DMLSTM(units=(3, 2), output_scale=0.3),
    "identity": lambda: DMLSTM(units=(3,), preprocessing="identity"),
    "learnable_sgd": lambda: LearnableSGD(0.1),
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: Momentum(0.05),
    "nesterov": lambda: Momentum(0.05, nesterov=True),
    "adam": lambda: Adam(0.05),
    "rmsprop": lambda: RMSProp(0.05),
    "adagrad": lambda: Adagrad(0.05),
    "weight_decay": WeightDecay,
}


def everything(step):
    return step


def run_sgd(length, **kwargs):
    carry = start_episode(SGD_CELL, QUADRATIC, SEED)
    return unroll(SGD_CELL, QUADRATIC, carry, length, **kwargs)


def small_mlp():
    return MLP(synthetic_images(num_train=500), "train", (2,), batch_size=8)


def assert_same_bits(actual, expected):
    tf.nest.assert_same_structure(actual, expected)
    for a, b in zip(
        tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("length", [1, 2, 13])
def test_gradient_descent_is_the_closed_form(length):
    carry, trajectory = run_sgd(length)
    np.testing.assert_allclose(carry.params, QUADRATIC.at(ETA, length), 1e-12)
    assert carry.step.numpy() == length
    assert trajectory == ()
    np.testing.assert_array_equal(carry.seed, SEED)


def test_the_trajectory_is_the_closed_form_step_by_step():
    length = 7
    _, kept = run_sgd(length, collect=everything)
    x = np.stack([QUADRATIC.at(ETA, t) for t in range(length + 1)])
    gradients = QUADRATIC.h * x
    losses = 0.5 * np.sum(QUADRATIC.h * x**2, axis=1)
    assert isinstance(kept, Step)
    assert isinstance(kept.inputs, OptimizerInputs)
    np.testing.assert_allclose(kept.loss, losses[:-1], rtol=1e-12)
    np.testing.assert_array_equal(kept.inputs.loss, kept.loss)
    np.testing.assert_allclose(kept.inputs.gradient, gradients[:-1], 1e-12)
    np.testing.assert_allclose(kept.update, -ETA * gradients[:-1], 1e-12)
    np.testing.assert_allclose(kept.next_params, x[1:], rtol=1e-12)
    np.testing.assert_array_equal(kept.inputs.step, range(1, length + 1))
    assert kept.states == kept.constants == ()


def test_states_are_kept_from_before_each_step():
    cell = LearnableMomentum(0.1, 0.5, dtype="float64")
    carry = start_episode(cell, QUADRATIC, SEED)
    carry, kept = unroll(cell, QUADRATIC, carry, 4, collect=everything)
    velocity = np.zeros(3)
    for t in range(4):
        np.testing.assert_allclose(kept.states.velocity[t], velocity, 1e-12)
        velocity = 0.5 * velocity + kept.inputs.gradient[t].numpy()
    np.testing.assert_allclose(carry.states.velocity, velocity, rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("length", [0, 1, 5, 8])
def test_a_tensor_length_stops_there_and_leaves_zeros_beyond(
    length, jit_compile
):
    capacity = 8
    run = compiled(
        lambda n: run_sgd(n, collect=everything, capacity=capacity),
        jit_compile,
    )
    carry, kept = run(tf.constant(length))
    np.testing.assert_allclose(carry.params, QUADRATIC.at(ETA, length), 1e-12)
    assert carry.step.numpy() == length
    for stack in tf.nest.flatten(kept):
        assert stack.shape[0] == capacity
        rest = stack.numpy()[length:]
        np.testing.assert_array_equal(rest, np.zeros_like(rest))
    x = np.array([QUADRATIC.at(ETA, t + 1) for t in range(length)])
    np.testing.assert_allclose(
        kept.next_params[:length], x.reshape(length, 3), rtol=1e-12
    )


def test_a_tensor_length_stops_at_the_capacity():
    carry, _ = run_sgd(tf.constant(9), capacity=4)
    assert carry.step.numpy() == 4


def test_an_int_length_may_be_below_its_capacity():
    carry, losses = run_sgd(2, capacity=4, collect=lambda step: step.loss)
    assert carry.step.numpy() == 2
    assert np.count_nonzero(losses) == 2
    assert losses.shape == (4,)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_another_tensor_length_never_retraces(jit_compile):
    traces = count_traces(
        lambda n: run_sgd(n, collect=lambda step: step.loss, capacity=8),
        *[(np.int32(n),) for n in (1, 8, 3)],
        jit_compile=jit_compile,
    )
    assert traces == 1


@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
@pytest.mark.parametrize("cell", [CELLS["dm"], CELLS["adam"]])
def test_two_pieces_are_one_piece_bit_for_bit(cell, way):
    cell, problem = cell(), small_mlp()

    def piece(carry, length):
        return unroll(
            cell,
            problem,
            carry,
            length,
            collect=lambda step: (step.loss, step.update),
            capacity=9,
        )

    if way != "eager":
        piece = compiled(piece, jit_compile=way == "xla")
    start = start_episode(cell, problem, SEED)
    whole, kept = piece(start, tf.constant(9))
    middle, first = piece(start, tf.constant(4))
    end, second = piece(middle, tf.constant(5))
    assert_same_bits(end, whole)
    joined = tf.nest.map_structure(
        lambda a, b: tf.concat([a[:4], b[:5]], axis=0), first, second
    )
    assert_same_bits(joined, kept)


def test_loss_and_gradient_of_a_step_see_one_minibatch():
    cell, problem = SGD(0.1), small_mlp()
    carry = start_episode(cell, problem, SEED)
    _, kept = unroll(cell, problem, carry, 3, collect=everything)
    x = carry.params
    for t in range(3):
        batch = problem.sample(kept.batch_seed[t])
        loss, gradient = problem.loss_and_gradient(x, (), batch)
        np.testing.assert_allclose(kept.loss[t], loss, rtol=1e-6)
        np.testing.assert_allclose(
            kept.inputs.gradient[t], gradient, rtol=1e-5, atol=1e-7
        )
        x = kept.next_params[t]


def test_every_step_sees_its_own_minibatch():
    cell, problem = SGD(0.1), small_mlp()
    carry = start_episode(cell, problem, SEED)
    _, kept = unroll(cell, problem, carry, 5, collect=everything)
    images = [problem.sample(s)[0].numpy() for s in kept.batch_seed]
    for a in range(5):
        expected = batch_seed(carry._replace(step=tf.constant(a)))
        np.testing.assert_array_equal(kept.batch_seed[a], expected)
        for b in range(a):
            assert (images[a] != images[b]).mean() > 0.5


def test_the_last_loss_is_on_one_more_minibatch():
    problem = small_mlp()
    carry = start_episode(SGD(), problem, SEED)
    # Weights of some size, so that the minibatch matters.
    carry = carry._replace(params=100.0 * carry.params)
    loss = last_loss(problem, carry)
    own = problem.sample(boundary_seed(carry))
    np.testing.assert_array_equal(loss, problem.loss(carry.params, (), own))
    _, step = inner_step(SGD(), problem, carry)
    assert abs(loss.numpy() - step.loss.numpy()) > 1e-4


class Spy(LearnableSGD):
    """Remember what the last call was given."""

    def call(self, inputs, states):
        self.given = inputs
        return super().call(inputs, states)


class ReadingSpy(Spy):
    """The same, but of a cell that reads params."""

    reads_params = True


def test_a_cell_that_does_not_read_params_gets_none():
    cell = Spy(ETA, dtype="float64")
    _, step = inner_step(cell, QUADRATIC, start_episode(cell, QUADRATIC, SEED))
    assert cell.given.params == ()
    assert step.inputs.params == ()


def test_a_cell_that_reads_params_gets_those_of_the_gradient():
    cell = ReadingSpy(ETA, dtype="float64")
    carry = start_episode(cell, QUADRATIC, SEED)
    for t in range(3):
        x = carry.params
        carry, step = inner_step(cell, QUADRATIC, carry)
        np.testing.assert_array_equal(cell.given.params, x)
        np.testing.assert_allclose(x, QUADRATIC.at(ETA, t), rtol=1e-12)
        np.testing.assert_array_equal(step.inputs.gradient, QUADRATIC.h * x)


def test_weight_decay_is_the_closed_form():
    cell = WeightDecay(ETA, 0.05, dtype="float64")
    carry = start_episode(cell, QUADRATIC, SEED)
    carry, kept = unroll(cell, QUADRATIC, carry, 6, collect=everything)
    factor = 1.0 - ETA * QUADRATIC.h - 0.05
    x = np.stack([factor**t * QUADRATIC.x0 for t in range(7)])
    np.testing.assert_allclose(kept.inputs.params, x[:-1], rtol=1e-12)
    np.testing.assert_allclose(carry.params, x[-1], rtol=1e-12)


def test_the_loss_and_the_number_of_the_step_reach_the_cell():
    cell = StepScaled(0.01, dtype="float64")
    carry = start_episode(cell, QUADRATIC, SEED)
    carry, _ = unroll(cell, QUADRATIC, carry, 5)
    x = QUADRATIC.x0
    for t in range(1, 6):
        loss = 0.5 * np.sum(QUADRATIC.h * x**2)
        x = x - 0.01 * t * loss * QUADRATIC.h * x
    np.testing.assert_allclose(carry.params, x, rtol=1e-12)


def test_given_weights_take_the_place_of_the_cells():
    carry, _ = run_sgd(3, meta_params=(tf.constant(0.3, tf.float64),))
    np.testing.assert_allclose(carry.params, QUADRATIC.at(0.3, 3), 1e-12)


@pytest.mark.parametrize(
    ("second_derivatives", "closed_form"),
    [
        (False, DiagonalQuadratic.first_order_gradient),
        (True, DiagonalQuadratic.exact_gradient),
    ],
)
def test_gradients_are_constants_unless_asked(second_derivatives, closed_form):
    eta = tf.constant(ETA, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(eta)
        carry, losses = run_sgd(
            5,
            meta_params=(eta,),
            second_derivatives=second_derivatives,
            collect=lambda step: step.loss,
        )
        total = tf.reduce_sum(losses) + last_loss(QUADRATIC, carry)
    np.testing.assert_allclose(
        tape.gradient(total, eta), closed_form(QUADRATIC, ETA, 5), rtol=1e-12
    )


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_every_cell_agrees_everywhere(cell):
    cell, problem = cell(), SmallProblem(np.load(FIXTURE))

    def run(seed):
        return unroll(
            cell,
            problem,
            start_episode(cell, problem, seed),
            6,
            collect=lambda step: (step.loss, step.update),
        )

    assert_same_everywhere(run, SEED, rtol=1e-5, atol=1e-5)


def test_a_tensor_length_needs_a_capacity():
    with pytest.raises(ValueError, match="Received: length=.*capacity=None"):
        run_sgd(tf.constant(3))


@pytest.mark.parametrize("capacity", [None, 4])
@pytest.mark.parametrize("length", [0, -5, True])
def test_an_int_length_is_positive(length, capacity):
    with pytest.raises(ValueError, match=f"Received: length={length}"):
        run_sgd(length, capacity=capacity)


@pytest.mark.parametrize("capacity", [0, -5, 2.0])
def test_a_capacity_is_a_positive_int(capacity):
    with pytest.raises(ValueError, match=f"Received: capacity={capacity}"):
        run_sgd(tf.constant(3), capacity=capacity)


def test_an_int_length_beyond_the_capacity_is_refused():
    with pytest.raises(ValueError, match="Received: length=5, capacity=4"):
        run_sgd(5, capacity=4)
