"""Sums over the tensors of a flat vector, and numbers spread over them.

A cell that sees tensors as such needs two maps between `[F, N]`, a column per
coordinate, and `[F, P]`, a column per tensor: the sum of a tensor's columns,
and its transpose, a tensor's column repeated. Both are made of slices and
gathers with static indices, so that they are deterministic on every device
(no atomic additions) and cost O(N F) however many tensors there are: a large
tensor is one slice; the others are gathered together by size, each padded to
the next power of two. At most 32 tensors are large, because every slice is an
operation to compile: with a slice for each of 500 tensors XLA takes minutes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from l2o_tf.core.layout import Layout

SMALLEST_SLICE = 256
MOST_SLICES = 32


class Segments:
    """Reduce and spread columns tensor by tensor.

    Args:
        layout: `Layout` of P tensors and N coordinates.
    """

    def __init__(self, layout: Layout) -> None:
        self.sizes = np.array(layout.sizes)
        self._offsets = np.array(layout.offsets)
        # Coordinates from which a tensor is worth a slice of its own.
        self._large_size = max(SMALLEST_SLICE, layout.size // MOST_SLICES)
        large = [i for i, n in enumerate(self.sizes) if n >= self._large_size]
        by_width: dict[int, list[int]] = {}
        for i, n in enumerate(self.sizes):
            if n < self._large_size:
                width = 1 << int(n - 1).bit_length()
                by_width.setdefault(width, []).append(i)
        self._large = large
        self._groups = [
            self._group(width, members) for width, members in by_width.items()
        ]
        order = large + [i for members in by_width.values() for i in members]
        self._order = np.argsort(order)
        self._pieces = self._runs()

    def _group(
        self, width: int, members: list[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `(indices, inside)`, both `[members, width]`."""
        inside = np.arange(width) < self.sizes[members, np.newaxis]
        indices = self._offsets[members, np.newaxis] + np.arange(width)
        return np.where(inside, indices, 0), inside

    def _runs(self) -> list[tuple[int, int]]:
        """Cut the tensors into runs [i, j): a large one, or small ones."""
        runs: list[tuple[int, int]] = []
        for i, n in enumerate(self.sizes):
            small = n < self._large_size
            if small and runs and self.sizes[runs[-1][0]] < self._large_size:
                runs[-1] = (runs[-1][0], i + 1)
            else:
                runs.append((i, i + 1))
        return runs

    def sum(self, columns: tf.Tensor) -> tf.Tensor:
        """Add each tensor's columns up: `[F, N]` to `[F, P]`."""
        return _with_transpose(self._sum, self._spread)(columns)

    def mean(self, columns: tf.Tensor) -> tf.Tensor:
        """Average each tensor's columns: `[F, N]` to `[F, P]`."""
        return self.sum(columns) / tf.constant(self.sizes, columns.dtype)

    def spread(self, columns: tf.Tensor) -> tf.Tensor:
        """Give each coordinate its tensor's column: `[F, P]` to `[F, N]`."""
        return _with_transpose(self._spread, self._sum)(columns)

    def _sum(self, columns: tf.Tensor) -> tf.Tensor:
        sums = []
        for i in self._large:
            begin = self._offsets[i]
            tensor = columns[:, begin : begin + self.sizes[i]]
            sums.append(tf.reduce_sum(tensor, axis=1, keepdims=True))
        for indices, inside in self._groups:
            tensors = tf.gather(columns, indices, axis=1)  # [F, p, width]
            tensors = tf.where(inside, tensors, tf.zeros_like(tensors))
            sums.append(tf.reduce_sum(tensors, axis=2))
        return tf.gather(tf.concat(sums, axis=1), self._order, axis=1)

    def _spread(self, columns: tf.Tensor) -> tf.Tensor:
        pieces = []
        for i, j in self._pieces:
            own, sizes = columns[:, i:j], self.sizes[i:j]
            if sizes[0] >= self._large_size:
                piece = tf.broadcast_to(own, [columns.shape[0], sizes[0]])
            else:
                tensor = np.repeat(np.arange(j - i), sizes)
                # By rows, which the graph runtime copies whole.
                piece = tf.transpose(tf.gather(tf.transpose(own), tensor))
            pieces.append(piece)
        return tf.concat(pieces, axis=1)


Linear = Callable[[tf.Tensor], tf.Tensor]


def _with_transpose(forward: Linear, transpose: Linear) -> Linear:
    """Return the linear map with its transpose as its derivative.

    Their own derivatives are scatters, slow on a CPU and in no fixed order on
    a GPU.
    """

    @tf.custom_gradient
    def apply(columns: tf.Tensor) -> tuple[tf.Tensor, Linear]:
        return forward(columns), _with_transpose(transpose, forward)

    return apply


@functools.lru_cache(maxsize=256)
def segments(layout: Layout) -> Segments:
    """Return the layout's `Segments`, built once."""
    return Segments(layout)
