"""What can be done to any problem: its scale, its loss, its gradients."""

from __future__ import annotations

import abc
import math

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee

_BATCH, _NOISE = range(2)
_INNER, _START = range(2)
_EPSILON = 1e-6


class Wrapper(Optimizee):
    """A problem made of another one, on the same coordinates and data.

    Batches are those of the wrapped problem. What an optimizer is shown is the
    gradient of this problem's own `loss`: noise that the wrapped problem adds
    to its gradients is left out (as in the released code), unless a subclass
    says otherwise. A subclass writes `reset` and `loss`.

    Args:
        optimizee: the `Optimizee` to wrap.

    Raises:
        ValueError: if `optimizee` is something else.
    """

    def __init__(self, optimizee: Optimizee) -> None:
        self.optimizee = checks.instance("optimizee", optimizee, Optimizee)
        self.layout = optimizee.layout
        self.split = optimizee.split
        self.notice = optimizee.notice
        self.convolves = optimizee.convolves

    def sample(self, seed: Seed) -> Nest:
        """Draw a minibatch of the wrapped problem."""
        return self.optimizee.sample(seed)

    def sample_objective(self, seed: Seed) -> Nest:
        """Draw an objective's batch of the wrapped problem."""
        return self.optimizee.sample_objective(seed)


