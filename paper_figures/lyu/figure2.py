"""Modular addition groks near log(alpha)/lambda [Lyu et al. 2024, Fig. 2].

Homogeneous two-layer perceptrons with cross-entropy and weight decay, from large weights: those of
the paper, with ReLU and all of He's weights times alpha, and its sweeps over alpha and lambda with
the last layer at 0. ReLU is outside the assumptions of the theorems, which want two derivatives;
h^2 is within them. Gradient flow.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.experiments import homogeneous_perceptron
from lazyrich.paper_figures.runs import device, of_fit
from lazyrich.paper_figures.studies.biases import alpha_axis, slopes
from lazyrich.plotting import BLUE, LOOKS, VERMILLION, WIDTH, letter, look, shades
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

# Activation -> its colour and symbol where both are shown, and how it is named.
KINDS = {"relu": (VERMILLION, "o", "ReLU"), "square": (BLUE, "s", "h²")}


@dataclass(frozen=True)
class Parameters:
    """Both sweeps for each activation, the other of both at its ``alpha`` or ``weight_decay``."""

    p: int = 97
    fraction: float = 0.4
    width: int = 1024
    bias: bool = True
    alphas: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0)
    alpha: float = 10.0
    decays: tuple[float, ...] = (1e-3, 1e-4, 1e-5)
    weight_decay: float = 1e-4
    after: float = 5.0
    seeds: int = 3
    device: str = "auto"


# Without a bias: with it the flow takes twenty times as many steps, as the weights come to slide
# along the kinks of ReLU.
_SMALL = {"bias": False, "fraction": 0.85, "device": "cpu"}
# Modulo 13 ReLU does not learn the rest of the table.
TOO_SMALL = {
    "classification-drifts",
    "groks",
    "sharper-with-alpha",
    "slope-1-relu",
    "time-as-1-over-lambda",
    "transition-near-log-alpha",
}
PRESETS = {
    "tiny": Parameters(
        p=13,
        width=64,
        alphas=(4.0, 16.0),
        alpha=4.0,
        decays=(3e-3, 1e-3),
        weight_decay=1e-3,
        after=4.0,
        seeds=1,
        **_SMALL,
    ),
    "quick": Parameters(p=23, width=128, alphas=(4.0, 8.0, 16.0, 32.0), alpha=8.0, **_SMALL),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: the paper's network, and both sweeps of both activations."""
    fixed = {name: getattr(p, name) for name in ("p", "fraction", "width", "bias", "after")}
    fixed |= {"device": device(p.device)}
    kinds = {"activation": list(KINDS)}
    default, alpha = {"weight_decay": p.weight_decay}, {"alpha": p.alpha}
    zero = fixed | {"zero_last": True}
    run = homogeneous_perceptron
    plain = fixed | default | alpha | {"zero_last": False, "activation": "relu"}
    return {
        "plain": Runs(of_fit(run), {}, plain, p.seeds),
        "alphas": Runs(of_fit(run), kinds | {"alpha": list(p.alphas)}, zero | default, p.seeds),
        "decays": Runs(
            of_fit(run), kinds | {"weight_decay": list(p.decays)}, zero | alpha, p.seeds
        ),
    }


def event(runs: Dataset, decay: DataArray | float, level: float = 0.5) -> DataArray:
    """Return lambda t*: the test accuracy passes this level for good. Infinite if it never does."""
    return settled(runs.test_accuracy, level, above=True, time=runs.time) * decay


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the paper's network, the sweeps over alpha and lambda, and when they generalise."""
    figure = Figure(figsize=(WIDTH, 3.9))
    axes = figure.subplots(2, 2)
    _plain(axes[0, 0], p, data["plain"])
    alphas, decays = (data[name].sel(activation="relu") for name in ("alphas", "decays"))
    _swept(axes[0, 1], alphas, "alpha", "α", p.weight_decay)
    _swept(axes[1, 0], decays, "weight_decay", "λ", decays.weight_decay)
    _times(axes[1, 1], p, event(data["alphas"], p.weight_decay))
    for ax, text, title in zip(
        axes.flat,
        "abcd",
        (f"ReLU, α = {p.alpha:g}", "ReLU, last layer at 0", f"ReLU, α = {p.alpha:g}", "transition"),
        strict=True,
    ):
        letter(ax, text, title)
    return figure


