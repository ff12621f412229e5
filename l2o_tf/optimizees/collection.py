"""The named optimizees: one function per problem of the papers.

A gin file binds one (`train.optimizee = @mlp_orig()`), the command line names
one (`--optimizee=mlp_relu`); both reach the same function.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable

import gin
import keras

from l2o_tf.datasets.images import load_images
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.confocal import ConfocalMicroscopy
from l2o_tf.optimizees.conv import ConvNet
from l2o_tf.optimizees.families import FAMILIES, build_member, member_names
from l2o_tf.optimizees.inception import inception_v1
from l2o_tf.optimizees.keras_model import KerasModel
from l2o_tf.optimizees.lasso import Lasso
from l2o_tf.optimizees.lenet import LeNet
from l2o_tf.optimizees.metz_tasks import (
    metz_conv,
    metz_conv_test,
    mnist_six_conv,
)
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.nas_cell import NASCell
from l2o_tf.optimizees.plain_conv import PlainConvNet
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizees.rastrigin import Rastrigin
from l2o_tf.optimizees.square_cos import SquareCos
from l2o_tf.optimizees.synthetic import SyntheticOptimizee
from l2o_tf.optimizees.vgg import VGG16


@gin.register(module="l2o_tf.optimizees")
def mlp_orig(
    split: str = "train",
    batch_size: int = 128,
    init_stddev: float = 0.01,
    objective_size: int | None = None,
) -> MLP:
    """Build MLP-orig: MNIST, one hidden layer of 20 sigmoid units."""
    return MLP(
        load_images("mnist"),
        split,
        (20,),
        "sigmoid",
        batch_size=batch_size,
        init_stddev=init_stddev,
        objective_size=objective_size,
    )


@gin.register(module="l2o_tf.optimizees")
def mlp_relu(split: str = "train") -> MLP:
    """Build MLP-ReLU: MNIST, one hidden layer of 20 ReLU units."""
    return MLP(load_images("mnist"), split, (20,), "relu")


@gin.register(module="l2o_tf.optimizees")
def mlp_deeper(split: str = "train") -> MLP:
    """Build MLP-deeper: MNIST, two hidden layers of 20 sigmoid units."""
    return MLP(load_images("mnist"), split, (20, 20), "sigmoid")


@gin.register(module="l2o_tf.optimizees")
def mnist_conv(
    split: str = "train", batch_norm: bool = True, relu_logits: bool = True
) -> ConvNet:
    """Build Conv-MNIST: two convolutions, both at stride 1."""
    return ConvNet(
        load_images("mnist"),
        split,
        strides=(1, 1),
        batch_norm=batch_norm,
        relu_logits=relu_logits,
    )


@gin.register(module="l2o_tf.optimizees")
def cifar_conv(
    split: str = "train", batch_norm: bool = True, relu_logits: bool = True
) -> ConvNet:
    """Build Conv-CIFAR: two convolutions, both at stride 2."""
    return ConvNet(
        load_images("cifar10"),
        split,
        strides=(2, 2),
        batch_norm=batch_norm,
        relu_logits=relu_logits,
    )


def _inert_conv(data: str, split: str, stride: int) -> ConvNet:
    return ConvNet(
        load_images(data),
        split,
        strides=(stride, stride),
        batch_norm=False,
        inert_norm=True,
        random_biases=True,
    )


@gin.register(module="l2o_tf.optimizees")
def mnist_conv_inert(split: str = "train") -> ConvNet:
    """Build Conv-MNIST as L2O-Scale's evaluation program has it.

    Its batch normalisation is inert, and its biases start at random.
    """
    return _inert_conv("mnist", split, stride=1)


@gin.register(module="l2o_tf.optimizees")
def cifar_conv_inert(split: str = "train") -> ConvNet:
    """Build Conv-CIFAR as L2O-Scale's evaluation program has it.

    Its batch normalisation is inert, and its biases start at random.
    """
    return _inert_conv("cifar10", split, stride=2)


@gin.register(module="l2o_tf.optimizees")
def mnist_conv_orig(split: str = "train") -> PlainConvNet:
    """Build the MNIST network of Wichrowska et al.: no pooling, linear logits.

    L2O-Scale's evaluation program has it as mnist_conv_orig_problems.
    """
    return PlainConvNet(
        load_images("mnist"), split, conv_bias=False, relu_logits=False
    )


@gin.register(module="l2o_tf.optimizees")
def nas(
    split: str = "train", batch_norm: bool = True, relu_logits: bool = True
) -> NASCell:
    """Build NAS-CIFAR: CIFAR-10, one cell of NAS-Bench-201."""
    return NASCell(
        load_images("cifar10"),
        split,
        batch_norm=batch_norm,
        relu_logits=relu_logits,
    )


@gin.register(module="l2o_tf.optimizees")
def lenet(split: str = "train") -> LeNet:
    """Build LeNet: CIFAR-10, with batch normalisation."""
    return LeNet(load_images("cifar10"), split)


@gin.register(module="l2o_tf.optimizees")
def lenet_nobn(split: str = "train") -> LeNet:
    """Build LeNet on CIFAR-10 without batch normalisation."""
    return LeNet(load_images("cifar10"), split, batch_norm=False)


@gin.register(module="l2o_tf.optimizees")
def vgg16(split: str = "train", softmax_logits: bool = True) -> VGG16:
    """Build VGG-16: CIFAR-10, 14,719,818 coordinates."""
    return VGG16(load_images("cifar10"), split, softmax_logits=softmax_logits)


# SimpleOptimizer's problems. Its paper is silent on starts and batches.


def _relu_mlp(
    hidden: tuple[int, ...],
    split: str,
    batch_size: int,
    initializer: str,
    init_stddev: float,
) -> MLP:
    return MLP(
        load_images("mnist"),
        split,
        hidden,
        "relu",
        batch_size=batch_size,
        init_stddev=init_stddev,
        initializer=initializer,
    )


@gin.register(module="l2o_tf.optimizees")
def base_mlp(
    split: str = "train",
    batch_size: int = 128,
    initializer: str = "glorot_uniform",
    init_stddev: float = 0.01,
) -> MLP:
    """Build the base MLP: MNIST, 784-500-10, ReLU; 397,510 coordinates.

    `init_stddev` is that of `initializer="normal"`.
    """
    return _relu_mlp((500,), split, batch_size, initializer, init_stddev)


@gin.register(module="l2o_tf.optimizees")
def five_layer_mlp(
    split: str = "train",
    batch_size: int = 128,
    initializer: str = "glorot_uniform",
    init_stddev: float = 0.01,
) -> MLP:
    """Build the 5-layer MLP: MNIST, 784-1330-1330-1330-1330-10, ReLU.

    6,368,050 coordinates, 16.02 times those of the base MLP. `init_stddev` is
    that of `initializer="normal"`.
    """
    return _relu_mlp(4 * (1330,), split, batch_size, initializer, init_stddev)


def _relu_lenet(
    data: str, split: str, batch_size: int, initializer: str, init_stddev: float
) -> LeNet:
    return LeNet(
        load_images(data),
        split,
        batch_norm=False,
        batch_size=batch_size,
        init_stddev=init_stddev,
        activation="relu",
        initializer=initializer,
    )


@gin.register(module="l2o_tf.optimizees")
def lenet_mnist(
    split: str = "train",
    batch_size: int = 128,
    initializer: str = "glorot_uniform",
    init_stddev: float = 0.01,
) -> LeNet:
    """Build LeNet on MNIST: ReLU, no normalisation; 44,426 coordinates.

    `init_stddev` is that of `initializer="normal"`.
    """
    return _relu_lenet("mnist", split, batch_size, initializer, init_stddev)


@gin.register(module="l2o_tf.optimizees")
def lenet_cifar(
    split: str = "train",
    batch_size: int = 128,
    initializer: str = "glorot_uniform",
    init_stddev: float = 0.01,
) -> LeNet:
    """Build LeNet on CIFAR-10: ReLU, no normalisation; 62,006 coordinates.

    `init_stddev` is that of `initializer="normal"`. Chen et al.'s LeNet, with
    sigmoids, is `lenet`.
    """
    return _relu_lenet("cifar10", split, batch_size, initializer, init_stddev)


@gin.register(module="l2o_tf.optimizees")
def inception_cifar(
    split: str = "train",
    batch_size: int = 128,
    initializer: str = "glorot_uniform",
    init_stddev: float = 0.01,
    width: float = 1.0,
    batch_norm: bool = True,
) -> KerasModel:
    """Build Inception v1 on CIFAR-10; see `inception_v1`.

    `init_stddev` is that of `initializer="normal"`.
    """
    data = load_images("cifar10")
    return KerasModel(
        inception_v1(
            data.splits["train"].images.shape[1:],  # all have the same
            data.num_classes,
            width=width,
            batch_norm=batch_norm,
            initializer=initializer,
            init_stddev=init_stddev,
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        data,
        split,
        batch_size,
    )


def _ten_classes_of(
    data: str, task: Callable[..., Optimizee]
) -> Callable[[str], Optimizee]:
    return functools.partial(task, data=data, classes_per_problem=10)


def _without_data(kind: type[SyntheticOptimizee]) -> Callable[[str], Optimizee]:
    return lambda split: kind()


OPTIMIZEES: dict[str, Callable[[str], Optimizee]] = {
    "mlp_orig": mlp_orig,
    "mlp_relu": mlp_relu,
    "mlp_deeper": mlp_deeper,
    "mnist_conv": mnist_conv,
    "cifar_conv": cifar_conv,
    "mnist_conv_inert": mnist_conv_inert,
    "cifar_conv_inert": cifar_conv_inert,
    "mnist_conv_orig": mnist_conv_orig,
    "nas": nas,
    "lenet": lenet,
    "lenet_nobn": lenet_nobn,
    "vgg16": vgg16,
    "base_mlp": base_mlp,
    "five_layer_mlp": five_layer_mlp,
    "lenet_mnist": lenet_mnist,
    "lenet_cifar": lenet_cifar,
    "inception_cifar": inception_cifar,
    "metz_conv": metz_conv,
    "metz_conv_test": metz_conv_test,
    "metz_conv_cifar100": _ten_classes_of("cifar100", metz_conv),
    "metz_conv_cifar100_test": _ten_classes_of("cifar100", metz_conv_test),
    "metz_conv_imagenet32": _ten_classes_of("imagenet32", metz_conv),
    "metz_conv_imagenet32_test": _ten_classes_of("imagenet32", metz_conv_test),
    "mnist_six_conv": mnist_six_conv,
    "quadratic": _without_data(Quadratic),
    "simple": _without_data(Simple),
    "square_cos": _without_data(SquareCos),
    "confocal": _without_data(ConfocalMicroscopy),
    "lasso": _without_data(Lasso),
    "rastrigin": _without_data(Rastrigin),
}


def named_optimizee(name: str, split: str) -> Optimizee:
    """Build the optimizee of that name on a data split.

    Args:
        name: a key of `OPTIMIZEES`, or a member of one of `FAMILIES`, such as
            "bowl/2".
        split: "train", "inner_valid", "meta_valid" or "test"; without effect
            on a problem that has no data.

    Raises:
        ValueError: if there is no such name, with the nearest ones.
    """
    if "/" in name:
        return build_member(name, split)
    if name not in OPTIMIZEES:
        known = [*OPTIMIZEES, *(member_names(f)[0] for f in FAMILIES)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"There is no optimizee of that name. Received: optimizee={name!r}."
            f"{hint} Known: {', '.join(sorted(OPTIMIZEES))}; and the members "
            f"of the families {', '.join(FAMILIES)}, from family/0 on."
        )
    return OPTIMIZEES[name](split)
