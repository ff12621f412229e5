"""The Keras optimizer against Keras' own, against evaluation, and in use."""

import pathlib
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.toy_cells import WeightDecay

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.interop.keras_optimizer import KerasOptimizer, keras_optimizer
from l2o_tf.interop.pretrained import load
from l2o_tf.learned.coordinatewise_rnn import CoordinatewiseRNN
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizees.keras_model import KerasModel
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.optimizers.decayed_adam import DecayedAdam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.unroll.carry import batch_seed, start_episode

# Of Keras' own, whatever the optimizer: its variables are older than NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
ROOT = pathlib.Path(__file__).resolve().parents[2]
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TINY = {"units": (3,), "output_scale": 0.3, "seed": 1}
TINY_RNNPROP = {**TINY, "projection_units": 2}
HIERARCHICAL = {
    "units": (2, 3, 3),
    "initial_learning_rate_range": (1e-2, 1e-1),
    "seed": 1,
}


def small_data(rows=64, dtype="float32"):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 5)).astype(dtype)
    return x, (x.sum(1) > 0).astype("int32")


def small_model(dtype="float32", **dense):
    """Return 5-4-2: 34 coordinates, the same weights each time."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(4, "tanh", dtype=dtype, **dense),
            keras.layers.Dense(2, dtype=dtype),
        ]
    )


def vector(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def compiled(model, optimizer, jit_compile=False, **more):
    model.compile(optimizer, LOSS, jit_compile=jit_compile, **more)
    return model


def fit(model, epochs=2, x=None, y=None):
    """Fit in batches of 16 and return all weights as one vector."""
    if x is None:
        x, y = small_data()
    model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return vector(model)


def trained(optimizer, jit_compile=False, epochs=2, **more):
    return fit(compiled(small_model(), optimizer, jit_compile, **more), epochs)


def stepped(optimizer, steps=8, run=None):
    """Descend a bowl of 34 coordinates in two variables, without `fit`.

    Args:
        run: turns the function of a step into a graph; None for eagerly.
    """
    rng = np.random.default_rng(1)
    variables = [
        keras.Variable(rng.normal(size=shape), name=name)
        for name, shape in (("kernel", (8, 4)), ("bias", (2,)))
    ]
    scales = [
        tf.constant(rng.uniform(0.1, 2.0, v.shape), tf.float32)
        for v in variables
    ]
    optimizer.build(variables)

    def step():
        gradients = [s * v for s, v in zip(scales, variables, strict=True)]
        if optimizer.loss_scale_factor is not None:
            gradients = [g * optimizer.loss_scale_factor for g in gradients]
        optimizer.apply(gradients)

    step = step if run is None else run(step)
    for _ in range(steps):
        step()
    optimizer.finalize_variable_values(variables)  # as `fit` ends
    return np.concatenate([v.numpy().ravel() for v in variables])


# -- the same numbers ------------------------------------------------------


@pytest.mark.parametrize("jit_compile", [False, True])
def test_our_adam_is_keras_adam(jit_compile):
    theirs = trained(keras.optimizers.Adam(1e-3, epsilon=1e-8), epochs=25)
    ours = trained(KerasOptimizer(Adam(1e-3)), jit_compile, epochs=25)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    assert np.abs(ours - vector(small_model())).max() > 0.05


def test_what_differs_from_keras_adam_is_rounding_in_float32():
    """1 - beta^t loses digits there; in float64 nothing is left of it."""
    x, y = small_data(dtype="float64")
    # Keras rounds its arguments to float32, so these are exact there.
    numbers = (2.0**-7, 1.0 - 2.0**-3, 1.0 - 2.0**-10, 2.0**-27)
    ends = []
    for optimizer in (
        keras.optimizers.Adam(*numbers),
        KerasOptimizer(Adam(*numbers, dtype="float64")),
    ):
        model = compiled(small_model("float64"), optimizer)
        ends.append(fit(model, 25, x, y))
    assert ends[0].dtype == np.float64
    np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-12)


def mnist_mlp():
    """MLP-orig, in Keras' layers and, independently, as an optimizee."""
    layers = [
        keras.Input((28, 28, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(20, "sigmoid"),
        keras.layers.Dense(10),
    ]
    return keras.Sequential(layers), MLP(load_mnist_subset(), "test")


def mnist_cnn():
    """A model and the optimizee made of it: they round alike.

    A learned optimizer's steps on a ReLU network are chaotic: a difference of
    1e-8 in a gradient is one of 1e-4 in the loss after 20 steps, of 1 after 50.
    """
    layers = [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
    model = keras.Sequential(layers)
    return model, KerasModel(model, LOSS, load_mnist_subset(), "test", 32)


class FreshLosses(keras.callbacks.Callback):
    """After each batch, the loss on another one."""

    def __init__(self, batches):
        super().__init__()
        self.batches = iter(batches)
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        images, labels = next(self.batches)
        logits = self.model(images, training=False)
        self.losses.append(float(LOSS(labels, logits)))


@pytest.mark.parametrize(
    ("problem", "jit_compile"),
    [(mnist_mlp, False), (mnist_mlp, True), (mnist_cnn, False)],
)
def test_fit_follows_the_losses_of_evaluation(problem, jit_compile):
    """100 batches of MNIST, images and starts of `evaluate`, dm_cl_il."""
    model, optimizee = problem()
    cell = load("dm_cl_il")
    recorder = CurveRecorder(cell, optimizee, jit_compile=False)
    expected = np.concatenate(list(recorder.record(seed=4, num_steps=100)))

    carry = start_episode(cell, optimizee, seeds.make_seed(4))
    model.set_weights([t.numpy() for t in optimizee.layout.split(carry.params)])
    drawn = [
        batch_seed(carry._replace(step=tf.constant(step)))
        for step in range(100)
    ]
    batches = [optimizee.sample(seed)[:2] for seed in drawn]
    images, labels = (
        np.concatenate(parts) for parts in zip(*batches, strict=True)
    )
    fresh = FreshLosses(
        optimizee.sample(seeds.fold_in(seed, 1))[:2] for seed in drawn
    )
    compiled(model, KerasOptimizer(cell), jit_compile).fit(
        images,
        labels,
        batch_size=optimizee.batch_size,
        shuffle=False,
        verbose=0,
        callbacks=[fresh],
    )
    np.testing.assert_allclose(fresh.losses, expected, rtol=0, atol=1e-4)
    assert expected[-1] < expected[0] - 0.5


def test_every_step_is_the_cell_s():
    """A hand-made loop over the cell, gradients by a tape."""
    cell = RNNprop(**TINY_RNNPROP)
    model, (x, y) = small_model(), small_data()
    optimizer = KerasOptimizer(cell, learning_rate=0.5, weight_decay=0.01)
    ours = fit(compiled(small_model(), optimizer), 3)
    variables = model.trainable_variables
    layout = Layout(
        tuple(v.path for v in variables), tuple(v.shape for v in variables)
    )
    state = cell.get_initial_state(layout)
    for step in range(12):
        part = slice(16 * (step % 4), 16 * (step % 4) + 16)
        with tf.GradientTape() as tape:
            loss = LOSS(y[part], model(x[part]))
        gradients = tape.gradient(loss, [v.value for v in variables])
        inputs = OptimizerInputs(
            layout.flatten(gradients), (), loss, tf.constant(step + 1)
        )
        update, state = cell.call(inputs, state)
        for variable, part in zip(
            variables, layout.split(0.5 * update), strict=True
        ):
            variable.assign(variable * (1.0 - 0.5 * 0.01) + part)
    np.testing.assert_allclose(ours, vector(model), rtol=0, atol=1e-6)


RUNS = {
    "eager": None,
    "graph": lambda step: tf.function(step, autograph=False),
    "xla": lambda step: tf.function(step, jit_compile=True, autograph=False),
}


@pytest.mark.parametrize(
    ("block_size", "run"),
    [(1, "graph"), (7, "eager"), (7, "graph"), (7, "xla"), (33, "graph")],
)
def test_blocks_do_not_change_the_result(block_size, run):
    cell = DMLSTM(**TINY)
    whole = stepped(KerasOptimizer(cell))
    cut = stepped(KerasOptimizer(cell, block_size=block_size), run=RUNS[run])
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-6)


def test_xla_gets_no_scatter_into_the_state():
    """It would copy the whole state for every block."""
    variable = keras.Variable(np.ones(34, np.float32))
    optimizer = KerasOptimizer(DMLSTM(**TINY), block_size=7)
    optimizer.build([variable])

    def step(gradient):
        optimizer.apply([gradient])

    program = RUNS["xla"](step).experimental_get_compiler_ir(tf.ones([34]))()
    assert "while(" in program
    assert "dynamic-update-slice(" in program
    assert "scatter(" not in program


def test_blocks_run_in_a_loop_of_several_steps():
    """A loop in a loop: Keras' steps_per_execution."""
    cell = RNNprop(**TINY_RNNPROP)
    whole = trained(KerasOptimizer(cell))
    cut = trained(KerasOptimizer(cell, block_size=7), steps_per_execution=3)
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-6)


def test_blocks_of_a_cell_that_reads_params_do_not_change_the_result():
    whole = stepped(KerasOptimizer(WeightDecay()))
    cut = stepped(KerasOptimizer(WeightDecay(), block_size=5))
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-6)
    assert np.abs(whole - stepped(KerasOptimizer(SGD(0.1)))).max() > 1e-3


