"""The recorded optimizees: redraw what the files leave out, then compare."""

from __future__ import annotations

import functools
import pathlib

import numpy as np

SMALL = pathlib.Path(__file__).parents[1] / "fixtures" / "problems_small.npz"


class RecordedProblem:
    """One problem of `problems_small.npz`, its inputs drawn from the seed.

    Attributes:
        names: the tensors, in the original's order.
        params: float32 `[N]`, all of them end to end.
        images: uint8 `[4, 28, 28, 1]`, or None without images.
        labels: int `[4]`, or None.
        constants: dict of float32 arrays, of a problem without images.
    """

    def __init__(self, name) -> None:
        self._name = name
        self._file = _load(SMALL)
        rs = np.random.RandomState(int(self["seed"]))
        self.names = tuple(str(n) for n in self["names"])
        tensors = []
        for n, loc, scale in zip(
            self.names, self["x_loc"], self["x_scale"], strict=True
        ):
            drawn = rs.normal(loc, scale, self[f"shape:{n}"]).astype("f4")
            first = self[f"x_first:{n}"]
            np.testing.assert_array_equal(drawn.ravel()[: first.size], first)
            tensors.append(drawn.ravel())
        self.params = np.concatenate(tensors)
        self.images = self.labels = None
        self.constants = {}
        if f"{name}/images_shape" in self._file:
            self._draw_images(rs)
        else:
            for n in map(str, self["const_names"]):
                drawn = rs.uniform(0, 1, self[f"const_shape:{n}"])
                self.constants[n] = drawn.astype("f4")
                first = self[f"const_first:{n}"]
                np.testing.assert_array_equal(
                    self.constants[n].ravel()[: first.size], first
                )

    def __getitem__(self, key):
        return self._file[f"{self._name}/{key}"]

    def _draw_images(self, rs):
        shape = self["images_shape"]
        self.images = rs.randint(0, 256, size=shape).astype(np.uint8)
        self.labels = rs.randint(0, 10, size=shape[0])
        assert self.images.sum(dtype=np.int64) == self["images_sum"]
        np.testing.assert_array_equal(self.labels, self["labels"])


NOISE = 1e-5
"""What a gradient that is truly 0 may have, of the whole gradient's norm."""


def assert_gradient_is_recorded(
    gradients, recorded, tolerance=1e-5, cancelled=()
):
    """Compare each tensor's norm, sum and first entries on its norm's scale.

    Tensors named in `cancelled`, whose gradient is rounding error, are compared
    on the scale of the whole gradient.
    """
    gradients = [np.asarray(g, np.float64).ravel() for g in gradients]
    whole = np.linalg.norm(np.concatenate(gradients))
    for name, g in zip(recorded.names, gradients, strict=True):
        norm = recorded[f"gnorm:{name}"]
        first = recorded[f"gfirst:{name}"]
        errors = [
            np.linalg.norm(g) - norm,
            (g.sum() - recorded[f"gsum:{name}"]) / np.sqrt(g.size),
            *(g[: first.size] - first.ravel()),
        ]
        bound = NOISE * whole if name in cancelled else tolerance * norm
        assert np.max(np.abs(errors)) < bound, name


def released_problem(shared_dir, name):
    """Return the arrays of one problem of the released file, by short key."""
    arrays = _load(shared_dir / "golden" / "golden_problems_tf114.npz")
    prefix = f"{name}/"
    return {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith(prefix)
    }


@functools.cache
def _load(path):
    with np.load(path) as stored:
        return dict(stored)
