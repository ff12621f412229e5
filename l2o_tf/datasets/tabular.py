"""Small tables of labelled rows, made from a seed: data of L2O-Scale's zoo.

Every table is drawn once, when it is made, and then lies on the device; the
largest has 10,000 rows of 13 numbers. `separable_classes` has scikit-learn's
own random numbers, all others those of core/seeds.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds


class Table(NamedTuple):
    """Rows of numbers with one label each.

    Attributes:
        features: float32 `[n, f]`, or int32 where the columns are ids.
        labels: int32 `[n]`; zeros where a problem does not read them.
    """

    features: tf.Tensor
    labels: tf.Tensor


def _shape(num_features: int, num_samples: int) -> list[int]:
    return [
        checks.positive_int("num_samples", num_samples),
        checks.positive_int("num_features", num_features),
    ]


@gin.register(module="l2o_tf.datasets")
def separable_classes(
    num_features: int,
    num_samples: int,
    num_classes: int = 2,
    class_separation: float = 1.0,
    seed: int = 123,
) -> Table:
    """Make classes that lie around the corners of a hypercube.

    scikit-learn's `make_classification` with every feature informative, none
    redundant, and its defaults otherwise (two clusters a class, 1 % of the
    labels drawn at random).

    Args:
        num_features: int, f.
        num_samples: int, n.
        num_classes: int, at least 2; 2 num_classes <= 2**num_features.
        class_separation: float, half the side of the hypercube, > 0.
        seed: int >= 0, scikit-learn's `random_state`.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Guyon, "Design of experiments for the NIPS 2003 variable selection
        benchmark" (the hypercube); spec l2o_scale.md 3.3.
    """
    _shape(num_features, num_samples)
    _check_num_classes(num_classes)
    if 2 * num_classes > 2**num_features:
        raise ValueError(
            "Two clusters a class need as many corners of the hypercube: "
            "2 num_classes <= 2**num_features. Received: "
            f"num_classes={num_classes}, num_features={num_features}."
        )
    checks.real("class_separation", class_separation, low=0.0, low_open=True)
    if checks.integer("seed", seed) < 0:
        raise ValueError(
            f"scikit-learn wants a seed of at least 0. Received: seed={seed!r}."
        )
    # Here and not above: it takes a second, which only these tables need.
    from sklearn.datasets import make_classification

    features, labels = make_classification(
        n_samples=num_samples,
        n_features=num_features,
        n_informative=num_features,
        n_redundant=0,
        n_classes=num_classes,
        class_sep=class_separation,
        random_state=seed,
    )
    return Table(
        tf.convert_to_tensor(features.astype(np.float32)),
        tf.convert_to_tensor(labels.astype(np.int32)),
    )


@gin.register(module="l2o_tf.datasets")
def random_mlp_classes(
    num_features: int,
    num_samples: int,
    num_layers: int = 6,
    width: int = 20,
    seed: int = 0,
) -> Table:
    """Make two classes that a random network of ReLUs tells apart.

        h_0 = x ~ Normal(0, 1) `[n, f]`;  h_l = relu(h_{l-1} W_l)
        label = 1 where the first unit of the last layer is above 0, else 0

    There is no bias. W_l is Normal(0, 2 / f) with f of the INPUT in every
    layer, as in the original. Six layers turn most rows the same way: one
    class often has few rows, and in one table of five or so it has none.

    Args:
        num_features: int, f.
        num_samples: int, n.
        num_layers: int, layers of ReLUs. Defaults to 6.
        width: int, units of each. Defaults to 20.
        seed: int, fixes the table.

    Raises:
        ValueError: if an argument is not a positive int, or `seed` no seed.

    References:
        Wichrowska et al., ICML 2017, section 4; spec l2o_scale.md 3.3.
    """
    shape = _shape(num_features, num_samples)
    checks.positive_int("num_layers", num_layers)
    checks.positive_int("width", width)
    root = seeds.make_seed(seed)
    features = hidden = seeds.normal(seeds.fold_in(root, 0), shape)
    stddev = math.sqrt(2.0 / num_features)
    for layer in range(1, num_layers + 1):
        weights = seeds.normal(
            seeds.fold_in(root, layer), [hidden.shape[1], width], stddev
        )
        hidden = tf.nn.relu(tf.matmul(hidden, weights))
    return Table(features, tf.cast(hidden[:, 0] > 0.0, tf.int32))


@gin.register(module="l2o_tf.datasets")
def random_binary(num_features: int, num_samples: int, seed: int = 0) -> Table:
    """Draw features 0.0 or 1.0 with equal odds; all labels are 0.

    Args:
        num_features: int, f.
        num_samples: int, n.
        seed: int, fixes the table.

    Raises:
        ValueError: if an argument is not a positive int, or `seed` no seed.
    """
    shape = _shape(num_features, num_samples)
    bits = seeds.integers(seeds.make_seed(seed), shape, 2)
    return Table(tf.cast(bits, tf.float32), tf.zeros(shape[:1], tf.int32))


@gin.register(module="l2o_tf.datasets")
def random_symmetric(
    num_features: int, num_samples: int, seed: int = 0
) -> Table:
    """Draw n/2 standard normal rows, and their negatives; all labels are 0.

    Args:
        num_features: int, f.
        num_samples: int, n, even.
        seed: int, fixes the table.

    Raises:
        ValueError: if an argument is not a positive int, `num_samples` is odd,
            or `seed` is no seed.
    """
    rows, columns = _shape(num_features, num_samples)
    if rows % 2:
        raise ValueError(
            "Rows and their negatives are an even number. "
            f"Received: num_samples={num_samples}."
        )
    half = seeds.normal(seeds.make_seed(seed), [rows // 2, columns])
    return Table(tf.concat([half, -half], axis=0), tf.zeros([rows], tf.int32))


@gin.register(module="l2o_tf.datasets")
def noisy_parity(
    num_samples: int = 5,
    num_classes: int = 2,
    num_ids: int = 5,
    noise_probability: float = 0.25,
    seed: int = 123,
) -> Table:
    """Make rows of ids whose label is their sum, now and then one more.

        ids uniform on 0 .. c - 1, `[n, m]`;  e ~ Bernoulli(q)
        label = (sum of the row's ids + e) mod c

    Args:
        num_samples: int, n. Defaults to 5.
        num_classes: int, c, of ids and of labels. Defaults to 2.
        num_ids: int, m. Defaults to 5.
        noise_probability: float, q. Defaults to 0.25.
        seed: int, fixes the table. Defaults to 123.

    Raises:
        ValueError: if an argument is out of range.
    """
    checks.positive_int("num_samples", num_samples)
    _check_num_classes(num_classes)
    checks.positive_int("num_ids", num_ids)
    checks.real("noise_probability", noise_probability, 0.0, 1.0)
    root = seeds.make_seed(seed)
    ids = seeds.integers(
        seeds.fold_in(root, 0), [num_samples, num_ids], num_classes
    )
    uniform = seeds.uniform(seeds.fold_in(root, 1), [num_samples])
    noise = tf.cast(uniform < noise_probability, tf.int32)
    return Table(ids, (tf.reduce_sum(ids, axis=1) + noise) % num_classes)


def _check_num_classes(num_classes: int) -> None:
    if checks.positive_int("num_classes", num_classes) < 2:
        raise ValueError(
            "There must be at least two classes. "
            f"Received: num_classes={num_classes}."
        )
