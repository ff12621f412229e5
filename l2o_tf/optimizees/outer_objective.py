"""A problem whose objective is measured on another split of its data."""

from __future__ import annotations

from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee, join_notices
from l2o_tf.optimizees.wrappers import Wrapper

_TRIAL_SEED = 0


def check_same_problem(optimizee: Optimizee, objective: Optimizee) -> None:
    """Refuse an objective that is none of the problem's.

    Args:
        optimizee: the problem, whose params and constants `objective` gets.
        objective: what is to be the same problem on other data.

    Raises:
        ValueError: if the two differ in their tensors, or in the constants
            that they draw from one seed.
    """
    if objective.layout != optimizee.layout:
        raise ValueError(
            "A problem and its objective must have the same tensors. "
            f"Received: objective.layout={objective.layout}, "
            f"optimizee.layout={optimizee.layout}."
        )
    seed = seeds.make_seed(_TRIAL_SEED)
    (_, own), (_, others) = optimizee.reset(seed), objective.reset(seed)
    leaves, other_leaves = tf.nest.flatten(own), tf.nest.flatten(others)
    same = len(leaves) == len(other_leaves) and all(
        np.array_equal(a, b) for a, b in zip(leaves, other_leaves, strict=True)
    )
    if not same:
        raise ValueError(
            "A problem and its objective must draw the same constants (the "
            "classes of a problem, say), because the objective is given "
            "those of the problem. Received: two that differ for the seed "
            f"{_TRIAL_SEED}, objective={type(objective).__name__} and "
            f"optimizee={type(optimizee).__name__}."
        )


class ObjectiveBatches(NamedTuple):
    """What an objective is measured on; by its type `loss` knows it.

    Attributes:
        batches: tuple of the objective's batches.
    """

    batches: tuple[Nest, ...]


@gin.register(module="l2o_tf.optimizees")
class OuterObjective(Wrapper):
    """Optimise one problem; measure objectives on another, of the same x.

        minibatch b:          f(x; constants, b)
        objective b_1 .. b_n: (1/n) sum_i F(x; constants, b_i)

    f is the loss of `optimizee` and F that of `objective`, usually the same
    network on another split: "inner_valid" for the validation outer-objective
    of Metz et al., "train" for their training one on fresh minibatches. Start,
    constants, minibatches and what the optimizer is shown are those of
    `optimizee`; `sample_objective` draws n independent batches, each as the
    `objective` draws its own. Who asks for them is a matter of the estimator
    (`TruncatedBackpropagation.objective`) and of validation.

    The n batches are evaluated one by one, so that a `Clamped` objective
    clamps each, as the authors' program does: wrap `optimizee` and `objective`,
    not the pair, which would clamp the mean. Where nothing clamps, one batch of
    n times the images is the same mean, and faster on some devices.

    Args:
        optimizee: the `Optimizee` that is optimised.
        objective: the `Optimizee` that objectives are measured by.
        batches: int, n. Defaults to 5.

    Raises:
        ValueError: if an argument is out of range, or the two problems differ
            in their tensors or in the constants that they draw from one seed.

    References:
        Metz et al., ICML 2019, sections 2.1 and 4.4; spec metz.md 2.
    """

    def __init__(
        self, optimizee: Optimizee, objective: Optimizee, batches: int = 5
    ) -> None:
        super().__init__(optimizee)
        self.objective = checks.instance("objective", objective, Optimizee)
        self.batches = checks.positive_int("batches", batches)
        self.notice = join_notices([optimizee.notice, objective.notice])
        self.convolves = optimizee.convolves or objective.convolves
        self.exact_gradients = optimizee.exact_gradients
        check_same_problem(optimizee, objective)

    def reset(self, seed: Seed) -> tuple[Vector, Nest]:
        """Draw the start and the constants of the optimised problem."""
        return self.optimizee.reset(seed)

    def sample_objective(self, seed: Seed) -> ObjectiveBatches:
        """Draw n batches of the objective."""
        return ObjectiveBatches(
            tuple(
                self.objective.sample_objective(seeds.fold_in(seed, i))
                for i in range(self.batches)
            )
        )

    def loss(self, params: Vector, constants: Nest, batch: Nest) -> Scalar:
        """Compute f of a minibatch, or the mean of F over an objective's."""
        if not isinstance(batch, ObjectiveBatches):
            return self.optimizee.loss(params, constants, batch)
        losses = [
            self.objective.loss(params, constants, b) for b in batch.batches
        ]
        return tf.add_n(losses) / self.batches

    def loss_and_gradient(
        self, params: Vector, constants: Nest, batch: Nest
    ) -> tuple[Scalar, Vector]:
        """Compute what the optimised problem shows; F exactly."""
        if isinstance(batch, ObjectiveBatches):
            return self.value_and_gradient(params, constants, batch)
        return self.optimizee.loss_and_gradient(params, constants, batch)

    def value_and_gradient(
        self, params: Vector, constants: Nest, batch: Nest
    ) -> tuple[Scalar, Vector]:
        """Compute the loss of either kind of batch, and its slope `[N]`."""
        if not isinstance(batch, ObjectiveBatches):
            return self.optimizee.value_and_gradient(params, constants, batch)
        losses, gradients = zip(
            *[
                self.objective.value_and_gradient(params, constants, b)
                for b in batch.batches
            ],
            strict=True,
        )
        return (
            tf.add_n(losses) / self.batches,
            tf.add_n(gradients) / self.batches,
        )
