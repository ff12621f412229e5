"""Four estimates of the gradient of a smoothed loss.

See `estimators/pairs.py` for what is smoothed and what a pair is. With e the
perturbation of a pair, L+ and L- the losses of phi + e and phi - e:

    score:     (L+ - L-) e / (2 sigma^2)                                  (1)
    pathwise:  1/2 (dL/dphi at phi + e  +  dL/dphi at phi - e)            (2)
"""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.estimators.base import Estimate
from l2o_tf.estimators.merging import (
    inverse_variance_mean,
    log_mean,
    mean_and_variance,
)
from l2o_tf.estimators.pairs import (
    PairedEstimator,
    Sample,
    kept_pairs,
    population_estimate,
)
from l2o_tf.estimators.tbptt import TruncatedBackpropagation


@gin.register(module="l2o_tf.estimators")
class EvolutionStrategies(PairedEstimator):
    """Average (1) over the pairs: losses alone, no backward pass.

    Its variance does not depend on how steep L is, and grows with the number
    of weights.

    Args:
        window: a `TruncatedBackpropagation`; how it differentiates does not
            matter.
        num_particles: even int. Defaults to 2.
        sigma: positive float. Defaults to 0.01, that of the authors' release;
            their paper says sigma^2 = 0.01.
        horizon: int or None, see `PairedEstimator`.

    Raises:
        ValueError: as in `PairedEstimator`.

    References:
        Metz et al., ICML 2019, section 3; Salimans et al. 2017,
        https://arxiv.org/abs/1703.03864; spec metz.md 4, 12 (TruncatedES).
    """

    _asks_score = True
    _asks_pathwise = False

    def combine(self, samples: Sample) -> Estimate:
        """Average (1) over the pairs whose losses are finite."""
        kept = kept_pairs(samples)
        mean, variance = mean_and_variance(samples.score, kept)
        return population_estimate(
            samples, kept, mean, score_variance=log_mean(variance)
        )


@gin.register(module="l2o_tf.estimators")
class PersistentEvolutionStrategies(EvolutionStrategies):
    """Average (1) with the sum of an episode's perturbations for e.

        g = (L+ - L-) xi / (2 sigma^2),    xi <- xi + e in every window

    The two particles of a pair go their own ways from the episode's start to
    its end, xi begins at 0 with it. Summed over an episode, g is without bias
    for the sum of its windows' losses, smoothed by a perturbation of its own in
    every window, however short they are, where (1) leaves out what a window
    does to those that follow.

    Args:
        window: as in `EvolutionStrategies`.
        num_particles: likewise.
        sigma: likewise.
        horizon: likewise.

    Raises:
        ValueError: as in `PairedEstimator`.

    References:
        Vicol, Metz, Sohl-Dickstein, ICML 2021,
        https://arxiv.org/abs/2112.13835; spec metz.md 12 (TruncatedPES).
    """

    _keeps_negative = True


@gin.register(module="l2o_tf.estimators")
class Reparameterization(PairedEstimator):
    """Average (2) over the pairs: backpropagation at perturbed weights.

    Its variance grows with the window where L is chaotic.

    Args:
        window: a `TruncatedBackpropagation`. The authors' program takes second
            derivatives (spec metz.md 1.2).
        num_particles: even int. Defaults to 2.
        sigma: positive float. Defaults to 0.01, see `EvolutionStrategies`.
        horizon: int or None, see `PairedEstimator`.

    Raises:
        ValueError: as in `PairedEstimator`.

    References:
        Metz et al., ICML 2019, section 3; spec metz.md 4.
    """

    _asks_score = False
    _asks_pathwise = True

    def combine(self, samples: Sample) -> Estimate:
        """Average (2) over the pairs whose losses are finite.

        Not a number where an element of theirs is not finite.
        """
        kept = kept_pairs(samples)
        mean, variance = mean_and_variance(samples.pathwise, kept)
        nan = tf.constant(float("nan"), mean.dtype)
        known = tf.where(tf.math.is_inf(variance), nan, mean)
        return population_estimate(
            samples, kept, known, pathwise_variance=log_mean(variance)
        )


@gin.register(module="l2o_tf.estimators")
class MergedGradient(PairedEstimator):
    """Average (1) and (2), element by element, by their inverse variances.

    Both come from the same pairs, as do the variances: those between pairs, to
    each of which `variance_floor` is added. An element of (2) that is not
    finite counts for nothing, so that what is left is (1).

    Args:
        window: a `TruncatedBackpropagation`, as in `Reparameterization`.
        num_particles: even int, 4 at least. Defaults to 4; the authors have
            256.
        sigma: positive float. Defaults to 0.01, see `EvolutionStrategies`.
        horizon: int or None, see `PairedEstimator`.
        variance_floor: float >= 0, far below which both count alike. Defaults
            to 1e-8.

    Raises:
        ValueError: as in `PairedEstimator`; if there is one pair, which has no
            variance, or the floor is negative.

    References:
        Metz et al., ICML 2019, equation 1; spec metz.md 5.
    """

    _asks_score = True
    _asks_pathwise = True

    def __init__(
        self,
        window: TruncatedBackpropagation,
        num_particles: int = 4,
        sigma: float = 0.01,
        horizon: int | None = None,
        variance_floor: float = 1e-8,
    ) -> None:
        super().__init__(window, num_particles, sigma, horizon)
        if num_particles < 4:
            raise ValueError(
                "A variance needs two pairs. Received: "
                f"num_particles={num_particles}. Use 4 or more."
            )
        self.variance_floor = checks.real(
            "variance_floor", variance_floor, low=0.0
        )

    def combine(self, samples: Sample) -> Estimate:
        """Merge the estimates of the pairs whose losses are finite."""
        kept = kept_pairs(samples)
        score = mean_and_variance(samples.score, kept)
        pathwise = mean_and_variance(samples.pathwise, kept)
        merged = inverse_variance_mean(score, pathwise, self.variance_floor)
        return population_estimate(
            samples, kept, merged, log_mean(score[1]), log_mean(pathwise[1])
        )
