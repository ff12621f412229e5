"""The package's type aliases, in one place.

Complexity: none; the file holds names only.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Seed = tf.Tensor
"""int32 `[2]`, the state of a stateless random number generator."""

Vector = tf.Tensor
"""float32 `[N]`, one number per coordinate of a `Layout`."""

Scalar = tf.Tensor
"""A float32 or int32 tensor of shape `[]`."""

Nest = Any
"""Any structure of tensors that `tf.nest` understands, `()` included."""