def test_a_cell_that_sees_tensors_is_not_cut():
    cell = HierarchicalRNN(**HIERARCHICAL)
    whole = KerasOptimizer(cell, block_size=1000, seed=5)
    cut = KerasOptimizer(cell, block_size=3, seed=5)
    np.testing.assert_array_equal(stepped(cut), stepped(whole))
    assert cut.state_bytes == whole.state_bytes


def test_the_seed_is_that_of_the_first_state():
    """The hierarchical RNN draws its first learning rates."""
    cell = HierarchicalRNN(**HIERARCHICAL)
    ends = [stepped(KerasOptimizer(cell, seed=seed)) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 1e-4


def test_blocks_draw_their_first_states_apart():
    cell = CoordinatewiseRNN((2,), initial_learning_rate_range=(1e-3, 1e-1))
    optimizer = KerasOptimizer(cell, block_size=10)
    optimizer.build(small_model().trainable_variables)
    rates = optimizer.variables[4].numpy()
    assert rates.shape == (4, 9)  # 34 coordinates: 4 blocks of 9
    assert len(np.unique(rates)) == 36
    assert rates.min() >= 1e-3
    assert rates.max() <= 1e-1


# -- Keras' own arguments --------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"clipnorm": 0.01},
        {"global_clipnorm": 0.01},
        {"clipvalue": 0.003},
        {"weight_decay": 0.1},
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_momentum": 0.5},
        {"loss_scale_factor": 8.0},
    ],
    ids=lambda a: next(iter(a)),
)
def test_arguments_mean_what_they_mean_to_keras(arguments):
    """Momentum, so that clipping and accumulation reach the state."""
    theirs = stepped(keras.optimizers.SGD(0.3, momentum=0.9, **arguments))
    ours_arguments = dict(arguments)
    if "weight_decay" in arguments:  # there it is times the rate, here 1
        ours_arguments["weight_decay"] *= 0.3
    ours = stepped(KerasOptimizer(Momentum(0.3, 0.9), **ours_arguments))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    plain = stepped(KerasOptimizer(Momentum(0.3, 0.9)))
    without = {"loss_scale_factor"} & set(arguments)
    assert without or np.abs(ours - plain).max() > 1e-3


