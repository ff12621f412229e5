"""An optimizer in words that a result file can keep and compare."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import tensorflow as tf

from l2o_tf.optimizers.base import OptimizerCell

_DIGITS = 16


def cell_config(cell: OptimizerCell) -> dict[str, Any]:
    """Describe an optimizer, as JSON.

    Returns:
        "class", the constructor's arguments but the layer's name, and for a
        learned optimizer "weights", a hash of its numbers.
    """
    config = {k: v for k, v in cell.get_config().items() if k != "name"}
    config = json.loads(json.dumps(config, default=str))
    described = {"class": type(cell).__name__, **config}
    if cell.trainable_variables:
        numbers = tf.cast(cell.meta_params(), tf.float32).numpy()
        digest = hashlib.sha256(numbers.tobytes()).hexdigest()
        described["weights"] = digest[:_DIGITS]
    return described
