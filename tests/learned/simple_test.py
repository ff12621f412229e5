"""SimpleOptimizer against NumPy; its zeros, its symmetry, its derivatives."""

import inspect
import math
import pathlib

import gin
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import feed, make_inputs, vector_layout
from support.closed_form import NoisyQuadratic
from support.execution import assert_same_everywhere
from support.numerical import central_gradient

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.activations import ShowsActivations
from l2o_tf.learned.simple import SimpleOptimizer, sum_over_coordinates
from l2o_tf.optimizers import adam  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = seeds.make_seed(3)
WITHOUT_BIAS = {
    "default": {},
    "no_aggregate": {"aggregate": "none"},
    "recurrent_aggregate": {"recurrent_aggregate": True},
    "max": {"aggregate": "max"},
    "sum_over_root": {"aggregate": "sum_over_root"},
    "recurrent_max": {"aggregate": "max", "recurrent_aggregate": True},
}
OPTIONS = {
    **WITHOUT_BIAS,
    "bias": {"use_bias": True},
    "bias_no_aggregate": {"use_bias": True, "aggregate": "none"},
    "bias_recurrent": {"use_bias": True, "recurrent_aggregate": True},
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
each_without_bias = pytest.mark.parametrize(
    "options", WITHOUT_BIAS.values(), ids=WITHOUT_BIAS
)


def random_cell(seed=0, spread=0.4, **options):
    """Return a cell all of whose weights are random, biases and shares too."""
    cell = SimpleOptimizer(**{"output_scale": 1.0, **options})
    size = cell.meta_layout.size
    values = spread * np.random.RandomState(seed).randn(size)
    cell.assign_meta_params(values.astype(cell.compute_dtype))
    return cell


def named(cell):
    """Return the weights by their own names, float64."""
    return {
        v.name: v.numpy().astype(np.float64) for v in cell.trainable_variables
    }


AGGREGATE = {
    "mean": lambda h: h.mean(axis=0),
    "max": lambda h: h.max(axis=0),
    "sum_over_root": lambda h: h.sum(axis=0) / math.sqrt(len(h)),
}


def numpy_updates(
    w, gradients, aggregate="mean", recurrent_aggregate=False, use_bias=False
):
    """Render the optimizer coordinates-first, as the spec writes it."""
    n = gradients.shape[1]
    h = np.zeros((n, w["w_input"].shape[1]))

    def concatenated(h):
        if aggregate == "none":
            return h
        a = np.tile(AGGREGATE[aggregate](h), (n, 1))
        return np.concatenate([w["alpha"] * h, w["beta"] * a], axis=1)

    updates = []
    for g in gradients.astype(np.float64):
        old = concatenated(h) if recurrent_aggregate else h
        summed = g[:, np.newaxis] @ w["w_input"] + old @ w["w_recurrent"]
        h = np.tanh(summed + (w["b_hidden"] if use_bias else 0.0))
        out = concatenated(h) @ w["w_output"]
        updates.append((out + (w["b_output"] if use_bias else 0.0))[:, 0])
    return np.stack(updates), h


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 132),
        ({"aggregate": "max"}, 132),
        ({"aggregate": "sum_over_root"}, 132),
        ({"use_bias": True}, 143),
        ({"recurrent_aggregate": True}, 232),
        ({"recurrent_aggregate": True, "use_bias": True}, 243),
        ({"aggregate": "none"}, 120),
        ({"aggregate": "none", "use_bias": True}, 131),
        ({"units": 4}, 4 + 16 + 8 + 2),
    ],
)
def test_weight_count(options, count):
    assert SimpleOptimizer(**options).meta_layout.size == count


