"""Lazy learning curves: the law through means over data sets, over the peak near P = D.

Dots are means of kernel regression with the initial kernel at infinite width over fresh data sets,
with one standard error; lines are ``lazy-learning-curve``, which knows no data.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check
from lazyrich.paper_figures.experiments import lazy_draws
from lazyrich.plotting import BLACK, GREY, WIDTH, letter, shades
from lazyrich.simulate.experiment import Function
from lazyrich.simulate.laws import lazy
from lazyrich.simulate.measures import zero_losses
from lazyrich.simulate.runs import Runs
from lazyrich.simulate.task import PolynomialTask
from lazyrich.theory import closed_form

AIM = 0.06  # of the law, relative to the mean


@dataclass(frozen=True)
class Parameters:
    """Data sets are many enough for ``error``, the standard error relative to the mean."""

    D: int = 40
    epsilons: tuple[float, ...] = (0.05, 0.2, 1.2)
    samples: tuple[int, ...] = (10, 20, 30, 40, 50, 65, 100, 200, 400, 740)
    dimensions: tuple[int, ...] = (10, 40, 100)
    epsilon: float = 0.2
    gammas: tuple[float, ...] = (0.3, 0.6, 0.8, 1.0, 1.25, 1.7, 2.5)
    error: float = 0.005
    most: int = 20_000


_QUICK = {"error": 0.02, "most": 1500}
TOO_SMALL = {
    "law-within-6-percent",
}
PRESETS = {
    "tiny": Parameters(
        D=16, samples=(4, 16, 40, 120), dimensions=(8, 16), gammas=(0.5, 1.0, 2.0), **_QUICK
    ),
    "quick": Parameters(**_QUICK),
    "paper": Parameters(),
}


def _curves(p: Parameters) -> tuple[tuple[int, int, float], ...]:
    return tuple((p.D, P, e) for e in p.epsilons for P in p.samples)


def _scaled(p: Parameters) -> tuple[tuple[int, int, float], ...]:
    return tuple((D, max(1, round(g * D)), p.epsilon) for D in p.dimensions for g in p.gammas)


def _draws(p: Parameters, points: tuple[tuple[int, int, float], ...]) -> Runs:
    return Runs(
        Function(lazy_draws.mean_loss, lazy_draws.cost),
        listed=[
            {"D": D, "P": P, "epsilon": epsilon, "error": p.error, "most": p.most}
            for D, P, epsilon in points
        ],
    )


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the draws: curves over epsilon, and over D at fixed P/D."""
    return {"epsilons": _draws(p, _curves(p)), "dimensions": _draws(p, _scaled(p))}


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the curves over epsilon (left) and their limit D -> infinity (right)."""
    figure = Figure(figsize=(WIDTH, 2.6))
    left, right = figure.subplots(1, 2)
    _over_epsilon(left, p, data["epsilons"])
    _over_dimension(right, p, data["dimensions"])
    for ax in (left, right):
        ax.axhline(_nothing(p), color=GREY, linewidth=0.6, linestyle=":")
    left.set(xscale="log", yscale="log", ylim=(0.02, 12))
    left.set(xlabel="samples P", ylabel="mean test loss of lazy training")
    right.set(xlabel="samples over dimensions, P/D", ylim=(0, None))
    letter(left, "a", f"D = {p.D}")
    letter(right, "b", f"ε = {p.epsilon:g}")
    return figure


@lru_cache(maxsize=8)
def _nothing(p: Parameters) -> float:
    """The test loss of predicting nothing, at |beta|^2 = D."""
    return zero_losses(PolynomialTask(D=p.D, P=1, n_test=1))["zero_population_loss"]


def _critical() -> float:
    """The epsilon above which no number of samples is worse than predicting nothing."""
    return float(closed_form("lazy-curve-limit").functions("numpy")["critical_epsilon"](sigma=1.0))


def _dots(ax: Axes, x: np.ndarray, rows: Dataset, color, label: str, marker: str) -> None:
    ax.errorbar(
        x,
        rows["mean"],
        rows["error"],
        fmt=marker,
        color=color,
        markersize=3,
        linewidth=0.6,
        label=label,
    )


MARKERS = "os^Dv<>p"


def _over_epsilon(ax: Axes, p: Parameters, data: Dataset) -> None:
    last = lazy.exact_from(p.D)
    sizes = np.geomspace(p.samples[0] * 0.8, last * 0.995, 120)
    rows = len(p.samples)
    for i, (epsilon, color) in enumerate(zip(p.epsilons, shades(len(p.epsilons)), strict=True)):
        ax.plot(sizes, [lazy.lazy_loss(p.D, P, epsilon).total for P in sizes], color=color)
        part = data.isel(cell=slice(i * rows, (i + 1) * rows))
        _dots(ax, np.array(p.samples), part, color, f"ε = {epsilon:g}", MARKERS[i])
    ax.axvline(last, color=BLACK, linewidth=0.6, linestyle=(0, (4, 2)))
    ax.legend(loc="lower left")


def _over_dimension(ax: Axes, p: Parameters, data: Dataset) -> None:
    rows = len(p.gammas)
    for i, (D, color) in enumerate(zip(p.dimensions, shades(len(p.dimensions)), strict=True)):
        sizes = np.geomspace(p.gammas[0] * D * 0.8, p.gammas[-1] * D * 1.2, 100)
        losses = [lazy.lazy_loss(D, P, p.epsilon).total for P in sizes]
        ax.plot(sizes / D, losses, color=color, linewidth=0.8)
        part = data.isel(cell=slice(i * rows, (i + 1) * rows))
        x = np.array([P / D for _, P, _ in _scaled(p)[i * rows : (i + 1) * rows]])
        _dots(ax, x, part, color, f"D = {D}", MARKERS[i])
    gammas, limit = _limit(p.epsilon)
    inside = (gammas > 0.8 * p.gammas[0]) & (gammas < 1.2 * p.gammas[-1])
    ax.plot(gammas[inside], limit[inside], color=BLACK, linestyle=(0, (4, 2)), label="D → ∞")
    ax.legend(loc="lower right")


@lru_cache(maxsize=8)
def _limit(epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """P/D and the loss as D -> infinity, along the effective ridge k."""
    form, k = closed_form("lazy-curve-limit"), np.geomspace(1e-4, 1e2, 2000)
    at = {"k": k, "s": epsilon**2}
    return form.functions("numpy")["gamma"](**at), form.function("numpy")(**at)


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the law says, held against the means."""
    inside = [(c, r) for c, r in _compared(p, data) if c[2] * c[0] >= 2]
    peaks = _peaks(p, data["epsilons"])
    shown = "; ".join(f"ε = {e:g}: {loss:.3g} at P = {P}" for e, (P, loss) in peaks.items())
    critical = _critical()
    return [
        _error_of_law(inside),
        Check(
            "peak-near-D",
            "for small ε the mean test loss is largest near P = D",
            shown,
            "at P within a quarter of D for every ε < 0.3",
            all(abs(P / p.D - 1) <= 0.25 for e, (P, _) in peaks.items() if e < 0.3),
            claim="law-lazy-peak",
        ),
        Check(
            "critical-epsilon",
            f"lazy training is worse than predicting nothing for some P if ε < {critical:.3g}, and "
            "for none above",
            f"the largest mean losses: {shown}",
            f"above {_nothing(p):.3g} on one side only",
            all((loss > _nothing(p)) == (e < critical) for e, (_, loss) in peaks.items()),
            claim="law-critical",
        ),
        _error_of_limit(p, data["dimensions"]),
    ]