def _plain(ax: Axes, p: Parameters, runs: Dataset) -> None:
    for seed in runs.seed:
        run = runs.sel(seed=seed)
        for name in ("train_accuracy", "test_accuracy"):
            style = LOOKS[name] if seed == 0 else look(name, label=None)
            ax.plot(run.time, run[name], **style)
    ax.axvline(math.log(p.alpha) / p.weight_decay, color="black", linewidth=0.5, linestyle=":")
    end = float(runs.time.max())
    ax.set(xscale="log", xlim=(1, end), ylim=(-0.03, 1.05))
    ax.set(xlabel="time (learning rate × steps)", ylabel="accuracy")
    ax.legend(loc="center", bbox_to_anchor=(0.64, 0.5))


def _swept(ax: Axes, runs: Dataset, name: str, symbol: str, decay: DataArray | float) -> None:
    time = runs.time * decay
    values = runs[name].values
    for value, color in zip(values, shades(len(values)), strict=True):
        for seed in runs.seed:
            at = {name: value, "seed": seed}
            label = f"{symbol} = {value:g}" if seed == 0 else None
            accuracy = runs.test_accuracy.sel(at)
            ax.plot(time.sel(at), accuracy, color=color, linewidth=0.8, label=label)
    ax.set(xlim=(0, float(time.max())), ylim=(-0.03, 1.05))
    ax.set(xlabel=r"$\lambda t$", ylabel="test accuracy")
    ax.legend(loc="upper left")


