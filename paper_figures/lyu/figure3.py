"""Matrix completion: first zeros, then low rank [Lyu et al. 2024, Fig. 3].

W = U U^T - V V^T from U = V = alpha I fits the observed entries of X_ij = i j/d^2 at once, with
zeros elsewhere, and completes the matrix when the scale has decayed. Gradient flow.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, spread
from lazyrich.paper_figures.runs import of_flow
from lazyrich.paper_figures.studies.biases import at
from lazyrich.plotting import LOOKS, WIDTH, letter, look
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

# The learning rate of the paper, by which its steps become times.
LEARNING_RATE = 0.1


@dataclass(frozen=True)
class Parameters:
    """The paper's own sizes cost seconds; ``seeds`` observed sets."""

    d: int = 97
    observed: float = 0.05
    alpha: float = 10.0
    weight_decay: float = 1e-4
    end: float = 5.0
    seeds: int = 8


PRESETS = {
    "tiny": Parameters(d=16, observed=0.3, seeds=2),
    "quick": Parameters(seeds=3),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs."""
    names = ("d", "observed", "alpha", "weight_decay", "end")
    return {
        "runs": Runs(of_flow("completion"), {}, {name: getattr(p, name) for name in names}, p.seeds)
    }


def transition(p: Parameters) -> float:
    """Return log(alpha)/lambda."""
    return math.log(p.alpha) / p.weight_decay


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return errors (left) and norms (right) along the runs."""
    runs = data["runs"]
    figure = Figure(figsize=(WIDTH, 1.9))
    errors, norms = figure.subplots(1, 2, sharex=True)
    time = runs.time.isel(seed=0).values
    for name, label in (("train_loss", "observed"), ("test_loss", "unobserved")):
        style = LOOKS["train_loss" if name == "train_loss" else "population_loss"]
        for seed in runs.seed:
            errors.plot(time, runs[name].sel(seed=seed), **{**style, "label": None})
        errors.plot([], [], **{**style, "label": f"{label} entries"})
    errors.set(xscale="log", yscale="log", ylabel="mean square error", xlim=(1e-1, time[-1]))
    errors.set_ylim(1e-10, 1)
    for name, style, label in (
        ("nuclear_norm", look("l1"), "$|W|_*$"),
        ("frobenius_norm", look("l2"), "$|W|_F$"),
    ):
        values = runs[name] / runs.planted_norm
        for seed in runs.seed:
            norms.plot(time, values.sel(seed=seed), **{**style, "label": None})
        norms.plot([], [], **{**style, "label": label})
    norms.axhline(1, color="black", linewidth=0.4)
    norms.set(ylabel="norm over that of the truth", ylim=(0, None))
    for ax, text, title in ((errors, "a", "errors"), (norms, "b", "norms")):
        ax.axvline(transition(p), color="black", linewidth=0.5, linestyle=":")
        ax.set_xlabel("time (learning rate × steps)")
        letter(ax, text, title)
        ax.legend(loc="center", bbox_to_anchor=(0.5, 0.68))
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what lazyrich adds, held against the runs."""
    runs = data["runs"]
    return [_fits_in_tens_of_steps(runs), _zero_fill(p, runs), _completes(runs), _late_oracle(runs),
            _certificate(p, runs)]  # fmt: skip


def _fits_in_tens_of_steps(runs: Dataset) -> Check:
    small = 1e-3 * runs.train_loss.isel(step=0)
    times = settled(runs.train_loss / small, 1.0, time=runs.time).values
    return Check(
        "fits-in-tens-of-steps",
        "the observed entries are fitted within tens of steps",
        f"their error is down by 1000 for good from {spread(times / LEARNING_RATE)} steps of rate "
        f"{LEARNING_RATE}",
        "below 100 in every seed",
        bool((times < 100 * LEARNING_RATE).all()),
        source="Fig. 3",
        claim="lyu-fig-3",
    )


def _zero_fill(p: Parameters, runs: Dataset) -> Check:
    early = at(runs, 0.5 * transition(p))
    ratio = early.test_loss / early.zero_fill_loss
    largest = early.largest_unobserved.values
    return Check(
        "early-zero-fill",
        "until late every unobserved entry is near 0",
        f"at half of log(α)/λ the largest is {spread(largest)}, and their error "
        f"{spread(ratio)} of that of zeros",
        "below 0.1, and within 2%, in every seed",
        bool((largest < 0.1).all() and (abs(ratio - 1) < 0.02).all()),
        source="Cor. 3.11",
        claim="lyu-cor-3.11-early",
    )


def _completes(runs: Dataset) -> Check:
    error = runs.test_loss.isel(step=-1) / runs.zero_fill_loss
    times = settled(runs.test_loss / runs.zero_fill_loss, 0.1, time=runs.time).values
    steps = times / LEARNING_RATE
    return Check(
        "completes-late",
        "the error of the unobserved entries falls after hundreds of thousands of steps",
        f"to {spread(error)} of its start; below a tenth from {spread(steps)} steps on",
        "below a tenth for good from between 1e5 and 2e6 steps, in every seed",
        bool(((steps > 1e5) & (steps < 2e6)).all()),
        source="Fig. 3",
        claim="lyu-fig-3",
    )


def _late_oracle(runs: Dataset) -> Check:
    gap, error = runs.penalised_gap.values, runs.penalised_error.values
    return Check(
        "late-minimiser",
        "the end minimises the error of the observed entries plus (λ/2)|W|_*",
        f"{spread(gap)} above the least value; W within {spread(error)} of the minimiser",
        "at most 1% above, in every seed",
        bool((gap < 0.01).all()),
        source="lazyrich; Cor. 3.11",
        claim="lyu-cor-3.11-late",
    )


def _certificate(p: Parameters, runs: Dataset) -> Check:
    found = runs.gradient_norm.isel(step=-1).values / (p.weight_decay / 2)
    return Check(
        "late-certificate",
        "in the end the gradient has the operator norm λ/2",
        f"{spread(found)} of it",
        "within 2% in every seed",
        bool((np.abs(found - 1) < 0.02).all()),
        source="lazyrich",
        claim="lyu-law-5",
    )


def caption(p: Parameters, _data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        f"Completion of X with entries ij/d², d = {p.d}, from {100 * p.observed:g}% of the "
        "entries (an entry seen at (i, j) is seen at (j, i)), by W = UUᵀ − VVᵀ trained by "
        "gradient flow "
        f"from U = V = αI, α = {p.alpha:g}, λ = {p.weight_decay:g}. (a) Mean square errors. "
        f"(b) Nuclear and Frobenius norm over the nuclear norm of X. One line for each of "
        f"{p.seeds} observed "
        "sets. Dotted: log(α)/λ."
    )
