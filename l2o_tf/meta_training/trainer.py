"""The outer loop: which episode comes next, and what its result changes."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.numerics import all_finite
from l2o_tf.core.types import Nest, Seed
from l2o_tf.estimators.base import EpisodeContext, MetaGradientEstimator
from l2o_tf.meta_training.episode import (
    EpisodeReport,
    MetaState,
    initial_meta_state,
    train_episode,
)
from l2o_tf.meta_training.state import Phase, SourceSlots, TrainingState
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.rollout import final_loss_and_states
from l2o_tf.unroll.schedules import HorizonSchedule, ScheduleState, Verdict

_TRAIN, _VALID, _SOURCE = range(3)


class NonFiniteError(RuntimeError):
    """Training went on without a single finite meta-update for too long."""


class Validation(NamedTuple):
    """What one validation found.

    Attributes:
        kind: "validation", or "baseline" at the start of a stage.
        episode: int, episodes trained before it.
        stage: int.
        horizon: int, inner steps of each run.
        cost: float, the sum over runs of the loss after the last step.
        mean_loss: float, cost / runs.
        best: float, the stage's best cost after this validation.
        verdict: str, what the schedule said.
    """

    kind: str
    episode: int
    stage: int
    horizon: int
    cost: float
    mean_loss: float
    best: float
    verdict: str


@gin.register(module="l2o_tf.meta_training")
class Trainer:
    """Meta-train a learned optimizer, one transition at a time.

    An episode is a trajectory from a reset to the schedule's horizon, with one
    meta-update per window of `estimator.unroll_length` steps. After every
    `validation_period` episodes, and after the last one, `validation_runs`
    episodes are run without updates, and the sum of their last losses goes to
    the schedule (spec dm_rnnprop.md 5.2-5.5; the validation after the last
    episode is ours, so that no run ends without weights).

    Args:
        cell: the learned optimizer.
        optimizee: the problem to train on.
        estimator: gives the meta-gradients.
        schedule: gives the horizons and judges validations.
        meta_optimizer: an `OptimizerCell` for the meta-parameters.
        num_episodes: int, where training ends at the latest.
        validation_period: int, episodes, T_period.
        validation_runs: int, episodes per validation. Defaults to 20.
        validation_optimizee: the problem to validate on. Defaults to
            `optimizee`.
        imitation: an `Imitation`, which makes some episodes follow a teacher,
            or None.
        seed: int, of every random number but the initial weights.
        jit_compile: bool, XLA or the graph runtime. Defaults to True, faster
            for the LSTM cells on CPU and GPU alike.
        max_failed_episodes: int, episodes in a row without a finite
            meta-update after which training gives up.

    Raises:
        ValueError: if a horizon is not a multiple of the window, an argument
            is out of range or of another kind, or the cell has no weights.
    """

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        estimator: MetaGradientEstimator,
        schedule: HorizonSchedule,
        meta_optimizer: OptimizerCell,
        num_episodes: int,
        validation_period: int,
        validation_runs: int = 20,
        validation_optimizee: Optimizee | None = None,
        imitation: Imitation | None = None,
        seed: int = 0,
        jit_compile: bool = True,
        max_failed_episodes: int = 20,
    ) -> None:
        for name, value, kind in (
            ("cell", cell, OptimizerCell),
            ("optimizee", optimizee, Optimizee),
            ("estimator", estimator, MetaGradientEstimator),
            ("schedule", schedule, HorizonSchedule),
            ("meta_optimizer", meta_optimizer, OptimizerCell),
        ):
            checks.instance(name, value, kind)
        if validation_optimizee is not None:
            checks.instance(
                "validation_optimizee", validation_optimizee, Optimizee
            )
        if imitation is not None:
            checks.instance("imitation", imitation, Imitation)
        self.cell = cell
        self.optimizee = optimizee
        self.validation_optimizee = validation_optimizee or optimizee
        self.estimator = estimator
        self.schedule = schedule
        self.meta_optimizer = meta_optimizer
        self.num_episodes = checks.positive_int("num_episodes", num_episodes)
        self.validation_period = checks.positive_int(
            "validation_period", validation_period
        )
        self.validation_runs = checks.positive_int(
            "validation_runs", validation_runs
        )
        self.max_failed_episodes = checks.positive_int(
            "max_failed_episodes", max_failed_episodes
        )
        self.seed = seed
        self._seed = seeds.make_seed(seed)
        self.jit_compile = jit_compile
        for horizon in schedule.horizons():
            _check_multiple(horizon, estimator.unroll_length)
        self.imitation = imitation
        teachers = (
            ()
            if imitation is None
            else imitation.estimators(estimator.unroll_length)
        )
        self._keeps_memory = imitation is not None and imitation.keeps_memory
        if self._keeps_memory:
            _check_same_size(self.optimizee, self.validation_optimizee)
        self._initial = self._initial_state(len(teachers))
        self._episodes = [
            compiled(functools.partial(self._train_episode, e), jit_compile)
            for e in (estimator, *teachers)
        ]
        self._validate_run = compiled(self._final_loss, jit_compile)

    def _initial_state(self, num_teachers: int) -> TrainingState:
        meta = initial_meta_state(self.cell, self.meta_optimizer)
        memory = ()
        if self._keeps_memory:
            memory = self.cell.get_initial_state(self.optimizee.layout)
        return TrainingState(
            meta=meta,
            best=meta.meta_params,
            schedule=ScheduleState(),
            others=num_teachers * (SourceSlots(meta.slots, meta.step),),
            memory=memory,
        )

    def initial_state(self) -> TrainingState:
        """Return the state before the first episode."""
        return self._initial

    def _train_episode(
        self,
        estimator: MetaGradientEstimator,
        state: MetaState,
        seed: Seed,
        num_windows: tf.Tensor,
        context: EpisodeContext,
    ) -> tuple[MetaState, EpisodeReport, Nest]:
        state, report, memory = train_episode(
            self.cell,
            self.optimizee,
            estimator,
            self.meta_optimizer,
            state,
            seed,
            num_windows,
            context,
        )
        return state, report, memory if self._keeps_memory else ()

    def _final_loss(
        self, meta_params: tf.Tensor, seed: Seed, horizon: tf.Tensor
    ) -> tuple[tf.Tensor, Nest]:
        loss, states = final_loss_and_states(
            self.cell,
            self.validation_optimizee,
            self.cell.meta_layout.split(meta_params),
            seed,
            horizon,
            capacity=max(self.schedule.validation_horizons()),
        )
        return loss, states if self._keeps_memory else ()

    def _source(self, state: TrainingState) -> int:
        """Return the trajectory source of the next episode."""
        if self.imitation is None:
            return 0
        seed = seeds.fold_in(seeds.fold_in(self._seed, _SOURCE), state.episode)
        teacher = self.imitation.choose(
            seed, state.schedule.stage, state.imitated
        )
        return 0 if teacher is None else teacher + 1

    def teacher(self, state: TrainingState) -> str | None:
        """Return the name of the next episode's teacher, None without one."""
        source = self._source(state)
        if self.imitation is None or source == 0:
            return None
        return self.imitation.names[source - 1]

    def train_one(
        self, state: TrainingState
    ) -> tuple[TrainingState, EpisodeReport]:
        """Run one training episode: one call of one compiled function.

        Returns:
            `(state, EpisodeReport)`, the report as NumPy scalars.

        Raises:
            NonFiniteError: if this was the last of `max_failed_episodes`
                episodes in a row without a finite meta-update.
        """
        windows = (
            self.schedule.horizon(state.schedule)
            // self.estimator.unroll_length
        )
        seed = seeds.fold_in(seeds.fold_in(self._seed, _TRAIN), state.episode)
        source = self._source(state)
        meta, report, memory = self._episodes[source](
            state.meta_of(source),
            seed,
            tf.constant(windows, tf.int32),
            EpisodeContext(tf.constant(state.episode), state.memory),
        )
        report = tf.nest.map_structure(lambda t: t.numpy().item(), report)
        failed = report.skipped == windows
        state = state.with_meta(source, meta).replace(
            memory=_finite_or(memory, state.memory)
            if source == 0
            else state.memory,
            imitated=state.imitated + (source > 0),
            episode=state.episode + 1,
            skipped=state.skipped + report.skipped,
            failed_in_a_row=state.failed_in_a_row + 1 if failed else 0,
        )
        if state.failed_in_a_row >= self.max_failed_episodes:
            raise NonFiniteError(
                f"{state.failed_in_a_row} episodes in a row gave no finite "
                f"meta-update (episode {state.episode}, stage "
                f"{state.schedule.stage}, {state.skipped} updates skipped in "
                "all). The weights are those before the first of them. Lower "
                "the meta-optimizer's learning_rate or the horizon, or raise "
                "Trainer.max_failed_episodes. "
                f"Received: max_failed_episodes={self.max_failed_episodes}."
            )
        return state.replace(phase=self._phase_after_episode(state)), report

    def _phase_after_episode(self, state: TrainingState) -> Phase:
        due = state.episode % self.validation_period == 0
        over = state.episode >= self.num_episodes
        return Phase.VALIDATION if due or over else Phase.EPISODE

    def _next_episode_or_end(self, state: TrainingState) -> Phase:
        over = state.episode >= self.num_episodes
        return Phase.DONE if over else Phase.EPISODE

    def _run_validation(
        self, state: TrainingState, run: int
    ) -> tuple[tf.Tensor, Nest]:
        seed = seeds.fold_in(self._seed, _VALID)
        seed = seeds.fold_in(seeds.fold_in(seed, state.validations), run)
        horizon = self.schedule.validation_horizon(state.schedule)
        return self._validate_run(
            state.meta.meta_params, seed, tf.constant(horizon, tf.int32)
        )

    def validation_run(self, state: TrainingState, run: int) -> float:
        """Run episode number `run` of the validation that is due."""
        loss, _ = self._run_validation(state, run)
        return loss.numpy().item()

    def judge(
        self, state: TrainingState, losses: list[float]
    ) -> tuple[TrainingState, Validation]:
        """Act on the losses of the validation that was due.

        Args:
            state: in the phase VALIDATION or BASELINE.
            losses: one per run of `validation_run`.

        Returns:
            `(state, Validation)`. At NEXT_STAGE the weights are the best ones
            again (the meta-optimizer's slots stay, spec dm_rnnprop.md 12, B5)
            and a baseline is due, unless no episode is left.
        """
        finite = all(math.isfinite(loss) for loss in losses)
        # `fsum` is exact, and refuses inf - inf.
        cost = math.fsum(losses) if finite else sum(losses)
        kind, asked = state.phase.value, state.schedule
        if self._keeps_memory:
            # Run once more for its state: a judge of losses stays resumable.
            _, memory = self._run_validation(state, len(losses) - 1)
            state = state.replace(memory=_finite_or(memory, state.memory))
        if state.phase is Phase.BASELINE:
            schedule = self.schedule.start_stage(asked, cost)
            verdict, phase = "start", self._next_episode_or_end(state)
        else:
            schedule, said = self.schedule.observe(asked, cost)
            verdict, phase = said.value, self._next_episode_or_end(state)
            if said is Verdict.SAVE:
                state = state.replace(best=state.meta.meta_params)
            elif said is Verdict.STOP:
                phase = Phase.DONE
            elif said is Verdict.NEXT_STAGE:
                meta = state.meta._replace(meta_params=state.best)
                state = state.replace(meta=meta)
                if phase is not Phase.DONE:
                    phase = Phase.BASELINE
        state = state.replace(
            schedule=schedule, phase=phase, validations=state.validations + 1
        )
        return state, Validation(
            kind=kind,
            episode=state.episode,
            stage=asked.stage,
            horizon=self.schedule.validation_horizon(asked),
            cost=cost,
            mean_loss=cost / len(losses),
            best=asked.best
            if verdict in ("next_stage", "stop")
            else schedule.best,
            verdict=verdict,
        )


def _finite_or(memory: Nest, old: Nest) -> Nest:
    """Return the memory, or the old one if a run ended in no numbers."""
    return memory if all_finite(memory).numpy() else old


def _check_multiple(horizon: int, unroll_length: int) -> None:
    if horizon % unroll_length:
        low = horizon // unroll_length * unroll_length
        use = f"{low} or " if low else ""
        raise ValueError(
            "`horizon` must be a multiple of `unroll_length`. Received: "
            f"horizon={horizon}, unroll_length={unroll_length}. "
            f"Use {use}{low + unroll_length}."
        )


def _check_same_size(trained: Optimizee, validated: Optimizee) -> None:
    if trained.layout.size != validated.layout.size:
        raise ValueError(
            "An imitation that starts from the last run's state needs one "
            "number of coordinates in training and validation. Received: "
            f"optimizee of {trained.layout.size}, validation_optimizee of "
            f"{validated.layout.size}. Set Imitation.initial_state = 'zero'."
        )
