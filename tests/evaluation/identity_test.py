"""A curve's identity: what changes it, and what does not."""

import pytest
from support.closed_form import DiagonalQuadratic

from l2o_tf.evaluation import identity
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.description import cell_config
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.version import __version__


def digest(cell, name="simple", optimizee=None):
    return identity.config_hash(cell_config(cell), name, optimizee or Simple())


def test_equal_optimizers_have_one_hash():
    assert digest(SGD(0.1, name="a")) == digest(SGD(0.1, name="b"))
    assert len(digest(SGD(0.1))) == 16


def test_the_weights_alone_change_the_hash():
    one, two = DMLSTM(units=(2,), seed=1), DMLSTM(units=(2,), seed=1)
    assert digest(one) == digest(two)
    two.assign_meta_params(two.meta_params() * 1.001)
    assert digest(one) != digest(two)


@pytest.mark.parametrize("what", ["rate", "class", "name", "size", "notice"])
def test_what_the_losses_depend_on_changes_the_hash(what):
    noticed = Simple()
    noticed.notice = "a subset"
    other = {
        "rate": digest(SGD(0.2)),
        "class": digest(Adam(0.1)),
        "name": digest(SGD(0.1), "simpler"),
        "size": digest(
            SGD(0.1),
            "simple",
            DiagonalQuadratic([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], "float32"),
        ),
        "notice": digest(SGD(0.1), "simple", noticed),
    }
    assert other[what] != digest(SGD(0.1))


def test_packages_name_what_made_the_numbers():
    found = identity.packages()
    assert found["l2o_tf"] == __version__
    assert {"python", "keras", "numpy"} <= set(found)


def test_without_a_gpu_the_device_is_the_cpu():
    assert identity.device_name() == "CPU"
