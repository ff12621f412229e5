"""Paths are those of tf.nest's leaves, in its order."""

from typing import NamedTuple

import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from l2o_tf.core.leaf_paths import leaf_paths


class Pair(NamedTuple):
    left: object
    right: object


def test_fields_places_and_keys_are_named_from_the_root():
    nest = Pair((1, {"z": 2, "a": 3}), Pair([4], ()))
    assert leaf_paths(nest, "state", "_") == [
        "state_left_0",
        "state_left_1_a",
        "state_left_1_z",
        "state_right_left_0",
    ]


def test_a_leaf_alone_is_the_root():
    assert leaf_paths(5, "root", ".") == ["root"]
    assert leaf_paths((), "root", ".") == []


def found_at(nest, path):
    for part in path.split(".")[1:]:
        if isinstance(nest, dict):
            nest = nest[part]
        elif hasattr(nest, "_fields"):
            nest = getattr(nest, part)
        else:
            nest = nest[int(part)]
    return nest


NESTS = st.recursive(
    st.integers(),
    lambda inner: st.one_of(
        st.tuples(inner, inner),
        st.lists(inner, max_size=3),
        st.builds(Pair, inner, inner),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(NESTS)
def test_a_path_leads_to_its_leaf(nest):
    paths = leaf_paths(nest, "root", ".")
    assert [found_at(nest, path) for path in paths] == tf.nest.flatten(nest)
