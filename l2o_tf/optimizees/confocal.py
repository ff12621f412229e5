"""Fit light spots to a microscope's volume: smooth, but not convex."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.synthetic import SyntheticOptimizee

_KINDS = ("I", "x", "y", "z", "sigmaxy", "sigmaz")
_INTENSITY = (0.5, 2.0)
_SIGMA = (2.0, 4.0)
_LEAST_POSITION = 0.5


def _rescale(u: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Map [0, 1] linearly to [low, high]."""
    return low + (high - low) * u


def _checked_roi(roi: Sequence[int]) -> tuple[int, ...]:
    """Return the three axes; positions in [0.5, axis - 1] need two voxels."""
    is_sequence = isinstance(roi, (tuple, list)) and len(roi) == 3
    if not is_sequence or not all(type(n) is int and n >= 2 for n in roi):
        raise ValueError(
            "`roi` must be three ints >= 2, the voxels along x, y and z. "
            f"Received: roi={roi!r}. The original's is (28, 28, 28)."
        )
    return tuple(roi)


def _integral(size: int, mean: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Compute E(U) of every voxel U = 0 .. size - 1, `[points, B, size]`.

    One voxel's upper edge is the next one's lower edge, so `size + 1` values
    of erf are enough.
    """
    edges = tf.range(size + 1, dtype=mean.dtype) - 0.5
    scaled = (edges - mean[..., None]) / (math.sqrt(2.0) * sigma[..., None])
    erf = tf.math.erf(scaled)
    return erf[..., 1:] - erf[..., :-1]


def _squared_norms(volumes: tf.Tensor) -> tf.Tensor:
    """Sum the squares of the voxels of each volume, `[B]`.

    Plane by plane: XLA on a CPU adds the terms of one big sum one after
    another, which cost float32 three digits at 28^3 voxels.
    """
    batch_size, planes = volumes.shape[:2]
    rows = tf.reshape(volumes, [batch_size, planes, -1])
    return tf.reduce_sum(tf.einsum("bxv,bxv->bx", rows, rows), axis=1)


@gin.register(module="l2o_tf.optimizees")
class ConfocalMicroscopy(SyntheticOptimizee):
    """Find the light spots of B simulated confocal volumes.

        E(U; m, s) = erf((U + 1/2 - m) / (sqrt(2) s))
                     - erf((U - 1/2 - m) / (sqrt(2) s))
        image(X, Y, Z) = bg + sum_p I_p / 8 E(X; x_p, sxy_p)
                              E(Y; y_p, sxy_p) E(Z; z_p, sz_p)
        f = 1/B sum_b sum_voxels (image_b - target_b)^2

    on the voxels 0 .. roi - 1 of each axis. The parameters u are mapped
    linearly from [0, 1]: I to [0.5, 2], a position to [0.5, roi - 1], a sigma
    to [2, 4]; bg is taken as it is. Those of the spots start uniform on (0, 1),
    bg from Normal(0, 0.01**2). The target is such an image of parameters that
    are all uniform on (0, 1), divided by its Euclidean norm over voxels; it is
    computed once, at the reset, and is the only constant. There is no
    minibatch.

    A spot is an outer product of three vectors, so that a volume costs
    3 (roi + 1) values of erf per spot instead of 6 roi^3.

    Nothing keeps u in [0, 1]: outside, the same formulas go on, and at a
    sigma's u = -1 they divide by zero.

    Args:
        batch_size: int, B. Defaults to 32.
        points: int, spots per volume. Defaults to 5: 992 coordinates.
        roi: tuple of three ints >= 2, the voxels along x, y and z. Defaults to
            (28, 28, 28).

    Raises:
        ValueError: if an argument is out of range.

    References:
        Chen et al. 2020, released code; spec dm_rnnprop.md 1.9.
    """

    def __init__(
        self,
        batch_size: int = 32,
        points: int = 5,
        roi: Sequence[int] = (28, 28, 28),
    ) -> None:
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.points = checks.positive_int("points", points)
        self.roi = _checked_roi(roi)
        names = [f"{k}_var_{i}" for i in range(points) for k in _KINDS]
        self.layout = Layout.from_shapes(
            dict.fromkeys([*names, "bg_var"], (batch_size, 1))
        )

    def reset(self, seed: Seed) -> tuple[Vector, tf.Tensor]:
        """Draw the start and the simulated parameters; `(params, target)`."""
        n, b = self.layout.size, self.batch_size
        spots = seeds.uniform(seeds.fold_in(seed, 0), [n - b])
        background = seeds.normal(seeds.fold_in(seed, 1), [b], 0.01)
        simulated = seeds.uniform(seeds.fold_in(seed, 2), [n])
        params = tf.concat([spots, background], axis=0)
        return params, self.target(simulated)

    def image(self, params: Vector) -> tf.Tensor:
        """Render the volumes `[B, roi_x, roi_y, roi_z]` of u `[N]`."""
        # Every tensor of the layout has B entries: rows are tensors.
        rows = tf.reshape(params, [-1, self.batch_size])
        shape = [self.points, len(_KINDS), self.batch_size]
        spots = tf.reshape(rows[:-1], shape)
        intensity, *means, u_xy, u_z = tf.unstack(spots, axis=1)
        sigma_xy, sigma_z = (_rescale(u, *_SIGMA) for u in (u_xy, u_z))
        along_x, along_y, along_z = (
            _integral(size, _rescale(mean, _LEAST_POSITION, size - 1), sigma)
            for size, mean, sigma in zip(
                self.roi, means, (sigma_xy, sigma_xy, sigma_z), strict=True
            )
        )
        along_x *= _rescale(intensity, *_INTENSITY)[..., None] / 8.0
        # The background is one more spot, flat along every axis: its gradient,
        # too, is then summed axis by axis.
        flat_x, flat_y, flat_z = (
            tf.ones_like(along[:1]) for along in (along_x, along_y, along_z)
        )
        along_x = tf.concat([along_x, flat_x * rows[-1][:, None]], axis=0)
        along_y = tf.concat([along_y, flat_y], axis=0)
        along_z = tf.concat([along_z, flat_z], axis=0)
        planes = tf.einsum("pbx,pby->pbxy", along_x, along_y)
        return tf.einsum("pbxy,pbz->bxyz", planes, along_z)

    def target(self, simulated: Vector) -> tf.Tensor:
        """Render u `[N]` and divide each volume by its Euclidean norm.

        A volume whose spots and background are zero has no direction and gives
        NaN; parameters in (0, 1) cannot make one.
        """
        volumes = self.image(simulated)
        norms = tf.sqrt(_squared_norms(volumes))
        return volumes / norms[:, None, None, None]

    def loss(
        self, params: Vector, constants: tf.Tensor, batch: tuple[()]
    ) -> Scalar:
        """Compute f(u) against the target, the constant."""
        del batch
        error = self.image(params) - constants
        return tf.reduce_mean(_squared_norms(error))
