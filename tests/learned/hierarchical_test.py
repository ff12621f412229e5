import numpy as np
import pytest
import tensorflow as tf
from support.hierarchical import (
    FIXTURE,
    flat,
    layout_of,
    load_cell,
    load_state,
    original_name,
    tensors,
)
from support.hierarchical_numpy import Reference

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.layout import Layout
from l2o_tf.learned.gradient_scales import ScaleState
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.hierarchical_state import HierarchicalState
from l2o_tf.optimizers.base import OptimizerInputs

SHAPES = {"w": (3, 4), "b": (4,), "scalar": (), "v": (20, 15), "c": (2,)}
LAYOUT = Layout.from_shapes(SHAPES)
SEED = seeds.make_seed(3)


def inputs_of(gradient, step=1):
    return OptimizerInputs(
        tf.convert_to_tensor(gradient), (), tf.constant(0.0), tf.constant(step)
    )


def relative(got, wanted):
    wanted = np.asarray(wanted)
    return np.abs(np.asarray(got) - wanted).max() / np.abs(wanted).max()


def assert_step_is_recorded(arrays, prefix, jit_compile):
    cell = load_cell(arrays, f"{prefix}weights/")
    gradients = tensors(arrays, f"{prefix}in/grad")
    layout = layout_of(gradients)
    state = load_state(arrays, f"{prefix}in", layout)
    step = compiled(lambda g, s: cell.call(inputs_of(g), s), jit_compile)
    update, new = step(tf.constant(flat(gradients)), state)
    recorded = flat(tensors(arrays, f"{prefix}out/step"))
    assert relative(-update, recorded) < 1e-5
    np.testing.assert_allclose(-update, recorded, rtol=2e-5)
    expected = load_state(arrays, f"{prefix}out", layout)
    for name, got in new._asdict().items():
        wanted = getattr(expected, name)
        if name != "lead":
            for a, b in zip(
                tf.nest.flatten(got), tf.nest.flatten(wanted), strict=True
            ):
                assert relative(a, b) < 1e-5, name


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("case", ["generic", "fresh"])
def test_one_step_is_the_originals(case, jit_compile):
    arrays = dict(np.load(FIXTURE))
    assert_step_is_recorded(arrays, f"{case}/", jit_compile)


@pytest.mark.parametrize("case", ["generic", "fresh"])
def test_one_step_near_the_released_weights_is_the_originals(case, shared_dir):
    arrays = dict(np.load(shared_dir / f"golden/hrnn_step_{case}.npz"))
    assert_step_is_recorded(arrays, "", False)


def run(cell, gradients, layout=LAYOUT, seed=SEED):
    """Return updates, attended points and states of several steps."""
    state = cell.get_initial_state(layout, seed)
    updates, leads, states = [], [], [state]
    for t, gradient in enumerate(gradients, start=1):
        update, state = cell.call(inputs_of(gradient, t), state)
        updates.append(update.numpy())
        leads.append(state.lead.numpy())
        states.append(state)
    return np.array(updates), np.array(leads), states


