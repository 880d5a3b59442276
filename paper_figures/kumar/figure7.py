"""Figure 7: output scale alpha, weight scale sigma and label scale c, and what they have in common.

The experiments were run in the authors' convention B; in lazyrich's, alpha is half of theirs (see
``figure3``): (a) alpha swept at sigma = 1; (b) sigma swept at alpha' = 1; (c) both with
alpha' = sigma^-2. Steps are at eta0 = 0.5/sigma^2, since the quadratic part of the kernel grows as
sigma^2. D = 100, P = 450, N = 500, epsilon = 0.25, centred. Label scales, which the text names as
equivalent, the figure lacks: (c') sweeps them.

What is exact (closed form ``scale-equivalence``): weights sigma w' train as w' at alpha sigma and
epsilon sigma, labels c y as y at alpha/c, at the same eta0. The paper's sigma^2 alpha is neither.
"""

from dataclasses import dataclass

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, ordered, spread
from lazyrich.paper_figures.panels import dashes, swept_curves
from lazyrich.paper_figures.runs import gap_in_words
from lazyrich.plotting import BLUE, GREEN, ORANGE, PURPLE, WIDTH, letter, steps_axis
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.runs import Runs

HALF = 0.5
# Colour, marker and its size: hollow, one around the other where they coincide.
MARKS = {
    "α": (BLUE, "o", 3),
    "σ": (ORANGE, "s", 5),
    "α ~ σ⁻²": (GREEN, "^", 8),
    "labels": (PURPLE, "D", 7),
}


@dataclass(frozen=True)
class Parameters:
    """The sweeps over alpha, sigma, both together, and the scale of the labels."""

    D: int = 100
    P: int = 450
    width: int = 500
    epsilon: float = 0.25
    alphas: tuple[float, ...] = tuple(HALF * a for a in (2**-5, 1 / 4, 1 / 2, 1, 2, 4, 8, 16))
    alpha: float = HALF * 1
    sigmas: tuple[float, ...] = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)
    labels: tuple[float, ...] = (1 / 16, 1 / 4, 1.0, 4.0)
    learning_rate: float = 0.5
    steps: int = 60_000
    seeds: int = 5


