"""The collapse at small epsilon/alpha: one curve for all networks of the same alpha epsilon.

Networks on one data set, in tau and in S = epsilon |beta|^2 tau/alpha, and the limit
epsilon/alpha -> 0, which knows a = alpha epsilon/|beta|^2 alone (``slaved-flow``).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check
from lazyrich.paper_figures.studies.networks import falls
from lazyrich.plotting import BLACK, WIDTH, letter, shades
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.laws.rich_flow import RichCurve, rich_curve
from lazyrich.simulate.runs import Runs
from lazyrich.simulate.task import PolynomialTask

STEPS = 10_000


@dataclass(frozen=True)
class Parameters:
    """Networks at each a and epsilon/alpha, trained to S = ``end`` D^2."""

    D: int = 20
    P: int = 120
    values: tuple[float, ...] = (1e-3, 1e-1)  # of a
    ratios: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01)
    end: float = 20.0
    seed: int = 0


PRESETS = {
    "tiny": Parameters(D=8, P=48, ratios=(0.1, 0.03)),
    "quick": Parameters(),
    "paper": Parameters(D=40, P=240, ratios=(0.3, 0.1, 0.03, 0.01, 0.003)),
}


def _unit(p: Parameters, ratio: float) -> float:
    """The tau that is one unit of S, |beta|^2 = D."""
    return 1 / (ratio * p.D)


def _cell(p: Parameters, a: float, ratio: float) -> dict:
    curvature = math.sqrt(a * p.D * ratio)
    return {
        "D": p.D,
        "P": p.P,
        "task_seed": p.seed,
        "n_test": 1,
        "alpha": curvature / ratio,
        "epsilon": curvature,
        "width": math.inf,
        "centred": True,
        "engine": "flow",
        "alignment": None,
        "steps": STEPS,
        "learning_rate": p.end * p.D**2 * _unit(p, ratio) / STEPS,
    }


def _points(p: Parameters) -> list[tuple[float, float]]:
    return [(a, ratio) for a in p.values for ratio in p.ratios]


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: every a and epsilon/alpha."""
    return {"runs": Runs(NETWORK, listed=[_cell(p, *point) for point in _points(p)])}


@lru_cache(maxsize=16)
def limit(p: Parameters, a: float) -> RichCurve:
    """Return the limit epsilon/alpha -> 0 at this a; its time is S/|beta|^2."""
    task = PolynomialTask(D=p.D, P=p.P, n_test=1, seed=p.seed)
    return rich_curve(task.X.numpy(), task.beta.numpy(), a * p.D, horizon=p.end)


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the test losses in tau (left), and in S (right)."""
    figure = Figure(figsize=(WIDTH, 2.5))
    left, right = figure.subplots(1, 2, sharey=True)
    _curves(left, p, data["runs"], False)
    _curves(right, p, data["runs"], True)
    nothing = float(data["runs"].zero_population_loss[0])
    for a, style in zip(p.values, _STYLES, strict=False):
        curve = limit(p, a)
        right.plot(
            curve.time * p.D, nothing * curve.test, color=BLACK, linewidth=2.2, alpha=0.35, zorder=0
        )
        right.plot([], [], color=BLACK, linestyle=style, label=f"a = {a:g}")
    right.plot([], [], color=BLACK, linewidth=2.2, alpha=0.35, label="ε/α → 0")
    left.set(xlabel="τ = η₀ · step", ylabel="test loss")
    right.set(xlabel="S = ε|β|²τ/α")
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", ylim=(1e-2, 4))
        ax.legend(loc="lower left")
    letter(left, "a")
    letter(right, "b")
    return figure


_STYLES = ("-", (0, (4, 1.5)))


def _curves(ax: Axes, p: Parameters, runs: Dataset, scaled: bool) -> None:
    colours = dict(zip(p.ratios, shades(len(p.ratios)), strict=True))
    styles = dict(zip(p.values, _STYLES, strict=False))
    for i, (a, ratio) in enumerate(_points(p)):
        tau = runs.step.values * _cell(p, a, ratio)["learning_rate"]
        x = tau / _unit(p, ratio) if scaled else tau
        label = f"ε/α = {ratio:g}" if not scaled and a == p.values[0] else None
        loss = runs.population_loss.isel(cell=i).values
        ax.plot(x[1:], loss[1:], color=colours[ratio], linestyle=styles[a], label=label)


def scaled_falls(p: Parameters, data: dict[str, Dataset]) -> np.ndarray:
    """Return the S at which train and test loss have fallen, shape (2, a, ratios)."""
    return falls(data["runs"]).T.reshape(2, len(p.values), -1) * p.end * p.D**2 / STEPS


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the law says, held against the runs."""
    train, test = scaled_falls(p, data)
    predicted = np.array([limit(p, a).test_fall * p.D for a in p.values])
    off = abs(test / predicted[:, None] - 1)
    shown = _table(p, [", ".join(f"{100 * e:.2g}%" for e in row) for row in off])
    early = (train / test).max(1)
    tau = test / np.array(p.ratios)
    raw = tau[:, -1] / tau[:, 0]
    return [
        Check(
            "collapse",
            "in S the test loss falls when the limit says that it does, for every a",
            f"off by, for ε/α = {p.ratios}: {shown}",
            f"within 2% at ε/α = {p.ratios[-1]:g}",
            bool((off[:, -1] < 0.02).all()),
            claim="law-collapse",
        ),
        Check(
            "nearer-the-lazier",
            "the error falls with ε/α",
            shown,
            "less at the smallest than at the largest, for every a",
            bool((off[:, -1] < off[:, 0]).all()),
            claim="law-collapse",
        ),
        Check(
            "apart-in-tau",
            "in τ the fall is later in proportion to α/ε",
            f"{', '.join(f'{r:.3g}' for r in raw)} times as late at the smallest ε/α as at the "
            f"largest, which is {p.ratios[0] / p.ratios[-1]:g} times as large",
            "in proportion within a third, for every a",
            bool((abs(raw * p.ratios[-1] / p.ratios[0] - 1) < 1 / 3).all()),
            claim="law-collapse",
        ),
        Check(
            "train-first",
            "the train loss falls first",
            _table(p, [f"{100 * share:.0f}% of the time of the test loss" for share in early]),
            "earlier in every run",
            bool((early < 1).all()),
        ),
    ]


def _table(p: Parameters, rows: list[str]) -> str:
    return "; ".join(f"a = {a:g}: {row}" for a, row in zip(p.values, rows, strict=True))


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    del data
    return (
        f"Test loss of networks on one data set, D = {p.D}, P = {p.P}, y = (β·x)²/2, |β|² = D, "
        "infinite width, centred predictor, gradient flow, for several ε/α at two values of "
        "a = αε/|β|² (solid, dashed). (a) In τ the fall comes in proportion to α/ε. (b) In "
        "S = ε|β|²τ/α the curves of one a become one as ε/α falls: thick, the limit, which is "
        "integrated with neither α nor ε but in a. The linear modes' first moves, of order 1 in τ, "
        "are what does not scale."
    )
