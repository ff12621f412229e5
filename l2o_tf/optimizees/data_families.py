"""The families of L2O-Scale's ensemble that need data, number by number.

What the original draws unseeded at its start comes here from a fixed seed,
another for each member: "outward_snake/3" is the same problem everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

from l2o_tf.datasets import tabular
from l2o_tf.datasets.images import load_images
from l2o_tf.optimizees.data_free_families import Builder, Family, noisy, sparse
from l2o_tf.optimizees.dense_classifier import DenseClassifier
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.outward_snake import OutwardSnake
from l2o_tf.optimizees.plain_conv import PlainConvNet
from l2o_tf.optimizees.row_quadratics import (
    ProjectionQuadratic,
    SumOfQuadratics,
)
from l2o_tf.optimizees.softmax_regression import (
    SoftmaxRegression,
    SparseSoftmaxRegression,
)

_NUM_SAMPLES = 1000
_SPARSE_SEED = 100  # of the tables of the first MLP under sparse gradients


class _Rows(NamedTuple):
    """Columns and rows of a table, and rows of a minibatch."""

    dim: int
    num_samples: int
    batch_size: int


_ROWS = (
    _Rows(20, 1000, 100),
    _Rows(12, 100, 10),
    _Rows(56, 5000, 100),
    _Rows(64, 1000, 50),
    _Rows(13, 10000, 50),
    _Rows(20, 1000, 128),
    _Rows(12, 100, 16),
    _Rows(56, 5000, 128),
    _Rows(64, 1000, 64),
    _Rows(13, 10000, 32),
)
_SNAKE_ROWS = (
    _ROWS[0],
    _Rows(12, 200, 10),
    *_ROWS[2:6],
    _Rows(12, 300, 16),
    *_ROWS[7:],
)


def _softmax(dim: int, class_separation: float, batch_size: int) -> Builder:
    return lambda split: SoftmaxRegression(
        tabular.separable_classes(
            dim, _NUM_SAMPLES, 2, class_separation, seed=123
        ),
        num_classes=2,
        batch_size=batch_size,
    )


_SOFTMAX = (
    _softmax(10, 2.0, 100),
    _softmax(100, 1.0, 50),
    _softmax(200, 1.5, 20),
    _softmax(256, 1.5, 100),
)


def _sparse_softmax(one_hot: bool) -> Builder:
    return lambda split: SparseSoftmaxRegression(
        tabular.noisy_parity(5, seed=123),
        num_classes=2,
        num_features=5,
        batch_size=23,
        one_hot=one_hot,
    )


# Inputs, hidden units, batch size.
_MLPS: tuple[tuple[int, tuple[int, ...], int], ...] = (
    (8, (8, 5), 10),
    (12, (8, 5, 3), 200),
    (5, (4, 4, 4, 4), 100),
    (11, (4, 5, 6), 64),
    (9, (8,), 128),
    (7, (8, 5), 16),
    (8, (32, 64), 10),
    (12, (16, 8, 3), 200),
    (5, (8, 8, 8, 8), 100),
    (11, (10, 12, 12), 64),
    (9, (32,), 128),
    (7, (32, 64), 16),
)


def _mlp(number: int, seed: int) -> Builder:
    inputs, hidden, batch_size = _MLPS[number]
    return lambda split: DenseClassifier(
        tabular.random_mlp_classes(inputs, _NUM_SAMPLES, seed=seed),
        num_classes=2,
        hidden=hidden,
        batch_size=batch_size,
    )


def _row_quadratic(
    kind: type[SumOfQuadratics] | type[ProjectionQuadratic],
    rows: _Rows,
    seed: int,
) -> Builder:
    return lambda split: kind(
        tabular.random_symmetric(rows.dim, rows.num_samples, seed),
        rows.batch_size,
    )


def _snake(rows: _Rows, seed: int) -> Builder:
    return lambda split: OutwardSnake(
        tabular.random_binary(rows.dim, rows.num_samples, seed),
        rows.batch_size,
    )


def _objective_size(split: str) -> int | None:
    """The images that measure f in training; only training asks for them."""
    return 10_000 if split == "train" else None


def _mnist_mlp(split: str) -> MLP:
    return MLP(
        load_images("mnist"),
        split,
        (20,),
        "sigmoid",
        batch_size=128,
        objective_size=_objective_size(split),
    )


def _conv(name: str, filters: tuple[int, int]) -> Builder:
    return lambda split: PlainConvNet(
        load_images(name),
        split,
        filters,
        kernels=(3, 5),
        batch_size=64,
        objective_size=_objective_size(split),
    )


SPARSE_MLPS: Family = sparse(
    _mlp(number, _SPARSE_SEED + number) for number in range(3)
)
"""The last members of the family `sparse_gradient`."""

DATA_FAMILIES: dict[str, Family] = {
    "softmax_2_class": _SOFTMAX,
    "noisy_softmax_2_class": noisy(_SOFTMAX, (0.5, 0.1, 0.1, 0.5)),
    "fully_connected_random_2_class": tuple(
        _mlp(number, seed=number) for number in range(len(_MLPS))
    ),
    "sparse_softmax": (_sparse_softmax(one_hot=False),),
    "one_hot_sparse_softmax": (_sparse_softmax(one_hot=True),),
    "sum_of_quadratics": tuple(
        _row_quadratic(SumOfQuadratics, rows, seed)
        for seed, rows in enumerate(_ROWS)
    ),
    "projection_quadratic": tuple(
        _row_quadratic(ProjectionQuadratic, rows, seed)
        for seed, rows in enumerate(_ROWS)
    ),
    "outward_snake": tuple(
        _snake(rows, seed) for seed, rows in enumerate(_SNAKE_ROWS)
    ),
    "mnist_mlp": (_mnist_mlp,),
    "mnist_conv": (_conv("mnist", (8, 8)),),
    "cifar10_conv": (_conv("cifar10", (16, 16)),),
}
