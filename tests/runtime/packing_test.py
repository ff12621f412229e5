"""A nest survives being one vector per type."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.runtime.packing import Packing

NEST = (
    {"a": tf.constant([[1.0, 2.0], [3.0, 4.0]]), "b": ()},
    [tf.constant(5), tf.constant([True, False])],
    tf.zeros([0, 3]),
    tf.constant([6, 7]),
)
SPECS = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), NEST)


@pytest.mark.parametrize("packs", ["pack", "pack_arrays"])
@pytest.mark.parametrize("unpacks", ["unpack", "unpack_arrays"])
def test_what_is_unpacked_is_what_was_packed(packs, unpacks):
    packing = Packing(SPECS)
    packed = getattr(packing, packs)(NEST)
    assert [tuple(part.shape) for part in packed] == [(2,), (4,), (3,)]
    if unpacks == "unpack_arrays":
        packed = tuple(part.numpy() for part in packed)
    found = getattr(packing, unpacks)(packed)
    tf.nest.assert_same_structure(found, NEST)
    for one, other in zip(
        tf.nest.flatten(found), tf.nest.flatten(NEST), strict=True
    ):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_unknown_shapes_are_refused():
    with pytest.raises(ValueError, match=r"Received: shape=\(None, 2\)"):
        Packing(tf.TensorSpec([None, 2]))
