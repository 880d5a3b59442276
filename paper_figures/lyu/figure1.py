"""Grokking and misgrokking in classification [Lyu et al. 2024, Fig. 1].

A diagonal linear network with the logistic loss and weight decay, from a large scale. Sparse data
favour the late bias, a large L1 margin: the network groks. Data with a large L2 margin along a
dense direction favour the early bias. Gradient flow, by its dual ODE.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.runs import of_flow
from lazyrich.paper_figures.studies.biases import at, share
from lazyrich.plotting import LOOKS, WIDTH, band, letter, look
from lazyrich.simulate.laws.sparse_transition import predicted_transition
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

TITLES = {"sparse": "sparse labels: grokking", "margin": "large margin: misgrokking"}
SPARSITY = 3
# T- = (1 - c) log(alpha)/lambda with c = 3/4. At c = 1/2 alpha^c is of the order of n^(1/2) at the
# paper's sizes, and the transition has begun.
EARLY = 0.25


@dataclass(frozen=True)
class Parameters:
    """Both data sets, each for ``seeds`` draws; training ends at ``end`` log(alpha)/lambda."""

    d: int = 100_000
    n_sparse: int = 256
    n_margin: int = 32
    n_test: int = 10_000
    alpha: float = 128.0
    weight_decay: float = 1e-3
    end: float = 2.5
    seeds: int = 3


TOO_SMALL = {
    "misgrokking-falls",
    "transition-where-predicted",
}
PRESETS = {
    "tiny": Parameters(d=1000, n_sparse=60, n_margin=8, n_test=200, seeds=2),
    "quick": Parameters(d=10_000, n_sparse=128, n_test=1000),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: both data sets."""
    fixed = {name: getattr(p, name) for name in ("d", "n_test", "alpha", "weight_decay", "end")}
    sizes = {"sparse": p.n_sparse, "margin": p.n_margin}
    return {
        data: Runs(of_flow("classification"), {}, {**fixed, "data": data, "n": n}, p.seeds)
        for data, n in sizes.items()
    }


def transition(p: Parameters) -> float:
    """Return log(alpha)/lambda."""
    return math.log(p.alpha) / p.weight_decay


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return accuracies (above) and margins (below), of both data sets."""
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, (name, title) in enumerate(TITLES.items()):
        _accuracies(axes[0, column], data[name])
        _margins(axes[1, column], data[name])
        letter(axes[0, column], "ab"[column], title)
        letter(axes[1, column], "cd"[column], "margins")
        axes[1, column].set_xlabel("time (learning rate × steps)")
    for ax in axes.flat:
        ax.axvline(transition(p), color="black", linewidth=0.5, linestyle=":")
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("share of the largest")
    axes[0, 0].legend(loc="center left")
    axes[1, 1].legend(loc="lower left")
    return figure


def _accuracies(ax: Axes, runs: Dataset) -> None:
    time = runs.time.isel(seed=0).values
    for name in ("train_accuracy", "test_accuracy"):
        band(ax, time, runs[name].values, LOOKS[name]["color"])
        ax.plot(time, runs[name].median("seed"), **LOOKS[name])
    ax.axhline(0.5, color="black", linewidth=0.4)
    ax.set(xscale="log", xlim=(1e-2, time[-1]), ylim=(0.4, 1.05))


def _margins(ax: Axes, runs: Dataset) -> None:
    time = runs.time.isel(seed=0).values
    for norm in ("l1", "l2"):
        ax.plot(time, share(runs, norm).median("seed"), **look(norm, label=f"$L_{norm[1]}$ margin"))
        band(ax, time, share(runs, norm).values, LOOKS[norm]["color"])
    ax.set(ylim=(0, 1.05))


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what lazyrich adds, held against the runs."""
    sparse, margin = data["sparse"], data["margin"]
    return [
        _fits_early(p, data),
        _groks(p, sparse),
        _sharp(p, sparse),
        _predicted(p, sparse),
        _starts_perfect(p, margin),
        _falls(p, margin),
        *(_early_l2(p, data[name], name) for name in TITLES),
        *(_late_l1(data[name], name) for name in TITLES),
        _bound_is_vacuous(p, sparse),
    ]


def _fits_early(p: Parameters, data: dict[str, Dataset]) -> Check:
    times = [
        settled(runs.train_accuracy, 0.999, above=True, time=runs.time).values
        for runs in data.values()
    ]
    shares = np.concatenate(times) / transition(p)
    return Check(
        "fits-early",
        "the training set is fitted long before log(α)/λ, and stays so",
        f"train accuracy 1 for good from {spread(shares)} log(α)/λ",
        "before 0.01 log(α)/λ in every seed, on both data sets",
        bool((shares < 0.01).all()),
        source="Fig. 1",
        claim="lyu-sparse-gap",
    )


def _groks(p: Parameters, sparse: Dataset) -> Check:
    early = at(sparse, EARLY * transition(p)).test_accuracy.values
    final = sparse.test_accuracy.isel(step=-1).values
    return Check(
        "groks",
        "on sparse data the test accuracy is near chance until late, then near 1",
        f"{spread(early)} at a quarter of log(α)/λ, {spread(final)} in the end",
        "below 0.75 at a quarter of log(α)/λ, above 0.95 in the end, in every seed",
        bool((early < 0.75).all() and (final > 0.95).all()),
        source="Fig. 1 (left), Cor. 3.6, 3.7",
        claim="lyu-sparse-gap",
    )