@gin.register(module="l2o_tf.optimizees")
class Rescale(Wrapper):
    """Optimise x' = s x instead of x.

        f'(x') = f(x' / s);  x'_0 = s x_0

    Gradients shrink by s where the way to go grows by s.

    Args:
        optimizee: the `Optimizee` to scale.
        scale: float, s > 0.

    Raises:
        ValueError: if `scale` is not positive and finite, or `optimizee` is
            something else.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, optimizee: Optimizee, scale: float) -> None:
        super().__init__(optimizee)
        self.scale = checks.real("scale", scale, low=0.0, low_open=True)

    def reset(self, seed: Seed) -> tuple[Vector, Nest]:
        """Draw x_0; return `(s x_0, constants)`."""
        params, constants = self.optimizee.reset(seed)
        return self.scale * params, constants

    def loss(self, params: Vector, constants: Nest, batch: Nest) -> Scalar:
        """Compute f(x' / s)."""
        return self.optimizee.loss(params / self.scale, constants, batch)


@gin.register(module="l2o_tf.optimizees")
class Clamped(Wrapper):
    """Cut off what a diverged trajectory loses.

        f'(x) = min(f(x), maximum),    df'/dx = 0 where f(x) > maximum

    An infinite f is cut off too, with a gradient of 0 from
    `value_and_gradient` (differentiating `loss` itself multiplies the 0 by what
    is infinite inside). A loss that is not a number stays none, and so does its
    gradient: a problem that cannot be computed is not one that is badly
    solved, and who counts such losses must see them.

    Noise of the wrapped problem is left out, as of any wrapper.

    Args:
        optimizee: the `Optimizee` to clamp.
        maximum: float. Defaults to 10.

    Raises:
        ValueError: if `maximum` is not finite, or `optimizee` is something
            else.

    References:
        Metz et al., ICML 2019, the authors' program; spec metz.md 2.
    """

    def __init__(self, optimizee: Optimizee, maximum: float = 10.0) -> None:
        super().__init__(optimizee)
        self.maximum = checks.real("maximum", maximum)

    def reset(self, seed: Seed) -> tuple[Vector, Nest]:
        """Draw the wrapped problem's start and constants."""
        return self.optimizee.reset(seed)

    def loss(self, params: Vector, constants: Nest, batch: Nest) -> Scalar:
        """Compute min(f(x), maximum)."""
        return self._clamped(self.optimizee.loss(params, constants, batch))

    def _clamped(self, loss: Scalar) -> Scalar:
        # Not tf.minimum, whose NaN is the device's matter.
        maximum = tf.cast(self.maximum, loss.dtype)
        return tf.where(loss > maximum, maximum, loss)

    def value_and_gradient(
        self, params: Vector, constants: Nest, batch: Nest
    ) -> tuple[Scalar, Vector]:
        """Compute f' and df'/dx `[N]`, exactly 0 above the maximum."""
        loss, gradient = self.optimizee.value_and_gradient(
            params, constants, batch
        )
        above = loss > tf.cast(self.maximum, loss.dtype)
        gradient = tf.where(above, tf.zeros_like(gradient), gradient)
        return self._clamped(loss), gradient


class _FromNormal(Wrapper):
    """A wrapper that starts from Normal(0, 1), wherever the inner one does."""

    def reset(self, seed: Seed) -> tuple[Vector, Nest]:
        """Draw a start from Normal(0, 1), and the wrapped problem's constants.

        The wrapped problem's own start is not used, as in the released code.
        """
        _, constants = self.optimizee.reset(seeds.fold_in(seed, _INNER))
        start = seeds.normal(seeds.fold_in(seed, _START), [self.layout.size])
        return start, constants


@gin.register(module="l2o_tf.optimizees")
class LogObjective(_FromNormal):
    """Minimise the logarithm of another problem's loss.

        f'(x) = ln(f(x) + 1e-6) - ln(1e-6)

    f' is 0 where f is 0, and not a number where f < -1e-6. The start is drawn
    from Normal(0, 1), whatever the wrapped problem starts from.

    Args:
        optimizee: the `Optimizee` to take the logarithm of, f >= 0.

    Raises:
        ValueError: if `optimizee` is something else.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2, 9 (17).
    """

    def loss(self, params: Vector, constants: Nest, batch: Nest) -> Scalar:
        """Compute f'(x)."""
        inner = self.optimizee.loss(params, constants, batch)
        return tf.math.log(inner + _EPSILON) - math.log(_EPSILON)


class _WithNoise(Wrapper):
    """Show gradients that random numbers have changed; leave the loss alone.

    A batch is `(the wrapped problem's batch, the noise's seed)`, so every
    minibatch has noise of its own, and the same batch the same noise. Here the
    wrapped problem's own noise is kept, and changed further.
    """

    exact_gradients = False

    def sample(self, seed: Seed) -> tuple[Nest, Seed]:
        """Draw a minibatch and a seed."""
        batch = self.optimizee.sample(seeds.fold_in(seed, _BATCH))
        return batch, seeds.fold_in(seed, _NOISE)

    def sample_objective(self, seed: Seed) -> tuple[Nest, Seed]:
        """Draw an objective's batch, and a seed for a batch's structure."""
        batch = self.optimizee.sample_objective(seeds.fold_in(seed, _BATCH))
        return batch, seeds.fold_in(seed, _NOISE)

    def loss(
        self, params: Vector, constants: Nest, batch: tuple[Nest, Seed]
    ) -> Scalar:
        """Compute the wrapped problem's f(x): the noise is not in it."""
        return self.optimizee.loss(params, constants, batch[0])

    def loss_and_gradient(
        self, params: Vector, constants: Nest, batch: tuple[Nest, Seed]
    ) -> tuple[Scalar, Vector]:
        """Compute f, and df/dx `[N]` as the optimizer is shown it."""
        inner, seed = batch
        loss, gradient = self.optimizee.loss_and_gradient(
            params, constants, inner
        )
        return loss, self.shown(gradient, seed)

    @abc.abstractmethod
    def shown(self, gradient: Vector, seed: Seed) -> Vector:
        """Change a gradient at random."""


@gin.register(module="l2o_tf.optimizees")
class NoisyGradients(_WithNoise):
    """Add normal noise to the gradients of a problem.

        g' = df/dx + stddev n,    n ~ Normal(0, 1) per coordinate

    n is fresh at every minibatch; the loss is f itself. Start, constants and
    data are the wrapped problem's.

    Args:
        optimizee: the `Optimizee` whose gradients are disturbed.
        stddev: float >= 0.

    Raises:
        ValueError: if `stddev` is negative or not finite, or `optimizee` is
            something else.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.1.
    """

    def __init__(self, optimizee: Optimizee, stddev: float) -> None:
        super().__init__(optimizee)
        self.stddev = checks.real("stddev", stddev, low=0.0)

    def reset(self, seed: Seed) -> tuple[Vector, Nest]:
        """Draw the wrapped problem's start and constants."""
        return self.optimizee.reset(seed)

    def shown(self, gradient: Vector, seed: Seed) -> Vector:
        """Add noise to a gradient."""
        noise = seeds.normal(seed, [self.layout.size], self.stddev)
        return gradient + tf.cast(noise, gradient.dtype)


@gin.register(module="l2o_tf.optimizees")
class SparseGradients(_FromNormal, _WithNoise):
    """Set most entries of a problem's gradients to zero, at random.

        g'_i = 0 with probability p, (df/dx)_i otherwise

    independently per coordinate and afresh at every minibatch; the loss is f
    itself. The start is drawn from Normal(0, 1), whatever the wrapped problem
    starts from. Noise that the wrapped problem adds comes before the zeros.

    Args:
        optimizee: the `Optimizee` whose gradients are thinned out.
        zero_probability: float in [0, 1), p. Defaults to 0.99.

    Raises:
        ValueError: if `zero_probability` is out of range, or `optimizee` is
            something else.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2, 9 (17).
    """

    def __init__(
        self, optimizee: Optimizee, zero_probability: float = 0.99
    ) -> None:
        super().__init__(optimizee)
        self.zero_probability = checks.real(
            "zero_probability", zero_probability, 0.0, 1.0, high_open=True
        )

    def shown(self, gradient: Vector, seed: Seed) -> Vector:
        """Set entries of a gradient to zero."""
        coin = seeds.uniform(seed, [self.layout.size])
        kept = coin >= self.zero_probability
        return tf.where(kept, gradient, tf.zeros_like(gradient))
