"""The families of L2O-Scale's ensemble that need no data, number by number.

A family is a tuple of builders. A builder takes a data split, which a problem
without data does not use, and returns a fresh optimizee.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.bowls import Bowl
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.dependency_chain import DependencyChain
from l2o_tf.optimizees.gaussian_quadratics import (
    GaussianNorm,
    GaussianQuadratic,
)
from l2o_tf.optimizees.landscapes import Landscape
from l2o_tf.optimizees.matmul_algorithm import MatMulAlgorithm
from l2o_tf.optimizees.min_max_well import MinMaxWell
from l2o_tf.optimizees.wrappers import (
    LogObjective,
    NoisyGradients,
    Rescale,
    SparseGradients,
)

Builder = Callable[[str], Optimizee]
Family = tuple[Builder, ...]


def _member(kind: Callable[..., Optimizee], *arguments: object) -> Builder:
    return lambda split: kind(*arguments)


def _wrapped(
    kind: Callable[..., Optimizee], inner: Builder, *arguments: object
) -> Builder:
    return lambda split: kind(inner(split), *arguments)


def noisy(members: Iterable[Builder], stddevs: Iterable[float]) -> Family:
    """Show each member's gradients with its own noise; 0 adds nothing."""
    return tuple(
        _wrapped(NoisyGradients, member, stddev) if stddev else member
        for member, stddev in zip(members, stddevs, strict=True)
    )


def sparse(members: Iterable[Builder]) -> Family:
    """Show each member's gradients with 99 % of the entries set to 0."""
    return tuple(_wrapped(SparseGradients, m, 0.99) for m in members)


def _quadratics(*dims: int) -> Family:
    return tuple(_member(GaussianQuadratic, dim) for dim in dims)


def _bowls(*condition_numbers: float) -> Family:
    return tuple(_member(Bowl, c, 0.0) for c in condition_numbers)


def _landscapes(*functions: str) -> Family:
    return tuple(_member(Landscape, f) for f in functions)


def _norms(*dims_and_powers: tuple[int, float]) -> Family:
    return tuple(_member(GaussianNorm, *each) for each in dims_and_powers)


def _sum(*members: Builder) -> Builder:
    return lambda split: Sum([member(split) for member in members])


def _rescaled(members: Iterable[Builder], scales: Iterable[float]) -> Family:
    return tuple(
        _wrapped(Rescale, member, scale)
        for member, scale in zip(members, scales, strict=True)
    )


_QUADRATICS = _quadratics(20, 25, 50, 100)

_BOWLS = (*_bowls(0.1, 1.0, 5.0), _member(Bowl, 5.0, math.pi / 4))

_LANDSCAPES = _landscapes(
    "ackley",
    "beale",
    "booth",
    "branin",
    "log_sum_exp",
    "matyas",
    "michalewicz",
    "rosenbrock",
    "styblinski_tang",
)

_QUADRATICS_AND_BOWLS = (*_quadratics(20, 50, 100), *_bowls(0.1, 1.0, 5.0))

_NINE_LANDSCAPES = _landscapes(
    "rosenbrock",
    "log_sum_exp",
    "ackley",
    "beale",
    "booth",
    "styblinski_tang",
    "matyas",
    "branin",
    "michalewicz",
)

_SUMS = (
    _sum(*_quadratics(11, 3, 9, 7, 5, 13, 12)),
    _sum(*_norms((18, 3.0)), *_quadratics(25), *_landscapes("rosenbrock")),
    _sum(*_NINE_LANDSCAPES),
    _sum(*_NINE_LANDSCAPES, *_quadratics(5, 13)),
    _sum(*_quadratics(11, 3)),
    _sum(*_landscapes("rosenbrock", "log_sum_exp", "ackley")),
)

DATA_FREE_FAMILIES: dict[str, Family] = {
    "quadratic": _QUADRATICS,
    "noisy_quadratic": noisy(_QUADRATICS, (0.5, 0.0, 1.0, 2.0)),
    "large_quadratic": _quadratics(784, 1024, 2048),
    "bowl": _BOWLS,
    "noisy_bowl": noisy(_BOWLS, (0.1,) * 4),
    "optimization_test": _LANDSCAPES,
    "noisy_optimization_test": noisy(_LANDSCAPES, (1.0,) * 9),
    "matmul": tuple(
        _member(MatMulAlgorithm, size, rank)
        for size, ranks in ((2, range(5, 9)), (3, range(19, 25)))
        for rank in ranks
    ),
    "log_objective": tuple(
        _wrapped(LogObjective, m) for m in _QUADRATICS_AND_BOWLS
    ),
    "rescale": (
        *_rescaled(
            _norms((18, 2.5), (18, 1.5), (18, 2.0), (18, 3.0), (18, 1.0)),
            (0.123, 8.0, 50.0, 200.0, 1000.0),
        ),
        *_rescaled(_QUADRATICS, (0.1, 10.0, 350.0, 132.0)),
    ),
    "norm": _norms((27, 1.0), (25, 2.0), (22, 3.0)),
    "noisy_norm": noisy(_norms((19, 1.0), (26, 2.0), (23, 3.0)), (0.1,) * 3),
    "sum": _SUMS,
    # Without noise: the original names .1 and .5 for these two, but its sum
    # never reads them.
    "noisy_sum": (_SUMS[0], _SUMS[3]),
    "sparse_gradient": sparse(_QUADRATICS_AND_BOWLS),
    "dependency_chain": tuple(
        _member(DependencyChain, dim) for dim in (20, 12, 56, 64, 13) * 2
    ),
    "min_max_well": tuple(
        _member(MinMaxWell, dim) for dim in (20, 12, 56, 64, 13)
    ),
}
"""What FAMILIES takes from here; `sparse_gradient` without its MLPs."""
