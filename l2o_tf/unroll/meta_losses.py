"""Meta-losses: from the losses of one window to the number to minimise.

A meta-loss is a differentiable function of the U + 1 losses f(x_0) .. f(x_U)
of a window of U steps. Its derivatives w_t with respect to them are all that
the first-order backward pass needs to know of it.
"""

from __future__ import annotations

import abc

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.types import Scalar


class MetaLoss(abc.ABC):
    """Map the losses of a window to a scalar."""

    @abc.abstractmethod
    def __call__(self, losses: tf.Tensor) -> Scalar:
        """Compute the meta-loss of losses `[U + 1]`."""

    def value_and_weights(self, losses: tf.Tensor) -> tuple[Scalar, tf.Tensor]:
        """Compute the meta-loss and w_t = d meta-loss / d f(x_t), `[U + 1]`."""
        with tf.GradientTape() as tape:
            tape.watch(losses)
            value = self(losses)
        return value, tape.gradient(value, losses)


@gin.register(module="l2o_tf.unroll")
class SumOfLosses(MetaLoss):
    """Add the losses up: f(x_0) + ... + f(x_U), all weights 1.

    U + 1 terms, no average (Chen et al. 2020, eq. 1 with w_t = 1; spec
    dm_rnnprop.md 4.1). f(x_0) does not depend on the optimizer.
    """

    def __call__(self, losses: tf.Tensor) -> Scalar:
        """Compute the sum."""
        return tf.reduce_sum(losses)


@gin.register(module="l2o_tf.unroll")
class LossAt(MetaLoss):
    """Take one loss of the window, f(x_index), and leave the others.

    Args:
        index: int, from 0 to U, or negative to count from the end: -1 is
            f(x_U), where the window ends; -2 is the last loss that is measured
            before an update, the choice of Lv et al. 2017's program. Defaults
            to -1.

    Raises:
        ValueError: if `index` is not an int; when called, if it is outside of
            the window.
    """

    def __init__(self, index: int = -1) -> None:
        self.index = checks.integer("index", index)

    def __call__(self, losses: tf.Tensor) -> Scalar:
        """Pick the loss."""
        count = int(losses.shape[0])
        if not -count <= self.index < count:
            raise ValueError(
                f"A window of {count - 1} steps has the losses 0 to "
                f"{count - 1}. Received: index={self.index}."
            )
        return losses[self.index]