VARIANTS = {
    "default": {},
    "attention": {"attention": True},
    "attention_without_shortcut": {
        "attention": True,
        "gradient_shortcut": False,
    },
    "all_features": {
        "learning_rate_shortcut": True,
        "extreme_indicator": True,
        "chained_scale_decay": True,
        "zero_learning_rate_weights": False,
        "problem_input": "mean",
    },
    "rate_mean_of_the_tensor": {"problem_learning_rate_mean": False},
    "fixed_decays": {"learned_decays": False},
    "fixed_input_decay": {"learned_input_decay": False},
    "one_scale": {"num_gradient_scales": 1, "gradient_products": False},
    "bare": {
        "gradient_products": False,
        "log_mean_squares": False,
        "relative_learning_rate": False,
        "learned_initial_state": False,
    },
    "no_rates": {
        "dynamic_output_scale": False,
        "relative_learning_rate": False,
    },
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_is_its_equations_tensor_by_tensor(options):
    cell = HierarchicalRNN(
        units=(3, 4, 5),
        initial_learning_rate_range=(1e-3, 1e-1),
        seed=2,
        dtype="float64",
        **options,
    )
    generator = np.random.RandomState(0)
    # Off their starts, where several of the weights are 0.
    meta = cell.meta_params().numpy()
    cell.assign_meta_params(meta + 0.1 * generator.randn(*meta.shape))
    size = generator.uniform(-3, 1, [5, LAYOUT.size])
    gradients = generator.randn(5, LAYOUT.size) * 10.0**size
    gradients[:, LAYOUT.offsets[1] : LAYOUT.offsets[2]] = 0.0
    updates, leads, states = run(cell, gradients)
    reference = Reference(cell, LAYOUT, states[0], options)
    for t, gradient in enumerate(gradients):
        expected, lead = reference.step(gradient)
        np.testing.assert_allclose(updates[t], expected, rtol=1e-9)
        np.testing.assert_allclose(leads[t], lead, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(
            states[t + 1].log_learning_rate, reference.rates(), rtol=1e-10
        )


def test_there_are_8349_weights_in_31_tensors():
    layout = HierarchicalRNN(name="hierarchical_rnn").meta_layout
    assert (layout.size, len(layout.names)) == (8349, 31)
    sizes = dict(zip(layout.names, layout.sizes, strict=True))

    def total(*words):
        return sum(n for k, n in sizes.items() if any(w in k for w in words))

    # Spec l2o_scale.md 2.1, "counts by group".
    assert total("_init") == 50
    assert total("level_0/") == 690
    assert total("level_1/") == 2580
    assert total("level_2/") == 2460
    assert total("level_1_to_0") == total("level_2_to_0") == 630
    assert total("level_2_to_1") == 1260
    assert total("update_weights") == 10
    assert total("gradient_shortcut") == 4
    assert total("scale_decay") == total("input_decay") == 11
    assert total("learning_rate_weights", "learning_rate_bias") == 11
    assert total("momentum_logit") == total("offset") == 1


def test_attention_adds_fourteen_weights_and_begins_as_the_update():
    cell = HierarchicalRNN(attention=True)
    assert cell.meta_layout.size == 8349 + 14
    np.testing.assert_array_equal(cell.attention_weights, cell.update_weights)


def test_every_weight_has_a_name_in_the_original_program():
    names = HierarchicalRNN(name="hierarchical_rnn").meta_layout.names
    assert len({original_name(name) for name in names}) == 31


def test_weights_start_as_specified():
    draws = [HierarchicalRNN(seed=seed) for seed in range(20)]

    def pooled(name):
        return np.stack(
            [
                v.numpy()
                for cell in draws
                for v in cell.trainable_variables
                if v.path.endswith(name)
            ]
        )

    for name, rows in (
        ("level_0/w_gates", 22),
        ("level_1/w_candidate", 42),
        ("level_2/w_gates", 40),
        ("level_1_to_0/w", 20),
        ("level_2_to_1/w", 20),
        ("update_weights", 10),
        ("scale_decay_weights", 10),
        ("input_decay_weights", 10),
    ):
        w = pooled(name)
        assert w.std() == pytest.approx(0.5 / rows**0.5, rel=4 / w.size**0.5)
        assert abs(w.mean()) < 4 * 0.5 / rows**0.5 / w.size**0.5
    shortcut = pooled("gradient_shortcut")
    assert shortcut.mean() == pytest.approx(0.25, abs=0.03)
    assert shortcut.std() == pytest.approx(0.05, rel=0.3)
    initial = pooled("level_1_init")
    assert np.abs(initial).max() <= 1
    assert initial.std() == pytest.approx(3**-0.5, rel=0.1)
    for name, value in (
        ("level_0/b_gates", 2.2),
        ("level_2/b_candidate", 0.0),
        ("level_2_to_0/b", 0.0),
        ("scale_decay_bias", 3.2),
        ("input_decay_bias", 2.2),
        ("learning_rate_weights", 0.0),
        ("learning_rate_bias", 0.0),
        ("learning_rate_momentum_logit", 3.2),
        ("step_size_offset", -1.0),
    ):
        np.testing.assert_array_equal(pooled(name), np.float32(value))


def test_the_first_update_has_rms_rate_over_e_in_every_tensor():
    cell = HierarchicalRNN(initial_learning_rate_range=(1e-3, 1e-3))
    gradient = np.random.RandomState(1).randn(LAYOUT.size).astype("f4")
    updates, _, _ = run(cell, [gradient])
    for i, size in enumerate(LAYOUT.sizes):
        begin = LAYOUT.offsets[i]
        tensor = updates[0, begin : begin + size]
        rms = np.sqrt(np.mean(tensor**2))
        assert rms == pytest.approx(1e-3 * np.exp(-1.0), rel=1e-4)


def test_the_first_update_does_not_depend_on_the_gradients_size():
    cell = HierarchicalRNN()
    gradient = np.random.RandomState(1).randn(LAYOUT.size).astype("f4")
    gradient = np.sign(gradient) * (0.5 + np.abs(gradient))
    one, other = (run(cell, [gradient * s])[0] for s in (1.0, 64.0))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_problems_state_hears_the_last_tensor_only():
    gradient = np.random.RandomState(1).randn(LAYOUT.size)
    changed = gradient.copy()
    changed[: LAYOUT.offsets[-1]] *= -1.0
    for problem_input, same in (("last", True), ("mean", False)):
        cell = HierarchicalRNN(problem_input=problem_input, dtype="float64")
        problems = [
            run(cell, [g])[2][-1].problem.numpy() for g in (gradient, changed)
        ]
        assert np.array_equal(*problems) == same


def test_learning_rates_start_at_random_one_part_shared_by_a_tensor():
    layout = Layout.from_shapes({"a": (30_000,), "b": (30_000,), "c": ()})
    cell = HierarchicalRNN()
    state = cell.get_initial_state(layout, SEED)
    a, b, _ = (t.numpy() for t in layout.split(state.log_learning_rate))
    low, high = np.log(1e-6), np.log(1e-2)
    for tensor in (a, b):
        # One tensor spans half of the range, shifted by its own number.
        assert np.ptp(tensor) == pytest.approx((high - low) / 2, rel=1e-3)
        assert low <= tensor.min()
        assert tensor.max() <= high
        assert tensor.std() == pytest.approx((high - low) / 2 / 12**0.5, 0.02)
    assert abs(a.mean() - b.mean()) > 0.05
    again = cell.get_initial_state(layout, SEED).log_learning_rate
    np.testing.assert_array_equal(state.log_learning_rate, again)
    other = cell.get_initial_state(layout, seeds.make_seed(4))
    assert (other.log_learning_rate != again).numpy().mean() > 0.99
    own = [cell.get_initial_state(layout) for _ in range(2)]
    np.testing.assert_array_equal(*(s.log_learning_rate for s in own))


def test_equal_bounds_give_one_learning_rate():
    cell = HierarchicalRNN(initial_learning_rate_range=(0.01, 0.01))
    state = cell.get_initial_state(LAYOUT, SEED)
    np.testing.assert_allclose(state.log_learning_rate, np.log(0.01), 1e-6)


def test_the_initial_states_are_weights():
    cell = HierarchicalRNN(name="hierarchical_rnn")
    layout = cell.meta_layout
    weights = [tf.zeros_like(w) for w in layout.split(cell.meta_params())]
    weights[layout.names.index("hierarchical_rnn/level_1_init")] += 0.25
    state = cell.stateless_initial_state(tuple(weights), LAYOUT, SEED)
    np.testing.assert_array_equal(state.tensors, np.full([20, 5], 0.25))
    assert not np.any(state.coordinates)
    fixed = HierarchicalRNN(learned_initial_state=False)
    assert not np.any(fixed.get_initial_state(LAYOUT, SEED).problem)


@pytest.mark.parametrize(
    ("start", "change", "clipped"), [(1.0, 1.5, 2.0), (-32.5, -1.0, -33.0)]
)
def test_a_clipped_learning_rate_keeps_its_derivative(start, change, clipped):
    cell = HierarchicalRNN(max_log_learning_rate=2.0, dtype="float64")
    cell.learning_rate_bias.assign(change)
    rates = tf.fill([LAYOUT.size], tf.constant(start, tf.float64))
    state = cell.get_initial_state(LAYOUT, SEED)
    state = state._replace(log_learning_rate=rates)
    gradient = np.random.RandomState(1).randn(LAYOUT.size)
    with tf.GradientTape() as tape:
        update, new = cell.call(inputs_of(gradient), state)
        size = tf.reduce_sum(tf.abs(update))
    keep = 1 / (1 + np.exp(-3.2))
    np.testing.assert_allclose(
        new.log_learning_rate,
        keep * start + (1 - keep) * clipped,
        rtol=1e-8,  # the logit is a float32 3.2
    )
    # u = -exp(s + o) D, so d|u|/ds = |u|, clipped or not.
    slope = tape.gradient(size, cell.learning_rate_bias.value)
    assert slope.numpy() == pytest.approx(size.numpy(), rel=1e-12)
    moderate = np.abs(update).max() / np.exp(clipped - 1.0)
    assert 0.1 < moderate < 100


def test_the_largest_rate_does_not_bound_the_first_ones():
    cell = HierarchicalRNN(max_log_learning_rate=2.0)
    rates = cell.get_initial_state(LAYOUT, SEED).log_learning_rate
    plain = HierarchicalRNN().get_initial_state(LAYOUT, SEED)
    np.testing.assert_array_equal(rates, plain.log_learning_rate)
    assert np.max(rates) < -4


def test_changes_of_a_rate_are_added_up_before_they_are_lost():
    cell = HierarchicalRNN()
    half = 0.6 * np.spacing(np.float32(9.0)) / 2  # half of what moves 9
    cell.learning_rate_bias.assign(half)
    state = cell.get_initial_state(LAYOUT, SEED)
    state = state._replace(
        coordinates=tf.ones_like(state.coordinates),
        log_learning_rate=tf.fill([LAYOUT.size], -9.0),
    )
    gradient = np.ones(LAYOUT.size, "f4")
    first, _ = cell.call(inputs_of(gradient), state)
    # The read-out gives about as much again.
    hidden = cell.call(inputs_of(gradient), state)[1].coordinates
    cell.learning_rate_weights.assign(
        half * hidden[:, 0] / np.sum(np.square(hidden[:, 0]))
    )
    both, _ = cell.call(inputs_of(gradient), state)
    assert abs(both[0] / first[0]) > 1 + 0.5 * np.spacing(np.float32(9.0))


def test_a_kept_state_looks_from_the_new_params():
    cell = HierarchicalRNN(attention=True)
    gradient = np.random.RandomState(1).randn(LAYOUT.size).astype("f4")
    old = run(cell, [gradient])[2][-1]
    assert np.any(old.lead)
    fresh = cell.get_initial_state(LAYOUT, SEED)
    kept = cell.keep_memory(fresh, old)
    params = tf.ones([LAYOUT.size])
    np.testing.assert_array_equal(cell.look_ahead(params, kept), params)
    np.testing.assert_array_equal(kept.coordinates, old.coordinates)
    assert np.any(cell.look_ahead(params, old) != params)


@pytest.mark.parametrize(
    "shapes",
    [
        {"scalar": ()},
        {str(i): (1 + i % 7,) for i in range(500)},
        {"zero": (4,), "other": (3, 2)},
    ],
    ids=["one scalar", "500 tensors", "a tensor without gradient"],
)
def test_unusual_problems_get_finite_updates(shapes):
    layout = Layout.from_shapes(shapes)
    cell = HierarchicalRNN()
    generator = np.random.RandomState(0)
    gradients = generator.randn(4, layout.size).astype("f4")
    if "zero" in shapes:
        gradients[:, :4] = 0.0
    updates, _, states = run(cell, gradients, layout)
    assert np.isfinite(updates).all()
    assert (updates != 0.0).all()
    for leaf in tf.nest.flatten(states[-1]):
        assert np.isfinite(leaf).all()


def test_the_derivative_at_the_first_step_is_finite():
    cell = HierarchicalRNN()
    gradient = np.random.RandomState(1).randn(LAYOUT.size).astype("f4")
    state = cell.get_initial_state(LAYOUT, SEED)
    with tf.GradientTape() as tape:
        leaves = tf.nest.flatten(state)
        tape.watch(leaves)
        update, _ = cell.call(inputs_of(gradient), state)
        size = tf.reduce_sum(update**2)
    gradients = tape.gradient(size, [*leaves, *cell.trainable_weights])
    found = [g for g in gradients if g is not None]
    assert len(found) > 20
    for g in found:
        assert np.isfinite(g).all()


def test_a_state_without_a_layout_is_refused():
    cell = HierarchicalRNN()
    state = cell.get_initial_state(LAYOUT, SEED)
    plain = HierarchicalState(*state)
    with pytest.raises(ValueError, match="Received: a plain Hierarchical"):
        cell.call(inputs_of(np.ones(LAYOUT.size, "f4")), plain)


def test_layouts_of_equal_sizes_are_not_confused():
    """In one compiled function neither: it is traced anew for each."""
    cell = HierarchicalRNN()
    one = Layout.from_shapes({"a": (2,), "b": (4,)})
    other = Layout.from_shapes({"a": (4,), "b": (2,)})
    step, updates = compiled(cell.call, jit_compile=False), []
    for layout in (one, other):
        state = cell.get_initial_state(layout, SEED)
        state = state._replace(log_learning_rate=tf.fill([6], -7.0))
        for power in (0.0, 1.0):
            gradient = np.arange(1.0, 7.0, dtype="f4") ** power
            again, _ = step(inputs_of(gradient), state)
            update, state = cell.call(inputs_of(gradient), state)
            np.testing.assert_allclose(again, update, rtol=1e-5)
        updates.append(update.numpy())
    # Only the averages over the tensors, and what hangs on them, differ.
    assert np.abs(updates[0] / updates[1] - 1.0).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"units": (10, 20)}, r"units=\(10, 20\)"),
        ({"units": 10}, "units=10"),
        ({"units": (10, 0, 20)}, "units=0"),
        ({"num_gradient_scales": 0}, "num_gradient_scales=0"),
        ({"attention": "yes"}, "attention='yes'"),
        ({"problem_input": "first"}, "problem_input='first'"),
        (
            {"initial_learning_rate_range": (0.1, 0.01)},
            r"initial_learning_rate_range=\(0.1, 0.01\)",
        ),
        (
            {"initial_learning_rate_range": 0.1},
            "initial_learning_rate_range=0.1",
        ),
        (
            {"initial_learning_rate_range": (0.0, 0.1)},
            "initial_learning_rate_range=0.0",
        ),
        ({"max_log_learning_rate": -33.0}, "max_log_learning_rate=-33.0"),
        (
            {"dynamic_output_scale": False},
            "dynamic_output_scale=False, relative_learning_rate=True",
        ),
        (
            {
                "dynamic_output_scale": False,
                "relative_learning_rate": False,
                "extreme_indicator": True,
            },
            "dynamic_output_scale=False, extreme_indicator=True",
        ),
    ],
)
def test_bad_arguments_are_refused(options, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        HierarchicalRNN(**options)


def test_scales_of_a_state_are_kept_apart():
    state = HierarchicalRNN().get_initial_state(LAYOUT, SEED)
    assert isinstance(state.scales, ScaleState)
    assert state.scales.averages.shape == (4, LAYOUT.size)
