"""The picture of a run: its losses, and when they fall."""

import math
from typing import TYPE_CHECKING, Any

from lazyrich.plotting import (
    BLUE,
    LOOKS,
    VERMILLION,
    WIDTH,
    Picture,
    house_style,
    legend_above,
    look,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lazyrich.simulate.outcome import Outcome

_FLOOR = "kernel_regression_population_loss"


def draw(history: Any, found: "Outcome | None" = None, axes: "Axes | None" = None) -> "Figure":
    """Return the figure of a run's losses over its steps or times, on logarithmic axes.

    Dotted lines mark the times at which the train and the test loss fall.
    """
    with house_style():
        if axes is None:
            figure = Picture(figsize=(WIDTH, 0.6 * WIDTH), layout="constrained")
            axes = figure.add_subplot()
        losses(axes, history)
        if found is not None:
            mark(axes, found)
        legend_above(axes)
    return axes.figure  # pyright: ignore[reportReturnType]


def records_of(history: Any) -> str:
    """Return the dimension of a history's records: step or time."""
    return "step" if "step" in history.dims else "time"


def losses(axes: "Axes", history: Any) -> None:
    """Draw train and test loss, the linear power, and kernel regression, where they are known."""
    records, test = records_of(history), test_of(history)
    later = history.isel({records: slice(1, None)}) if history.sizes[records] > 1 else history
    for name in ("train_loss", test, "linear"):
        if name in history:
            label = test.replace("_", " ")
            style = look("population_loss", label=label) if name == test else LOOKS[name]
            axes.plot(later[records], later[name], **style)
    if _FLOOR in history and math.isfinite(float(history[_FLOOR])):
        axes.axhline(float(history[_FLOOR]), **LOOKS["kernel_regression"])
    label = "gradient steps" if records == "step" else "time"
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="loss")
    first, last = float(later[records][0]), float(later[records][-1])
    if 0 < first < last:
        axes.set_xlim(first, last)


def test_of(history: Any) -> str:
    """Return the name of the test loss that is drawn: that of the population where it is known."""
    known = "population_loss" in history and bool(history.population_loss.notnull().any())
    return "population_loss" if known else "test_loss"


def mark(axes: "Axes", found: "Outcome") -> None:
    """Mark when the losses fall, and say the phase."""
    sides = (("train", found.train_fall, BLUE), ("test", found.test_fall, VERMILLION))
    for side, at, color in sides:
        if math.isfinite(at) and at > 0:
            axes.axvline(at, color=color, linewidth=0.7, linestyle=":")
            axes.annotate(
                f"{side} falls: {at:.3g}",
                (at, 0.02),
                xycoords=axes.get_xaxis_transform(),
                xytext=(-2, 0),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="bottom",
                fontsize=5.5,
                color=color,
            )
    axes.set_title(found.phase, loc="left")
