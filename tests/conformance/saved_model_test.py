"""Every cell can be exported, and its graphs compute what it computes."""

import numpy as np
import pytest
import tensorflow as tf
from conformance.registry import CELLS, each
from support.exports import own_answer, random_task

from l2o_tf.core.layout import Layout
from l2o_tf.interop.saved_model import Export

LAYOUT = Layout(("w", "b"), ((2, 2), (3,)))


@each(CELLS)
def test_an_exported_cell_makes_the_cells_updates(entry):
    cell = entry.build()
    export = Export(cell, None if cell.coordinatewise else LAYOUT)
    task = random_task(steps=4, size=LAYOUT.size)
    first = {"coordinates": LAYOUT.size, "seed": task["seed"]}
    states = export.signatures["initial_state"](
        **{k: tf.constant(first[k]) for k in export.inputs["initial_state"]}
    )
    updates = []
    for t in range(4):
        given = {
            "gradient": task["gradients"][t],
            "params": task["params"][t],
            "loss": np.float32(0.0),
            "step": np.int32(t + 1),
        }
        given = {k: v for k, v in given.items() if k in export.inputs["update"]}
        states = export.signatures["update"](
            **tf.nest.map_structure(tf.constant, given), **states
        )
        updates.append(states.pop("updates"))
    expected = own_answer(cell, LAYOUT, task)
    del expected["ahead"]
    found = {"updates": np.stack(updates), **states}
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(
            found[name], array, rtol=1e-5, atol=1e-7, err_msg=name
        )


@each({k: e for k, e in CELLS.items() if not e.build().coordinatewise})
def test_a_cell_that_sees_tensors_is_exported_for_given_ones_only(entry):
    with pytest.raises(
        ValueError, match=f"Received: cell={entry.kind.__name__}"
    ):
        Export(entry.build())
