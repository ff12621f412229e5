"""Fine-tuning: a few repetitions on part of a new task, until the loss halves.

Seams: the initial weights (those of a trained optimizer), and where an episode
ends. The part of the task's data is a split such as "train[5%]" (`Part`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Scalar
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.unroll.carry import Carry, ending_seed


class Fall(NamedTuple):
    """How far the average training loss has fallen in an episode; scalars.

    Attributes:
        windows: int32, made so far.
        first: float, the average at x_0.
        last: float, the average where the last window ended.
    """

    windows: Scalar
    first: Scalar
    last: Scalar


@gin.register(module="l2o_tf.techniques")
class HalvedLoss:
    """End an episode as soon as its average training loss has halved.

        F(x) = 1/K sum_{k < K} f(x; batch_k)
        after each window:  F(x_t) < ratio F(x_0)  ends the episode

    An episode is then one repetition of fine-tuning: it starts from a fresh
    x_0 and a fresh optimizer state, its windows have their meta-updates, and
    the weights and the meta-optimizer's slots go on into the next one. The
    schedule's horizon is its cap, in minibatches (one per inner step).

    The K minibatches are drawn once per episode, apart from those that are
    trained on: F is the training loss at one point, not an average over a
    stretch of the trajectory, and both sides of the comparison are measured
    on the same examples. An episode whose F is no longer a number ends too.

    Deviations: the paper says neither what it averages over nor what ends a
    repetition that never halves.

    Args:
        ratio: float in (0, 1). Defaults to 0.5.
        average_batches: int, K. Defaults to 20.
        otherwise: what follows an episode that ends without: "stop", an error
            that says so, or "go_on", with the next episode. Defaults to
            "stop".

    Raises:
        ValueError: if an argument is out of range.

    References:
        "Learning to learn with better convergence" (SimpleOptimizer); spec
        simple_optimizer.md 4.
    """

    def __init__(
        self,
        ratio: float = 0.5,
        average_batches: int = 20,
        otherwise: str = "stop",
    ) -> None:
        self.ratio = checks.real(
            "ratio", ratio, 0.0, 1.0, low_open=True, high_open=True
        )
        self.average_batches = checks.positive_int(
            "average_batches", average_batches
        )
        self.otherwise = checks.one_of(
            "otherwise", otherwise, ("stop", "go_on")
        )

    def average(self, optimizee: Optimizee, carry: Carry) -> Scalar:
        """Compute F at the carry's params."""
        seed = ending_seed(carry)

        def body(k: Scalar, total: Scalar) -> tuple[Scalar, Scalar]:
            batch = optimizee.sample(seeds.fold_in(seed, k))
            loss = optimizee.loss(carry.params, carry.constants, batch)
            return k + 1, total + loss

        _, total = tf.while_loop(
            lambda k, _: k < self.average_batches,
            body,
            (tf.constant(0), tf.zeros([], carry.params.dtype)),
            maximum_iterations=self.average_batches,
        )
        return total / self.average_batches

    def begin(self, optimizee: Optimizee, carry: Carry) -> Fall:
        """Measure the average at an episode's start."""
        first = self.average(optimizee, carry)
        return Fall(tf.constant(0), first, first)

    def observe(self, optimizee: Optimizee, carry: Carry, fall: Fall) -> Fall:
        """Measure the average after one more window."""
        return Fall(
            fall.windows + 1, fall.first, self.average(optimizee, carry)
        )

    def goes_on(self, fall: Fall) -> Scalar:
        """Return a bool scalar: is the episode not at its end yet?

        An average that starts at 0 or below cannot halve.
        """
        return (
            (fall.first > 0.0)
            & (fall.last >= self.ratio * fall.first)
            & tf.math.is_finite(fall.last)
        )

    def verdict(self, fall: Fall) -> str:
        """Say how an episode ended.

        Args:
            fall: of numbers.

        Returns:
            "halved"; "diverged" where the average is no number; else "capped".
        """
        if not math.isfinite(fall.last):
            return "diverged"
        # As in the graph: in the precision of the loss.
        first, last = tf.constant(fall.first), tf.constant(fall.last)
        on = self.goes_on(Fall(tf.constant(fall.windows), first, last))
        return "capped" if bool(on) or fall.first <= 0.0 else "halved"
