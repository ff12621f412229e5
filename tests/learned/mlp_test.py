"""MetzMLP against NumPy, tensor by tensor; what its inputs see; derivatives."""

import inspect
import math
import pathlib

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cells import make_inputs
from support.closed_form import NoisyQuadratic
from support.execution import assert_same_everywhere
from support.numerical import central_gradient

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.interop.keras_optimizer import KerasOptimizer
from l2o_tf.learned.mlp import LEARNED_OPTIMIZATION, MetzMLP, MetzMLPState
from l2o_tf.learned.state_layout import layout_of
from l2o_tf.optimizers import adam, repaired  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = seeds.make_seed(3)
LAYOUT = Layout(("w", "b", "s"), ((3, 4), (5,), ()))
SIZE = LAYOUT.size
DECAYS = (0.5, 0.9, 0.99, 0.999, 0.9999)
OPTIONS = {
    "authors": {},
    "learned_optimization": LEARNED_OPTIMIZATION,
    "no_momentum": {"decays": ()},
    "no_time": {"time_scales": ()},
    "neither": {"decays": (), "time_scales": ()},
    "learned_optimization_neither": {
        **LEARNED_OPTIMIZATION,
        "decays": (),
        "time_scales": (),
    },
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def random_cell(seed=0, spread=0.5, **options):
    """Return a cell of random weights, whose updates are not tiny."""
    large = {"step_multiplier": 0.3, "exponent_multiplier": 0.2}
    cell = MetzMLP(**{**large, **options})
    values = spread * np.random.RandomState(seed).randn(cell.meta_layout.size)
    cell.assign_meta_params(values.astype(cell.compute_dtype))
    return cell


def episode(num_steps, seed=0):
    """Return gradients and params `[T, N]` of many sizes."""
    rng = np.random.RandomState(seed)
    sizes = 10.0 ** rng.uniform(-7, 3, [num_steps, SIZE])
    return rng.randn(num_steps, SIZE) * sizes, rng.randn(num_steps, SIZE)


def run(cell, gradients, params, layout=LAYOUT):
    """Return the updates `[T, N]` and the last state."""
    states, updates = cell.get_initial_state(layout), []
    for t, (g, x) in enumerate(zip(gradients, params, strict=True)):
        inputs = make_inputs(
            tf.constant(g, cell.compute_dtype),
            t + 1,
            tf.constant(x, cell.compute_dtype),
        )
        update, states = cell.call(inputs, states)
        updates.append(update)
    return np.stack(updates), states


def rows_of_a_tensor(g, w, m, r, t, scales, with_r):
    """Return the inputs `[n, F]` of a tensor's n coordinates, as printed."""
    columns = [g]
    pairs = list(zip(m, r, strict=True))
    if with_r:
        columns += [m_b / np.sqrt(r_b + 1e-6) for m_b, r_b in pairs]
    columns += [w, *m]
    if with_r:
        columns += [*r, *(1 / np.sqrt(r_b + 1e-6) for r_b in r)]
    rows = np.stack(columns, axis=1)
    rows = rows * (1e-5 + (rows**2).mean(axis=0)) ** -0.5
    times = [math.tanh(t / s - 1) for s in scales]
    return np.concatenate([rows, np.tile(times, (len(g), 1))], axis=1)


def numpy_updates(cell, gradients, params):
    """Render the optimizer by the spec: a tensor at a time, in float64."""
    weights = [np.float64(v.numpy()) for v in cell.trainable_variables]
    shape = (len(LAYOUT.sizes), len(cell.decays))
    averages = [[0.0] * shape[1] for _ in range(shape[0])]
    updates = np.zeros_like(gradients)
    for t in range(len(gradients)):
        for i, (begin, n) in enumerate(
            zip(LAYOUT.offsets, LAYOUT.sizes, strict=True)
        ):
            here = slice(begin, begin + n)
            g, w = gradients[t, here], params[t, here]
            averages[i] = [
                b * m + (1 - b) * g
                for b, m in zip(cell.decays, averages[i], strict=True)
            ]
            hidden = rows_of_a_tensor(
                g,
                w,
                averages[i],
                np.zeros((shape[1], n)),
                t,
                cell.time_scales,
                cell.second_moment_features,
            )
            for k in range(0, len(weights), 2):
                hidden = hidden @ weights[k] + weights[k + 1]
                if k < len(weights) - 2:
                    hidden = np.maximum(hidden, 0.0)
            d, a = hidden.T
            step = cell.step_multiplier * d
            updates[t, here] = -step * np.exp(cell.exponent_multiplier * a)
    return updates


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1090),
        ({"decays": ()}, 450),
        ({"time_scales": ()}, 802),
        ({"decays": (), "time_scales": ()}, 162),
        ({"second_moment_features": False}, 610),
        (LEARNED_OPTIMIZATION, 1762),
        ({**LEARNED_OPTIMIZATION, "units": (32,)}, 706),
        ({**LEARNED_OPTIMIZATION, "decays": ()}, 1570),
        ({**LEARNED_OPTIMIZATION, "time_scales": ()}, 1410),
        ({"units": (2, 3)}, 31 * 2 + 2 + 2 * 3 + 3 + 3 * 2 + 2),
    ],
    ids=str,
)
def test_weight_count(options, count):
    assert MetzMLP(**options).meta_layout.size == count


