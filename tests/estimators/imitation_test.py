"""The imitation gradient against algebra and a plain loop under a tape."""

import numpy as np
import pytest
import tensorflow as tf
from support.cells import vector_layout
from support.closed_form import DiagonalQuadratic, NoisyQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.numerical import central_gradient
from support.small_problem import relative_error
from support.toy_cells import Ahead, LearnedStart, WeightDecay

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.imitation import ImitationGradient, imitation_window
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.random_scaling import RandomScaling
from l2o_tf.unroll import blocks
from l2o_tf.unroll.carry import batch_seed, boundary_seed, start_episode
from l2o_tf.unroll.engine import unroll

SEED = seeds.make_seed(3)
SIZE = 8
NOISY = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
CELLS = {
    "dm": lambda dtype="float64": DMLSTM(
        units=(3,), output_scale=0.3, dtype=dtype
    ),
    "rnnprop": lambda dtype="float64": RNNprop(
        (3,), projection_units=2, output_scale=0.3, dtype=dtype
    ),
}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def start(estimator, cell, problem, memory=(), seed=SEED):
    context = EpisodeContext(tf.constant(0), memory)
    return estimator.start(cell, problem, seed, context)


def windows(estimator, cell, problem, count=1, memory=(), seed=SEED):
    """Run some windows; return the estimates and the last carry."""
    carry = start(estimator, cell, problem, memory, seed)
    estimates = []
    for _ in range(count):
        estimate, carry = estimator.estimate(
            cell, problem, cell.meta_params(), carry
        )
        estimates.append(estimate)
    return estimates, carry


class ByHand:
    """The same windows as loops over Python lists and one tape."""

    def __init__(self, teacher, cell, problem, k=1, learner=None):
        self.teacher, self.cell, self.problem, self.k = (
            teacher,
            cell,
            problem,
            k,
        )
        self.carry = start_episode(teacher, problem, SEED)
        self.learner = learner
        if learner is None:
            self.learner = cell.get_initial_state(problem.layout)
        self.records = 0

    def _loss_and_gradient(self, x, batch):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = self.problem.loss(x, self.carry.constants, batch)
        return loss, tape.gradient(loss, x)

    def teach(self):
        """Make one update of the teacher; return (x, f, g, u)."""
        carry = self.carry
        batch = self.problem.sample(batch_seed(carry))
        loss, gradient = self._loss_and_gradient(carry.params, batch)
        inputs = OptimizerInputs(gradient, (), loss, carry.step + 1)
        update, states = self.teacher.call(inputs, carry.states)
        self.carry = carry._replace(
            params=carry.params + update, states=states, step=carry.step + 1
        )
        return carry.params, loss, gradient, update

    def window(self, length):
        """Return the loss, its gradient, the inputs and the labels."""
        inputs, labels = [], []
        for _ in range(length):
            taught = [self.teach() for _ in range(self.k)]
            x, loss, gradient, _ = taught[0]
            self.records += 1
            params = x if self.cell.reads_params else ()
            inputs.append(
                OptimizerInputs(
                    gradient, params, loss, tf.constant(self.records)
                )
            )
            labels.append(sum(update for *_, update in taught))
        weights = self.cell.meta_layout.split(self.cell.meta_params())
        state, total = self.learner, 0.0
        with tf.GradientTape() as tape:
            tape.watch(weights)
            for now, label in zip(inputs, labels, strict=True):
                update, state = self.cell.stateless_update(weights, now, state)
                total += 0.5 * tf.reduce_mean((label - update) ** 2)
        self.learner = state
        gradient = self.cell.meta_layout.flatten(tape.gradient(total, weights))
        return total, gradient, inputs, labels

    def last_loss(self):
        batch = self.problem.sample(boundary_seed(self.carry))
        return self.problem.loss(self.carry.params, (), batch)


def assert_same_windows(estimator, cell, problem, count, rtol=1e-10):
    """Compare windows with those by hand; return the latter's records."""
    hand = ByHand(estimator.teacher, cell, problem, estimator.teacher_steps)
    estimates, carry = windows(estimator, cell, problem, count)
    records = []
    for estimate in estimates:
        loss, gradient, inputs, labels = hand.window(estimator.unroll_length)
        np.testing.assert_allclose(estimate.meta_loss, loss, rtol=rtol)
        assert relative_error(estimate.meta_gradient, gradient) < rtol
        assert np.abs(gradient).max() > 0.0
        records.append((inputs, labels))
    np.testing.assert_allclose(carry.params, hand.carry.params, rtol=rtol)
    expected = (hand.carry.states, hand.learner)
    for a, b in zip(
        tf.nest.flatten(carry.states), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=10 * rtol, atol=rtol)
    return records


