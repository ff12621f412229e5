"""L2O-Scale's linear systems: a half square, a norm, and a round bowl."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.synthetic import FixedFunction, SyntheticOptimizee


class _GaussianSystem(SyntheticOptimizee):
    """W x - y with W `[k, k]`, x and y `[k, 1]`, all from Normal(0, 1)."""

    def __init__(self, dim: int) -> None:
        self.dim = checks.positive_int("dim", dim)
        self.layout = Layout.from_shapes({"x": (dim, 1)})

    def reset(self, seed: Seed) -> tuple[Vector, tuple[tf.Tensor, tf.Tensor]]:
        """Draw x and the constants (W, y)."""
        k = self.dim
        x = seeds.normal(seeds.fold_in(seed, 0), [k])
        w = seeds.normal(seeds.fold_in(seed, 1), [k, k])
        y = seeds.normal(seeds.fold_in(seed, 2), [k, 1])
        return x, (w, y)

    def residual(
        self, params: Vector, constants: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        """Compute W x - y, `[k, 1]`."""
        w, y = constants
        return tf.matmul(w, params[:, None]) - y


@gin.register(module="l2o_tf.optimizees")
class GaussianQuadratic(_GaussianSystem):
    """Minimise one random quadratic.

        f(x) = 1/2 || W x - y ||^2

    x `[k, 1]`, W `[k, k]` and y `[k, 1]` are standard normal, drawn anew at
    every reset. There is no minibatch. L2O-Scale's "Quadratic"; the `Quadratic`
    of L2O-DM is a mean of several, without the half, on the uniform.

    Args:
        dim: int, k.

    Raises:
        ValueError: if `dim` is not a positive int.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def loss(
        self,
        params: Vector,
        constants: tuple[tf.Tensor, tf.Tensor],
        batch: tuple[()],
    ) -> Scalar:
        """Compute f(x)."""
        del batch
        return 0.5 * tf.reduce_sum(self.residual(params, constants) ** 2)


@gin.register(module="l2o_tf.optimizees")
class GaussianNorm(_GaussianSystem):
    """Minimise the p-norm of a random linear system.

        f(x) = [ sum_i (|W x - y|_i + 1e-6)^p ]^(1/p)

    x `[k, 1]`, W `[k, k]` and y `[k, 1]` are standard normal, drawn anew at
    every reset. The 1e-6 keeps powers below 2 differentiable at 0; the minimum
    is therefore 1e-6 k^(1/p). There is no minibatch.

    Args:
        dim: int, k.
        power: float, p >= 1.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, dim: int, power: float) -> None:
        super().__init__(dim)
        self.power = checks.real("power", power, low=1.0)

    def loss(
        self,
        params: Vector,
        constants: tuple[tf.Tensor, tf.Tensor],
        batch: tuple[()],
    ) -> Scalar:
        """Compute f(x)."""
        del batch
        size = tf.abs(self.residual(params, constants)) + 1e-6
        return tf.reduce_sum(size**self.power) ** (1.0 / self.power)


@gin.register(module="l2o_tf.optimizees")
class IsotropicQuadratic(FixedFunction):
    """Minimise the sum of squares of one tensor.

        f(x) = sum_i x_i^2

    x starts from Normal(0, 1). There are no constants and no minibatch.

    Args:
        shape: sequence of positive ints, x's shape; `()` for one number.

    Raises:
        ValueError: if a dimension is not a positive int.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.layout = Layout(("x",), (tuple(shape),))

    def value(self, params: Vector) -> Scalar:
        """Compute f(x)."""
        return tf.reduce_sum(params**2)
