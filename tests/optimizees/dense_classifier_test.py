"""The perceptron over a table, against Keras, and its start."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.datasets import tabular
from l2o_tf.optimizees.dense_classifier import DenseClassifier

TABLE = tabular.random_mlp_classes(5, 40, seed=1)


@pytest.mark.parametrize(
    ("hidden", "activation"),
    [((4, 3), "sigmoid"), ((6,), "relu"), ((), "tanh")],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_keras_model_has_the_same_loss_and_gradients(
    hidden, activation, classes
):
    problem = DenseClassifier(
        TABLE, classes, hidden, 8, activation, init_stddev=0.7
    )
    model = keras.Sequential(
        [keras.Input((5,))]
        + [keras.layers.Dense(h, activation=activation) for h in hidden]
        + [keras.layers.Dense(classes)]
    )
    x, constants = problem.reset(seeds.make_seed(1))
    model.set_weights([t.numpy() for t in problem.layout.split(x)])
    with tf.GradientTape() as tape:
        logits = model(TABLE.features)
        if classes == 2:
            expected = keras.losses.BinaryCrossentropy(from_logits=True)(
                TABLE.labels[:, None], logits[:, :1]
            )
        else:
            expected = keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            )(TABLE.labels, logits)
    expected_gradient = problem.layout.flatten(
        tape.gradient(expected, model.trainable_variables)
    )
    loss, gradient = problem.value_and_gradient(x, constants, TABLE)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert relative_error(gradient, expected_gradient) < 1e-5


def test_weights_and_biases_start_from_one_narrow_normal():
    problem = DenseClassifier(TABLE, 2, (8, 5), 8)
    values = np.stack(
        [problem.reset(seeds.make_seed(s))[0].numpy() for s in range(100)]
    )
    n = values.size
    assert abs(values.mean()) < 0.01 * 4.5 / np.sqrt(n)
    assert abs(values.std() / 0.01 - 1) < 4.5 / np.sqrt(2 * n)
    # Each coordinate by itself: none is constant.
    assert (np.abs(values.std(axis=0) / 0.01 - 1) < 0.5).all()


def test_the_hidden_layers_are_sigmoid_by_default():
    default = DenseClassifier(TABLE, 2, (3,), 8)
    assert default.activation == "sigmoid"
    assert default.layout.shapes == ((5, 3), (3,), (3, 2), (2,))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("activation", "elu"),
        ("init_stddev", -0.1),
        ("batch_size", 0),
        ("num_classes", 1),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    arguments = {
        "num_classes": 2,
        "hidden": (3,),
        "batch_size": 8,
        argument: value,
    }
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        DenseClassifier(TABLE, **arguments)


@pytest.mark.parametrize("hidden", [(0,), (4, 2.5)])
def test_bad_hidden_layers_are_refused(hidden):
    with pytest.raises(ValueError, match=f"Received: hidden={hidden[-1]}"):
        DenseClassifier(TABLE, 2, hidden, 8)
