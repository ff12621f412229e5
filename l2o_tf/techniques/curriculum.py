"""Curriculum learning: longer episodes when the current length stops paying.

Seam: the host-side schedule.
"""

from __future__ import annotations

import gin

from l2o_tf.core import checks
from l2o_tf.core.numerics import nan_to_inf
from l2o_tf.unroll.schedules import HorizonSchedule, ScheduleState, Verdict


@gin.register(module="l2o_tf.techniques")
class Curriculum(HorizonSchedule):
    """Lengthen the horizon stage by stage, judged at the next stage's length.

    Stage i trains with N_train = horizons[i] and validates with
    N_valid = horizons[i + 1]; the last entry is for validation only. After
    every validation (`observe`):

        n += 1                          (validations of this stage)
        cost < best:                    best = cost; keep the weights
        n >= patience and improved:     back to the stage's best weights,
                                        next stage, best = its baseline
        n >= patience, not improved:    stop
        otherwise:                      go on

    n is not reset by an improvement: a stage lasts at least `patience`
    validations and then as long as every one of them is the best so far.

    Deviations from the released program (spec dm_rnnprop.md 12): where the
    list ends it crashed (B3), this stops; a NaN baseline made the whole next
    stage fail (B4), here NaN reads as +inf unless `strict_nan`.

    Args:
        horizons: tuple of increasing ints, inner steps. Defaults to the
            paper's.
        patience: int, N_period, validations. Defaults to 3.
        strict_nan: bool, whether to keep a NaN baseline as it is, so that
            nothing is lower. Defaults to False.

    Raises:
        ValueError: if there are fewer than two horizons, they do not
            increase, or an argument is not a positive int.

    References:
        Chen et al. 2020, Algorithm 1; spec dm_rnnprop.md 5.5.
    """

    def __init__(
        self,
        horizons: tuple[int, ...] = (
            100,
            200,
            500,
            1000,
            1500,
            2000,
            2500,
            3000,
        ),
        patience: int = 3,
        strict_nan: bool = False,
    ) -> None:
        values = tuple(checks.positive_int("horizons", h) for h in horizons)
        if len(values) < 2 or list(values) != sorted(set(values)):
            raise ValueError(
                "`horizons` must be at least two increasing numbers of inner "
                "steps: each stage validates at the next one's. "
                f"Received: horizons={values}."
            )
        self._horizons = values
        self.patience = checks.positive_int("patience", patience)
        self.strict_nan = strict_nan

    def horizon(self, state: ScheduleState) -> int:
        """Return N_train of the stage."""
        return self._horizons[state.stage]

    def validation_horizon(self, state: ScheduleState) -> int:
        """Return N_valid of the stage, the next stage's N_train."""
        return self._horizons[state.stage + 1]

    def horizons(self) -> tuple[int, ...]:
        """Return N_train of every stage."""
        return self._horizons[:-1]

    def validation_horizons(self) -> tuple[int, ...]:
        """Return N_valid of every stage."""
        return self._horizons[1:]

    def observe(
        self, state: ScheduleState, cost: float
    ) -> tuple[ScheduleState, Verdict]:
        """Judge a validation cost; see the class."""
        state = state._replace(validations=state.validations + 1)
        if nan_to_inf(cost) < state.best:
            return state._replace(best=cost, improved=True), Verdict.SAVE
        if state.validations < self.patience:
            return state, Verdict.CONTINUE
        if not state.improved or state.stage + 1 >= len(self.horizons()):
            return state, Verdict.STOP
        return ScheduleState(stage=state.stage + 1), Verdict.NEXT_STAGE

    def start_stage(
        self, state: ScheduleState, baseline: float
    ) -> ScheduleState:
        """Begin a stage; its first best is the last stage's best weights'."""
        if not self.strict_nan:
            baseline = nan_to_inf(baseline)
        return state._replace(best=baseline)
