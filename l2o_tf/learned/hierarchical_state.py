"""The state of the hierarchical optimizer, and the layout it belongs to."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core.types import Vector
from l2o_tf.learned.gradient_scales import ScaleState
from l2o_tf.learned.gru import GRUGates


class HierarchicalState(NamedTuple):
    """The state of the three levels; its type knows the layout.

    Attributes:
        coordinates: `[10, N]`, h_0.
        tensors: `[20, P]`, h_1.
        problem: `[20, 1]`, h_2.
        scales: averages and mean squares, `[4, N]` each.
        input_decay: `[N]`, of the averages; 0 at reset.
        scale_decay: `[N]`, of the mean squares; 0 at reset.
        log_learning_rate: `[N]`.
        lead: `[N]`, where the next gradient is taken, relative to the params;
            `[0]` without attention.
    """

    coordinates: tf.Tensor
    tensors: tf.Tensor
    problem: tf.Tensor
    scales: ScaleState
    input_decay: Vector
    scale_decay: Vector
    log_learning_rate: Vector
    lead: Vector


class Levels(NamedTuple):
    """What a step makes of the three levels.

    Attributes:
        coordinates: `[10, N]`, the new h_0.
        tensors: `[20, P]`, the new h_1.
        problem: `[20, 1]`, the new h_2.
        scaled: `[4, N]`, the gradient by its scales.
        scales: the new averages and mean squares.
        gates: of the three levels, the lowest first.
    """

    coordinates: tf.Tensor
    tensors: tf.Tensor
    problem: tf.Tensor
    scaled: tf.Tensor
    scales: ScaleState
    gates: tuple[GRUGates, GRUGates, GRUGates]
