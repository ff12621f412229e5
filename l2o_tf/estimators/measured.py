"""Where the losses are measured that a meta-loss is made of."""

from __future__ import annotations

from typing import NamedTuple

from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.unroll.carry import Carry, boundary_seed, objective_seed
from l2o_tf.unroll.engine import Step

OBJECTIVES = ("minibatch", "window", "step")
"""On the minibatches shown; apart, once a window; apart, for every step."""


class Measured(NamedTuple):
    """Where the losses of a window are measured.

    Attributes:
        objective: one of `OBJECTIVES`.
        optimizee: the problem.
        start: the carry before the window.
        apart: what the whole window is measured on, or None.
    """

    objective: str
    optimizee: Optimizee
    start: Carry
    apart: Nest | None

    @classmethod
    def of(cls, objective: str, optimizee: Optimizee, start: Carry) -> Measured:
        """Draw what the whole window is measured on, if anything is."""
        apart: Nest | None = None
        if objective == "window":
            apart = optimizee.sample_objective(objective_seed(start))
        return cls(objective, optimizee, start, apart)

    def _batch(self, step: Scalar) -> Nest:
        """Return what f is measured on after `step` updates, if apart."""
        if self.apart is not None:
            return self.apart
        seed = objective_seed(self.start, step)
        return self.optimizee.sample_objective(seed)

    def _point(self, step: Step) -> tuple[Vector, Nest, Nest]:
        return step.params, step.constants, self._batch(step.inputs.step - 1)

    def loss(self, step: Step) -> Scalar:
        """Return f before a step."""
        if self.objective == "minibatch":
            return step.loss
        return self.optimizee.loss(*self._point(step))

    def loss_and_slope(self, step: Step) -> tuple[Scalar, Nest]:
        """Return f before a step and df/dx, `()` for what the cell saw."""
        if self.objective == "minibatch":
            return step.loss, ()
        return self.optimizee.value_and_gradient(*self._point(step))

    def end(self, carry: Carry) -> tuple[Vector, Nest, Nest]:
        """Return where f at the window's end is measured."""
        if self.objective == "minibatch":
            batch = self.optimizee.sample(boundary_seed(carry))
        else:
            batch = self._batch(carry.step)
        return carry.params, carry.constants, batch
