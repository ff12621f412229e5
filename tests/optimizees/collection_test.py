"""The names of the optimizees."""

import math

import gin
import pytest

from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.bowls import Bowl
from l2o_tf.optimizees.collection import OPTIMIZEES, named_optimizee
from l2o_tf.optimizees.confocal import ConfocalMicroscopy
from l2o_tf.optimizees.conv import ConvNet
from l2o_tf.optimizees.families import FAMILIES
from l2o_tf.optimizees.keras_model import KerasModel
from l2o_tf.optimizees.lasso import Lasso
from l2o_tf.optimizees.lenet import LeNet
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.nas_cell import NASCell
from l2o_tf.optimizees.plain_conv import PlainConvNet
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizees.rastrigin import Rastrigin
from l2o_tf.optimizees.square_cos import SquareCos
from l2o_tf.optimizees.vgg import VGG16


@pytest.fixture
def tiny_mnist(monkeypatch):
    """Put ten classes of 28 x 28 in MNIST's place; return what was asked."""
    data = synthetic_images(height=28, width=28, num_classes=10)
    asked = []

    def load(name):
        asked.append(name)
        return data

    monkeypatch.setattr(collection, "load_images", load)
    return asked


@pytest.mark.parametrize(
    ("name", "hidden", "activation", "size"),
    [
        ("mlp_orig", (20,), "sigmoid", 15_910),
        ("mlp_relu", (20,), "relu", 15_910),
        ("mlp_deeper", (20, 20), "sigmoid", 16_330),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_mlp_is_the_papers(
    tiny_mnist, name, hidden, activation, size, split
):
    mlp = named_optimizee(name, split)
    assert isinstance(mlp, MLP)
    assert tiny_mnist == ["mnist"]
    assert (mlp.hidden, mlp.activation) == (hidden, activation)
    assert mlp.layout.size == size
    assert (mlp.split, mlp.batch_size, mlp.init_stddev) == (split, 128, 0.01)


@pytest.mark.parametrize("name", ["mlp_orig", "mlp_relu", "mlp_deeper"])
def test_gin_builds_the_named_mlp_on_the_train_split(tiny_mnist, name):
    built = gin.get_configurable(f"l2o_tf.optimizees.{name}")()
    assert built.split == "train"
    assert built.layout == named_optimizee(name, "train").layout


@pytest.fixture
def tiny_images(monkeypatch):
    """Put few images in the data sets' place; return what was asked."""
    shapes = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
    asked = []

    def load(name):
        asked.append(name)
        height, width, channels = shapes[name]
        return synthetic_images(0, height, width, channels, 10, 10, 10)

    monkeypatch.setattr(collection, "load_images", load)
    return asked


@pytest.mark.parametrize(
    ("name", "kind", "data", "size", "options"),
    [
        (
            "mnist_conv", ConvNet, "mnist", 18_122,
            {"strides": (1, 1), "batch_norm": True, "relu_logits": True},
        ),
        (
            "cifar_conv", ConvNet, "cifar10", 13_610,
            {"strides": (2, 2), "batch_norm": True, "relu_logits": True},
        ),
        (
            "nas", NASCell, "cifar10", 7_578,
            {"batch_norm": True, "relu_logits": True},
        ),
        ("lenet", LeNet, "cifar10", 62_232, {"batch_norm": True}),
        ("lenet_nobn", LeNet, "cifar10", 62_006, {"batch_norm": False}),
        ("vgg16", VGG16, "cifar10", 14_719_818, {"softmax_logits": True}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_convolutional_network_is_the_released_one(
    tiny_images, name, kind, data, size, options, split
):
    network = named_optimizee(name, split)
    assert type(network) is kind
    assert tiny_images == [data]
    assert network.layout.size == size
    assert {key: getattr(network, key) for key in options} == options
    assert (network.split, network.batch_size) == (split, 128)
    assert network.init_stddev == 0.01


@pytest.mark.parametrize(
    ("name", "data", "strides", "size"),
    [
        ("mnist_conv_inert", "mnist", (1, 1), 18_122),
        ("cifar_conv_inert", "cifar10", (2, 2), 13_610),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_inert_network_is_l2o_scales(
    tiny_images, name, data, strides, size, split
):
    network = named_optimizee(name, split)
    assert isinstance(network, ConvNet)
    assert tiny_images == [data]
    assert network.layout.size == size
    assert (network.strides, network.kernels) == (strides, (3, 5))
    assert (network.batch_norm, network.inert_norm) == (False, True)
    assert network.random_biases
    assert network.relu_logits
    assert (network.split, network.batch_size) == (split, 128)
    assert network.init_stddev == 0.01


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_original_network_without_pooling_is_the_released_one(
    tiny_images, split
):
    network = named_optimizee("mnist_conv_orig", split)
    assert isinstance(network, PlainConvNet)
    assert tiny_images == ["mnist"]
    assert network.layout.shapes == (
        (3, 3, 1, 8), (5, 5, 8, 8), (6272, 10), (10,)
    )  # fmt: skip
    assert network.layout.size == 64_402
    assert (network.activation, network.relu_logits) == ("relu", False)
    assert (network.split, network.batch_size) == (split, 64)
    assert network.init_stddev == 0.01


@pytest.mark.parametrize(
    "name", ["mnist_conv_inert", "cifar_conv_inert", "mnist_conv_orig"]
)
def test_gin_builds_the_networks_of_l2o_scale(tiny_images, name):
    gin.bind_parameter(f"{name}.split", "test")
    assert gin.get_configurable(f"l2o_tf.optimizees.{name}")().split == "test"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        *((n, "batch_norm") for n in ("mnist_conv", "cifar_conv", "nas")),
        *((n, "relu_logits") for n in ("mnist_conv", "cifar_conv", "nas")),
        ("vgg16", "softmax_logits"),
    ],
)
def test_gin_reaches_the_options_of_a_network(tiny_images, name, option):
    gin.bind_parameter(f"{name}.{option}", False)
    network = gin.get_configurable(f"l2o_tf.optimizees.{name}")()
    assert getattr(network, option) is False
    assert network.split == "train"


@pytest.mark.parametrize(
    ("name", "hidden", "size"),
    [
        ("base_mlp", (500,), 397_510),
        ("five_layer_mlp", 4 * (1330,), 6_368_050),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_mlp_is_simple_optimizers(tiny_images, name, hidden, size, split):
    mlp = named_optimizee(name, split)
    assert isinstance(mlp, MLP)
    assert tiny_images == ["mnist"]
    assert (mlp.hidden, mlp.activation) == (hidden, "relu")
    assert mlp.layout.size == size
    assert (mlp.split, mlp.batch_size) == (split, 128)
    assert mlp.initializer == "glorot_uniform"


def test_the_five_layer_mlp_is_16_times_the_base_mlp(tiny_images):
    sizes = [
        named_optimizee(name, "train").layout.size
        for name in ("five_layer_mlp", "base_mlp")
    ]
    assert sizes[0] / sizes[1] == pytest.approx(16.02, abs=0.005)


@pytest.mark.parametrize(
    ("name", "data", "size"),
    [("lenet_mnist", "mnist", 44_426), ("lenet_cifar", "cifar10", 62_006)],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_lenet_is_simple_optimizers(tiny_images, name, data, size, split):
    network = named_optimizee(name, split)
    assert isinstance(network, LeNet)
    assert tiny_images == [data]
    assert network.layout.size == size
    assert (network.activation, network.batch_norm) == ("relu", False)
    assert (network.split, network.batch_size) == (split, 128)
    assert network.initializer == "glorot_uniform"


def test_inception_is_a_keras_model_on_cifar(tiny_images):
    gin.bind_parameter("inception_cifar.width", 1 / 64)
    gin.bind_parameter("inception_cifar.split", "test")
    problem = gin.get_configurable("l2o_tf.optimizees.inception_cifar")()
    assert isinstance(problem, KerasModel)
    assert tiny_images == ["cifar10"]
    assert problem.model.input_shape == (None, 32, 32, 3)
    assert problem.model.output_shape == (None, 10)
    assert (problem.split, problem.batch_size) == ("test", 128)
    assert OPTIMIZEES["inception_cifar"] is collection.inception_cifar


@pytest.mark.parametrize(
    "name", ["base_mlp", "five_layer_mlp", "lenet_mnist", "lenet_cifar"]
)
def test_gin_chooses_how_a_network_starts(tiny_images, name):
    gin.bind_parameter(f"{name}.initializer", "normal")
    gin.bind_parameter(f"{name}.init_stddev", 0.02)
    gin.bind_parameter(f"{name}.batch_size", 7)
    network = gin.get_configurable(f"l2o_tf.optimizees.{name}")()
    assert (network.initializer, network.init_stddev) == ("normal", 0.02)
    assert network.batch_size == 7
    assert network.split == "train"


@pytest.mark.parametrize("split", ["train", "test"])
def test_problems_without_data_take_any_split(split):
    quadratic = named_optimizee("quadratic", split)
    assert isinstance(quadratic, Quadratic)
    assert quadratic.layout.size == 1280
    assert isinstance(named_optimizee("simple", split), Simple)
    assert quadratic.split == ""


@pytest.mark.parametrize(
    ("name", "kind", "size"),
    [
        ("square_cos", SquareCos, 256),
        ("confocal", ConfocalMicroscopy, 992),
        ("lasso", Lasso, 256),
        ("rastrigin", Rastrigin, 256),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_synthetic_problem_has_its_default_size(name, kind, size, split):
    problem = named_optimizee(name, split)
    assert type(problem) is kind
    assert problem.layout.size == size
    assert (problem.split, problem.notice) == ("", None)


@pytest.mark.parametrize(
    "name", ["SquareCos", "ConfocalMicroscopy", "Lasso", "Rastrigin"]
)
def test_gin_binds_the_size_of_a_synthetic_problem(name):
    gin.bind_parameter(f"{name}.batch_size", 3)
    problem = gin.get_configurable(f"l2o_tf.optimizees.{name}")()
    assert problem.layout.shapes[0][0] == 3


def test_an_unknown_name_is_refused_with_the_nearest_and_all():
    with pytest.raises(ValueError, match="Received: ") as caught:
        named_optimizee("mlp_rleu", "train")
    assert str(caught.value) == (
        "There is no optimizee of that name. Received: optimizee='mlp_rleu'. "
        f"Did you mean 'mlp_relu'? Known: {', '.join(sorted(OPTIMIZEES))}; "
        f"and the members of the families {', '.join(FAMILIES)}, from family/0 "
        "on."
    )


def test_the_name_of_a_family_gets_its_first_member_for_a_guess():
    with pytest.raises(ValueError, match="Received: optimizee='bowl'") as e:
        named_optimizee("bowl", "train")
    assert "Did you mean 'bowl/0'?" in str(e.value)


def test_a_member_of_a_family_is_named_by_its_place():
    bowl = named_optimizee("bowl/3", "test")
    assert isinstance(bowl, Bowl)
    assert bowl.angle == math.pi / 4
    # The papers' quadratic keeps its name beside the family's.
    assert named_optimizee("quadratic/1", "train").layout.size == 25


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bowll/2", r"Received: family='bowll'\. Did you mean 'bowl'\?"),
        ("bowl/9", "bowl/0 to bowl/3. Received: optimizee='bowl/9'"),
    ],
)
def test_a_member_that_does_not_exist_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        named_optimizee(name, "train")


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(ValueError, match="Received: optimizee='xyz'") as caught:
        named_optimizee("xyz", "train")
    assert "Did you mean" not in str(caught.value)


def test_an_unknown_split_is_refused(tiny_mnist):
    with pytest.raises(ValueError, match="Received: split='valid'"):
        named_optimizee("mlp_orig", "valid")
