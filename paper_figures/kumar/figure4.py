"""Figure 4: a learning curve and the terms of its test loss, at two neurons and at many.

The paper's network has two neurons (N = 2, D = 40, P = 120), which is its own choice; a wide one
is drawn next to it. The predictor trained is the uncentred f(x;w), and the terms of eq. (6) are of
that same predictor, so that they add up to the loss drawn. The
experiment was run in lazyrich's own conventions, at eta = 0.5 N/alpha^2, so eta0 = 0.5; its target
vector was drawn from N(0, I), here |beta|^2 = D exactly.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.loss_claims import rise_is_linear, terms_add_up, wide_falls
from lazyrich.paper_figures.panels import learning_curves, loss_terms
from lazyrich.paper_figures.runs import gap_in_words
from lazyrich.plotting import WIDTH, letter, steps_axis
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.outcome import THRESHOLD, settled, time_to_grok
from lazyrich.simulate.runs import Runs


@dataclass(frozen=True)
class Parameters:
    """One network a width, and ``seeds`` repetitions of each with new data and weights."""

    D: int = 40
    P: int = 120
    widths: tuple[int, int] = (2, 500)
    alpha: float = 1.0
    epsilon: float = 0.25
    learning_rate: float = 0.5
    steps: int = 50_000
    centred: bool = False
    seeds: int = 24


PRESETS = {
    "tiny": Parameters(D=10, P=30, widths=(2, 50), steps=4000, seeds=6),
    "quick": Parameters(seeds=8),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: both widths."""
    fixed = {name: getattr(p, name) for name in ("D", "P", "alpha", "epsilon", "learning_rate")}
    fixed |= {"steps": p.steps, "centred": p.centred, "engine": "flow", "alignment": None}
    return {"runs": Runs(NETWORK, {"width": list(p.widths)}, fixed, p.seeds)}


def _narrow(p: Parameters, data: dict[str, Dataset]) -> Dataset:
    return data["runs"].sel(width=p.widths[0])


def _wide(p: Parameters, data: dict[str, Dataset]) -> Dataset:
    return data["runs"].sel(width=p.widths[1])


def _groks(history: Dataset) -> np.ndarray:
    return np.isfinite(time_to_grok(history, threshold=THRESHOLD).delay).values


def shown_seed(p: Parameters, data: dict[str, Dataset]) -> int:
    """Return the seed that is drawn: of those whose two-neuron network groks, the median in time.

    Seed 0 if none does.
    """
    times = time_to_grok(_narrow(p, data), threshold=THRESHOLD)
    order = np.argsort(times.test.values)  # those that do not fall last
    count = int(np.isfinite(times.test.values).sum())
    return int(order[(count - 1) // 2]) if count else 0


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return learning curves (left) and loss terms (right), two neurons above many."""
    figure = Figure(figsize=(WIDTH, 3.7))
    axes = figure.subplots(2, 2, sharex=True)
    seed = shown_seed(p, data)
    for row, history in zip(axes, (_narrow(p, data), _wide(p, data)), strict=True):
        learning_curves(row[0], history, seed)
        row[0].set_ylim(1e-3, 4)
        loss_terms(row[1], history.sel(seed=seed))
    for ax, text, title in zip(axes.flat, "abcd", _titles(p), strict=True):
        letter(ax, text, title)
    for ax in axes[1]:
        steps_axis(ax, p.steps)
    axes[0, 0].legend(loc="lower left")
    axes[0, 1].legend(loc="upper right")
    return figure


def _titles(p: Parameters) -> list[str]:
    return [
        f"{count}: {what}"
        for count in (f"N = {p.widths[0]}", f"N = {p.widths[1]}")
        for what in ("loss", "terms of the test loss")
    ]


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what lazyrich adds, held against the runs."""
    narrow, wide = _narrow(p, data), _wide(p, data)
    grokking = narrow.sel(seed=_groks(narrow))
    return [
        terms_add_up(
            data["runs"],
            "the three terms, of the predictor that is trained",
            "eq. (6)",
            claim="eq-6",
        ),
        rise_is_linear(
            grokking,
            "two-neurons",
            f"the N = {p.widths[0]} networks that grok",
            claim="sec-5.3-peak-is-linear",
        ),
        rise_is_linear(
            wide, "wide", f"the N = {p.widths[1]} networks", claim="sec-5.3-peak-is-linear"
        ),
        _delayed(grokking),
        _alignment_begins(grokking),
        _every_start_groks(narrow),
        wide_falls(wide),
    ]


def _delayed(grokking: Dataset) -> Check:
    times = time_to_grok(grokking, threshold=THRESHOLD)
    return Check(
        "test-falls-later",
        f"the test loss falls below {THRESHOLD} later than the train loss does",
        f"train at {spread(times.train)}, test at {spread(times.test)} steps, in the seeds where "
        "both do",
        "later in every seed",
        times.delay.size > 0 and bool((times.delay > 0).all()),
        source="Fig. 4",
        claim="abstract-grokking-without-decay",
    )


def _alignment_begins(grokking: Dataset) -> Check:
    relative = grokking.misalignment / grokking.misalignment.isel(step=0)
    begins, halved = settled(relative, 0.9), settled(relative, 0.5)
    return Check(
        "alignment-begins-at-1-2k",
        "the weights begin to align at 1,000 to 2,000 epochs",
        f"misalignment down by a tenth for good at step {spread(begins)}, halved at "
        f"{spread(halved)}, in the seeds that grok",
        "down by a tenth between 1,000 and 2,000 in every seed",
        begins.size > 0 and bool(((begins > 1000) & (begins < 2000)).all()),
        expected=False,
        source="Fig. 4, caption",
        claim="fig-4-two-neurons",
    )


def _every_start_groks(narrow: Dataset) -> Check:
    groks = _groks(narrow)
    final = narrow.population_loss.isel(step=-1).values
    return Check(
        "two-neurons-grok",
        "a two-neuron network groks on this task",
        f"{groks.sum()} of {groks.size} seeds do; the others end at a test loss of "
        f"{spread(final[~groks])}"
        if not groks.all()
        else f"all {groks.size} seeds do",
        "every seed",
        bool(groks.all()),
        expected=False,
        source="Fig. 4",
        claim="fig-4-two-neurons",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    groks, seed = _groks(_narrow(p, data)), shown_seed(p, data)
    return (
        f"(a), (c) Train and test loss of networks of N = {p.widths[0]} and N = {p.widths[1]} "
        f"neurons; thick: seed {seed}, thin: the test loss of the "
        f"{of_seeds(p.seeds - 1, 'other seed')}; dotted: the threshold {THRESHOLD} of the time to "
        f"grok. (b), (d) The terms of the test loss of seed {seed}: error in the variance of the "
        "output, misalignment of M with ββᵀ, power in linear modes. They add up to the expected "
        "square error (line); dots: on 1,000 fresh samples.\n\n"
        f"y = (β·x)²/2, |β|² = D = {p.D}, P = {p.P}, α = {p.alpha:g}, ε = {p.epsilon:g}, "
        f"η = {p.learning_rate:g} N/α², plain predictor f(x;w), gradient flow "
        f"({gap_in_words(data['runs'])}). The paper shows one network of two neurons. Whether that "
        f"one groks is luck: {groks.sum()} of {groks.size} seeds do, and the one drawn is the "
        "median of those in time. The wide network needs no such luck; it fits the training set "
        "before M has aligned, and its test loss levels off."
    )
