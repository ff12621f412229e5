"""What the benchmark of the cells times: one problem, cut into any tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import bench_machine
import numpy as np
import tensorflow as tf
from bench_flags import positive
from bench_variants import Sizes

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.meta_training.episode import initial_meta_state, train_episode
from l2o_tf.optimizees.synthetic import SyntheticOptimizee
from l2o_tf.optimizers.adam import Adam
from l2o_tf.unroll.meta_losses import LogRatio, SumOfLosses
from l2o_tf.unroll.rollout import final_loss

CELLS = {
    "HierarchicalRNN": (HierarchicalRNN, LogRatio),
    "DMLSTM": (DMLSTM, SumOfLosses),
    "RNNprop": (RNNprop, SumOfLosses),
}
TASKS = ("train", "eval")
SIZE_RANGE = 1000.0
"""The largest tensor's size over the smallest's, before rounding."""


class Row(NamedTuple):
    """What is timed: an optimizer on so many coordinates in so many tensors."""

    task: str
    cell: str
    tensors: int
    coordinates: int

    def __str__(self) -> str:
        """Return the name that the tables and `parse` know."""
        size = f"{self.tensors}x{self.coordinates}"
        return f"{self.task}/{self.cell}/{size}"

    @classmethod
    def parse(cls, name: str) -> Row:
        """Return the row of a name."""
        task, cell, size = name.split("/")
        tensors, coordinates = map(positive, size.split("x"))
        return cls(task, cell, tensors, coordinates)


def steps_of(row: Row, sizes: Sizes) -> int:
    """Count the inner steps of one timed call."""
    training = sizes.windows * sizes.unroll_length
    return training if row.task == "train" else sizes.eval_steps


def tensor_sizes(tensors: int, coordinates: int) -> list[int]:
    """Cut coordinates into tensors whose sizes are a geometric sequence.

    Large and small ones alternate, as weights and biases do.

    Raises:
        ValueError: if there are more tensors than coordinates.
    """
    if tensors > coordinates:
        raise ValueError(
            "A tensor needs a coordinate. "
            f"Received: tensors={tensors}, coordinates={coordinates}."
        )
    weights = SIZE_RANGE ** -np.linspace(0.0, 1.0, tensors)
    ends = np.cumsum(weights) / np.sum(weights) * (coordinates - tensors)
    sizes = 1 + np.diff(np.rint(ends).astype(int), prepend=0)
    i = np.arange(tensors)
    order = np.where(i % 2 == 0, i // 2, tensors - 1 - i // 2)
    return [int(size) for size in sizes[order]]


class Bowl(SyntheticOptimizee):
    """Minimise 1/2 sum x^2, from x between 1/10 and 1, of given tensors."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.layout = Layout.from_shapes(
            {f"x{i}": (size,) for i, size in enumerate(sizes)}
        )

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Return the start, the same for all seeds."""
        del seed
        return tf.linspace(0.1, 1.0, self.layout.size), ()

    def loss(
        self, params: Vector, constants: tuple[()], batch: tuple[()]
    ) -> Scalar:
        """Compute f(x)."""
        del constants, batch
        return 0.5 * tf.reduce_sum(tf.square(params))


def make_run(row: Row, sizes: Sizes, jit_compile: bool) -> Callable[[], float]:
    """Build a row: a function that runs one episode and waits for its loss."""
    make_cell, meta_loss = CELLS[row.cell]
    cell, meta_optimizer = make_cell(), Adam()
    problem = Bowl(tensor_sizes(row.tensors, row.coordinates))
    seed = seeds.make_seed(0)
    if row.task == "eval":
        evaluation = compiled(
            lambda weights, seed, steps: final_loss(
                cell,
                problem,
                cell.meta_layout.split(weights),
                seed,
                steps,
                sizes.eval_steps,
            ),
            jit_compile,
        )
        weights, steps = cell.meta_params(), tf.constant(sizes.eval_steps)
        return lambda: float(evaluation(weights, seed, steps).numpy())
    estimator = TruncatedBackpropagation(sizes.unroll_length, meta_loss())
    episode = compiled(
        lambda state, seed, count: train_episode(
            cell, problem, estimator, meta_optimizer, state, seed, count
        ),
        jit_compile,
    )
    state = initial_meta_state(cell, meta_optimizer)
    count = tf.constant(sizes.windows)

    def run() -> float:
        trained, report, _ = episode(state, seed, count)
        trained.meta_params.numpy()  # waits for the last meta-update
        return float(report.mean_loss.numpy())

    return run


def measure_times(
    rows: Sequence[Row], sizes: Sizes, jit_compile: bool
) -> dict[Row, dict[str, Any]]:
    """Time the rows, interleaved.

    Returns:
        By row the `first_call_seconds`, the seconds per call `samples`, one per
        round, and the `loss`.
    """
    runs = {row: make_run(row, sizes, jit_compile) for row in rows}
    timed: dict[Row, dict[str, Any]] = {}
    for row, run in runs.items():
        first, loss = bench_machine.seconds_of(run)
        timed[row] = {"first_call_seconds": first, "loss": loss, "samples": []}
    for i in range(sizes.repeats):
        turn = i % len(rows)
        for row in [*rows[turn:], *rows[:turn]]:
            seconds, _ = bench_machine.seconds_of(runs[row])
            timed[row]["samples"].append(seconds)
    return timed
