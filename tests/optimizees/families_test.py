"""The families: recorded losses, every number of the table, and names."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import make_classification
from support.problem_zoo import (
    assert_is_recorded,
    instances,
    path_of,
    set_names,
)

from l2o_tf.core import seeds
from l2o_tf.datasets.base import SPLITS, ImageDataset, make_split
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees import data_families
from l2o_tf.optimizees.bowls import Bowl
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.dense_classifier import DenseClassifier
from l2o_tf.optimizees.dependency_chain import DependencyChain
from l2o_tf.optimizees.families import (
    DEFAULT_FAMILIES,
    FAMILIES,
    build_member,
    family,
    member_names,
)
from l2o_tf.optimizees.gaussian_quadratics import (
    GaussianNorm,
    GaussianQuadratic,
)
from l2o_tf.optimizees.landscapes import Landscape
from l2o_tf.optimizees.matmul_algorithm import MatMulAlgorithm
from l2o_tf.optimizees.min_max_well import MinMaxWell
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
from l2o_tf.optimizees.tabular import TabularOptimizee
from l2o_tf.optimizees.wrappers import (
    LogObjective,
    NoisyGradients,
    Rescale,
    SparseGradients,
)

RECORDED = {
    "quadratic_problems": "quadratic",
    "quadratic_problems_noisy": "noisy_quadratic",
    "bowl_problems": "bowl",
    "bowl_problems_noisy": "noisy_bowl",
    "softmax_2_class_problems": "softmax_2_class",
    "softmax_2_class_problems_noisy": "noisy_softmax_2_class",
    "optimization_test_problems": "optimization_test",
    "fully_connected_random_2_class_problems": (
        "fully_connected_random_2_class"
    ),
    "matmul_problems": "matmul",
    "log_objective_problems": "log_objective",
    "rescale_problems": "rescale",
    "norm_problems": "norm",
    "norm_problems_noisy": "noisy_norm",
    "sum_problems": "sum",
    "sum_problems_noisy": "noisy_sum",
    "sparse_gradient_problems": "sparse_gradient",
    "sparse_gradient_problems_mlp": "sparse_gradient",
    "sparse_softmax_2_class_sparse_problems": "sparse_softmax",
    "one_hot_sparse_softmax_2_class_sparse_problems": "one_hot_sparse_softmax",
    "sum_of_quadratics_problems": "sum_of_quadratics",
    "projection_quadratic_problems": "projection_quadratic",
    "outward_snake_problems": "outward_snake",
    "dependency_chain_problems": "dependency_chain",
    "min_max_well_problems": "min_max_well",
}
"""The recorded sets, and the families that have their members."""

FIRST_PLACE = {"sparse_gradient_problems_mlp": 6}
SEED = seeds.make_seed(3)


def test_every_recorded_set_has_a_family(shared_dir):
    assert set(set_names(path_of(shared_dir))) == set(RECORDED)


def recorded_batch(drawn, instance):
    """Put the recorded rows in the place of the drawn ones."""
    if isinstance(drawn, Table):
        assert drawn.features.shape == instance.data.shape
        return Table(
            tf.cast(instance.data, drawn.features.dtype),
            tf.reshape(tf.cast(instance.labels, tf.int32), [-1]),
        )
    if isinstance(drawn, tuple):
        return tuple(recorded_batch(part, instance) for part in drawn)
    return drawn


@pytest.mark.parametrize(("recorded_set", "name"), RECORDED.items())
def test_loss_and_gradient_are_the_recorded_ones(
    shared_dir, recorded_set, name
):
    first = FIRST_PLACE.get(recorded_set, 0)
    for instance in instances(path_of(shared_dir), recorded_set):
        problem = build_member(f"{name}/{first + instance.index}", "train")
        _, drawn = problem.reset(SEED)
        pairs = zip(instance.ws, instance.ys, strict=True)
        constants = tf.nest.pack_sequence_as(
            drawn, list(itertools.chain(*pairs))
        )
        batch = recorded_batch(problem.sample(SEED), instance)
        assert_is_recorded(problem, instance, constants, batch)


def describe(problem):
    """Write a problem as the table of the specification has it."""
    match problem:
        case NoisyGradients():
            return "noisy", describe(problem.optimizee), problem.stddev
        case SparseGradients():
            inner = describe(problem.optimizee)
            return "sparse", inner, problem.zero_probability
        case Rescale():
            return "rescale", describe(problem.optimizee), problem.scale
        case LogObjective():
            return "log", describe(problem.optimizee)
        case Sum():
            return "sum", *map(describe, problem.optimizees)
        case GaussianQuadratic():
            return problem.dim
        case GaussianNorm():
            return problem.dim, problem.power
        case Bowl():
            return problem.condition_number, problem.angle
        case Landscape():
            return problem.function
        case MatMulAlgorithm():
            return problem.size, problem.rank
        case MinMaxWell():
            return "well", problem.layout.size
        case DependencyChain():
            return "chain", problem.length
        case DenseClassifier():
            assert problem.activation == "sigmoid"
            assert problem.init_stddev == 0.01
            return problem.num_columns, problem.hidden, problem.batch_size
        case SparseSoftmaxRegression():
            return problem.one_hot, problem.layout.shapes, problem.batch_size
        case TabularOptimizee():
            rows = problem.num_rows, problem.batch_size
            return type(problem), problem.num_columns, rows
    raise AssertionError(problem)


def noisy(members, *stddevs):
    return [("noisy", m, s) for m, s in zip(members, stddevs, strict=True)]


BOWLS = [(0.1, 0), (1, 0), (5, 0), (5, math.pi / 4)]
LANDSCAPES = [
    "ackley",
    "beale",
    "booth",
    "branin",
    "log_sum_exp",
    "matyas",
    "michalewicz",
    "rosenbrock",
    "styblinski_tang",
]
NINE = [
    "rosenbrock",
    "log_sum_exp",
    "ackley",
    "beale",
    "booth",
    "styblinski_tang",
    "matyas",
    "branin",
    "michalewicz",
]
SUMS = [
    ("sum", 11, 3, 9, 7, 5, 13, 12),
    ("sum", (18, 3), 25, "rosenbrock"),
    ("sum", *NINE),
    ("sum", *NINE, 5, 13),
    ("sum", 11, 3),
    ("sum", "rosenbrock", "log_sum_exp", "ackley"),
]
SIX = [20, 50, 100, (0.1, 0), (1, 0), (5, 0)]
MLPS = [
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
]
SOFTMAX = [
    (SoftmaxRegression, dim, (1000, batch))
    for dim, batch in ((10, 100), (100, 50), (200, 20), (256, 100))
]
DIMS = (20, 12, 56, 64, 13) * 2
BATCHES = (100, 10, 100, 50, 50, 128, 16, 128, 64, 32)
ROWS = (1000, 100, 5000, 1000, 10000) * 2
SNAKE_ROWS = (1000, 200, *ROWS[2:6], 300, *ROWS[7:])
PARITY_SHAPES = ((2, 5), (5, 2), (2,))


def over_rows(kind, all_rows):
    return [
        (kind, dim, (rows, batch))
        for dim, rows, batch in zip(DIMS, all_rows, BATCHES, strict=True)
    ]


TABLE = {
    "quadratic": [20, 25, 50, 100],
    "noisy_quadratic": [
        ("noisy", 20, 0.5), 25, ("noisy", 50, 1), ("noisy", 100, 2),
    ],
    "large_quadratic": [784, 1024, 2048],
    "bowl": BOWLS,
    "noisy_bowl": noisy(BOWLS, 0.1, 0.1, 0.1, 0.1),
    "softmax_2_class": SOFTMAX,
    "noisy_softmax_2_class": noisy(SOFTMAX, 0.5, 0.1, 0.1, 0.5),
    "optimization_test": LANDSCAPES,
    "noisy_optimization_test": noisy(LANDSCAPES, *[1.0] * 9),
    "fully_connected_random_2_class": MLPS,
    "matmul": [
        *((2, k) for k in (5, 6, 7, 8)),
        *((3, k) for k in (19, 20, 21, 22, 23, 24)),
    ],
    "log_objective": [("log", member) for member in SIX],
    "rescale": [
        *(
            ("rescale", (18, p), s)
            for p, s in ((2.5, 0.123), (1.5, 8), (2, 50), (3, 200), (1, 1000))
        ),
        *(
            ("rescale", dim, s)
            for dim, s in ((20, 0.1), (25, 10), (50, 350), (100, 132))
        ),
    ],
    "norm": [(27, 1), (25, 2), (22, 3)],
    "noisy_norm": noisy([(19, 1), (26, 2), (23, 3)], 0.1, 0.1, 0.1),
    "sum": SUMS,
    "noisy_sum": [SUMS[0], SUMS[3]],
    "sparse_gradient": [("sparse", m, 0.99) for m in (*SIX, *MLPS[:3])],
    "sparse_softmax": [(False, PARITY_SHAPES, 23)],
    "one_hot_sparse_softmax": [(True, PARITY_SHAPES, 23)],
    "sum_of_quadratics": over_rows(SumOfQuadratics, ROWS),
    "projection_quadratic": over_rows(ProjectionQuadratic, ROWS),
    "outward_snake": over_rows(OutwardSnake, SNAKE_ROWS),
    "dependency_chain": [("chain", dim) for dim in DIMS],
    "min_max_well": [("well", dim) for dim in DIMS[:5]],
}  # fmt: skip
ON_IMAGES = {"mnist_mlp", "mnist_conv", "cifar10_conv"}


@pytest.mark.parametrize("name", TABLE)
def test_a_family_has_the_members_of_the_specification(name):
    built = [build_member(n, "train") for n in member_names(name)]
    assert [describe(problem) for problem in built] == TABLE[name]


def test_there_is_no_other_family():
    assert set(FAMILIES) == set(TABLE) | ON_IMAGES


def test_the_default_is_101_problems():
    assert sum(len(FAMILIES[name]) for name in DEFAULT_FAMILIES) == 101
    assert len(DEFAULT_FAMILIES) == 17
    off = {"quadratic", *list(TABLE)[-7:], *ON_IMAGES}
    assert set(DEFAULT_FAMILIES) == set(FAMILIES) - off


@pytest.mark.parametrize(
    ("number", "separation"), [(0, 2.0), (1, 1.0), (2, 1.5), (3, 1.5)]
)
@pytest.mark.parametrize("name", ["softmax_2_class", "noisy_softmax_2_class"])
def test_the_softmax_tables_are_scikit_learns(name, number, separation):
    problem = build_member(f"{name}/{number}", "train")
    features, labels = problem.sample_objective(SEED)[:2]
    if name.startswith("noisy"):
        features, labels = features
    expected, expected_labels = make_classification(
        1000,
        features.shape[1],
        n_informative=features.shape[1],
        n_redundant=0,
        class_sep=separation,
        random_state=123,
    )
    np.testing.assert_array_equal(features, expected.astype("f4"))
    np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize(
    "name",
    [
        "fully_connected_random_2_class",
        "sum_of_quadratics",
        "projection_quadratic",
        "outward_snake",
    ],
)
def test_members_of_equal_size_have_different_tables(name):
    tables = [build_member(n, "train").table for n in member_names(name)]
    heads = [t.features[:100].numpy() for t in tables]
    pairs = [
        (a, b)
        for a, b in itertools.combinations(heads, 2)
        if a.shape == b.shape
    ]
    assert len(pairs) >= 5
    assert all((a != b).mean() > 0.4 for a, b in pairs)


@pytest.mark.parametrize("name", ["outward_snake/3", "sparse_gradient/7"])
def test_a_member_has_the_same_table_whenever_it_is_built(name):
    one, other = (
        tf.nest.flatten(build_member(name, "train").sample_objective(SEED))
        for _ in range(2)
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_objective_of_a_member_is_measured_on_all_its_rows():
    wrapped, _ = build_member("noisy_softmax_2_class/0", "train").sample(SEED)
    whole, _ = build_member(
        "noisy_softmax_2_class/0", "train"
    ).sample_objective(SEED)
    assert (wrapped.labels.shape, whole.labels.shape) == ((100,), (1000,))


@pytest.fixture
def tiny_images(monkeypatch):
    """Put blank images in the data sets' place; return what was asked."""
    shapes = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
    asked = []

    def load(name):
        asked.append(name)
        images = np.zeros([10_000, *shapes[name]], np.uint8)
        split = make_split(images, np.arange(10_000) % 10)
        return ImageDataset(name, dict.fromkeys(SPLITS, split), 10)

    monkeypatch.setattr(data_families, "load_images", load)
    return asked


