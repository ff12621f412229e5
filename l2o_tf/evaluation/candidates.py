"""Which settings of a hand-designed optimizer are tried: grids and draws.

Every cell is built as soon as its collection is: what a class refuses is
refused before the first run, and gin's bindings are consumed where the
collection's scope holds.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Scalar, Vector
from l2o_tf.optimizers.base import OptimizerCell

ONE_MINUS = "one_minus_"


class Candidate(NamedTuple):
    """One setting of an optimizer.

    Attributes:
        name: str, of its results.
        cell: the optimizer.
    """

    name: str
    cell: OptimizerCell


class Candidates(abc.ABC):
    """A collection of settings to choose the best of.

    Attributes:
        ordered: bool, whether neighbours differ by a step of one quantity, so
            that the best at an end says that the collection is too short.
    """

    ordered: bool

    @abc.abstractmethod
    def candidates(self, name: str) -> list[Candidate]:
        """Return the settings, in order, named after the tuned optimizer."""


def _build(
    cell: Callable[..., OptimizerCell], arguments: Mapping[str, float]
) -> OptimizerCell:
    # A layer is callable too, on inputs: that is no way to build one.
    if isinstance(cell, OptimizerCell) or not callable(cell):
        raise ValueError(
            "`cell` must be a class or function that makes an optimizer. "
            f"Received: cell={cell!r}. In gin: @Adam, without parentheses."
        )
    built = cell(**arguments)
    if not isinstance(built, OptimizerCell):
        raise ValueError(
            "`cell` must make an OptimizerCell. "
            f"Received: cell={cell!r}, which made {built!r}."
        )
    return built


@gin.register(module="l2o_tf.evaluation")
class LearningRateGrid(Candidates):
    """Try an optimizer at each of some learning rates.

    Args:
        cell: what makes the optimizer, called with `learning_rate`; in gin a
            reference without parentheses, @Adam.
        learning_rates: positive floats, in any order; tried from the smallest.
            They differ in their first six digits, which name them.

    Raises:
        ValueError: if there is no learning rate, one comes twice or is not
            positive, or `cell` does not make an `OptimizerCell`.

    Example:
    >>> from l2o_tf.optimizers.sgd import SGD
    >>> grid = LearningRateGrid(SGD, (0.1, 0.01))
    >>> [candidate.name for candidate in grid.candidates("sgd")]
    ['sgd_0.01', 'sgd_0.1']
    """

    ordered = True

    def __init__(
        self,
        cell: Callable[..., OptimizerCell],
        learning_rates: Sequence[float],
    ) -> None:
        is_sequence = isinstance(learning_rates, (tuple, list))
        if not is_sequence or not learning_rates:
            raise ValueError(
                "`learning_rates` must be a tuple of at least one number. "
                f"Received: learning_rates={learning_rates!r}."
            )
        rates = sorted(
            checks.real("learning_rates", rate, low=0.0, low_open=True)
            for rate in learning_rates
        )
        if len({f"{rate:g}" for rate in rates}) != len(rates):
            raise ValueError(
                "Each of `learning_rates` must come once, by its first six "
                f"digits. Received: learning_rates={learning_rates!r}."
            )
        self.learning_rates = tuple(rates)
        self.cells = tuple(_build(cell, {"learning_rate": r}) for r in rates)

    def candidates(self, name: str) -> list[Candidate]:
        """Return `<name>_<learning rate>`, from the smallest."""
        return [
            Candidate(f"{name}_{rate:g}", cell)
            for rate, cell in zip(self.learning_rates, self.cells, strict=True)
        ]


def _checked_range(argument: str, bounds: object) -> tuple[float, float]:
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise ValueError(
            "A range must be two numbers, (low, high). "
            f"Received: ranges[{argument!r}]={bounds!r}."
        )
    low = checks.real(f"low of {argument}", bounds[0], low=0.0, low_open=True)
    high = checks.real(
        f"high of {argument}",
        bounds[1],
        low=low,
        high=1.0 if argument.startswith(ONE_MINUS) else math.inf,
        low_open=True,
    )
    return low, high


def _log_uniform(low: float, high: float, unit: float) -> float:
    """Map a number in (0, 1) to [low, high], to six significant digits.

    Rounded, so that the last bit of a machine's exp and log does not show.
    """
    value = math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    return float(f"{value:.6g}")


def _units(seed: int, draws: int, size: int) -> list[list[float]]:
    """Draw `size` numbers in (0, 1) for each draw, from the draw's own seed."""
    root = seeds.make_seed(seed)

    def draw(k: Scalar) -> Vector:
        return seeds.uniform(seeds.fold_in(root, k), [size])

    # One call: thousands of small ones take seconds.
    drawn = compiled(
        lambda: tf.map_fn(
            draw, tf.range(draws), fn_output_signature=tf.float32
        ),
        jit_compile=False,
    )()
    return drawn.numpy().tolist()


@gin.register(module="l2o_tf.evaluation")
class RandomSearch(Candidates):
    """Try an optimizer with arguments drawn at random, log-uniformly.

        x = low (high / low)^u,    u uniform on (0, 1)

    Numbers come from `l2o_tf.core.seeds` (Philox), in the alphabetical order
    of the arguments, and are rounded to six significant digits: the same on
    every machine and version. Draw k depends on the seed, k and the ranges
    only, so that more draws begin with the same ones.

    Args:
        cell: what makes the optimizer, called with the drawn arguments; in gin
            a reference without parentheses, @DecayedAdam.
        ranges: name of an argument to `(low, high)`, positive. For
            "one_minus_beta_1" x is drawn and beta_1 is 1 - x; `high` is then
            at most 1.
        draws: int, how many settings.
        seed: int, of the draws.

    Raises:
        ValueError: if there is no range, one is not `0 < low < high`, an
            argument is drawn twice, a number is out of range, or `cell` does
            not make an `OptimizerCell`.
    """

    ordered = False

    def __init__(
        self,
        cell: Callable[..., OptimizerCell],
        ranges: Mapping[str, tuple[float, float]],
        draws: int,
        seed: int,
    ) -> None:
        if not isinstance(ranges, Mapping) or not ranges:
            raise ValueError(
                "`ranges` must map at least one argument to (low, high). "
                f"Received: ranges={ranges!r}."
            )
        self.ranges = {
            argument: _checked_range(argument, ranges[argument])
            for argument in sorted(ranges)
        }
        plain = [argument.removeprefix(ONE_MINUS) for argument in ranges]
        if len(set(plain)) != len(plain):
            raise ValueError(
                "An argument is drawn itself or as 1 minus it, not both. "
                f"Received: ranges of {', '.join(self.ranges)}."
            )
        self.draws = checks.positive_int("draws", draws)
        self.seed = checks.integer("seed", seed)
        units = _units(seed, draws, len(self.ranges))
        self.cells = tuple(_build(cell, self._arguments(u)) for u in units)

    def _arguments(self, units: Sequence[float]) -> dict[str, float]:
        """Turn numbers in (0, 1), one per range, into arguments."""
        arguments = {}
        for (argument, (low, high)), unit in zip(
            self.ranges.items(), units, strict=True
        ):
            value = _log_uniform(low, high, unit)
            if argument.startswith(ONE_MINUS):
                argument, value = argument.removeprefix(ONE_MINUS), 1.0 - value
            arguments[argument] = value
        return arguments

    def candidates(self, name: str) -> list[Candidate]:
        """Return `<name>_draw<k>`, k from 0."""
        return [
            Candidate(f"{name}_draw{k}", cell)
            for k, cell in enumerate(self.cells)
        ]
