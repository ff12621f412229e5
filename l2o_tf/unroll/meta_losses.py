"""Meta-losses: from the losses of one window to the number to minimise.

A meta-loss is a differentiable function of the U + 1 losses f(x_0) .. f(x_U)
of a window of U steps. Its derivatives w_t with respect to them are all that
the first-order backward pass needs to know of it.
"""

from __future__ import annotations

import abc
from typing import NamedTuple

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.types import Scalar


class Window(NamedTuple):
    """The losses that a meta-loss is a function of, and where they stand.

    Attributes:
        losses: float `[U + 1]`.
        initial: float scalar, f(x_0) of the episode; None where it is not
            needed.
        length: int32 scalar, the steps of a window shorter than U: losses
            beyond f(x_length) are zeros to be ignored. None for U.
        step: int32 scalar, the episode's steps before the window; None where it
            is not needed.
    """

    losses: tf.Tensor
    initial: Scalar | None = None
    length: Scalar | None = None
    step: Scalar | None = None


class MetaLoss(abc.ABC):
    """Map the losses of a window to a scalar.

    Attributes:
        needs_initial: bool, whether f at the start of the episode is looked at.
        needs_last: bool, whether f(x_U), after the last update, is.
    """

    needs_initial: bool = False
    needs_last: bool = True

    @abc.abstractmethod
    def of(self, window: Window) -> Scalar:
        """Compute the meta-loss of a window."""

    def __call__(
        self,
        losses: tf.Tensor,
        initial: Scalar | None = None,
        length: Scalar | None = None,
        step: Scalar | None = None,
    ) -> Scalar:
        """Compute the meta-loss; the arguments are those of `Window`."""
        return self.of(Window(losses, initial, length, step))

    def value_and_weights(
        self,
        losses: tf.Tensor,
        initial: Scalar | None = None,
        length: Scalar | None = None,
        step: Scalar | None = None,
    ) -> tuple[Scalar, tf.Tensor]:
        """Compute the meta-loss and w_t = d meta-loss / d f(x_t), `[U + 1]`.

        f at the start of the episode counts as a constant: no optimizer has
        touched it.
        """
        with tf.GradientTape() as tape:
            tape.watch(losses)
            value = self(losses, initial, length, step)
        return value, tape.gradient(value, losses)


@gin.register(module="l2o_tf.unroll")
class SumOfLosses(MetaLoss):
    """Add the losses up: f(x_0) + ... + f(x_U), all weights 1.

    U + 1 terms, no average (Chen et al. 2020, eq. 1 with w_t = 1; spec
    dm_rnnprop.md 4.1). f(x_0) does not depend on the optimizer.
    """

    def of(self, window: Window) -> Scalar:
        """Compute the sum."""
        return tf.reduce_sum(window.losses)


@gin.register(module="l2o_tf.unroll")
class MeanAfterUpdates(MetaLoss):
    """Average what the updates led to: (f(x_1) + ... + f(x_U)) / U.

    f(x_0), which no update of the window has touched, is left out.

    References:
        Metz et al., ICML 2019, section 2.1; spec metz.md 2.
    """

    def of(self, window: Window) -> Scalar:
        """Compute the mean."""
        losses, _, length, _ = window
        count = losses.shape[0] - 1 if length is None else length
        return tf.reduce_sum(losses[1:]) / tf.cast(count, losses.dtype)


@gin.register(module="l2o_tf.unroll")
class LogRatio(MetaLoss):
    """Average the logarithm of the loss relative to the episode's start.

        J = 1/(U + 1) sum_i log(F_i / (f_init + eps) + eps)
        F = [f(x_0), f(x_0), f(x_1), .., f(x_{U-1})],       eps = 1e-6

    f_init is f(x_0) of the episode, the other losses are of the window. As in
    the original program the first entry comes twice, and f(x_U) is left to the
    next window. A loss below -eps f_init makes J not a number.

    Args:
        numerator_epsilon: bool, whether eps is added before dividing:
            log((F_i + eps) / (f_init + eps)). Defaults to False.

    Raises:
        ValueError: if `numerator_epsilon` is not a bool.

    References:
        Wichrowska et al., ICML 2017, section 4.1; spec l2o_scale.md 1.2, 1.3.
    """

    needs_initial = True
    needs_last = False

    def __init__(self, numerator_epsilon: bool = False) -> None:
        self.numerator_epsilon = checks.boolean(
            "numerator_epsilon", numerator_epsilon
        )

    def of(self, window: Window) -> Scalar:
        """Compute J."""
        losses, initial, length, _ = window
        if initial is None:
            raise ValueError(
                "A ratio needs the loss at the start of the episode. "
                "Received: initial=None."
            )
        epsilon, count = 1e-6, losses.shape[0] - 1
        steps = tf.range(count)
        length = tf.constant(count) if length is None else length
        start = tf.stop_gradient(initial) + epsilon
        if self.numerator_epsilon:
            ratios = (losses[:-1] + epsilon) / start
        else:
            ratios = losses[:-1] / start + epsilon
        inside = steps < length
        # Where there is no loss, a number whose logarithm has a derivative.
        logarithms = tf.math.log(tf.where(inside, ratios, tf.ones_like(ratios)))
        twice = tf.reduce_sum(logarithms) + logarithms[0]
        return twice / tf.cast(length + 1, losses.dtype)


