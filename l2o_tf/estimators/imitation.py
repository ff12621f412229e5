"""Imitation: the gradient of how far a learned optimizer is from a teacher.

The trajectory is the teacher's. The learned optimizer is shown the gradients
that the teacher met and judged by what it would have done there; as it never
moves the params, only the cell is differentiated.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.estimators.base import (
    EpisodeContext,
    Estimate,
    MetaGradientEstimator,
    check_memory,
    refuse_looking_ahead,
    split_weights,
)
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.unroll.adjoint import (
    Recorded,
    cell_adjoint,
    initial_state_gradient,
)
from l2o_tf.unroll.carry import Carry, initial_states, start_episode
from l2o_tf.unroll.engine import Step, last_loss, unroll
from l2o_tf.unroll.replay import replay

REDUCTIONS = ("sum", "mean")


class ImitationStates(NamedTuple):
    """The states of an imitation episode's carry.

    Attributes:
        teacher: the teacher's state.
        learner: the learned optimizer's state.
    """

    teacher: Nest
    learner: Nest


def _of_length(length: int, stack: tf.Tensor) -> tf.Tensor:
    """Return a record whose shape says its length.

    A slice, cut in a loop, does not know it; `tf.ensure_shape` would do, but
    under XLA it takes the slice for as long as what it was cut from.
    """
    stack = tf.identity(stack)
    stack.set_shape([length, *stack.shape[1:]])
    return stack


def imitation_window(
    cell: OptimizerCell,
    meta_params: tuple[tf.Tensor, ...],
    inputs: OptimizerInputs,
    labels: tf.Tensor,
    states: Nest,
    length: int,
    reduction: str = "sum",
) -> tuple[Scalar, tuple[tf.Tensor, ...], list[tf.Tensor], Nest]:
    """Compute the imitation loss of one window, its gradient, and the state.

        L = sum_{t < U} 1/2 sum_p (label_{t,p} - u_{t,p})^2 / N

    divided by U if the reduction is "mean", with u_t what the cell answers to
    inputs_t, from states s_0; dL/d phi is exact within the window and cut at
    its start.

    Args:
        cell: the learned optimizer.
        meta_params: its weights.
        inputs: recorded `OptimizerInputs`, leading axis `[U]`.
        labels: float `[U, N]`, the updates to imitate.
        states: s_0.
        length: int, U.
        reduction: "sum" or "mean", over the steps.

    Returns:
        `(L, dL/d meta_params, dL/d s_0, s_U)`; the third as `cell_adjoint`
        returns it.

    References:
        Chen et al. 2020, section 4.2; factors of the released programs: the
        sum of L2O-DM's, spec dm_rnnprop.md 6.3, the mean of L2O-Scale's, spec
        l2o_scale.md 5.2.
    """
    inputs, labels = tf.nest.map_structure(
        lambda stack: _of_length(length, stack), (inputs, labels)
    )
    updates, before, last = replay(cell, meta_params, inputs, states, length)
    error = updates - labels
    count = tf.cast(tf.shape(error)[1], error.dtype)
    if reduction == "mean":
        count *= length

    def cotangent(
        t: Scalar, inputs: OptimizerInputs, update: Vector, nothing: tuple[()]
    ) -> tuple[Vector, tuple[()]]:
        del inputs, update
        return error[t] / count, nothing

    gradient, d_states = cell_adjoint(
        cell, meta_params, Recorded(inputs, before, length), cotangent, ()
    )
    loss = 0.5 * tf.reduce_sum(error**2) / count
    return loss, gradient, d_states, last


class ImitationGradient(MetaGradientEstimator):
    """Differentiate the imitation loss along a teacher's trajectory.

    A window is U records. For each, the teacher makes `teacher_steps` updates,
    every one on its own minibatch; the record is the first gradient with the
    sum of the updates as its label. Neither is normalised.

    Args:
        teacher: the `OptimizerCell` to imitate; its weights, if any, are its
            own.
        unroll_length: int, U, records of a window.
        teacher_steps: int, k, the teacher's updates per record. Defaults to 1.
        keep_memory: bool, whether the learned optimizer begins with the memory
            of the last run in `EpisodeContext` (the released program's leak)
            or with a fresh state. Defaults to False.
        reduction: "sum" or "mean", of the loss over the steps of a window.

    Raises:
        ValueError: if a number is not a positive int.

    References:
        Chen et al. 2020, Algorithm 2; spec dm_rnnprop.md 6.
    """

    def __init__(
        self,
        teacher: OptimizerCell,
        unroll_length: int,
        teacher_steps: int = 1,
        keep_memory: bool = False,
        reduction: str = "sum",
    ) -> None:
        self.teacher = teacher
        self.unroll_length = checks.positive_int("unroll_length", unroll_length)
        self.teacher_steps = checks.positive_int("teacher_steps", teacher_steps)
        self.keep_memory = keep_memory
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)

    def start(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        context: EpisodeContext,
        meta_params: Vector | None = None,
    ) -> Carry:
        """Begin the teacher's episode; the learner's state is fresh or kept.

        Raises:
            ValueError: if the learner looks ahead: the gradients are the
                teacher's, or if it is to keep a memory it was not given.
        """
        refuse_looking_ahead(cell, "Imitation")
        carry = start_episode(self.teacher, optimizee, seed)
        learner = initial_states(
            cell, optimizee, seed, split_weights(cell, meta_params)
        )
        if self.keep_memory:
            check_memory(learner, context.memory)
            learner = cell.keep_memory(learner, context.memory)
        return carry._replace(states=ImitationStates(carry.states, learner))

    def memory(self, carry: Carry) -> Nest:
        """Return the learned optimizer's state."""
        return carry.states.learner

    def estimate(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
        length: Scalar | None = None,
    ) -> tuple[Estimate, Carry]:
        """Run one window; see the class and `MetaGradientEstimator`.

        Raises:
            ValueError: if a `length` is given: windows have `unroll_length`.
        """
        if length is not None:
            raise ValueError(
                "Imitation has windows of one length. "
                f"Received: length={length}."
            )
        return self._window(cell, optimizee, meta_params, carry)

    def _window(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
    ) -> tuple[Estimate, Carry]:
        k, length = self.teacher_steps, self.unroll_length
        first, learner = carry.step // k, carry.states.learner

        def collect(step: Step) -> tuple[OptimizerInputs, Vector]:
            params = step.params if cell.reads_params else ()
            return step.inputs._replace(params=params), step.update

        teacher, (inputs, updates) = unroll(
            self.teacher,
            optimizee,
            carry._replace(states=carry.states.teacher),
            length * k,
            collect=collect,
        )
        inputs = tf.nest.map_structure(lambda stack: stack[::k], inputs)
        inputs = inputs._replace(step=first + tf.range(1, length + 1))
        labels = tf.reshape(updates, [length, k, -1])  # [U, k, N]
        weights = cell.meta_layout.split(meta_params)
        loss, gradient, d_states, learner = imitation_window(
            cell,
            weights,
            inputs,
            tf.reduce_sum(labels, axis=1),
            learner,
            length,
            self.reduction,
        )
        if not self.keep_memory:
            initial = initial_state_gradient(
                cell, optimizee, weights, carry, d_states
            )
            gradient = tf.nest.map_structure(tf.add, gradient, initial)
        estimate = Estimate(
            meta_gradient=cell.meta_layout.flatten(gradient),
            meta_loss=loss,
            last_loss=last_loss(optimizee, teacher),
        )
        return estimate, teacher._replace(
            states=ImitationStates(teacher.states, learner)
        )