def test_weights_by_name_and_shape():
    meta = MetzMLP().meta_layout
    assert dict(zip(meta.names, meta.shapes, strict=True)) == {
        "linear_1/w": (31, 32), "linear_1/b": (32,),
        "linear_2/w": (32, 2), "linear_2/b": (2,),
    }  # fmt: skip


@each_option
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-11), ("float32", 1e-5)]
)
def test_thirty_five_updates_are_the_formula(options, dtype, tolerance):
    cell = random_cell(1, dtype=dtype, **options)
    gradients, params = episode(35)
    updates, _ = run(cell, gradients, params)
    expected = numpy_updates(cell, gradients, params)
    np.testing.assert_allclose(updates, expected, tolerance, tolerance)
    assert np.abs(expected).max() > 0.5
    assert len(np.unique(expected)) > 0.9 * expected.size


def test_the_authors_own_multipliers_are_the_formula_too():
    cell = MetzMLP(seed=2, dtype="float64")
    gradients, params = episode(3)
    updates, _ = run(cell, gradients, params)
    expected = numpy_updates(cell, gradients, params)
    np.testing.assert_allclose(updates, expected, 1e-11)
    assert cell.step_multiplier == cell.exponent_multiplier == 1e-3
    assert 1e-4 < np.abs(expected).max() < 1e-2


# What the inputs see


def input_row(row, gradients, params, **options):
    """Return one input of the MLP at the last step, `[N]`.

    The network is made to hand it through: ReLU(x + 50) - 50.
    """
    cell = MetzMLP(units=(1,), step_multiplier=-1.0, dtype="float64", **options)
    first, second = cell.linears
    choice = np.zeros(first.w.shape)
    choice[row] = 1.0
    first.w.assign(choice)
    first.b.assign([50.0])
    second.w.assign([[1.0, 0.0]])
    second.b.assign([-50.0, 0.0])
    updates, _ = run(cell, gradients, params)
    return updates[-1]


G, SCALED, W, M, R, INVERSE, TIME = 0, 1, 6, 7, 12, 17, 22


def test_the_inputs_of_r_are_zeros_and_ones():
    gradients, params = episode(3)
    for i in range(5):
        zeros = input_row(R + i, gradients, params)
        np.testing.assert_array_equal(zeros, np.zeros(SIZE))
        ones = input_row(INVERSE + i, gradients, params)
        np.testing.assert_allclose(ones, 1.0, rtol=0, atol=1e-11)


def test_every_input_is_where_the_spec_has_it():
    gradients, params = episode(3)
    begin, n = LAYOUT.offsets[1], LAYOUT.sizes[1]
    here = slice(begin, begin + n)
    m = [np.zeros(n)] * 5
    for g in gradients[:, here]:
        m = [b * a + (1 - b) * g for b, a in zip(DECAYS, m, strict=True)]
    scales = (3, 10, 30, 100, 300, 1000, 3000, 10000, 300000)
    rows = rows_of_a_tensor(
        gradients[-1, here], params[-1, here], m, np.zeros((5, n)), 2, scales,
        with_r=True,
    )  # fmt: skip
    assert rows.shape == (n, 31)
    for i in range(31):
        found = input_row(i, gradients, params)[here]
        np.testing.assert_allclose(found, rows[:, i], 1e-11, 1e-13)


