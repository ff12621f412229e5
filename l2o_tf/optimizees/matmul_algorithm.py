"""Search for a way to multiply matrices with few multiplications."""

from __future__ import annotations

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.synthetic import FixedFunction


def _products(size: int) -> np.ndarray:
    """Return vec(a b) of all pairs of one-hot matrices, `[n^4, n^2]`.

    a has its 1 at (i, j), b at (l, m); a b is one-hot at (i, m) if j = l.
    """
    one = np.eye(size)
    pairs = np.einsum("ip,jl,mq->ijlmpq", one, one, one)
    return pairs.reshape(size**4, size**2)


@gin.register(module="l2o_tf.optimizees")
class MatMulAlgorithm(FixedFunction):
    """Minimise the error of an algorithm that multiplies n x n matrices.

        q(a, b) = (A^T vec a) * (B^T vec b)                       [k]
        f(A, B) = min_C sum_{a, b} || C^T q(a, b) - vec(a b) ||^2

    over all n^4 pairs of one-hot a and b, by which every product is decided. k
    is the number of multiplications: Strassen's algorithm is a minimum
    f = 0 with n = 2, k = 7. With Q `[n^4, k]` the rows q and c `[n^4, n^2]`
    the rows vec(a b), C = (Q^T Q)^{-1} Q^T c by Cholesky's decomposition, which
    the gradient passes through; where Q has no full rank, f is not a number.

    A and B `[n^2, k]` start from Normal(0, 1) with every column divided by its
    length. There are no constants and no minibatch.

    Args:
        size: int, n.
        rank: int, k <= n^4.

    Raises:
        ValueError: if an argument is not a positive int, or k exceeds n^4.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
        Strassen, "Gaussian elimination is not optimal", 1969.
    """

    def __init__(self, size: int, rank: int) -> None:
        self.size = checks.positive_int("size", size)
        self.rank = checks.positive_int("rank", rank)
        if rank > size**4:
            raise ValueError(
                "There are n^4 pairs to fit: more multiplications than that "
                f"have no unique answer. Received: rank={rank}, size={size}. "
                f"Use rank <= {size**4}."
            )
        shape = (size**2, rank)
        self.layout = Layout.from_shapes({"left": shape, "right": shape})
        self._targets = _products(size)

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw A and B."""
        x = seeds.normal(seed, [2, self.size**2, self.rank])
        length = tf.norm(x, axis=1, keepdims=True)
        return tf.reshape(x / length, [-1]), ()

    def value(self, params: Vector) -> Scalar:
        """Compute f(A, B)."""
        left, right = self.layout.split(params)
        # One-hot a picks row a of A: Q holds all products of two rows.
        q = tf.reshape(left[:, None] * right[None], [-1, self.rank])
        targets = tf.constant(self._targets, params.dtype)
        factor = tf.linalg.cholesky(tf.matmul(q, q, transpose_a=True))
        fit = tf.linalg.cholesky_solve(
            factor, tf.matmul(q, targets, transpose_a=True)
        )
        return tf.reduce_sum((tf.matmul(q, fit) - targets) ** 2)
