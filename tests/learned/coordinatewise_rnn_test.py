"""The coordinate-wise RNN against NumPy; its start and its weights."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed, make_inputs, vector_layout

from l2o_tf.core import seeds
from l2o_tf.learned.coordinatewise_rnn import CoordinatewiseRNN, mirrored_asinh
from l2o_tf.learned.weights import load_cell, save_weights

SHAPES = {
    "initial_layers": (80,), "w_update": (20, 1),
    "lstm_1/w_gates": (21, 80), "lstm_1/b_gates": (80,),
    "lstm_2/w_gates": (40, 80), "lstm_2/b_gates": (80,),
    "decay/w": (20, 1), "decay/b": (1,), "rate/w": (20, 1), "rate/b": (1,),
}  # fmt: skip


def shapes_of(cell):
    """Return the weights' shapes by name, without the cell's own name."""
    return {
        name.removeprefix(f"{cell.name}/"): shape
        for name, shape in zip(
            cell.meta_layout.names, cell.meta_layout.shapes, strict=True
        )
    }


def named_weights(cell):
    """Return the weights by name, float64."""
    parts = cell.meta_layout.split(cell.meta_params())
    return {
        name: part.numpy().astype(np.float64)
        for name, part in zip(shapes_of(cell), parts, strict=True)
    }


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def numpy_lstm(weights, bias, x, hidden, memory):
    """Run one step on `[N, F]`, gates in the order i, j, f, o."""
    gates = np.concatenate([x, hidden], axis=1) @ weights + bias
    i, j, f, o = np.split(gates, 4, axis=1)
    memory = sigmoid(f + 1.0) * memory + sigmoid(i) * np.tanh(j)
    return sigmoid(o) * np.tanh(memory), memory


def numpy_updates(w, units, gradients):
    """Render the optimizer coordinates-first; return updates and the state."""
    n = gradients.shape[1]
    parts = np.split(w["initial_layers"], np.cumsum(np.repeat(units, 2))[:-1])
    state = [np.tile(p, (n, 1)) for p in parts]  # c, h, c, h
    ms, decay, rate = np.ones((n, 1)), np.ones((n, 1)), np.ones((n, 1))
    updates = []
    for g in gradients.astype(np.float64)[..., np.newaxis]:
        ms = (1 - decay) * (g**2 + 1e-12) + decay * ms
        out = np.arcsinh(g / np.sqrt(ms + 1e-16))
        for k in range(len(units)):
            name = f"lstm_{k + 1}"
            out, state[2 * k] = numpy_lstm(
                w[f"{name}/w_gates"],
                w[f"{name}/b_gates"],
                out,
                state[2 * k + 1],
                state[2 * k],
            )
            state[2 * k + 1] = out
        decay = sigmoid(out @ w["decay/w"] + w["decay/b"])
        rate = rate * 2 * sigmoid(out @ w["rate/w"] + w["rate/b"])
        updates.append(-(rate * (out @ w["w_update"]))[:, 0])
    return np.stack(updates), (ms, decay, rate, state)


def test_weight_count_names_and_shapes():
    cell = CoordinatewiseRNN()
    assert cell.meta_layout.size == 5182
    assert shapes_of(cell) == SHAPES


@pytest.mark.parametrize("units", [(20, 20), (3,), (2, 4, 3)])
@pytest.mark.parametrize(
    ("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-9)]
)
def test_updates_and_states_are_the_formula(units, dtype, rtol):
    rng = np.random.RandomState(1)
    cell = CoordinatewiseRNN(units, seed=3, dtype=dtype)
    noise = 0.2 * rng.randn(cell.meta_layout.size)
    cell.assign_meta_params((cell.meta_params() + noise).numpy())
    gradients = rng.randn(6, 5) * np.array([1e-5, 1e-2, 1.0, 30.0, 1e5])
    gradients = gradients.astype(dtype)
    updates, states = feed(cell, gradients)
    expected, (ms, decay, rate, layers) = numpy_updates(
        named_weights(cell), units, gradients
    )
    atol = rtol / 10
    np.testing.assert_allclose(updates, expected, rtol, atol)
    np.testing.assert_allclose(states.mean_square, ms[:, 0], rtol)
    np.testing.assert_allclose(states.decay, decay[:, 0], rtol)
    np.testing.assert_allclose(states.learning_rate, rate[:, 0], rtol)
    actual = [t for s in states.layers for t in (s.memory, s.hidden)]
    for a, e in zip(actual, layers, strict=True):
        np.testing.assert_allclose(tf.transpose(a), e, rtol, atol)


def test_the_first_step_leaves_the_mean_square_at_one():
    gradients = np.array([[3.0, -1e-3, 0.0, 1e6]], "f4")
    _, states = feed(CoordinatewiseRNN((2,)), gradients)
    np.testing.assert_array_equal(states.mean_square, 1.0)


def test_the_mean_square_cannot_become_zero():
    # The decay at its strongest, where the least of 1 is left.
    cell = CoordinatewiseRNN((2,))
    parts = named_weights(cell)
    parts["decay/b"][:] = -200.0
    values = [tf.constant(part, tf.float32) for part in parts.values()]
    cell.assign_meta_params(cell.meta_layout.flatten(values))
    updates, states = feed(cell, np.zeros([4, 3], "f4"))
    np.testing.assert_array_equal(states.decay, 0.0)
    np.testing.assert_allclose(states.mean_square, 1e-12, rtol=1e-6)
    assert np.isfinite(updates).all()


def test_asinh_is_right_on_both_sides():
    q = np.array([0.0, 1e-2, 1.0, 50.0, 1e4, 1e15], "f4")
    q = np.concatenate([-q[::-1], q])
    np.testing.assert_allclose(
        mirrored_asinh(tf.constant(q)), np.arcsinh(q), rtol=1e-5
    )
    # What the formula of a positive q would give for a negative one.
    low = np.float32(-1e4)
    assert low + np.sqrt(np.float32(1.0) + low * low) == 0.0


def test_asinh_has_its_derivative_everywhere():
    q = tf.constant([-1e3, -2.0, 0.0, 2.0, 1e3])
    with tf.GradientTape() as tape:
        tape.watch(q)
        y = mirrored_asinh(q)
    expected = 1.0 / np.sqrt(1.0 + q.numpy() ** 2)
    np.testing.assert_allclose(tape.gradient(y, q), expected, rtol=1e-5)


def test_the_state_starts_from_the_weights_memory_before_hidden():
    cell = CoordinatewiseRNN((2, 3), seed=5)
    state = cell.get_initial_state(vector_layout(4))
    w = named_weights(cell)["initial_layers"]
    first, second = state.layers
    for tensor, part in (
        (first.memory, w[:2]),
        (first.hidden, w[2:4]),
        (second.memory, w[4:7]),
        (second.hidden, w[7:]),
    ):
        np.testing.assert_array_equal(tensor, np.tile(part, (4, 1)).T)
    for tensor in state[:3]:
        np.testing.assert_array_equal(tensor, np.ones(4, "f4"))


def rates(draw, low=1e-6, high=1e-2, size=4000, **arguments):
    cell = CoordinatewiseRNN(
        (2,), initial_learning_rate_range=(low, high), **arguments
    )
    if draw is not None:
        draw = seeds.make_seed(draw)
    return cell.get_initial_state(vector_layout(size), draw).learning_rate


def test_rates_start_log_uniform_in_their_range():
    logs = np.log(rates(3).numpy().astype(np.float64))
    low, high = math.log(1e-6), math.log(1e-2)
    unit = (logs - low) / (high - low)
    assert unit.min() > -1e-6
    assert unit.max() < 1 + 1e-6
    # Kolmogorov-Smirnov: exceeded by chance with probability 1e-7.
    steps = np.arange(4000) / 4000
    distance = np.abs(np.sort(unit) - steps).max()
    assert distance < 2.9 / math.sqrt(4000)


def test_the_seed_of_the_state_decides_the_rates():
    np.testing.assert_array_equal(rates(3), rates(3))
    assert (rates(3) != rates(4)).numpy().mean() > 0.99
    # Without one, the cell's own decides.
    np.testing.assert_array_equal(rates(None), rates(None))
    assert (rates(None) != rates(None, seed=1)).numpy().mean() > 0.99


def test_equal_ends_are_the_rate():
    np.testing.assert_array_equal(rates(3, 0.1, 0.1, 5), np.full(5, 0.1, "f4"))


def test_updates_are_proportional_to_the_initial_rates():
    gradients = np.random.RandomState(0).randn(3, 4).astype("f4")
    cell = CoordinatewiseRNN((2,), initial_learning_rate_range=(1e-4, 1e-1))
    unit, _ = feed(CoordinatewiseRNN((2,)), gradients)
    state = cell.get_initial_state(vector_layout(4), seeds.make_seed(1))
    updates, _ = feed(cell, gradients, state)
    expected = state.learning_rate * unit
    np.testing.assert_allclose(updates, expected, rtol=1e-5)


def test_a_weights_file_brings_it_back(tmp_path):
    cell = CoordinatewiseRNN((3, 2), (1e-3, 1e-2), seed=4)
    values = cell.meta_params() + 0.5
    save_weights(tmp_path / "w.npz", cell, values, {})
    back, _ = load_cell(tmp_path / "w.npz")
    assert type(back) is CoordinatewiseRNN
    assert back.get_config() == cell.get_config()
    np.testing.assert_array_equal(back.meta_params(), values)


def test_the_meta_gradient_reaches_every_weight_and_is_finite():
    cell = CoordinatewiseRNN((3, 2), seed=1)
    gradients = np.random.RandomState(0).randn(4, 6).astype("f4")
    gradients[0] = [-1e5, 1e5, 0.0, -1.0, 1.0, 1e-8]
    weights = tuple(tf.convert_to_tensor(w) for w in cell.trainable_variables)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        state = cell.stateless_initial_state(
            weights, vector_layout(6), seeds.make_seed(0)
        )
        total = 0.0
        for t, gradient in enumerate(gradients, start=1):
            update, state = cell.stateless_update(
                weights, make_inputs(gradient, t), state
            )
            total += tf.reduce_sum(t * update)
    for name, g in zip(
        cell.meta_layout.names, tape.gradient(total, weights), strict=True
    ):
        assert np.isfinite(g).all(), name
        assert (g.numpy() != 0.0).all(), name


def values_of_seeds():
    cells = [named_weights(CoordinatewiseRNN(seed=s)) for s in range(12)]
    return {n: np.concatenate([c[n].ravel() for c in cells]) for n in SHAPES}


def test_initial_weights_have_the_specified_distribution():
    values = values_of_seeds()
    for name in ("w_update", "decay/w", "rate/w"):
        n = values[name].size
        sigma = 0.5 / math.sqrt(20)
        # 4.5 standard errors of a mean and of a standard deviation.
        assert abs(values[name].mean()) < sigma * 4.5 / math.sqrt(n), name
        spread = values[name].std() / sigma - 1
        assert abs(spread) < 4.5 / math.sqrt(2 * n), name
    start = values["initial_layers"]
    assert 0.98 < np.abs(start).max() < 1.0
    assert start.std() == pytest.approx(1 / math.sqrt(3), rel=0.06)
    np.testing.assert_array_equal(values["decay/b"], np.float32(2.2))
    np.testing.assert_array_equal(values["rate/b"], 0.0)
    assert len({v.tobytes() for v in values.values()}) == len(SHAPES)


def test_seeds_decide_the_initial_weights():
    a, b, c = (CoordinatewiseRNN((3,), seed=s).meta_params() for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).numpy().mean() > 0.95


@pytest.mark.parametrize(
    ("argument", "value", "received"),
    [
        ("units", (0,), "units=0"),
        ("units", (), r"units=\(\)"),
        ("initial_learning_rate_range", (0.0, 1.0), "{}=0.0"),
        ("initial_learning_rate_range", (1e-3, math.inf), "{}=inf"),
        ("initial_learning_rate_range", (1.0, 0.5), r"{}=\(1.0, 0.5\)"),
        ("initial_learning_rate_range", (1.0,), r"{}=\(1.0,\)"),
        ("initial_learning_rate_range", 0.1, "{}=0.1"),
        ("seed", "3", "seed='3'"),
    ],
)
def test_bad_arguments_are_refused(argument, value, received):
    message = f"Received: {received.format(argument)}"
    with pytest.raises(ValueError, match=message):
        CoordinatewiseRNN(**{argument: value})
