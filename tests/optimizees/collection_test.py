"""The names of the optimizees."""

import gin
import pytest

from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.collection import OPTIMIZEES, named_optimizee
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Quadratic, Simple


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


@pytest.mark.parametrize("split", ["train", "test"])
def test_problems_without_data_take_any_split(split):
    quadratic = named_optimizee("quadratic", split)
    assert isinstance(quadratic, Quadratic)
    assert quadratic.layout.size == 1280
    assert isinstance(named_optimizee("simple", split), Simple)
    assert quadratic.split == ""


def test_an_unknown_name_is_refused_with_the_nearest_and_all():
    with pytest.raises(ValueError, match="Received: ") as caught:
        named_optimizee("mlp_rleu", "train")
    assert str(caught.value) == (
        "There is no optimizee of that name. Received: optimizee='mlp_rleu'. "
        f"Did you mean 'mlp_relu'? Known: {', '.join(sorted(OPTIMIZEES))}."
    )


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(ValueError, match="Received: optimizee='xyz'") as caught:
        named_optimizee("xyz", "train")
    assert "Did you mean" not in str(caught.value)


def test_an_unknown_split_is_refused(tiny_mnist):
    with pytest.raises(ValueError, match="Received: split='valid'"):
        named_optimizee("mlp_orig", "valid")