@pytest.mark.parametrize(
    ("name", "kind", "data", "batch_size", "shapes"),
    [
        (
            "mnist_mlp", MLP, "mnist", 128,
            ((784, 20), (20,), (20, 10), (10,)),
        ),
        (
            "mnist_conv", PlainConvNet, "mnist", 64,
            ((3, 3, 1, 8), (8,), (5, 5, 8, 8), (8,), (6272, 10), (10,)),
        ),
        (
            "cifar10_conv", PlainConvNet, "cifar10", 64,
            ((3, 3, 3, 16), (16,), (5, 5, 16, 16), (16,), (16384, 10), (10,)),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_family_on_images_is_one_network(
    tiny_images, name, kind, data, batch_size, shapes, split
):
    assert member_names(name) == (f"{name}/0",)
    network = build_member(f"{name}/0", split)
    assert type(network) is kind
    assert tiny_images == [data]
    assert (network.split, network.batch_size) == (split, batch_size)
    # Training measures f on as many images as the original.
    measured = {"train": 10_000, "test": None}[split]
    assert network.objective_size == measured
    assert network.init_stddev == 0.01
    assert network.layout.shapes == shapes
    expected = "sigmoid" if kind is MLP else "relu"
    assert network.activation == expected
    assert getattr(network, "relu_logits", True) is True


def test_members_are_numbered_from_0():
    assert member_names("bowl") == ("bowl/0", "bowl/1", "bowl/2", "bowl/3")


def test_an_unknown_family_is_refused_with_the_nearest_and_all():
    with pytest.raises(ValueError, match="Received: family='bowls'") as caught:
        family("bowls")
    assert "Did you mean 'bowl'? Known: " in str(caught.value)
    assert str(caught.value).endswith(f"{', '.join(FAMILIES)}.")


def test_a_family_like_no_other_gets_no_guess():
    with pytest.raises(ValueError, match="Received: family='xyz'") as caught:
        member_names("xyz")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("place", ["4", "-1", "02", "", "1/2", "one"])
def test_a_place_that_does_not_exist_is_refused(place):
    message = f"bowl/0 to bowl/3. Received: optimizee='bowl/{place}'"
    with pytest.raises(ValueError, match=message):
        build_member(f"bowl/{place}", "train")


def test_a_bad_split_of_a_member_on_images_is_refused(tiny_images):
    with pytest.raises(ValueError, match="Received: split='valid'"):
        build_member("mnist_mlp/0", "valid")