def _sharp(p: Parameters, sparse: Dataset) -> Check:
    times = settled(sparse.test_accuracy, 0.75, above=True, time=sparse.time).values / transition(p)
    return Check(
        "transition-at-log-alpha",
        "the test accuracy passes 3/4 near log(α)/λ, at this α too",
        f"for good at {spread(times)} log(α)/λ",
        "between 3/4 and 5/4 in every seed",
        bool(((times > 0.75) & (times < 1.25)).all()),
        expected=False,
        source="Thm 3.4, 3.5",
        claim="lyu-experiment-transition",
        judges="without assumption",
    )


def _predicted(p: Parameters, sparse: Dataset) -> Check:
    times = (
        settled(sparse.test_accuracy, 0.75, above=True, time=sparse.time).values * p.weight_decay
    )
    predicted = predicted_transition(p.d, p.n_sparse, p.alpha, p.weight_decay)
    off, allowed = times - predicted, 3 / p.n_sparse**0.5
    return Check(
        "transition-where-predicted",
        "it passes 3/4 where the closed form sparse-transition says, at λt = log α − log a*",
        f"λt = {spread(times)}, predicted {predicted:.3f}; log α is {math.log(p.alpha):.3f}",
        f"within 3/√n = {allowed:.2f} in every seed: data sets differ by n^(-1/2)",
        bool((abs(off) < allowed).all()),
        source="lazyrich",
        claim="lyu-experiment-transition",
    )


def _starts_perfect(p: Parameters, margin: Dataset) -> Check:
    early = at(margin, EARLY * transition(p)).test_accuracy.values
    return Check(
        "misgrokking-starts-perfect",
        "on data with a large L2 margin the early solution is perfect on the test set",
        f"test accuracy {spread(early)} at a quarter of log(α)/λ",
        "above 0.99 in every seed",
        bool((early > 0.99).all()),
        source="Fig. 1 (right)",
        claim="lyu-misgrokking",
    )


def _falls(p: Parameters, margin: Dataset) -> Check:
    early = at(margin, EARLY * transition(p)).test_accuracy.values
    final = margin.test_accuracy.isel(step=-1).values
    return Check(
        "misgrokking-falls",
        "after the transition the test accuracy has fallen",
        f"by {spread(early - final)}, to {spread(final)}",
        "by more than 0.01 in every seed",
        bool((early - final > 0.01).all()),
        source="Fig. 1 (right)",
        claim="lyu-misgrokking",
    )


def _early_l2(p: Parameters, runs: Dataset, name: str) -> Check:
    early = share(at(runs, EARLY * transition(p)), "l2").values
    final = share(runs, "l2").isel(step=-1).values
    return Check(
        f"early-max-l2-margin-{name}",
        f"early, the L2 margin is nearly the largest possible ({name})",
        f"{spread(early)} of the largest at a quarter of log(α)/λ, {spread(final)} in the end",
        "above 0.9, and above that in the end, in every seed",
        bool((early > 0.9).all() and (final < early).all()),
        source="Cor. 3.6",
        claim="lyu-cor-3.6",
    )


def _late_l1(runs: Dataset, name: str) -> Check:
    first = share(runs, "l1").isel(step=EARLY_RECORD).values
    final = share(runs, "l1").isel(step=-1).values
    return Check(
        f"late-larger-l1-margin-{name}",
        f"late, the L1 margin is near the largest possible ({name}); λ > 0 keeps it from all of it",
        f"from {spread(first)} of the largest to {spread(final)}",
        "above 0.8 in the end, and below 0.6 before, in every seed",
        bool((final > 0.8).all() and (first < 0.6).all()),
        source="Cor. 3.7",
        claim="lyu-cor-3.7",
    )


# A record after the fit and before the transition: the last of those spaced by logarithm.
EARLY_RECORD = 39


def l1_bound(d: int, n: int, k: int, delta: float = 0.05) -> float:
    """Return the paper's bound on the test error of the maximum L1 margin.

    >>> l1_bound(100_000, 256, 3) > 1
    True
    """
    return 4 * k * math.sqrt(2 * math.log(2 * d) / n) + 3 * math.sqrt(math.log(2 / delta) / (2 * n))


def _bound_is_vacuous(p: Parameters, sparse: Dataset) -> Check:
    bound = l1_bound(p.d, p.n_sparse, SPARSITY)
    error = 1 - sparse.test_accuracy.isel(step=-1).values
    return Check(
        "l1-bound-says-something",
        "the bound on the test error of the maximum L1 margin explains the grokking that is seen",
        f"the bound is {bound:.2g} (at 95% confidence), the error {spread(error)}",
        "a bound below 1/2, the error of guessing",
        bound < 0.5,
        expected=False,
        source="Sec. 3.2",
        claim="lyu-sparse-bounds-explain",
        judges="without assumption",
    )


def caption(p: Parameters, _data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        "Diagonal linear networks f(x) = ⟨u² − v², x⟩ with the logistic loss. (a), (c) Sparse "
        "labels, the majority of a few coordinates; (b), (d) inputs with a large margin along a "
        "dense direction. Margins are over the largest possible ones. Medians and ranges over "
        f"{of_seeds(p.seeds)}. Dotted: log(α)/λ.\n\n"
        f"Gradient flow from u = v = α/√(2d): d = {p.d}, α = {p.alpha:g}, λ = "
        f"{p.weight_decay:g}. (a), (c) x uniform in {{±1}}^d, {SPARSITY} coordinates, "
        f"n = {p.n_sparse}. (b), (d) Gaussian inputs pushed 12.5 away from the plane across the "
        f"direction, n = {p.n_margin}. Test accuracy on {p.n_test} fresh samples; the largest "
        "margins are from convex programmes with checked certificates."
    )
