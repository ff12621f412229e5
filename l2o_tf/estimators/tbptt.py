"""Truncated backpropagation through time: exact within a window, cut between.

Two ways to the same number. The adjoint differentiates the cell alone (see
unroll/adjoint.py; first order only; memory of a window: U (state + gradient));
the tape differentiates everything that was computed, the optimizee's gradients
too if asked (memory: all activations of U steps, or of one segment of them).
"""

from __future__ import annotations

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
from l2o_tf.estimators.measured import OBJECTIVES, Measured
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.unroll.adjoint import (
    Recorded,
    cell_adjoint,
    initial_state_gradient,
    with_initial_gradient,
)
from l2o_tf.unroll.carry import (
    Carry,
    batch_seed,
    first_carry,
    objective_seed,
)
from l2o_tf.unroll.engine import Step, unroll
from l2o_tf.unroll.meta_losses import MetaLoss, SumOfLosses
from l2o_tf.unroll.recompute import Recomputed, Segments


@gin.register(module="l2o_tf.estimators")
class TruncatedBackpropagation(MetaGradientEstimator):
    """Differentiate the meta-loss of one window of U inner steps.

        L = meta_loss(f(x_0), ..., f(x_U)),   each f on its own minibatch
        meta_gradient = dL/d phi, with x_0 and s_0 of the window constant

    The state at the window's end is carried on, its derivative is not. The
    state at an episode's start is differentiated where it is made of weights
    (a learned initial state), by the episode's first window.

    Args:
        unroll_length: int, U, inner steps of a window, or of the longest where
            the schedule draws them. Defaults to 20.
        meta_loss: a `MetaLoss`. Defaults to `SumOfLosses()`.
        second_derivatives: bool, whether the optimizee's gradients are
            differentiated too. Defaults to False (spec dm_rnnprop.md 4.1).
        backward: "adjoint" or "tape"; equal to rounding. Second derivatives
            need the tape. Defaults to "adjoint", or "tape" with them. Under
            XLA, the default runtime, the adjoint takes 0.76 of the tape's time
            and half its memory; in the graph runtime the tape is the faster,
            0.77 of the adjoint's time (L2O-DM on MLP-orig, 2 cores).
        objective: where f is measured. "minibatch": where its gradient was
            taken. "window": on what `Optimizee.sample_objective` draws, once
            per window, at the cost of a second gradient per step (spec
            l2o_scale.md 1.2). "step": likewise, drawn afresh for every step
            (spec metz.md 2). Defaults to "minibatch".
        keep_memory: bool, whether an episode begins with the memory of the last
            run in `EpisodeContext`, a constant, in place of the first state.
            Defaults to False.
        segment_length: int, inner steps that the tape keeps at once: the
            backward pass runs the window again, so many steps at a time (see
            unroll/recompute.py). For windows whose tape would not fit. Least
            memory where S^2 = U (params and state) / (what a step's tape
            keeps): few steps where a step is a convolutional network's.
            Defaults to None, the whole window.

    Raises:
        ValueError: if an argument is out of range, the meta-loss asks for
            another window, or the adjoint is asked for second derivatives or
            for segments.

    References:
        Andrychowicz et al. 2016, section 2.1; Chen et al. 2020, section 3.
    """

    def __init__(
        self,
        unroll_length: int = 20,
        meta_loss: MetaLoss | None = None,
        second_derivatives: bool = False,
        backward: str | None = None,
        objective: str = "minibatch",
        keep_memory: bool = False,
        segment_length: int | None = None,
    ) -> None:
        self.unroll_length = checks.positive_int("unroll_length", unroll_length)
        self.meta_loss = SumOfLosses() if meta_loss is None else meta_loss
        # Refuses a misfit now.
        self.meta_loss(
            tf.zeros([unroll_length + 1]),
            initial=tf.constant(0.0),
            step=tf.constant(0),
        )
        self.second_derivatives = checks.boolean(
            "second_derivatives", second_derivatives
        )
        self.objective = checks.one_of("objective", objective, OBJECTIVES)
        self.keep_memory = checks.boolean("keep_memory", keep_memory)
        self.segment_length = segment_length
        if segment_length is not None:
            checks.positive_int("segment_length", segment_length)
        taped = second_derivatives or segment_length is not None
        default = "tape" if taped else "adjoint"
        self.backward = checks.one_of(
            "backward", backward or default, ("adjoint", "tape")
        )
        if second_derivatives and self.backward == "adjoint":
            raise ValueError(
                "The adjoint holds the optimizee's gradients constant, so it "
                "has no second derivatives. Received: second_derivatives=True, "
                "backward='adjoint'. Use backward='tape'."
            )
        if segment_length is not None and self.backward == "adjoint":
            raise ValueError(
                "The adjoint keeps inputs and states alone and has no "
                f"segments. Received: segment_length={segment_length}, "
                "backward='adjoint'. Use backward='tape'."
            )

    def start(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        context: EpisodeContext,
        meta_params: Vector | None = None,
    ) -> Carry:
        """Reset an episode; refuse a problem that misleads the estimate."""
        shown = optimizee.exact_gradients and not cell.looks_ahead
        if self.objective == "minibatch" and not shown:
            raise ValueError(
                "The gradients an optimizer is shown are not those of the loss "
                "(the problem adds noise to them, or the optimizer looks "
                "ahead), so the loss must be measured apart. Received: "
                "objective='minibatch'. Use objective='window' or 'step'."
            )
        carry = super().start(cell, optimizee, seed, context, meta_params)
        if self.keep_memory:
            old = context.memory
            check_memory(carry.states, old)
            carry = carry._replace(states=cell.keep_memory(carry.states, old))
        return carry

    def estimate(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None = None,
    ) -> tuple[Estimate, Carry]:
        """Run one window; see the class and `MetaGradientEstimator`."""
        # The window's start is data: nothing flows back across the boundary.
        carry = tf.nest.map_structure(tf.stop_gradient, carry)
        if self.backward == "adjoint":
            run = self._adjoint
        else:
            run = self._tape if self.segment_length is None else self._segments
        return run(cell, optimizee, meta_params, carry, length)

    def measure(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None = None,
    ) -> tuple[Estimate, Carry]:
        """Run one window without differentiating it.

        The losses, the minibatches and the carry are those of `estimate`.

        Returns:
            `(Estimate, carry)`, with `()` for the meta-gradient.
        """
        losses, last, end = self._losses(
            cell,
            optimizee,
            cell.meta_layout.split(meta_params),
            carry,
            length,
            self._measured(optimizee, carry),
        )
        meta_loss = self.meta_loss(
            _append(losses, last, length),
            self._initial_loss(optimizee, carry),
            length,
            carry.step,
        )
        return Estimate((), meta_loss, last), end

    def _losses(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        weights: tuple[tf.Tensor, ...],
        carry: Carry,
        length: Scalar | None,
        measured: Measured,
    ) -> tuple[tf.Tensor, Scalar, Carry]:
        """Return f before each step `[U]`, f at the end, and the end."""
        carry, losses = unroll(
            cell,
            optimizee,
            carry,
            self.unroll_length if length is None else length,
            meta_params=weights,
            second_derivatives=self.second_derivatives,
            collect=measured.loss,
            capacity=self.unroll_length,
        )
        seen = tf.identity if self.meta_loss.needs_last else tf.stop_gradient
        end = carry._replace(params=seen(carry.params))
        return losses, optimizee.loss(*measured.end(end)), carry

    def _measured(self, optimizee: Optimizee, carry: Carry) -> Measured:
        return Measured.of(self.objective, optimizee, carry)

    def _initial_loss(
        self, optimizee: Optimizee, carry: Carry
    ) -> Scalar | None:
        """Compute f(x_0) of the episode, as its first window measured it."""
        if not self.meta_loss.needs_initial:
            return None
        first = first_carry(optimizee, carry)
        if self.objective == "minibatch":
            batch = optimizee.sample(batch_seed(first))
        else:
            batch = optimizee.sample_objective(objective_seed(first))
        return optimizee.loss(first.params, first.constants, batch)

    def _closed(
        self,
        optimizee: Optimizee,
        measured: Measured,
        losses: tf.Tensor,
        end: Carry,
        length: Scalar | None,
    ) -> tuple[Estimate, tf.Tensor, Vector]:
        """Measure the end of a window, and take the meta-loss.

        Where the meta-loss does not look at f(x_U), it must not spoil the
        meta-gradient either: 0 times infinity is not a number.

        Args:
            optimizee: the problem.
            measured: where losses are measured.
            losses: float `[U]`, f before each step.
            end: the carry behind the window.
            length: int32 scalar, or None for U.

        Returns:
            `(estimate, w, slope)`: an `Estimate` without gradient, the weights
            of the losses `[U + 1]`, and dL/dx_length by way of the last loss.
        """
        point, start = measured.end(end), measured.start
        slope = tf.zeros_like(end.params)
        if self.meta_loss.needs_last:
            last, slope = optimizee.value_and_gradient(*point)
        else:
            last = optimizee.loss(*point)
        meta_loss, w = self.meta_loss.value_and_weights(
            _append(losses, last, length),
            self._initial_loss(optimizee, start),
            length,
            start.step,
        )
        if self.meta_loss.needs_last:
            slope *= w[self.unroll_length if length is None else length]
        return Estimate((), meta_loss, last), w, slope

    def _adjoint(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None,
    ) -> tuple[Estimate, Carry]:
        weights = cell.meta_layout.split(meta_params)
        measured = self._measured(optimizee, carry)

        def collect(step: Step) -> Nest:
            return *measured.loss_and_slope(step), step.inputs, step.states

        start, steps = carry, self.unroll_length if length is None else length
        carry, (losses, gradients, inputs, states) = unroll(
            cell,
            optimizee,
            carry,
            steps,
            meta_params=weights,
            collect=collect,
            capacity=self.unroll_length,
        )
        estimate, w, later = self._closed(
            optimizee, measured, losses, carry, length
        )

        def cotangent(
            t: Scalar, inputs: OptimizerInputs, update: Vector, later: Vector
        ) -> tuple[Vector, Vector]:
            del update
            apart = self.objective != "minibatch"
            g = gradients[t] if apart else inputs.gradient
            # (1) of unroll/adjoint.py: `later` is the sum over s > t.
            return later, later + w[t] * g

        gradient, d_states = cell_adjoint(
            cell,
            weights,
            Recorded(inputs, states, steps),
            cotangent,
            later,
        )
        gradient = self._with_start(
            cell, optimizee, weights, start, gradient, d_states
        )
        return estimate._replace(meta_gradient=gradient), carry

    def _with_start(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        weights: tuple[tf.Tensor, ...],
        start: Carry,
        gradient: tuple[tf.Tensor, ...],
        d_states: list[tf.Tensor],
    ) -> Vector:
        """Add what comes by way of the first state; return it flat."""
        if not self.keep_memory:
            initial = initial_state_gradient(
                cell, optimizee, weights, start, d_states
            )
            gradient = tf.nest.map_structure(tf.add, gradient, initial)
        return cell.meta_layout.flatten(gradient)

    def _tape(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None,
    ) -> tuple[Estimate, Carry]:
        initial_loss = self._initial_loss(optimizee, carry)
        measured, begin = self._measured(optimizee, carry), carry.step
        with tf.GradientTape() as tape:
            tape.watch(meta_params)
            weights = cell.meta_layout.split(meta_params)
            if not self.keep_memory:
                carry = with_initial_gradient(cell, optimizee, weights, carry)
            losses, last, carry = self._losses(
                cell, optimizee, weights, carry, length, measured
            )
            meta_loss = self.meta_loss(
                _append(losses, last, length), initial_loss, length, begin
            )
        gradient = tape.gradient(
            meta_loss,
            meta_params,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        carry = tf.nest.map_structure(tf.stop_gradient, carry)
        return Estimate(gradient, meta_loss, last), carry

    def _segments(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None,
    ) -> tuple[Estimate, Carry]:
        weights = cell.meta_layout.split(meta_params)
        measured, start = self._measured(optimizee, carry), carry
        steps = self.segment_length or self.unroll_length
        segments = Segments.of(steps, length, self.unroll_length)
        window = Recomputed(
            cell,
            optimizee,
            weights,
            measured.loss,
            segments,
            self.second_derivatives,
        )
        carry, losses, starts = window.forward(carry)
        estimate, w, d_params = self._closed(
            optimizee, measured, losses[: self.unroll_length], carry, length
        )
        before_end = tf.range(self.unroll_length) < segments.length
        slopes = tf.where(before_end, w[:-1], tf.zeros_like(w[:-1]))
        beyond = losses.shape[0] - self.unroll_length
        gradient, d_states = window.backward(
            start, starts, tf.pad(slopes, [[0, beyond]]), d_params
        )
        gradient = self._with_start(
            cell, optimizee, weights, start, gradient, d_states
        )
        return estimate._replace(meta_gradient=gradient), carry


def _append(
    losses: tf.Tensor, last: Scalar, length: Scalar | None
) -> tf.Tensor:
    """Put f(x_length) behind the window's losses `[U]`, giving `[U + 1]`."""
    if length is None:
        return tf.concat([losses, last[tf.newaxis]], axis=0)
    padded = tf.concat([losses, tf.zeros_like(last)[tf.newaxis]], axis=0)
    return tf.where(tf.range(padded.shape[0]) == length, last, padded)