def test_weights_by_name_and_shape():
    cell = SimpleOptimizer(use_bias=True, recurrent_aggregate=True)
    assert {v.name: tuple(v.shape) for v in cell.trainable_variables} == {
        "w_input": (1, 10), "w_recurrent": (20, 10), "b_hidden": (10,),
        "alpha": (), "beta": (), "w_output": (20, 1), "b_output": (1,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "dtype", "tolerance"),
    [
        ({}, "float64", 1e-13),
        *((options, "float32", 1e-6) for options in OPTIONS.values()),
    ],
    ids=str,
)
def test_fifty_updates_are_the_formula(options, dtype, tolerance):
    cell = random_cell(1, 0.3, output_scale=0.5, dtype=dtype, **options)
    rng = np.random.RandomState(2)
    gradients = rng.randn(50, 6) * np.array([1e-3, 0.1, 1.0, 3.0, 30.0, 1e4])
    gradients = gradients.astype(dtype)
    updates, states = feed(cell, gradients)
    expected, hidden = numpy_updates(named(cell), gradients, **options)
    np.testing.assert_allclose(updates, 0.5 * expected, 0.0, tolerance)
    np.testing.assert_allclose(
        tf.transpose(states.hidden), hidden, 0.0, tolerance
    )
    assert np.abs(expected).max() > 0.1


@each_without_bias
def test_at_rest_an_update_is_exactly_zero(options):
    params = np.random.RandomState(0).randn(300).astype("f4")
    for cell in (SimpleOptimizer(**options), random_cell(5, 3.0, **options)):
        updates, states = feed(cell, np.zeros([3, 300], "f4"))
        np.testing.assert_array_equal(updates, np.zeros([3, 300]))
        np.testing.assert_array_equal(states.hidden, np.zeros([10, 300]))
        for update in updates.numpy():
            assert (params + update).tobytes() == params.tobytes()


@pytest.mark.parametrize("aggregate", ["mean", "none"])
def test_with_a_bias_there_is_no_rest(aggregate):
    cell = random_cell(use_bias=True, aggregate=aggregate)
    updates, _ = feed(cell, np.zeros([2, 4], "f4"))
    assert np.abs(updates).min() > 1e-3


def contracting(**options):
    """Return a cell whose recurrence shrinks h to 0.6 of it, or less."""
    cell = random_cell(7, **options)
    matrix = named(cell)["w_recurrent"]
    cell.w_recurrent.assign(0.6 * matrix / np.linalg.norm(matrix))
    if cell.recurrent_aggregate:
        # |[alpha h; beta a]| of all coordinates is at most |h|.
        cell.alpha.assign(0.7)
        cell.beta.assign(-0.7)
    return cell


@pytest.mark.parametrize("aggregate", ["mean", "none"])
@pytest.mark.parametrize("use_bias", [False, True])
def test_without_gradients_updates_die_out_unless_there_is_a_bias(
    aggregate, use_bias
):
    cell = contracting(use_bias=use_bias, aggregate=aggregate)
    gradients = np.zeros([60, 5], "f4")
    gradients[:10] = np.random.RandomState(0).randn(10, 5)
    updates = np.abs(feed(cell, gradients)[0])
    assert updates[:10].max() > 0.05
    if use_bias:
        assert updates[-1].min() > 0.01
    else:
        assert updates[-1].max() < 1e-9


def test_with_the_aggregate_in_the_recurrence_they_die_out_too():
    cell = contracting(recurrent_aggregate=True)
    gradients = np.zeros([60, 5], "f4")
    gradients[:10] = np.random.RandomState(0).randn(10, 5)
    updates = np.abs(feed(cell, gradients)[0])
    assert updates[:10].max() > 0.01
    assert updates[-1].max() < 1e-9


PERMUTED = {k: random_cell(3, units=4, **o) for k, o in OPTIONS.items()}


@given(
    option=st.sampled_from(sorted(OPTIONS)),
    size=st.integers(2, 400),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=20, deadline=None)
def test_permuting_coordinates_permutes_updates(option, size, seed):
    rng = np.random.RandomState(seed)
    gradients = rng.standard_cauchy([3, size]).astype("f4")
    order = rng.permutation(size)
    updates, states = feed(PERMUTED[option], gradients)
    permuted, after = feed(PERMUTED[option], gradients[:, order])
    np.testing.assert_allclose(
        permuted, updates.numpy()[:, order], rtol=1e-6, atol=1e-6
    )
    hidden = states.hidden.numpy()[:, order]
    np.testing.assert_allclose(after.hidden, hidden, rtol=1e-6, atol=1e-6)


