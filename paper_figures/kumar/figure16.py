"""Figure 16: accuracy and loss of one run of modular addition, the runs of Figure 2."""

import numpy as np
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.studies import modular
from lazyrich.paper_figures.studies.modular import (
    Parameters,
    accuracy_times,
    base,
    delays,
    loss_times,
)
from lazyrich.plotting import WIDTH, letter, look, steps_axis
from lazyrich.simulate.outcome import settled

TOO_SMALL = {
    "dips-when-it-generalises",
}
PRESETS, sweeps = modular.PRESETS, modular.sweeps

SEED = 0  # drawn


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return accuracy (left) and loss (right) of the same run."""
    figure = Figure(figsize=(WIDTH, 2.2))
    axes = figure.subplots(1, 2)
    runs = base(data)
    run = runs.sel(seed=SEED, step=slice(1, None))
    for ax, quantity in zip(axes, ("accuracy", "loss"), strict=True):
        for side, name in (("train", "train_loss"), ("test", "population_loss")):
            ax.plot(run.step, run[f"{side}_{quantity}"], **look(name, label=side))
        fitted = float(_perfect(runs).sel(seed=SEED))
        if np.isfinite(fitted):
            ax.axvline(fitted, color="black", linewidth=0.5, linestyle=(0, (1, 1)))
        steps_axis(ax, p.steps)
    axes[0].set(ylabel="accuracy", ylim=(-0.02, 1.05))
    axes[1].axhline(
        float(_loss_when_perfect(runs).sel(seed=SEED)), color="black", linewidth=0.5, linestyle="-"
    )
    axes[1].set(ylabel="loss", ylim=(0, None))
    axes[0].legend(loc="upper left")
    for ax, text, title in zip(axes, "ab", ("accuracy", "loss of the same run"), strict=True):
        letter(ax, text, title)
    return figure


def _perfect(runs: Dataset) -> DataArray:
    """Return the step from which every training sample is classified; NaN if not at the end."""
    times = accuracy_times(runs, "train", 0.998)
    return times.where(np.isfinite(times))


def _at(values: DataArray, steps: DataArray) -> DataArray:
    """Return the values at these steps, one a seed, linear in the logarithm between records."""
    pairs = zip(values.transpose("seed", "step").values, steps.values, strict=True)
    x = np.log1p(values.step.values)
    found = [np.exp(np.interp(np.log1p(step), x, np.log(row))) for row, step in pairs]
    return steps.copy(data=np.array(found))


def _loss_when_perfect(runs: Dataset) -> DataArray:
    return _at(runs.train_loss, _perfect(runs))


def _dips(runs: Dataset) -> DataArray:
    """Return the step at which the test loss falls below the train loss at perfect accuracy."""
    level = _loss_when_perfect(runs)
    return settled(runs.test_loss / level, 1.0)


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what Sec. 16.1 says of this run, held against the runs of all seeds."""
    runs = base(data)
    return [
        _perfect_at_2k(runs),
        _loss_then(p, runs),
        _dips_at_3_to_4k(runs),
        _dips_when_generalising(runs),
        _flat_accuracy(runs),
        _accuracy_without_zero_loss(p, runs),
        _train_loss_to_zero(runs),
        *_equivalent(p, data["runs"]),
    ]


def _perfect_at_2k(runs: Dataset) -> Check:
    steps = _perfect(runs)
    return Check(
        "train-accuracy-perfect-at-2k",
        "train accuracy reaches perfect classification in about 2,000 epochs",
        f"at step {spread(steps)}",
        "between 1,500 and 2,500 in every seed",
        bool(((steps > 1500) & (steps < 2500)).all()),
        expected=False,
        source="Sec. 16.1",
        claim="fig-16-epochs",
    )


def _loss_then(p: Parameters, runs: Dataset) -> Check:
    loss = _loss_when_perfect(runs)
    return Check(
        "train-loss-0.06-then",
        "the train loss is then about 0.06",
        f"{spread(loss)} as the mean over outputs, {spread(p.p * loss)} as their sum; predicting "
        f"nothing has {1 / p.p:.3g} and 1",
        "0.05 to 0.07, as the mean or as the sum, in every seed",
        any(((part > 0.05) & (part < 0.07)).all() for part in (loss, p.p * loss)),
        expected=False,
        source="Sec. 16.1",
        claim="fig-16-train-loss",
    )


def _dips_at_3_to_4k(runs: Dataset) -> Check:
    steps = _dips(runs)
    return Check(
        "test-loss-dips-at-3-4k",
        "the test loss falls below that train loss at about 3,000 to 4,000 epochs",
        f"at step {spread(steps)}",
        "between 3,000 and 4,000 in every seed",
        bool(((steps > 3000) & (steps < 4000)).all()),
        expected=False,
        source="Sec. 16.1",
        claim="fig-16-epochs",
    )


