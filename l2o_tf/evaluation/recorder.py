"""Loss curves of an optimizer on an optimizee, in a handful of graph calls."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Scalar, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.outer_objective import check_same_problem
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.devices import has_gpu
from l2o_tf.unroll.carry import Carry, start_episode
from l2o_tf.unroll.engine import Step, unroll

_EVALUATION = 1  # the stream of minibatches that only measure


def chosen_runtime(optimizee: Optimizee, jit_compile: bool | None) -> bool:
    """Return whether to use XLA: what is asked for, or what is faster.

    XLA, except for convolutions on a CPU: there a step of Conv-MNIST takes it
    17 times what the graph runtime needs, of Conv-CIFAR 5 times.
    """
    if jit_compile is not None:
        return jit_compile
    return has_gpu() or not optimizee.convolves


def _all_finite(params: Vector) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(params))


class CurveRecorder:
    """Run an optimizer from a reset and record the loss after every update.

    For t = 1 .. num_steps: the gradient of step t is taken on one minibatch at
    x_{t-1}, and the recorded loss is f(x_t) on ANOTHER fresh minibatch, of the
    same split or of that of `measured`. The loss of the start x_0 is not
    recorded. The weights are the cell's own and do not change; nothing is
    scaled.

    From the first x_t with an entry that is not finite on, every loss is NaN:
    adding updates cannot repair such an entry, and a ReLU would hide it. What
    remains of such a run is not computed.

    A call runs up to `chunk_length` steps, the same trace for every chunk and
    seed. Memory: one carry and `chunk_length` numbers.

    Args:
        cell: the optimizer, learned or hand-designed.
        optimizee: the problem; its split is the one that is optimised on.
        chunk_length: int, steps per call.
        jit_compile: bool, XLA or the graph runtime; None for what
            `chosen_runtime` says.
        measured: the problem on another split, whose minibatches and loss are
            recorded; with the constants of `optimizee`. None for `optimizee`.

    Raises:
        ValueError: if `chunk_length` is not a positive int, or `measured` has
            other tensors or other constants for the same seed.

    References:
        Chen et al. 2020, section 5; spec dm_rnnprop.md 7.2.
    """

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        chunk_length: int = 250,
        jit_compile: bool | None = None,
        measured: Optimizee | None = None,
    ) -> None:
        self.cell = cell
        self.optimizee = optimizee
        self.measured = optimizee if measured is None else measured
        if measured is not None:
            check_same_problem(optimizee, measured)
        self.jit_compile = chosen_runtime(optimizee, jit_compile)
        self.chunk_length = checks.positive_int("chunk_length", chunk_length)
        # Partial functions: TensorFlow counts the traces of all that share a
        # name and line as one function's, and warns.
        self._start = compiled(
            functools.partial(start_episode, cell, optimizee), self.jit_compile
        )
        self._run = compiled(functools.partial(self._chunk), self.jit_compile)

    def _loss_after(self, step: Step) -> Scalar:
        seed = seeds.fold_in(step.batch_seed, _EVALUATION)
        loss = self.measured.loss(
            step.next_params, step.constants, self.measured.sample(seed)
        )
        nan = tf.constant(np.nan, loss.dtype)
        return tf.where(_all_finite(step.next_params), loss, nan)

    def _chunk(
        self, carry: Carry, length: Scalar
    ) -> tuple[Carry, tf.Tensor, tf.Tensor]:
        carry, losses = unroll(
            self.cell,
            self.optimizee,
            carry,
            length,
            collect=self._loss_after,
            capacity=self.chunk_length,
        )
        return carry, losses, _all_finite(carry.params)

    def record(self, seed: int, num_steps: int) -> Iterator[np.ndarray]:
        """Yield the curve piece by piece, float32, `num_steps` numbers in all.

        Args:
            seed: int, of the start and of every minibatch. Two optimizers with
                the same seed get the same start and the same minibatches.
            num_steps: int, inner steps.

        Raises:
            ValueError: if an argument is out of range.
        """
        checks.positive_int("num_steps", num_steps)
        carry = self._start(seeds.make_seed(seed))
        alive = True
        for done in range(0, num_steps, self.chunk_length):
            length = min(self.chunk_length, num_steps - done)
            if not alive:
                yield np.full(length, np.nan, np.float32)
                continue
            carry, losses, finite = self._run(carry, tf.constant(length))
            alive = bool(finite)
            yield losses.numpy()[:length]
