"""The embedded MNIST subset: intact, real, and honest about its size."""

import hashlib
import importlib.util
import pathlib
import re

import gin
import numpy as np
import pytest

from l2o_tf.datasets.base import SPLITS
from l2o_tf.datasets.embedded import MNIST_SUBSET, load_mnist_subset
from l2o_tf.datasets.images import load_images
from l2o_tf.datasets.synthetic import synthetic_images

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "make_mnist_subset.py"
SIZES = {"train": 10_000, "inner_valid": 500, "meta_valid": 500, "test": 2_000}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_mnist_subset", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored():
    with np.load(MNIST_SUBSET) as file:
        return dict(file)


def readme_value(row):
    text = (MNIST_SUBSET.parent / "README.md").read_text()
    return re.search(rf"\| {row} \| `?([0-9a-f,]+)", text).group(1)


def test_file_is_the_one_of_the_readme():
    content = MNIST_SUBSET.read_bytes()
    assert hashlib.sha256(content).hexdigest() == readme_value(
        "SHA-256 of the file"
    )
    assert f"{len(content):,}" == readme_value("size")
    assert len(content) < 2.5e6


def test_arrays_are_those_of_the_readme(tool, stored):
    assert tool.checksum(stored) == readme_value("SHA-256 of the arrays")


def test_splits_are_balanced_mnist_images():
    dataset = load_mnist_subset()
    assert dataset.name == "mnist"
    assert dataset.num_classes == 10
    for name in SPLITS:
        images, labels = dataset.split(name)
        assert images.shape == (SIZES[name], 28, 28, 1)
        np.testing.assert_array_equal(
            np.bincount(labels), [SIZES[name] // 10] * 10
        )
        # MNIST's mean brightness is 0.1307
        assert abs(images.numpy().mean() / 255 - 0.1307) < 0.005


def test_no_image_is_in_two_splits():
    dataset = load_mnist_subset()
    hashes = [
        hashlib.sha256(image.tobytes()).digest()
        for name in SPLITS
        for image in dataset.split(name).images.numpy()
    ]
    assert len(set(hashes)) == len(hashes) == 13_000


def test_notice_says_how_many_images_there_are():
    assert load_mnist_subset().notice == (
        "NOT THE FULL MNIST: the embedded subset of 10,000 train and 2,000 "
        "test images."
    )


def test_subset_is_what_the_tool_selects_from_the_full_data(
    tool, stored, real_tfds
):
    full = load_images("mnist", real_tfds)
    made = tool.make_subset(full)
    assert sorted(made) == sorted(stored)
    for name, array in made.items():
        np.testing.assert_array_equal(array, stored[name], err_msg=name)


def test_tool_selects_the_first_of_each_class_in_file_order(tool):
    labels = np.array([2, 0, 2, 1, 2, 0, 1, 0])
    np.testing.assert_array_equal(tool.select(labels, 2), [0, 1, 2, 3, 5, 6])


def test_tool_refuses_too_few_images_of_a_class(tool):
    with pytest.raises(ValueError, match=r"Received: counts=\[2, 1\]"):
        tool.select(np.array([0, 0, 1]), 2)


def test_tool_refuses_a_data_set_that_is_not_full(tool):
    with pytest.raises(ValueError, match="Received: NOT THE FULL MNIST"):
        tool.make_subset(load_mnist_subset())


def test_tool_writes_the_same_bytes_twice(tool, tmp_path, monkeypatch, capsys):
    toy = synthetic_images(num_train=30, num_other=30)
    monkeypatch.setattr(tool, "load_images", lambda name, data_dir: toy)
    monkeypatch.setattr(tool, "PER_CLASS", dict.fromkeys(SPLITS, 4))
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for file in files:
        tool.main(["--data_dir=somewhere", f"--output={file}"])
    assert files[0].read_bytes() == files[1].read_bytes()
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert capsys.readouterr().out.count(f"file sha256 {digest}") == 2
    with np.load(files[0]) as written:
        assert written["train_images"].shape == (12, 4, 4)
        assert written["train_labels"].dtype == np.uint8


def test_gin_can_name_it():
    assert gin.get_configurable("l2o_tf.datasets.load_mnist_subset") is not None
