"""Without weight decay the transition still comes, but it is not sharp [Lyu et al. 2024, App.].

The same network on the same sparse data with and without weight decay. Without it the loss falls
without end, and the authors raise the learning rate as eta/L: the steps of that descent measure
tau = int L dt, which grows like log(log(t)). Each run is judged by its own clock.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.runs import of_flow
from lazyrich.paper_figures.studies.biases import share
from lazyrich.plotting import LOOKS, WIDTH, letter, look
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

# The transition is taken to last from one of these test accuracies to the other.
LOW, HIGH = 0.6, 0.9


@dataclass(frozen=True)
class Parameters:
    """With ``weight_decay`` to ``end`` log(alpha)/lambda, and without to the time ``duration``."""

    d: int = 100_000
    n: int = 256
    n_test: int = 10_000
    alpha: float = 16.0
    weight_decay: float = 1e-3
    end: float = 4.0
    duration: float = 1e60
    seeds: int = 3


TOO_SMALL = {
    "not-sharp-by-steps",
    "transition-without-decay",
}
PRESETS = {
    "tiny": Parameters(d=1000, n=60, n_test=300, alpha=4.0, seeds=2),
    "quick": Parameters(d=10_000, n=128, n_test=1000, seeds=2),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs with and without weight decay."""
    fixed = {name: getattr(p, name) for name in ("d", "n", "n_test", "alpha", "end")}
    fixed |= {"data": "sparse"}
    without = {**fixed, "weight_decay": 0.0, "duration": p.duration}
    return {
        "decay": Runs(
            of_flow("classification"), {}, {**fixed, "weight_decay": p.weight_decay}, p.seeds
        ),
        "none": Runs(of_flow("classification"), {}, without, p.seeds),
    }


def clock(runs: Dataset) -> DataArray:
    """Return tau = int L dt at each record, by the trapezoidal rule in log(t)."""
    rate = (runs.train_loss * runs.time).values
    steps = np.diff(np.log(runs.time.values), axis=-1) * (rate[..., 1:] + rate[..., :-1]) / 2
    start = rate[..., :1]
    return runs.time.copy(data=np.concatenate([start, start + np.cumsum(steps, -1)], -1))


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return accuracies and margins, with weight decay (left) and without (right)."""
    figure = Figure(figsize=(WIDTH, 2.0))
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, data["decay"], data["decay"].time)
    _panel(right, data["none"], clock(data["none"]))
    left.set(xlabel="time (learning rate × steps)", ylabel="accuracy, share of largest margin")
    right.set(xlabel="η × steps at learning rate η/L")
    left.set(xscale="log", xlim=(1e-1, float(data["decay"].time.max())))
    right.set_xlim(0, float(clock(data["none"]).max()))
    letter(left, "a", f"λ = {p.weight_decay:g}")
    letter(right, "b", "λ = 0")
    left.legend(loc="lower left", ncols=2)
    return figure


def _panel(ax: Axes, runs: Dataset, time: DataArray) -> None:
    for seed in runs.seed:
        run, t = runs.sel(seed=seed), time.sel(seed=seed)
        first: dict[str, Any] = {} if seed == 0 else {"label": None}
        for name in ("train_accuracy", "test_accuracy"):
            ax.plot(t, run[name], **(LOOKS[name] | first))
        for norm in ("l1", "l2"):
            style = look(norm, label=f"$L_{norm[1]}$ margin", linewidth=0.7) | first
            ax.plot(t, share(run, norm), **style)
    ax.axhline(0.5, color="black", linewidth=0.4)
    ax.set(ylim=(0, 1.05))


def _width(runs: Dataset, time: DataArray) -> np.ndarray:
    """Return how many times longer it takes to the high accuracy than to the low one."""
    low, high = (
        settled(runs.test_accuracy, level, above=True, time=time).values for level in (LOW, HIGH)
    )
    return np.divide(high, low, out=np.full_like(low, np.inf), where=np.isfinite(low))


def claims(_p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the paper says of this figure, and what lazyrich adds, held against the runs."""
    return [
        _comes(data),
        _not_sharp(data),
        _not_sharp_by_steps(data),
        _loss_law(data["none"]),
        _margins(data),
    ]


