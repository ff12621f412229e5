"""Teachers by name: their constants, and what is refused."""

import gin
import pytest

from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.teachers import TEACHERS, check_optimizers, teachers

# TensorFlow 1's, spec dm_rnnprop.md 6.1; the slots' starts among them.
CONSTANTS = {
    "adam": ("Adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}),
    "sgd": ("SGD", {}),
    "adagrad": ("Adagrad", {"initial_accumulator": 0.1, "epsilon": 0.0}),
    "rmsprop": (
        "RMSProp",
        {
            "decay": 0.9,
            "momentum": 0.0,
            "epsilon": 1e-10,
            "initial_mean_square": 1.0,
        },
    ),
    "nag": ("Momentum", {"momentum": 0.9, "nesterov": True}),
}


@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("learning_rate", [0.01, 0.3])
def test_a_teacher_has_tensorflow_1s_constants(name, learning_rate):
    (cell,) = teachers((name,), learning_rate)
    kind, constants = CONSTANTS[name]
    assert type(cell).__name__ == kind
    config = cell.get_config()
    del config["name"]
    assert config == {
        "learning_rate": learning_rate,
        "dtype": "float32",
        **constants,
    }


def test_every_name_has_its_constants_here():
    assert set(TEACHERS) == set(CONSTANTS)


def test_the_papers_three_at_one_hundredth_are_the_default():
    cells = teachers()
    assert [type(c).__name__ for c in cells] == ["Adam", "SGD", "Adagrad"]
    assert {c.get_config()["learning_rate"] for c in cells} == {0.01}


def test_teachers_come_in_the_order_of_the_names():
    cells = teachers(["sgd", "nag", "adam"])
    assert [type(c).__name__ for c in cells] == ["SGD", "Momentum", "Adam"]


def test_teachers_have_no_weight():
    assert not any(c.trainable_variables for c in teachers(tuple(TEACHERS)))


@pytest.mark.parametrize(
    "names",
    [(), [], None, 3, (["adam"],), "adam", ("adam", "lamb"), ("Adam",), ("",)],
)
def test_unknown_names_or_none_are_refused(names):
    with pytest.raises(ValueError, match="Received: names=") as caught:
        teachers(names)
    assert str(caught.value) == (
        "`names` must be a tuple of at least one of 'adam', 'sgd', 'adagrad', "
        f"'rmsprop', 'nag'. Received: names={names!r}."
    )


def test_a_name_that_comes_twice_is_refused():
    with pytest.raises(
        ValueError, match=r"Received: names=\('sgd', 'adam', 'sgd'\)"
    ):
        teachers(("sgd", "adam", "sgd"))


@pytest.mark.parametrize("learning_rate", ["0.01", float("nan")])
def test_a_learning_rate_that_is_no_number_is_refused(learning_rate):
    with pytest.raises(ValueError, match="Received: learning_rate="):
        teachers(("sgd",), learning_rate)


def test_gin_builds_teachers():
    gin.parse_config("teachers.names = ('nag',)\nteachers.learning_rate = 0.5")
    (cell,) = gin.get_configurable("l2o_tf.techniques.teachers")()
    assert cell.get_config()["nesterov"] is True
    assert cell.get_config()["learning_rate"] == 0.5


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_sequence_of_cells_comes_back_as_a_tuple(kind):
    cells = (SGD(0.1), Adam(0.1))
    assert check_optimizers("teachers", kind(cells)) == cells


@pytest.mark.parametrize(
    "cells", [(), [], SGD(0.1), (SGD,), ("adam",), "adam", None, (SGD(), None)]
)
def test_anything_but_a_sequence_of_cells_is_refused(cells):
    with pytest.raises(ValueError, match="Received: auxiliaries=") as caught:
        check_optimizers("auxiliaries", cells)
    assert str(caught.value) == (
        "`auxiliaries` must be a tuple of at least one OptimizerCell. "
        f"Received: auxiliaries={cells!r}. In gin: @teachers(), or a list of "
        "objects as [@Adam(), @SGD()]."
    )