@each_option
def test_a_coordinate_hears_of_the_others_unless_there_is_no_aggregate(
    options,
):
    cell = random_cell(**options)
    gradients = np.random.RandomState(0).randn(2, 4).astype("f4")
    changed = gradients.copy()
    changed[:, 1:] += 5.0  # each unit's largest changes as well
    one, other = (feed(cell, g)[0].numpy()[:, 0] for g in (gradients, changed))
    alone = options.get("aggregate") == "none"
    assert cell.coordinatewise is alone
    assert (one == other).all() if alone else (one != other).all()


def test_with_alpha_zero_all_coordinates_get_one_update():
    cell = SimpleOptimizer(initial_shares=(0.0, 2.0))
    gradients = np.random.RandomState(0).randn(3, 7).astype("f4")
    updates, _ = feed(cell, gradients)
    np.testing.assert_array_equal(updates - updates[:, :1], np.zeros([3, 7]))
    assert np.abs(updates).min() > 0.0


# Derivatives

CURVATURE = [0.5, 1.0, 3.0, 0.2]
START = [1.0, -2.0, 0.7, 0.1]
NOISY = NoisyQuadratic(CURVATURE, START)


def total_loss(cell, weights, steps=4):
    """Add f(x_1) .. f(x_T) of 1/2 sum_i h_i (x_i - t)^2 up, t the step."""
    parts = tuple(cell.meta_layout.split(weights))
    x, h = tf.constant(START, tf.float64), tf.constant(CURVATURE, tf.float64)
    states, total = cell.get_initial_state(vector_layout(len(START))), 0.0
    for t in range(1, steps + 1):
        inputs = make_inputs(h * (x - t), t)
        update, states = cell.stateless_update(parts, inputs, states)
        x += update
        total += 0.5 * tf.reduce_sum(h * (x - t) ** 2)
    return total


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"aggregate": "max"},
        {"aggregate": "sum_over_root", "recurrent_aggregate": True},
    ],
    ids=str,
)
def test_the_meta_gradient_is_the_slope_through_the_aggregate(options):
    cell = random_cell(units=2, dtype="float64", **options)
    weights = cell.meta_params()
    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = total_loss(cell, weights)
    gradient = tape.gradient(total, weights).numpy()
    expected = central_gradient(
        lambda w: total_loss(cell, tf.constant(w)).numpy(), weights.numpy()
    )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, 1e-6, 1e-8 * scale)
    parts = cell.meta_layout.split(tf.constant(gradient))
    for variable, part in zip(cell.trainable_variables, parts, strict=True):
        if variable.name in ("alpha", "beta"):
            assert abs(part.numpy()) > 1e-3 * scale


@each_option
def test_the_adjoint_equals_the_tape(options):
    cell = random_cell(units=3, dtype="float64", **options)
    context = EpisodeContext(tf.constant(0), ())
    adjoint, tape = (
        e.estimate(
            cell,
            NOISY,
            cell.meta_params(),
            e.start(cell, NOISY, SEED, context),
        )[0].meta_gradient.numpy()
        for e in (
            TruncatedBackpropagation(3, backward=backward)
            for backward in ("adjoint", "tape")
        )
    )
    np.testing.assert_allclose(adjoint, tape, rtol=1e-11)
    assert np.abs(tape).min() > 0.0


# Many coordinates


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_537, 300_001])
def test_integers_are_added_up_exactly(size):
    numbers = np.arange(size) % 7 - 3.0
    columns = np.stack([numbers, 2.0 * numbers]).astype("f4")
    total = sum_over_coordinates(tf.constant(columns))
    np.testing.assert_array_equal(total, columns.sum(1, "f8", keepdims=True))
    assert total.shape == (2, 1)


