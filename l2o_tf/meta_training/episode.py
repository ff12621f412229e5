"""One training episode, as a pure function: all its windows, one graph call."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core.numerics import all_finite, select
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.estimators.base import (
    EpisodeContext,
    Estimate,
    MetaGradientEstimator,
)
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.techniques.fine_tuning import HalvedLoss
from l2o_tf.unroll.carry import Carry


class MetaState(NamedTuple):
    """What meta-training changes.

    Attributes:
        meta_params: float `[M]`, the learned optimizer's weights.
        slots: the meta-optimizer's state.
        step: int32 scalar, meta-updates applied so far.
    """

    meta_params: Vector
    slots: Nest
    step: Scalar


class EpisodeReport(NamedTuple):
    """What one episode tells of itself; all scalars.

    Attributes:
        mean_loss: float, the mean over windows of the meta-loss.
        last_loss: float, f at the very end, before the last meta-update.
        gradient_norm: float, the mean over windows of the meta-gradient's
            2-norm; windows that are not finite count as 0.
        skipped: int32, windows whose meta-loss or meta-gradient was not
            finite. Their meta-update was skipped, or made with what was finite
            where the meta-optimizer repairs gradients.
        fall: where the episode may end early, a `Fall`: how far its average
            loss fell; `()` elsewhere.
        details: the sum over windows of the estimator's `Estimate.details`.
    """

    mean_loss: Scalar
    last_loss: Scalar
    gradient_norm: Scalar
    skipped: Scalar
    fall: Nest = ()
    details: Nest = ()

    def made(self, windows: tuple[int, ...]) -> tuple[int, ...]:
        """Return those of an episode's windows that were made.

        Args:
            windows: inner steps of each that it was to have.
        """
        return windows[: int(self.fall.windows)] if self.fall else windows


def initial_meta_state(
    cell: OptimizerCell, meta_optimizer: OptimizerCell
) -> MetaState:
    """Return the state before the first meta-update: the cell's weights."""
    return MetaState(
        meta_params=cell.meta_params(),
        slots=meta_optimizer.get_initial_state(cell.meta_layout),
        step=tf.constant(0, tf.int32),
    )


def meta_update(
    meta_optimizer: OptimizerCell,
    state: MetaState,
    gradient: Vector,
    loss: Scalar,
) -> tuple[MetaState, Scalar]:
    """Apply one meta-update, or none if anything in it is not finite.

    A meta-optimizer that repairs gradients is given every one, and its update
    is applied if the new state is finite, whatever the loss and the gradient
    were.

    Returns:
        `(state, finite)`, a bool scalar: were the loss, the gradient and the
        new state? Where nothing is applied, weights, slots and step are exactly
        what they were.
    """
    inputs = OptimizerInputs(
        gradient=gradient,
        params=state.meta_params if meta_optimizer.reads_params else (),
        loss=loss,
        step=state.step + 1,
    )
    update, slots = meta_optimizer.call(inputs, state.slots)
    moved = MetaState(state.meta_params + update, slots, state.step + 1)
    applied = finite = all_finite((gradient, loss, moved))
    if meta_optimizer.repairs_gradients:
        applied = all_finite(moved)
    return select(applied, moved, state), finite


def no_windows(
    estimator: MetaGradientEstimator, state: MetaState
) -> EpisodeReport:
    """Return the report of an episode before its first window."""
    zero = tf.constant(0.0, state.meta_params.dtype)
    return EpisodeReport(
        zero,
        zero,
        zero,
        tf.constant(0),
        details=estimator.no_details(),
    )


def add_window(
    report: EpisodeReport, estimate: Estimate, finite: Scalar
) -> EpisodeReport:
    """Add a window to the sums of a report.

    Args:
        report: with sums in the place of means.
        estimate: of the window.
        finite: bool scalar, of `meta_update`.
    """
    norm = tf.norm(estimate.meta_gradient)
    return report._replace(
        mean_loss=report.mean_loss + estimate.meta_loss,
        last_loss=estimate.last_loss,
        gradient_norm=report.gradient_norm
        + tf.where(finite, norm, tf.zeros_like(norm)),
        skipped=report.skipped + tf.cast(~finite, tf.int32),
        details=tf.nest.map_structure(tf.add, report.details, estimate.details),
    )


def average_windows(report: EpisodeReport, windows: Scalar) -> EpisodeReport:
    """Make means of sums over so many windows."""
    # One that is over before its first window has no mean: 0, not 0 / 0.
    count = tf.cast(tf.maximum(windows, 1), report.mean_loss.dtype)
    return report._replace(
        mean_loss=report.mean_loss / count,
        gradient_norm=report.gradient_norm / count,
    )


def train_episode(
    cell: OptimizerCell,
    optimizee: Optimizee,
    estimator: MetaGradientEstimator,
    meta_optimizer: OptimizerCell,
    state: MetaState,
    seed: Seed,
    num_windows: Scalar,
    context: EpisodeContext | None = None,
    lengths: tf.Tensor | None = None,
    ending: HalvedLoss | None = None,
) -> tuple[MetaState, EpisodeReport, Nest]:
    """Run an episode from its reset, with one meta-update per window.

    A function of its arguments alone: the same state and seed give the same
    bits. `num_windows` is a tensor, so every horizon shares one trace.

    Args:
        cell: the learned optimizer; its own weights are not used.
        optimizee: the problem to train on.
        estimator: gives each window's meta-gradient.
        meta_optimizer: an `OptimizerCell` over the `[M]` meta-parameters.
        state: the `MetaState` to start from.
        seed: int32 `[2]`, of the episode.
        num_windows: int32 scalar.
        context: what the estimator may know of the training so far. Defaults
            to that of a first episode, without memory.
        lengths: int32 `[W]`, inner steps of each window, W >= num_windows;
            None: all are the estimator's `unroll_length`.
        ending: what ends the episode before its last window, or None.

    Returns:
        `(state, EpisodeReport, carry)`; the estimator's carry where the episode
        ends.
    """
    if context is None:
        context = EpisodeContext(tf.constant(0), ())

    def body(
        i: Scalar, state: MetaState, carry: Carry, report: EpisodeReport
    ) -> tuple[Scalar, MetaState, Carry, EpisodeReport]:
        length = None if lengths is None else lengths[i]
        estimate, carry = estimator.estimate(
            cell, optimizee, state.meta_params, carry, length
        )
        state, finite = meta_update(
            meta_optimizer, state, estimate.meta_gradient, estimate.meta_loss
        )
        report = add_window(report, estimate, finite)
        if ending:
            fall = ending.observe(optimizee, carry, report.fall)
            report = report._replace(fall=fall)
        return i + 1, state, carry, report

    def goes_on(
        i: Scalar, state: MetaState, carry: Carry, report: EpisodeReport
    ) -> Scalar:
        del state, carry
        more = i < num_windows
        return more & ending.goes_on(report.fall) if ending else more

    carry = estimator.start(cell, optimizee, seed, context, state.meta_params)
    report = no_windows(estimator, state)
    if ending:
        report = report._replace(fall=ending.begin(optimizee, carry))
    windows, state, carry, report = tf.while_loop(
        goes_on, body, (tf.constant(0), state, carry, report)
    )
    return state, average_windows(report, windows), carry
