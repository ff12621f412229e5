"""What a result file says of the optimizer it is the result of."""

import json

import tensorflow as tf

from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.description import cell_config


def test_config_names_class_arguments_and_weights():
    config = cell_config(Adam(0.01, name="mine"))
    assert config == {
        "class": "Adam",
        "learning_rate": 0.01,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-8,
        "dtype": "float32",
    }
    learned = cell_config(DMLSTM(units=(2,), seed=1))
    assert len(learned["weights"]) == 16
    assert learned["class"] == "DMLSTM"
    assert json.loads(json.dumps(learned)) == learned


def test_a_cell_is_described_by_its_arguments_and_weights():
    cell = LearnableSGD(0.5, name="some")
    described = cell_config(cell)
    assert described["class"] == "LearnableSGD"
    assert described["learning_rate"] == 0.5
    assert described == cell_config(LearnableSGD(0.5, name="other"))
    cell.assign_meta_params(tf.constant([0.25]))
    moved = cell_config(cell)
    assert {k for k in moved if moved[k] != described[k]} == {"weights"}
    assert "weights" not in cell_config(Adam())
