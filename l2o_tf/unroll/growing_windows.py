"""Windows whose length grows with training, or is drawn anew for each."""

from __future__ import annotations

import abc
import math

import gin

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState


class WindowPerUpdate(FixedHorizon):
    """Give every window of an episode a length of its own.

    For estimators whose population goes on from episode to episode: an episode
    is then `num_windows` meta-updates, and its end means nothing to the pairs.

    Args:
        num_windows: int, windows of an episode.
        longest: int, steps of the longest window; the estimator's own
            `unroll_length` must be that.
        validation_horizon: int, N_valid.

    Raises:
        ValueError: if an argument is not a positive int.
    """

    most_windows: int
    longest_window: int

    def __init__(
        self, num_windows: int, longest: int, validation_horizon: int
    ) -> None:
        self.most_windows = checks.positive_int("num_windows", num_windows)
        self.longest_window = checks.positive_int("longest", longest)
        super().__init__(num_windows * longest, validation_horizon)

    def window_lengths(
        self, state: ScheduleState, seed: Seed, updates: int = 0
    ) -> tuple[int, ...]:
        """Return the lengths of one episode's windows."""
        del state
        drawn = seeds.uniform(seed, [self.most_windows]).numpy()
        return tuple(
            self.length(float(uniform), updates + i)
            for i, uniform in enumerate(drawn)
        )

    @abc.abstractmethod
    def length(self, uniform: float, updates: int) -> int:
        """Return the steps of one window.

        Args:
            uniform: a draw from (0, 1).
            updates: meta-updates before it, if all since the episode's start
                were applied.
        """


@gin.register(module="l2o_tf.unroll")
class GrowingWindows(WindowPerUpdate):
    """Let windows grow linearly with the meta-updates.

        r = min(k / updates, 1),    k meta-updates made
        U = int((first (1 - r) + last r) v),    v uniform in 1 -+ jitter

    at least 1 and at most `longest`. One draw serves all pairs of a population,
    where the authors' workers draw for themselves.

    Args:
        num_windows: int, meta-updates of an episode.
        validation_horizon: int, N_valid.
        first: int. Defaults to 50.
        last: int. Defaults to 10,000.
        updates: int, K. Defaults to 5,000.
        jitter: float in [0, 1). Defaults to 0.2.
        longest: int, that of the pairs' episodes, say, at whose end windows are
            cut anyway. Defaults to what the other arguments allow.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Metz et al., ICML 2019, section 4.3; spec metz.md 6.2.
    """

    def __init__(
        self,
        num_windows: int,
        validation_horizon: int,
        first: int = 50,
        last: int = 10_000,
        updates: int = 5_000,
        jitter: float = 0.2,
        longest: int | None = None,
    ) -> None:
        self.first = checks.positive_int("first", first)
        self.last = checks.positive_int("last", last)
        self.updates = checks.positive_int("updates", updates)
        self.jitter = checks.real(
            "jitter", jitter, low=0.0, high=1.0, high_open=True
        )
        most = math.floor(max(first, last) * (1.0 + jitter))
        if longest is None:
            longest = most
        super().__init__(num_windows, longest, validation_horizon)

    def length(self, uniform: float, updates: int) -> int:
        """Return U; see the class."""
        grown = min(updates / self.updates, 1.0)
        mean = self.first * (1.0 - grown) + self.last * grown
        factor = 1.0 + self.jitter * (2.0 * uniform - 1.0)
        return min(max(1, int(mean * factor)), self.longest_window)


@gin.register(module="l2o_tf.unroll")
class LogUniformWindows(WindowPerUpdate):
    """Draw the logarithm of a window's length uniformly.

        U = int(shortest (longest / shortest)^u),    u uniform in (0, 1)

    Args:
        num_windows: int, meta-updates of an episode.
        validation_horizon: int, N_valid.
        shortest: int.
        longest: int, at least `shortest`.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Spec metz.md 6.2 (LogUniformLength).
    """

    def __init__(
        self,
        num_windows: int,
        validation_horizon: int,
        shortest: int,
        longest: int,
    ) -> None:
        super().__init__(num_windows, longest, validation_horizon)
        self.shortest = checks.positive_int("shortest", shortest)
        if shortest > longest:
            raise ValueError(
                "`shortest` must be at most `longest`. Received: "
                f"shortest={shortest}, longest={longest}."
            )

    def length(self, uniform: float, updates: int) -> int:
        """Return U; see the class."""
        del updates
        ratio = self.longest_window / self.shortest
        return int(self.shortest * ratio**uniform)
