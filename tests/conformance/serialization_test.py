"""A cell comes back from its configuration, alone and through Keras."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance.registry import CELLS, each
from support.cells import make_inputs, vector_layout


def copy_by_config(cell):
    return type(cell).from_config(cell.get_config())


def copy_by_keras(cell):
    record = keras.saving.serialize_keras_object(cell)
    assert record["registered_name"] == f"l2o_tf>{type(cell).__name__}"
    return keras.saving.deserialize_keras_object(json.loads(json.dumps(record)))


PARTS = ("learner", "auxiliaries", "optimizer")
"""The arguments that are cells; their configurations are compared above."""

each_way = pytest.mark.parametrize("copy", [copy_by_config, copy_by_keras])


@each_way
@each(CELLS)
def test_a_copy_has_the_same_configuration(entry, copy):
    cell = entry.build(dtype="float64", name="a_name")
    twin = copy(cell)
    assert type(twin) is type(cell)
    assert twin is not cell
    assert twin.get_config() == cell.get_config()
    for argument, value in entry.arguments.items():
        if argument not in PARTS:
            assert twin.get_config()[argument] == value
    assert twin.name == "a_name"
    assert twin.compute_dtype == "float64"


@each_way
@each(CELLS)
def test_a_copy_makes_the_same_update(entry, copy):
    cell = entry.build()
    twin = copy(cell)
    gradient = np.array([0.5, -2.0, 1e-4], "f4")
    params = tf.constant(gradient) if cell.reads_params else ()
    inputs = make_inputs(gradient, params=params)
    layout = vector_layout(3)
    expected, _ = cell.call(inputs, cell.get_initial_state(layout))
    update, _ = twin.call(inputs, twin.get_initial_state(layout))
    np.testing.assert_array_equal(update, expected)


@each(CELLS)
def test_the_configuration_is_the_constructors_arguments(entry):
    arguments = entry.kind.__init__.__annotations__.keys() - {"return"}
    assert entry.build().get_config().keys() == arguments


@each(CELLS)
def test_the_configuration_survives_json(entry):
    cell = entry.build()
    config = json.loads(json.dumps(cell.get_config()))
    assert entry.kind.from_config(config).get_config() == cell.get_config()
