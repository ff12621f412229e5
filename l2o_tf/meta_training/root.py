"""The trainer that a configuration describes: gin's root of a training.

Here, because two commands read it: the one that trains, and the one that
exports a step of the training.
"""

from __future__ import annotations

import gin

from l2o_tf.meta_training.trainer import Trainer


@gin.configurable(module="l2o_tf")
def train(trainer: Trainer = gin.REQUIRED) -> Trainer:
    """Return the trainer that the configuration describes."""
    return trainer