PRESETS = {
    "tiny": Parameters(
        D=12,
        P=54,
        width=40,
        learning_rate=0.06,
        steps=10_000,
        seeds=2,
        alphas=(0.125, 0.5, 2.0, 8.0),
        sigmas=(0.5, 1.0, 2.0),
        labels=(0.25, 1.0),
    ),
    "quick": Parameters(D=30, P=135, width=150, learning_rate=0.15, seeds=3),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs; sigma changes the learning rate with it, so each has a sweep of its own."""
    fixed = {name: getattr(p, name) for name in ("D", "P", "width", "steps")}
    fixed |= {"engine": "flow", "centred": True, "alignment": None}
    usual = fixed | {"learning_rate": p.learning_rate, "epsilon": p.epsilon}
    found = {
        "alpha": Runs(NETWORK, {"alpha": list(p.alphas)}, usual, p.seeds),
        "labels": Runs(
            NETWORK, {"label_scale": list(p.labels)}, usual | {"alpha": p.alpha}, p.seeds
        ),
    }
    for s in p.sigmas:
        slow = {"learning_rate": p.learning_rate / s**2}
        scaled = usual | slow | {"sigma": s}
        same = fixed | slow | {"alpha": p.alpha * s, "epsilon": p.epsilon * s}
        found[f"sigma {s:g}"] = Runs(NETWORK, {}, scaled | {"alpha": p.alpha}, p.seeds)
        found[f"joint {s:g}"] = Runs(NETWORK, {}, scaled | {"alpha": p.alpha / s**2}, p.seeds)
        found[f"same {s:g}"] = Runs(NETWORK, {}, same, 1)
    return found


def _along(p: Parameters, data: dict[str, Dataset], name: str) -> Dataset:
    """Return the runs of all sigmas as one dataset over sigma."""
    runs = [data[f"{name} {s:g}"].drop_vars("tau", errors="ignore") for s in p.sigmas]
    joined = xarray.concat(runs, "sigma", combine_attrs="drop_conflicts")
    assert isinstance(joined, Dataset)
    return joined.assign_coords(sigma=list(p.sigmas))


def _relative(labels: Dataset) -> Dataset:
    """Return losses in units of c^2."""
    names = ("train_loss", "population_loss", "kernel_regression_population_loss")
    return labels.assign({name: labels[name] / labels.label_scale**2 for name in names})


def _products(p: Parameters) -> dict[str, np.ndarray]:
    """Return sigma^2 alpha of the runs of each sweep; of labels c, alpha/c."""
    sigmas = np.array(p.sigmas)
    return {
        "α": np.array(p.alphas),
        "σ": p.alpha * sigmas**2,
        "α ~ σ⁻²": np.full(len(sigmas), p.alpha),
        "labels": p.alpha / np.array(p.labels),
    }


def _sweeps_by_mark(p: Parameters, data: dict[str, Dataset]) -> dict[str, tuple[Dataset, str]]:
    return {
        "α": (data["alpha"], "alpha"),
        "σ": (_along(p, data, "sigma"), "sigma"),
        "α ~ σ⁻²": (_along(p, data, "joint"), "sigma"),
        "labels": (_relative(data["labels"]), "label_scale"),
    }


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return learning curves of the four sweeps; below, change and final loss against the scale."""
    figure = Figure(figsize=(WIDTH, 4.0))
    grid = figure.add_gridspec(2, 4)
    first = None
    titles = {"α": "sweep of α", "σ": "sweep of σ", "α ~ σ⁻²": "α ~ σ⁻²", "labels": "labels c·y"}
    for i, (name, (runs, axis)) in enumerate(_sweeps_by_mark(p, data).items()):
        ax = figure.add_subplot(grid[0, i], sharey=first)
        first = first or ax
        values = runs[axis].values
        # From rich (dark) to lazy (light): small labels are the lazy ones.
        swept_curves(ax, runs.sel({axis: values[::-1] if name == "labels" else values}), axis)
        steps_axis(ax, p.steps)
        letter(ax, ("a", "b", "c", "c′")[i], titles[name])
        if i:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
    assert first is not None
    first.legend(handles=dashes(), loc="lower left", handlelength=1.4)
    change, final = figure.add_subplot(grid[1, :2]), figure.add_subplot(grid[1, 2:])
    _against_the_product(change, p, data, "parameter_change")
    _against_the_product(final, p, data, "population_loss")
    change.set(ylabel="|w − w₀|/|w₀|")
    final.set(ylabel="final test loss")
    letter(change, "d", "relative change of the weights")
    letter(final, "e", "final test loss")
    change.legend(loc="lower left")
    return figure


def _against_the_product(ax: Axes, p: Parameters, data: dict[str, Dataset], of: str) -> None:
    for name, (runs, axis) in _sweeps_by_mark(p, data).items():
        color, marker, size = MARKS[name]
        values = runs[of].isel(step=-1).median("seed").transpose(axis)
        style = {"color": color, "marker": marker, "markersize": size, "linewidth": 0.7}
        style |= {"markerfacecolor": "none"}
        ax.plot(
            _products(p)[name], values, **style, label="labels, α/c" if name == "labels" else name
        )
    ax.set(xscale="log", yscale="log", xlabel="σ²α")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what is exact, held against the runs."""
    alpha, labels = data["alpha"], _relative(data["labels"])
    sigma, joint = _along(p, data, "sigma"), _along(p, data, "joint")
    source = "App. 8.2, Fig. 7"
    found = []
    for runs, axis, symbol in ((alpha, "alpha", "α"), (sigma, "sigma", "σ")):
        found += [
            ordered(
                f"large-{axis}-generalises-worse",
                f"the larger {symbol}, the higher the final test loss",
                _last(runs, "population_loss"),
                axis,
                symbol,
                source=source,
                claim="fig-7-sigma-sweep",
            ),
            ordered(
                f"large-{axis}-moves-less",
                f"the larger {symbol}, the smaller the relative change of the weights",
                _last(runs, "parameter_change"),
                axis,
                symbol,
                falls=True,
                source=source,
                claim="fig-7d-f",
            ),
        ]
    return [
        *found,
        _joint_preserves(sigma, joint),
        _controlled(p, alpha, sigma, "parameter_change", "relative change of the weights"),
        _controlled(p, alpha, sigma, "population_loss", "final test loss"),
        ordered(
            "small-labels-are-lazy",
            "the smaller the labels c y, the higher the final test loss in units of c²",
            _last(labels, "population_loss"),
            "label_scale",
            "c",
            falls=True,
            source="Sec. 4.1",
            claim="sec-4.1-label-rescaling",
        ),
        _labels_exact(p, alpha, labels),
        _weights_exact(p, data, sigma),
    ]


def _last(runs: Dataset, of: str) -> DataArray:
    return runs[of].isel(step=-1)


def _joint_preserves(sigma: Dataset, joint: Dataset) -> Check:
    ranges = []
    for runs in (sigma, joint):
        change = _last(runs, "parameter_change")
        ranges.append((change.max("sigma") / change.min("sigma")).values)
    return Check(
        "joint-preserves-feature-learning",
        "α ~ σ⁻² approximately preserves the relative change of the weights",
        f"largest over smallest over all σ: {spread(ranges[1])}, against {spread(ranges[0])} at "
        "fixed α",
        "less than half of the range at fixed α, as logarithms, in every seed",
        bool((np.log(ranges[1]) < np.log(ranges[0]) / 2).all()),
        source="Fig. 7(c)",
        claim="fig-7c",
    )


def _controlled(p: Parameters, alpha: Dataset, sigma: Dataset, of: str, what: str) -> Check:
    """Compare the sweep of sigma with that of alpha at the same sigma^2 alpha, by interpolation."""
    wanted = np.log(_products(p)["σ"])
    inside = (wanted >= np.log(p.alphas[0])) & (wanted <= np.log(p.alphas[-1]))
    factors = []
    for seed in alpha.seed.values:
        ends = (_last(runs, of).sel(seed=seed).values for runs in (alpha, sigma))
        one, other = (np.log(np.maximum(end, 1e-300)) for end in ends)
        gap = other - np.interp(wanted, np.log(p.alphas), one)
        factors.append(np.exp(abs(gap[inside]).max()))
    return Check(
        f"product-controls-{of.replace('_', '-')}",
        f"the {what} is controlled by σ²α: the same along α and along σ",
        f"apart by a factor of up to {spread(factors)}",
        "less than 2 in every seed",
        bool(max(factors) < 2),
        source="Fig. 7(d)-(f)",
        claim="fig-7d-f",
    )


def _labels_exact(p: Parameters, alpha: Dataset, labels: Dataset) -> Check:
    gaps = []
    for c in p.labels:
        if p.alpha / c in p.alphas:
            one, other = alpha.sel(alpha=p.alpha / c), labels.sel(label_scale=c)
            both = [r.population_loss.transpose("seed", "step").values for r in (one, other)]
            gaps.append(float(abs(both[1] / both[0] - 1).max()))
    return Check(
        "labels-are-output-scale",
        "labels c y train exactly as output scale α/c, losses in units of c²",
        f"largest relative difference of the test loss over all steps, {len(gaps)} scales and "
        f"seeds: {max(gaps):.1g}",
        "below 1e-6",
        max(gaps) < 1e-6,
        claim="law-alpha-and-labels",
    )


def _weights_exact(p: Parameters, data: dict[str, Dataset], sigma: Dataset) -> Check:
    one = _along(p, data, "same").population_loss.sel(seed=0).transpose("sigma", "step").values
    other = sigma.population_loss.sel(seed=0).transpose("sigma", "step").values
    gap = float(abs(other / one - 1).max())
    return Check(
        "weights-are-two-scales",
        "weights σ w′ train exactly as w′ at ασ and εσ: both numbers count, not σ²α alone",
        f"largest relative difference of the test loss over all steps and σ, seed 0: {gap:.1g}",
        "below 1e-3, ten times the tolerance of the flow",
        gap < 1e-3,
        claim="law-epsilon-over-alpha",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    alphas, sigmas, labels = (
        ", ".join(f"{v:.3g}" for v in values) for values in (p.alphas, p.sigmas, p.labels[::-1])
    )
    return (
        "Dashed: train loss, solid: test loss, seed 0; dark to light: from rich to lazy in (a), "
        f"(b), (c′). (a) α = {alphas} at σ = 1. (b) Weights of variance σ², σ = {sigmas}. (c) The "
        f"same with α ∝ σ⁻². (c′) Labels c·y, c = {labels}. (d) Relative change of the weights "
        f"and (e) test loss at step {p.steps:,} against σ²α (for labels α/c), medians of "
        f"{of_seeds(p.seeds)}.\n\n"
        f"N = {p.width}, y = (β·x)²/2, |β|² = D = {p.D}, P = {p.P}, ε = {p.epsilon:g}, centred, "
        f"gradient flow ({gap_in_words(data['alpha'])}). (a) Half of the authors' α, whose y lacks "
        f"the ½; η₀ = {p.learning_rate:g}. (b), (c) α = {p.alpha:g} at σ = 1, "
        f"η₀ = {p.learning_rate:g}/σ². (c′) Losses in units of c²: the text claims this, the "
        "figure lacks it. Labels lie on the sweep of α exactly. Weights σw′ are w′ at ασ and εσ, "
        "so that σ²α, the scale of the quadratic part alone, is not all that counts: the linear "
        "part goes as σα. The paper's (d)-(f) are one quantity a panel; here they are (d) and (e)."
    )
