"""The line with two minima of Metz et al. 2019, Figure 2a-c."""

from __future__ import annotations

import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.synthetic import SyntheticOptimizee


class TwoMinima(SyntheticOptimizee):
    """Minimise sum_i (w_i - 4) (w_i - 3) w_i^2, each w_i for itself.

        l'(w) = w (4 w^2 - 21 w + 24)

    Minima are at 0, where l = 0, and at (21 + sqrt(57)) / 8 = 3.5687, where
    l = -3.124; between them, at 1.6813, l = 8.643. As the sum's derivative with
    respect to w_i is l'(w_i), one run shows as many runs as there are
    coordinates.

    Args:
        count: int, coordinates. Defaults to 1.
        start: float, where all of them start. Defaults to -1.2, the paper's.
        dtype: str, defaults to "float32".

    Raises:
        ValueError: if an argument is out of range.

    References:
        Metz et al. 2019, section 2.3 and Figure 2; spec metz.md 10.
    """

    def __init__(
        self, count: int = 1, start: float = -1.2, dtype: str = "float32"
    ) -> None:
        self.count = checks.positive_int("count", count)
        self.start = checks.real("start", start)
        self.dtype = checks.one_of("dtype", dtype, ("float32", "float64"))
        self.layout = Layout(("w",), ((count,),))

    def each(self, params: Vector) -> Vector:
        """Compute l of every coordinate, `[N]`."""
        return (params - 4.0) * (params - 3.0) * tf.square(params)

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Return the start; nothing is random."""
        del seed
        return tf.fill([self.count], tf.constant(self.start, self.dtype)), ()

    def loss(
        self, params: Vector, constants: tuple[()], batch: tuple[()]
    ) -> Scalar:
        """Compute the sum."""
        del constants, batch
        return tf.reduce_sum(self.each(params))
