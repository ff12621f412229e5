"""The target problems of Metz et al. 2019, by name."""

from __future__ import annotations

import dataclasses
import functools

import gin

from l2o_tf.core import checks
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.datasets.images import load_images
from l2o_tf.optimizees.base import Optimizee, join_notices
from l2o_tf.optimizees.outer_objective import OuterObjective
from l2o_tf.optimizees.pooled_conv import PooledConvNet
from l2o_tf.optimizees.sampled_classes import SampledClasses
from l2o_tf.optimizees.wrappers import Clamped

SOURCES = ("imagenet32", "cifar100", "cifar10")
"""What problems are drawn from; the first is the paper's."""

_NUM_LOGITS = 10


def _source(data: str, classes_per_problem: int) -> ImageDataset:
    """Load the classes' source; its notice says what it stands for."""
    checks.one_of("data", data, SOURCES)
    dataset = load_images(data, disjoint_valid=True)
    if data == SOURCES[0]:
        return dataset
    notice = (
        f"A SUBSTITUTE FOR IMAGENET: problems of {classes_per_problem} of "
        f"{dataset.num_classes} classes of {data}, not of 10 of 1000."
    )
    return dataclasses.replace(
        dataset, notice=join_notices([dataset.notice, notice])
    )


def _task(
    classes: str,
    split: str,
    data: str,
    classes_per_problem: int,
    batch_size: int,
    objective_split: str | None,
    objective_batches: int,
    maximum: float,
) -> Optimizee:
    dataset = _source(data, classes_per_problem)
    network = functools.partial(PooledConvNet, batch_size=batch_size)

    def on(part: str) -> Clamped:
        problem = SampledClasses(
            dataset, part, network, classes, classes_per_problem, _NUM_LOGITS
        )
        return Clamped(problem, maximum)

    if objective_split is None:
        return on(split)
    return OuterObjective(on(split), on(objective_split), objective_batches)


@gin.register(module="l2o_tf.optimizees")
def metz_conv(
    split: str = "train",
    data: str = "cifar10",
    classes_per_problem: int = 2,
    batch_size: int = 128,
    objective_split: str | None = None,
    objective_batches: int = 5,
    maximum: float = 10.0,
) -> Optimizee:
    """Build Metz et al.'s target: a 3-layer network on outer-train classes.

    19,722 coordinates (`PooledConvNet`), a loss clamped at 10, other classes at
    every reset (`SampledClasses`) out of 70 % of the data set's;
    `metz_conv_test` has the other 30 %. Validation images are never train
    images here.

    | data | classes, outer-train and outer-test | problems of |
    |---|---|---|
    | imagenet32, the paper's source | 700 and 300 | 10 |
    | cifar100 | 70 and 30 | 10 |
    | cifar10, the default | 7 and 3 | 2 |

    CIFAR-10 is the SUBSTITUTE that needs no further data: 21 pairs to train on
    and 3 to test on, with the labels 0 and 1 in both orders, of a read-out that
    keeps its 10 logits. Problems are far easier and far more alike than the
    paper's, and 3 pairs say little about problems at large; the notice says so.
    Bind `classes_per_problem` to 10 together with the other two.

    Args:
        split: of each class, for the inner gradients.
        data: "imagenet32", "cifar100" or "cifar10".
        classes_per_problem: int.
        batch_size: int, images. Not published; defaults to 128.
        objective_split: where `sample_objective` draws `objective_batches`
            fresh minibatches (`OuterObjective`): "train" for the training
            outer-objective, "inner_valid" for the validation one. None for one
            more minibatch of `split`.
        objective_batches: int, defaults to the authors' 5.
        maximum: float, at which each loss is clamped. Defaults to the authors'
            10.

    Raises:
        ValueError: if an argument is out of range.
    """
    return _task(
        "outer_train",
        split,
        data,
        classes_per_problem,
        batch_size,
        objective_split,
        objective_batches,
        maximum,
    )


@gin.register(module="l2o_tf.optimizees")
def metz_conv_test(
    split: str = "train",
    data: str = "cifar10",
    classes_per_problem: int = 2,
    batch_size: int = 128,
    objective_split: str | None = None,
    objective_batches: int = 5,
    maximum: float = 10.0,
) -> Optimizee:
    """Build `metz_conv` on the 30 % of classes that are kept for testing.

    Raises:
        ValueError: if an argument is out of range.
    """
    return _task(
        "outer_test",
        split,
        data,
        classes_per_problem,
        batch_size,
        objective_split,
        objective_batches,
        maximum,
    )


@gin.register(module="l2o_tf.optimizees")
def mnist_six_conv(
    split: str = "train", batch_size: int = 128
) -> PooledConvNet:
    """Build the 6-layer network on MNIST, which is unlike any training task.

    28 x 28 images, 6 convolutions of 32 units; 46,890 coordinates. Not clamped.
    """
    return PooledConvNet(
        load_images("mnist"),
        split,
        filters=6 * (32,),
        kernels=6 * (3,),
        strides=(2, 1, 2, 1, 2, 1),
        batch_size=batch_size,
    )
