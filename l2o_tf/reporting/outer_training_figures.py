"""Pictures of how training went: Figures 4 and 8 of Metz et al. 2019."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2o_tf.reporting.looks import Look
from l2o_tf.reporting.sheet import make_sheet, sample
from l2o_tf.reporting.statistics import smooth
from l2o_tf.reporting.study_lines import (
    draw_line,
    label_axes,
    plain_looks,
    words_of,
)
from l2o_tf.studies.store import Finding

_COUNTED = (
    "Inner steps are those of one pair, which each of its two optimizers "
    "makes: B pairs make 2 B times as many"
)
# Of the two estimates of a meta-gradient, by which their variances are named.
_ESTIMATES: Mapping[str, Look] = {
    "score": Look("dimgray", (0, (2, 1)), "none"),
    "pathwise": Look("dimgray", "-", "none"),
}


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _draw_variances(
    axes: Axes, findings: Sequence[Finding], appearance: Mapping[str, Look]
) -> None:
    """Draw both estimates' variances, those that there are."""
    for finding in findings:
        look = appearance[finding.config["label"]]
        for name, kind in _ESTIMATES.items():
            values = _finite(finding.arrays[f"{name}_variances"])
            if np.isfinite(values).any():
                axes.plot(
                    finding.arrays["variance_updates"],
                    values,
                    color=look.colour,
                    linestyle=kind.dashes,
                    linewidth=1.2,
                    marker=look.marker,
                    markersize=3,
                    markevery=max(1, len(values) // 10),
                )
    label_axes(
        axes,
        "variance between pairs, mean over weights",
        "meta-updates",
        "log10 of the variance",
    )


def _lost(findings: Sequence[Finding]) -> list[str]:
    """Say what is not in the lines of variances."""
    notes = []
    for finding in findings:
        label = finding.config["label"]
        pairs = int(finding.arrays["dropped_pairs"].sum())
        infinite = int(np.isinf(finding.arrays["pathwise_variances"]).sum())
        if pairs:
            notes.append(f"pairs left out of {label}: {pairs}")
        if infinite:
            notes.append(
                f"episodes of {label} with a pathwise estimate that is not "
                f"finite: {infinite}"
            )
    return notes


def draw_outer_training(findings: Sequence[Finding]) -> Figure:
    """Draw how training went: variances, validations and meta-losses.

    Losses are drawn against the inner steps of one pair. Without a variance
    anywhere the first panel is left out.

    Args:
        findings: of `OuterTrainingStudy`s.
    """
    appearance = plain_looks([f.config["label"] for f in findings])
    samples = [sample(name, look) for name, look in appearance.items()]
    paired = any(
        np.isfinite(f.arrays[f"{name}_variances"]).any()
        for f in findings
        for name in _ESTIMATES
    )
    if paired:
        samples += [
            sample(f"{name} estimate", look)
            for name, look in _ESTIMATES.items()
        ]
    figure, panels = make_sheet(
        2 + paired,
        samples,
        words_of(
            findings,
            "Outer-training",
            "; ".join([_COUNTED, *_lost(findings)]) + ".",
        ),
    )
    if paired:
        _draw_variances(panels[0], findings, appearance)
    judged, trained = panels[-2:]
    window = min(
        min(f.config["window"], len(f.arrays["meta_losses"])) for f in findings
    )
    for finding in findings:
        look, arrays = appearance[finding.config["label"]], finding.arrays
        judged.plot(
            arrays["validation_steps"],
            _finite(arrays["validation_losses"]),
            color=look.colour,
            linestyle=look.dashes,
            marker=look.marker,
            markersize=4,
        )
        draw_line(
            trained,
            arrays["inner_steps"][window - 1 :],
            smooth(_finite(arrays["meta_losses"]), window),
            look,
        )
    x = "inner steps of one pair"
    horizons = {int(f.arrays["validation_horizon"]) for f in findings} - {0}
    lengths = " or ".join(f"{n:,}" for n in sorted(horizons))
    label_axes(
        judged, "validation", x, f"loss after {lengths or 'all'} updates"
    )
    smoothed = f", running mean over {window}" if window > 1 else ""
    label_axes(trained, "training", x, f"meta-loss of episodes{smoothed}")
    return figure
