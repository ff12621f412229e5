"""The target problems of Metz et al., number by number."""

import functools

import gin
import numpy as np
import pytest
from support.gin_files import ROOT

from l2o_tf import config  # registers what the files name
from l2o_tf.core import seeds
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.datasets.images import load_images
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees import metz_tasks
from l2o_tf.optimizees.collection import OPTIMIZEES, named_optimizee
from l2o_tf.optimizees.metz_tasks import metz_conv, metz_conv_test
from l2o_tf.optimizees.outer_objective import OuterObjective
from l2o_tf.optimizees.pooled_conv import PooledConvNet
from l2o_tf.optimizees.sampled_classes import SampledClasses
from l2o_tf.optimizees.wrappers import Clamped

CLASSES = {"mnist": 10, "cifar10": 10, "cifar100": 100, "imagenet32": 1000}


@functools.cache
def tiny(name):
    height, channels = (28, 1) if name == "mnist" else (32, 3)
    classes = CLASSES[name]
    made = synthetic_images(
        0, height, height, channels, classes, classes, classes
    )
    return ImageDataset(name, made.splits, classes)


@pytest.fixture
def asked(monkeypatch):
    """Put one image of each class in the data sets' place."""
    asked = []

    def load(name, disjoint_valid=False):
        asked.append((name, disjoint_valid))
        return tiny(name)

    monkeypatch.setattr(metz_tasks, "load_images", load)
    return asked


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("name", "data", "num_classes", "per_problem"),
    [
        ("metz_conv", "cifar10", 7, 2),
        ("metz_conv_test", "cifar10", 3, 2),
        ("metz_conv_cifar100", "cifar100", 70, 10),
        ("metz_conv_cifar100_test", "cifar100", 30, 10),
        ("metz_conv_imagenet32", "imagenet32", 700, 10),
        ("metz_conv_imagenet32_test", "imagenet32", 300, 10),
    ],
)
def test_a_task_is_metzs(asked, name, data, num_classes, per_problem, split):
    problem = named_optimizee(name, split)
    assert isinstance(problem, Clamped)
    assert problem.maximum == 10.0
    sampled = problem.optimizee
    assert isinstance(sampled, SampledClasses)
    assert asked == [(data, True)]
    assert len(sampled.classes) == num_classes
    assert sampled.classes_per_problem == per_problem
    assert isinstance(sampled.network, PooledConvNet)
    assert sampled.network.strides == (2, 2, 1)
    assert problem.layout.size == 19_722
    assert (problem.split, sampled.batch_size) == (split, 128)
    assert problem.convolves


@pytest.mark.parametrize("data", ["imagenet32", "cifar100", "cifar10"])
def test_tasks_to_test_on_have_no_class_to_train_on(asked, data):
    train, test = (
        set(task(data=data).optimizee.classes)
        for task in (metz_conv, metz_conv_test)
    )
    assert train | test == set(range(CLASSES[data]))
    assert not train & test


@pytest.mark.parametrize(
    ("data", "notice"),
    [
        ("imagenet32", None),
        (
            "cifar100",
            "A SUBSTITUTE FOR IMAGENET: problems of 2 of 100 classes of "
            "cifar100, not of 10 of 1000.",
        ),
        (
            "cifar10",
            "A SUBSTITUTE FOR IMAGENET: problems of 2 of 10 classes of "
            "cifar10, not of 10 of 1000.",
        ),
    ],
)
def test_a_substitute_says_so(asked, data, notice):
    assert metz_conv(data=data).notice == notice
    assert metz_conv(data=data, objective_split="test").notice == notice


@pytest.mark.parametrize("task", [metz_conv, metz_conv_test])
@pytest.mark.parametrize("part", ["train", "inner_valid"])
def test_an_objective_is_5_clamped_batches_of_its_split(asked, task, part):
    problem = task(objective_split=part, batch_size=7, maximum=2.0)
    assert isinstance(problem, OuterObjective)
    assert problem.batches == 5
    own, objective = problem.optimizee, problem.objective
    assert (own.split, objective.split) == ("train", part)
    assert own.maximum == objective.maximum == 2.0
    np.testing.assert_array_equal(
        own.optimizee.classes, objective.optimizee.classes
    )
    assert objective.optimizee.data is tiny("cifar10").splits[part]
    drawn = problem.sample_objective(seeds.make_seed(0))
    assert [b.shape for b in drawn.batches] == 5 * [(7,)]
    assert task(objective_split=part, objective_batches=1).batches == 1


def test_validation_images_are_unseen_on_the_real_tiny_data(
    shared_dir, monkeypatch
):
    data_dir = str(shared_dir / "data" / "tfds_tiny")
    monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
    problem = metz_conv(objective_split="inner_valid")
    assert problem.notice.startswith("NOT THE FULL CIFAR-10")
    train, valid = (
        {image.tobytes() for image in p.optimizee.data.images.numpy()}
        for p in (problem.optimizee, problem.objective)
    )
    assert (len(train), len(valid)) == (1_800, 100)
    assert not train & valid
    # The original program's train split has them.
    whole = load_images("cifar10").split("train").images.numpy()
    assert valid < {image.tobytes() for image in whole}
    x, classes = problem.reset(seeds.make_seed(0))
    drawn = problem.sample_objective(seeds.make_seed(1))
    # Ten logits about 0: log(10) = 2.30.
    assert problem.loss(x, classes, drawn).numpy() == pytest.approx(
        2.3, abs=0.3
    )


def test_the_six_layer_network_is_on_mnist(asked):
    problem = named_optimizee("mnist_six_conv", "test")
    assert isinstance(problem, PooledConvNet)
    assert asked == [("mnist", False)]
    assert problem.filters == 6 * (32,)
    assert problem.kernels == 6 * (3,)
    assert problem.strides == (2, 1, 2, 1, 2, 1)
    assert problem.layout.size == 46_890
    assert (problem.split, problem.batch_size) == ("test", 128)


@pytest.mark.parametrize("task", [metz_conv, metz_conv_test])
@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"data": "mnist"}, "data='mnist'"),
        ({"classes_per_problem": 8}, "classes_per_problem=8"),
        ({"objective_split": "valid"}, "split='valid'"),
        ({"objective_split": "train", "objective_batches": 0}, "batches=0"),
        ({"maximum": "ten"}, "maximum='ten'"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_bad_arguments_are_refused(asked, task, arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        task(**arguments)


PARTS = {"metz_conv.gin": "train", "metz_conv_valid.gin": "inner_valid"}


@pytest.mark.parametrize(("part", "split"), PARTS.items())
def test_a_gin_part_sets_the_outer_objective(asked, part, split):
    path = ROOT / "gin" / "parts" / "optimizees" / part
    config.load([str(path)])
    bindings = (
        gin.query_parameter("Trainer.optimizee"),
        gin.query_parameter("Trainer.validation_optimizee"),
    )
    for reference in bindings:
        problem = reference.scoped_configurable_fn()
        assert isinstance(problem, OuterObjective)
        assert (problem.split, problem.objective.split) == ("train", split)
        assert problem.batches == 5
        assert problem.optimizee.optimizee.classes_per_problem == 2
        assert len(problem.optimizee.optimizee.classes) == 7
    assert set(asked) == {("cifar10", True)}


def test_every_task_has_a_name():
    assert {name for name in OPTIMIZEES if "metz" in name} == {
        f"metz_conv{data}{test}"
        for data in ("", "_cifar100", "_imagenet32")
        for test in ("", "_test")
    }
