"""What decides how long an episode is, and when training ends.

A schedule is host-side and pure: it maps a state and a validation cost to the
next state and a verdict, and the trainer does what the verdict says.
"""

from __future__ import annotations

import abc
import enum
import math
from typing import NamedTuple

import gin

from l2o_tf.core import checks
from l2o_tf.core.numerics import nan_to_inf
from l2o_tf.core.types import Seed


class ScheduleState(NamedTuple):
    """Where a schedule stands; JSON-serialisable.

    Attributes:
        stage: int, counted from 0.
        best: float, the lowest validation cost of this stage.
        validations: int, made in this stage.
        improved: bool, whether any of them was the best.
    """

    stage: int = 0
    best: float = math.inf
    validations: int = 0
    improved: bool = False


class Verdict(enum.Enum):
    """What to do after a validation.

    CONTINUE: go on in the same stage.
    SAVE: the weights are the best of the stage so far: keep them, go on.
    NEXT_STAGE: go back to the stage's best weights, enter the next stage and
        call `start_stage` with a fresh validation as its baseline.
    STOP: training is over.
    """

    CONTINUE = "continue"
    SAVE = "save"
    NEXT_STAGE = "next_stage"
    STOP = "stop"


class HorizonSchedule(abc.ABC):
    """Give the horizons of the current stage and judge validation costs.

    Attributes:
        longest_window: int, inner steps of the longest window that
            `window_lengths` may draw; None where it draws nothing.
        most_windows: int, the most windows it may draw; None likewise.
    """

    longest_window: int | None = None
    most_windows: int | None = None

    def window_lengths(
        self, state: ScheduleState, seed: Seed, updates: int = 0
    ) -> tuple[int, ...] | None:
        """Draw the windows of a training episode.

        Args:
            state: where the schedule stands.
            seed: int32 `[2]`, of the episode.
            updates: meta-updates applied so far.

        Returns:
            The inner steps of each; None: all are the estimator's, and fill
            the horizon.
        """
        del state, seed, updates
        return None

    @abc.abstractmethod
    def horizon(self, state: ScheduleState) -> int:
        """Return the inner steps of a training episode."""

    @abc.abstractmethod
    def validation_horizon(self, state: ScheduleState) -> int:
        """Return the inner steps of a validation run."""

    @abc.abstractmethod
    def horizons(self) -> tuple[int, ...]:
        """Return every horizon that training may ask for."""

    @abc.abstractmethod
    def validation_horizons(self) -> tuple[int, ...]:
        """Return every horizon that validation may ask for."""

    @abc.abstractmethod
    def observe(
        self, state: ScheduleState, cost: float
    ) -> tuple[ScheduleState, Verdict]:
        """Judge a validation cost (lower is better)."""

    @abc.abstractmethod
    def start_stage(
        self, state: ScheduleState, baseline: float
    ) -> ScheduleState:
        """Begin the stage of `state` with the cost to beat."""


@gin.register(module="l2o_tf.unroll")
class FixedHorizon(HorizonSchedule):
    """Train at one horizon; keep the best-validated weights; never stop early.

    Args:
        horizon: int, N_train, inner steps of a training episode.
        validation_horizon: int, N_valid. Defaults to `horizon`.

    Raises:
        ValueError: if a horizon is not a positive int.

    References:
        Chen et al. 2020, L2O-DM (100, 100) and L2O-DM-AUG (1000, 1500); spec
        dm_rnnprop.md 5.4.
    """

    def __init__(
        self, horizon: int, validation_horizon: int | None = None
    ) -> None:
        self._horizon = checks.positive_int("horizon", horizon)
        self._validation_horizon = checks.positive_int(
            "validation_horizon",
            horizon if validation_horizon is None else validation_horizon,
        )

    def horizon(self, state: ScheduleState) -> int:
        """Return N_train."""
        del state
        return self._horizon

    def validation_horizon(self, state: ScheduleState) -> int:
        """Return N_valid."""
        del state
        return self._validation_horizon

    def horizons(self) -> tuple[int, ...]:
        """Return `(N_train,)`."""
        return (self._horizon,)

    def validation_horizons(self) -> tuple[int, ...]:
        """Return `(N_valid,)`."""
        return (self._validation_horizon,)

    def observe(
        self, state: ScheduleState, cost: float
    ) -> tuple[ScheduleState, Verdict]:
        """Save on a strictly lower cost, else continue; NaN is never lower."""
        cost = nan_to_inf(cost)
        state = state._replace(validations=state.validations + 1)
        if cost < state.best:
            return state._replace(best=cost, improved=True), Verdict.SAVE
        return state, Verdict.CONTINUE

    def start_stage(
        self, state: ScheduleState, baseline: float
    ) -> ScheduleState:
        """Refuse: there is one stage.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "A fixed horizon has one stage. "
            f"Received: stage={state.stage}, baseline={baseline}."
        )
