"""What problems without data share, and what batches of random ones do."""

from __future__ import annotations

import abc

import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee


class SyntheticOptimizee(Optimizee):
    """A problem without data: there is no minibatch."""

    def sample(self, seed: Seed) -> tuple[()]:
        """Return no batch."""
        del seed
        return ()


class FixedFunction(SyntheticOptimizee):
    """Minimise one function of x, from Normal(0, 1): no constants, no data.

    A subclass sets `layout` and writes `value`.
    """

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw x."""
        return seeds.normal(seed, [self.layout.size]), ()

    @abc.abstractmethod
    def value(self, params: Vector) -> Scalar:
        """Compute f(x), of x's dtype."""

    def loss(
        self, params: Vector, constants: tuple[()], batch: tuple[()]
    ) -> Scalar:
        """Compute f(x)."""
        del constants, batch
        return self.value(params)


class RandomProblems(SyntheticOptimizee):
    """Minimise the mean of B random problems of d numbers each.

        f(x) = 1/B sum_b f_b(x_b),    x `[B, d]`

    A subclass writes `reset` and `each`.

    Args:
        batch_size: int, B.
        dim: int, d.

    Raises:
        ValueError: if an argument is not a positive int.
    """

    def __init__(self, batch_size: int, dim: int) -> None:
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.dim = checks.positive_int("dim", dim)
        self.layout = Layout.from_shapes({"x": (batch_size, dim)})

    def draw_systems(
        self, seed: Seed
    ) -> tuple[Vector, tuple[tf.Tensor, tf.Tensor]]:
        """Draw x from Normal(0, 0.01**2), (W, y) from the uniform on (0, 1)."""
        b, d = self.batch_size, self.dim
        x = seeds.normal(seeds.fold_in(seed, 0), [b * d], 0.01)
        w = seeds.uniform(seeds.fold_in(seed, 1), [b, d, d])
        y = seeds.uniform(seeds.fold_in(seed, 2), [b, d])
        return x, (w, y)

    @abc.abstractmethod
    def each(self, x: tf.Tensor, constants: Nest) -> tf.Tensor:
        """Compute f_b(x_b) of every problem, `[B]`, from x `[B, d]`."""

    def loss(self, params: Vector, constants: Nest, batch: tuple[()]) -> Scalar:
        """Compute f(x)."""
        del batch
        x = tf.reshape(params, [self.batch_size, self.dim])
        return tf.reduce_mean(self.each(x, constants))
