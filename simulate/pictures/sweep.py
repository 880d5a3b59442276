"""The picture of a sweep: losses along one parameter, and when they fall."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lazyrich.plotting import (
    BLUE,
    LOOKS,
    VERMILLION,
    WIDTH,
    Picture,
    house_style,
    legend_above,
    letter,
    look,
    saved,
    shades,
)
from lazyrich.simulate.outcome import time_to_grok
from lazyrich.simulate.pictures.run import records_of, test_of
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import one_of, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SEEDS = ("seed", "task_seed")
# More curves than this are too many to tell apart.
_MOST = 8


@checks_its_arguments
def draw(
    runs: Any,
    along: str | None = None,
    at: Mapping[str, Any] | None = None,
    file: str | os.PathLike | None = None,
) -> "Figure":
    """Return the figure of the runs of a sweep along one of its parameters.

    ``along``: the parameter; the longest axis unless given. ``at``: values of the other parameters;
    their first ones unless given. (a) Losses, of the first seed; (b) the times at which they fall:
    a dot for each seed, and the median. ``file``: write it there as well, as .png, .pdf or .svg.
    """
    return saved(lambda: _draw(runs, along, at), file)


def _draw(runs: Any, along: str | None, at: Any) -> "Figure":
    if not isinstance(runs, xr.Dataset) or "train_loss" not in runs:
        raise ValueError(f"runs = {shown(runs)}: must be the runs of a sweep, as sweep gives them")
    records = records_of(runs)
    axes = [str(name) for name in runs.train_loss.dims if name != records]
    swept = [name for name in axes if name not in _SEEDS] or axes
    along = max(swept, key=lambda name: runs.sizes[name]) if along is None else along
    one_of("along", along, swept)
    chosen = _chosen(runs, [name for name in swept if name != along], at)
    runs = runs.sel(chosen)
    with house_style():
        figure = Picture(figsize=(1.3 * WIDTH, 0.55 * WIDTH), layout="constrained")
        left, right = figure.subplots(1, 2)
        _curves(left, runs, along, records)
        _falls(right, runs, along, records)
        letter(left, "a")
        letter(right, "b")
        if chosen:
            figure.suptitle(
                ", ".join(f"{name} = {_short(value)}" for name, value in chosen.items())
            )
    return figure


def _chosen(runs: Any, others: list[str], at: Any) -> dict[str, Any]:
    """Return the values of the parameters that are not drawn along."""
    if at is not None and not isinstance(at, Mapping):
        raise ValueError(f"at = {shown(at)}: must map parameters to values")
    given = dict(at or {})
    for name, value in given.items():
        one_of("at", name, others)
        known = runs[name].values.tolist()
        if value not in known:
            raise ValueError(f"at {name} = {shown(value)}: must be one of {known}")
    return {name: given.get(name, runs[name].values[0]) for name in others}


def _short(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _curves(ax: "Axes", runs: Any, along: str, records: str) -> None:
    test = test_of(runs)
    seeds = [name for name in _SEEDS if name in runs.train_loss.dims and name != along]
    later = runs.isel({records: slice(1, None), **dict.fromkeys(seeds, 0)})
    count = later.sizes[along]
    kept = np.unique(np.linspace(0, count - 1, min(count, _MOST)).round().astype(int))
    for place, color in zip(kept, shades(len(kept)), strict=True):
        run = later.isel({along: place})
        label = f"{along} = {_short(run[along].values[()])}"
        line = {"color": color, "linewidth": 0.9}
        ax.plot(run[records], run.train_loss, ls=LOOKS["train_loss"]["linestyle"], **line)
        ax.plot(run[records], run[test], label=label, **line)
    ax.set(xscale="log", yscale="log", ylabel=f"train (dashed), {test.replace('_', ' ')}")
    ax.set_xlabel("gradient steps" if records == "step" else "time")
    legend_above(ax, 3)


def _falls(ax: "Axes", runs: Any, along: str, records: str) -> None:
    test = test_of(runs)
    times = time_to_grok(runs, test=test)
    values = runs[along].values
    numeric = np.issubdtype(values.dtype, np.number)
    x = values.astype(float) if numeric else np.arange(len(values))
    end, places = float(times.end.max()), {}
    for side, color, marker in (("train", BLUE, "s"), ("test", VERMILLION, "o")):
        found = times[side].transpose(along, ...).values.reshape(len(x), -1)
        many = np.broadcast_to(x[:, None], found.shape)
        within = np.isfinite(found)
        ax.plot(many[within], found[within], marker, color=color, ms=2.5, alpha=0.6)
        style = look("train_loss" if side == "train" else "population_loss", linewidth=0.9)
        middle = np.median(np.where(np.isnan(found), np.inf, found), axis=1)
        middle[~np.isfinite(middle)] = np.nan
        loss = "train loss" if side == "train" else test.replace("_", " ")
        style["label"] = f"{loss} falls"
        ax.plot(x, middle, **style)
        places[side] = many[np.isinf(found)]
    for side, color in (("train", BLUE), ("test", VERMILLION)):
        label = f"{side}: not within the run"
        if len(places[side]):
            ends = np.full(len(places[side]), end)
            ax.plot(places[side], ends, "^", color=color, ms=4, mfc="none", label=label)
    if numeric and (x > 0).all() and x.max() > 10 * x.min():
        ax.set_xscale("log")
    if len(x) <= _MOST:
        ax.set_xticks(x, [_short(value) for value in values])
        ax.minorticks_off()
    unit = "gradient steps" if records == "step" else "time"
    ax.set(yscale="log", xlabel=along, ylabel=unit)
    legend_above(ax, 2)
