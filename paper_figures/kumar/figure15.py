"""Figure 15: Hermite polynomials of degree 3 and 4, with more data.

y = He_k(beta.x), |beta|^2 = D, and phi(h) = h + (epsilon/2) He_k(h), as in Sec. 15.2; He_k are
taken to be the probabilists', which the text leaves open. Neither sizes nor scales are given:
chosen here is D = 10, since He_k needs of the order of D^k samples in the lazy regime, with alpha
in about the proportion of the labels' size sqrt(k!). These activations have no closed statistics:
the neurons are trained one by one, by descent.

All losses are in units of that of predicting nothing: k!, or what it is on the training set.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.panels import learning_curves
from lazyrich.plotting import LOOKS, SKY, WIDTH, letter, look, steps_axis
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.outcome import time_to_grok
from lazyrich.simulate.runs import Runs

HALF = 0.5


@dataclass(frozen=True)
class Case:
    """One degree, with the size of its data set and its output scale."""

    degree: int
    P: int
    alpha: float


@dataclass(frozen=True)
class Parameters:
    """One network a degree, and ``seeds`` repetitions of each."""

    D: int = 10
    cases: tuple[Case, Case] = (Case(3, 150, 8.0), Case(4, 500, 16.0))
    width: int = 50
    epsilon: float = 0.1
    learning_rate: float = 0.1
    steps: int = 20_000
    seeds: int = 6


TOO_SMALL = {
    "beats-kernel-regression-degree-3",
    "groks-degree-4",
}
PRESETS = {
    "tiny": Parameters(
        D=4,
        cases=(Case(3, 40, 8.0), Case(4, 80, 16.0)),
        width=20,
        learning_rate=0.05,
        steps=3_000,
        seeds=1,
    ),
    "quick": Parameters(steps=8_000, seeds=3),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs of each degree, by its name."""
    names = ("D", "width", "epsilon", "learning_rate", "steps")
    fixed = {name: getattr(p, name) for name in names}
    fixed |= {"engine": "neurons", "centred": True, "alignment": None}
    return {
        str(case.degree): Runs(
            NETWORK,
            {},
            fixed
            | {"P": case.P, "alpha": case.alpha}
            | {"target_degree": case.degree, "activation_degree": case.degree},
            p.seeds,
        )
        for case in p.cases
    }


def relative(runs: Dataset) -> Dataset:
    """Return histories with losses in units of that of predicting nothing: each first loss.

    That of the training set is its own: y^2 has so heavy tails that a sample of some hundreds
    mostly holds half of its mean or less.
    """
    power = runs.population_loss.isel(step=0)
    names = [n for n in map(str, runs) if n.endswith("_loss") or n.startswith("degree_")]
    found = runs.assign({name: runs[name] / power for name in names})
    return found.assign(train_loss=runs.train_loss / runs.train_loss.isel(step=0))


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return learning curves above, the test loss by Hermite degree below, a target a column."""
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, case in enumerate(p.cases):
        history = relative(data[str(case.degree)])
        above, below = axes[:, column]
        learning_curves(above, history, threshold=HALF)
        _by_degree(below, history.sel(seed=0), case.degree)
        letter(above, "ab"[column], f"He$_{case.degree}$, P = {case.P}")
        letter(below, "cd"[column], "test loss by Hermite degree")
    axes[0, 0].set(ylim=(1e-3, 4), ylabel="relative loss")
    axes[1, 0].set(ylim=(0, 1.3), ylabel="relative loss")
    for ax in axes[:, 1]:
        ax.set_ylabel("")
    for ax in axes[1]:
        steps_axis(ax, p.steps)
        ax.legend(loc="center left")
    axes[0, 0].legend(loc="lower left")
    return figure


def _by_degree(ax: Axes, history: Dataset, degree: int) -> None:
    later = history.sel(step=slice(1, None))
    ax.plot(later.step, later.population_loss, **LOOKS["population_loss"])
    ax.plot(later.step, later.degree_1, **LOOKS["linear"])
    goal = look("misalignment", label=f"degree {degree}")
    ax.plot(later.step, later[f"degree_{degree}"], **goal)
    rest = later.population_loss - later.degree_1 - later[f"degree_{degree}"]
    ax.plot(later.step, rest, color=SKY, linestyle=(0, (5, 1, 1, 1)), label="other degrees")


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, held against the runs."""
    found = []
    for case in p.cases:
        history = relative(data[str(case.degree)])
        if case.degree == 3:
            rise = _rise_is_linear(history, case, expected=True, claim="sec-15.2-as-expected")
        else:
            rise = _rise_is_linear(history, case, expected=False, claim="sec-15.2-as-expected-4")
        found += [_groks(history, case), _beats_kernel_regression(history, case), rise]
    return found


