"""Self-improving: hand-designed optimizers take some of the steps.

Seam: the trajectory source. The meta-loss is the ordinary one, over the mixed
trajectory; x_{t+1} = x_t + u_t holds for whoever made u_t.
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.estimators.base import (
    EpisodeContext,
    Estimate,
    MetaGradientEstimator,
    check_memory,
)
from l2o_tf.estimators.imitation import ImitationGradient
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.techniques.mixture import StepwiseMixture, check_auxiliaries
from l2o_tf.unroll.carry import Carry, choice_seed


@gin.register(module="l2o_tf.techniques")
class SelfImproving(MetaGradientEstimator):
    """Estimate along trajectories that auxiliaries share, less and less.

        p_e = start_probability max(0, 1 - e / decay_episodes)

    is the probability of each auxiliary at every step of episode e, counted
    from 0; the learned optimizer makes the other steps.

    Args:
        estimator: the `MetaGradientEstimator` to run on the mixed trajectory.
        auxiliaries: tuple of `OptimizerCell`.
        start_probability: float, p_0, from 0 to 1 / number of auxiliaries.
            Defaults to 1 / (1 + number of auxiliaries): all equally likely,
            the learned one too, 0.25 with the paper's three (its section 4.2;
            section 5.3 says 0.33).
        decay_episodes: int, after which the learned optimizer is alone.
            Defaults to 100.

    Raises:
        ValueError: if an argument is out of range or of another kind.

    References:
        Chen et al. 2020, sections 4.2 and 5.3; spec dm_rnnprop.md 11.
    """

    def __init__(
        self,
        estimator: MetaGradientEstimator,
        auxiliaries: Sequence[OptimizerCell],
        start_probability: float | None = None,
        decay_episodes: int = 100,
    ) -> None:
        # These two do not run the mixture themselves: one follows a teacher,
        # the other would wrap it in a second mixture.
        off_policy = isinstance(estimator, (ImitationGradient, SelfImproving))
        if not isinstance(estimator, MetaGradientEstimator) or off_policy:
            raise ValueError(
                "`estimator` must be a MetaGradientEstimator that runs the "
                "learned optimizer itself, as TruncatedBackpropagation(). "
                f"Received: estimator={estimator!r}."
            )
        self.estimator = estimator
        self.unroll_length = estimator.unroll_length
        self.keep_memory = estimator.keep_memory
        self.auxiliaries = check_auxiliaries(auxiliaries)
        count = len(self.auxiliaries)
        self.start_probability = checks.real(
            "start_probability",
            1.0 / (1 + count)
            if start_probability is None
            else start_probability,
            0.0,
            1.0 / count,
        )
        self.decay_episodes = checks.positive_int(
            "decay_episodes", decay_episodes
        )

    def _mixture(self, cell: OptimizerCell) -> StepwiseMixture:
        return StepwiseMixture(cell, self.auxiliaries, dtype=cell.compute_dtype)

    def probability(self, episode: Scalar) -> Scalar:
        """Compute p_e, float32."""
        left = 1.0 - tf.cast(episode, tf.float32) / self.decay_episodes
        return self.start_probability * tf.maximum(left, 0.0)

    def start(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        context: EpisodeContext,
        meta_params: Vector | None = None,
    ) -> Carry:
        """Begin an episode with the mixture's probability at that time."""
        mixture = self._mixture(cell)
        if self.keep_memory:
            fresh = mixture.get_initial_state(optimizee.layout)
            check_memory(fresh.learner, context.memory)
            old = fresh._replace(learner=context.memory)
            context = context._replace(memory=old)
        carry = self.estimator.start(
            mixture, optimizee, seed, context, meta_params
        )
        probability = tf.cast(
            self.probability(context.episode), cell.compute_dtype
        )
        states = carry.states._replace(
            probability=probability, seed=choice_seed(carry)
        )
        return carry._replace(states=states)

    def memory(self, carry: Carry) -> Nest:
        """Return the learned optimizer's state."""
        return self.estimator.memory(carry).learner

    def estimate(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None = None,
    ) -> tuple[Estimate, Carry]:
        """Run one window of the inner estimator on the mixed trajectory."""
        return self.estimator.estimate(
            self._mixture(cell), optimizee, meta_params, carry, length
        )
