"""Keras models as optimizees: against our own, against Keras, and refused."""

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.optimizees.keras_model import Examples, KerasModel
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.adam import Adam

layers = keras.layers
SEED, OTHER = seeds.make_seed(5), seeds.make_seed(6)
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.RandomState(0)
POINTS = RNG.randn(40, 3), RNG.randn(40)


def dense(*between, inputs=(3,), outputs=1, **arguments):
    return keras.Sequential(
        [keras.Input(inputs), *between, layers.Dense(outputs, **arguments)]
    )


def problem_of(model, loss="mse", data=POINTS, **arguments):
    return KerasModel(model, loss, data, **{"batch_size": 8, **arguments})


def first_step(problem, start=SEED, draw=OTHER):
    params, constants = problem.reset(start)
    batch = problem.sample(draw)
    return problem.loss_and_gradient(params, constants, batch)


def test_it_is_mlp_orig_with_the_same_params_and_batches():
    data = synthetic_images(height=28, width=28, num_classes=10)
    mlp = MLP(data, "test", (20,), "sigmoid", init_stddev=0.1)
    model = dense(
        layers.Flatten(),
        layers.Dense(20, "sigmoid"),
        inputs=(28, 28, 1),
        outputs=10,
    )
    problem = KerasModel(model, CROSS_ENTROPY, data, "test")
    assert problem.layout.shapes == mlp.layout.shapes
    assert (problem.split, problem.batch_size) == ("test", 128)
    params, _ = mlp.reset(SEED)
    expected = mlp.sample(OTHER)
    batch = problem.sample(OTHER)
    np.testing.assert_array_equal(batch.inputs, expected[0])
    np.testing.assert_array_equal(batch.targets, expected[1])
    loss, gradient = problem.loss_and_gradient(params, (), batch)
    known = mlp.loss_and_gradient(params, (), expected)
    np.testing.assert_allclose(loss, known[0], rtol=1e-6)
    assert relative_error(gradient, known[1]) < 1e-5