@pytest.mark.parametrize("length", [1, 2, 7, 20])
def test_loss_and_derivative_are_the_closed_form(length):
    # label = -lr g, u = -eta g: L = (eta - lr)^2 / 2 sum_t |g_t|^2 / N.
    rate, eta = 0.2, 0.11
    problem = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    estimator = ImitationGradient(SGD(rate, dtype="float64"), length)
    cell = LearnableSGD(eta, dtype="float64")
    (estimate,), carry = windows(estimator, cell, problem)
    squares = sum(
        np.mean((problem.h * problem.at(rate, t)) ** 2) for t in range(length)
    )
    np.testing.assert_allclose(
        estimate.meta_loss, 0.5 * (eta - rate) ** 2 * squares, rtol=1e-12
    )
    np.testing.assert_allclose(
        estimate.meta_gradient, [(eta - rate) * squares], rtol=1e-12
    )
    np.testing.assert_allclose(carry.params, problem.at(rate, length), 1e-12)
    last = 0.5 * np.sum(problem.h * problem.at(rate, length) ** 2)
    np.testing.assert_allclose(estimate.last_loss, last, rtol=1e-12)


def test_a_learner_that_does_as_the_teacher_has_no_loss_and_no_gradient():
    estimator = ImitationGradient(SGD(0.2, dtype="float64"), 4)
    (estimate,), _ = windows(
        estimator, LearnableSGD(0.2, dtype="float64"), NOISY
    )
    assert estimate.meta_loss.numpy() == 0.0
    assert estimate.meta_gradient.numpy() == [0.0]


def test_labels_of_three_steps_are_sums_and_inputs_every_third_gradient():
    rate, eta, length, k = 0.2, 0.11, 4, 3
    estimator = ImitationGradient(
        SGD(rate, dtype="float64"), length, teacher_steps=k
    )
    cell = LearnableSGD(eta, dtype="float64")
    (estimate,), carry = windows(estimator, cell, NOISY)
    # Descent in numpy; only the minibatches come from the package.
    x, gradients, minibatches = NOISY.x0, [], []
    for t in range(length * k):
        now = carry._replace(step=tf.constant(t))
        b = NOISY.sample(batch_seed(now)).numpy()
        gradients.append(NOISY.h * (x - b))
        minibatches.append(b)
        x = x - rate * gradients[-1]
    assert len({b.tobytes() for b in minibatches}) == length * k
    error, slope = 0.0, 0.0
    for r in range(length):
        g = gradients[r * k]
        label = -rate * np.sum(gradients[r * k : r * k + k], axis=0)
        error += 0.5 * np.mean((label + eta * g) ** 2)
        slope += np.mean((label + eta * g) * g)
    np.testing.assert_allclose(estimate.meta_loss, error, rtol=1e-12)
    np.testing.assert_allclose(estimate.meta_gradient, [slope], rtol=1e-12)
    np.testing.assert_allclose(carry.params, x, rtol=1e-12)
    assert carry.step.numpy() == length * k


def test_every_update_of_the_teacher_has_its_own_minibatch():
    carry = start_episode(SGD(0.1), NOISY, SEED)
    _, drawn = unroll(
        SGD(0.1, dtype="float64"),
        NOISY,
        carry,
        12,
        collect=lambda s: s.batch_seed,
    )
    assert len({tuple(s) for s in drawn.numpy()}) == 12


@each_cell
@pytest.mark.parametrize("k", [1, 3])
def test_windows_equal_a_python_loop_under_a_tape(cell, k):
    # Two windows: the learner's state, the teacher's, and the step number of
    # RNNprop's corrections, counted in records, are those of one long run.
    teacher = Adam(0.05, dtype="float64")
    estimator = ImitationGradient(teacher, 4, teacher_steps=k)
    records = assert_same_windows(estimator, cell(), NOISY, count=2)
    steps = [[int(i.step) for i in inputs] for inputs, _ in records]
    assert steps == [[1, 2, 3, 4], [5, 6, 7, 8]]