def _dips_when_generalising(runs: Dataset) -> Check:
    ratio = _dips(runs) / accuracy_times(runs, "test")
    return Check(
        "dips-when-it-generalises",
        "that is precisely when the network generalises in accuracy",
        f"at {spread(ratio)} of the step at which 95% of the test set is classified",
        "within a quarter of it in every seed",
        bool((abs(ratio - 1) < 0.25).all()),
        source="Sec. 16.1",
        claim="sec-16.1-loss-0.06",
    )


def _flat_accuracy(runs: Dataset) -> Check:
    early = runs.where(runs.step < accuracy_times(runs, "train", 0.5))
    highest = early.test_accuracy.max("step")
    moved = (early.test_loss.max("step") - early.test_loss.min("step")) / runs.test_loss.isel(
        step=0
    )
    return Check(
        "accuracy-flat-loss-moves",
        "early in training the test accuracy is flat, but the test loss moves",
        "until half the training set is classified: test accuracy at most "
        f"{spread(highest)}, test loss over a range of {spread(100 * moved)}% of its start",
        "accuracy below 0.2 and a range above 2%, in every seed",
        bool((highest < 0.2).all() and (moved > 0.02).all()),
        source="Sec. 16.1",
        claim="sec-16.1-flat-accuracy",
    )


def _accuracy_without_zero_loss(p: Parameters, runs: Dataset) -> Check:
    end = runs.isel(step=-1)
    accuracy, loss = end.test_accuracy, p.p * end.test_loss
    return Check(
        "perfect-accuracy-without-zero-loss",
        "the network ends with perfect accuracy and a loss that is not zero",
        f"test accuracy {spread(accuracy)}, test loss {spread(loss)} of that of predicting nothing",
        "accuracy 1 in the median seed and above 0.95 in all, the loss above 0.001",
        bool(accuracy.median() == 1 and (accuracy > 0.95).all() and (loss > 1e-3).all()),
        source="Sec. 16.1",
        claim="sec-16.1-loss-at-perfect-accuracy",
        judges="right form",
    )


def _train_loss_to_zero(runs: Dataset) -> Check:
    ratio = runs.train_loss.isel(step=-1) / _loss_when_perfect(runs)
    return Check(
        "train-loss-to-zero",
        "after perfect classification the train loss keeps falling all the way to zero",
        f"to {spread(ratio)} of what it was then",
        "below 0.05 in every seed",
        bool((ratio < 0.05).all()),
        source="Sec. 16.1",
        claim="sec-16.1-flat-accuracy",
    )


def _equivalent(p: Parameters, runs: Dataset) -> list[Check]:
    """Over all alphas and seeds: what groks in loss groks in accuracy, and as late."""
    pairs = {
        "accuracy": [accuracy_times(runs, side) for side in ("train", "test")],
        "loss": [loss_times(p, runs, side) for side in ("train", "test")],
    }
    delay = {name: delays(*times).values.ravel() for name, times in pairs.items()}
    finite = {name: np.isfinite(values) for name, values in delay.items()}
    both = finite["accuracy"] & finite["loss"]
    agree = int((finite["accuracy"] == finite["loss"]).sum())
    ratio = delay["loss"][both] / delay["accuracy"][both]
    source = "Sec. 16.1"
    return [
        Check(
            "loss-groks-where-accuracy-does",
            "the two definitions of grokking are equivalent: a run groks in the loss if and only "
            "if it groks in accuracy",
            f"{agree} of {both.size} runs over α and seeds do both or neither within the run",
            "all",
            agree == both.size,
            source=source,
            claim="sec-16.1-equivalent",
            judges="right form",
        ),
        Check(
            "as-late-in-loss-as-in-accuracy",
            "and the delay from train to test is about the same in both",
            f"the delay in the loss is {spread(ratio)} times that in accuracy, in the "
            f"{both.sum()} runs that grok within the run",
            "within a factor of 2 in every one of them",
            bool(both.any() and (ratio > 0.5).all() and (ratio < 2).all()),
            source=source,
            claim="sec-16.1-equivalent",
            judges="right form",
        ),
    ]


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    fitted, loss = (f(base(data)).sel(seed=SEED) for f in (_perfect, _loss_when_perfect))
    return (
        f"(a) Accuracy and (b) loss of one run of Figure 2 (a + b mod {p.p}, α = "
        f"{modular.LAZINESS:g}, seed {SEED}). Dotted: the step from which every training sample is "
        f"classified, {float(fitted):.0f}; thin line in (b): the train loss then, "
        f"{float(loss):.3g}.\n\n"
        "Losses are means of squared errors over samples and outputs. The paper's 0.06 can be no "
        f"such mean at this p, since predicting nothing has 1/p = {1 / p.p:.3g}; it does not say "
        f"what it divides by. Checks are over {of_seeds(p.seeds)}, and those on equivalence over "
        "all α of Figure 2."
    )
