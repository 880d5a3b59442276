"""Figure 2: modular addition groks in a two-layer perceptron while its weights grow; laziness.

A network of squared activations learns a + b mod p by plain gradient descent, without weight decay
(Secs. 3, 8.3); see ``modular_perceptron`` for what the text leaves open. In the published sweep of
panel (c) the scale entered squared, so that the alphas are those values squared, and one of the two
losses alone was divided by it: here alpha multiplies the output once, the learning rate is
eta0/alpha^2, and both losses are those of the predictor.
"""

import numpy as np
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, ends, lines_of, ordered, spread
from lazyrich.paper_figures.studies import modular
from lazyrich.paper_figures.studies.modular import (
    CLASSIFIED,
    LAZINESS,
    Parameters,
    accuracy_times,
    base,
    delays,
    loss_times,
)
from lazyrich.plotting import LOOKS, WIDTH, band, letter, look, shades, steps_axis

PRESETS, sweeps = modular.PRESETS, modular.sweeps


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return accuracy and weight norm (a), loss (b), and the sweep over alpha (c)."""
    figure = Figure(figsize=(WIDTH, 2.1))
    axes = figure.subplots(1, 3)
    later = base(data).sel(step=slice(1, None))
    for ax, quantity in zip(axes, ("accuracy", "loss"), strict=False):
        for side, name in (("train", "train_loss"), ("test", "population_loss")):
            runs = later[f"{side}_{quantity}"]
            color = LOOKS[name]["color"]
            ax.plot(runs.step, runs.median("seed"), **look(name, label=side))
            band(ax, runs.step.values, runs.values, color)
    norm = axes[0].twinx()
    norm.spines.right.set_visible(True)
    norm.plot(later.step, later.weight_norm.median("seed"), **LOOKS["weight_norm"])
    band(norm, later.step.values, later.weight_norm.values, LOOKS["weight_norm"]["color"])
    norm.set(ylabel="weight norm |w|", ylim=(0, None))
    axes[0].plot([], [], **LOOKS["weight_norm"])
    axes[0].set(ylabel="accuracy", ylim=(-0.02, 1.05))
    axes[0].legend(loc="upper left")
    axes[1].axhline(1 / p.p, color="black", linewidth=0.4, linestyle=":")
    axes[1].set(ylabel="loss", ylim=(0, None))
    _sweep(axes[2], p, data["runs"])
    titles = ("accuracy, weight norm", "loss", "sweep over α")
    for ax, text, title in zip(axes, "abc", titles, strict=True):
        letter(ax, text, title)
        steps_axis(ax, p.steps)
    return figure


def _sweep(ax, p: Parameters, runs: Dataset) -> None:
    later = runs.sel(step=slice(1, None)).median("seed")
    for alpha, color in zip(p.alphas, shades(len(p.alphas)), strict=True):
        one = later.sel(alpha=alpha)
        ax.plot(one.step, one.test_loss * p.p, color=color, label=f"α = {alpha:g}")
        ax.plot(one.step, one.train_loss * p.p, color=color, linewidth=0.7, linestyle=(0, (4, 1.5)))
    ax.set(yscale="log", ylabel="loss / loss of predicting 0", ylim=(3e-3, 5))
    ax.legend(loc="lower left", title="dashed: train")


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what lazyrich adds, held against the runs."""
    return [
        _groks("accuracy", *(accuracy_times(base(data), side) for side in ("train", "test"))),
        _groks("loss", *(loss_times(p, base(data), side) for side in ("train", "test"))),
        _test_loss_rises(data),
        _norm_grows(data),
        _norm_grows_everywhere(data),
        _delay_grows(data),
        _vanishes(data),
    ]


def _groks(quantity: str, train: DataArray, test: DataArray) -> Check:
    ratio = test / train
    meant = {
        "accuracy": f"{CLASSIFIED:.0%} classified",
        "loss": "below half the loss of predicting nothing",
    }[quantity]
    return Check(
        f"groks-in-{quantity}",
        f"the network groks in {quantity}, by gradient descent without weight decay: test long "
        "after train",
        f"{meant}: train at step {spread(train)}, test at {spread(test)}, "
        f"{spread(ratio)} times later",
        "at least 1.5 times later in every seed, as 3,000 epochs over 2,000 in Sec. 16.1",
        bool((ratio >= 1.5).all()),
        source="Sec. 3, Fig. 2(a, b)",
        claim="fig-2-modular-grokking",
    )


