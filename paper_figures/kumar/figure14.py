"""Figure 14: targets of several directions.

Nothing is given but the text's "(beta_1.x + beta_2.x)", which as printed is a function of one
direction, beta_1 + beta_2. Drawn here: y = sum_k (beta_k.x)^2/2 for one, two and three independent
directions, |beta_k|^2 = D. P, alpha and epsilon are our choice. By its place in Sec. 15.1 the
figure is of several directions; its caption speaks of polynomials of higher degree, which are the
subject of Sec. 15.2 and Figure 15.

All losses are in units of that of predicting nothing, K/2 + K^2/4.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.loss_claims import rise_is_linear
from lazyrich.paper_figures.panels import TERMS, learning_curves, loss_terms
from lazyrich.paper_figures.runs import gap_in_words
from lazyrich.plotting import WIDTH, letter, steps_axis
from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.outcome import THRESHOLD, time_to_grok
from lazyrich.simulate.runs import Runs


@dataclass(frozen=True)
class Parameters:
    """One network a number of directions, and ``seeds`` repetitions of each."""

    D: int = 100
    P: int = 900
    directions: tuple[int, int, int] = (1, 2, 3)
    width: int = 500
    alpha: float = 1.0
    epsilon: float = 0.05
    learning_rate: float = 1.0
    steps: int = 100_000
    seeds: int = 5


TOO_SMALL = {
    "groks-1",
}
PRESETS = {
    "tiny": Parameters(D=12, P=108, width=40, learning_rate=0.2, steps=10_000, seeds=2),
    "quick": Parameters(D=40, P=360, width=100, learning_rate=0.4, steps=30_000, seeds=3),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: all numbers of directions."""
    names = ("D", "P", "width", "alpha", "epsilon", "learning_rate", "steps")
    fixed = {name: getattr(p, name) for name in names}
    fixed |= {"engine": "flow", "centred": True, "alignment": None}
    return {"runs": Runs(NETWORK, {"indices": list(p.directions)}, fixed, p.seeds)}


def relative(runs: Dataset) -> Dataset:
    """Return histories with losses in units of that of predicting nothing: the first test loss."""
    power = runs.population_loss.isel(step=0)
    names = ("train_loss", "test_loss", "population_loss", *TERMS)
    return runs.assign({name: runs[name] / power for name in names})


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return learning curves above, the terms of the test loss below, a target a column."""
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots(2, 3, sharex=True, sharey="row")
    for (above, below), count in zip(axes.T, p.directions, strict=True):
        history = relative(data["runs"].sel(indices=count))
        learning_curves(above, history)
        loss_terms(below, history.sel(seed=0))
        column = p.directions.index(count)
        letter(above, "abc"[column], f"{count} direction{'s' * (count > 1)}")
        letter(below, "def"[column])
    axes[0, 0].set(ylim=(1e-3, 4), ylabel="relative loss")
    axes[1, 0].set(ylim=(0, 1.4), ylabel="relative loss")
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    for ax in axes[1]:
        steps_axis(ax, p.steps)
    axes[0, 0].legend(loc="lower left")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, held against the runs."""
    runs = relative(data["runs"])
    found = [_printed_target(p), _more_directions(runs)]
    for count in p.directions:
        history = runs.sel(indices=count)
        which = f"the network that learns {count} direction{'s' * (count > 1)}"
        found += [
            _groks(history, count),
            rise_is_linear(history, f"{count}", which, claim="sec-15.1-persists"),
        ]
    return found


def _groks(history: Dataset, count: int) -> Check:
    times = time_to_grok(history, threshold=THRESHOLD)
    ratio = (times.test / times.train).where(np.isfinite(times.train), np.inf).values
    final = history.population_loss.isel(step=-1).values
    return Check(
        f"groks-{count}",
        f"with {count} direction{'s' * (count > 1)} in the target, the test loss falls below "
        f"{THRESHOLD} of predicting nothing long after the train loss",
        f"train at {spread(times.train)}, test at {spread(times.test)} steps (inf: "
        f"not within the run); finally {spread(final)}",
        "at 1.5 times the steps or later, within the run, in every seed",
        bool(((ratio > 1.5) & (ratio < np.inf)).all()),
        source="Sec. 15.1",
        claim="sec-15.1-persists",
    )


def _more_directions(runs: Dataset) -> Check:
    ends = runs.population_loss.isel(step=-1).median("seed").values
    return Check(
        "more-directions-are-harder",
        "at the same number of samples, more directions end at a higher relative test loss",
        ", ".join(f"{loss:.2g}" for loss in ends)
        + f" for {', '.join(map(str, runs.indices.values))}",
        "rising, in the median seed",
        bool((np.diff(ends) > 0).all()),
    )


def _printed_target(p: Parameters) -> Check:
    """The printed sum in the place of beta.x: its Hessian has rank 1."""
    beta = PolynomialTask(D=p.D, P=1, n_test=1, seed=0, indices=2).beta.numpy()
    printed = np.linalg.matrix_rank(np.outer(beta.sum(0), beta.sum(0)))
    drawn = np.linalg.matrix_rank(beta.T @ beta)
    return Check(
        "printed-target-has-two-directions",
        "a target resembling (β₁·x + β₂·x) has two directions",
        f"((β₁ + β₂)·x)²/2 has a Hessian of rank {printed}, (β₁·x)²/2 + (β₂·x)²/2 one of rank "
        f"{drawn}",
        "rank 2 as printed",
        bool(printed == 2),
        expected=False,
        source="Sec. 15.1",
        claim="sec-15.1-targets",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        "Networks on y = Σ_k (β_k·x)²/2 for one, two and three independent β_k. Losses over that "
        "of predicting nothing. (a)-(c) Train and test loss; thick: seed 0, thin: test loss of "
        f"the {of_seeds(p.seeds - 1, 'other seed')}; dotted: {THRESHOLD}. (d)-(f) The terms of "
        "the test loss of seed 0.\n\n"
        f"N = {p.width}, |β_k|² = D = {p.D}: P = {p.P}, α = {p.alpha:g}, ε = {p.epsilon:g}, "
        f"η = {p.learning_rate:g} N/α², centred, gradient flow ({gap_in_words(data['runs'])}). "
        "The text gives no settings, and as printed its target is a function of one direction: "
        "all of this is our choice. The paper's caption of Figure 14 speaks of polynomials of "
        "higher degree, the subject of Figure 15; by the section it stands in, the figure is this "
        "one."
    )
