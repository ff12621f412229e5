"""What every classifier of images shares, on the smallest one."""

import numpy as np
import pytest
import tensorflow as tf
from support.classifiers import assert_normal

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.image_classifier import ImageClassifier

DATA = synthetic_images(height=2, width=3, channels=2, num_classes=4)


class Linear(ImageClassifier):
    """logits = image W + b."""

    def __init__(self, dataset=DATA, split="train", size=5, stddev=0.1):
        super().__init__(dataset, split, size, stddev)
        self.layout = Layout(("w", "b"), ((12, 4), (4,)))

    def logits(self, params, images):
        w, b = self.layout.split(params)
        return tf.reshape(images, [images.shape[0], -1]) @ w + b


def test_a_classifier_without_logits_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        ImageClassifier(DATA, "train", 5, 0.1)


def test_the_image_and_the_classes_are_the_datas():
    linear = Linear()
    assert linear.image_shape == (2, 3, 2)
    assert linear.num_classes == 4
    images, labels = linear.sample(seeds.make_seed(0))
    assert (images.shape, labels.shape) == ((5, 2, 3, 2), (5,))


def test_all_start_from_the_normal_unless_named():
    linear = Linear(stddev=0.3)
    drawn, constants = linear.reset(seeds.make_seed(4))
    assert constants == ()
    expected = seeds.normal(seeds.make_seed(4), [52], 0.3)
    np.testing.assert_array_equal(drawn, expected)
    linear.constant_starts = {"b": 1.5}
    start, _ = linear.reset(seeds.make_seed(4))
    np.testing.assert_array_equal(start[48:], 1.5)
    np.testing.assert_array_equal(start[:48], drawn[:48])
    many = [linear.reset(seeds.make_seed(s))[0][:48] for s in range(20)]
    assert_normal(np.concatenate(many), 0.3)


def test_constant_starts_are_each_classifiers_own():
    one, other = Linear(), Linear()
    one.constant_starts["b"] = 1.0
    assert other.constant_starts == {}


def test_the_loss_is_the_mean_cross_entropy():
    linear = Linear(stddev=1.0)
    params, constants = linear.reset(seeds.make_seed(0))
    images, labels = linear.sample(seeds.make_seed(1))
    logits = linear.logits(params, images).numpy().astype("f8")
    chosen = logits[np.arange(5), labels]
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)
    loss = linear.loss(params, constants, (images, labels))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_the_split_and_its_notice_are_passed_on():
    partial = ImageDataset("part", DATA.splits, 4, notice="NOT ALL OF IT")
    linear = Linear(partial, "test")
    assert (linear.split, linear.notice) == ("test", "NOT ALL OF IT")
    assert linear.data is partial.splits["test"]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"split": "valid"}, "split='valid'"),
        ({"size": 0}, "batch_size=0"),
        ({"stddev": float("inf")}, "init_stddev=inf"),
    ],
)
def test_bad_arguments_are_refused(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        Linear(**arguments)
