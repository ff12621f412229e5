"""Truncated backpropagation through time: exact within a window, cut between.

Two ways to the same number. The adjoint differentiates the cell alone (see
unroll/adjoint.py; first order only; memory of a window: U (state + gradient));
the tape differentiates everything that was computed, the optimizee's gradients
too if asked (memory: all activations of U steps).
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
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.unroll.adjoint import (
    cell_adjoint,
    initial_state_gradient,
    with_initial_gradient,
)
from l2o_tf.unroll.carry import (
    Carry,
    batch_seed,
    boundary_seed,
    first_carry,
    objective_seed,
)
from l2o_tf.unroll.engine import Step, unroll
from l2o_tf.unroll.meta_losses import MetaLoss, SumOfLosses


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
            l2o_scale.md 1.2). Defaults to "minibatch".
        keep_memory: bool, whether an episode begins with the memory of the last
            run in `EpisodeContext`, a constant, in place of the first state.
            Defaults to False.

    Raises:
        ValueError: if an argument is out of range, the meta-loss asks for
            another window, or the adjoint is asked for second derivatives.

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
        self.objective = checks.one_of(
            "objective", objective, ("minibatch", "window")
        )
        self.keep_memory = checks.boolean("keep_memory", keep_memory)
        default = "tape" if second_derivatives else "adjoint"
        self.backward = checks.one_of(
            "backward", backward or default, ("adjoint", "tape")
        )
        if second_derivatives and self.backward == "adjoint":
            raise ValueError(
                "The adjoint holds the optimizee's gradients constant, so it "
                "has no second derivatives. Received: second_derivatives=True, "
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
                "objective='minibatch'. Use objective='window'."
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
        run = self._adjoint if self.backward == "adjoint" else self._tape
        return run(cell, optimizee, meta_params, carry, length)

    def _apart(self, optimizee: Optimizee, carry: Carry) -> Nest | None:
        """Draw what a window is measured on, None for its minibatches."""
        if self.objective == "minibatch":
            return None
        return optimizee.sample_objective(objective_seed(carry))

    def _initial_loss(
        self, optimizee: Optimizee, carry: Carry
    ) -> Scalar | None:
        """Compute f(x_0) of the episode, as its first window measured it."""
        if not self.meta_loss.needs_initial:
            return None
        first = first_carry(optimizee, carry)
        batch = self._apart(optimizee, first)
        if batch is None:
            batch = optimizee.sample(batch_seed(first))
        return optimizee.loss(first.params, first.constants, batch)

    def _last(
        self, optimizee: Optimizee, carry: Carry, apart: Nest | None
    ) -> tuple[Scalar, Vector | None]:
        """Compute f at the window's end, and its gradient if it is needed.

        Where the meta-loss does not look at it, it must not spoil the
        meta-gradient either: 0 times infinity is not a number.
        """
        point = carry.params, carry.constants, _end(optimizee, carry, apart)
        if self.meta_loss.needs_last:
            return optimizee.value_and_gradient(*point)
        return optimizee.loss(*point), None

    def _adjoint(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None,
    ) -> tuple[Estimate, Carry]:
        weights = cell.meta_layout.split(meta_params)
        apart = self._apart(optimizee, carry)

        def collect(step: Step) -> Nest:
            seen = step.loss, ()
            if apart is not None:
                seen = optimizee.value_and_gradient(
                    step.params, step.constants, apart
                )
            return *seen, step.inputs, step.states

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
        last, last_slope = self._last(optimizee, carry, apart)
        meta_loss, w = self.meta_loss.value_and_weights(
            _append(losses, last, length),
            self._initial_loss(optimizee, start),
            length,
            start.step,
        )

        def cotangent(
            t: Scalar, inputs: OptimizerInputs, update: Vector, later: Vector
        ) -> tuple[Vector, Vector]:
            del update
            g = inputs.gradient if apart is None else gradients[t]
            # (1) of unroll/adjoint.py: `later` is the sum over s > t.
            return later, later + w[t] * g

        later = tf.zeros_like(carry.params)
        if last_slope is not None:
            later = w[steps] * last_slope
        gradient, d_states = cell_adjoint(
            cell,
            weights,
            inputs,
            states,
            steps,
            cotangent,
            later,
        )
        if not self.keep_memory:
            initial = initial_state_gradient(
                cell, optimizee, weights, start, d_states
            )
            gradient = tf.nest.map_structure(tf.add, gradient, initial)
        flat = cell.meta_layout.flatten(gradient)
        return Estimate(flat, meta_loss, last), carry

    def _tape(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None,
    ) -> tuple[Estimate, Carry]:
        initial_loss = self._initial_loss(optimizee, carry)
        apart, begin = self._apart(optimizee, carry), carry.step

        def loss(step: Step) -> Scalar:
            if apart is None:
                return step.loss
            return optimizee.loss(step.params, step.constants, apart)

        with tf.GradientTape() as tape:
            tape.watch(meta_params)
            weights = cell.meta_layout.split(meta_params)
            if not self.keep_memory:
                carry = with_initial_gradient(cell, optimizee, weights, carry)
            carry, losses = unroll(
                cell,
                optimizee,
                carry,
                self.unroll_length if length is None else length,
                meta_params=weights,
                second_derivatives=self.second_derivatives,
                collect=loss,
                capacity=self.unroll_length,
            )
            seen = (
                tf.identity if self.meta_loss.needs_last else tf.stop_gradient
            )
            last = optimizee.loss(
                seen(carry.params),
                carry.constants,
                _end(optimizee, carry, apart),
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


def _end(optimizee: Optimizee, carry: Carry, apart: Nest | None) -> Nest:
    """Return what f at a window's end is measured on."""
    if apart is None:
        return optimizee.sample(boundary_seed(carry))
    return apart


def _append(
    losses: tf.Tensor, last: Scalar, length: Scalar | None
) -> tf.Tensor:
    """Put f(x_length) behind the window's losses `[U]`, giving `[U + 1]`."""
    if length is None:
        return tf.concat([losses, last[tf.newaxis]], axis=0)
    padded = tf.concat([losses, tf.zeros_like(last)[tf.newaxis]], axis=0)
    return tf.where(tf.range(padded.shape[0]) == length, last, padded)
