"""The named cells: what a weights file or a command line can ask for."""

from __future__ import annotations

from l2o_tf.learned.coordinatewise_rnn import CoordinatewiseRNN
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.learning_rate_schedule import LearningRateSchedule
from l2o_tf.learned.mlp import MetzMLP
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.simple import SimpleOptimizer
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD

LEARNED_CELLS: dict[str, type[OptimizerCell]] = {
    "DMLSTM": DMLSTM,
    "RNNprop": RNNprop,
    "HierarchicalRNN": HierarchicalRNN,
    "LearnableSGD": LearnableSGD,
    "LearningRateSchedule": LearningRateSchedule,
    "TrainableAdam": TrainableAdam,
    "CoordinatewiseRNN": CoordinatewiseRNN,
    "SimpleOptimizer": SimpleOptimizer,
    "MetzMLP": MetzMLP,
}

ANALYTICAL_CELLS: dict[str, type[OptimizerCell]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "adam": Adam,
    "rmsprop": RMSProp,
    "adagrad": Adagrad,
}