def _comes(data: dict[str, Dataset]) -> Check:
    runs = data["none"]
    fitted = settled(runs.train_accuracy, 0.999, above=True, time=runs.time).values
    learnt = settled(runs.test_accuracy, HIGH, above=True, time=runs.time).values
    return Check(
        "transition-without-decay",
        "without weight decay the network fits first and generalises later",
        f"train accuracy 1 from t = {spread(fitted)}, test accuracy above {HIGH} from "
        f"{spread(learnt)}",
        "later by a factor of 100 at least, in every seed",
        bool((np.isfinite(learnt) & (learnt > 100 * fitted)).all()),
        source="App. (no weight decay)",
        claim="lyu-no-decay",
    )


def _not_sharp(data: dict[str, Dataset]) -> Check:
    sharp = _width(data["decay"], data["decay"].time)
    wide = _width(data["none"], data["none"].time)
    return Check(
        "not-sharp-without-decay",
        f"the transition, from test accuracy {LOW} to {HIGH}, is less sharp without weight decay",
        f"by time it ends {spread(wide)} times as late as it begins; {spread(sharp)} times with "
        "weight decay",
        "a larger ratio without, in every seed",
        bool((wide > sharp).all()),
        source="App. (no weight decay)",
        claim="lyu-no-decay",
    )


def _not_sharp_by_steps(data: dict[str, Dataset]) -> Check:
    sharp = _width(data["decay"], data["decay"].time)
    wide = _width(data["none"], clock(data["none"]))
    return Check(
        "not-sharp-by-steps",
        "it is less sharp also by the steps of the learning rate η/L, which the paper counts",
        f"by them it ends {spread(wide)} times as late as it begins; {spread(sharp)} times with "
        "weight decay, at a constant rate. (The former depends little on α, the latter tends to 1 "
        "as α grows.)",
        "a larger ratio without, in every seed",
        bool((wide > sharp).all()),
        expected=False,
        source="App. (no weight decay)",
        claim="lyu-no-decay",
        judges="without assumption",
    )


def _loss_law(runs: Dataset) -> Check:
    logs = np.log(runs.time)
    inverse = 1 / (runs.train_loss * runs.time)
    rises, spans = (
        [x.isel(step=last) - x.isel(step=last - 20) for last in (-1, -21)] for x in (inverse, logs)
    )
    slopes = [rise / span for rise, span in zip(rises, spans, strict=True)]
    ratio, change = slopes[0] / slopes[1], inverse.isel(step=-1) / inverse.isel(step=-41)
    offset = inverse.isel(step=-1) / slopes[0] - logs.isel(step=-1)
    return Check(
        "loss-falls-as-1-over-t-log-t",
        "without weight decay the loss falls like 1/(t (log t + c)) (Lyu and Li 2020, for order "
        "2), so that steps of rate η/L count log log t",
        f"1/(L t) grows linearly in log t: its slopes over the last 20 records and the 20 before "
        f"are as {spread(ratio)}, and it grows by a factor of {spread(change)}; c is "
        f"{spread(offset)}, log t {float(logs.max()):.0f} in the end",
        "slopes within 5% of each other, and a growth by more than 10%, in every seed",
        bool((abs(ratio - 1) < 0.05).all() and (change > 1.1).all()),
        source="lazyrich",
        claim="lyu-no-decay",
    )


def _margins(data: dict[str, Dataset]) -> Check:
    late = share(data["none"], "l1")
    middle, final = late.isel(step=-20), late.isel(step=-1)
    return Check(
        "l1-margin-still-grows",
        "without weight decay the L1 margin still grows in the end, ever more slowly",
        f"{spread(final)} of the largest at t = {float(data['none'].time.max()):.0e}, "
        f"{spread(middle)} twenty records before",
        "grows, and is below 1, in every seed",
        bool(((final > middle) & (final < 1)).all()),
        source="lazyrich",
        claim="lyu-no-decay",
    )


def caption(p: Parameters, _data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        "Accuracy and margins (over the largest possible ones) of diagonal networks on sparse "
        f"labels, by gradient flow: d = {p.d}, n = {p.n}, α = {p.alpha:g}, one line for each of "
        f"{of_seeds(p.seeds)}. (a) With weight decay λ = {p.weight_decay:g}. (b) Without, by the "
        f"clock ∫L dt of descent at the learning rate η/L, up to t = {p.duration:.0e}. The paper "
        "shows modular addition; here both runs are exact flows of one network."
    )
