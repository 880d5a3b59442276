"""Figure 18: the losses of the student of Figure 17, whose accuracies grok."""

import numpy as np
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.studies import student as study
from lazyrich.paper_figures.studies.student import (
    LAZINESS,
    Parameters,
    student,
)
from lazyrich.plotting import WIDTH, band, letter, look, steps_axis
from lazyrich.simulate.outcome import settled

PRESETS, sweeps = study.PRESETS, study.at_one

PART = 0.1  # a loss is learnt below this part of its start


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the losses on a linear axis (a), as in the paper, and on a logarithmic one (b)."""
    figure = Figure(figsize=(WIDTH, 2.2))
    axes = figure.subplots(1, 2)
    later = student(data).sel(step=slice(1, None))
    for ax in axes:
        for side, name in (("train", "train_loss"), ("test", "population_loss")):
            runs = later[f"{side}_loss"]
            line = look(name)
            ax.plot(runs.step, runs.median("seed"), **line)
            band(ax, runs.step.values, runs.transpose("seed", "step").values, line["color"])
        steps_axis(ax, p.steps)
    axes[0].set(ylabel="loss", ylim=(0, None))
    axes[1].set(ylabel="loss", yscale="log")
    axes[0].legend(loc="upper right")
    for ax, text, title in zip(axes, "ab", ("linear axis", "logarithmic axis"), strict=True):
        letter(ax, text, title)
    return figure


def _learnt(runs: Dataset, side: str) -> DataArray:
    loss = runs[f"{side}_loss"]
    return settled(loss / loss.isel(step=0), PART)


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what Sec. 16.3 says, held against the runs of all seeds."""
    runs = student(data)
    source = "Sec. 16.3, Fig. 18"
    gap = (abs(runs.test_loss - runs.train_loss) / runs.train_loss.isel(step=0)).max("step")
    ratio = (runs.test_loss / runs.train_loss).isel(step=-1)
    rises = runs.test_loss.diff("step").where(runs.train_loss.diff("step") < 0, 0).clip(0)
    rise = rises.sum("step") / runs.test_loss.isel(step=0)
    train, test = (_learnt(runs, side) for side in ("train", "test"))
    late = (test / train).where(np.isfinite(train))
    return [
        Check(
            "train-tracks-test",
            "the train loss tracks the test loss throughout",
            f"they part by at most {spread(100 * gap)}% of the initial train loss",
            "less than 15% in every seed",
            bool((gap < 0.15).all()),
            source=source,
            claim="fig-18",
        ),
        Check(
            "train-tracks-test-in-ratio",
            "also where both are small: within a factor of 2",
            f"after {p.steps:,} steps the test loss is {spread(ratio)} times the train loss",
            "within a factor of 2 in every seed",
            bool((ratio < 2).all()),
            expected=False,
            source=source,
            claim="fig-18",
            judges="without assumption",
        ),
        Check(
            "test-loss-does-not-rise",
            "the test loss does not rise while the train loss falls",
            f"by {spread(100 * rise)}% of its start in all such intervals between records together",
            "by less than 1% in every seed",
            bool((rise < 0.01).all()),
            source=source,
            claim="sec-16.3-accuracy-alone",
        ),
        Check(
            "no-grokking-in-the-loss",
            "the task does not grok in the loss: the test loss is learnt with the train loss",
            f"the test loss falls below a tenth of its start {spread(late)} times later",
            "less than 1.5 times later in every seed",
            bool((late < 1.5).all()),
            source=source,
            claim="fig-18",
        ),
    ]


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    ratio = (student(data).test_loss / student(data).train_loss).isel(step=-1)
    return (
        "Train and test loss (mean square error) of the students of Figure 17, medians and range "
        f"over {of_seeds(p.seeds)}, (a) on a linear axis, where one tracks the other, and (b) on a "
        "logarithmic one, where they part.\n\n"
        f"α = {LAZINESS:g}. The network overfits: it ends with a test loss of {spread(ratio)} "
        "times its train loss. The thresholds at which the accuracy groks lie in that gap."
    )
