"""The five teachers against 30 recorded steps of TensorFlow 1's optimizers."""

import numpy as np
import pytest
from support.cells import feed
from support.small_problem import FIXTURE, relative_error

from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD

TEACHERS = {
    "adam": lambda: Adam(learning_rate=0.01),
    "rmsprop": RMSProp,
    "nag": lambda: Momentum(nesterov=True),
    "sgd": SGD,
    "adagrad": Adagrad,
}


def steps(golden, name):
    return golden[f"teacher_{name}_g"], golden[f"teacher_{name}_dx"]


@pytest.mark.parametrize("name", TEACHERS)
def test_teacher_equals_the_original(name):
    gradients, displacements = steps(np.load(FIXTURE), name)
    updates, _ = feed(TEACHERS[name](), gradients)
    assert relative_error(updates, displacements) < 1e-5


@pytest.mark.parametrize("name", TEACHERS)
def test_teacher_equals_the_original_on_the_shared_vectors(name, shared_dir):
    golden = np.load(shared_dir / "golden" / "golden_tf114.npz")
    gradients, displacements = steps(golden, name)
    updates, _ = feed(TEACHERS[name](), gradients)
    assert relative_error(updates, displacements) < 1e-5


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("adam", Adam(learning_rate=0.01, epsilon=1e-4)),
        ("rmsprop", RMSProp(initial_mean_square=0.0)),
        ("nag", Momentum(nesterov=False)),
        ("sgd", Momentum()),
        ("adagrad", Adagrad(initial_accumulator=0.0)),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_recorded_steps_tell_a_wrong_constant(name, wrong):
    gradients, displacements = steps(np.load(FIXTURE), name)
    updates, _ = feed(wrong, gradients)
    assert relative_error(updates, displacements) > 1e-4
