"""Every public concrete class of the three nouns is in the registry."""

import inspect

import pytest
from conformance import registry
from support.modules import package_modules

from l2o_tf.estimators.base import MetaGradientEstimator
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell

NOUNS = {
    OptimizerCell: registry.CELLS,
    Optimizee: registry.OPTIMIZEES,
    MetaGradientEstimator: registry.ESTIMATORS,
}


def public_classes(noun):
    """Find the public concrete subclasses of `noun` where they are defined."""
    return {
        value
        for module in package_modules()
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, noun)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
        and not name.startswith("_")
    }


each_noun = pytest.mark.parametrize("noun", NOUNS)


@each_noun
def test_every_public_class_is_registered(noun):
    registered = {entry.kind for entry in NOUNS[noun].values()}
    assert public_classes(noun) - registered == set()


@each_noun
def test_no_entry_is_stale(noun):
    registered = {entry.kind for entry in NOUNS[noun].values()}
    assert registered - public_classes(noun) == set()


@each_noun
def test_every_entry_builds_its_own_class(noun):
    for entry in NOUNS[noun].values():
        assert type(entry.build()) is entry.kind


def test_a_class_that_is_not_registered_would_be_found(monkeypatch):
    found = public_classes(OptimizerCell)
    forgotten = registry.CELLS["adam"].kind
    assert forgotten in found
    left = {k: e for k, e in registry.CELLS.items() if e.kind is not forgotten}
    monkeypatch.setitem(NOUNS, OptimizerCell, left)
    with pytest.raises(AssertionError, match="Adam"):
        test_every_public_class_is_registered(OptimizerCell)


def test_coordinatewise_names_are_cells():
    assert set(registry.CELLS) >= registry.COORDINATEWISE


def test_cells_that_may_be_cut_are_those_that_say_so():
    """All but the mixture, whose coordinates share one draw."""
    cut = {k for k, e in registry.CELLS.items() if e.build().coordinatewise}
    assert registry.COORDINATEWISE - cut == {"mixture"}
    assert cut <= registry.COORDINATEWISE
