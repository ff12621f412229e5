"""Figure 2d of Metz et al. 2019: where nearly equal learning rates lead."""

from __future__ import annotations

import math
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Scalar, Vector
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.studies.base import (
    Progress,
    Study,
    described_optimizee,
    map_points,
)
from l2o_tf.unroll.carry import Carry, start_episode
from l2o_tf.unroll.engine import Step, unroll

_EPISODE, _PROJECTION = range(2)


@gin.register(module="l2o_tf.studies")
class LearningRateStudy(Study):
    """Run Adam with many close learning rates; all else is the same.

    Start and minibatches are those of one seed. Of every x_t two random
    numbers are kept, y_t = P x_t, with P `[2, N]` from Normal(0, 1 / N).

    Args:
        optimizee: the problem; in the paper an MLP with two layers and ReLU.
        lowest: positive float, the first learning rate. Defaults to 0.1469.
        highest: float above it, the last one. Defaults to 0.1484.
        num_rates: int >= 2, learning rates, even in their logarithm. Defaults
            to 100.
        steps: int, updates. Defaults to 40.
        seed: int, of the start, the minibatches and P.
        jit_compile: bool, XLA or the graph runtime.
        name: str, of the file.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Metz et al. 2019, Figure 2d; spec metz.md 10.
    """

    kind = "learning_rate"

    def __init__(
        self,
        optimizee: Optimizee,
        lowest: float = 0.1469,
        highest: float = 0.1484,
        num_rates: int = 100,
        steps: int = 40,
        seed: int = 0,
        jit_compile: bool = True,
        name: str = "learning_rate",
    ) -> None:
        super().__init__(name)
        self.optimizee = checks.instance("optimizee", optimizee, Optimizee)
        self.lowest = checks.real("lowest", lowest, 0.0, low_open=True)
        self.highest = checks.real(
            "highest", highest, self.lowest, low_open=True
        )
        self.num_rates = checks.positive_int("num_rates", num_rates)
        if num_rates < 2:
            raise ValueError(
                "Neighbours are compared, so there must be at least 2 learning "
                f"rates. Received: num_rates={num_rates}."
            )
        self.steps = checks.positive_int("steps", steps)
        self.seed = checks.integer("seed", seed)
        self._root = seeds.make_seed(seed)
        self._cell = TrainableAdam()
        self.jit_compile = checks.boolean("jit_compile", jit_compile)
        self.notice = optimizee.notice

    def config(self) -> dict[str, Any]:
        """Return the arguments that the numbers depend on."""
        return {
            "optimizee": described_optimizee(self.optimizee),
            "lowest": self.lowest,
            "highest": self.highest,
            "num_rates": self.num_rates,
            "steps": self.steps,
            "seed": self.seed,
        }

    def _start(self) -> Carry:
        seed = seeds.fold_in(self._root, _EPISODE)
        return start_episode(self._cell, self.optimizee, seed)

    def _run_all(
        self, log_rates: Vector
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        cell, carry = self._cell, self._start()
        size = self.optimizee.layout.size
        plane = seeds.normal(
            seeds.fold_in(self._root, _PROJECTION),
            [2, size],
            1.0 / math.sqrt(size),
        )
        others = cell.meta_layout.split(cell.meta_params())[1:]

        def shadow(params: Vector) -> Vector:
            return tf.linalg.matvec(plane, params)

        def collect(step: Step) -> tuple[Scalar, Vector]:
            return step.loss, shadow(step.next_params)

        def one(log_rate: Scalar) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            end, (losses, shadows) = unroll(
                cell,
                self.optimizee,
                carry,
                self.steps,
                meta_params=(log_rate, *others),
                collect=collect,
            )
            first = shadow(carry.params)[tf.newaxis]
            return losses, tf.concat([first, shadows], 0), end.params

        return map_points(one, log_rates, (tf.float32,) * 3)

    def run(self, progress: Progress) -> dict[str, np.ndarray] | None:
        """Compute.

        Returns:
            learning_rates `[P]`, losses `[P, T]` (of x_0 .. x_{T-1}, each on
            its step's minibatch), projections `[P, T + 1, 2]`, separations
            `[P - 1]` (the distance between the ends of neighbours), travelled
            `[P]` (between each end and the start); None if stopped.
        """
        logs = np.linspace(
            math.log(self.lowest), math.log(self.highest), self.num_rates
        )
        losses, shadows, ends = compiled(self._run_all, self.jit_compile)(
            tf.constant(logs, tf.float32)
        )
        if not progress():
            return None
        start = self._start().params
        norm = np.linalg.norm
        return {
            "learning_rates": np.exp(logs),
            "losses": losses.numpy(),
            "projections": shadows.numpy(),
            "separations": norm(np.diff(ends.numpy(), axis=0), axis=1),
            "travelled": norm(ends.numpy() - start.numpy(), axis=1),
        }