@pytest.mark.parametrize(
    ("row", "floor"), [(SCALED, 1e-11), (SCALED + 4, 1e-11), (M, 1e-5)]
)
@pytest.mark.parametrize("rms", [1e3, 1.0, 3e-3, 3e-6, 1e-9])
def test_an_average_is_scale_free_above_its_floor(row, floor, rms):
    layout_rows = np.random.RandomState(0).randn(1, SIZE)
    decay = DECAYS[(row - 1) % 6]
    begin, n = LAYOUT.offsets[0], LAYOUT.sizes[0]
    own = layout_rows[:, begin : begin + n]
    unit = own[0] / np.sqrt((own**2).mean())
    # So that the average itself has that root mean square.
    gradients = layout_rows / np.sqrt((own**2).mean()) * rms / (1 - decay)
    found = input_row(row, gradients, np.ones((1, SIZE)))[:n]
    shrunk = 1.0 / math.sqrt(1.0 + floor / rms**2)
    np.testing.assert_allclose(found, shrunk * unit, rtol=0, atol=1e-11)
    if rms >= math.sqrt(floor):
        assert shrunk > 0.65


def test_the_scaled_averages_do_not_see_the_scale_where_the_plain_ones_do():
    gradients, params = episode(1, seed=4)
    small, large = (
        [input_row(row, scale * gradients, params)[:12] for row in (SCALED, M)]
        for scale in (1e-6, 1e-4)
    )
    np.testing.assert_allclose(small[0], large[0], rtol=1e-3)
    assert np.abs(small[1]).max() < 0.5 * np.abs(large[1]).max()


@pytest.mark.parametrize("step", [1, 2, 4, 301])
def test_time_is_that_before_the_step(step):
    scales = (3.0, 300.0)
    cell = MetzMLP(
        units=(1,),
        decays=(),
        time_scales=scales,
        step_multiplier=-1.0,
        dtype="float64",
    )
    first, second = cell.linears
    second.w.assign([[1.0, 0.0]])
    second.b.assign([-50.0, 0.0])
    first.b.assign([50.0])
    zeros = tf.zeros([SIZE], tf.float64)
    for i, scale in enumerate(scales):
        choice = np.zeros((4, 1))
        choice[2 + i] = 1.0
        first.w.assign(choice)
        update, _ = cell.call(
            make_inputs(zeros, step, zeros), cell.get_initial_state(LAYOUT)
        )
        expected = math.tanh((step - 1) / scale - 1)
        np.testing.assert_allclose(update, expected, rtol=0, atol=1e-13)
        if step == 1:
            assert expected == math.tanh(-1)


def test_a_scalar_tensors_inputs_are_signs_unless_tiny():
    gradients = np.full((1, SIZE), -0.5)
    found = input_row(G, gradients, np.full((1, SIZE), 1e-4))
    np.testing.assert_allclose(found[-1], -1.0, rtol=1e-4)
    found = input_row(W, gradients, np.full((1, SIZE), 1e-4))
    np.testing.assert_allclose(found[-1], 1e-4 / math.sqrt(1e-5 + 1e-8))


@each_option
def test_a_tensor_sees_its_own_coordinates_only(options):
    cell = random_cell(2, **options)
    gradients, params = episode(2)
    changed, moved = gradients.copy(), params.copy()
    changed[:, 1:5] += 7.0
    moved[:, 1:5] -= 3.0
    one, _ = run(cell, gradients, params)
    other, _ = run(cell, changed, moved)
    np.testing.assert_allclose(one[:, 12:], other[:, 12:], rtol=1e-6)
    # The first coordinate, by its tensor's mean squares.
    assert (one[:, 0] != other[:, 0]).all()
    assert not cell.coordinatewise


def test_without_time_an_update_does_not_see_the_step():
    gradients, _ = episode(1)
    for scales, same in (((), True), ((3.0,), False)):
        cell = random_cell(time_scales=scales)
        updates = [
            cell.call(
                make_inputs(gradients[0].astype("f4"), t, tf.ones([SIZE])),
                cell.get_initial_state(LAYOUT),
            )[0].numpy()
            for t in (1, 50)
        ]
        assert np.array_equal(*updates) == same


def test_without_momentum_an_update_does_not_see_earlier_gradients():
    gradients, params = episode(2)
    for decays, same in (((), True), ((0.5,), False)):
        cell = random_cell(decays=decays, time_scales=())
        one, _ = run(cell, gradients, params)
        other, _ = run(cell, gradients * [[-1.0], [1.0]], params)
        assert np.array_equal(one[1], other[1]) == same


# The update


def test_an_output_layer_of_zeros_makes_no_update():
    cell = MetzMLP()
    cell.linears[-1].w.assign(tf.zeros([32, 2]))
    updates, _ = run(cell, *episode(4))
    np.testing.assert_array_equal(updates, np.zeros([4, SIZE]))


def test_direction_and_size_come_from_the_output_bias():
    cell = MetzMLP(dtype="float64")
    cell.linears[-1].w.assign(tf.zeros([32, 2]))
    cell.linears[-1].b.assign([2.0, math.log(3.0) / 0.001])
    updates, _ = run(cell, *episode(2))
    np.testing.assert_allclose(updates, -0.006, rtol=1e-12)


