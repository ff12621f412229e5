"""Every public cell, optimizee and estimator, with tiny arguments.

`coverage_test.py` fails when one of the package is not here. Each entry is
`(class, arguments)`; the arguments make an object of at most 100 coordinates
or weights, so that XLA compiles it within a second.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import keras
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.datasets import tabular
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.imitation import ImitationGradient
from l2o_tf.estimators.pairs import PairedEstimator
from l2o_tf.estimators.smoothed import (
    EvolutionStrategies,
    MergedGradient,
    PersistentEvolutionStrategies,
    Reparameterization,
)
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.coordinatewise_rnn import CoordinatewiseRNN
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.learning_rate_schedule import LearningRateSchedule
from l2o_tf.learned.mlp import MetzMLP
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.simple import SimpleOptimizer
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizees.bowls import Bowl, Saddle
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.confocal import ConfocalMicroscopy
from l2o_tf.optimizees.conv import ConvNet
from l2o_tf.optimizees.convex import ConvexQuadratic
from l2o_tf.optimizees.dense_classifier import DenseClassifier
from l2o_tf.optimizees.dependency_chain import DependencyChain
from l2o_tf.optimizees.gaussian_quadratics import (
    GaussianNorm,
    GaussianQuadratic,
    IsotropicQuadratic,
)
from l2o_tf.optimizees.inception import Branches, Builder
from l2o_tf.optimizees.keras_model import KerasModel
from l2o_tf.optimizees.landscapes import Landscape
from l2o_tf.optimizees.lasso import Lasso
from l2o_tf.optimizees.lenet import LeNet
from l2o_tf.optimizees.matmul_algorithm import MatMulAlgorithm
from l2o_tf.optimizees.min_max_well import MinMaxWell
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.nas_cell import NASCell
from l2o_tf.optimizees.outer_objective import OuterObjective
from l2o_tf.optimizees.outward_snake import OutwardSnake
from l2o_tf.optimizees.plain_conv import PlainConvNet
from l2o_tf.optimizees.pooled_conv import PooledConvNet
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizees.rastrigin import Rastrigin
from l2o_tf.optimizees.row_quadratics import (
    ProjectionQuadratic,
    SumOfQuadratics,
)
from l2o_tf.optimizees.sampled_classes import SampledClasses
from l2o_tf.optimizees.softmax_regression import (
    SoftmaxRegression,
    SparseSoftmaxRegression,
)
from l2o_tf.optimizees.square_cos import SquareCos
from l2o_tf.optimizees.vgg import VGG16
from l2o_tf.optimizees.wrappers import (
    Clamped,
    LogObjective,
    NoisyGradients,
    Rescale,
    SparseGradients,
)
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.decayed_adam import DecayedAdam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.studies.two_minima import TwoMinima
from l2o_tf.techniques.mixture import StepwiseMixture
from l2o_tf.techniques.random_scaling import RandomScaling
from l2o_tf.techniques.self_improving import SelfImproving

SEED = seeds.make_seed(7)


class Entry(NamedTuple):
    """How to build one object.

    Attributes:
        kind: the class.
        arguments: dict, of its constructor; an entry in the place of an object
            is built with it, of the same dtype.
    """

    kind: type
    arguments: dict[str, Any]

    def build(self, **more):
        of_parts = {k: v for k, v in more.items() if k == "dtype"}
        arguments = {
            name: _built(value, of_parts)
            for name, value in self.arguments.items()
        }
        return self.kind(**arguments, **more)


def _built(value, more):
    if isinstance(value, Entry):
        return value.build(**more)
    if type(value) is tuple:
        return tuple(_built(part, more) for part in value)
    return value


_AUXILIARIES = (
    Entry(SGD, {"learning_rate": 0.05}),
    Entry(Adam, {"learning_rate": 0.05}),
)
_RNNPROP = {
    "units": (3,),
    "projection_units": 2,
    "output_scale": 0.3,
    "seed": 1,
}
_HIERARCHICAL = {
    "units": (2, 3, 3),
    "initial_learning_rate_range": (1e-2, 1e-1),
    "seed": 1,
}

_SIMPLE = {"units": 3, "output_scale": 0.3, "seed": 1}
_METZ = {
    "units": (4,),
    "decays": (0.5, 0.9),
    "time_scales": (3.0,),
    "step_multiplier": 0.1,
    "exponent_multiplier": 0.5,
    "seed": 1,
}

CELLS = {
    "dm": Entry(DMLSTM, {"units": (3, 2), "output_scale": 0.3, "seed": 1}),
    "dm_identity": Entry(
        DMLSTM,
        {"units": (2,), "preprocessing": "identity", "output_scale": 1.0},
    ),
    "learnable_sgd": Entry(LearnableSGD, {"learning_rate": 0.05}),
    "learning_rate_schedule": Entry(
        LearningRateSchedule, {"num_steps": 3, "initial_learning_rate": 0.05}
    ),
    "trainable_adam": Entry(TrainableAdam, {"learning_rate": 0.05}),
    "trainable_adam_released": Entry(
        TrainableAdam,
        {"learning_rate": 1e-6, "released_second_moment": True},
    ),
    "hierarchical": Entry(HierarchicalRNN, _HIERARCHICAL),
    "hierarchical_attention": Entry(
        HierarchicalRNN,
        {
            **_HIERARCHICAL,
            "attention": True,
            "problem_input": "mean",
            "problem_learning_rate_mean": False,
            "learning_rate_shortcut": True,
            "extreme_indicator": True,
            "chained_scale_decay": True,
            "zero_learning_rate_weights": False,
        },
    ),
    "hierarchical_plain": Entry(
        HierarchicalRNN,
        {
            **_HIERARCHICAL,
            "num_gradient_scales": 1,
            "learned_decays": False,
            "dynamic_output_scale": False,
            "gradient_shortcut": False,
            "gradient_products": False,
            "log_mean_squares": False,
            "relative_learning_rate": False,
            "learned_initial_state": False,
        },
    ),
    "coordinatewise_rnn": Entry(
        CoordinatewiseRNN, {"units": (2, 2), "seed": 1}
    ),
    "simple": Entry(SimpleOptimizer, _SIMPLE),
    "simple_bias": Entry(
        SimpleOptimizer,
        {**_SIMPLE, "use_bias": True, "initial_weights": "pytorch"},
    ),
    "simple_alone": Entry(SimpleOptimizer, {**_SIMPLE, "aggregate": "none"}),
    "simple_recurrent": Entry(
        SimpleOptimizer,
        {**_SIMPLE, "recurrent_aggregate": True, "initial_shares": (1.0, 0.5)},
    ),
    "simple_max": Entry(SimpleOptimizer, {**_SIMPLE, "aggregate": "max"}),
    "simple_sum_over_root": Entry(
        SimpleOptimizer, {**_SIMPLE, "aggregate": "sum_over_root"}
    ),
    "metz": Entry(MetzMLP, _METZ),
    "metz_learned_optimization": Entry(
        MetzMLP,
        {**_METZ, "units": (3, 4), "second_moment_features": False},
    ),
    "metz_no_momentum": Entry(MetzMLP, {**_METZ, "decays": ()}),
    "metz_no_time": Entry(MetzMLP, {**_METZ, "time_scales": ()}),
    "sgd": Entry(SGD, {"learning_rate": 0.05}),
    "momentum": Entry(Momentum, {"learning_rate": 0.05, "momentum": 0.5}),
    "nesterov": Entry(Momentum, {"learning_rate": 0.05, "nesterov": True}),
    "adam": Entry(Adam, {"learning_rate": 0.05}),
    "rmsprop": Entry(RMSProp, {"learning_rate": 0.05, "momentum": 0.5}),
    "adagrad": Entry(Adagrad, {"learning_rate": 0.05}),
    "decayed_adam": Entry(
        DecayedAdam,
        {
            "learning_rate": 0.05,
            "exponential_decay": 1e-4,
            "linear_decay": 1e-4,
            "num_steps": 10,
        },
    ),
    "repaired": Entry(
        RepairedGradients,
        {"optimizer": Entry(RMSProp, {"learning_rate": 0.05}), "bound": 2.0},
    ),
    "rnnprop": Entry(RNNprop, _RNNPROP),
    "rnnprop_lv": Entry(
        RNNprop,
        {
            **_RNNPROP,
            "output_scale": -0.1,
            "gradient_first": True,
            "initial_weights": "lv",
        },
    ),
    "mixture": Entry(
        StepwiseMixture,
        {
            "learner": Entry(
                DMLSTM, {"units": (2,), "output_scale": 0.3, "seed": 1}
            ),
            "auxiliaries": _AUXILIARIES,
            "probability": 0.3,
            "seed": 95,
        },
    ),
}

_DATA = synthetic_images(height=2, width=2)
_MLP = {"dataset": _DATA, "split": "train", "hidden": (2,), "batch_size": 4}
_IMAGES = {
    "dataset": synthetic_images(height=8, width=8),
    "split": "train",
    "batch_size": 4,
    "init_stddev": 0.5,
}
_CONV = {**_IMAGES, "filters": (2, 2), "kernels": (3, 2), "strides": (1, 1)}
_PLAIN_CONV = {
    "dataset": _DATA,
    "split": "train",
    "filters": (2, 2),
    "kernels": (3, 2),
    "batch_size": 4,
    "init_stddev": 0.5,
}
_POOLED_CONV = {
    "filters": (2, 2),
    "kernels": (2, 3),
    "strides": (2, 1),
    "batch_size": 4,
}
_SAMPLED = {
    "dataset": synthetic_images(height=2, width=2, num_classes=7),
    "split": "train",
    "network": functools.partial(
        MLP, hidden=(2,), batch_size=4, init_stddev=0.5
    ),
    "classes_per_problem": 2,
}
_LENET = {**_IMAGES, "filters": (2, 2), "kernel": 2, "units": (3,)}
_TABLE = tabular.random_mlp_classes(3, 40, num_layers=1, seed=1)
_ROWS = {"table": _TABLE, "batch_size": 8}
_PARITY = {
    "table": tabular.noisy_parity(num_classes=3),
    "num_classes": 3,
    "num_features": 2,
    "batch_size": 4,
}

_KERAS = keras.Sequential(
    [
        keras.Input((2, 2, 1)),
        keras.layers.Conv2D(2, 2, kernel_regularizer="l2"),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(3, "softmax"),
    ]
)


def _inception():
    build = Builder(1.0, True, "glorot_uniform", 0.01)
    images = keras.Input((2, 2, 1))
    x = build.module(images, Branches(1, 1, 1, 1, 1, 1), "module")
    return keras.Model(images, build.logits(x, 3))


OPTIMIZEES = {
    "mlp": Entry(MLP, {**_MLP, "init_stddev": 0.5}),
    "mlp_relu": Entry(MLP, {**_MLP, "activation": "relu", "init_stddev": 0.5}),
    "mlp_glorot": Entry(
        MLP, {**_MLP, "activation": "relu", "initializer": "glorot_uniform"}
    ),
    "conv": Entry(ConvNet, _CONV),
    "conv_plain": Entry(
        ConvNet, {**_CONV, "batch_norm": False, "relu_logits": False}
    ),
    "conv_inert": Entry(
        ConvNet,
        {
            **_CONV,
            "batch_norm": False,
            "relu_logits": False,
            "inert_norm": True,
            "random_biases": True,
        },
    ),
    "plain_conv": Entry(PlainConvNet, _PLAIN_CONV),
    "plain_conv_orig": Entry(
        PlainConvNet,
        {**_PLAIN_CONV, "conv_bias": False, "relu_logits": False},
    ),
    "pooled_conv": Entry(
        PooledConvNet, {**_POOLED_CONV, "dataset": _DATA, "split": "train"}
    ),
    "sampled_classes": Entry(SampledClasses, _SAMPLED),
    "nas_cell": Entry(NASCell, {**_IMAGES, "filters": 1}),
    "lenet": Entry(LeNet, _LENET),
    "lenet_plain": Entry(LeNet, {**_LENET, "batch_norm": False}),
    "lenet_relu": Entry(
        LeNet,
        {
            **_LENET,
            "batch_norm": False,
            "activation": "relu",
            "initializer": "glorot_uniform",
        },
    ),
    "vgg": Entry(VGG16, {**_IMAGES, "widths": ((1,), (2,))}),
    "quadratic": Entry(Quadratic, {"batch_size": 3, "dim": 2}),
    "simple": Entry(Simple, {}),
    "two_minima": Entry(TwoMinima, {"count": 3}),
    "square_cos": Entry(SquareCos, {"batch_size": 3, "dim": 2}),
    "confocal": Entry(
        ConfocalMicroscopy, {"batch_size": 2, "points": 2, "roi": (3, 4, 5)}
    ),
    "lasso": Entry(Lasso, {"batch_size": 3, "dim": 2}),
    "rastrigin": Entry(Rastrigin, {"batch_size": 3, "dim": 2}),
    "softmax_regression": Entry(SoftmaxRegression, {**_ROWS, "num_classes": 2}),
    "sparse_softmax": Entry(SparseSoftmaxRegression, _PARITY),
    "sparse_softmax_one_hot": Entry(
        SparseSoftmaxRegression, {**_PARITY, "one_hot": True}
    ),
    "dense_classifier": Entry(
        DenseClassifier,
        {
            **_ROWS,
            "num_classes": 2,
            "hidden": (2,),
            "init_stddev": 0.5,
        },
    ),
    "sum_of_quadratics": Entry(SumOfQuadratics, _ROWS),
    "projection_quadratic": Entry(ProjectionQuadratic, _ROWS),
    "outward_snake": Entry(OutwardSnake, _ROWS),
    "convex_quadratic": Entry(ConvexQuadratic, {"dim": 4, "start_bound": 1.0}),
    "gaussian_quadratic": Entry(GaussianQuadratic, {"dim": 3}),
    "gaussian_norm": Entry(GaussianNorm, {"dim": 3, "power": 3.0}),
    "isotropic_quadratic": Entry(IsotropicQuadratic, {"shape": (2, 3)}),
    "bowl": Entry(Bowl, {"condition_number": 5.0, "angle": 0.3}),
    "saddle": Entry(Saddle, {}),
    "landscape": Entry(Landscape, {"function": "branin"}),
    "min_max_well": Entry(MinMaxWell, {"dim": 3}),
    "dependency_chain": Entry(DependencyChain, {"length": 3}),
    "matmul_algorithm": Entry(MatMulAlgorithm, {"size": 2, "rank": 5}),
    "rescale": Entry(
        Rescale, {"optimizee": GaussianQuadratic(3), "scale": 0.5}
    ),
    "log_objective": Entry(LogObjective, {"optimizee": GaussianQuadratic(3)}),
    "clamped": Entry(Clamped, {"optimizee": MLP(**_MLP, init_stddev=0.5)}),
    "outer_objective": Entry(
        OuterObjective,
        {
            "optimizee": Entry(SampledClasses, _SAMPLED),
            "objective": Entry(
                SampledClasses, {**_SAMPLED, "split": "inner_valid"}
            ),
            "batches": 2,
        },
    ),
    "noisy_gradients": Entry(
        NoisyGradients,
        {"optimizee": MLP(**_MLP, init_stddev=0.5), "stddev": 0.5},
    ),
    "sparse_gradients": Entry(
        SparseGradients,
        {"optimizee": GaussianQuadratic(9), "zero_probability": 0.5},
    ),
    "sum": Entry(
        Sum,
        {"optimizees": (MLP(**_MLP, init_stddev=0.5), ConvexQuadratic(4, 1.0))},
    ),
    "keras_model": Entry(
        KerasModel,
        {
            "model": _KERAS,
            "loss": "sparse_categorical_crossentropy",
            "data": _DATA,
            "split": "train",
            "batch_size": 8,
        },
    ),
    "inception": Entry(
        KerasModel,
        {
            "model": _inception(),
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            ),
            "data": _DATA,
            "split": "train",
            "batch_size": 8,
        },
    ),
    "random_scaling": Entry(
        RandomScaling,
        {"optimizee": MLP(**_MLP, init_stddev=0.5), "log_scale_bound": 1.0},
    ),
}

_PAIRS = {
    "window": TruncatedBackpropagation(3),
    "num_particles": 4,
    "sigma": 0.5,  # of small ones, float32 leaves little
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
    "segments": Entry(
        TruncatedBackpropagation, {"unroll_length": 3, "segment_length": 2}
    ),
    "evolution": Entry(EvolutionStrategies, _PAIRS),
    "persistent": Entry(
        PersistentEvolutionStrategies, {**_PAIRS, "horizon": 4}
    ),
    "reparameterization": Entry(Reparameterization, _PAIRS),
    "merged": Entry(MergedGradient, _PAIRS),
    "imitation": Entry(
        ImitationGradient, {"teacher": SGD(0.5), "unroll_length": 3}
    ),
    "self_improving": Entry(
        SelfImproving,
        {
            "estimator": TruncatedBackpropagation(3),
            "auxiliaries": (SGD(0.05), Adam(0.05)),
        },
    ),
}


def start(estimator, cell, optimizee, seed=SEED):
    """Return the carry before an estimator's first window of episode 0."""
    context = EpisodeContext(tf.constant(0), ())
    return estimator.start(cell, optimizee, seed, context)


def cells_of(entry):
    """Return the names of the cells that an estimator is compiled with.

    Pairs run two windows each: LSTMs in all of them would say nothing more.
    """
    if issubclass(entry.kind, PairedEstimator):
        return ("learnable_sgd",)
    return ("dm", "learnable_sgd")


COORDINATEWISE = frozenset(
    name
    for name in CELLS
    if name == "simple_alone"
    or not name.startswith(("hierarchical", "metz", "simple"))
)
"""The cells whose update of a coordinate sees no other coordinate."""


def each(entries):
    """Parametrize a test over the entries, as `entry`."""
    return pytest.mark.parametrize("entry", entries.values(), ids=entries)
