"""Which optimizers are compared, on what, and by which protocol."""

from __future__ import annotations

from collections.abc import Sequence

import gin

from l2o_tf.core import checks
from l2o_tf.core.seeds import make_seed
from l2o_tf.datasets.base import SPLITS
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.tuning import Tuned

Contender = Fixed | Tuned


@gin.register(module="l2o_tf.evaluation")
class Comparison:
    """Optimizers on optimizees under one protocol.

    Every optimizer sees the same starts and the same minibatches for a seed.

    Args:
        optimizers: `Fixed` and `Tuned` ones, names different.
        optimizees: names as `named_optimizee` takes them.
        seeds: ints, each once.
        steps: int, updates of a run. Defaults to 10,000.
        split: "train", "inner_valid", "meta_valid" or "test", which is
            optimised on and measured.
        jit_compile: XLA or the graph runtime; None for what is faster.
        measured: another split of the same problem, on which the recorded
            loss is taken; None for `split`. Tuning runs are measured where
            they are optimised all the same. Without effect on a problem that
            has no data.

    Raises:
        ValueError: if something is empty, double or unknown.
    """

    def __init__(
        self,
        optimizers: Sequence[Contender],
        optimizees: Sequence[str],
        seeds: Sequence[int] = tuple(range(10)),
        steps: int = 10_000,
        split: str = "test",
        jit_compile: bool | None = None,
        measured: str | None = None,
    ) -> None:
        self.optimizers = tuple(optimizers)
        self.optimizees = tuple(optimizees)
        self.seeds = tuple(seeds)
        self.steps = checks.positive_int("steps", steps)
        self.split = split
        self.jit_compile = jit_compile
        _check_split("split", split)
        if measured is not None:
            _check_split("measured", measured)
        # One protocol has one name.
        self.measured = None if measured == split else measured
        _check_once("optimizers", [o.name for o in self.optimizers])
        _check_once("optimizees", list(self.optimizees))
        _check_once("seeds", list(self.seeds))
        for seed in self.seeds:
            make_seed(seed)


def _check_split(name: str, split: str) -> None:
    if split not in SPLITS:
        raise ValueError(
            f"`{name}` must be one of {', '.join(SPLITS)}. "
            f"Received: {name}={split!r}."
        )


def _check_once(what: str, values: Sequence[object]) -> None:
    if not values or len(set(values)) != len(values):
        raise ValueError(
            f"A comparison needs {what}, each once. Received: "
            f"{what}={list(values)}."
        )
