"""The picture of a run: its losses, and when they fall."""

import math
from typing import TYPE_CHECKING, Any

from lazyrich.plotting import BLUE, LOOKS, VERMILLION, WIDTH, house_style, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lazyrich.simulate.outcome import Outcome

_FLOOR = "kernel_regression_population_loss"
_LABELS = {"population_loss": "population loss", "test_loss": "test loss"}


def draw(history: Any, found: "Outcome | None" = None, axes: "Axes | None" = None) -> "Figure":
    """Return the figure of a run's losses over its steps or times, on logarithmic axes.

    Dotted lines mark the times at which the train and the test loss fall.
    """
    from matplotlib.figure import Figure

    with house_style():
        if axes is None:
            figure = Figure(figsize=(WIDTH, 0.6 * WIDTH), layout="constrained")
            axes = figure.add_subplot()
        _losses(axes, history)
        if found is not None:
            _mark(axes, found)
        axes.legend()
    return axes.figure  # pyright: ignore[reportReturnType]


def _losses(axes: "Axes", history: Any) -> None:
    records = "step" if "step" in history.dims else "time"
    later = history.isel({records: slice(1, None)}) if history.sizes[records] > 1 else history
    measured = "population_loss" in history and bool(history.population_loss.notnull().any())
    test = "population_loss" if measured else "test_loss"
    for name in ("train_loss", test, "linear"):
        if name in history:
            style = look("population_loss", label=_LABELS[test]) if name == test else LOOKS[name]
            axes.plot(later[records], later[name], **style)
    if _FLOOR in history and math.isfinite(float(history[_FLOOR])):
        axes.axhline(float(history[_FLOOR]), **LOOKS["kernel_regression"])
    label = "gradient steps" if records == "step" else "time"
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="loss")
    first, last = float(later[records][0]), float(later[records][-1])
    if 0 < first < last:
        axes.set_xlim(first, last)


def _mark(axes: "Axes", found: "Outcome") -> None:
    for at, color in ((found.train_fall, BLUE), (found.test_fall, VERMILLION)):
        if math.isfinite(at) and at > 0:
            axes.axvline(at, color=color, linewidth=0.7, linestyle=":")
    axes.set_title(found.phase, loc="left")