def _groks(history: Dataset, case: Case) -> Check:
    times = time_to_grok(history, threshold=HALF)
    delay = times.delay.fillna(np.inf).values
    return Check(
        f"groks-degree-{case.degree}",
        f"on He_{case.degree} the test loss falls after the train loss",
        f"below half of predicting nothing: train at {spread(times.train)}, test at "
        f"{spread(times.test)} steps; delay {spread(delay)}",
        "later, within the run, in every seed",
        bool(((delay > 0) & (delay < np.inf)).all()),
        source="Sec. 15.2, Fig. 15",
        claim="fig-15",
    )


def _beats_kernel_regression(history: Dataset, case: Case) -> Check:
    floor = history.kernel_regression_test_loss
    ratio = (history.test_loss.isel(step=-1) / floor).values
    return Check(
        f"beats-kernel-regression-degree-{case.degree}",
        f"on He_{case.degree} the network ends below kernel regression with its first kernel",
        f"final test loss over that of kernel regression, both on the test set: {spread(ratio)}",
        "below 1 in every seed",
        bool((ratio < 1).all()),
    )


def _rise_is_linear(history: Dataset, case: Case, *, expected: bool, claim: str) -> Check:
    loss = history.population_loss.transpose("seed", "step").values
    peak = loss.argmax(1)
    at = np.arange(len(loss)), peak
    rise = loss[at] - loss[:, 0]
    linear = history.degree_1.transpose("seed", "step").values[at]
    rises = rise > 0.01
    shares = linear[rises] / rise[rises]
    return Check(
        f"rise-is-linear-degree-{case.degree}",
        f"on He_{case.degree} the test loss first rises, by power put into linear functions",
        f"rise {spread(rise)}; linear power at the peak over it, where it is above 0.01: "
        f"{spread(shares)}",
        "a rise of more than 0.01, of which linear power is more than half, in most seeds",
        bool((shares > 0.5).sum() > len(rise) / 2),
        expected=expected,
        source="Sec. 5.3, 15.2",
        claim=claim,
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    cases = ", ".join(f"P = {c.P} and α = {c.alpha:g} for k = {c.degree}" for c in p.cases)
    powers = ", ".join(str(math.factorial(c.degree)) for c in p.cases)
    records = next(iter(data.values())).sizes["step"]
    return (
        "Networks with φ(h) = h + (ε/2) He_k(h) on y = He_k(β·x), He_k the probabilists' Hermite "
        "polynomials, k = 3 (left) and 4 (right). Losses over that of predicting nothing. (a), "
        "(b) Train and test loss; thick: seed 0, thin: test loss of the "
        f"{of_seeds(p.seeds - 1, 'other seed')}; dotted: {HALF:g}. (c), (d) The test loss of seed "
        "0 by Hermite degree.\n\n"
        f"N = {p.width}, |β|² = D = {p.D}, {cases}, ε = {p.epsilon:g}, η = {p.learning_rate:g} "
        f"N/α², centred, gradient descent, recorded at {records} steps. The loss of predicting "
        f"nothing is k! = {powers}, or its value on the training set. The text gives the targets "
        "and activations only; sizes and scales are our choice. The paper's captions of Figures "
        "14 and 15 both speak of higher degrees, and neither of several directions."
    )
