"""The examples of all docstrings run and show what is printed there."""

import doctest

import pytest
from support.modules import package_modules

MODULES = {module.__name__: module for module in package_modules()}
# Counted, so that the examples cannot vanish unnoticed.
WITH_EXAMPLES = {
    "l2o_tf.core.layout",
    "l2o_tf.optimizers.adagrad",
    "l2o_tf.optimizers.adam",
    "l2o_tf.optimizers.momentum",
    "l2o_tf.optimizers.rmsprop",
    "l2o_tf.optimizers.sgd",
}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_the_examples_of_a_module_are_true(module):
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried > 0 or module.__name__ not in WITH_EXAMPLES


def test_the_modules_with_examples_exist():
    assert set(MODULES) >= WITH_EXAMPLES
