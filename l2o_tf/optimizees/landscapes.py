"""Nine textbook functions of two numbers that optimizers are shown by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.synthetic import FixedFunction

_Interval = tuple[float, float]


class _Plane(NamedTuple):
    """A function of the plane, and where its runs start.

    Attributes:
        formula: maps two scalars to one.
        x_range: ends of the uniform distribution that x starts from; None for
            Normal(0, 1), then of both.
        y_range: the same for y; None for the same as x.
    """

    formula: Callable[[Scalar, Scalar], Scalar]
    x_range: _Interval | None
    y_range: _Interval | None = None


def _ackley(x: Scalar, y: Scalar) -> Scalar:
    mean = 0.5 * (x**2 + y**2)
    # The cone's slope at its tip, where sqrt has none, is taken as 0.
    at_tip = mean <= 0.0
    above = tf.where(at_tip, tf.ones_like(mean), mean)
    radius = tf.where(at_tip, mean, tf.sqrt(above))
    wave = tf.cos(2.0 * math.pi * x) + tf.cos(2.0 * math.pi * y)
    cone = -20.0 * tf.exp(-0.2 * radius)
    return cone - tf.exp(0.5 * wave) + math.e + 20.0


def _beale(x: Scalar, y: Scalar) -> Scalar:
    return (
        (1.5 - x + x * y) ** 2
        + (2.25 - x + x * y**2) ** 2
        + (2.625 - x + x * y**3) ** 2
    )


def _booth(x: Scalar, y: Scalar) -> Scalar:
    return (x + 2.0 * y - 7.0) ** 2 + (2.0 * x + y - 5.0) ** 2


def _branin(x: Scalar, y: Scalar) -> Scalar:
    curve = y - 5.1 / (4.0 * math.pi**2) * x**2 + 5.0 / math.pi * x - 6.0
    wave = 10.0 * (1.0 - 1.0 / (8.0 * math.pi)) * tf.cos(x)
    return curve**2 + wave + 10.0


def _log_sum_exp(x: Scalar, y: Scalar) -> Scalar:
    exponents = [x + 3.0 * y - 0.1, x - 3.0 * y - 0.1, -x - 0.1]
    return tf.reduce_logsumexp(tf.stack([*exponents, tf.zeros_like(x)]))


def _matyas(x: Scalar, y: Scalar) -> Scalar:
    return 0.26 * (x**2 + y**2) - 0.48 * x * y


def _michalewicz(x: Scalar, y: Scalar) -> Scalar:
    # The textbook's ridges are narrower: its power is 20.
    along_x = tf.sin(x) * tf.sin(x**2 / math.pi) ** 10
    along_y = tf.sin(y) * tf.sin(2.0 * y**2 / math.pi) ** 10
    return 2.0 - (along_x + along_y)


def _rosenbrock(x: Scalar, y: Scalar) -> Scalar:
    return (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2


def _styblinski_tang(x: Scalar, y: Scalar) -> Scalar:
    along_x = x**4 - 16.0 * x**2 + 5.0 * x
    along_y = y**4 - 16.0 * y**2 + 5.0 * y
    return 0.5 * (along_x + along_y) + 80.0


_PLANES = {
    "ackley": _Plane(_ackley, (-32.768, 32.768)),
    "beale": _Plane(_beale, (-4.5, 4.5)),
    "booth": _Plane(_booth, (-10.0, 10.0)),
    "branin": _Plane(_branin, (-5.0, 10.0), (0.0, 15.0)),
    "log_sum_exp": _Plane(_log_sum_exp, None),
    "matyas": _Plane(_matyas, (-10.0, 10.0)),
    "michalewicz": _Plane(_michalewicz, (0.0, math.pi)),
    "rosenbrock": _Plane(_rosenbrock, (-5.0, 10.0)),
    "styblinski_tang": _Plane(_styblinski_tang, (-5.0, 5.0)),
}

LANDSCAPES = tuple(_PLANES)
"""The names that a `Landscape` takes."""


@gin.register(module="l2o_tf.optimizees")
class Landscape(FixedFunction):
    """Minimise a test function of two numbers, by its name.

    The start is uniform on the function's usual square, or Normal(0, 1):

    | name | start | minimum |
    |---|---|---|
    | ackley | (-32.768, 32.768) | f(0, 0) = 0, many others around it |
    | beale | (-4.5, 4.5) | f(3, 0.5) = 0 |
    | booth | (-10, 10) | f(1, 3) = 0 |
    | branin | x (-5, 10), y (0, 15) | f(pi, 2.275) = 0.397887, three equal |
    | log_sum_exp | Normal(0, 1) | f(-ln(2)/2, 0) = ln(1 + 8^(1/2) e^-0.1) |
    | matyas | (-10, 10) | f(0, 0) = 0 |
    | michalewicz | (0, pi) | f(2.185, pi/2) = 0.193377 between plains |
    | rosenbrock | (-5, 10) | f(1, 1) = 0 in a curved valley |
    | styblinski_tang | (-5, 5) | 1.66766 at x = y = -2.903534 |

    There are no constants and no minibatch.

    Args:
        function: str, one of `LANDSCAPES`.

    Raises:
        ValueError: if there is no such function.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, function: str) -> None:
        self.function = checks.one_of("function", function, LANDSCAPES)
        self.layout = Layout.from_shapes({"x": (2,)})

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw x."""
        _, x_range, y_range = _PLANES[self.function]
        if x_range is None:
            return super().reset(seed)
        x = seeds.uniform(seeds.fold_in(seed, 0), [1], *x_range)
        y = seeds.uniform(seeds.fold_in(seed, 1), [1], *(y_range or x_range))
        return tf.concat([x, y], axis=0), ()

    def value(self, params: Vector) -> Scalar:
        """Compute f(x)."""
        return _PLANES[self.function].formula(params[0], params[1])
