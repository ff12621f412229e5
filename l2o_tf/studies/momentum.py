"""Figure 2a-c of Metz et al. 2019: the loss as a function of the momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Vector
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.studies.base import Progress, Study, checked_lengths
from l2o_tf.studies.two_minima import TwoMinima
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll


class _MomentumEach(Momentum):
    """`Momentum` with a momentum of its own for each coordinate."""

    def __init__(self, learning_rate: float, momenta: Vector) -> None:
        super().__init__(learning_rate, dtype=momenta.dtype.name)
        self.momentum = momenta


@gin.register(module="l2o_tf.studies")
class MomentumStudy(Study):
    """Run gradient descent with many momenta on the line with two minima.

        a_t = mu a_{t-1} + l'(w_{t-1}),    w_t = w_{t-1} - eta a_t

    which is v_t = mu v_{t-1} - eta l'(w_{t-1}), w_t = w_{t-1} + v_t. A low mu
    ends at 0, a higher one at the lower minimum, and a still higher one, whose
    oscillation outlives the barrier, in either: the more steps, the closer to a
    discontinuous function of mu. In float64, so that what is shown is not
    rounding.

    Args:
        learning_rate: positive float, eta; the paper's is not known. Defaults
            to 0.01, which shows all three regimes (spec metz.md 10).
        start: float, w_0. Defaults to -1.2.
        num_momenta: int, momenta i / num_momenta for i = 0 .. num_momenta - 1.
            Defaults to 1000.
        lengths: ints in rising order, steps after which the loss is shown.
        shown: floats in [0, 1), momenta whose trajectories are kept.
        jit_compile: bool, XLA or the graph runtime.
        name: str, of the file.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Metz et al. 2019, Figure 2a-c; spec metz.md 10.
    """

    kind = "momentum"

    def __init__(
        self,
        learning_rate: float = 0.01,
        start: float = -1.2,
        num_momenta: int = 1000,
        lengths: Sequence[int] = (10, 50, 100, 1000),
        shown: Sequence[float] = (0.5, 0.9, 0.97),
        jit_compile: bool = True,
        name: str = "momentum",
    ) -> None:
        super().__init__(name)
        self.learning_rate = checks.real(
            "learning_rate", learning_rate, 0.0, low_open=True
        )
        self.start = checks.real("start", start)
        self.num_momenta = checks.positive_int("num_momenta", num_momenta)
        self.lengths = checked_lengths("lengths", lengths)
        self.shown = tuple(
            checks.real("shown", m, 0.0, 1.0, high_open=True) for m in shown
        )
        self.jit_compile = checks.boolean("jit_compile", jit_compile)

    def config(self) -> dict[str, Any]:
        """Return the arguments that the numbers depend on."""
        return {
            "learning_rate": self.learning_rate,
            "start": self.start,
            "num_momenta": self.num_momenta,
            "lengths": list(self.lengths),
            "shown": list(self.shown),
        }

    def _trajectories(self, momenta: Vector) -> tf.Tensor:
        """Return w_1 .. w_T of every momentum, `[T, K]`."""
        cell = _MomentumEach(self.learning_rate, momenta)
        line = TwoMinima(momenta.shape[0], self.start, "float64")
        _, trajectory = unroll(
            cell,
            line,
            start_episode(cell, line, seeds.make_seed(0)),
            self.lengths[-1],
            collect=lambda step: step.next_params,
        )
        return trajectory

    def run(self, progress: Progress) -> dict[str, np.ndarray] | None:
        """Compute.

        Returns:
            momenta `[K]`, lengths `[L]`, ends `[L, K]` (w after each length),
            losses `[L, K]` there, shown `[S]`, trajectories `[S, T + 1]`; None
            if stopped.
        """
        momenta = np.arange(self.num_momenta) / self.num_momenta
        both = tf.constant(np.concatenate([momenta, self.shown]), tf.float64)
        steps = compiled(self._trajectories, self.jit_compile)(both)
        if not progress():
            return None
        path = np.full((1, both.shape[0]), self.start)
        path = np.concatenate([path, steps.numpy()])
        ends = path[list(self.lengths), : self.num_momenta]
        line = TwoMinima(self.num_momenta, dtype="float64")
        return {
            "momenta": momenta,
            "lengths": np.array(self.lengths),
            "ends": ends,
            "losses": line.each(tf.constant(ends)).numpy(),
            "shown": np.array(self.shown),
            "trajectories": path[:, self.num_momenta :].T,
        }
