"""Meta-gradients of a smoothed loss, from pairs of perturbed optimizers.

The loss of a window, L(phi), may change wildly with the weights phi, and its
gradient explode. What is minimised here is its average around phi,

    S(phi) = E[L(phi + sigma n)],    n ~ Normal(0, I)

A pair runs the window with phi + e and with phi - e, e = sigma n, on the same
minibatches. A population of pairs, one behind the other along the leading axis
of the carry, gives one meta-gradient. What a pair does depends on the weights,
its carry and the window's length alone: it can be computed anywhere, and again.

Reference: Metz et al., ICML 2019, sections 3 and 4.3; spec metz.md 3, 4, 6.
"""

from __future__ import annotations

import abc
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.numerics import all_finite
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.estimators.base import (
    EpisodeContext,
    Estimate,
    MetaGradientEstimator,
)
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll.carry import Carry, initial_states

_NOISE, _EPISODE = range(2)
_NEVER = np.iinfo(np.int32).max


class Pair(NamedTuple):
    """The carry of a pair; of a population, with a leading axis `[B]`.

    Attributes:
        positive: the carry of phi + e, from which the next window starts.
        negative: that of phi - e, where it goes its own way; `()` where it
            starts from `positive` again.
        history: float `[M]`, the sum of the perturbations e of this episode's
            windows, where they count; `()` elsewhere.
        limit: int32 scalar, the steps of this episode.
        window: int32 scalar, windows made so far, of all episodes.
        seed: int32 `[2]`, of the pair; constant.
    """

    positive: Carry
    negative: Nest
    history: Nest
    limit: Scalar
    window: Scalar
    seed: Seed


class Sample(NamedTuple):
    """What a pair says of one window; of a population, with a leading axis.

    Attributes:
        score: float `[M]`, from the two losses; `()` where not asked for.
        pathwise: float `[M]`, from the two gradients; likewise.
        loss: float scalar, the mean of the two meta-losses.
        last_loss: float scalar, f at the end of the positive one.
    """

    score: Nest
    pathwise: Nest
    loss: Scalar
    last_loss: Scalar


class PopulationReport(NamedTuple):
    """What a population tells of one meta-gradient.

    Attributes:
        dropped: int32 scalar, pairs left out, whose losses were not finite.
        score_variance: float32 scalar, log10 of the variance between pairs,
            averaged over the weights; NaN where not asked for.
        pathwise_variance: likewise.
    """

    dropped: Scalar
    score_variance: Scalar
    pathwise_variance: Scalar


