"""The outer loop: which episode comes next, and what its result changes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Nest, Seed
from l2o_tf.estimators.base import EpisodeContext, MetaGradientEstimator
from l2o_tf.meta_training.best_window import best_of_window, check_best_window
from l2o_tf.meta_training.episode import (
    EpisodeReport,
    MetaState,
    initial_meta_state,
    train_episode,
)
from l2o_tf.meta_training.failures import (
    check_ended,
    check_updated,
    finite_or,
)
from l2o_tf.meta_training.population import check_population
from l2o_tf.meta_training.probe import Probe
from l2o_tf.meta_training.problems import Problems
from l2o_tf.meta_training.state import Phase, SourceSlots, TrainingState
from l2o_tf.meta_training.validation import Validation
from l2o_tf.meta_training.windows import check_windows
from l2o_tf.meta_training.workers import PairWorkers, check_workers
from l2o_tf.optimizees.base import Optimizee, join_notices
from l2o_tf.optimizees.ensemble import Ensemble
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.techniques.fine_tuning import HalvedLoss
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.rollout import final_loss_and_states
from l2o_tf.unroll.schedules import HorizonSchedule, ScheduleState, Verdict

_TRAIN, _VALID, _SOURCE, _PROBLEM, _LENGTHS, _MEMORY, _PROBE, _POPULATION = (
    range(8)
)


@gin.register(module="l2o_tf.meta_training")
class Trainer:
    """Meta-train a learned optimizer, one transition at a time.

    An episode is a trajectory from a reset to the schedule's horizon, with one
    meta-update per window of `estimator.unroll_length` steps, or of as many
    windows of as many steps as the schedule draws for it. After every
    `validation_period` episodes, and after the last one, `validation_runs`
    episodes are run without updates, and the sum of their last losses goes to
    the schedule (spec dm_rnnprop.md 5.2-5.5; the validation after the last
    episode is ours, so that no run ends without weights).

    Where the estimator or the imitation keeps a memory, the learned optimizer's
    state at the end of a run is carried to the next that begins with it: of
    ordinary episodes and validation runs, one after the other, and of
    imitation episodes too if the estimator keeps it (spec l2o_scale.md 1.5). A
    state that is not finite is not carried. Where the estimator `continues`, an
    episode begins where the last one ended: it is then so many meta-updates.

    Args:
        cell: the learned optimizer.
        optimizee: the problem to train on, or an `Ensemble`, of which a problem
            is drawn every `episodes_per_problem` episodes; each is traced when
            it is first drawn.
        estimator: gives the meta-gradients.
        schedule: gives the horizons and judges validations.
        meta_optimizer: an `OptimizerCell` for the meta-parameters.
        num_episodes: int, where training ends at the latest.
        validation_period: int, episodes, T_period.
        validation_runs: int, episodes per validation. Defaults to 20.
        validation_optimizee: the problem to validate on. Defaults to
            `optimizee`; required with an ensemble.
        imitation: an `Imitation`, which makes some episodes follow a teacher,
            or None.
        restored: what a new stage begins with of the best state of the last
            one: "weights", or "weights_and_slots", the meta-optimizer's too.
        seed: int, of every random number but the initial weights.
        jit_compile: bool, XLA or the graph runtime. Defaults to True, faster
            for the LSTM cells on CPU and GPU alike.
        max_failed_episodes: int, episodes in a row without a finite
            meta-update after which training gives up. A repaired one does not
            count as finite.
        best_window: int, episodes; the best-validated weights inside every so
            many of them are kept, beside those of the whole run. A multiple of
            `validation_period`; None for the whole run alone.
        ending: a `HalvedLoss`, which may end an episode before its horizon, as
            in fine-tuning; None for none.
        workers: run the estimator's pairs in a cluster; None: in this process.

    Raises:
        ValueError: if horizons and windows do not fit together
            (`check_windows`, `check_best_window`), an ensemble comes without a
            problem to validate on, a memory is to be carried between problems
            that differ, an argument is out of range or of another kind, or the
            cell has no weights.
    """

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee | Ensemble,
        estimator: MetaGradientEstimator,
        schedule: HorizonSchedule,
        meta_optimizer: OptimizerCell,
        num_episodes: int,
        validation_period: int,
        validation_runs: int = 20,
        validation_optimizee: Optimizee | None = None,
        imitation: Imitation | None = None,
        restored: str = "weights",
        seed: int = 0,
        jit_compile: bool = True,
        max_failed_episodes: int = 20,
        best_window: int | None = None,
        ending: HalvedLoss | None = None,
        workers: PairWorkers | None = None,
    ) -> None:
        for name, value, kind in (
            ("cell", cell, OptimizerCell),
            ("estimator", estimator, MetaGradientEstimator),
            ("schedule", schedule, HorizonSchedule),
            ("meta_optimizer", meta_optimizer, OptimizerCell),
        ):
            checks.instance(name, value, kind)
        if imitation is not None:
            checks.instance("imitation", imitation, Imitation)
        if ending is not None:
            checks.instance("ending", ending, HalvedLoss)
        self.ending, self.workers = ending, workers
        self.cell = cell
        self.optimizee = optimizee
        self.problems = Problems(optimizee)
        self.validation_optimizee = self.problems.validated_by(
            validation_optimizee
        )
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
        self.best_window = check_best_window(
            best_window, self.validation_period, schedule
        )
        self.seed = seed
        self._seed = seeds.make_seed(seed)
        self.jit_compile = jit_compile
        check_windows(schedule, estimator, imitation)
        self.restored = checks.one_of(
            "restored", restored, ("weights", "weights_and_slots")
        )
        self.imitation = imitation
        teachers = (
            ()
            if imitation is None
            else imitation.estimators(estimator.unroll_length)
        )
        self._estimators = (estimator, *teachers)
        self._keeps_memory = estimator.keep_memory or (
            imitation is not None and imitation.keeps_memory
        )
        if self._keeps_memory:
            self.problems.check_one_size(self.validation_optimizee)
        check_population(estimator, self.problems, imitation, ending)
        check_workers(workers, estimator, imitation)
        self._shares_slots = imitation is not None and imitation.shares_slots
        self._initial = self._initial_state(
            0 if self._shares_slots else len(teachers)
        )
        self._episodes: dict[tuple[int, int], Callable[..., Any]] = {}
        self._validate_run = compiled(self._final_loss, jit_compile)

    def _initial_state(self, num_teachers: int) -> TrainingState:
        meta = initial_meta_state(self.cell, self.meta_optimizer)
        memory = ()
        if self._keeps_memory:
            memory = self.cell.get_initial_state(
                self.validation_optimizee.layout,
                seeds.fold_in(self._seed, _MEMORY),
            )
        state = TrainingState(
            meta=meta,
            best=meta.meta_params,
            schedule=ScheduleState(),
            others=num_teachers * (SourceSlots(meta.slots, meta.step),),
            memory=memory,
        )
        if self.estimator.continues:
            begin = compiled(
                functools.partial(
                    self.estimator.start, self.cell, self.problems.member(0)
                ),
                jit_compile=False,
            )
            seed = seeds.fold_in(self._seed, _POPULATION)
            context = EpisodeContext(tf.constant(0), ())
            population = begin(seed, context, meta.meta_params)
            state = state.replace(population=population)
        return state.replace(best_slots=self._slots(state))

    def _slots(self, state: TrainingState) -> Nest:
        """Return what is kept of the meta-optimizer beside best weights."""
        if self.restored == "weights":
            return ()
        return state.meta.slots, tuple(other.slots for other in state.others)

    @property
    def notice(self) -> str | None:
        """What a reader of any result must know of the data, or None.

        Of the data trained on, and of those validated on.
        """
        return join_notices(
            (self.problems.notice, self.validation_optimizee.notice)
        )

    def probe(self) -> Probe:
        """Return what counts updates and gates, on a problem of its own seed.

        It is the problem trained on, or, of an ensemble, that validated on.
        """
        return Probe(
            self.cell,
            self.validation_optimizee
            if self.problems.is_ensemble
            else self.problems.member(0),
            seeds.fold_in(self._seed, _PROBE),
            jit_compile=self.jit_compile,
        )

    def initial_state(self) -> TrainingState:
        """Return the state before the first episode."""
        return self._initial

    def _train_episode(
        self,
        estimator: MetaGradientEstimator,
        optimizee: Optimizee,
        state: MetaState,
        seed: Seed,
        num_windows: tf.Tensor,
        context: EpisodeContext,
        lengths: tf.Tensor | None,
    ) -> tuple[MetaState, EpisodeReport, Nest, Nest]:
        state, report, carry = train_episode(
            self.cell,
            optimizee,
            estimator,
            self.meta_optimizer,
            state,
            seed,
            num_windows,
            context,
            lengths,
            self.ending,
        )
        return (
            state,
            report,
            estimator.memory(carry) if self._keeps_memory else (),
            carry if estimator.continues else (),
        )

    def _episode(self, source: int, problem: int) -> Callable[..., Any]:
        """Return the compiled episode of a source on a problem."""
        if (source, problem) not in self._episodes:
            parts = self._estimators[source], self.problems.member(problem)
            if self.workers is None:
                episode = compiled(
                    functools.partial(self._train_episode, *parts),
                    self.jit_compile,
                )
            else:
                episode = self.workers.episode(
                    self.cell, *parts, self.meta_optimizer, self.jit_compile
                )
            self._episodes[source, problem] = episode
        return self._episodes[source, problem]

    def _final_loss(
        self,
        meta_params: tf.Tensor,
        seed: Seed,
        horizon: tf.Tensor,
        memory: Nest,
    ) -> tuple[tf.Tensor, Nest]:
        loss, states = final_loss_and_states(
            self.cell,
            self.validation_optimizee,
            self.cell.meta_layout.split(meta_params),
            seed,
            horizon,
            capacity=max(self.schedule.validation_horizons()),
            memory=memory,
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

    def _problem(self, state: TrainingState) -> int:
        """Return which member of an ensemble the next episode is on."""
        return self.problems.choose(
            seeds.fold_in(self._seed, _PROBLEM), state.episode
        )

    def problem(self, state: TrainingState) -> str | None:
        """Return the name of the next episode's problem in an ensemble."""
        return self.problems.name(self._problem(state))

    def windows(self, state: TrainingState) -> tuple[int, ...]:
        """Return the inner steps of each window of the next episode."""
        seed = seeds.fold_in(seeds.fold_in(self._seed, _LENGTHS), state.episode)
        drawn = self.schedule.window_lengths(
            state.schedule, seed, int(state.meta.step)
        )
        if drawn is not None:
            return drawn
        unroll_length = self.estimator.unroll_length
        horizon = self.schedule.horizon(state.schedule)
        return (unroll_length,) * (horizon // unroll_length)

    def _lengths(self, windows: tuple[int, ...]) -> tf.Tensor | None:
        """Return the windows' lengths where they differ, always of one size."""
        if self.schedule.most_windows is None:
            return None
        missing = self.schedule.most_windows - len(windows)
        return tf.constant((*windows, *(missing * (0,))), tf.int32)

    def train_one(
        self, state: TrainingState
    ) -> tuple[TrainingState, EpisodeReport]:
        """Run one training episode: one call of one compiled function.

        Returns:
            `(state, EpisodeReport)`, the report as NumPy scalars.

        Raises:
            NonFiniteError: if this was the last of `max_failed_episodes`
                episodes in a row without a finite meta-update.
            NotHalvedError: if it ended as the `ending` does not allow.
        """
        seed = seeds.fold_in(seeds.fold_in(self._seed, _TRAIN), state.episode)
        source, windows = self._source(state), self.windows(state)
        slots = 0 if self._shares_slots else source
        episode = self._episode(source, self._problem(state))
        meta, report, memory, population = episode(
            state.meta_of(slots),
            seed,
            tf.constant(len(windows), tf.int32),
            EpisodeContext(
                tf.constant(state.episode), state.memory, state.population
            ),
            self._lengths(windows),
        )
        report = tf.nest.map_structure(lambda t: t.numpy().item(), report)
        windows = report.made(windows)
        if self.ending is not None:
            number, steps = state.episode + 1, sum(windows)
            check_ended(self.ending, report.fall, number, steps)
        failed = report.skipped == len(windows)
        remembers = source == 0 or self.estimator.keep_memory
        state = state.with_meta(slots, meta).replace(
            memory=finite_or(memory, state.memory)
            if remembers
            else state.memory,
            population=population,
            imitated=state.imitated + (source > 0),
            episode=state.episode + 1,
            skipped=state.skipped + report.skipped,
            failed_in_a_row=state.failed_in_a_row + 1 if failed else 0,
        )
        check_updated(
            state,
            self.max_failed_episodes,
            self.meta_optimizer.repairs_gradients,
        )
        return state.replace(phase=self._phase_after_episode(state)), report

    def _phase_after_episode(self, state: TrainingState) -> Phase:
        due = state.episode % self.validation_period == 0
        over = state.episode >= self.num_episodes
        return Phase.VALIDATION if due or over else Phase.EPISODE

    def _next_episode_or_end(self, state: TrainingState) -> Phase:
        over = state.episode >= self.num_episodes
        return Phase.DONE if over else Phase.EPISODE

    def validation_run(
        self, state: TrainingState, run: int
    ) -> tuple[TrainingState, float]:
        """Run episode number `run` of the validation that is due.

        Returns:
            `(state, loss)`; of the state, the memory may have changed.
        """
        seed = seeds.fold_in(self._seed, _VALID)
        seed = seeds.fold_in(seeds.fold_in(seed, state.validations), run)
        horizon = self.schedule.validation_horizon(state.schedule)
        loss, memory = self._validate_run(
            state.meta.meta_params,
            seed,
            tf.constant(horizon, tf.int32),
            state.memory if self.estimator.keep_memory else (),
        )
        if self._keeps_memory:
            state = state.replace(memory=finite_or(memory, state.memory))
        return state, loss.numpy().item()

    def judge(
        self, state: TrainingState, losses: list[float]
    ) -> tuple[TrainingState, Validation]:
        """Act on the losses of the validation that was due.

        Args:
            state: in the phase VALIDATION or BASELINE.
            losses: one per run of `validation_run`.

        Returns:
            `(state, Validation)`. At NEXT_STAGE the weights are the best ones
            again (the meta-optimizer's slots stay, spec dm_rnnprop.md 12, B5,
            unless they are `restored`) and a baseline is due, unless no episode
            is left.
        """
        if self.workers is not None:
            losses = self.workers.agreed(losses)
        finite = all(math.isfinite(loss) for loss in losses)
        # `fsum` is exact, and refuses inf - inf.
        cost = math.fsum(losses) if finite else sum(losses)
        kind, asked = state.phase.value, state.schedule
        if state.phase is Phase.BASELINE:
            schedule = self.schedule.start_stage(asked, cost)
            verdict, phase = "start", self._next_episode_or_end(state)
        else:
            schedule, said = self.schedule.observe(asked, cost)
            verdict, phase = said.value, self._next_episode_or_end(state)
            state = state.replace(
                window_best=best_of_window(
                    state.window_best,
                    self.best_window,
                    self.num_episodes,
                    state.episode,
                    cost,
                )
            )
            if said is Verdict.SAVE:
                state = state.replace(
                    best=state.meta.meta_params, best_slots=self._slots(state)
                )
            elif said is Verdict.STOP:
                phase = Phase.DONE
            elif said is Verdict.NEXT_STAGE:
                state = state.restore_best()
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
