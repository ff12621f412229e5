"""A look at what the learned optimizer does, on demand: a short rollout.

Nothing of the training is touched: the rollout begins from a seed of its own,
which no episode has, and ends with counts. Memory: one step's numbers, and
`BINS` counts per step and histogram.
"""

from __future__ import annotations

import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.learned.activations import stateless_activations
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.histograms import BINS, Histogram
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import Step, unroll

UPDATES = "updates/value"
MAGNITUDES = "updates/log10_magnitude"
_LOG10_RANGE = (-10.0, 2.0)
_GATE_RANGE = (-1.0, 1.0)
_COLUMNS = 1024


def bin_counts(
    values: tf.Tensor, lower: float | Scalar, upper: float | Scalar
) -> tf.Tensor:
    """Count numbers over `BINS` bins of one width.

    Args:
        values: float, of any shape.
        lower: where the first bin begins.
        upper: where the last bin ends.

    Returns:
        int32 `[BINS + 1]`: the counts, the outermost with what lies beyond;
        and, last, how many numbers were not finite.
    """
    values = tf.reshape(values, [-1])
    finite = tf.math.is_finite(values)
    inside = tf.where(finite, values, tf.zeros_like(values))
    place = tf.floor((inside - lower) * (BINS / (upper - lower)))
    index = tf.cast(tf.clip_by_value(place, 0.0, BINS - 1.0), tf.int32)
    index = tf.where(finite, index, BINS)
    return tf.math.unsorted_segment_sum(tf.ones_like(index), index, BINS + 1)


def _log10_magnitude(update: Vector) -> Vector:
    """Compute log10 |u|; of 0, where the first bin begins."""
    smallest = tf.constant(10.0 ** _LOG10_RANGE[0], update.dtype)
    size = tf.maximum(tf.abs(update), smallest)
    size = tf.math.log(size) / tf.math.log(tf.constant(10.0, update.dtype))
    # A maximum may take the number for NaN.
    return tf.where(tf.math.is_finite(update), size, update)


def _some_columns(values: tf.Tensor) -> tf.Tensor:
    """Return at most 1,024 columns of `[units, columns]`, evenly spaced."""
    return values[:, :: max(1, -(-values.shape[1] // _COLUMNS))]


class Probe:
    """Count updates and gate activations over a rollout from a reset.

    The rollout is run twice: it has to be known how large the updates are
    before they are counted over bins of a fixed width.

    Args:
        cell: the learned optimizer.
        optimizee: the problem.
        seed: int32 `[2]`, of the rollout, always the same.
        steps: int, inner steps.
        jit_compile: bool, XLA or the graph runtime.

    Raises:
        ValueError: if `steps` is not a positive int.
    """

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        steps: int = 100,
        jit_compile: bool = True,
    ) -> None:
        self._cell = cell
        self._optimizee = optimizee
        self._seed = seed
        self._steps = checks.positive_int("steps", steps)
        self._run = compiled(self._rollout, jit_compile)

    def _rollout(
        self, meta_params: Vector, scale: Scalar
    ) -> tuple[dict[str, tf.Tensor], Scalar]:
        """Return the counts, and the largest |u|."""
        weights = self._cell.meta_layout.split(meta_params)

        def collect(step: Step) -> Nest:
            counts = {
                UPDATES: bin_counts(step.update, -scale, scale),
                MAGNITUDES: bin_counts(
                    _log10_magnitude(step.update), *_LOG10_RANGE
                ),
            }
            shown = stateless_activations(
                self._cell, weights, step.inputs, step.states
            )
            for name, values in shown.items():
                counts[f"gates/{name}"] = bin_counts(
                    _some_columns(values), *_GATE_RANGE
                )
            size = tf.abs(step.update)
            known = tf.where(tf.math.is_finite(size), size, tf.zeros_like(size))
            return counts, tf.reduce_max(known)

        carry = start_episode(self._cell, self._optimizee, self._seed, weights)
        _, (counts, largest) = unroll(
            self._cell,
            self._optimizee,
            carry,
            self._steps,
            meta_params=weights,
            collect=collect,
        )
        total = {
            tag: tf.reduce_sum(tf.cast(each, tf.int64), axis=0)
            for tag, each in counts.items()
        }
        return total, tf.reduce_max(largest)

    def __call__(self, meta_params: Vector) -> dict[str, Histogram]:
        """Return the histograms of a rollout with these weights.

        Args:
            meta_params: float `[M]`.

        Returns:
            Tag to histogram: of the updates, of log10 of their magnitudes
            (those of 0 in the first bin), and of every gate, of at most 1,024
            coordinates.
        """
        one = tf.ones([], meta_params.dtype)
        _, largest = self._run(meta_params, one)
        # Below that the bins would be too narrow for float32.
        scale = tf.where(largest > 1e-30, largest, one)
        counts, _ = self._run(meta_params, scale)
        bound = float(scale)
        ranges = {UPDATES: (-bound, bound), MAGNITUDES: _LOG10_RANGE}
        return {
            tag: _histogram(each.numpy().tolist(), ranges.get(tag, _GATE_RANGE))
            for tag, each in counts.items()
        }


def _histogram(counts: list[int], span: tuple[float, float]) -> Histogram:
    return Histogram(*span, counts[-1], tuple(counts[:-1]))
