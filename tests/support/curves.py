"""Curves made up for tests: of given losses, or with given end values."""

import numpy as np

from l2o_tf.evaluation.curves import Curve


def make_curve(
    losses=(3.0, 2.0, 1.0),
    seed=0,
    optimizer="dm",
    optimizee="mlp_orig",
    split="test",
    **fields,
):
    """Return a curve of these losses that took 1.5 seconds."""
    return Curve(
        losses=np.asarray(losses, np.float32),
        chunk_seconds=np.array([1.0, 0.5]),
        chunk_length=-(-len(losses) // 2),
        optimizer=optimizer,
        optimizee=optimizee,
        split=split,
        seed=seed,
        **fields,
    )


def ending_at(ln_ends, optimizer="dm", steps=10, **fields):
    """Return constant curves, seed 0 first; None for one that diverges."""
    return [
        make_curve(
            np.full(steps, np.nan if end is None else np.exp(end)),
            seed,
            optimizer,
            **fields,
        )
        for seed, end in enumerate(ln_ends)
    ]