class Clock(LearnableSGD):
    """u_t = -eta t f_t g_t: tells what step and loss it was shown."""

    def call(self, inputs, states):
        update, states = super().call(inputs, states)
        step = tf.cast(inputs.step, update.dtype)
        return step * inputs.loss * update, states


@pytest.mark.parametrize("k", [1, 3])
def test_the_learner_is_shown_losses_and_its_own_count_of_steps(k):
    estimator = ImitationGradient(
        Momentum(0.05, dtype="float64"), 3, teacher_steps=k
    )
    cell = Clock(0.01, dtype="float64")
    assert_same_windows(estimator, cell, NOISY, count=3)


@pytest.mark.parametrize("k", [1, 2])
def test_a_learner_that_reads_params_gets_the_teachers(k):
    estimator = ImitationGradient(
        SGD(0.05, dtype="float64"), 3, teacher_steps=k
    )
    cell = WeightDecay(0.1, 0.02, dtype="float64")
    assert_same_windows(estimator, cell, NOISY, count=2)


@each_cell
@pytest.mark.parametrize("k", [1, 2])
def test_the_trajectory_is_that_of_the_teacher_alone(cell, k):
    teacher = Adam(0.05, dtype="float64")
    estimator = ImitationGradient(teacher, 3, teacher_steps=k)
    _, carry = windows(estimator, cell(), NOISY, count=2)
    alone, _ = unroll(
        teacher, NOISY, start_episode(teacher, NOISY, SEED), 6 * k
    )
    np.testing.assert_array_equal(carry.params, alone.params)
    for a, b in zip(carry.states.teacher, alone.states, strict=True):
        np.testing.assert_array_equal(a, b)
    assert carry.step.numpy() == 6 * k


@each_cell
def test_the_last_loss_is_the_teachers_on_the_boundary_minibatch(cell):
    teacher = Adam(0.05, dtype="float64")
    (estimate,), carry = windows(ImitationGradient(teacher, 3), cell(), NOISY)
    b = NOISY.sample(boundary_seed(carry)).numpy()
    expected = 0.5 * np.sum(NOISY.h * (carry.params.numpy() - b) ** 2)
    np.testing.assert_allclose(estimate.last_loss, expected, rtol=1e-12)


def old_memory(cell):
    """Return a state as an ordinary episode leaves it."""
    carry = start_episode(cell, NOISY, seeds.make_seed(8))
    return unroll(cell, NOISY, carry, 4)[0].states


def flat(nest):
    return [t.numpy() for t in tf.nest.flatten(nest)]


@each_cell
def test_an_episode_begins_from_zero_by_default(cell):
    cell = cell()
    estimator = ImitationGradient(SGD(0.1, dtype="float64"), 3)
    carry = start(estimator, cell, NOISY, old_memory(cell))
    assert all(not array.any() for array in flat(carry.states.learner))


@each_cell
def test_kept_memory_is_the_contexts_lstm_states_and_no_moments(cell):
    cell = cell()
    old = old_memory(cell)
    assert all(array.any() for array in flat(old))
    estimator = ImitationGradient(
        SGD(0.1, dtype="float64"), 3, keep_memory=True
    )
    carry = start(estimator, cell, NOISY, old)
    learner = carry.states.learner
    tf.nest.assert_same_structure(learner, old)
    lstm, old_lstm = learner, old
    if isinstance(cell, RNNprop):
        assert all(not moment.any() for moment in flat(learner.moments))
        lstm, old_lstm = learner.layers, old.layers
    for a, b in zip(flat(lstm), flat(old_lstm), strict=True):
        np.testing.assert_array_equal(a, b)
    assert carry.step.numpy() == 0


@each_cell
def test_windows_from_a_kept_memory_equal_those_by_hand(cell):
    cell = cell()
    estimator = ImitationGradient(
        SGD(0.1, dtype="float64"), 3, keep_memory=True
    )
    learner = start(estimator, cell, NOISY, old_memory(cell)).states.learner
    hand = ByHand(estimator.teacher, cell, NOISY, learner=learner)
    (kept,), _ = windows(estimator, cell, NOISY, memory=old_memory(cell))
    loss, gradient, *_ = hand.window(3)
    np.testing.assert_allclose(kept.meta_loss, loss, rtol=1e-10)
    assert relative_error(kept.meta_gradient, gradient) < 1e-10
    fresh = ImitationGradient(estimator.teacher, 3)
    (zero,), _ = windows(fresh, cell, NOISY)
    assert abs(zero.meta_loss / loss - 1.0) > 1e-3


