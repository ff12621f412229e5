"""A training run in a directory: what is stored when, and how it resumes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from l2o_tf.core import checks
from l2o_tf.learned.weights import save_weights
from l2o_tf.meta_training.episode import EpisodeReport
from l2o_tf.meta_training.state import Phase, TrainingState
from l2o_tf.meta_training.trainer import Trainer, Validation
from l2o_tf.runtime.checkpoints import Checkpoints
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.metrics import MetricsWriter
from l2o_tf.runtime.progress import ProgressBar
from l2o_tf.runtime.run_dir import RunDirectory

_EPISODE = (
    "episode",
    "stage",
    "horizon",
    "last_loss",
    "mean_meta_loss",
    "gradient_norm",
    "skipped_updates",
    "meta_updates",
)
TABLES = {
    "train": _EPISODE,
    "validation": ("validation", *Validation._fields),
    # Apart, because it is the one table that two equal runs do not share.
    "timing": ("episode", "seconds", "inner_steps_per_second"),
}
# Apart, because its losses are of other kinds: a teacher's and the distance
# to it.
IMITATION_TABLES = {"imitation": (*_EPISODE, "teacher")}


def _tables(trainer: Trainer) -> dict[str, tuple[str, ...]]:
    tables = dict(TABLES)
    if trainer.imitation is not None:
        tables |= IMITATION_TABLES
    if trainer.problems.is_ensemble:
        for name in {"train", "imitation"} & set(tables):
            tables[name] = (*tables[name], "problem")
    return tables


class Run:
    """Carry a training run on, from wherever its directory stands.

    Between two transitions (an episode, a validation, a stage's baseline) the
    whole run is one `TrainingState`. A checkpoint stores it with the number of
    metrics rows written so far; resuming cuts the metrics to that number, so a
    run that was killed at any moment repeats what came after its last
    checkpoint and ends with the same files, bit for bit.

    A context manager, which closes the metrics files.

    Args:
        trainer: what makes the transitions.
        directory: an open `RunDirectory`.
        facts: JSON-serialisable, stored with the weights.
        checkpoint_period: int, episodes between checkpoints; there is one
            before every validation too.
        quiet: bool, log lines instead of a progress bar.

    Raises:
        ValueError: if `checkpoint_period` is not a positive int, the newest
            checkpoint cannot be used or is of another optimizer, or the
            metrics do not belong to it.
    """

    def __init__(
        self,
        trainer: Trainer,
        directory: RunDirectory,
        facts: Mapping[str, Any],
        checkpoint_period: int = 10,
        quiet: bool = False,
    ) -> None:
        self.trainer = trainer
        self.directory = directory
        self.facts = dict(facts)
        self.checkpoint_period = checks.positive_int(
            "checkpoint_period", checkpoint_period
        )
        self.quiet = quiet
        self.checkpoints = Checkpoints(directory.paths.checkpoints)
        tables = _tables(trainer)
        self.state, rows = self._resume(tables)
        self.metrics = MetricsWriter(directory.paths.metrics, tables)
        try:
            self.metrics.rewind(rows)
        except BaseException:
            self.metrics.close()
            raise

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.metrics.close()

    def _resume(
        self, tables: Mapping[str, tuple[str, ...]]
    ) -> tuple[TrainingState, dict[str, int]]:
        """Return the state to go on from, and the metrics rows before it."""
        state = self.trainer.initial_state()
        latest = self.checkpoints.latest()
        if latest is None:
            return state, dict.fromkeys(tables, 0)
        _, arrays, metadata = latest
        state = state.from_arrays(arrays, metadata["state"])
        return state, metadata["metrics"]

    def _checkpoint(self) -> None:
        arrays, metadata = self.state.to_arrays()
        # Transitions, not episodes: a validation changes the state too.
        step = self.state.episode + self.state.validations
        self.checkpoints.save(
            step,
            arrays,
            {"state": metadata, "metrics": self.metrics.position()},
        )

    def finish(self, stop: GracefulStop) -> TrainingState:
        """Make transitions until training is over or a stop is requested.

        Args:
            stop: asked between episodes and between validation runs.

        Returns:
            The last state; its phase is DONE unless stopped.

        Raises:
            NonFiniteError: if updates stay non-finite.
            OSError: if the directory cannot be written.
        """
        with ProgressBar(
            total=self.trainer.num_episodes,
            initial=self.state.episode,
            quiet=self.quiet,
            description="meta-training",
        ) as bar:
            while self.state.phase is not Phase.DONE and not stop.requested:
                if self.state.phase is Phase.EPISODE:
                    self._episode(bar)
                elif not self._validation(bar, stop):
                    break
        self._checkpoint()
        return self.state

    def _episode(self, bar: ProgressBar) -> None:
        stage = self.state.schedule
        horizon = sum(self.trainer.windows(self.state))
        teacher = self.trainer.teacher(self.state)
        problem = self.trainer.problem(self.state)
        start = time.perf_counter()
        self.state, report = self.trainer.train_one(self.state)
        seconds = time.perf_counter() - start
        self._write_episode(
            stage.stage, horizon, teacher, problem, report, seconds
        )
        bar.update(1, stage=stage.stage, horizon=horizon, loss=report.last_loss)
        due = self.state.episode % self.checkpoint_period == 0
        if due or self.state.phase is not Phase.EPISODE:
            self._checkpoint()

    def _write_episode(
        self,
        stage: int,
        horizon: int,
        teacher: str | None,
        problem: str | None,
        report: EpisodeReport,
        seconds: float,
    ) -> None:
        row = {
            "episode": self.state.episode,
            "stage": stage,
            "horizon": horizon,
            "last_loss": report.last_loss,
            "mean_meta_loss": report.mean_loss,
            "gradient_norm": report.gradient_norm,
            "skipped_updates": report.skipped,
            "meta_updates": self.state.meta_updates,
        }
        if problem is not None:
            row["problem"] = problem
        if teacher is None:
            self.metrics.write("train", row)
        else:
            self.metrics.write("imitation", {**row, "teacher": teacher})
        self.metrics.write(
            "timing",
            {
                "episode": self.state.episode,
                "seconds": seconds,
                "inner_steps_per_second": horizon / seconds,
            },
        )

    def _validation(self, bar: ProgressBar, stop: GracefulStop) -> bool:
        """Run the validation that is due; False if it was abandoned."""
        losses, state = [], self.state
        runs = self.trainer.validation_runs
        for run in range(runs):
            if stop.requested:  # the state still says that it is due
                return False
            state, loss = self.trainer.validation_run(state, run)
            losses.append(loss)
            bar.update(0, validating=f"{run + 1}/{runs}")
        before = self.state
        self.state, validation = self.trainer.judge(state, losses)
        self.metrics.write(
            "validation",
            {"validation": self.state.validations, **validation._asdict()},
        )
        if self.state.best is not before.best:
            self._save_best(validation)
        if self.state.window_best is not before.window_best:
            self._save_best_of_window(before, validation)
        self._checkpoint()
        return True

    def _save_best(self, validation: Validation) -> None:
        facts = {**self.facts, "validation": validation._asdict()}
        paths = self.directory.paths
        stage = paths.best / f"stage_{validation.stage}.npz"
        for path in (paths.weights, stage):
            save_weights(path, self.trainer.cell, self.state.best, facts)

    def _save_best_of_window(
        self, validated: TrainingState, validation: Validation
    ) -> None:
        window = self.state.window_best
        facts = {
            **self.facts,
            "validation": validation._asdict(),
            "best_of_episodes": [window.first, window.last],
        }
        save_weights(
            self.directory.paths.best / window.file_name,
            self.trainer.cell,
            validated.meta.meta_params,
            facts,
        )
