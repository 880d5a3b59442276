"""The pictures of a diagnosis."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyrich.plotting import BLACK, BLUE, GREEN, GREY, VERMILLION, WIDTH, house_style, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lazyrich.simulate.diagnosis.answer import Diagnosis


def draw(found: Any) -> "Figure":
    """Return the figure: losses of the twin, the pilots and the run; the kernel and the labels."""
    from matplotlib.figure import Figure

    with house_style():
        columns = 2 if found.kernel is not None else 1
        figure = Figure(figsize=(1.6 * WIDTH, 0.6 * WIDTH), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False)[0]
        _losses(axes[0], found)
        if found.kernel is not None:
            _spectrum(axes[1], found)
    return figure


def _losses(ax: "Axes", found: "Diagnosis") -> None:
    lazy = found.lazy.history.isel(time=slice(1, None))
    zero = float(found.lazy.history.zero_test_loss)
    ax.plot(lazy.time, lazy.train_loss, color=BLACK, ls=(0, (4, 1.5)), lw=0.8, label="twin, train")
    ax.plot(lazy.time, lazy.test_loss, color=BLACK, lw=0.8, label="twin, test")
    for pilot, color in zip(found.pilots, shades(len(found.pilots)), strict=True):
        history = pilot.run.history.isel(time=slice(1, None))
        label = f"test at {pilot.r:.2g} x scale"
        ax.plot(history.time * pilot.r**2, history.test_loss, color=color, lw=0.7, label=label)
    if found.trained is not None:
        history = found.trained.run.history
        unit = "step" if "step" in history.dims else "time"
        rate = (found.trained.run.config.get("learning_rate") or 1.0) if unit == "step" else 1.0
        later = history.isel({unit: slice(1, None)})
        times = later[unit] * rate
        ax.plot(times, later.train_loss, color=BLUE, ls=(0, (4, 1.5)), label="train")
        ax.plot(times, later.test_loss, color=VERMILLION, label="test")
        for at in (found.trained.outcome.train_fall, found.trained.outcome.test_fall):
            if math.isfinite(at) and at > 0:
                ax.axvline(at * rate, color=GREY, lw=0.7, ls=":")
    else:
        for time in (found.forecast.train, found.forecast.test):
            if math.isfinite(time.value) and time.value > 0:
                ax.axvspan(time.low, time.high, color=GREEN, alpha=0.15, lw=0)
    ax.set(xscale="log", yscale="log", xlabel="learning rate x steps (r^2 time)", ylabel="loss")
    ax.set_ylim(1e-4 * zero, 10 * zero)
    ax.set_title(found.verdict, loc="left")
    ax.legend(fontsize="x-small")


def _spectrum(ax: "Axes", found: "Diagnosis") -> None:
    kernel = found.kernel
    assert kernel is not None
    number = np.arange(1, len(kernel.eigenvalues) + 1)
    top = float(kernel.eigenvalues[0]) or 1.0
    alive = kernel.eigenvalues > 1e-14 * top
    ax.plot(number[alive], kernel.eigenvalues[alive] / top, color=BLUE, label="eigenvalue")
    ax.plot(
        number, np.maximum(1 - kernel.power, 1e-14), color=VERMILLION, label="labels not yet in"
    )
    ax.set(xscale="log", yscale="log", xlabel="eigenvector of the kernel", ylabel="share")
    ax.set_title(f"centred alignment {kernel.alignment:.2f}", loc="left")
    ax.legend(fontsize="x-small")