def _times(ax: Axes, p: Parameters, times: DataArray) -> None:
    for activation, (color, marker, label) in KINDS.items():
        values = times.sel(activation=activation)
        for seed in times.seed:
            name = label if seed == 0 else None
            ax.plot(p.alphas, values.sel(seed=seed), marker, color=color, markersize=3, label=name)
        offset = float((values - np.log(p.alphas)).where(np.isfinite(values)).mean())
        ax.plot(p.alphas, np.log(p.alphas) + offset, color=color, linewidth=0.8)
    ax.plot(p.alphas, np.log(p.alphas), color="black", linewidth=0.5, linestyle=":", label="log α")
    ax.set_ylabel(r"$\lambda t^*$")
    alpha_axis(ax, p.alphas)


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what lazyrich adds, held against the runs."""
    alphas = event(data["alphas"], p.weight_decay)
    return [
        _groks(p, data["plain"]),
        _near_log_alpha(p, alphas),
        *(_slope(p, alphas, activation) for activation in KINDS),
        _sharper(p, data["alphas"]),
        _proportional(p, data["decays"]),
        _drifts(p, data["decays"]),
        _margin_grows(data["alphas"]),
    ]


def _groks(p: Parameters, runs: Dataset) -> Check:
    fitted = settled(runs.train_accuracy, 0.999, above=True, time=runs.time).values
    learnt = settled(runs.test_accuracy, 0.5, above=True, time=runs.time).values
    early = runs.test_accuracy.where(runs.time < 0.5 * math.log(p.alpha) / p.weight_decay)
    return Check(
        "groks",
        "a ReLU network from large weights fits its training set early, at chance on the test set, "
        "and generalises suddenly, much later",
        f"train accuracy 1 from t = {spread(fitted)}; test accuracy at most "
        f"{spread(early.max('step'))} up to half of log(α)/λ, above 1/2 from {spread(learnt)}, "
        f"{spread(runs.test_accuracy.isel(step=-1))} in the end",
        "at most 0.1 up to there, and above 1/2 at least 10 times later than fitted, in every seed",
        bool((early.max("step") <= 0.1).all() and (learnt > 10 * fitted).all())
        and bool(np.isfinite(learnt).all()),
        source="Fig. 2",
        claim="lyu-fig-2",
    )


def _near_log_alpha(p: Parameters, times: DataArray) -> Check:
    ratio = times / np.log(times.alpha)
    first, last = (ratio.isel(alpha=i) for i in (0, -1))
    return Check(
        "transition-near-log-alpha",
        "the transition comes near log(α)/λ, the nearer the larger α is",
        f"t* λ/log(α) = {spread(first)} at α = {p.alphas[0]:g}, {spread(last)} at "
        f"{p.alphas[-1]:g}, of both activations",
        "nearer to 1 at the largest α than at the smallest, in every seed",
        bool((np.isfinite(first) & (abs(last - 1) < abs(first - 1))).all()),
        source="Thm 3.4, 3.5",
        claim="lyu-transition-time",
    )


def _slope(p: Parameters, times: DataArray, activation: str) -> Check:
    found = slopes(times.sel(activation=activation))
    return Check(
        f"slope-1-{activation}",
        f"λt* grows by 1 with each unit of log α ({KINDS[activation][2]}, λ = {p.weight_decay:g})",
        f"slope {spread(found)}",
        "within 0.15 of 1 in every seed",
        bool((abs(found - 1) < 0.15).all()),
        source="lazyrich",
        claim="lyu-law-4",
    )


def _sharper(p: Parameters, runs: Dataset) -> Check:
    ends = {level: event(runs, p.weight_decay, level) for level in (0.25, 0.75)}
    ratio = ends[0.75] / ends[0.25]
    first, last = (ratio.isel(alpha=i) for i in (0, -1))
    return Check(
        "sharper-with-alpha",
        "the larger α is, the sharper the transition, in the logarithm of time",
        f"the test accuracy passes 3/4 {spread(first)} times as late as 1/4 at α = "
        f"{p.alphas[0]:g}, {spread(last)} times at {p.alphas[-1]:g}, both activations",
        "a smaller ratio at the largest α than at the smallest, in every seed",
        bool((np.isfinite(first) & (last < first)).all()),
        source="Thm 3.4, 3.5",
        claim="lyu-sharp",
    )


def _proportional(p: Parameters, runs: Dataset) -> Check:
    times = event(runs, runs.weight_decay)
    ratio = times.sel(weight_decay=min(p.decays)) / times.sel(weight_decay=max(p.decays))
    return Check(
        "time-as-1-over-lambda",
        "the time to generalise is proportional to 1/λ, up to a logarithm",
        f"λt* changes by a factor of {spread(ratio)} from λ = {max(p.decays):g} to "
        f"{min(p.decays):g}, both activations",
        "between 1/2 and 2, in every seed",
        bool(((ratio > 0.5) & (ratio < 2)).all()),
        source="Fig. 2",
        claim="lyu-fig-2-decay",
    )


def _drifts(p: Parameters, runs: Dataset) -> Check:
    times = event(runs, runs.weight_decay).sortby("weight_decay")
    drift = times.isel(weight_decay=-1) - times.isel(weight_decay=0)
    return Check(
        "classification-drifts",
        "λt* falls slowly with λ: t* is not exactly proportional to 1/λ",
        f"down by {spread(drift)} from λ = {max(p.decays):g} to {min(p.decays):g}",
        "down in every seed, with both activations",
        bool((np.isfinite(drift) & (drift > 0)).all()),
        source="lazyrich",
        claim="lyu-law-4-classification",
    )


def _margin_grows(runs: Dataset) -> Check:
    fitted = runs.margin.where(runs.train_accuracy == 1)
    order = fitted.isel(step=-1) / fitted.max("step")
    early = fitted.isel(step=EARLY_RECORD)
    return Check(
        "margin-grows",
        "the late bias is towards a large margin: over |θ|^L it is largest in the end",
        f"{spread(fitted.isel(step=-1) / early)} times as large as early on, "
        f"{spread(order)} of its largest value",
        "more than twice as large, and within 5% of its largest, for every run",
        bool((fitted.isel(step=-1) > 2 * early).all() and (order > 0.95).all()),
        source="Thm 3.5",
        claim="lyu-thm-3.5",
    )


# A record after the fit and well before the transition.
EARLY_RECORD = 40


def caption(p: Parameters, _data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    bias = ", with a bias in the first layer" if p.bias else ""
    return (
        f"Two-layer perceptrons on addition modulo {p.p}; one line for each of "
        f"{of_seeds(p.seeds)}. (a) Accuracies of a ReLU network; dotted: log(α)/λ. (b) Test "
        "accuracy over λt for several α, (c) for several λ, both with ReLU. (d) Where the test "
        "accuracy passes 1/2 for good, for ReLU (order L = 2) and for h² (L = 3); lines: slope "
        "1.\n\n"
        f"Width {p.width}, {100 * p.fraction:g}% of the pairs for training, gradient flow with "
        f"cross-entropy and weight decay, from He's weights times α{bias}; (a) λ = "
        f"{p.weight_decay:g}; (b), (c) with a last layer that starts at 0. The paper trains at "
        "p = 97 on 40% of the pairs, width 1024 with a bias in the first layer, by descent at the "
        "rate 0.002."
    )
