"""Off-policy imitation: some episodes follow a hand-designed teacher.

Seam: the trajectory source with its meta-loss (estimators/imitation.py). Here
is the coin: which episodes those are, and who teaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import gin

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed
from l2o_tf.estimators.imitation import REDUCTIONS, ImitationGradient
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.techniques.teachers import check_optimizers, teacher_kind

_COIN, _TEACHER = range(2)


@gin.register(module="l2o_tf.techniques")
class Imitation:
    """Decide before every episode whether it imitates, and whom.

        with probability ratios[stage]: imitate a teacher
        otherwise:                      train on the learned optimizer's own
                                        trajectory

    All episodes change the same weights; every teacher has meta-optimizer
    slots of its own, beside those of the ordinary episodes, unless they are
    shared. An imitation episode counts as an episode for the schedule's periods
    and has its horizon.

    Args:
        teachers: tuple of `OptimizerCell`.
        ratios: tuple of floats in [0, 1], one per stage of the schedule; the
            last one holds for all further stages. Defaults to `(0.3,)`.
        choice: "uniform": each teacher equally likely, drawn anew (the paper);
            "round_robin": in turn (the released program).
        teacher_steps: int, k, the teacher's updates per recorded gradient.
            Defaults to 1.
        initial_state: "zero" (as an ordinary episode begins, which may be a
            learned state), or "last_run": the learned optimizer begins an
            imitation episode with the recurrent state where the last ordinary
            episode or validation run ended (the released program; spec
            dm_rnnprop.md 12, B2).
        slots: "own": each teacher has meta-optimizer slots of its own; "shared"
            with the ordinary episodes (L2O-Scale's program, spec l2o_scale.md
            9 #7).
        reduction: "sum" or "mean", of the imitation loss over the steps of a
            window; L2O-Scale's program has the mean.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Chen et al. 2020, section 4.2, Algorithm 2; spec dm_rnnprop.md 5.2, 6.
    """

    def __init__(
        self,
        teachers: Sequence[OptimizerCell],
        ratios: tuple[float, ...] = (0.3,),
        choice: str = "uniform",
        teacher_steps: int = 1,
        initial_state: str = "zero",
        slots: str = "own",
        reduction: str = "sum",
    ) -> None:
        self.teachers = check_optimizers("teachers", teachers)
        if not isinstance(ratios, (tuple, list)) or not ratios:
            raise ValueError(
                "`ratios` must be a tuple with a number per stage, at least "
                f"one. Received: ratios={ratios!r}."
            )
        self.ratios = tuple(checks.real("ratios", r, 0.0, 1.0) for r in ratios)
        self.choice = checks.one_of(
            "choice", choice, ("uniform", "round_robin")
        )
        self.teacher_steps = checks.positive_int("teacher_steps", teacher_steps)
        self.initial_state = checks.one_of(
            "initial_state", initial_state, ("zero", "last_run")
        )
        self.slots = checks.one_of("slots", slots, ("own", "shared"))
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)

    @property
    def names(self) -> tuple[str, ...]:
        """Return a word for each teacher: its kind, numbered if not alone."""
        kinds = [teacher_kind(teacher) for teacher in self.teachers]
        return tuple(
            kind if kinds.count(kind) == 1 else f"{kind}_{i}"
            for i, kind in enumerate(kinds)
        )

    @property
    def shares_slots(self) -> bool:
        """Whether teachers use the ordinary episodes' meta-optimizer slots."""
        return self.slots == "shared"

    @property
    def keeps_memory(self) -> bool:
        """Whether the last run's state is needed."""
        return self.initial_state == "last_run"

    def estimators(self, unroll_length: int) -> tuple[ImitationGradient, ...]:
        """Return one estimator per teacher, with windows of that length."""
        return tuple(
            ImitationGradient(
                teacher,
                unroll_length,
                teacher_steps=self.teacher_steps,
                keep_memory=self.keeps_memory,
                reduction=self.reduction,
            )
            for teacher in self.teachers
        )

    def ratio(self, stage: int) -> float:
        """Return the share of imitation episodes in a stage."""
        return self.ratios[min(stage, len(self.ratios) - 1)]

    def choose(self, seed: Seed, stage: int, imitated: int) -> int | None:
        """Toss the coin of one episode.

        Args:
            seed: int32 `[2]`, of this choice; the same seed, the same answer.
            stage: int, of the schedule.
            imitated: int, imitation episodes before this one.

        Returns:
            The teacher's index, or None for an ordinary episode.
        """
        coin = seeds.uniform(seeds.fold_in(seed, _COIN), [])
        if coin.numpy() >= self.ratio(stage):
            return None
        count = len(self.teachers)
        if self.choice == "round_robin":
            return imitated % count
        drawn = seeds.integers(seeds.fold_in(seed, _TEACHER), [], count)
        return int(drawn.numpy())
