"""Random scaling: coordinates of every size from one optimizee.

Seam: the optimizee.
"""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.wrappers import Wrapper

_INNER, _SCALE = range(2)


@gin.register(module="l2o_tf.techniques")
class RandomScaling(Wrapper):
    """Optimise x' = x / r instead of x, with a random r per coordinate.

        r = exp(U(-b, b)) elementwise, drawn at every reset
        f'(x') = f(r x');  x'_0 = x_0 / r

    An episode starts from an ordinary point; gradients are with respect to x'
    and carry the factor r.

    Args:
        optimizee: the `Optimizee` to scale.
        log_scale_bound: float, b >= 0. Defaults to 3: r from 0.0498 to 20.09.

    Raises:
        ValueError: if `log_scale_bound` is negative or not finite, or
            `optimizee` is something else.

    References:
        Lv, Jiang, Li, ICML 2017, section 4.1; spec dm_rnnprop.md 4.4.
    """

    def __init__(
        self, optimizee: Optimizee, log_scale_bound: float = 3.0
    ) -> None:
        super().__init__(optimizee)
        self.log_scale_bound = checks.real(
            "log_scale_bound", log_scale_bound, low=0.0
        )

    def reset(self, seed: Seed) -> tuple[Vector, Nest]:
        """Draw x_0 and r; return `(x_0 / r, (constants, r))`."""
        params, constants = self.optimizee.reset(seeds.fold_in(seed, _INNER))
        bound = self.log_scale_bound
        scale = tf.exp(
            seeds.uniform(
                seeds.fold_in(seed, _SCALE), [self.layout.size], -bound, bound
            )
        )
        return params / scale, (constants, scale)

    def loss(self, params: Vector, constants: Nest, batch: Nest) -> Scalar:
        """Compute f(r x')."""
        inner, scale = constants
        return self.optimizee.loss(params * scale, inner, batch)
