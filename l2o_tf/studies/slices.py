"""Figures 2e and 2f of Metz et al. 2019: the loss on slices of the weights."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Scalar, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.optimizers.description import cell_config
from l2o_tf.studies.base import (
    Progress,
    Study,
    checked_lengths,
    described_optimizee,
    map_points,
)
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import Step, unroll

_EPISODE, _DIRECTIONS, _MEASURE = range(3)


class SliceStudy(Study):
    """Compute an optimizer's mean loss where its weights are moved.

        L_T(phi) = 1/T sum_{t=1}^T f(x_t),    phi = phi_0 + D a

    phi_0 are the cell's weights, D `[M, d]` has orthonormal columns, and the
    numbers a `[d]` run over an even grid. Start and minibatches are those of
    one seed: L_T is one function of phi, without noise. Each f(x_t) is measured
    after the update, on a minibatch that measures only. A subclass chooses D.

    Args:
        cell: the learned optimizer, with the weights to look around.
        optimizee: the problem whose gradients it is shown.
        measured: the problem on which f is measured, of the same parameters, as
            the same one on validation data; None for `optimizee`.
        lengths: ints in rising order, each a T.
        extent: positive float, the grid is from -extent to extent.
        points: odd int >= 3, grid points of one direction; the middle one is
            phi_0.
        seed: int, of the start, the minibatches and random directions.
        jit_compile: bool, XLA or the graph runtime.
        name: str, of the file.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Metz et al. 2019, Figure 2e-f; spec metz.md 2 and 10.
    """

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        measured: Optimizee | None,
        lengths: Sequence[int],
        extent: float,
        points: int,
        seed: int,
        jit_compile: bool,
        name: str,
    ) -> None:
        super().__init__(name)
        self.cell = checks.instance("cell", cell, OptimizerCell)
        self.size = cell.meta_layout.size
        self.optimizee = checks.instance("optimizee", optimizee, Optimizee)
        self.measured = optimizee if measured is None else measured
        checks.instance("measured", self.measured, Optimizee)
        if self.measured.layout != optimizee.layout:
            raise ValueError(
                "The loss must be measured on a problem of the same "
                "parameters. Received: measured of shapes "
                f"{self.measured.layout.shapes}, optimizee of shapes "
                f"{optimizee.layout.shapes}."
            )
        self.lengths = checked_lengths("lengths", lengths)
        self.extent = checks.real("extent", extent, 0.0, low_open=True)
        self.points = checks.positive_int("points", points)
        if points < 3 or points % 2 == 0:
            raise ValueError(
                "`points` must be odd, so that one of them is at the weights, "
                f"and at least 3. Received: points={points}. Use "
                f"{max(3, points + 1)}."
            )
        self.seed = checks.integer("seed", seed)
        self._root = seeds.make_seed(seed)
        self.jit_compile = checks.boolean("jit_compile", jit_compile)
        self.notice = optimizee.notice or self.measured.notice
        self._columns = np.array(self.lengths) - 1

    def config(self) -> dict[str, Any]:
        """Return the arguments that the numbers depend on."""
        return {
            "cell": cell_config(self.cell),
            "optimizee": described_optimizee(self.optimizee),
            "measured": described_optimizee(self.measured),
            "lengths": list(self.lengths),
            "extent": self.extent,
            "points": self.points,
            "seed": self.seed,
        }

    @property
    def offsets(self) -> np.ndarray:
        """The grid of one direction, `[points]`."""
        half = self.points // 2
        return np.arange(-half, half + 1) * (self.extent / half)

    def losses(
        self, meta_params: Vector, second_derivatives: bool = False
    ) -> Vector:
        """Compute L_T of every length, `[L]`.

        Args:
            meta_params: float `[M]`, phi.
            second_derivatives: whether derivatives of L_T are of all that it
                depends on, not of the cell alone.
        """
        weights = self.cell.meta_layout.split(meta_params)
        seed = seeds.fold_in(self._root, _EPISODE)

        def measure(step: Step) -> Scalar:
            fresh = seeds.fold_in(step.batch_seed, _MEASURE)
            batch = self.measured.sample(fresh)
            return self.measured.loss(step.next_params, step.constants, batch)

        _, losses = unroll(
            self.cell,
            self.optimizee,
            start_episode(self.cell, self.optimizee, seed, weights),
            self.lengths[-1],
            meta_params=weights,
            second_derivatives=second_derivatives,
            collect=measure,
        )
        counts = tf.range(1, self.lengths[-1] + 1)
        means = tf.cumsum(losses) / tf.cast(counts, losses.dtype)
        return tf.gather(means, self._columns)

    @abc.abstractmethod
    def directions(self) -> tf.Tensor:
        """Return D transposed, `[d, M]`."""

    def _losses_at(self, rows: tf.Tensor) -> tf.Tensor:
        return map_points(self.losses, rows, tf.float32)

    def run(self, progress: Progress) -> dict[str, np.ndarray] | None:
        """Compute, a row of the grid per call.

        Returns:
            offsets `[points]`, lengths `[L]`, directions `[d, M]`, losses
            `[points, L]`, or `[points, points, L]` with the first direction on
            the last axis but one; None if stopped.
        """
        chosen = compiled(self.directions, self.jit_compile)().numpy()
        start = self.cell.meta_params().numpy()
        along = start + self.offsets[:, np.newaxis] * chosen[0]
        across = np.zeros((1, self.size))
        if len(chosen) > 1:
            across = self.offsets[:, np.newaxis] * chosen[1]
        compute = compiled(self._losses_at, self.jit_compile)
        rows = []
        for shift in across:
            rows.append(compute(tf.constant(along + shift, tf.float32)).numpy())
            if not progress():
                return None
        return {
            "offsets": self.offsets,
            "lengths": np.array(self.lengths),
            "directions": chosen,
            "losses": np.stack(rows) if len(rows) > 1 else rows[0],
        }


@gin.register(module="l2o_tf.studies")
class GradientSliceStudy(SliceStudy):
    """Look along the meta-gradient, with all second derivatives.

        D = g / |g|,    g = d L_T(phi_0) / d phi,    T the longest length

    See `SliceStudy`. A positive offset is up the gradient.

    Args:
        cell: see `SliceStudy`.
        optimizee: likewise.
        measured: likewise. Defaults to None.
        lengths: likewise. Defaults to (5, 10, 20), the paper's.
        extent: likewise. Defaults to 1.
        points: likewise. Defaults to 201.
        seed: likewise.
        jit_compile: likewise.
        name: likewise.

    Raises:
        ValueError: if an argument is out of range; in `run`, if the gradient is
            zero or not finite.
    """

    kind = "gradient_slice"

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        measured: Optimizee | None = None,
        lengths: Sequence[int] = (5, 10, 20),
        extent: float = 1.0,
        points: int = 201,
        seed: int = 0,
        jit_compile: bool = True,
        name: str = "gradient_slice",
    ) -> None:
        super().__init__(
            cell,
            optimizee,
            measured,
            lengths,
            extent,
            points,
            seed,
            jit_compile,
            name,
        )

    def gradient(self) -> Vector:
        """Compute g, `[M]`."""
        meta_params = self.cell.meta_params()
        with tf.GradientTape() as tape:
            tape.watch(meta_params)
            loss = self.losses(meta_params, second_derivatives=True)[-1]
        return tape.gradient(loss, meta_params)

    def directions(self) -> tf.Tensor:
        """Return g / |g|, `[1, M]`."""
        gradient = self.gradient()
        return (gradient / tf.norm(gradient))[tf.newaxis]

    def run(self, progress: Progress) -> dict[str, np.ndarray] | None:
        """Compute; see `SliceStudy.run`."""
        norm = float(
            np.linalg.norm(compiled(self.gradient, self.jit_compile)())
        )
        if not 0.0 < norm < np.inf:
            raise ValueError(
                "There is no direction of steepest ascent. Received: a "
                f"meta-gradient of length {norm} at the cell's weights. Use "
                "other weights, or fewer steps."
            )
        arrays = super().run(progress)
        return None if arrays is None else {**arrays, "norm": np.array(norm)}


@gin.register(module="l2o_tf.studies")
class PlaneStudy(SliceStudy):
    """Look along two random directions.

    D is two vectors from Normal(0, 1), made orthonormal; see `SliceStudy`.

    Args:
        cell: see `SliceStudy`.
        optimizee: likewise.
        measured: likewise. Defaults to None.
        lengths: likewise. Defaults to (20,).
        extent: likewise. Defaults to 1.
        points: likewise, of each direction. Defaults to 41.
        seed: likewise.
        jit_compile: likewise.
        name: likewise.

    Raises:
        ValueError: if an argument is out of range, or the cell has one weight.
    """

    kind = "plane"

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        measured: Optimizee | None = None,
        lengths: Sequence[int] = (20,),
        extent: float = 1.0,
        points: int = 41,
        seed: int = 0,
        jit_compile: bool = True,
        name: str = "plane",
    ) -> None:
        super().__init__(
            cell,
            optimizee,
            measured,
            lengths,
            extent,
            points,
            seed,
            jit_compile,
            name,
        )
        if self.size < 2:
            raise ValueError(
                "A plane needs an optimizer of at least 2 weights. "
                f"Received: cell={type(cell).__name__} of {self.size}."
            )
        self.units = points

    def directions(self) -> tf.Tensor:
        """Return two orthonormal rows, `[2, M]`."""
        seed = seeds.fold_in(self._root, _DIRECTIONS)
        first, second = tf.unstack(seeds.normal(seed, [2, self.size]))
        first /= tf.norm(first)
        second -= tf.reduce_sum(first * second) * first
        return tf.stack([first, second / tf.norm(second)])