@gin.register(module="l2o_tf.unroll")
class WeightedDifference(MetaLoss):
    """Add up what each step gained or lost, the later the more it counts.

        L = sum_i w_i (f(x_i) - f(x_{i-1})),    w_i = (i / unit_step)^exponent

    over the steps i of the window. The paper prints f(x_{i-1}) - f(x_i), which
    is large where the losses fall; to be minimised it must be the negative.

    i counts from the trajectory's start, so that the windows' L add up to the
    trajectory's (but for their minibatches) and early windows hardly count:
    with 20 steps in each, the weights of the tenth are 100 times the first's,
    or more. Or it counts from the window's start: all windows count alike.

    Added up by parts,

        L = w_b f(x_b) - w_{a+1} f(x_a) - sum_{a<i<b} (w_{i+1} - w_i) f(x_i)

    for a window from x_a to x_b: it is its end that is made low, while the
    losses on the way weigh less than nothing. So L also rewards a loss that
    rises first and falls again: 1, 9, 9, 1 has L = -64, and 1, 1, 1, 1 has 0.
    With `exponent=0`, L is f(x_b) - f(x_a).

    Which f: each f(x_i) is on the minibatch of the step that begins at x_i, and
    f(x_b) on a minibatch of its own; the next window sees x_b again on the one
    of its first step. So the differences are between two minibatches, with the
    noise of both. `TruncatedBackpropagation(objective="window")` measures a
    whole window on one minibatch more, at the cost of a second gradient per
    step.

    Scale: as the paper has it, w reaches 200^2 = 40,000. The meta-step of Adam
    does not depend on a constant factor, but clipping, and the gradient norms
    that are reported, do. `unit_step`, the index that weighs 1, is that factor;
    the horizon is a good value. Dividing by each window's own weights instead
    would change how the windows count among each other.

    Args:
        exponent: float >= 0. Defaults to 2.0.
        index: "trajectory" or "window", where i counts from. Defaults to
            "trajectory".
        unit_step: int >= 1. Defaults to 1, the paper's weights.

    Raises:
        ValueError: if an argument is out of range; when called, if the index is
            the trajectory's and `step` is missing.

    References:
        "Learning to learn with better convergence", 2020; spec
        simple_optimizer.md 2.
    """

    def __init__(
        self,
        exponent: float = 2.0,
        index: str = "trajectory",
        unit_step: int = 1,
    ) -> None:
        self.exponent = checks.real("exponent", exponent, low=0.0)
        self.index = checks.one_of("index", index, ("trajectory", "window"))
        self.unit_step = checks.positive_int("unit_step", unit_step)

    def of(self, window: Window) -> Scalar:
        """Compute L."""
        losses, _, length, step = window
        index = tf.range(1, losses.shape[0])  # 1 .. U
        differences = losses[1:] - losses[:-1]
        if length is not None:
            zeros = tf.zeros_like(differences)
            differences = tf.where(index <= length, differences, zeros)
        if self.index == "trajectory":
            index += self._checked_step(step)
        ratio = tf.cast(index, losses.dtype) / self.unit_step
        return tf.reduce_sum(ratio**self.exponent * differences)

    def _checked_step(self, step: Scalar | None) -> Scalar:
        if step is None:
            raise ValueError(
                "Weights that count from the trajectory's start need the steps "
                "before the window. Received: step=None. Give them, or use "
                "index='window'."
            )
        return step


@gin.register(module="l2o_tf.unroll")
class LossAt(MetaLoss):
    """Take one loss of the window, f(x_index), and leave the others.

    A trajectory has one such loss per window: with -1 every window's end is
    made low, the trajectory's end only as the last of them. (Nothing is
    backpropagated from later windows, so those before the last would learn
    nothing from the trajectory's end alone.)

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

    def of(self, window: Window) -> Scalar:
        """Pick the loss."""
        losses, _, length, _ = window
        count = int(losses.shape[0])
        if length is not None:
            return losses[self._from_end() + length + 1]
        if not -count <= self.index < count:
            raise ValueError(
                f"A window of {count - 1} steps has the losses 0 to "
                f"{count - 1}. Received: index={self.index}."
            )
        return losses[self.index]

    def _from_end(self) -> int:
        if self.index not in (-1, -2):
            raise ValueError(
                "A window of random length, 1 at least, has its last two "
                f"losses for sure. Received: index={self.index}. Use -1 or -2."
            )
        return self.index