class PairedEstimator(MetaGradientEstimator):
    """Estimate the meta-gradient from a population of antithetic pairs.

    Without a `horizon` all pairs live in the trainer's episodes: they start
    with one, side by side, each with its own seed. With one, the population
    goes on from one of the trainer's episodes to the next, and each pair
    starts anew by itself after `horizon` steps; the first episode of pair i of
    B ends after (i + 1) / B of them, so that starts are spread. A window never
    reaches beyond the end of an episode. A pair whose losses are not finite is
    left out of the mean, is counted, and starts anew where it can.

    Args:
        window: a `TruncatedBackpropagation`: what is measured in a window, and
            how it is differentiated. It keeps no memory.
        num_particles: even int, 2 B, the optimizers run per meta-gradient.
            Defaults to 2.
        sigma: positive float, standard deviation of the perturbations. Defaults
            to 0.01.
        horizon: int, inner steps of a pair's episodes; None, the default, for
            those of the trainer.

    Raises:
        ValueError: if an argument is out of range or of another kind, the
            window keeps a memory or is longer than an episode.
    """

    _keeps_negative = False

    def __init__(
        self,
        window: TruncatedBackpropagation,
        num_particles: int = 2,
        sigma: float = 0.01,
        horizon: int | None = None,
    ) -> None:
        self.window = checks.instance(
            "window", window, TruncatedBackpropagation
        )
        if window.keep_memory:
            raise ValueError(
                "A pair's episodes start from the first state. Received: a "
                "window with keep_memory=True. Use keep_memory=False."
            )
        self.unroll_length = window.unroll_length
        self.num_particles = checks.positive_int("num_particles", num_particles)
        if num_particles % 2:
            raise ValueError(
                "Particles come in pairs, one for each sign of a perturbation. "
                f"Received: num_particles={num_particles}. Use "
                f"{num_particles + 1}."
            )
        self.sigma = checks.real("sigma", sigma, low=0.0, low_open=True)
        self.horizon = horizon
        if horizon is not None:
            self._check_horizon(horizon)

    def _check_horizon(self, horizon: int) -> None:
        if checks.positive_int("horizon", horizon) < self.unroll_length:
            raise ValueError(
                "A window must not be longer than an episode. Received: "
                f"unroll_length={self.unroll_length}, horizon={horizon}."
            )

    @property
    def num_pairs(self) -> int:
        """Return B."""
        return self.num_particles // 2

    @property
    def continues(self) -> bool:
        """Return whether the population outlives the trainer's episodes."""
        return self.horizon is not None

    def population(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        meta_params: Vector | None = None,
    ) -> Pair:
        """Return B new pairs.

        Args:
            cell: the learned optimizer.
            optimizee: the problem.
            seed: int32 `[2]`.
            meta_params: float `[M]`, the weights; None for the cell's own.
        """
        weights = cell.meta_params() if meta_params is None else meta_params

        def fresh(i: Scalar, limit: Scalar) -> Pair:
            own = seeds.fold_in(seed, i)
            zero = tf.constant(0)
            return self._fresh(cell, optimizee, weights, own, zero, limit)

        limits = self.num_pairs * [_NEVER]
        if self.horizon is not None:
            limits = [
                -(-self.horizon * (i + 1) // self.num_pairs)
                for i in range(self.num_pairs)
            ]
        first = fresh(tf.constant(0), tf.constant(limits[0], tf.int32))
        return tf.map_fn(
            lambda pair: fresh(*pair),
            (tf.range(self.num_pairs), tf.constant(limits, tf.int32)),
            fn_output_signature=tf.nest.map_structure(
                lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), first
            ),
        )

    def start(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        context: EpisodeContext,
        meta_params: Vector | None = None,
    ) -> Pair:
        """Return the population as it stands, or a new one."""
        if self.continues and tf.nest.flatten(context.population):
            return context.population
        return self.population(cell, optimizee, seed, meta_params)

    def memory(self, carry: Pair) -> Nest:
        """Return the state of the first pair's positive particle."""
        return tf.nest.map_structure(lambda s: s[0], carry.positive.states)

    def no_details(self) -> PopulationReport:
        """Return a report of zeros."""
        zero = tf.constant(0.0)
        return PopulationReport(tf.constant(0), zero, zero)

    def estimate(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Pair,
        length: Scalar | None = None,
    ) -> tuple[Estimate, Pair]:
        """Run one window of every pair, one pair after the other."""
        meta_params = tf.stop_gradient(meta_params)
        like = tf.TensorSpec(meta_params.shape, meta_params.dtype)
        scalar = tf.TensorSpec([], meta_params.dtype)
        samples, carry = tf.map_fn(
            lambda pair: self.sample(
                cell, optimizee, meta_params, pair, length
            ),
            carry,
            fn_output_signature=(
                Sample(
                    like if self._asks_score else (),
                    like if self._asks_pathwise else (),
                    scalar,
                    scalar,
                ),
                tf.nest.map_structure(
                    lambda t: tf.TensorSpec(t.shape[1:], t.dtype), carry
                ),
            ),
            parallel_iterations=1,
        )
        return self.combine(samples), carry

    def sample(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        pair: Pair,
        length: Scalar | None = None,
    ) -> tuple[Sample, Pair]:
        """Run one window of one pair.

        Args:
            cell: the learned optimizer.
            optimizee: the problem.
            meta_params: float `[M]`, phi.
            pair: the carry before it.
            length: int32 scalar, the window's steps, at most `unroll_length`;
                None for `unroll_length`. Cut at the end of an episode.
        """
        if self.continues:
            pair = self._renewed(cell, optimizee, meta_params, pair)
            steps = self.unroll_length if length is None else length
            length = tf.minimum(steps, pair.limit - pair.positive.step)
        number = seeds.fold_in(pair.seed, _NOISE)
        noise = seeds.normal(
            seeds.fold_in(number, pair.window), meta_params.shape, self.sigma
        )
        noise = tf.cast(noise, meta_params.dtype)
        before = pair.negative if self._keeps_negative else pair.positive
        run = self.window.measure
        if self._asks_pathwise:
            run = self.window.estimate
        ends = [
            run(
                cell,
                optimizee,
                weights,
                _restarted(cell, optimizee, weights, carry),
                length,
            )
            for weights, carry in (
                (meta_params + noise, pair.positive),
                (meta_params - noise, before),
            )
        ]
        return self._told(pair, noise, ends)

    def _told(
        self, pair: Pair, noise: Vector, ends: list[tuple[Estimate, Carry]]
    ) -> tuple[Sample, Pair]:
        """Make the sample, and the pair after the window, of its two runs."""
        (plus, positive), (minus, negative) = ends
        history = pair.history + noise if self._keeps_negative else ()
        score: Nest = ()
        if self._asks_score:
            factor = (plus.meta_loss - minus.meta_loss) / (2 * self.sigma**2)
            score = factor * (history if self._keeps_negative else noise)
        pathwise: Nest = ()
        if self._asks_pathwise:
            pathwise = 0.5 * (plus.meta_gradient + minus.meta_gradient)
        loss = 0.5 * (plus.meta_loss + minus.meta_loss)
        alive = all_finite((loss, plus.last_loss))
        pair = pair._replace(
            positive=positive,
            negative=negative if self._keeps_negative else (),
            history=history,
            limit=tf.where(alive, pair.limit, 0)
            if self.continues
            # The trainer ends its episodes, not we.
            else pair.limit,
            window=pair.window + 1,
        )
        return Sample(score, pathwise, loss, plus.last_loss), pair

    def _renewed(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        pair: Pair,
    ) -> Pair:
        """Return the pair, in a new episode if its last one is over."""
        return tf.cond(
            pair.positive.step >= pair.limit,
            lambda: self._fresh(
                cell,
                optimizee,
                meta_params,
                pair.seed,
                pair.window,
                tf.constant(self.horizon, tf.int32),
            ),
            lambda: pair,
        )

    def _fresh(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        seed: Seed,
        window: Scalar,
        limit: Scalar,
    ) -> Pair:
        episode = seeds.fold_in(seeds.fold_in(seed, _EPISODE), window)
        context = EpisodeContext(tf.constant(0), ())
        carry = self.window.start(
            cell, optimizee, episode, context, meta_params
        )
        carry = tf.nest.map_structure(tf.convert_to_tensor, carry)
        kept = self._keeps_negative
        return Pair(
            positive=carry,
            negative=carry if kept else (),
            history=tf.zeros_like(meta_params) if kept else (),
            limit=limit,
            window=window,
            seed=seed,
        )

    @property
    @abc.abstractmethod
    def _asks_score(self) -> bool:
        """Whether samples need the score estimate."""

    @property
    @abc.abstractmethod
    def _asks_pathwise(self) -> bool:
        """Whether samples need the gradients of the two runs."""

    @abc.abstractmethod
    def combine(self, samples: Sample) -> Estimate:
        """Make one meta-gradient of a population's samples `[B, ...]`."""


