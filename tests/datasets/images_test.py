"""How MNIST and CIFAR-10 are cut, found, and replaced or refused offline."""

import time
import urllib.error
import urllib.request

import gin
import numpy as np
import pytest
from absl import logging

from l2o_tf.datasets import download, images, prepared
from l2o_tf.datasets.base import SPLITS
from l2o_tf.datasets.images import load_images


def first_pixels(dataset):
    return {
        name: split.images.numpy()[:, 0, 0, 0]
        for name, split in dataset.splits.items()
    }


@pytest.fixture
def offline(monkeypatch):
    """Fail as a machine without a network does; count the attempts."""
    attempts = []

    def no_network(url, timeout):
        attempts.append(url)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    return attempts


@pytest.fixture
def warnings(monkeypatch):
    """Collect what is logged as a warning."""
    lines = []
    monkeypatch.setattr(
        logging, "warning", lambda text, *args: lines.append(text % args)
    )
    return lines


def test_mnist_validation_is_cut_off_from_train(prepare):
    prepare("mnist", num_train=240, num_test=50)
    data = first_pixels(load_images("mnist", prepare.data_dir))
    np.testing.assert_array_equal(data["inner_valid"], np.arange(0, 10))
    np.testing.assert_array_equal(data["meta_valid"], np.arange(10, 20))
    np.testing.assert_array_equal(data["train"], np.arange(20, 240))
    np.testing.assert_array_equal(data["test"], np.arange(50))


def test_cifar_validation_stays_in_train(prepare):
    prepare("cifar10", num_train=200, num_test=50)
    data = first_pixels(load_images("cifar10", prepare.data_dir))
    np.testing.assert_array_equal(data["inner_valid"], np.arange(0, 10))
    np.testing.assert_array_equal(data["meta_valid"], np.arange(10, 20))
    np.testing.assert_array_equal(data["train"], np.arange(0, 200))
    np.testing.assert_array_equal(data["test"], np.arange(50))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cifar10", {"disjoint_valid": True}),
        ("cifar100", {}),
        ("cifar100", {"disjoint_valid": True}),
        ("imagenet32", {}),
    ],
)
def test_unseen_validation_is_cut_off_from_train(prepare, name, options):
    folders = {"imagenet32": "imagenet_resized/32x32"}
    prepare(folders.get(name, name), num_train=200, num_test=50)
    dataset = load_images(name, prepare.data_dir, **options)
    data = first_pixels(dataset)
    np.testing.assert_array_equal(data["inner_valid"], np.arange(0, 10))
    np.testing.assert_array_equal(data["meta_valid"], np.arange(10, 20))
    np.testing.assert_array_equal(data["train"], np.arange(20, 200))
    np.testing.assert_array_equal(data["test"], np.arange(50))
    classes = {"cifar10": 10, "cifar100": 100, "imagenet32": 1000}[name]
    assert dataset.num_classes == classes
    np.testing.assert_array_equal(
        dataset.split("train").labels, np.arange(20, 200) % classes
    )


def test_mnist_is_one_object_disjoint_or_not(prepare):
    prepare("mnist", num_train=24, num_test=5)
    first = load_images("mnist", prepare.data_dir)
    assert load_images("mnist", prepare.data_dir, disjoint_valid=True) is first


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_disjoint_valid_is_true_or_false(value):
    with pytest.raises(ValueError, match=f"Received: disjoint_valid={value!r}"):
        load_images("cifar10", disjoint_valid=value)


def test_cut_is_rounded_down(prepare):
    prepare("mnist", num_train=71, num_test=5)
    data = first_pixels(load_images("mnist", prepare.data_dir))
    sizes = {name: len(pixels) for name, pixels in data.items()}
    assert sizes == {
        "train": 67,
        "inner_valid": 2,
        "meta_valid": 2,
        "test": 5,
    }


def test_labels_stay_with_their_images(prepare):
    prepare("mnist", num_train=100, num_test=20)
    dataset = load_images("mnist", prepare.data_dir)
    for name, pixels in first_pixels(dataset).items():
        np.testing.assert_array_equal(
            dataset.split(name).labels, pixels.astype(np.int32) % 10
        )


@pytest.mark.parametrize(
    ("name", "notice"),
    [
        (
            "mnist",
            "NOT THE FULL MNIST: 48 of 60,000 train and 5 of 10,000 test "
            "images.",
        ),
        (
            "cifar10",
            "NOT THE FULL CIFAR-10: 48 of 50,000 train and 5 of 10,000 test "
            "images.",
        ),
        (
            "cifar100",
            "NOT THE FULL CIFAR-100: 48 of 50,000 train and 5 of 10,000 test "
            "images.",
        ),
    ],
)
def test_smaller_prepared_data_carry_a_notice(prepare, name, notice):
    prepare(name, num_train=48, num_test=5)
    dataset = load_images(name, prepare.data_dir)
    assert dataset.notice == notice
    assert dataset.name == name
    assert dataset.num_classes == (100 if name == "cifar100" else 10)


def test_data_too_small_to_cut_are_refused(prepare):
    prepare("mnist", num_train=23, num_test=5)
    with pytest.raises(ValueError, match="Received: 23 train images in"):
        load_images("mnist", prepare.data_dir)


def test_environment_is_the_default_data_dir(prepare, monkeypatch):
    prepare("mnist", num_train=24, num_test=5)
    monkeypatch.setenv("TFDS_DATA_DIR", prepare.data_dir)
    assert load_images().split("train").labels.shape == (22,)


