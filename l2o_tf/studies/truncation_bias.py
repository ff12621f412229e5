"""Figure 3 of Metz et al. 2019: what short windows make of a learning rate."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Scalar, Seed
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.adam import Adam
from l2o_tf.studies.base import Progress, Study, described_optimizee
from l2o_tf.studies.forward_mode import (
    Learned,
    Ray,
    Record,
    first_learned,
    learn_episode,
)

UPDATES = ("episode", "window")


@gin.register(module="l2o_tf.studies")
class TruncationBiasStudy(Study):
    """Learn the learning rate of Adam with windows of one length.

        theta = log learning rate;  Adam's other numbers stay
        g = mean over inner steps of d (loss) / d theta, cut into windows
        theta <- theta + Adam(g)

    Whatever the window of tau steps, outer-training is the same episodes of T
    inner steps, with the same starts and minibatches. With tau = T the
    derivative is that of the episode's mean loss; shorter windows leave out how
    a step changes the losses beyond its window. The meta-update comes after
    each episode, from all of its windows, so that theta is constant in an
    episode and windows differ by their bias alone; or after each window, as
    optimizers are trained, so that short windows make more of them. The
    difference matters, because Adam's steps do not depend on the gradients'
    size: the few large gradients at an episode's start outweigh many small ones
    behind them in a sum, but not in a sequence of updates. There, theta is not
    a constant but a schedule, high at the start of each episode and low at its
    end.

    The windows' derivatives are carried forwards (studies/forward_mode.py). An
    update whose gradient is not finite is skipped.

    Args:
        optimizee: the problem.
        window: int, tau, inner steps; it divides `horizon`.
        horizon: int, T. Defaults to 10,000.
        num_episodes: int. Defaults to 50.
        update: "episode" or "window". Defaults to "episode".
        learning_rate: positive float, where Adam's rate starts. Defaults to
            0.001.
        meta_learning_rate: positive float, of the Adam that learns theta.
            Defaults to 0.1.
        second_derivatives: bool, whether the derivatives see how gradients
            depend on earlier updates. Defaults to True, as the authors'
            program.
        seed: int, of the episodes.
        jit_compile: bool, XLA or the graph runtime.
        name: str or None, of the file; None for "truncation_bias_<window>".

    Raises:
        ValueError: if an argument is out of range.

    References:
        Metz et al. 2019, section 2.2 and Figure 3; spec metz.md 10.
    """

    kind = "truncation_bias"

    def __init__(
        self,
        optimizee: Optimizee,
        window: int,
        horizon: int = 10_000,
        num_episodes: int = 50,
        update: str = "episode",
        learning_rate: float = 1e-3,
        meta_learning_rate: float = 0.1,
        second_derivatives: bool = True,
        seed: int = 0,
        jit_compile: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name or f"truncation_bias_{window}")
        self.optimizee = checks.instance("optimizee", optimizee, Optimizee)
        self.window = checks.positive_int("window", window)
        self.horizon = checks.positive_int("horizon", horizon)
        if horizon % window:
            raise ValueError(
                "`window` must divide `horizon`. "
                f"Received: window={window}, horizon={horizon}."
            )
        self.num_episodes = checks.positive_int("num_episodes", num_episodes)
        self.units = num_episodes + 1
        self.update = checks.one_of("update", update, UPDATES)
        self.period = window if update == "window" else horizon
        self.cell = TrainableAdam(learning_rate)
        self.meta_optimizer = Adam(meta_learning_rate)
        self.second_derivatives = checks.boolean(
            "second_derivatives", second_derivatives
        )
        self.seed = checks.integer("seed", seed)
        self._root = seeds.make_seed(seed)
        self.jit_compile = checks.boolean("jit_compile", jit_compile)
        self.notice = optimizee.notice

    def config(self) -> dict[str, Any]:
        """Return the arguments that the numbers depend on."""
        return {
            "optimizee": described_optimizee(self.optimizee),
            "window": self.window,
            "horizon": self.horizon,
            "num_episodes": self.num_episodes,
            "update": self.update,
            "learning_rate": self.cell.learning_rate,
            "meta_learning_rate": self.meta_optimizer.learning_rate,
            "second_derivatives": self.second_derivatives,
            "seed": self.seed,
        }

    def _episode(
        self, learned: Learned, seed: Seed, period: Scalar
    ) -> tuple[Learned, Record]:
        weights = self.cell.meta_params()
        first = tf.one_hot(0, weights.shape[0])  # log_learning_rate
        return learn_episode(
            self.cell,
            self.optimizee,
            self.meta_optimizer,
            Ray(weights, first),
            learned,
            seed,
            tf.constant(self.window),
            period,
            self.horizon,
            self.second_derivatives,
        )

    def run(self, progress: Progress) -> dict[str, np.ndarray] | None:
        """Compute, an episode per call.

        Returns:
            learning_rates `[1 + updates]`, before the first meta-update and
            after each; meta_losses `[E]`, the mean loss of each episode;
            window_gradients `[T / tau]`, of the windows of the first episode
            with the starting rate kept, each divided by T; None if stopped.
        """
        # A partial: the traces of two studies are not one function's.
        episode = compiled(functools.partial(self._episode), self.jit_compile)
        learned = first_learned(self.meta_optimizer)
        first = seeds.fold_in(self._root, 0)
        _, record = episode(learned, first, tf.constant(self.horizon))
        slopes = record.slopes.numpy().astype(np.float64)
        thetas, losses = [np.zeros(1)], []
        for k in range(self.num_episodes):
            if not progress():
                return None
            seed = seeds.fold_in(self._root, k)
            learned, record = episode(learned, seed, tf.constant(self.period))
            thetas.append(record.thetas.numpy()[self.period - 1 :: self.period])
            losses.append(record.losses.numpy().mean(dtype=np.float64))
        if not progress():
            return None
        return {
            "learning_rates": self.cell.learning_rate
            * np.exp(np.concatenate(thetas), dtype=np.float64),
            "meta_losses": np.array(losses),
            "window_gradients": slopes.reshape(-1, self.window).sum(1)
            / self.horizon,
        }


@gin.register(module="l2o_tf.studies")
def truncation_bias_studies(
    optimizee: Optimizee,
    windows: Sequence[int] = (1, 10, 100, 1000, 10_000),
    horizon: int = 10_000,
    num_episodes: int = 50,
    update: str = "episode",
    learning_rate: float = 1e-3,
    meta_learning_rate: float = 0.1,
    second_derivatives: bool = True,
    seed: int = 0,
    jit_compile: bool = True,
) -> list[TruncationBiasStudy]:
    """Return a `TruncationBiasStudy` for each window length.

    Each is a file of its own: what is finished is kept, and processes share
    the work.

    Args:
        optimizee: see `TruncationBiasStudy`.
        windows: ints, the window lengths.
        horizon: see `TruncationBiasStudy`, as all that follow.
        num_episodes: likewise.
        update: likewise.
        learning_rate: likewise.
        meta_learning_rate: likewise.
        second_derivatives: likewise.
        seed: likewise.
        jit_compile: likewise.

    Raises:
        ValueError: if an argument is out of range.
    """
    return [
        TruncationBiasStudy(
            optimizee,
            window,
            horizon,
            num_episodes,
            update,
            learning_rate,
            meta_learning_rate,
            second_derivatives,
            seed,
            jit_compile,
        )
        for window in windows
    ]