@each_cell
def test_the_memory_of_a_carry_is_the_learners_state(cell):
    cell = cell()
    estimator = ImitationGradient(Adam(0.1, dtype="float64"), 3)
    _, carry = windows(estimator, cell, NOISY)
    tf.nest.assert_same_structure(
        estimator.memory(carry), cell.get_initial_state(NOISY.layout)
    )
    assert estimator.memory(carry) is carry.states.learner


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("block", [None, 3])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_window_may_be_a_slice_of_a_longer_record(
    name, jit_compile, block, monkeypatch
):
    # In a loop the slice's length is not known to the graph.
    if block:
        monkeypatch.setattr(blocks, "LONG", SIZE)
        monkeypatch.setattr(blocks, "BLOCK", block)
    cell, count, length = CELLS[name](), 3, 4
    random = np.random.RandomState(0)
    gradients, labels = random.randn(2, count * length, SIZE)
    inputs = OptimizerInputs(
        gradients, (), np.zeros(len(labels)), 1 + np.arange(len(labels))
    )
    record = tf.nest.map_structure(tf.constant, (inputs, labels))
    weights = cell.meta_layout.split(cell.meta_params())

    def window(i, record, states):
        sliced = tf.nest.map_structure(
            lambda stack: stack[i * length : (i + 1) * length], record
        )
        return imitation_window(cell, weights, *sliced, states, length)

    def summed(record):
        def body(i, states, loss, total):
            more, gradient, _, states = window(i, record, states)
            total = tf.nest.map_structure(tf.add, total, gradient)
            return i + 1, states, loss + more, total

        first = cell.get_initial_state(vector_layout(SIZE))
        zeros = tf.nest.map_structure(tf.zeros_like, weights)
        begin = tf.constant(0), first, tf.zeros([], tf.float64), zeros
        return tf.while_loop(lambda i, *_: i < count, body, begin)[2:]

    loss, gradient = compiled(summed, jit_compile)(record)
    expected_loss, states = 0.0, cell.get_initial_state(vector_layout(SIZE))
    expected = [np.zeros(w.shape) for w in weights]
    for i in range(count):
        more, each, _, states = window(i, record, states)
        expected_loss += more
        expected = [a + b for a, b in zip(expected, each, strict=True)]
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-10)
    for actual, by_hand in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(actual, by_hand, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
def test_an_optimizee_of_one_scalar_is_imitated(name):
    # Spec dm_rnnprop.md 12, B16: the released program drops scalars.
    estimator = ImitationGradient(Adam(0.05), 4, teacher_steps=2)
    assert_same_windows(
        estimator, CELLS[name]("float32"), Simple(), count=2, rtol=1e-5
    )


def test_random_scaling_labels_are_updates_of_the_scaled_params():
    # g' = r^2 h x', x'_{t+1} = (1 - lr r^2 h) x'_t.
    rate, eta, length = 0.05, 0.11, 5
    inner = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7], "float32")
    problem = RandomScaling(inner, log_scale_bound=1.0)
    estimator = ImitationGradient(SGD(rate), length)
    (estimate,), carry = windows(estimator, LearnableSGD(eta), problem)
    r = carry.constants[1].numpy().astype("f8")
    assert np.abs(np.log(r)).min() > 0.01
    scaled = DiagonalQuadratic(r**2 * inner.h, inner.x0 / r)
    squares = sum(
        np.mean((scaled.h * scaled.at(rate, t)) ** 2) for t in range(length)
    )
    np.testing.assert_allclose(
        estimate.meta_loss, 0.5 * (eta - rate) ** 2 * squares, rtol=1e-5
    )
    np.testing.assert_allclose(carry.params, scaled.at(rate, length), 1e-5)


def test_estimates_agree_everywhere():
    cell = CELLS["rnnprop"]()
    estimator = ImitationGradient(
        Adam(0.05, dtype="float64"), 4, teacher_steps=2
    )
    # The minibatches are float32: XLA rounds their last bit differently.
    assert_same_everywhere(
        lambda w, c: estimator.estimate(cell, NOISY, w, c),
        cell.meta_params(),
        start(estimator, cell, NOISY),
        rtol=1e-6,
        atol=1e-6,
    )