def test_the_learning_rate_multiplies_updates_and_follows_a_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay
    theirs = stepped(keras.optimizers.SGD(schedule([3], [0.2, 0.02])))
    ours = stepped(KerasOptimizer(SGD(1.0), schedule([3], [0.2, 0.02])))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_the_learning_rate_can_be_changed_while_training():
    optimizer = KerasOptimizer(SGD(1.0), 0.2)
    model = compiled(small_model(), optimizer)
    fit(model, 1)
    optimizer.learning_rate = 0.0
    before = vector(model)
    np.testing.assert_array_equal(fit(model, 1), before)


def test_frozen_variables_stay_and_the_rest_moves():
    model = small_model()
    model.layers[0].trainable = False
    before = [w.copy() for w in model.get_weights()]
    fit(compiled(model, KerasOptimizer(DMLSTM(**TINY))), 1)
    after = model.get_weights()
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])
    assert np.abs(after[2] - before[2]).max() > 1e-3


def test_a_variable_without_gradient_stays_where_it_is():
    optimizer = KerasOptimizer(Momentum(0.5, 0.9))
    a, b = (keras.Variable([1.0, 2.0], name=name) for name in "ab")
    optimizer.build([a, b])
    optimizer.apply([tf.constant([1.0, 0.0])], [b])
    optimizer.apply([tf.constant([1.0, 0.0])], [b])
    np.testing.assert_array_equal(a.numpy(), [1.0, 2.0])
    # -0.5 (1 + 1.9)
    np.testing.assert_allclose(b.numpy(), [1.0 - 1.45, 2.0], atol=1e-6)
    assert int(optimizer.iterations) == 2