def test_same_folder_is_read_once(prepare, monkeypatch):
    prepare("mnist", num_train=24, num_test=5)
    first = load_images("mnist", prepare.data_dir)
    monkeypatch.setenv("TFDS_DATA_DIR", prepare.data_dir + "/")
    assert load_images("mnist") is first


@pytest.mark.parametrize("name", ["fashion_mnist", "MNIST", "", None])
def test_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match="Received: name="):
        load_images(name)


def test_mnist_offline_is_the_embedded_subset_with_a_warning(
    offline, warnings, tmp_path
):
    start = time.monotonic()
    dataset = load_images("mnist", str(tmp_path))
    assert time.monotonic() - start < 5.0
    assert dataset.split("train").labels.shape == (10_000,)
    assert "NOT THE FULL MNIST" in dataset.notice
    (line,) = warnings
    assert str(tmp_path) in line
    assert "Name or service not known" in line
    assert dataset.notice in line
    assert "tfds build mnist" in line


def test_offline_mnist_warns_and_asks_once_per_process(
    offline, warnings, tmp_path
):
    first = load_images("mnist", str(tmp_path))
    assert load_images("mnist", str(tmp_path)) is first
    assert len(warnings) == len(offline) == 1


@pytest.mark.parametrize(
    ("name", "tfds_name"),
    [
        ("cifar10", "cifar10"),
        ("cifar100", "cifar100"),
        ("imagenet32", "imagenet_resized/32x32"),
    ],
)
def test_others_offline_fail_in_seconds_and_name_the_fix(
    offline, warnings, tmp_path, name, tfds_name
):
    start = time.monotonic()
    with pytest.raises(FileNotFoundError) as caught:
        load_images(name, str(tmp_path))
    assert time.monotonic() - start < 5.0
    text = str(caught.value)
    assert f"Received: name={name!r}, data_dir='{tmp_path}'." in text
    assert f"tfds build {tfds_name} --data_dir={tmp_path}" in text
    assert "--data_dir or TFDS_DATA_DIR" in text
    assert "Name or service not known" in text
    assert warnings == []


def test_prepared_data_need_no_network(prepare, offline):
    prepare("mnist", num_train=24, num_test=5)
    load_images("mnist", prepare.data_dir)
    assert offline == []


def test_damaged_mnist_is_not_replaced_by_the_subset(
    prepare, offline, warnings
):
    folder = prepare("mnist", num_train=24, num_test=5)
    (folder / "mnist-test.tfrecord-00000-of-00001").write_bytes(b"nothing")
    with pytest.raises(RuntimeError, match="Received: folder=.*mnist/3.0.1"):
        load_images("mnist", prepare.data_dir)
    assert offline == warnings == []


def test_version_without_description_is_not_replaced(tmp_path, offline):
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="Received: folder=.*mnist/3.0.1"):
        load_images("mnist", str(tmp_path))
    assert offline == []


def test_download_is_read_from_where_it_was_prepared(prepare, monkeypatch):
    def downloaded(name, data_dir):
        assert data_dir == prepare.data_dir
        prepare(name, num_train=240, num_test=5)

    monkeypatch.setattr(download, "download", downloaded)
    data = first_pixels(load_images("mnist", prepare.data_dir))
    np.testing.assert_array_equal(data["train"], np.arange(20, 240))


def test_download_that_leaves_nothing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "download", lambda name, data_dir: None)
    with pytest.raises(RuntimeError, match="Received: name='cifar10'"):
        load_images("cifar10", str(tmp_path))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_real_small_data_are_cut_in_proportion(shared_dir, name):
    data_dir = str(shared_dir / "data" / "tfds_tiny")
    dataset = load_images(name, data_dir)
    sizes = {n: len(s.labels) for n, s in dataset.splits.items()}
    part, kept = (83, 1834) if name == "mnist" else (100, 2000)
    assert sizes == {
        "train": kept,
        "inner_valid": part,
        "meta_valid": part,
        "test": 500,
    }
    assert dataset.notice is not None


@pytest.mark.parametrize(
    ("name", "num_train"),
    [
        ("mnist", 55_000),
        pytest.param("cifar10", 50_000, marks=pytest.mark.slow),
    ],
)
def test_real_full_data_have_the_papers_sizes(real_tfds, name, num_train):
    dataset = load_images(name, real_tfds)
    sizes = {n: len(s.labels) for n, s in dataset.splits.items()}
    assert sizes == {
        "train": num_train,
        "inner_valid": 2_500,
        "meta_valid": 2_500,
        "test": 10_000,
    }
    assert dataset.notice is None
    np.testing.assert_array_equal(
        np.unique(dataset.split("test").labels), np.arange(10)
    )


def test_real_mnist_is_in_file_order(real_tfds):
    folder = prepared.find("mnist", real_tfds)
    whole, _ = prepared.read(folder, (28, 28, 1))["train"]
    dataset = load_images("mnist", real_tfds)
    parts = [dataset.split(n).images for n in ("inner_valid", "meta_valid")]
    parts.append(dataset.split("train").images)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_gin_can_name_it(prepare):
    prepare("mnist", num_train=24, num_test=5)
    gin.parse_config(
        f"l2o_tf.datasets.load_images.data_dir = '{prepare.data_dir}'"
    )
    dataset = gin.get_configurable(load_images)()
    assert set(dataset.splits) == set(SPLITS)
    assert dataset is images.load_images("mnist", prepare.data_dir)