@pytest.mark.parametrize("size", [3, 256, 1000])
def test_every_coordinate_counts_once(size):
    columns = tf.zeros([2, size])
    with tf.GradientTape() as tape:
        tape.watch(columns)
        total = sum_over_coordinates(columns)
    np.testing.assert_array_equal(
        tape.gradient(total, columns), np.ones([2, size])
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_mean_of_many_is_exact_and_repeats_bit_for_bit(jit_compile):
    size = 397_510
    cell = random_cell(units=2)
    layout = vector_layout(size)

    def step(gradient):
        states = cell.get_initial_state(layout)
        return cell.call(make_inputs(gradient), states)

    gradient = np.full(size, 0.3, "f4")
    gradient[0] = -2.0
    results = [
        compiled(step, jit_compile)(tf.constant(gradient))[0].numpy()
        for _ in range(2)
    ]
    assert results[0].tobytes() == results[1].tobytes()
    few = np.unique(gradient)  # -2 once, 0.3 as often as it is there
    w = named(cell)
    h = np.tanh(few[:, np.newaxis].astype("f8") @ w["w_input"])
    a = (h[0] + (size - 1.0) * h[1]) / size
    own, others = np.split(w["w_output"][:, 0], 2)
    expected = w["alpha"] * h @ own + w["beta"] * a @ others
    # XLA's own sum of a row would be wrong by 2e-4 of itself.
    np.testing.assert_allclose(results[0][:2], expected, rtol=5e-6)


def test_derivatives_through_the_mean_of_many_agree_everywhere():
    cell = random_cell(units=3, recurrent_aggregate=True)
    gradients = np.random.RandomState(0).randn(2, 700).astype("f4")
    targets = np.random.RandomState(1).randn(700).astype("f4")

    def slope(gradients, weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            parts = tuple(cell.meta_layout.split(weights))
            states = cell.get_initial_state(vector_layout(700))
            for t in range(2):
                inputs = make_inputs(gradients[t], t + 1)
                update, states = cell.stateless_update(parts, inputs, states)
            loss = tf.reduce_sum(tf.square(update - targets))
        return tape.gradient(loss, weights)

    slopes = assert_same_everywhere(
        slope, gradients, cell.meta_params(), rtol=1e-5, atol=1e-5
    )
    assert np.abs(slopes).min() > 0.0


# Weights, states and arguments


def test_glorots_ranges_are_filled_and_biases_start_at_zero():
    cells = [
        SimpleOptimizer(
            units=30, use_bias=True, recurrent_aggregate=True, seed=s
        )
        for s in range(4)
    ]
    for name, fans in (
        ("w_input", 31),
        ("w_recurrent", 90),
        ("w_output", 61),
    ):
        values = np.concatenate([named(c)[name].ravel() for c in cells])
        bound = math.sqrt(6.0 / fans)
        assert 0.9 * bound < np.abs(values).max() <= bound, name
        unit = values / bound
        assert abs(unit.mean()) < 4.5 / math.sqrt(3 * unit.size), name
    for name, start in (
        ("b_hidden", 0.0),
        ("b_output", 0.0),
        ("alpha", 1.0),
        ("beta", 1.0),
    ):
        np.testing.assert_array_equal(named(cells[0])[name], start)


def test_pytorchs_ranges_are_filled():
    cells = [
        SimpleOptimizer(
            units=25, use_bias=True, initial_weights="pytorch", seed=s
        )
        for s in range(8)
    ]
    for name, bound in (
        ("w_input", 0.2),
        ("w_recurrent", 0.2),
        ("b_hidden", 0.2),
        ("w_output", 1.0 / math.sqrt(50)),
        ("b_output", 1.0 / math.sqrt(50)),
    ):
        values = np.concatenate([named(c)[name].ravel() for c in cells])
        assert 0.5 * bound < np.abs(values).max() <= bound, name
        assert len(np.unique(values)) > 0.99 * values.size


def test_shares_start_where_they_are_told():
    cell = SimpleOptimizer(initial_shares=[0.1, -3.0], dtype="float64")
    assert named(cell)["alpha"] == 0.1
    assert named(cell)["beta"] == -3.0
    assert cell.get_config()["initial_shares"] == (0.1, -3.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"recurrent_aggregate": True, "initial_shares": (-0.5, 0.0)},
        {"aggregate": "none", "initial_weights": "pytorch"},
        {"output_scale": -0.1},
    ],
    ids=str,
)
def test_a_downhill_start_goes_down_whatever_the_seed(options):
    turned = 0
    for seed in range(12):
        drawn, cell = (
            SimpleOptimizer(seed=seed, downhill_start=d, **options)
            for d in (False, True)
        )
        before, after = named(drawn), named(cell)
        output = before.pop("w_output"), after.pop("w_output")
        np.testing.assert_array_equal(np.abs(output[0]), np.abs(output[1]))
        for name, weight in before.items():
            np.testing.assert_array_equal(weight, after[name])
        turned += not np.array_equal(*output)
        # One coordinate without the others, so small that tanh(z) = z.
        if not cell.coordinatewise:
            after["beta"] = 0.0
        gradients = np.full([20, 1], 1e-6)
        of = {k: v for k, v in options.items() if "aggregate" in k}
        moved, _ = numpy_updates(
            {**after, "w_output": output[1]}, gradients, **of
        )
        assert cell.output_scale * moved[-1] < 0.0
    assert 1 <= turned <= 11


