"""Figure 17: the same run of the student of Figure 8, its accuracy at several thresholds."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, ends, lines_of, ordered, spread
from lazyrich.paper_figures.studies import student as study
from lazyrich.paper_figures.studies.student import (
    LAZINESS,
    LEVEL,
    Parameters,
    lateness,
    reached,
    student,
)
from lazyrich.plotting import WIDTH, band, letter, shades, steps_axis

PRESETS, sweeps = study.PRESETS, study.at_one


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return test (solid) and train accuracy (dashed) at each threshold."""
    figure = Figure(figsize=(WIDTH, 2.3))
    axes = figure.subplots(1, 2, sharey=True)
    later = student(data).sel(step=slice(1, None))
    colors = shades(len(p.thresholds))
    for ax, side, text in zip(axes, ("train", "test"), "ab", strict=True):
        for threshold, color in zip(p.thresholds, colors, strict=True):
            runs = later[f"{side}_accuracy"].sel(threshold=threshold)
            ax.plot(runs.step, runs.median("seed"), color=color)
            band(ax, runs.step.values, runs.transpose("seed", "step").values, color)
        ax.axhline(LEVEL, color="black", linewidth=0.4, linestyle=":")
        steps_axis(ax, p.steps)
        letter(ax, text, f"{side} accuracy of the same run")
    pairs = zip(p.thresholds, colors, strict=True)
    lines = [Line2D([], [], color=color, label=f"θ = {threshold:g}") for threshold, color in pairs]
    axes[0].legend(handles=lines, loc="upper left")
    axes[0].set(ylabel="accuracy within θ", ylim=(-0.02, 1.05))
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what Sec. 16.2 says, held against the runs of all seeds."""
    late = lateness(student(data))
    fitted = late.sel(threshold=late.threshold[late.notnull().all("seed").values])
    if not fitted.threshold.size:  # nothing is fitted: no claim holds
        fitted = late
    source = "Sec. 16.2, Fig. 17"
    largest = late.sel(threshold=max(p.thresholds))
    return [
        ordered(
            "later-at-small-thresholds",
            "grokking in accuracy depends on the choice of threshold: the smaller θ, the more "
            "times later the test accuracy is reached (inf: not within the run)",
            fitted,
            "threshold",
            "θ",
            falls=True,
            source=source,
            claim="sec-16.2-thresholds",
        ),
        Check(
            "some-thresholds-grok",
            "some choices of θ show apparent grokking",
            f"{ends(fitted, 'threshold', 'θ')} times later",
            "at least twice as late at the smallest θ that the training set reaches, in every seed",
            bool((fitted.isel(threshold=0) >= 2).all()),
            source=source,
            claim="sec-16.2-thresholds",
        ),
        Check(
            "others-do-not",
            "and others don't",
            f"{spread(largest)} times later at θ = {max(p.thresholds):g}",
            "less than twice as late at the largest θ in every seed",
            bool((largest < 2).all()),
            source=source,
            claim="sec-16.2-thresholds",
        ),
        _groks_where_losses_part(student(data), fitted),
    ]


def _groks_where_losses_part(runs: Dataset, late: DataArray) -> Check:
    steps, x = reached(runs, "train"), np.log1p(runs.step.values)
    agree = []
    for seed in runs.seed.values:
        one = runs.sel(seed=seed)
        parted = np.log((one.test_loss / one.train_loss).values)
        for threshold in late.threshold.values:
            at = {"seed": seed, "threshold": threshold}
            ratio = np.exp(np.interp(np.log1p(float(steps.sel(at))), x, parted))
            agree.append(bool((late.sel(at) > 2) == (ratio > 2)))
    return Check(
        "groks-where-the-losses-part",
        "the accuracy groks through a threshold if and only if the test loss has parted from the "
        "train loss by when the training set is fitted to within it",
        f"in {sum(agree)} of {len(agree)} cases (seed and θ): more than twice as late exactly "
        "where the test loss is more than twice the train loss",
        "in 9 of 10 cases or more",
        sum(agree) >= 0.9 * len(agree),
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    loss = student(data).test_loss.isel(step=-1)
    return (
        f"(a) Train and (b) test accuracy of the students of Figure 8 at α = {LAZINESS:g}, each "
        "the part of the outputs within θ of the teacher's: the same runs, seen through several "
        f"thresholds. Lines are {lines_of(p.seeds)}.\n\n"
        f"The final test loss is {spread(loss)}, a root mean square error of {spread(loss**0.5)}. "
        "The text does not say whether a sample of five outputs counts as one or as five: here as "
        "five."
    )
