"""Prepared data sets to read: small ones made here, the real ones if given."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

SHAPES = {
    "mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "cifar100": (32, 32, 3),
    "imagenet_resized/32x32": (32, 32, 3),
}
CLASSES = {"cifar100": 100, "imagenet_resized/32x32": 1000}


def _feature(python_class, **fields):
    package = "tensorflow_datasets.core.features."
    return {"pythonClassName": package + python_class, **fields}


def _features(shape, num_classes):
    image = {
        "dtype": "uint8",
        "encodingFormat": "png",
        "shape": {"dimensions": [str(d) for d in shape]},
    }
    return _feature(
        "features_dict.FeaturesDict",
        featuresDict={
            "features": {
                "image": _feature("image_feature.Image", image=image),
                "label": _feature(
                    "class_label_feature.ClassLabel",
                    classLabel={"numClasses": str(num_classes)},
                ),
            }
        },
    )


def _write_shard(path, images, labels):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in zip(images, labels, strict=True):
            png = tf.io.encode_png(image).numpy()
            features = {
                "image": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[png])
                ),
                "label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[label])
                ),
            }
            example = tf.train.Example(
                features=tf.train.Features(feature=features)
            )
            writer.write(example.SerializeToString())


def write_prepared(data_dir, name, num_train, num_test, shards=1, shape=None):
    """Prepare a data set in tfds' format; image i has the pixels i % 251.

    Returns its folder.
    """
    shape, num_classes = shape or SHAPES[name], CLASSES.get(name, 10)
    folder = pathlib.Path(data_dir) / name / "3.0.1"
    folder.mkdir(parents=True)
    name, _, config = name.partition("/")
    other = "validation" if config else "test"
    splits = []
    for split, count in (("train", num_train), (other, num_test)):
        numbers = np.arange(count)
        images = np.broadcast_to(
            (numbers % 251).astype(np.uint8).reshape(-1, 1, 1, 1),
            (count, *shape),
        )
        parts = np.array_split(numbers, shards)
        for i, part in enumerate(parts):
            file = f"{name}-{split}.tfrecord-{i:05d}-of-{shards:05d}"
            _write_shard(folder / file, images[part], part % num_classes)
        splits.append(
            {
                "name": split,
                "filepathTemplate": (
                    "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
                ),
                "numBytes": "1",
                "shardLengths": [str(len(part)) for part in parts],
            }
        )
    info = {
        "name": name,
        "version": "3.0.1",
        "fileFormat": "tfrecord",
        "splits": splits,
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(
        json.dumps(_features(shape, num_classes))
    )
    return folder


@pytest.fixture
def prepare(tmp_path):
    """Return `write_prepared` bound to an empty folder, `prepare.data_dir`."""

    def bound(*args, **kwargs):
        return write_prepared(tmp_path, *args, **kwargs)

    bound.data_dir = str(tmp_path)
    return bound


@pytest.fixture(scope="session")
def real_tfds(shared_dir):
    """Return the data_dir of the real prepared data sets, or skip."""
    return str(shared_dir / "data" / "tfds")