def _compared(p: Parameters, data: dict[str, Dataset]) -> list:
    """((D, P, epsilon), (mean/law - 1, its standard error)) of all points."""
    found = []
    for points, rows in ((_curves(p), data["epsilons"]), (_scaled(p), data["dimensions"])):
        for point, mean, error in zip(
            points, rows["mean"].values, rows["error"].values, strict=True
        ):
            law = lazy.lazy_loss(*point).total
            found.append((point, (mean / law - 1, error / law)))
    return found


def _error_of_law(found: list) -> Check:
    found = [(point, measured) for point, measured in found if point[0] >= 40] or found
    low, high = (f(off for _, (off, _) in found) for f in (min, max))
    noise = max(error for _, (_, error) in found)
    return Check(
        "law-within-6-percent",
        "for εD ≥ 2 the law is within 6% of the mean at every P, from D = 40 on",
        f"mean/law - 1 from {100 * low:.1f}% to {100 * high:.1f}%, standard errors at most "
        f"{100 * noise:.1f}%",
        "within 6% and two standard errors at every point",
        all(abs(off) < AIM + 2 * error for _, (off, error) in found),
        claim="law-lazy-curve",
    )


def _peaks(p: Parameters, data: Dataset) -> dict[float, tuple[int, float]]:
    table = data["mean"].values.reshape(len(p.epsilons), len(p.samples))
    tops = table.argmax(1)
    return {
        e: (p.samples[i], float(row[i])) for e, row, i in zip(p.epsilons, table, tops, strict=True)
    }


def _error_of_limit(p: Parameters, data: Dataset) -> Check:
    gammas, limit = _limit(p.epsilon)
    law = np.interp(p.gammas, gammas[::-1], limit[::-1])
    table = data["mean"].values.reshape(len(p.dimensions), len(p.gammas)) / law - 1
    errors = dict(zip(p.dimensions, abs(table).max(1), strict=True))
    return Check(
        "limit-of-many-dimensions",
        "the closed form for D → ∞ at P = γD is approached as D grows",
        ", ".join(f"{100 * error:.1f}% off at D = {D}" for D, error in errors.items()),
        "less at the largest D than at the smallest",
        bool(errors[p.dimensions[-1]] < errors[p.dimensions[0]]),
        claim="law-critical",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    counts = np.concatenate([data[name]["count"].values for name in data])
    return (
        "Mean test loss at the end of fully lazy training. Dots: kernel regression on fresh data "
        "sets; bars: one standard error. Lines: the closed form lazy-learning-curve, from the "
        f"kernel's exact spectrum. (a) Over P at D = {p.D}; dashed: P = {lazy.exact_from(p.D)}, "
        f"from which on lazy training is exact. (b) At ε = {p.epsilon:g} over P/D for several D; "
        "dashed: the limit D → ∞. Dotted: predicting nothing.\n\n"
        "y = (β·x)²/2, |β|² = D, infinite width. A dot is the mean over "
        f"{counts.min():.0f} to {counts.max():.0f} data sets, as many as a relative standard error "
        f"of {100 * p.error:.1f}% asks (at most {p.most}). Above the critical "
        f"ε = {_critical():.3f} lazy training is never worse than predicting nothing."
    )
