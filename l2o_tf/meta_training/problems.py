"""What a run trains on: one problem, or an ensemble to draw from."""

from __future__ import annotations

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.ensemble import Ensemble


class Problems:
    """Give the problem of each episode.

    Args:
        optimizee: an `Optimizee`, or an `Ensemble`.

    Attributes:
        is_ensemble: bool.
        notice: None, or what a reader of any result must know of the data.

    Raises:
        ValueError: if it is something else.
    """

    def __init__(self, optimizee: Optimizee | Ensemble) -> None:
        self.is_ensemble = isinstance(optimizee, Ensemble)
        if not self.is_ensemble:
            checks.instance("optimizee", optimizee, Optimizee)
        self._optimizee = optimizee
        self.notice = optimizee.notice

    def choose(self, seed: Seed, episode: int) -> int:
        """Return the number of the episode's problem, 0 for the only one."""
        if isinstance(self._optimizee, Ensemble):
            draw = episode // self._optimizee.episodes_per_problem
            return self._optimizee.choose(seeds.fold_in(seed, draw))
        return 0

    def member(self, problem: int) -> Optimizee:
        """Return the problem of that number."""
        if isinstance(self._optimizee, Ensemble):
            return self._optimizee.member(problem)
        return self._optimizee

    def name(self, problem: int) -> str | None:
        """Return the problem's name in the ensemble, None for the only one."""
        if isinstance(self._optimizee, Ensemble):
            return self._optimizee.names[problem]
        return None

    def validated_by(self, optimizee: Optimizee | None) -> Optimizee:
        """Return the problem to validate on, that given or the only one.

        Raises:
            ValueError: if none is given for an ensemble, or it is something
                else than an `Optimizee`.
        """
        if optimizee is not None:
            return checks.instance("validation_optimizee", optimizee, Optimizee)
        if isinstance(self._optimizee, Ensemble):
            raise ValueError(
                "An ensemble is validated on one problem: the losses of many "
                "have no common scale. Received: validation_optimizee=None."
            )
        return self._optimizee

    def check_one_size(self, validated: Optimizee) -> None:
        """Refuse an optimizer's memory among problems of several sizes.

        Raises:
            ValueError: if they differ in their tensors, or are an ensemble.
        """
        if isinstance(self._optimizee, Ensemble):
            raise ValueError(
                "An episode that starts from the last run's state needs one "
                "problem. Received: optimizee=an ensemble. Set "
                "Imitation.initial_state = 'zero' and "
                "TruncatedBackpropagation.keep_memory = False."
            )
        if self._optimizee.layout.shapes != validated.layout.shapes:
            raise ValueError(
                "An episode that starts from the last run's state needs one "
                "number of coordinates in training and validation. Received: "
                f"optimizee of {self._optimizee.layout.size}, "
                f"validation_optimizee of {validated.layout.size}. Set "
                "Imitation.initial_state = 'zero' and "
                "TruncatedBackpropagation.keep_memory = False."
            )
