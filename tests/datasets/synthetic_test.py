"""The synthetic data: fixed by its seed, learnable, within its bounds."""

import hashlib

import gin
import numpy as np
import pytest

from l2o_tf.datasets.base import SPLITS
from l2o_tf.datasets.synthetic import synthetic_images


def arrays(dataset):
    return {
        name: (split.images.numpy(), split.labels.numpy())
        for name, split in dataset.splits.items()
    }


def test_sizes_and_shapes_are_the_arguments():
    dataset = synthetic_images(
        height=3,
        width=5,
        channels=2,
        num_classes=4,
        num_train=10,
        num_other=7,
    )
    assert dataset.name == "synthetic"
    assert dataset.num_classes == 4
    assert dataset.notice is None
    for name in SPLITS:
        n = 10 if name == "train" else 7
        images, labels = dataset.split(name)
        assert images.shape == (n, 3, 5, 2)
        np.testing.assert_array_equal(labels, np.arange(n) % 4)


def test_default_pixels_never_change():
    digest = hashlib.sha256()
    for name in SPLITS:
        digest.update(synthetic_images().split(name).images.numpy().tobytes())
    assert digest.hexdigest() == (
        "eca0b13c62f1039d515a405fb4bb9cf1be25d7e9b7054e2c99923333ae294930"
    )


def test_seed_zero_differs_from_seed_one_in_every_split():
    zero, one = arrays(synthetic_images(0)), arrays(synthetic_images(1))
    for name in SPLITS:
        assert np.mean(zero[name][0] != one[name][0]) > 0.9


def test_splits_have_noise_of_their_own():
    data = arrays(synthetic_images())
    for name in ("inner_valid", "meta_valid", "test"):
        assert np.mean(data[name][0] != data["train"][0][:32]) > 0.9


def test_pixels_are_class_mean_plus_noise_of_a_quarter():
    images, labels = synthetic_images(num_train=3000).split("train")
    images, labels = images.numpy() / 255.0, labels.numpy()
    for label in range(3):
        own = images[labels == label]
        mean = own.mean(axis=0)
        assert 0.23 < mean.min() < mean.max() < 0.77
        # the standard deviation of U(-1/4, 1/4) is 1/(4 sqrt(3))
        np.testing.assert_allclose(
            own.std(axis=0), 0.25 / np.sqrt(3), rtol=0.08
        )
        assert np.abs(own - mean).max() < 0.27


def test_nearest_mean_of_train_classifies_the_other_splits():
    data = arrays(synthetic_images())
    images, labels = data["train"]
    means = np.stack([images[labels == c].mean(axis=0) for c in range(3)])
    for name in ("inner_valid", "meta_valid", "test"):
        images, labels = data[name]
        distance = ((images[:, None] - means) ** 2).sum(axis=(2, 3, 4))
        accuracy = np.mean(distance.argmin(axis=1) == labels)
        assert accuracy > 0.9, name


@pytest.mark.parametrize(
    "argument",
    ["height", "width", "channels", "num_classes", "num_train", "num_other"],
)
@pytest.mark.parametrize("value", [0, 1.5])
def test_size_that_is_no_positive_int_is_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        synthetic_images(**{argument: value})


def test_seed_that_is_no_int_is_refused():
    with pytest.raises(ValueError, match="Received: seed=0.5"):
        synthetic_images(seed=0.5)


def test_gin_can_name_it():
    gin.parse_config("l2o_tf.datasets.synthetic_images.num_train = 5")
    configured = gin.get_configurable(synthetic_images)()
    gin.clear_config()
    assert configured.split("train").labels.shape == (5,)
