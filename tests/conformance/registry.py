"""Every public cell, optimizee and estimator, with tiny arguments.

`coverage_test.py` fails when one of the package is not here. Each entry is
`(class, arguments)`; the arguments make an object of at most 100 coordinates
or weights, so that XLA compiles it within a second.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.random_scaling import RandomScaling

SEED = seeds.make_seed(7)


class Entry(NamedTuple):
    """How to build one object.

    Attributes:
        kind: the class.
        arguments: dict, of its constructor.
    """

    kind: type
    arguments: dict[str, Any]

    def build(self, **more):
        return self.kind(**self.arguments, **more)


CELLS = {
    "dm": Entry(DMLSTM, {"units": (3, 2), "output_scale": 0.3, "seed": 1}),
    "dm_identity": Entry(
        DMLSTM,
        {"units": (2,), "preprocessing": "identity", "output_scale": 1.0},
    ),
    "learnable_sgd": Entry(LearnableSGD, {"learning_rate": 0.05}),
    "sgd": Entry(SGD, {"learning_rate": 0.05}),
    "momentum": Entry(Momentum, {"learning_rate": 0.05, "momentum": 0.5}),
    "nesterov": Entry(Momentum, {"learning_rate": 0.05, "nesterov": True}),
    "adam": Entry(Adam, {"learning_rate": 0.05}),
    "rmsprop": Entry(RMSProp, {"learning_rate": 0.05, "momentum": 0.5}),
    "adagrad": Entry(Adagrad, {"learning_rate": 0.05}),
}

_DATA = synthetic_images(height=2, width=2)
_MLP = {"dataset": _DATA, "split": "train", "hidden": (2,), "batch_size": 4}

OPTIMIZEES = {
    "mlp": Entry(MLP, {**_MLP, "init_stddev": 0.5}),
    "mlp_relu": Entry(MLP, {**_MLP, "activation": "relu", "init_stddev": 0.5}),
    "quadratic": Entry(Quadratic, {"batch_size": 3, "dim": 2}),
    "simple": Entry(Simple, {}),
    "random_scaling": Entry(
        RandomScaling,
        {"optimizee": MLP(**_MLP, init_stddev=0.5), "log_scale_bound": 1.0},
    ),
}

ESTIMATORS = {
    "adjoint": Entry(TruncatedBackpropagation, {"unroll_length": 3}),
    "tape": Entry(
        TruncatedBackpropagation, {"unroll_length": 3, "backward": "tape"}
    ),
    "second": Entry(
        TruncatedBackpropagation,
        {"unroll_length": 3, "second_derivatives": True},
    ),
}

COORDINATEWISE = frozenset(CELLS)
"""The cells whose update of a coordinate sees no other coordinate."""


def each(entries):
    """Parametrize a test over the entries, as `entry`."""
    return pytest.mark.parametrize("entry", entries.values(), ids=entries)
