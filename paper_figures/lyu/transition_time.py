"""When the transition comes: lambda t* = log(alpha) + C, for any depth.

After the fit the state depends on time and alpha through a = alpha exp(-lambda t) alone, as
lambda -> 0, so that any event is at a fixed a: slope 1 in log(alpha), at every depth. Here the
event is the L1 norm passing the geometric mean of its early and late values. In classification the
event drifts with lambda, through the logarithm of the loss.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.runs import of_flow
from lazyrich.paper_figures.studies.biases import alpha_axis, slopes
from lazyrich.plotting import WIDTH, letter, shades
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

MARKERS = ("o", "s", "^")


@dataclass(frozen=True)
class Parameters:
    """Sparse regression for each depth, alpha and lambda; sparse classification at depth 2."""

    depths: tuple[int, ...] = (2, 3, 4)
    alphas: tuple[float, ...] = (10.0, 20.0, 40.0, 80.0, 160.0)
    decays: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    d: int = 200
    n: int = 40
    k: int = 3
    classified_d: int = 1000
    classified_n: int = 60
    end: float = 2.5
    seeds: int = 5


PRESETS = {
    "tiny": Parameters(
        depths=(2, 3),
        alphas=(10.0, 40.0),
        decays=(1e-2, 1e-3),
        d=60,
        n=20,
        classified_d=300,
        seeds=2,
    ),
    "quick": Parameters(alphas=(10.0, 30.0, 90.0), seeds=2),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: regression of all depths, and classification."""
    fixed = {name: getattr(p, name) for name in ("d", "n", "k", "end")}
    grid = {"depth": list(p.depths), "weight_decay": list(p.decays), "alpha": list(p.alphas)}
    classified = {"data": "sparse", "d": p.classified_d, "n": p.classified_n, "n_test": 500}
    classified |= {"end": p.end}
    return {
        "regression": Runs(of_flow("regression"), grid, fixed, p.seeds),
        "classification": Runs(
            of_flow("classification"),
            {name: grid[name] for name in ("weight_decay", "alpha")},
            classified,
            p.seeds,
        ),
    }


def event(runs: Dataset) -> DataArray:
    """Return lambda t* of regression: |w|_1 at the mean of log(least L1) and log(its early value).

    The early value is the largest on the way, that of the interpolation of least L2 norm.
    """
    level = (runs.l1_norm.max("step") * runs.least_l1_norm) ** 0.5
    # Before the fit the norm is below the level too: only its last fall counts.
    return settled(runs.l1_norm / level, 1.0, time=runs.time) * runs.weight_decay


def classified_event(runs: Dataset) -> DataArray:
    """Return lambda t* of classification: the test accuracy passes 3/4 for good."""
    return settled(runs.test_accuracy, 0.75, above=True, time=runs.time) * runs.weight_decay


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return lambda t* against log(alpha): regression (left) and classification (right)."""
    figure = Figure(figsize=(WIDTH, 2.2))
    left, right = figure.subplots(1, 2, sharey=False)
    least = min(p.decays)
    times = event(data["regression"]).sel(weight_decay=least)
    for depth, marker, color in zip(p.depths, MARKERS, shades(len(p.depths)), strict=False):
        values = times.sel(depth=depth).median("seed")
        left.plot(p.alphas, values, marker, color=color, markersize=3, label=f"L = {depth}")
        offset = float((values - np.log(p.alphas)).mean())
        left.plot(p.alphas, np.log(p.alphas) + offset, color=color, linewidth=0.8)
    times = classified_event(data["classification"])
    for decay, marker, color in zip(p.decays, MARKERS, shades(len(p.decays)), strict=False):
        values = times.sel(weight_decay=decay).median("seed")
        right.plot(p.alphas, values, marker, color=color, markersize=3, label=f"λ = {decay:g}")
        offset = float((values - np.log(p.alphas)).mean())
        right.plot(p.alphas, np.log(p.alphas) + offset, color=color, linewidth=0.8)
    letter(left, "a", f"regression, λ = {least:g}")
    letter(right, "b", "classification, L = 2")
    left.set_ylabel(r"transition time $\lambda t^*$")
    for ax in (left, right):
        alpha_axis(ax, p.alphas)
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the law says, held against the runs."""
    return [*_slopes(p, data), _constant_converges(data), _classification_drifts(p, data)]


def _slopes(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    least = min(p.decays)
    found = slopes(event(data["regression"]).sel(weight_decay=least))
    checks = [
        Check(
            f"slope-1-depth-{depth}",
            f"λt* grows by 1 with each unit of log α (regression, L = {depth}, λ = {least:g})",
            f"slope {spread(found.sel(depth=depth))}",
            "within 0.02 of 1 in every seed",
            bool((abs(found.sel(depth=depth) - 1) < 0.02).all()),
            source="lazyrich",
            claim="lyu-law-4",
        )
        for depth in p.depths
    ]
    classified = slopes(classified_event(data["classification"]).sel(weight_decay=least))
    checks.append(
        Check(
            "slope-1-classification",
            f"λt* grows by 1 with each unit of log α (classification, λ = {least:g})",
            f"slope {spread(classified)}",
            "within 0.05 of 1 in every seed",
            bool((abs(classified - 1) < 0.05).all()),
            source="lazyrich",
            claim="lyu-law-4",
        )
    )
    return checks


def _constant(event: DataArray) -> DataArray:
    return (event - np.log(event.alpha)).mean("alpha")


def _constant_converges(data: dict[str, Dataset]) -> Check:
    constant = _constant(event(data["regression"])).sortby("weight_decay")
    last = abs(constant.isel(weight_decay=1) - constant.isel(weight_decay=0))
    before = abs(constant.isel(weight_decay=-1) - constant.isel(weight_decay=0))
    return Check(
        "constant-converges-in-regression",
        "λt* − log α tends to a constant as λ → 0 in regression",
        f"it moves by {spread(last)} from the second least λ to the least, by {spread(before)} "
        "from the largest",
        "by less than 0.05 at last, in every seed and depth",
        bool((last < 0.05).all()),
        source="lazyrich",
        claim="lyu-law-4",
    )


def _classification_drifts(p: Parameters, data: dict[str, Dataset]) -> Check:
    constant = _constant(classified_event(data["classification"])).sortby("weight_decay")
    drift = constant.isel(weight_decay=-1) - constant.isel(weight_decay=0)
    ratio = math.log(max(p.decays) / min(p.decays))
    return Check(
        "classification-drifts",
        "in classification λt* still falls as λ does: t* is not exactly proportional to 1/λ",
        f"down by {spread(drift)} from λ = {max(p.decays):g} to {min(p.decays):g}, that is "
        f"{spread(drift / ratio)} for each factor e",
        "down by more than 0.05 in every seed",
        bool((drift > 0.05).all()),
        source="lazyrich",
        claim="lyu-law-4-classification",
    )


def caption(p: Parameters, _data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        "Time of the transition against the initial scale, of diagonal networks trained with "
        f"weight decay. (a) Sparse regression, d = {p.d}, n = {p.n}, k = {p.k}: the time at which "
        "|w|₁ passes the geometric mean of its largest value, of the early solution, and its least "
        f"possible value. (b) Sparse classification, d = {p.classified_d}, n = {p.classified_n}: "
        "the time at which the test accuracy passes 3/4. Symbols: medians over "
        f"{of_seeds(p.seeds)}. Lines: slope 1."
    )
