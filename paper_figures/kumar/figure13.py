"""Figure 13: momentum and adaptive optimisers, and how long a network follows its linearised twin.

(a) The network of Figure 1 by gradient descent with momentum 0.95, against gradient flow without.
Slow modes run 1/(1 - momentum) times as fast under momentum (closed form ``momentum-modes``), so
that both are drawn over step/(1 - momentum). (b) A tanh student of a tanh teacher, by AdamW.
(c) The transformer on modular addition, by AdamW with weight decay 1. Twins train from the same
weights, by the same optimiser at the same rates. No sizes or rates are given for (b) and (c): they
are those of Figures 8 and 6.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, spread
from lazyrich.paper_figures.experiments import modular_transformer, student_and_teacher
from lazyrich.paper_figures.plan import not_run
from lazyrich.paper_figures.runs import device, of_fit
from lazyrich.plotting import LOOKS, WIDTH, letter, look, steps_axis
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.outcome import THRESHOLD, time_to_grok
from lazyrich.simulate.record import default_grid
from lazyrich.simulate.runs import Runs

PARTS = ("student", "transformer")
APART = 0.1  # two losses differ where they do by this part


@dataclass(frozen=True)
class Parameters:
    """The three experiments; ``dense`` is how many first steps of (a) are all recorded."""

    D: int = 100
    P: int = 550
    width: int = 500
    epsilon: float = 0.02
    learning_rate: float = 1.0
    momentum: float = 0.95
    steps: int = 10_000
    dense: int = 500
    student_rate: float = 3e-4
    student_decay: float = 0.05
    student_steps: int = 100_000
    p: int = 113
    fraction: float = 0.4
    d_model: int = 128
    alpha: float = 0.5
    transformer_rate: float = 1e-3
    transformer_decay: float = 1.0
    transformer_steps: int = 20_000
    seeds: int = 3
    device: str = "auto"


TOO_SMALL = {
    "transformer-ends-elsewhere",
}
PRESETS = {
    "tiny": Parameters(
        D=12,
        P=60,
        width=60,
        epsilon=0.1,
        steps=300,
        dense=100,
        student_rate=1e-3,
        student_steps=300,
        p=7,
        fraction=0.6,
        d_model=8,
        transformer_rate=2e-3,
        transformer_steps=150,
        seeds=1,
        device="cpu",
    ),
    "quick": Parameters(
        D=50,
        P=275,
        width=250,
        steps=5_000,
        student_rate=1e-3,
        student_steps=5_000,
        p=23,
        fraction=0.6,
        d_model=32,
        transformer_steps=1_500,
        seeds=2,
        device="cpu",
    ),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs, those of (b) and (c) over whether the network is ``linearised``."""
    names = ("D", "P", "width", "epsilon", "learning_rate")
    toy = {name: getattr(p, name) for name in names} | {"alpha": 1.0, "centred": True}
    toy |= {"alignment": None}
    every = sorted({*range(p.dense), *default_grid(p.steps)})
    momentum = {"engine": "moments", "momentum": p.momentum, "steps": p.steps, "record": every}
    plain = {"engine": "flow", "steps": round(p.steps / (1 - p.momentum))}
    student = {
        "P": 100,
        "n_test": 100,
        "alpha": 1.0,
        "learning_rate": p.student_rate,
        "weight_decay": p.student_decay,
        "thresholds": [0.1],
        "steps": p.student_steps,
        "device": device(p.device),
    }
    names = ("p", "fraction", "d_model", "alpha")
    transformer = {name: getattr(p, name) for name in names} | {
        "learning_rate": p.transformer_rate,
        "weight_decay": p.transformer_decay,
        "steps": p.transformer_steps,
        "device": device(p.device),
    }
    both = {"linearised": [False, True]}
    return {
        "momentum": Runs(NETWORK, {}, toy | momentum, p.seeds),
        "plain": Runs(NETWORK, {}, toy | plain, p.seeds),
        "student": Runs(of_fit(student_and_teacher), both, student, p.seeds),
        "transformer": Runs(of_fit(modular_transformer), both, transformer, p.seeds),
    }


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the losses of the polynomial network (a), the student (b), the transformer (c)."""
    figure = Figure(figsize=(WIDTH, 2.1))
    axes = figure.subplots(1, 3)
    _momentum(axes[0], p, data)
    for ax, name, last in zip(axes[1:], PARTS, (p.student_steps, p.transformer_steps), strict=True):
        if name in data:
            _with_twin(ax, data[name])
            steps_axis(ax, last)
        else:
            not_run(ax)
    if "transformer" in data:
        axes[2].set_ylim(1e-5, 30)
    titles = ("momentum", "student, AdamW", "transformer, AdamW")
    for ax, text, title in zip(axes, "abc", titles, strict=True):
        letter(ax, text, title)
    axes[0].set_ylabel("loss")
    if "student" in data:
        axes[1].legend(loc="lower left")
    return figure


def _momentum(ax: Axes, p: Parameters, data: dict[str, Dataset]) -> None:
    for runs, factor, width in (
        (data["momentum"], 1 / (1 - p.momentum), None),
        (data["plain"], 1.0, 0.7),
    ):
        one = runs.sel(seed=0, step=slice(1, None))
        for name in ("train_loss", "population_loss"):
            changes = (
                {} if width is None else {"linewidth": width, "color": LOOKS["linear"]["color"]}
            )
            ax.plot(one.step * factor, one[name], **look(name, **changes))
    ax.plot([], [], color="black", linewidth=0.7, label="without momentum")
    steps_axis(ax, p.steps / (1 - p.momentum))
    ax.set(yscale="log", xlabel=f"steps/(1 − {p.momentum:g})")
    ax.legend(*_first(ax, ("train loss", "test loss", "without momentum")), loc="lower left")


def _first(ax: Axes, wanted: tuple[str, ...]) -> tuple[list, list]:
    handles, labels = ax.get_legend_handles_labels()
    places = [labels.index(label) for label in wanted]
    return [handles[i] for i in places], list(wanted)


def _with_twin(ax: Axes, runs: Dataset) -> None:
    """Draw one seed: the network thick, its twin thin."""
    one = runs.sel(seed=0, step=slice(1, None))
    for side, name in (("train", "train_loss"), ("test", "population_loss")):
        style = look(name, label=side)
        ax.plot(one.step, one[f"{side}_loss"].sel(linearised=False), **style)
        thin = {**style, "linewidth": 0.7, "alpha": 0.8, "label": f"{side}, linearised"}
        ax.plot(one.step, one[f"{side}_loss"].sel(linearised=True), **thin)
    ax.set_yscale("log")


def local_maxima(loss: DataArray, by: float = 0.01) -> np.ndarray:
    """Return how often a loss of shape (seed, step) turns down after rising by a part ``by``.

    >>> loss = DataArray([[4.0, 2.0, 3.0, 1.0, 1.001, 0.5]], dims=("seed", "step"))
    >>> local_maxima(loss).tolist()
    [1]
    """
    counts = []
    for values in loss.transpose("seed", "step").values:
        low, high, rising, count = values[0], values[0], False, 0
        for value in values:
            low, high = (min(low, value), value) if not rising else (low, max(high, value))
            if not rising and value > low * (1 + by):
                rising, high = True, value
            elif rising and value < high / (1 + by):
                rising, low, count = False, value, count + 1
        counts.append(count)
    return np.array(counts)


def apart_at(runs: Dataset, side: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return, by seed, when network and twin come apart, and when the network's loss has halved.

    Both are the first recorded step at which it holds; infinite where there is none.
    """
    loss = runs[f"{side}_loss"].transpose("linearised", "seed", "step")
    network, twin = (loss.sel(linearised=value).values for value in (False, True))
    conditions = abs(network / twin - 1) > APART, network < network[:, :1] / 2
    apart, halved = (
        np.where(holds.any(1), runs.step.values[holds.argmax(1)].astype(float), np.inf)
        for holds in conditions
    )
    return apart, halved


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what Sec. 14 says of this figure, held against the runs."""
    found = [_same_shape(p, data), _bumps(data)]
    if (student := data.get("student")) is not None:
        found.append(_tracks_until_half(student))
        found.append(_ends_apart("student", student, expected=False, claim="fig-13b-then"))
    if (transformer := data.get("transformer")) is not None:
        found.append(_leaves_early("transformer", transformer))
        found.append(_ends_apart("transformer", transformer, expected=True, claim="fig-13c"))
    return found


def _same_shape(p: Parameters, data: dict[str, Dataset]) -> Check:
    with_, without = (
        time_to_grok(data[name], threshold=THRESHOLD) for name in ("momentum", "plain")
    )
    ratios = [(with_[side] / (1 - p.momentum) / without[side]).values for side in ("train", "test")]
    return Check(
        "same-shape",
        "with momentum the curves have broadly the same shape: losses fall at the same "
        "step/(1 − momentum)",
        f"time to fall below {THRESHOLD} over that without: train {spread(ratios[0])}, test "
        f"{spread(ratios[1])}",
        "within 15% of 1, in every seed",
        bool(all(np.all(np.abs(ratio - 1) < 0.15) for ratio in ratios)),
        expected=False,
        source="Sec. 14, Fig. 13(a)",
        claim="sec-14-momentum",
        judges="without assumption",
    )


def _bumps(data: dict[str, Dataset]) -> Check:
    with_, without = (local_maxima(data[name].train_loss) for name in ("momentum", "plain"))
    return Check(
        "more-bumps",
        "with momentum the learning curves have more bumps",
        f"local maxima of the train loss: {spread(with_)} with, {spread(without)} without",
        "more with than without, in every seed",
        bool((with_ > without).all()),
        source="Sec. 14, Fig. 13(a)",
        claim="sec-14-momentum",
    )


def _tracks_until_half(runs: Dataset) -> Check:
    apart, halved = apart_at(runs)
    return Check(
        "student-tracks-until-half",
        "the student follows its linearised twin until its loss halves",
        f"train losses {APART:.0%} apart at step {spread(apart)}, halved at {spread(halved)}",
        "apart not before the half, in every seed",
        bool((apart >= halved).all()),
        source="Sec. 14, Fig. 13(b)",
        claim="fig-13b-half",
    )


def _leaves_early(name: str, runs: Dataset) -> Check:
    apart, halved = apart_at(runs)
    return Check(
        f"{name}-leaves-early",
        f"the {name}'s loss quickly deviates from its linearisation",
        f"train losses {APART:.0%} apart at step {spread(apart)}, halved at {spread(halved)}",
        "apart before the half, in every seed",
        bool((apart < halved).all()),
        source="Sec. 14, Fig. 13(c)",
        claim="fig-13c",
    )


def _ends_apart(name: str, runs: Dataset, *, expected: bool, claim: str) -> Check:
    last = runs.train_loss.isel(step=-1)
    ratio = abs(np.log(last.sel(linearised=False) / last.sel(linearised=True))).values
    return Check(
        f"{name}-ends-elsewhere",
        f"late, the {name} is no linear model any more",
        f"train loss at the end by factors of {spread(np.exp(ratio))} from the twin's",
        "a factor of 2 or more in every seed",
        bool((ratio > np.log(2)).all()),
        expected=expected,
        source="Sec. 14",
        claim=claim,
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    del data
    return (
        "Networks (thick) and their linearised twins (thin), by the same optimiser from the same "
        f"weights. Dashed: train loss, solid: test loss; seed 0 of {p.seeds}. (a) Polynomial "
        "regression by gradient descent with momentum (coloured), and by gradient flow without "
        "(black). (b) Student of Figure 8 and (c) transformer of Figure 6, by AdamW.\n\n"
        f"(a) D = {p.D}, P = {p.P}, N = {p.width}, α = 1, ε = {p.epsilon:g}, centred, momentum "
        f"{p.momentum:g}, η₀ = {p.learning_rate:g}, over steps/(1 − momentum). (b) α = 1, rate "
        f"{p.student_rate:g}, decay {p.student_decay:g}. (c) Addition mod {p.p}, d_model = "
        f"{p.d_model}, α = {p.alpha:g}, centred, rate {p.transformer_rate:g}, decay "
        f"{p.transformer_decay:g}."
    )