def test_windows_of_two_episodes_are_traced_once():
    cell = CELLS["rnnprop"]()
    estimator = ImitationGradient(
        Adam(0.05, dtype="float64"), 4, teacher_steps=2, keep_memory=True
    )
    weights = cell.meta_params()
    first = start(estimator, cell, NOISY, old_memory(cell))
    _, second = estimator.estimate(cell, NOISY, weights, first)
    other = start(estimator, cell, NOISY, old_memory(cell), seeds.make_seed(9))
    traces = count_traces(
        lambda w, c: estimator.estimate(cell, NOISY, w, c),
        (weights, first),
        (2.0 * weights, second),
        (weights, other),
    )
    assert traces == 1


@pytest.mark.parametrize("value", [0, -3, 1.5, True])
@pytest.mark.parametrize("argument", ["unroll_length", "teacher_steps"])
def test_numbers_are_positive_ints(argument, value):
    arguments = {"unroll_length": 3, argument: value}
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        ImitationGradient(SGD(0.1), **arguments)


def test_a_kept_memory_that_is_not_given_is_refused():
    estimator = ImitationGradient(SGD(0.1), 2, keep_memory=True)
    with pytest.raises(ValueError, match=r"Received: EpisodeContext.memory="):
        estimator.start(
            DMLSTM(units=(2,)),
            Simple(),
            seeds.make_seed(0),
            EpisodeContext(tf.constant(0), ()),
        )


def test_the_mean_over_steps_is_the_sum_divided_by_their_number():
    cell = CELLS["dm"]()
    total, mean = (
        windows(ImitationGradient(SGD(0.1), 4, reduction=word), cell, NOISY, 2)[
            0
        ]
        for word in ("sum", "mean")
    )
    for a, b in zip(total, mean, strict=True):
        np.testing.assert_allclose(b.meta_loss, a.meta_loss / 4, rtol=1e-12)
        np.testing.assert_allclose(
            b.meta_gradient, a.meta_gradient / 4, rtol=1e-10
        )


def test_a_reduction_is_one_of_two_words():
    with pytest.raises(ValueError, match="Received: reduction='max'"):
        ImitationGradient(SGD(0.1), 2, reduction="max")


def test_a_learner_that_looks_ahead_is_refused():
    with pytest.raises(ValueError, match="Received: cell=Ahead with looks_ah"):
        start(ImitationGradient(SGD(0.1), 2), Ahead(), Simple())


def test_a_length_is_refused():
    cell = LearnableSGD(0.1)
    estimator = ImitationGradient(SGD(0.1), 2)
    carry = start(estimator, cell, Simple())
    with pytest.raises(ValueError, match="one length. Received: length=1."):
        estimator.estimate(cell, Simple(), cell.meta_params(), carry, 1)


# Initial states that are learned


def learned_window(weights=None, count=1, memory=(), k=1):
    """Imitate from an episode's start; return the last window's estimate."""
    cell = LearnedStart(0.1, 0.5, 0.3, dtype="float64")
    estimator = ImitationGradient(
        Momentum(0.05, dtype="float64"), 4, k, keep_memory=bool(memory)
    )
    weights = cell.meta_params() if weights is None else tf.constant(weights)
    carry = estimator.start(
        cell, NOISY, SEED, EpisodeContext(tf.constant(0), memory), weights
    )
    for _ in range(count):
        estimate, carry = estimator.estimate(cell, NOISY, weights, carry)
    return estimate


@pytest.mark.parametrize("k", [1, 3])
def test_in_a_first_window_a_learned_state_has_the_slopes_gradient(k):
    cell = LearnedStart(0.1, 0.5, 0.3, dtype="float64")
    expected = central_gradient(
        lambda w: learned_window(w, k=k).meta_loss, cell.meta_params().numpy()
    )
    actual = learned_window(k=k).meta_gradient
    np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-11)
    assert abs(expected[2]) > 1e-4


def test_later_or_with_a_memory_a_learned_state_has_no_gradient():
    cell = LearnedStart(dtype="float64")
    memory = cell.get_initial_state(NOISY.layout)
    for estimate in (learned_window(count=2), learned_window(memory=memory)):
        assert estimate.meta_gradient[2].numpy() == 0.0
        assert np.abs(estimate.meta_gradient[:2]).min() > 1e-4
