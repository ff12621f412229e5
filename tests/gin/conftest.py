"""What every test of a configuration needs: a way to build it."""

import pytest

from l2o_tf import config
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.optimizees import collection
from l2o_tf.train import train


@pytest.fixture(scope="module")
def subset():
    return load_mnist_subset()


@pytest.fixture
def built(subset, monkeypatch):
    """Return a function that builds what a file and bindings describe."""
    asked = []

    def fake(name):
        asked.append(name)
        return subset

    monkeypatch.setattr(collection, "load_images", fake)

    def build(file, *parameters):
        config.load([f"gin/{file}"], parameters)
        trainer = config.build(train)
        config.check_all_used()
        assert set(asked) == {"mnist"}
        return trainer

    return build
