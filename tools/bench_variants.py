"""What a benchmark times: the package's programs and the yardstick's."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import bench_machine
import tensorflow as tf
from yardstick import Yardstick, first_outer

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Seed
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.meta_training.episode import initial_meta_state, train_episode
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.adam import Adam
from l2o_tf.unroll.rollout import final_loss

Run = Callable[[Seed], float]

VARIANTS = (
    "train/graph-adjoint",
    "train/graph-tape",
    "train/xla-adjoint",
    "train/xla-tape",
    "train/yardstick",
    "train/yardstick-xla",
    "eval/graph",
    "eval/xla",
    "eval/yardstick",
    "eval/yardstick-xla",
)


class Sizes(NamedTuple):
    """How much is run.

    Attributes:
        repeats: rounds.
        windows: training windows per timed call.
        unroll_length: inner steps per window.
        eval_steps: inner steps per timed call of an evaluation.
    """

    repeats: int
    windows: int
    unroll_length: int
    eval_steps: int


def _package_training(optimizee: Optimizee, sizes: Sizes, kind: str) -> Run:
    runtime, _, backward = kind.partition("-")
    cell, meta_optimizer = DMLSTM(), Adam()
    estimator = TruncatedBackpropagation(sizes.unroll_length, backward=backward)
    context = EpisodeContext(tf.constant(0), ())
    episode = compiled(
        lambda state, seed, count: train_episode(
            cell,
            optimizee,
            estimator,
            meta_optimizer,
            state,
            seed,
            count,
            context,
        ),
        runtime == "xla",
    )
    state = initial_meta_state(cell, meta_optimizer)
    count = tf.constant(sizes.windows)

    def run(seed: Seed) -> float:
        trained, report, _ = episode(state, seed, count)
        trained.meta_params.numpy()  # waits for the last meta-update
        return float(report.mean_loss.numpy())

    return run


def _plain_training(optimizee: Optimizee, sizes: Sizes, kind: str) -> Run:
    cell = DMLSTM()
    plain = Yardstick(optimizee, sizes.unroll_length, kind.endswith("-xla"))
    weights = cell.meta_layout.split(cell.meta_params())

    def run(seed: Seed) -> float:
        outer, inner, losses = first_outer(weights), plain.start(seed), []
        for _ in range(sizes.windows):
            loss, outer, inner = plain.train_window(outer, inner, seed)
            losses.append(loss)
        for weight in outer.weights:
            weight.numpy()
        return statistics.fmean(float(loss.numpy()) for loss in losses)

    return run


def _evaluation(optimizee: Optimizee, sizes: Sizes, kind: str) -> Run:
    cell = DMLSTM()
    meta_params = cell.meta_params()
    steps = tf.constant(sizes.eval_steps)
    if kind.startswith("yardstick"):
        plain = Yardstick(optimizee, 1, kind.endswith("-xla"))
        weights = list(cell.meta_layout.split(meta_params))
        return lambda seed: float(
            plain.final_loss(weights, seed, steps).numpy()
        )
    function = compiled(
        lambda meta_params, seed, steps: final_loss(
            cell,
            optimizee,
            cell.meta_layout.split(meta_params),
            seed,
            steps,
            capacity=sizes.eval_steps,
        ),
        kind == "xla",
    )
    return lambda seed: float(function(meta_params, seed, steps).numpy())


def make_run(name: str, optimizee: Optimizee, sizes: Sizes) -> Run:
    """Build a variant: a function that runs one episode and waits for it.

    Args:
        name: one of `VARIANTS`.
        optimizee: the problem.
        sizes: how much it runs in one call.

    Returns:
        A function of an episode's seed that returns a loss: the mean of the
        windows' meta-losses ("train"), the loss at the end ("eval").
    """
    task, _, kind = name.partition("/")
    if task == "eval":
        return _evaluation(optimizee, sizes, kind)
    if kind.startswith("yardstick"):
        return _plain_training(optimizee, sizes, kind)
    return _package_training(optimizee, sizes, kind)


def measure_times(
    names: Sequence[str], optimizee: Optimizee, sizes: Sizes
) -> tuple[dict[str, dict[str, Any]], list[float]]:
    """Time the variants and the matrix product, interleaved.

    Every round runs an episode of its own seed, the same for all variants.

    Returns:
        `(results, product_seconds)`: by variant the `first_call_seconds`, the
        seconds per call `samples` and the `losses`, one entry per round; and
        one 1024^3 product's seconds per round.
    """
    root = seeds.make_seed(0)
    runs = {name: make_run(name, optimizee, sizes) for name in names}
    product = bench_machine.matrix_product()
    results: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        first, _ = bench_machine.seconds_of(functools.partial(run, root))
        results[name] = {
            "first_call_seconds": first,
            "samples": [],
            "losses": [],
        }
    product()
    products = []
    for i in range(sizes.repeats):
        seed = seeds.fold_in(root, i)
        turn = i % len(names)
        for name in [*names[turn:], *names[:turn]]:
            seconds, loss = bench_machine.seconds_of(
                functools.partial(runs[name], seed)
            )
            results[name]["samples"].append(seconds)
            results[name]["losses"].append(loss)
        products.append(product())
    return results, products
