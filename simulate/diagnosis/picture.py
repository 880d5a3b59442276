"""The pictures of a diagnosis: losses over time, how lazy, the kernel against the labels."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import NullFormatter

from lazyrich.plotting import BLACK, BLUE, GREY, ORANGE, VERMILLION, Picture, house_style, shades
from lazyrich.simulate.diagnosis.laziness import NOTICEABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lazyrich.simulate.diagnosis.answer import Diagnosis

_DASHED, _DOTTED, _DASHDOT = (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1))
_MARKERS = "os^Dv<>P"
# Inches of one panel, legend included; a page shows it about 400 pixels wide. Sizes in points.
_PANEL = (4.1, 4.3)
_SIZES: dict = {"font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "legend.fontsize": 9}
_SIZES |= {"xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "legend.handlelength": 3}
# Shares of eigenvalues and labels below this one are not drawn.
_SMALLEST = 1e-5


def draw(found: "Diagnosis") -> "Figure":
    """Return the figure, with all panels in a row."""
    panels = list(_panels(found).values())
    with _style():
        size = (_PANEL[0] * len(panels), _PANEL[1])
        figure = Picture(figsize=size, layout="constrained")
        for ax, panel in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            panel(ax, found)
    return figure


def drawn_apart(found: "Diagnosis") -> dict[str, "Figure"]:
    """Return a figure for each panel, by what it shows."""
    figures = {}
    for what, panel in _panels(found).items():
        with _style():
            figures[what] = Picture(figsize=_PANEL, layout="constrained")
            panel(figures[what].subplots(), found)
    return figures


@contextmanager
def _style() -> Iterator[None]:
    with house_style(), mpl.rc_context(_SIZES):
        yield


def _legend_below(ax: "Axes") -> None:
    """Name the lines below the axes, where the names cover none of them.

    Ticks between powers of ten are named only where no power of ten is in view.
    """
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if math.floor(math.log10(high)) >= math.ceil(math.log10(low)):
            axis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.14), ncols=2, columnspacing=1.2)


def _panels(found: "Diagnosis") -> dict[str, Callable]:
    panels = {
        "Losses of the network and of its linearised twin over time": _losses,
        "How far the network is from its linearisation over time": _laziness,
    }
    if found.kernel is not None:
        panels["Eigenvalues of the kernel, and the labels along its eigenvectors"] = _spectrum
    return panels


def _losses(ax: "Axes", found: "Diagnosis") -> None:
    zero = float(found.lazy.history.zero_test_loss)
    lazy = found.lazy.history.isel(time=slice(1, None))
    shares = [lazy.test_loss.values / zero]
    train = lazy.train_loss / float(lazy.zero_train_loss)
    ax.plot(lazy.time, train, color=BLACK, ls=_DASHED, lw=1, label="lazy twin, train")
    ax.plot(lazy.time, shares[0], color=BLACK, lw=1, label="lazy twin, test")
    colors = shades(len(found.pilots))
    for i, (pilot, color) in enumerate(zip(found.pilots, colors, strict=True)):
        history = pilot.run.history.isel(time=slice(1, None))
        shares.append(history.test_loss.values / zero)
        look = {"color": color, "lw": 1, "marker": _MARKERS[i % len(_MARKERS)], "ms": 4}
        every = max(1, len(history.time) // 8)
        look |= {"markevery": (i * every // max(1, len(found.pilots)), every)}
        name = f"output × {pilot.r:.2g}, test (train dashed)"
        ax.plot(history.time * pilot.r**2, shares[-1], label=name, **look)
        fitted = history.train_loss.values / float(history.zero_train_loss)
        ax.plot(history.time * pilot.r**2, fitted, color=color, ls=_DASHED, lw=0.7)
    if found.trained is not None:
        shares.append(_of_the_run(ax, found))
    _marked(ax, found)
    ax.axhline(2 / 15, color=BLACK, lw=0.5, ls=_DOTTED)
    low = min(float(np.nanmin(share)) for share in shares)
    ax.set(xscale="log", yscale="log", xlabel="learning rate × steps")
    ax.set(ylabel="loss / loss of predicting 0", ylim=(max(low / 3, 1e-5), 30))
    ax.set_title(found.verdict, loc="left")
    _legend_below(ax)


def _of_the_run(ax: "Axes", found: "Diagnosis") -> np.ndarray:
    """Draw the losses of training, and return the test loss."""
    assert found.trained is not None
    history = found.trained.run.history
    unit = "step" if "step" in history.dims else "time"
    later = history.isel({unit: slice(1, None)})
    times = later[unit] * found.trained.rate
    test = later.test_loss.values / float(later.zero_test_loss)
    train = later.train_loss.values / float(later.zero_train_loss)
    ax.plot(times, train, color=VERMILLION, ls=_DASHED, lw=2, label="network, train")
    ax.plot(times, test, color=VERMILLION, lw=2, label="network, test")
    return test


def _marked(ax: "Axes", found: "Diagnosis") -> None:
    """Mark when the losses fall: as seen in training, else as forecast, with the range."""
    forecast, trained = found.forecast, found.trained
    for side, time in (("train", forecast.train), ("test", forecast.test)):
        value, hatch = time.value, "" if side == "train" else "///"
        if trained is not None:
            value = getattr(trained.outcome, f"{side}_fall") * trained.rate
        elif math.isfinite(value) and value > 0:
            high = time.high if math.isfinite(time.high) else 10 * value
            ax.axvspan(time.low, high, facecolor="#dddddd", edgecolor="#aaaaaa", hatch=hatch, lw=0)
        if math.isfinite(value) and value > 0:
            ax.axvline(value, color=BLACK, lw=0.8, ls=_DASHED if side == "train" else "-")
            where: dict = {"bbox": {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1}}
            where |= {"rotation": 90, "va": "top", "ha": "right" if side == "train" else "left"}
            ax.text(value, 25, f" {side} falls ", **where)


def _laziness(ax: "Axes", found: "Diagnosis") -> None:
    lazy = found.laziness
    for name, values, color, style, marker in (
        ("kernel change", lazy.kernel_changes, BLUE, "-", "o"),
        ("... to first order", lazy.drifts, ORANGE, _DASHED, "s"),
        ("error of linearisation", lazy.errors, BLACK, _DOTTED, "^"),
    ):
        if max(values) > 1e-12:
            ax.plot(lazy.times, values, color=color, ls=style, marker=marker, ms=4, label=name)
    if found.trained is not None:
        history = found.trained.run.history
        unit = "step" if "step" in history.dims else "time"
        later = history.isel({unit: slice(1, None)})
        times = later[unit] * found.trained.rate
        ax.plot(
            times,
            later.parameter_change,
            color=VERMILLION,
            ls=_DASHDOT,
            lw=2,
            label="|w - w0|/|w0|",
        )
        if "kernel_change" in later:
            label = "kernel change, in training"
            ax.plot(times, later.kernel_change, color=VERMILLION, lw=2, label=label)
    ax.axhline(NOTICEABLE, color=GREY, lw=0.7, ls=_DOTTED)
    ax.set(xscale="log", yscale="log", xlabel="learning rate × steps")
    ax.set_ylabel("relative change, along the lazy path")
    ax.set_title("how lazy (0.1: features matter)", loc="left")
    if ax.lines[:-1]:
        _legend_below(ax)


def _spectrum(ax: "Axes", found: "Diagnosis") -> None:
    kernel = found.kernel
    assert kernel is not None
    number = np.arange(1, len(kernel.eigenvalues) + 1)
    share = kernel.eigenvalues / (float(kernel.eigenvalues[0]) or 1.0)
    left = 1 - kernel.power
    for name, values, color, style in (
        ("eigenvalue / largest", share, BLUE, "-"),
        ("part of the labels left", left, VERMILLION, _DASHED),
    ):
        shown = values > _SMALLEST
        ax.plot(number[shown], values[shown], color=color, ls=style, label=name)
    ax.set(xscale="log", yscale="log", xlabel="eigenvector of the kernel", ylabel="share")
    ax.set_title(f"kernel and labels (alignment {kernel.alignment:.2f})", loc="left")
    _legend_below(ax)
