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
from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.estimators.base import Estimate, MetaGradientEstimator
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.unroll.adjoint import cell_adjoint
from l2o_tf.unroll.carry import Carry, boundary_seed
from l2o_tf.unroll.engine import Step, last_loss, unroll
from l2o_tf.unroll.meta_losses import MetaLoss, SumOfLosses


@gin.register(module="l2o_tf.estimators")
class TruncatedBackpropagation(MetaGradientEstimator):
    """Differentiate the meta-loss of one window of U inner steps.

        L = meta_loss(f(x_0), ..., f(x_U)),   each f on its own minibatch
        meta_gradient = dL/d phi, with x_0 and s_0 of the window constant

    The state at the window's end is carried on, its derivative is not.

    Args:
        unroll_length: int, U. Defaults to 20 inner steps.
        meta_loss: a `MetaLoss`. Defaults to `SumOfLosses()`.
        second_derivatives: bool, whether the optimizee's gradients are
            differentiated too. Defaults to False (spec dm_rnnprop.md 4.1).
        backward: "adjoint" or "tape"; equal to rounding. Second derivatives
            need the tape. Defaults to "adjoint", or "tape" with them. Under
            XLA, the default runtime, the adjoint takes 0.76 of the tape's time
            and half its memory; in the graph runtime the tape is the faster,
            0.77 of the adjoint's time (L2O-DM on MLP-orig, 2 cores).

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
    ) -> None:
        self.unroll_length = checks.positive_int("unroll_length", unroll_length)
        self.meta_loss = SumOfLosses() if meta_loss is None else meta_loss
        self.meta_loss(tf.zeros([unroll_length + 1]))  # refuses a misfit now
        self.second_derivatives = checks.boolean(
            "second_derivatives", second_derivatives
        )
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

    def estimate(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
    ) -> tuple[Estimate, Carry]:
        """Run one window; see the class and `MetaGradientEstimator`."""
        # The window's start is data: nothing flows back across the boundary.
        carry = tf.nest.map_structure(tf.stop_gradient, carry)
        run = self._adjoint if self.backward == "adjoint" else self._tape
        return run(cell, optimizee, meta_params, carry)

    def _adjoint(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
    ) -> tuple[Estimate, Carry]:
        weights = cell.meta_layout.split(meta_params)

        def collect(step: Step) -> Nest:
            return step.loss, step.inputs, step.states

        carry, (losses, inputs, states) = unroll(
            cell,
            optimizee,
            carry,
            self.unroll_length,
            meta_params=weights,
            collect=collect,
        )
        last, last_gradient = optimizee.loss_and_gradient(
            carry.params,
            carry.constants,
            optimizee.sample(boundary_seed(carry)),
        )
        meta_loss, w = self.meta_loss.value_and_weights(
            tf.concat([losses, last[tf.newaxis]], axis=0)
        )

        def cotangent(
            t: Scalar, inputs: OptimizerInputs, update: Vector, later: Vector
        ) -> tuple[Vector, Vector]:
            del update
            # (1) of unroll/adjoint.py: `later` is the sum over s > t.
            return later, later + w[t] * inputs.gradient

        gradient = cell_adjoint(
            cell,
            weights,
            inputs,
            states,
            self.unroll_length,
            cotangent,
            w[self.unroll_length] * last_gradient,
        )
        flat = cell.meta_layout.flatten(gradient)
        return Estimate(flat, meta_loss, last), carry

    def _tape(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
    ) -> tuple[Estimate, Carry]:
        with tf.GradientTape() as tape:
            tape.watch(meta_params)
            carry, losses = unroll(
                cell,
                optimizee,
                carry,
                self.unroll_length,
                meta_params=cell.meta_layout.split(meta_params),
                second_derivatives=self.second_derivatives,
                collect=lambda step: step.loss,
            )
            last = last_loss(optimizee, carry)
            meta_loss = self.meta_loss(
                tf.concat([losses, last[tf.newaxis]], axis=0)
            )
        gradient = tape.gradient(meta_loss, meta_params)
        carry = tf.nest.map_structure(tf.stop_gradient, carry)
        return Estimate(gradient, meta_loss, last), carry