def test_seeds_decide_the_initial_weights():
    a, b, c = (SimpleOptimizer(seed=s).meta_params() for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).numpy().sum() == 130  # all but alpha and beta


def test_the_whole_state_is_memory():
    cell = SimpleOptimizer()
    fresh = cell.get_initial_state(vector_layout(3))
    _, old = feed(cell, np.ones([2, 3], "f4"))
    np.testing.assert_array_equal(fresh.hidden, np.zeros([10, 3]))
    assert cell.keep_memory(fresh, old) is old


@each_option
def test_the_hidden_units_that_are_shown_are_the_next_state(options):
    cell = random_cell(**options)
    assert isinstance(cell, ShowsActivations)
    _, states = feed(cell, np.random.RandomState(0).randn(2, 4).astype("f4"))
    inputs = make_inputs(tf.constant([0.1, -0.2, 3.0, 0.0]), 3)
    shown = cell.activations(inputs, states)
    _, after = cell.call(inputs, states)
    assert list(shown) == ["rnn/hidden"]
    np.testing.assert_array_equal(shown["rnn/hidden"], after.hidden)


def test_the_gin_part_binds_every_argument():
    gin.parse_config("seed = 5")
    part = "gin/parts/optimizers/simple.gin"
    gin.parse_config_file(str(ROOT / part), skip_unknown=["Trainer"])
    cell = gin.get_configurable(SimpleOptimizer)()
    config = cell.get_config()
    bound = gin.get_bindings(SimpleOptimizer)
    arguments = inspect.signature(SimpleOptimizer).parameters
    assert set(bound) == set(arguments) - {"dtype", "name"}
    assert {name: config[name] for name in bound} == bound | {"seed": 5}
    assert cell.meta_layout.size == 132


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"units": 0}, "units=0"),
        ({"units": (10,)}, r"units=\(10,\)"),
        ({"use_bias": "no"}, "use_bias='no'"),
        ({"aggregate": "median"}, "aggregate='median'"),
        ({"aggregate": None}, "aggregate=None"),
        ({"recurrent_aggregate": 1}, "recurrent_aggregate=1"),
        ({"output_scale": math.nan}, "output_scale=nan"),
        ({"initial_weights": "zeros"}, "initial_weights='zeros'"),
        ({"initial_shares": 1.0}, "initial_shares=1.0"),
        ({"initial_shares": (1.0,)}, r"initial_shares=\(1.0,\)"),
        ({"initial_shares": (1.0, math.inf)}, "initial_shares=inf"),
        ({"downhill_start": 0}, "downhill_start=0"),
        ({"seed": "3"}, "seed='3'"),
        (
            {"aggregate": "none", "recurrent_aggregate": True},
            r"recurrent_aggregate=True, initial_shares=\(1.0, 1.0\)",
        ),
        (
            {"aggregate": "none", "initial_shares": (1.0, 0.5)},
            r"recurrent_aggregate=False, initial_shares=\(1.0, 0.5\)",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        SimpleOptimizer(**arguments)
