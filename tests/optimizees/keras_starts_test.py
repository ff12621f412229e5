"""Our draws have the distributions of Keras' initializers, for every layer."""

import keras
import numpy as np
import pytest
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds
from l2o_tf.optimizees.keras_starts import as_draw, layer_draw

layers, initializers = keras.layers, keras.initializers
SEED = seeds.make_seed(3)


@pytest.fixture(autouse=True)
def _keras_draws_the_same_every_time():
    keras.utils.set_random_seed(0)


def assert_same_distribution(ours, theirs):
    """Compare mean, deviation and range of two samples of one size."""
    ours, theirs = np.ravel(ours), np.ravel(theirs)
    assert ours.dtype == theirs.dtype == np.float32
    scale, n = theirs.std(), theirs.size
    if scale == 0.0:
        np.testing.assert_array_equal(ours, theirs)
        return
    # Differences of two sample means and deviations, 5 standard errors.
    assert abs(ours.mean() - theirs.mean()) < 5 * scale * np.sqrt(2 / n)
    assert abs(ours.std() / scale - 1) < 5 / np.sqrt(n)
    far = np.abs(theirs - theirs.mean()).max() / scale
    assert abs(np.abs(ours - ours.mean()).max() / scale - far) < 0.3 * far


NAMES = [
    initializers.RandomNormal(1.0, 0.5, seed=1),
    initializers.RandomUniform(-0.1, 0.3, seed=1),
    initializers.TruncatedNormal(-1.0, 0.2, seed=1),
    initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", 1),
    initializers.GlorotNormal(1, input_axes=[1], output_axes=[0]),
    initializers.Constant(0.25),
    *("glorot_uniform", "glorot_normal", "he_uniform", "he_normal"),
    *("lecun_uniform", "lecun_normal", "orthogonal", "zeros", "ones"),
]


@pytest.mark.parametrize("shape", [(40, 60), (3, 2, 20, 30)])
@pytest.mark.parametrize(
    # Names that every process gives alike: pytest-xdist compares them.
    "name",
    NAMES,
    ids=lambda name: name if isinstance(name, str) else type(name).__name__,
)
def test_a_draw_has_the_initializers_distribution(name, shape):
    theirs = keras.initializers.get(name)(shape, dtype="float32")
    assert_same_distribution(as_draw(name)(SEED, shape), theirs)


@pytest.mark.parametrize(
    "name", ["glorot_uniform", "he_normal", "orthogonal", "random_uniform"]
)
def test_a_draw_agrees_everywhere_and_follows_its_seed(name):
    draw = as_draw(name)
    numbers = assert_same_everywhere(
        lambda seed: draw(seed, (5, 3)), SEED, rtol=1e-5, atol=1e-6
    )
    other = draw(seeds.make_seed(4), (5, 3))
    assert (other != numbers).numpy().all()


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 2, 3)])
def test_an_orthogonal_start_is_orthogonal(shape):
    initializer = initializers.Orthogonal(gain=2.0)
    q = np.reshape(as_draw(initializer)(SEED, shape), (-1, shape[-1]))
    smaller = q @ q.T if q.shape[0] < q.shape[1] else q.T @ q
    np.testing.assert_allclose(smaller, 4 * np.eye(len(smaller)), atol=1e-5)


def test_the_identity_is_the_identity():
    drawn = as_draw("identity")(SEED, (3, 3))
    np.testing.assert_array_equal(drawn, np.eye(3, dtype="f4"))


ZOO = {
    "dense": (lambda: layers.Dense(80), (40,)),
    "conv": (
        lambda: layers.Conv2D(20, 3, kernel_initializer="he_normal"),
        (8, 8, 6),
    ),
    "transposed": (lambda: layers.Conv2DTranspose(20, 3), (8, 8, 6)),
    "depthwise": (lambda: layers.DepthwiseConv2D(3), (8, 8, 80)),
    "separable": (lambda: layers.SeparableConv2D(30, 3), (8, 8, 40)),
    "embedding": (lambda: layers.Embedding(50, 20), (3,)),
    "lstm": (lambda: layers.LSTM(16), (4, 20)),
    "lstm_plain": (lambda: layers.LSTM(16, unit_forget_bias=False), (4, 20)),
    "gru": (lambda: layers.GRU(16), (4, 20)),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.SimpleRNN(16)),
        (4, 20),
    ),
    "einsum": (
        lambda: layers.EinsumDense("abc,cde->abde", (None, 5, 60)),
        (4, 20),
    ),
    "attention": (lambda: layers.GroupQueryAttention(8, 4, 2), None),
    "batch_norm": (lambda: layers.BatchNormalization(), (7,)),
    "layer_norm": (lambda: layers.LayerNormalization(), (7,)),
    "rms_norm": (lambda: layers.RMSNormalization(), (7,)),
    "prelu": (lambda: layers.PReLU(), (7,)),
}


@pytest.mark.parametrize("name", ZOO)
def test_every_weight_of_keras_layers_starts_as_in_keras(name):
    build, shape = ZOO[name]
    layer = build()
    if shape is None:
        layer.build((2, 4, 40), (2, 4, 40))
    else:
        layer.build((2, *shape))
    parts = [p for p in layer._flatten_layers() if p._trainable_variables]
    assert sum(len(p._trainable_variables) for p in parts) == len(
        layer.trainable_variables
    )
    for part in parts:
        for weight in part._trainable_variables:
            ours = layer_draw(part, weight.name)(SEED, tuple(weight.shape))
            assert_same_distribution(ours, weight.numpy())


def test_a_function_is_returned_as_it_is():
    def draw(seed, shape):
        return seeds.normal(seed, shape)

    assert as_draw(draw) is draw


class Own(initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.ones(shape, dtype)


@pytest.mark.parametrize("bad", [Own(), 3.0, None])
def test_an_initializer_that_is_not_known_is_refused(bad):
    with pytest.raises(ValueError, match="Received: initializer="):
        as_draw(bad)


def test_a_name_that_keras_does_not_know_is_refused():
    with pytest.raises(ValueError, match="glorot_uniformly"):
        as_draw("glorot_uniformly")


def test_a_layers_own_function_is_refused():
    def draw(shape, dtype=None):
        return keras.random.normal(shape, dtype=dtype)

    layer = layers.Dense(2, kernel_initializer=draw, name="odd")
    with pytest.raises(ValueError, match="Received: initializer=.* of 'odd'"):
        layer_draw(layer, "kernel")


def test_a_weight_without_an_initializer_has_no_draw():
    assert layer_draw(layers.Dense(2), "scale") is None