class Subclassed(keras.Model):
    """Two layers of one name, and a `call` that is not told of training."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(2, "tanh", name="one")
        self.second = layers.Dense(1, name="one")

    def call(self, inputs):
        return self.second(self.first(inputs))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 3)))
    return model


def functional():
    inputs = keras.Input((3,))
    left = layers.Dense(2, "relu", kernel_regularizer="l2")(inputs)
    both = layers.Concatenate()([left, inputs])
    both = layers.BatchNormalization()(both)
    both = layers.ActivityRegularization(l2=0.1)(both)
    return keras.Model(inputs, layers.Dense(1)(both))


@pytest.mark.parametrize("build", [dense, subclassed, functional])
def test_loss_and_gradient_are_those_of_keras_own_training_step(build):
    model = build()
    problem = problem_of(model)
    params, constants = problem.reset(SEED)
    batch = problem.sample(OTHER)
    loss, gradient = problem.loss_and_gradient(params, constants, batch)
    for variable, tensor in zip(
        model.trainable_variables, problem.layout.split(params), strict=True
    ):
        variable.assign(tensor)
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    expected = model.train_on_batch(batch.inputs, batch.targets)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    after = problem.layout.flatten(
        [tf.convert_to_tensor(v) for v in model.trainable_variables]
    )
    np.testing.assert_allclose(params - gradient, after, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [dense, subclassed, functional])
def test_eager_graph_and_xla_agree(build):
    problem = problem_of(build())
    loss, gradient = assert_same_everywhere(
        lambda a, b: first_step(problem, a, b), SEED, OTHER, atol=1e-5
    )
    assert loss > 0.0
    assert (gradient != 0.0).any()


def test_embeddings_and_recurrent_layers_agree_everywhere():
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            layers.Embedding(5, 2, mask_zero=True),
            layers.SimpleRNN(2),
            layers.Dense(3),
        ]
    )
    data = RNG.randint(0, 5, (20, 3)), RNG.randint(0, 3, 20)
    problem = problem_of(model, CROSS_ENTROPY, data)
    loss, gradient = assert_same_everywhere(
        lambda a, b: first_step(problem, a, b), SEED, OTHER, atol=1e-5
    )
    assert abs(loss - np.log(3.0)) < 0.2
    assert np.count_nonzero(gradient) >= 20


def test_the_model_itself_stays_as_it_is():
    model = functional()
    before = [v.numpy() for v in model.variables]
    first_step(problem_of(model))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_what_happens_to_the_model_later_changes_nothing():
    model = dense(layers.Dense(2, trainable=False))
    problem = problem_of(model)
    loss, _ = first_step(problem)
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(*POINTS, verbose=0)
    for variable in model.variables:
        variable.assign(variable + 1.0)
    np.testing.assert_array_equal(first_step(problem)[0], loss)


def test_batch_normalisation_uses_the_batch():
    model = dense(layers.BatchNormalization(), use_bias=False)
    model.layers[0].moving_mean.assign([100.0, 200.0, 300.0])
    problem = problem_of(model)
    loss, _ = first_step(problem)
    assert loss < 20.0  # with these means it would be beyond 1000


def test_frozen_weights_are_no_params_and_count():
    frozen = layers.Dense(2, trainable=False, name="frozen")
    model = dense(frozen, name="last")
    problem = problem_of(model)
    assert problem.layout.size == 3
    assert all("last" in name for name in problem.layout.names)
    loss, _ = first_step(problem)
    frozen.kernel.assign(10.0 * frozen.kernel)
    assert first_step(problem_of(model))[0] != loss


def test_regularisers_are_added():
    plain, regular = (
        dense(kernel_regularizer=keras.regularizers.L2(r)) for r in (0.0, 0.5)
    )
    loss, _ = first_step(problem_of(plain))
    problem = problem_of(regular)
    added, _ = first_step(problem)
    kernel, _ = problem.layout.split(problem.reset(SEED)[0])
    np.testing.assert_allclose(
        added - loss, 0.5 * np.sum(np.square(kernel)), rtol=1e-4
    )


def test_dropout_follows_the_batchs_seed():
    problem = problem_of(dense(layers.Dropout(0.5), layers.Dropout(0.5)))
    params, _ = problem.reset(SEED)
    batch = problem.sample(OTHER)
    losses = [
        float(problem.loss(params, (), batch._replace(seed=seed)))
        for seed in (batch.seed, batch.seed, SEED)
    ]
    assert losses[0] == losses[1] != losses[2]
    graph = tf.function(problem.loss, autograph=False)
    np.testing.assert_allclose(graph(params, (), batch), losses[0], rtol=1e-6)


def test_two_layers_of_dropout_draw_different_masks():
    first, second = layers.Dropout(0.5), layers.Dropout(0.5)
    inputs = keras.Input((50,))
    model = keras.Model(
        inputs,
        layers.Dense(1)(layers.Concatenate()([first(inputs), second(inputs)])),
    )
    data = np.ones((1, 50)), np.zeros(1)

    def masks(targets, outputs):
        return outputs

    problem = KerasModel(
        model, masks, data, batch_size=1, initial={"*": "ones"}
    )
    params, _ = problem.reset(SEED)
    _, gradient = problem.loss_and_gradient(params, (), problem.sample(OTHER))
    kernel = problem.layout.split(gradient)[0].numpy().reshape(2, 50)
    assert set(kernel.ravel()) == {0.0, 2.0}
    assert 0.2 < (kernel[0] != kernel[1]).mean() < 0.8


def test_a_model_without_random_numbers_has_no_seed_in_its_batch():
    batch = problem_of(dense()).sample(SEED)
    assert isinstance(batch, Examples)
    assert batch.seed == ()


def test_episodes_start_afresh_as_the_layers_say():
    model = dense(layers.Dense(300, kernel_initializer="he_normal"))
    problem = problem_of(model)
    first, again, other = (
        problem.layout.split(problem.reset(s)[0]) for s in (SEED, SEED, OTHER)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).numpy().all()
    assert abs(np.std(first[0]) / np.sqrt(2 / 3) - 1) < 0.1
    np.testing.assert_array_equal(first[1], np.zeros(300))
    assert np.abs(first[2]).max() < np.sqrt(6 / 301)


def test_initial_decides_by_the_first_pattern_that_fits():
    model = dense(layers.Dense(2, name="a"), name="b")
    problem = problem_of(
        model,
        initial={
            "*/a/kernel": lambda seed, shape: np.full(shape, 3.0),
            "*/kernel": keras.initializers.Constant(4.0),
            "*/b/bias": "ones",
        },
    )
    parts = problem.layout.split(problem.reset(SEED)[0])
    assert [float(t.numpy().mean()) for t in parts] == [3.0, 0.0, 4.0, 1.0]


def test_paths_name_the_tensors_and_repeated_ones_get_a_number():
    names = problem_of(dense(name="last")).layout.names
    assert [n.split("/")[-2:] for n in names] == [
        ["last", "kernel"],
        ["last", "bias"],
    ]
    names = problem_of(subclassed()).layout.names
    assert len(set(names)) == 4
    assert names[2].endswith("/one/kernel#2")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32(policy):
    rounded = dense(layers.Dense(4, "tanh", dtype=policy), dtype=policy)
    problem = problem_of(rounded)
    loss, gradient = first_step(problem)
    exact, exact_gradient = first_step(
        problem_of(dense(layers.Dense(4, "tanh")))
    )
    assert loss.dtype == gradient.dtype == tf.float32
    assert 0 < abs(loss / exact - 1) < 0.02
    assert relative_error(gradient, exact_gradient) < 0.05


@pytest.mark.parametrize(
    ("layer", "convolves"),
    [
        (layers.Dense(2), False),
        (layers.Conv1D(2, 2), True),
        (keras.Sequential([layers.SeparableConv1D(2, 2)]), True),
    ],
)
def test_it_says_whether_it_convolves(layer, convolves):
    model = dense(layer, layers.Flatten(), inputs=(4, 3))
    data = np.zeros((9, 4, 3)), np.zeros(9)
    assert problem_of(model, data=data).convolves is convolves


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "MeanSquaredError",
        keras.losses.MeanSquaredError(),
        lambda y, z: tf.reduce_mean(tf.square(y - z)),
        lambda y, z: tf.square(y - z),
    ],
)
def test_losses_of_every_kind_are_taken_as_compile_takes_them(loss):
    # Targets [B] beside outputs [B, 1] must not become [B, B].
    problem = problem_of(dense(), loss)
    params, _ = problem.reset(SEED)
    batch = problem.sample(OTHER)
    kernel, bias = problem.layout.split(params)
    outputs = (batch.inputs @ kernel + bias)[:, 0]
    expected = np.mean(np.square(outputs - batch.targets))
    np.testing.assert_allclose(
        problem.loss(params, (), batch), expected, rtol=1e-5
    )


@pytest.mark.parametrize("axis", ["targets", "outputs"])
def test_a_last_axis_of_one_is_no_axis_to_broadcast(axis):
    inputs = np.ones((6, 4, 3))
    targets = RNG.randn(6, 4, *([1] if axis == "targets" else []))
    model = dense(inputs=(4, 3))
    if axis == "targets":
        model = keras.Sequential(
            [keras.Input((4, 3)), layers.Dense(1), layers.Reshape((4,))]
        )
    problem = problem_of(
        model, lambda y, z: (y - z) ** 2, (inputs, targets), initial={}
    )
    params, _ = problem.reset(SEED)
    batch = problem.sample(OTHER)
    kernel, _ = problem.layout.split(params)
    difference = np.reshape(batch.targets, (8, 4)) - np.sum(kernel)
    np.testing.assert_allclose(
        problem.loss(params, (), batch), np.mean(difference**2), rtol=1e-5
    )


def test_several_inputs_and_outputs_are_nests():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model(
        {"a": a, "b": b}, [layers.Dense(1)(a), layers.Dense(1)(b)]
    )
    data = {"a": np.ones((5, 2)), "b": np.ones((5, 3))}, [np.ones((5, 1))] * 2
    problem = problem_of(
        model,
        lambda y, z: sum(tf.reduce_mean((p - q) ** 2) for p, q in zip(y, z)),  # noqa: B905
        data,
        initial={"*": "ones"},
    )
    params, _ = problem.reset(SEED)
    loss = problem.loss(params, (), problem.sample(OTHER))
    assert loss.numpy() == 2.0**2 + 3.0**2


def test_batches_are_drawn_uniformly_with_replacement():
    data = np.arange(20.0)[:, None] * np.ones(3), np.arange(20)
    problem = problem_of(dense(), data=data, batch_size=1000)
    batch = problem.sample(SEED)
    assert (batch.inputs.dtype, batch.targets.dtype) == (tf.float32, tf.int64)
    np.testing.assert_array_equal(batch.inputs[:, 1], batch.targets)
    counts = np.bincount(batch.targets, minlength=20)
    assert abs(np.sum((counts - 50) ** 2 / 50) - 19) < 4.5 * np.sqrt(38)


def test_the_notice_and_the_split_come_from_the_data():
    data = synthetic_images()
    partial = ImageDataset("tiny", data.splits, 3, notice="NOT ALL")
    model = dense(layers.Flatten(), inputs=(4, 4, 1), outputs=3)
    problem = KerasModel(model, CROSS_ENTROPY, partial, "meta_valid")
    assert (problem.notice, problem.split) == ("NOT ALL", "meta_valid")
    assert (problem.sample(SEED).targets < 3).numpy().all()
    arrays = problem_of(dense())
    assert (arrays.notice, arrays.split) == (None, "")


def test_an_optimizer_trains_it():
    data = POINTS[0], POINTS[0] @ [1.0, -2.0, 0.5] + 3.0
    recorder = CurveRecorder(Adam(0.1), problem_of(dense(), data=data), 100)
    (losses,) = recorder.record(0, 100)
    assert losses[-10:].mean() < 0.01 * losses[0]


@gin.register(module="keras_model_test")
def tiny_model():
    return dense()


@gin.register(module="keras_model_test")
def tiny_data():
    return POINTS


def test_gin_builds_it_from_functions_of_the_users():
    gin.parse_config(
        """
        KerasModel.model = @tiny_model()
        KerasModel.loss = 'mse'
        KerasModel.data = @tiny_data()
        KerasModel.batch_size = 4
        KerasModel.initial = {'*/bias': 'ones'}
        """
    )
    problem = gin.get_configurable("KerasModel")()
    assert type(problem) is KerasModel
    assert problem.sample(SEED).inputs.shape == (4, 3)
    assert problem.reset(SEED)[0][-1] == 1.0


def unbuilt():
    return keras.Sequential([layers.Dense(1)], name="raw")


class WithOwnWeight(layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(name="w", shape=(shape[-1],))

    def call(self, inputs):
        return inputs * self.w


class Odd(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.ones(shape, dtype)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (unbuilt, "must be built.*Received: the unbuilt model 'raw'"),
        (lambda: layers.Dense(1), "Received: model=<Dense"),
        (
            lambda: keras.Sequential(
                [keras.Input((3,)), layers.ReLU()], name="bare"
            ),
            "trainable weight. Received: none in 'bare'",
        ),
        (
            lambda: dense(dtype="float64", name="wide"),
            "float32.*Received: dtype=float64 of '.*wide/kernel'",
        ),
        (
            lambda: dense(WithOwnWeight(name="own")),
            "w_initializer. Received: the weight '.*own/w'. Say it by initial=",
        ),
        (
            lambda: dense(kernel_initializer=Odd(), name="odd"),
            "Received: initializer=.*Odd.*that of '.*odd/kernel'.*initial=",
        ),
    ],
)
def test_models_that_cannot_be_optimised_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        problem_of(build())


def test_a_weight_that_is_not_known_can_be_told():
    model = dense(WithOwnWeight(name="own"))
    problem = problem_of(model, initial={"*own/w": "ones"})
    parts = problem.layout.split(problem.reset(SEED)[0])
    np.testing.assert_array_equal(parts[0], np.ones(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "mean_square"}, "Received: loss='mean_square'"),
        ({"loss": 3}, "Received: loss=3"),
        ({"loss": keras.losses.MeanSquaredError}, "Received: loss=<class"),
        ({"split": "train"}, "Received: split='train'"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"data": POINTS[0]}, "Received: data of type ndarray"),
        ({"data": (POINTS[0], POINTS[1][:9])}, "Received: .9, 40."),
        ({"data": (POINTS[0], 3.0)}, "Received: .0, 40."),
        ({"initial": {"*/nuclei": "ones"}}, "Received: initial={'./nuclei'"),
        ({"initial": {"*": 3}}, "Received: initializer=3"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        problem_of(dense(), **arguments)


def test_images_need_a_split():
    model = dense(layers.Flatten(), inputs=(4, 4, 1), outputs=3)
    with pytest.raises(ValueError, match="Received: split=''"):
        KerasModel(model, CROSS_ENTROPY, synthetic_images())


def test_a_loss_without_reduction_is_refused():
    loss = keras.losses.MeanSquaredError(reduction=None)
    with pytest.raises(ValueError, match="scalar.*Received: .*shape .8,."):
        first_step(problem_of(dense(), loss))
