"""The problems that optimizers are trained on and judged by, as mathematics."""

from __future__ import annotations

import abc
from collections.abc import Iterable

import tensorflow as tf

from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Scalar, Seed, Vector


def join_notices(notices: Iterable[str | None]) -> str | None:
    """Return what several sources' readers must know, each thing once."""
    joined = ""
    for notice in notices:
        if notice and notice not in joined:
            joined = f"{joined} {notice}" if joined else notice
    return joined or None


class Optimizee(abc.ABC):
    """A loss f(x; constants, batch) of a flat vector x of parameters.

    Every method is pure: the same arguments give the same numbers, eagerly,
    in a graph and under XLA. `constants` is what is drawn once per episode and
    not optimised (the matrices of a quadratic, say), `()` if there is none.

    Attributes:
        layout: `Layout`, where each tensor lies in x.
        split: str, the data split the batches come from; "" without data.
        notice: None, or what a reader of any result must know of the data.
        exact_gradients: bool, whether `loss_and_gradient` returns df/dx, as it
            does but where an optimizer is to be shown something else (noise,
            say, which the loss does not have).
        convolves: bool, whether the loss has convolutions, for which XLA is
            slow on a CPU.
    """

    layout: Layout
    split: str = ""
    notice: str | None = None
    exact_gradients: bool = True
    convolves: bool = False

    @abc.abstractmethod
    def reset(self, seed: Seed) -> tuple[Vector, Nest]:
        """Draw a start, `(params [N], constants)`."""

    @abc.abstractmethod
    def sample(self, seed: Seed) -> Nest:
        """Draw a minibatch, `()` for a problem without data."""

    def sample_objective(self, seed: Seed) -> Nest:
        """Draw the batch on which an objective is measured apart.

        The whole data set or a large part of it, where a problem has one and
        says so; one more minibatch otherwise.
        """
        return self.sample(seed)

    @abc.abstractmethod
    def loss(self, params: Vector, constants: Nest, batch: Nest) -> Scalar:
        """Compute f(x; constants, batch), a scalar of x's dtype."""

    def loss_and_gradient(
        self, params: Vector, constants: Nest, batch: Nest
    ) -> tuple[Scalar, Vector]:
        """Compute f and df/dx `[N]` on the same minibatch.

        What an optimizer is shown; see `exact_gradients`.
        """
        return self.value_and_gradient(params, constants, batch)

    def value_and_gradient(
        self, params: Vector, constants: Nest, batch: Nest
    ) -> tuple[Scalar, Vector]:
        """Compute f and df/dx `[N]`, by differentiating `loss`."""
        with tf.GradientTape() as tape:
            tape.watch(params)
            loss = self.loss(params, constants, batch)
        return loss, tape.gradient(loss, params)
