"""Finding and reading what tensorflow-datasets has prepared."""

import json
import os
import pathlib
import struct

import numpy as np
import pytest

from l2o_tf.datasets import prepared

MNIST_SHAPE = (28, 28, 1)


def record_lengths(content):
    """Return the bytes of each record of a TFRecord file, framing included."""
    lengths, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        lengths.append(size + 16)
        at += size + 16
    return lengths


def test_argument_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/from/environment")
    assert prepared.resolve_data_dir("/from/argument") == "/from/argument"
    assert prepared.resolve_data_dir(None) == "/from/environment"


@pytest.mark.parametrize("value", [None, ""])
def test_default_is_that_of_tfds(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    else:
        monkeypatch.setenv("TFDS_DATA_DIR", value)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert (
        prepared.resolve_data_dir(None) == "/home/somebody/tensorflow_datasets"
    )


def test_relative_folder_becomes_absolute_and_a_bucket_stays(monkeypatch):
    assert prepared.resolve_data_dir("a/../b") == os.path.abspath("b")
    assert prepared.resolve_data_dir("gs://bucket/x") == "gs://bucket/x"


def test_newest_version_is_found_by_number_and_not_by_letter(tmp_path):
    for version in ("3.0.1", "3.0.10", "3.0.9"):
        (tmp_path / "mnist" / version).mkdir(parents=True)
    assert prepared.find("mnist", str(tmp_path)) == str(
        tmp_path / "mnist" / "3.0.10"
    )


@pytest.mark.parametrize(
    "entry", ["mnist/3.0.1.incompleteAB12C", "mnist", "cifar10/3.0.2", "x"]
)
def test_what_is_not_a_prepared_version_is_not_found(tmp_path, entry):
    (tmp_path / entry).mkdir(parents=True)
    assert prepared.find("mnist", str(tmp_path)) is None


def test_several_files_are_read_one_after_the_other(prepare):
    folder = prepare("mnist", num_train=100, num_test=7, shards=3)
    arrays = prepared.read(str(folder), MNIST_SHAPE)
    for name, count in (("train", 100), ("test", 7)):
        images, labels = arrays[name]
        assert images.shape == (count, *MNIST_SHAPE)
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images[:, 3, 5, 0], np.arange(count))
        np.testing.assert_array_equal(labels, np.arange(count) % 10)


def cut_in_a_record(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2 + 3])


def drop_the_last_record(file):
    content = file.read_bytes()
    file.write_bytes(content[: -record_lengths(content)[-1]])


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[40] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [cut_in_a_record, drop_the_last_record, flip_a_byte, pathlib.Path.unlink],
)
def test_damaged_file_is_an_error_that_names_the_folder(prepare, damage):
    folder = prepare("mnist", num_train=30, num_test=5)
    damage(folder / "mnist-train.tfrecord-00000-of-00001")
    with pytest.raises(RuntimeError, match="Received: folder=.*3.0.1'; "):
        prepared.read(str(folder), MNIST_SHAPE)


def test_damaged_description_is_an_error_that_keeps_its_cause(prepare):
    folder = prepare("mnist", num_train=30, num_test=5)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(RuntimeError, match="Received: folder=") as caught:
        prepared.read(str(folder), MNIST_SHAPE)
    assert caught.value.__cause__ is not None


def test_missing_split_is_an_error(prepare):
    folder = prepare("mnist", num_train=30, num_test=5)
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"] = info["splits"][:1]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(RuntimeError, match="Received: folder=.*test"):
        prepared.read(str(folder), MNIST_SHAPE)


def test_images_of_another_shape_are_an_error(prepare):
    folder = prepare("mnist", num_train=30, num_test=5, shape=(8, 8, 1))
    with pytest.raises(
        RuntimeError, match=r"Received: .*expected .*28.* found .*\(30, 8, 8"
    ):
        prepared.read(str(folder), MNIST_SHAPE)
