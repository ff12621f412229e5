"""A training run in a directory: what is stored when, and how it resumes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from l2o_tf.core import checks
from l2o_tf.estimators.pairs import PairedEstimator, PopulationReport
from l2o_tf.learned.weights import save_weights
from l2o_tf.meta_training.episode import EpisodeReport
from l2o_tf.meta_training.hyperparameters import hyperparameters
from l2o_tf.meta_training.probe import Probe
from l2o_tf.meta_training.shown import RunView
from l2o_tf.meta_training.state import Phase, TrainingState
from l2o_tf.meta_training.trainer import Trainer, Validation
from l2o_tf.runtime.checkpoints import Checkpoints
from l2o_tf.runtime.histograms import COLUMNS
from l2o_tf.runtime.interrupts import Stop
from l2o_tf.runtime.metrics import MetricsWriter
from l2o_tf.runtime.profiles import profiled
from l2o_tf.runtime.progress import ProgressBar
from l2o_tf.runtime.run_dir import RunDirectory
from l2o_tf.techniques.fine_tuning import Fall, HalvedLoss

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
_CHECKPOINT_SECONDS = 600.0
TABLES = {
    "train": _EPISODE,
    "validation": ("validation", *Validation._fields),
}
# Apart, because its losses are of other kinds: a teacher's and the distance
# to it.
IMITATION_TABLES = {"imitation": (*_EPISODE, "teacher")}
# Apart, because only such a run has them: repetitions that end early.
FALL_TABLES = {
    "fine_tuning": (
        "episode",
        "batches",
        "first_average",
        "last_average",
        "ended",
    )
}
# Apart, because only populations of pairs have them.
POPULATION_TABLES = {
    "population": (
        "episode",
        "dropped_pairs",
        "log10_score_variance",
        "log10_pathwise_variance",
    )
}
# Apart, because it is the one table that two equal runs do not share; after
# those of the episodes, as `RunView` asks.
TIMING_TABLES = {"timing": ("episode", "seconds", "inner_steps_per_second")}
HISTOGRAM_TABLES = {"histograms": ("episode", *COLUMNS)}


def _tables(trainer: Trainer, histograms: bool) -> dict[str, tuple[str, ...]]:
    tables = dict(TABLES)
    if trainer.imitation is not None:
        tables |= IMITATION_TABLES
    if trainer.ending is not None:
        tables |= FALL_TABLES
    if isinstance(trainer.estimator, PairedEstimator):
        tables |= POPULATION_TABLES
    tables |= TIMING_TABLES
    if histograms:
        tables |= HISTOGRAM_TABLES
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
        checkpoint_period: int, episodes between checkpoints, which are not
            more than ten minutes and an episode apart either; there is one
            before every validation too.
        quiet: bool, log lines instead of a progress bar.
        histogram_period: int, episodes between two probes of updates and gate
            activations, see `Probe`; 0 for none. It changes nothing else, and
            may be another when the run is resumed.
        profile_episode: int, the number of the episode to profile, or None.

    Raises:
        ValueError: if a period is not an int of its range, the episode to
            profile is not to come, the newest checkpoint cannot be used or is
            of another optimizer, or the metrics do not belong to it.
    """

    def __init__(
        self,
        trainer: Trainer,
        directory: RunDirectory,
        facts: Mapping[str, Any],
        checkpoint_period: int = 10,
        quiet: bool = False,
        histogram_period: int = 0,
        profile_episode: int | None = None,
    ) -> None:
        self.trainer = trainer
        self.directory = directory
        self.facts = dict(facts)
        self.checkpoint_period = checks.positive_int(
            "checkpoint_period", checkpoint_period
        )
        self.quiet = quiet
        check_looks(histogram_period, profile_episode, trainer.num_episodes)
        self.histogram_period = histogram_period
        self.profile_episode = profile_episode
        self.checkpoints = Checkpoints(directory.paths.checkpoints)
        self._saved = time.monotonic()
        self.state, rows = self._resume()
        _check_to_come(profile_episode, self.state)
        folder = directory.paths.metrics
        tables = _tables(
            trainer,
            # Rows of an earlier process must be rewound with the others.
            self.histogram_period > 0
            or "histograms" in rows
            or (folder / "histograms.csv").exists(),
        )
        if rows == {}:
            rows = dict.fromkeys(tables, 0)
        elif "histograms" in tables:  # which may not have been there then
            rows.setdefault("histograms", 0)
        self._probe: Probe | None = None
        self.metrics = MetricsWriter(folder, tables, RunView)
        try:
            self.metrics.rewind(rows)
        except BaseException:
            self.metrics.close()
            raise

    def begin_session(self, operative_config: str) -> None:
        """Show the run in TensorBoard with what it was configured to."""
        self.metrics.begin_session(
            hyperparameters(operative_config),
            self.directory.paths.config.stat().st_mtime,
        )

    def end_session(self, status: str) -> None:
        """Show in TensorBoard how the run ended: "done" or "failed"."""
        # When the last checkpoint was written: the same when asked again.
        ended = self.directory.paths.checkpoints.stat().st_mtime
        self.metrics.end_session(status, ended)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.metrics.close()

    def _resume(self) -> tuple[TrainingState, dict[str, int]]:
        """Return the state to go on from, and the metrics rows before it.

        The rows are `{}` at the beginning of a run.
        """
        state = self.trainer.initial_state()
        latest = self.checkpoints.latest()
        if latest is None:
            return state, {}
        _, arrays, metadata = latest
        state = state.from_arrays(arrays, metadata["state"])
        return state, metadata["metrics"]

    def _checkpoint(self) -> None:
        arrays, metadata = self.state.to_arrays()
        # Transitions, not episodes: a validation changes the state too.
        step = self.state.episode + self.state.validations
        self._saved = time.monotonic()
        self.checkpoints.save(
            step,
            arrays,
            {"state": metadata, "metrics": self.metrics.position()},
        )

    def finish(self, stop: Stop) -> TrainingState:
        """Make transitions until training is over or a stop is requested.

        Args:
            stop: asked between episodes and between validation runs.

        Returns:
            The last state; its phase is DONE unless stopped.

        Raises:
            NonFiniteError: if updates stay non-finite.
            NotHalvedError: if fine-tuning does not lower the loss enough.
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
        windows = self.trainer.windows(self.state)
        teacher = self.trainer.teacher(self.state)
        problem = self.trainer.problem(self.state)
        with self._profiled(self.state.episode + 1):
            start = time.perf_counter()
            self.state, report = self.trainer.train_one(self.state)
            seconds = time.perf_counter() - start
        horizon = sum(report.made(windows))
        self._write_episode(
            stage.stage, horizon, teacher, problem, report, seconds
        )
        if self.trainer.ending is not None:
            self._write_fall(self.trainer.ending, report.fall, horizon, bar)
        if isinstance(self.trainer.estimator, PairedEstimator):
            self._write_population(report.details, len(windows))
        if self.histogram_period:
            self._write_histograms()
        bar.update(1, stage=stage.stage, horizon=horizon, loss=report.last_loss)
        due = self.state.episode % self.checkpoint_period == 0
        due |= time.monotonic() - self._saved > _CHECKPOINT_SECONDS
        if due or self.state.phase is not Phase.EPISODE:
            self._checkpoint()

    def _profiled(self, episode: int) -> AbstractContextManager[None]:
        if episode != self.profile_episode:
            return contextlib.nullcontext()
        return profiled(self.directory.paths.metrics)

    def _write_histograms(self) -> None:
        """Look at the weights after this episode, if it is time to."""
        if self.state.episode % self.histogram_period:
            return
        if self._probe is None:
            self._probe = self.trainer.probe()
        found = self._probe(self.state.meta.meta_params)
        for tag, histogram in found.items():
            row = {"episode": self.state.episode, **histogram.row(tag)}
            self.metrics.write("histograms", row)

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

    def _write_fall(
        self, ending: HalvedLoss, fall: Fall, batches: int, bar: ProgressBar
    ) -> None:
        """Say how a repetition of fine-tuning ended."""
        row = {
            "episode": self.state.episode,
            "batches": batches,
            "first_average": fall.first,
            "last_average": fall.last,
            "ended": ending.verdict(fall),
        }
        self.metrics.write("fine_tuning", row)
        bar.write(
            f"Repetition {row['episode']}: {row['ended']} after {batches} "
            f"minibatches, average training loss {fall.first:.4g} -> "
            f"{fall.last:.4g}."
        )

    def _write_population(self, found: PopulationReport, windows: int) -> None:
        """Write what the pairs differed by, on average over the windows."""
        row = {
            "episode": self.state.episode,
            "dropped_pairs": found.dropped,
            "log10_score_variance": found.score_variance / windows,
            "log10_pathwise_variance": found.pathwise_variance / windows,
        }
        self.metrics.write("population", row)

    def _validation(self, bar: ProgressBar, stop: Stop) -> bool:
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


def check_looks(
    histogram_period: int, profile_episode: int | None, num_episodes: int
) -> None:
    """Refuse histograms and profiles that no run of that length can have.

    Raises:
        ValueError: if `histogram_period` is not an int >= 0, or
            `profile_episode` neither None nor one of the episodes.
    """
    checks.integer("histogram_period", histogram_period)
    if histogram_period < 0:
        raise ValueError(
            "`histogram_period` must be a number of episodes, or 0 for no "
            f"histograms. Received: histogram_period={histogram_period}."
        )
    if profile_episode is None:
        return
    checks.positive_int("profile_episode", profile_episode)
    if profile_episode > num_episodes:
        raise ValueError(
            "`profile_episode` must be one of the run's episodes. Received: "
            f"profile_episode={profile_episode}, num_episodes={num_episodes}."
        )


def _check_to_come(episode: int | None, state: TrainingState) -> None:
    """Refuse to profile an episode that will not be run any more."""
    done = state.phase is Phase.DONE
    if episode is not None and (done or episode <= state.episode):
        raise ValueError(
            "The episode to profile is past: the run "
            f"{'ended' if done else 'stands'} after {state.episode} episodes. "
            f"Received: profile_episode={episode}. Take a later one, or leave "
            "it out."
        )
