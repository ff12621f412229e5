"""The argument checks: what passes, what is refused, and with what words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2o_tf.core import checks


@given(st.integers(-(10**12), 10**12))
def test_an_int_comes_back(value):
    assert checks.integer("index", value) == value


@pytest.mark.parametrize("value", [2.0, True, False, "3", None, math.nan])
def test_anything_but_an_int_is_refused(value):
    with pytest.raises(ValueError, match="Received: ") as caught:
        checks.integer("index", value)
    assert str(caught.value) == (
        f"`index` must be an int. Received: index={value!r}."
    )


@given(st.integers(1, 10**12))
def test_a_positive_int_comes_back(value):
    assert checks.positive_int("size", value) == value


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "3", None, math.nan])
def test_anything_but_a_positive_int_is_refused(value):
    with pytest.raises(ValueError, match="Received: ") as caught:
        checks.positive_int("size", value)
    assert str(caught.value) == (
        f"`size` must be a positive int. Received: size={value!r}."
    )


@given(st.floats(-3.0, 5.0))
def test_a_number_of_the_closed_interval_comes_back_as_float(value):
    result = checks.real("rate", value, -3.0, 5.0)
    assert isinstance(result, float)
    assert result == value


def test_an_int_comes_back_as_float():
    assert isinstance(checks.real("rate", 3), float)


@pytest.mark.parametrize("value", [-1.0, 2.0])
def test_a_closed_end_is_allowed_and_an_open_one_refused(value):
    assert checks.real("rate", value, -1.0, 2.0) == value
    with pytest.raises(ValueError, match=f"Received: rate={value}"):
        checks.real("rate", value, -1.0, 2.0, low_open=True, high_open=True)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, True, "1", None, 1j, np.array([1.0])],
)
def test_what_is_not_a_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="Received: rate="):
        checks.real("rate", value)


@given(st.floats(allow_nan=False).filter(lambda x: not 0.0 <= x <= 1.0))
def test_a_number_outside_is_refused(value):
    with pytest.raises(ValueError, match="Received: rate="):
        checks.real("rate", value, 0.0, 1.0)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, "(-inf, inf)"),
        ({"low": 0.0}, "[0.0, inf)"),
        ({"low": 0.0, "low_open": True}, "(0.0, inf)"),
        ({"low": 0.0, "high": 1.0}, "[0.0, 1.0]"),
        ({"low": 0.0, "high": 1.0, "high_open": True}, "[0.0, 1.0)"),
        ({"high": 1.0}, "(-inf, 1.0]"),
    ],
)
def test_the_message_names_the_interval(bounds, words):
    with pytest.raises(ValueError, match="Received: ") as caught:
        checks.real("rate", math.nan, **bounds)
    assert str(caught.value) == (
        f"`rate` must be a finite number in {words}. Received: rate=nan."
    )


def test_an_allowed_word_comes_back():
    assert checks.one_of("mode", "tape", ("adjoint", "tape")) == "tape"


@pytest.mark.parametrize("value", ["Tape", "", None, 1])
def test_another_word_is_refused_naming_all(value):
    with pytest.raises(ValueError, match="Received: ") as caught:
        checks.one_of("mode", value, ("adjoint", "tape"))
    assert str(caught.value) == (
        f"`mode` must be one of 'adjoint', 'tape'. Received: mode={value!r}."
    )


@pytest.mark.parametrize("value", [True, False])
def test_boolean_passes_booleans(value):
    assert checks.boolean("flag", value) is value


@pytest.mark.parametrize("value", ["False", 0, 1, None])
def test_boolean_refuses_what_only_counts_as_one(value):
    with pytest.raises(ValueError, match=f"Received: flag={value!r}"):
        checks.boolean("flag", value)
