"""The tables: what their rows and labels are, and that seeds decide."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import make_classification

from l2o_tf.core import seeds
from l2o_tf.datasets import tabular

MAKERS = {
    "separable_classes": lambda seed: tabular.separable_classes(
        4, 60, seed=seed
    ),
    "random_mlp_classes": lambda seed: tabular.random_mlp_classes(
        4, 60, seed=seed
    ),
    "random_binary": lambda seed: tabular.random_binary(4, 60, seed=seed),
    "random_symmetric": lambda seed: tabular.random_symmetric(4, 60, seed=seed),
    "noisy_parity": lambda seed: tabular.noisy_parity(60, 3, 4, seed=seed),
}
each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@each_maker
def test_a_table_has_one_int_label_per_row(make):
    features, labels = make(1)
    assert features.shape == (60, 4)
    assert (labels.shape, labels.dtype) == ((60,), tf.int32)
    ids = make is MAKERS["noisy_parity"]
    assert features.dtype == (tf.int32 if ids else tf.float32)


@each_maker
def test_the_seed_decides_the_table(make):
    first, again, other = make(1), make(1), make(2)
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert (first.features != other.features).numpy().mean() > 0.2


@pytest.mark.parametrize(
    ("features", "classes", "separation", "seed"),
    [(10, 2, 2.0, 123), (5, 3, 1.5, 7)],
)
def test_separable_classes_are_scikit_learns(
    features, classes, separation, seed
):
    expected, labels = make_classification(
        n_samples=200,
        n_features=features,
        n_informative=features,
        n_redundant=0,
        n_classes=classes,
        class_sep=separation,
        random_state=seed,
    )
    table = tabular.separable_classes(features, 200, classes, separation, seed)
    np.testing.assert_array_equal(table.features, expected.astype("f4"))
    np.testing.assert_array_equal(table.labels, labels)


def test_separable_classes_have_the_originals_defaults():
    default = tabular.separable_classes(10, 50)
    explicit = tabular.separable_classes(10, 50, 2, 1.0, 123)
    np.testing.assert_array_equal(default.features, explicit.features)


@pytest.mark.parametrize(("num_layers", "width"), [(6, 20), (2, 3)])
def test_a_random_networks_first_unit_is_the_label(num_layers, width):
    seed = seeds.make_seed(5)
    table = tabular.random_mlp_classes(7, 300, num_layers, width, seed=5)
    hidden = table.features.numpy()
    rows = 7
    for layer in range(1, num_layers + 1):
        drawn = seeds.normal(seeds.fold_in(seed, layer), [rows, width])
        # sqrt(2 / features) in every layer, not only in the first.
        hidden = np.maximum(hidden @ drawn.numpy() * np.sqrt(2.0 / 7.0), 0.0)
        rows = width
    np.testing.assert_array_equal(table.labels, hidden[:, 0] > 0.0)
    assert 0.0 < table.labels.numpy().mean() < 1.0


def test_a_random_networks_inputs_are_standard_normal():
    x = tabular.random_mlp_classes(10, 4000, seed=3).features.numpy()
    assert abs(x.mean()) < 4.5 / np.sqrt(x.size)
    assert abs(x.std() - 1.0) < 4.5 / np.sqrt(2 * x.size)


def test_random_networks_have_six_layers_of_twenty_by_default():
    default = tabular.random_mlp_classes(4, 100, seed=2)
    explicit = tabular.random_mlp_classes(4, 100, 6, 20, seed=2)
    np.testing.assert_array_equal(default.labels, explicit.labels)


def test_binary_features_are_a_fair_coins():
    features, labels = tabular.random_binary(50, 400)
    assert set(np.unique(features)) == {0.0, 1.0}
    assert abs(features.numpy().mean() - 0.5) < 4.5 * 0.5 / np.sqrt(20_000)
    assert not labels.numpy().any()


def test_symmetric_rows_come_with_their_negatives():
    features, labels = tabular.random_symmetric(20, 400)
    half = features.numpy()[:200]
    np.testing.assert_array_equal(features.numpy()[200:], -half)
    assert abs(half.std() - 1.0) < 4.5 / np.sqrt(2 * half.size)
    assert not labels.numpy().any()


@pytest.mark.parametrize("num_classes", [2, 3])
def test_parity_without_noise_is_the_sum_of_the_ids(num_classes):
    ids, labels = tabular.noisy_parity(200, num_classes, 5, 0.0)
    assert set(np.unique(ids)) == set(range(num_classes))
    np.testing.assert_array_equal(labels, ids.numpy().sum(axis=1) % num_classes)


def test_a_quarter_of_the_parities_is_one_more():
    ids, labels = tabular.noisy_parity(4000, seed=4)
    wrong = (labels.numpy() - ids.numpy().sum(axis=1)) % 2
    assert abs(wrong.mean() - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / 4000)


def test_the_default_parity_has_five_rows_of_five_ids():
    ids, labels = tabular.noisy_parity()
    assert ids.shape == (5, 5)
    assert labels.shape == (5,)
    np.testing.assert_array_equal(ids, tabular.noisy_parity(seed=123).features)


@pytest.mark.parametrize("name", list(MAKERS)[:4])
@pytest.mark.parametrize("argument", ["num_features", "num_samples"])
@pytest.mark.parametrize("value", [0, 2.0])
def test_a_bad_size_is_refused(name, argument, value):
    sizes = {"num_features": 4, "num_samples": 8, argument: value}
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        getattr(tabular, name)(**sizes)


@pytest.mark.parametrize("name", list(MAKERS)[1:])
def test_a_bad_seed_is_refused(name):
    sizes = {} if name == "noisy_parity" else {"num_features": 4}
    with pytest.raises(ValueError, match="Received: seed=0.5"):
        getattr(tabular, name)(num_samples=8, seed=0.5, **sizes)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("separable_classes", "num_classes", 1),
        ("separable_classes", "num_classes", 9),
        ("separable_classes", "class_separation", 0.0),
        ("separable_classes", "seed", -1),
        ("separable_classes", "seed", None),
        ("random_mlp_classes", "num_layers", 0),
        ("random_mlp_classes", "width", 0),
    ],
)
def test_a_bad_option_is_refused(name, argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        getattr(tabular, name)(4, 60, **{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_samples", 0),
        ("num_classes", 1),
        ("num_ids", 0),
        ("noise_probability", 1.5),
    ],
)
def test_a_bad_option_of_parity_is_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        tabular.noisy_parity(**{argument: value})


def test_an_odd_number_of_symmetric_rows_is_refused():
    with pytest.raises(ValueError, match="Received: num_samples=7"):
        tabular.random_symmetric(4, 7)