def kept_pairs(samples: Sample) -> tf.Tensor:
    """Return which pairs `[B]` count: those whose numbers are finite.

    The pathwise estimate may be anything: that is for its variance to say.
    """
    kept = tf.math.is_finite(samples.loss) & tf.math.is_finite(
        samples.last_loss
    )
    if tf.nest.flatten(samples.score):
        finite = tf.math.is_finite(samples.score)
        kept &= tf.reduce_all(finite, axis=1)
    return kept


def population_estimate(
    samples: Sample,
    kept: tf.Tensor,
    gradient: Vector,
    score_variance: Scalar | None = None,
    pathwise_variance: Scalar | None = None,
) -> Estimate:
    """Return the estimate with the mean losses of the pairs that count.

    Args:
        samples: of all pairs.
        kept: bool `[B]`.
        gradient: float64 `[M]`.
        score_variance: see `PopulationReport`; None for NaN.
        pathwise_variance: likewise.
    """
    dtype, nan = samples.loss.dtype, tf.constant(float("nan"))
    count = tf.reduce_sum(tf.cast(kept, dtype))

    def mean(values: tf.Tensor) -> Scalar:
        chosen = tf.where(kept, values, tf.zeros_like(values))
        return tf.reduce_sum(chosen) / count

    return Estimate(
        meta_gradient=tf.cast(gradient, dtype),
        meta_loss=mean(samples.loss),
        last_loss=mean(samples.last_loss),
        details=PopulationReport(
            dropped=tf.reduce_sum(tf.cast(~kept, tf.int32)),
            score_variance=nan if score_variance is None else score_variance,
            pathwise_variance=nan
            if pathwise_variance is None
            else pathwise_variance,
        ),
    )


def _restarted(
    cell: OptimizerCell, optimizee: Optimizee, weights: Vector, carry: Carry
) -> Carry:
    """Return the carry; at an episode's start, with the state of `weights`."""
    first = tf.equal(carry.step, 0)
    split = cell.meta_layout.split(weights)
    states = initial_states(cell, optimizee, carry.seed, split)
    return carry._replace(
        states=tf.nest.map_structure(
            lambda initial, state: tf.where(first, initial, state),
            states,
            carry.states,
        )
    )