def _test_loss_rises(data: dict[str, Dataset]) -> Check:
    loss = base(data).test_loss
    lowest = np.minimum.accumulate(loss.values, axis=loss.get_axis_num("step"))
    rise = (loss / lowest).max("step") - 1
    return Check(
        "test-loss-rises",
        "the test loss rises while the network memorises",
        f"by {spread(100 * rise)}% above its lowest before",
        "by 1% or more in every seed",
        bool((rise > 0.01).all()),
        source="Sec. 16.1",
        claim="sec-16.1-test-loss-decreases",
    )


def _norm_grows(data: dict[str, Dataset]) -> Check:
    norm = base(data).weight_norm
    growth = norm.isel(step=-1) / norm.isel(step=0)
    dip = norm.min("step") / norm.isel(step=0)
    return Check(
        "weight-norm-grows",
        "the weight norm increases during training",
        f"at the end {spread(growth)} times that at the start (after falling to {spread(dip)})",
        "larger at the end than at the start in every seed",
        bool((growth > 1).all()),
        source="Sec. 3, Fig. 2(a)",
        claim="fig-2-modular-grokking",
    )


def _norm_grows_everywhere(data: dict[str, Dataset]) -> Check:
    norm = data["runs"].weight_norm
    growth = norm.isel(step=-1) / norm.isel(step=0)
    return ordered(
        "richer-grows-more",
        "the richer the training, the more the weight norm grows",
        growth,
        "alpha",
        "α",
        falls=True,
    )


def _delay_grows(data: dict[str, Dataset]) -> Check:
    train, test = (accuracy_times(data["runs"], side) for side in ("train", "test"))
    delay = delays(train, test)
    return ordered(
        "delay-grows-with-alpha",
        "laziness continuously controls grokking: the larger α, the longer the delay between train "
        "and test accuracy, in steps at η ∝ 1/α² (inf: not within the run)",
        delay,
        "alpha",
        "α",
        source="Sec. 3, Fig. 2(c)",
        claim="fig-2c-alpha",
    )


def _vanishes(data: dict[str, Dataset]) -> Check:
    smallest = float(data["runs"].alpha.min())
    runs = data["runs"].sel(alpha=smallest)
    ratio = accuracy_times(runs, "test") / accuracy_times(runs, "train")
    all_ratios = accuracy_times(data["runs"], "test") / accuracy_times(data["runs"], "train")
    return Check(
        "vanishes",
        "at small α grokking vanishes entirely: the test set is learnt with the training set",
        f"at α = {smallest:g} the test accuracy reaches {CLASSIFIED:.0%} {spread(ratio)} times "
        f"later than the train accuracy; of all α: {ends(all_ratios, 'alpha', 'α')}",
        "less than 1.2 times later in every seed",
        bool((ratio < 1.2).all()),
        expected=False,
        source="Sec. 3, Fig. 2(c)",
        claim="fig-2c-vanish",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    norm = base(data).weight_norm
    growth = norm.isel(step=-1) / norm.isel(step=0)
    return (
        f"A two-layer perceptron of {p.width} squares learns a + b mod {p.p} without weight decay; "
        f"lines are {lines_of(p.seeds)} (splits and weights). (a) "
        f"Accuracy and weight norm, and (b) loss, at α = {LAZINESS:g}; dotted: the loss 1/p of "
        "predicting nothing. (c) Test (solid) and train loss (dashed) at several α.\n\n"
        f"{p.fraction:.0%} of all pairs, one-hot, full-batch gradient descent on the mean square "
        f"error over samples and outputs, η = {p.learning_rate:g}/α², uncentred. The weight norm "
        f"ends at {spread(growth)} times its start. The text does not say how the layers are "
        "normalised: here in the NTK parametrisation, weights N(0, 1), f = V(Wx/√(2p))²/√N, at "
        "which its learning rate gives about its times. The published sweep used the scale "
        "squared; these α are those squares."
    )