def test_sparse_gradients_of_an_embedding_are_made_dense():
    def model():
        keras.utils.set_random_seed(3)
        return keras.Sequential(
            [
                keras.Input((3,), dtype="int32"),
                keras.layers.Embedding(6, 2),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )

    x = np.arange(48).reshape(16, 3) % 5
    ends = [
        fit(compiled(model(), optimizer), 3, x, np.arange(16) % 2)
        for optimizer in (
            keras.optimizers.SGD(0.3, momentum=0.9),
            KerasOptimizer(Momentum(0.3, 0.9)),
        )
    ]
    np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_variables_and_state_in_float32(policy):
    optimizer = KerasOptimizer(DMLSTM(**TINY))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(small_model(None), optimizer)
    finally:
        keras.config.set_dtype_policy(before)
    end = fit(model, 4)
    reference = trained(KerasOptimizer(DMLSTM(**TINY)), epochs=4)
    assert {layer.compute_dtype for layer in model.layers} == {policy[6:]}
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert {s.dtype for s in optimizer.variables[2:]} == {"float32"}
    np.testing.assert_allclose(end, reference, rtol=0, atol=0.03)
    assert np.abs(end - vector(small_model())).max() > 0.05
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


def test_a_float16_overflow_changes_neither_model_nor_state():
    inner = KerasOptimizer(DMLSTM(**TINY))
    optimizer = keras.optimizers.LossScaleOptimizer(inner)
    variable = keras.Variable([1.0, 2.0])
    optimizer.build([variable])
    before = [v.numpy() for v in inner.variables]
    optimizer.apply([tf.constant([np.inf, 1.0])])
    np.testing.assert_array_equal(variable.numpy(), [1.0, 2.0])
    for old, new in zip(before, inner.variables, strict=True):
        np.testing.assert_array_equal(new.numpy(), old)


@pytest.mark.parametrize(
    ("cell", "block_size"),
    [
        (lambda: RNNprop(**TINY_RNNPROP), 1000),
        (lambda: RNNprop(**TINY_RNNPROP), 10),
        (lambda: HierarchicalRNN(**HIERARCHICAL), 1000),
        (lambda: WeightDecay(), 10),
    ],
    ids=["rnnprop", "rnnprop_in_blocks", "hierarchical", "reads_params"],
)
def test_two_devices_give_what_one_gives(cell, block_size):
    """The batch is cut in two, and the gradients are added up again."""
    alone = trained(KerasOptimizer(cell(), block_size=block_size))
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = compiled(
            small_model(), KerasOptimizer(cell(), block_size=block_size)
        )
    both = fit(model)
    assert strategy.num_replicas_in_sync == 2
    np.testing.assert_allclose(both, alone, rtol=0, atol=5e-6)
    for variable in model.trainable_variables:
        copies = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(copies[0].numpy(), copies[1].numpy())


# -- kept and built again --------------------------------------------------


def test_configuration_builds_the_same_optimizer_again():
    optimizer = KerasOptimizer(
        DMLSTM(**TINY),
        learning_rate=0.5,
        weight_decay=0.01,
        global_clipnorm=1.0,
        block_size=9,
        seed=3,
        name="mine",
    )
    # Not the weights that the constructor draws.
    optimizer.cell.assign_meta_params(2.0 * optimizer.cell.meta_params())
    config = optimizer.get_config()
    again = KerasOptimizer.from_config(config)
    assert again.get_config() == config
    np.testing.assert_array_equal(
        again.cell.meta_params(), optimizer.cell.meta_params()
    )
    np.testing.assert_array_equal(trained(again), trained(optimizer))


def test_keras_serialization_keeps_it():
    optimizer = KerasOptimizer(Adam(0.3), clipvalue=0.5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, KerasOptimizer)
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("block_size", [1000, 10])
def test_a_model_saved_in_the_middle_goes_on_identically(tmp_path, block_size):
    optimizer = KerasOptimizer(RNNprop(**TINY_RNNPROP), block_size=block_size)
    model = compiled(small_model(), optimizer)
    fit(model, 2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert int(again.optimizer.iterations) == 8
    np.testing.assert_array_equal(fit(again, 2), fit(model, 2))
    assert not np.array_equal(
        vector(model), trained(KerasOptimizer(RNNprop(**TINY_RNNPROP)))
    )


def test_another_process_loads_a_saved_model_after_importing_the_package(
    tmp_path,
):
    model = compiled(small_model(), KerasOptimizer(DMLSTM(**TINY)))
    fit(model, 1)
    model.save(tmp_path / "model.keras")
    program = (
        "import sys, numpy as np, keras; from l2o_tf import keras_optimizer;"
        "model = keras.models.load_model(sys.argv[1]);"
        "x, y = np.load(sys.argv[2]).values();"
        "model.fit(x, y, batch_size=16, shuffle=False, verbose=0);"
        "np.save(sys.argv[3], np.concatenate("
        "[w.ravel() for w in model.get_weights()]))"
    )
    x, y = small_data()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    names = ("model.keras", "data.npz", "end.npy")
    subprocess.run(
        [sys.executable, "-c", program, *(str(tmp_path / n) for n in names)],
        check=True,
        cwd=ROOT,
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "end.npy"), fit(model, 1), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    "other",
    [
        lambda: keras.optimizers.Adam(),
        lambda: KerasOptimizer(DMLSTM(**TINY)),
        lambda: KerasOptimizer(RNNprop(**{**TINY_RNNPROP, "seed": 2})),
    ],
    ids=["adam", "dm", "rnnprop"],
)
def test_weights_of_a_model_load_whatever_optimizer_they_were_saved_with(
    tmp_path, other
):
    """And the learned weights stay those of the optimizer in use."""
    saved = compiled(small_model(), other())
    fit(saved, 1)
    saved.save_weights(tmp_path / "m.weights.h5")
    cell = RNNprop(**TINY_RNNPROP)
    own = cell.meta_params().numpy()
    model = compiled(small_model(), KerasOptimizer(cell))
    with warnings.catch_warnings():
        # Keras says that it leaves the other optimizer's state out.
        warnings.filterwarnings("ignore", "Skipping variable loading")
        model.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(vector(model), vector(saved))
    np.testing.assert_array_equal(cell.meta_params(), own)


def test_a_model_that_is_all_frozen_can_be_saved_and_loaded(tmp_path):
    model = small_model()
    model.trainable = False
    compiled(model, KerasOptimizer(DMLSTM(**TINY))).save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(vector(again), vector(model))
    assert again.optimizer.state_bytes == 0


def test_an_optimizer_with_a_wrapped_cell_is_loaded(tmp_path):
    cell = RepairedGradients(DecayedAdam(0.01), bound=2.0)
    model = compiled(small_model(), KerasOptimizer(cell))
    fit(model, 1)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(fit(again, 1), fit(model, 1))


def test_a_checkpoint_holds_state_and_weights(tmp_path):
    def make():
        optimizer = KerasOptimizer(DMLSTM(**TINY))
        model = compiled(small_model(), optimizer)
        optimizer.build(model.trainable_variables)
        return model, tf.train.Checkpoint(model=model, optimizer=optimizer)

    model, checkpoint = make()
    fit(model, 1)
    path = checkpoint.write(str(tmp_path / "checkpoint"))
    other, empty = make()
    empty.read(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(fit(other, 1), fit(model, 1))


def test_training_again_does_not_trace_again():
    calls = []

    class Counting(SGD):
        def call(self, inputs, states):
            calls.append(1)
            return super().call(inputs, states)

    model = compiled(small_model(), KerasOptimizer(Counting(0.1)))
    fit(model, 1)
    traced = len(calls)
    fit(model, 3)
    assert traced >= 1
    assert len(calls) == traced


@pytest.mark.parametrize(
    ("cell", "bytes_per_parameter"),
    [
        (lambda: DMLSTM(), 320),
        (lambda: RNNprop(), 328),
        (lambda: Adam(), 8),
        (lambda: SGD(), 0),
    ],
    ids=["dm", "rnnprop", "adam", "sgd"],
)
def test_state_bytes_are_those_of_the_documentation(cell, bytes_per_parameter):
    optimizer = KerasOptimizer(cell())
    optimizer.build(small_model().trainable_variables)
    assert optimizer.state_bytes == 34 * bytes_per_parameter


# -- refused ---------------------------------------------------------------


def test_a_cell_that_looks_ahead_is_refused():
    cell = HierarchicalRNN(attention=True)
    with pytest.raises(
        ValueError, match=r"cell=HierarchicalRNN with looks_ahead=True"
    ):
        KerasOptimizer(cell)


def test_something_else_than_a_cell_is_refused():
    with pytest.raises(ValueError, match="Received: cell="):
        KerasOptimizer(keras.optimizers.Adam())


def test_an_optimizer_of_another_strategy_is_refused():
    optimizer = KerasOptimizer(SGD())
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = small_model()
        model.compile(optimizer, LOSS)
    with pytest.raises(
        ValueError,
        match="Received: variables of a MirroredStrategy, an optimizer of a",
    ):
        fit(model)


@pytest.mark.parametrize(
    "use", [lambda g, loss: g * loss, lambda g, loss: g * tf.reduce_sum(loss)]
)
def test_a_cell_that_reads_the_loss_is_refused(use):
    class Lossy(SGD):
        def call(self, inputs, states):
            return use(inputs.gradient, inputs.loss), states

    with pytest.raises(TypeError, match="Received: no loss. Unroll it"):
        stepped(KerasOptimizer(Lossy()))


def test_a_cell_is_cut_only_if_it_says_that_it_may_be():
    class Normalised(OptimizerCell):
        def get_initial_state(self, layout, seed=None):
            return ()

        def call(self, inputs, states):
            return -0.1 * inputs.gradient / tf.norm(inputs.gradient), states

    whole = stepped(KerasOptimizer(Normalised()))
    cut = stepped(KerasOptimizer(Normalised(), block_size=5))
    np.testing.assert_array_equal(cut, whole)


def test_block_size_must_be_positive():
    with pytest.raises(ValueError, match="Received: block_size=0"):
        KerasOptimizer(SGD(), block_size=0)


def test_the_seed_must_be_an_int():
    with pytest.raises(ValueError, match="Received: seed='a'"):
        KerasOptimizer(SGD(), seed="a")


def test_state_bytes_before_building_are_refused():
    with pytest.raises(ValueError, match="Received: mine without"):
        _ = KerasOptimizer(SGD(), name="mine").state_bytes


def test_weights_of_another_size_in_a_configuration_are_refused():
    config = KerasOptimizer(DMLSTM(**TINY)).get_config()
    config["cell_weights"] = config["cell_weights"][:80]
    with pytest.raises(ValueError, match="Received: 60 bytes for a DMLSTM"):
        KerasOptimizer.from_config(config)


def test_a_shipped_optimizer_goes_by_its_name():
    optimizer = keras_optimizer("dm_cl_il", clipvalue=1.0)
    assert isinstance(optimizer.cell, DMLSTM)
    assert optimizer.clipvalue == 1.0
    np.testing.assert_array_equal(
        optimizer.cell.meta_params(), load("dm_cl_il").meta_params()
    )
    assert trained(optimizer).shape == (34,)