# Derivatives

CURVATURE = tf.constant(np.linspace(0.2, 3.0, SIZE))
TARGET = tf.constant(np.linspace(-1.0, 2.0, SIZE))


def total_loss(cell, weights, steps=3):
    """Add f(x_1) .. f(x_3) of 1/2 sum_i h_i (x_i - c_i)^2 up, x_0 = 0.5."""
    parts = tuple(cell.meta_layout.split(weights))
    x = tf.fill([SIZE], tf.constant(0.5, tf.float64))
    states, total = cell.get_initial_state(LAYOUT), 0.0
    for t in range(1, steps + 1):
        inputs = make_inputs(CURVATURE * (x - TARGET), t, x)
        update, states = cell.stateless_update(parts, inputs, states)
        x += update
        total += 0.5 * tf.reduce_sum(CURVATURE * (x - TARGET) ** 2)
    return total


@pytest.mark.parametrize(
    "options",
    [
        {"units": (3,)},
        {**LEARNED_OPTIMIZATION, "units": (3, 2)},
        {"units": (3,), "decays": ()},
    ],
    ids=["authors", "learned_optimization", "no_momentum"],
)
def test_the_meta_gradient_is_the_slope(options):
    """Through params and gradients too, as with second derivatives."""
    cell = random_cell(6, dtype="float64", **options)
    weights = cell.meta_params()
    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = total_loss(cell, weights)
    gradient = tape.gradient(total, weights).numpy()
    loss = tf.function(lambda w: total_loss(cell, w))
    expected = central_gradient(
        lambda w: loss(tf.constant(w)).numpy(), weights.numpy(), 1e-6
    )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, 1e-6, 1e-7 * scale)
    first = gradient[: cell.linears[0].w.shape[0] * cell.units[0]]
    if options["units"] == (3,) and "decays" not in options:
        dead = first.reshape(31, 3)[R : R + 5]
        np.testing.assert_array_equal(dead, np.zeros((5, 3)))
        assert np.count_nonzero(first) >= 26


class Matrix(NoisyQuadratic):
    """A noisy quadratic of three tensors."""

    def __init__(self):
        random = np.random.RandomState(0)
        super().__init__(random.rand(SIZE), random.randn(SIZE))
        self.layout = LAYOUT


@pytest.mark.parametrize(
    "options", [{}, LEARNED_OPTIMIZATION, {"decays": (), "time_scales": ()}],
    ids=["authors", "learned_optimization", "neither"],
)  # fmt: skip
def test_the_adjoint_equals_the_tape(options):
    cell = random_cell(8, dtype="float64", **{**options, "units": (3,)})
    problem = Matrix()
    context = EpisodeContext(tf.constant(0), ())
    adjoint, tape, second = (
        e.estimate(
            cell,
            problem,
            cell.meta_params(),
            e.start(cell, problem, SEED, context),
        )[0].meta_gradient.numpy()
        for e in (
            TruncatedBackpropagation(3, backward="adjoint"),
            TruncatedBackpropagation(3, backward="tape"),
            TruncatedBackpropagation(3, second_derivatives=True),
        )
    )
    scale = np.abs(tape).max()
    np.testing.assert_allclose(adjoint, tape, 1e-10, 1e-12 * scale)
    assert np.abs(second - tape).max() > 1e-3 * scale


@pytest.mark.parametrize("name", ["authors", "learned_optimization_neither"])
def test_derivatives_agree_eagerly_in_a_graph_and_under_xla(name):
    options = OPTIONS[name]
    units = tuple(3 for _ in options.get("units", (32,)))
    cell = random_cell(3, **{**options, "units": units})
    gradients, params = (a.astype("f4") for a in episode(2))

    def slope(gradients, params, weights):
        with tf.GradientTape() as tape:
            tape.watch([weights, params])
            parts = tuple(cell.meta_layout.split(weights))
            states, total = cell.get_initial_state(LAYOUT), 0.0
            for t in range(2):
                inputs = make_inputs(gradients[t], t + 1, params[t])
                update, states = cell.stateless_update(parts, inputs, states)
                total += tf.reduce_sum(tf.square(update - 1.0))
        return tape.gradient(total, [weights, params])

    of_weights, of_params = assert_same_everywhere(
        slope, gradients, params, cell.meta_params(), rtol=1e-5, atol=1e-5
    )
    assert np.count_nonzero(of_weights) > of_weights.size // 2
    assert np.count_nonzero(of_params) > SIZE


# Weights, states and arguments


