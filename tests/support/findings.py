"""Findings of studies made up for tests, and what a picture says."""

import numpy as np

from l2o_tf.studies.store import Finding


def finding(kind, arrays, config=None, name=None, notice=None):
    arrays = {key: np.asarray(value) for key, value in arrays.items()}
    return Finding(name or kind, kind, arrays, config or {}, notice, 1.0, "0")


def training(
    label, losses=(3.0, 2.0, 1.0), window=2, configuration=None, **arrays
):
    steps = 100.0 * np.arange(1, 1 + len(losses))
    return finding(
        "outer_training",
        {
            "inner_steps": steps,
            "meta_updates": steps / 10,
            "meta_losses": losses,
            "validation_steps": [0.0, 200.0],
            "validation_losses": [2.5, np.inf],
            "validation_horizon": 1000.0,
            "variance_updates": [],
            "score_variances": [],
            "pathwise_variances": [],
            "dropped_pairs": [],
            **arrays,
        },
        {"label": label, "configuration": configuration, "window": window},
        f"outer_training_{label}",
    )


def text_of(figure):
    return [t.get_text() for t in figure.texts]


def labels(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]