def test_initial_weights_have_the_libraries_spread():
    cells = [MetzMLP(seed=s) for s in range(6)]
    for i, fan_in in ((0, 31), (1, 32)):
        sigma = fan_in**-0.5
        values = np.concatenate([c.linears[i].w.numpy().ravel() for c in cells])
        assert np.abs(values).max() <= 2 * sigma
        tolerance = 5 / math.sqrt(2 * values.size)
        assert values.std() == pytest.approx(0.87963 * sigma, rel=tolerance)
        for cell in cells:
            assert not np.any(cell.linears[i].b)


def test_seeds_decide_the_initial_weights():
    a, b, c = (MetzMLP(seed=s).meta_params() for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).numpy().sum() == 1090 - 34  # all but the biases


def test_the_state_is_the_averages_and_knows_its_layout():
    cell = MetzMLP(dtype="float64")
    gradients, params = episode(2)
    _, states = run(cell, gradients, params)
    decays = np.array(DECAYS)[:, np.newaxis]
    expected = (1 - decays) * (decays * gradients[0] + gradients[1])
    np.testing.assert_allclose(states.moments, expected, rtol=1e-11)
    assert layout_of(states) == LAYOUT
    assert isinstance(states, MetzMLPState)
    empty = MetzMLP(decays=()).get_initial_state(LAYOUT)
    assert empty.moments.shape == (0, SIZE)


def test_a_state_without_a_layout_is_refused():
    cell = MetzMLP()
    inputs = make_inputs(tf.ones([3]), params=tf.ones([3]))
    with pytest.raises(ValueError, match="Received: a plain MetzMLPState"):
        cell.call(inputs, MetzMLPState(tf.zeros([5, 3])))


@pytest.mark.parametrize("options", [{}, {"decays": ()}], ids=str)
def test_keras_trains_with_it_tensor_by_tensor(options):
    cell = random_cell(5, **options)
    gradients, _ = episode(2)
    start = np.random.RandomState(1).randn(SIZE)
    variables = [
        keras.Variable(part)
        for part in LAYOUT.split(tf.constant(start, tf.float32))
    ]
    optimizer = KerasOptimizer(cell)
    x = start
    states = cell.get_initial_state(LAYOUT)
    for t in range(2):
        parts = LAYOUT.split(tf.constant(gradients[t], tf.float32))
        optimizer.apply(list(parts), variables)
        inputs = make_inputs(
            gradients[t].astype("f4"), t + 1, tf.constant(x, tf.float32)
        )
        update, states = cell.call(inputs, states)
        x = x + update.numpy()
    found = LAYOUT.flatten([tf.convert_to_tensor(v) for v in variables])
    np.testing.assert_allclose(found, x, rtol=1e-5, atol=1e-6)
    assert np.abs(x - start).max() > 0.1


@pytest.mark.parametrize(
    ("part", "count", "default"),
    [
        ("mlp.gin", 1090, {}),
        ("mlp_learned_optimization.gin", 1762, LEARNED_OPTIMIZATION),
    ],
)
def test_a_gin_part_binds_every_argument(part, count, default):
    gin.parse_config("seed = 5")
    gin.parse_config_file(
        str(ROOT / "gin/parts/optimizers" / part), skip_unknown=["Trainer"]
    )
    cell = gin.get_configurable(MetzMLP)()
    bound = gin.get_bindings(MetzMLP)
    arguments = inspect.signature(MetzMLP).parameters
    assert set(bound) == set(arguments) - {"dtype", "name"}
    assert cell.seed == 5
    expected = MetzMLP(seed=5, name=cell.name, **default)
    assert cell.get_config() == expected.get_config()
    assert cell.meta_layout.size == count


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"units": ()}, r"units=\(\)"),
        ({"units": 32}, "units=32"),
        ({"units": (32, 0)}, "units=0"),
        ({"decays": 0.9}, "decays=0.9"),
        ({"decays": (0.9, 1.0)}, "decays=1.0"),
        ({"decays": (-0.1,)}, "decays=-0.1"),
        ({"time_scales": None}, "time_scales=None"),
        ({"time_scales": (3.0, 0.0)}, "time_scales=0.0"),
        ({"time_scales": (math.inf,)}, "time_scales=inf"),
        ({"second_moment_features": 1}, "second_moment_features=1"),
        ({"step_multiplier": "0.001"}, "step_multiplier='0.001'"),
        ({"exponent_multiplier": math.nan}, "exponent_multiplier=nan"),
        ({"seed": 1.5}, "seed=1.5"),
    ],
)
def test_bad_arguments_are_refused(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        MetzMLP(**arguments)
