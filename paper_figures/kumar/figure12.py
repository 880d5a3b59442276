"""Figure 12: weight decay against laziness, in the transformer that learns modular addition.

The text claims that grokking vanishes with enough weight decay, and that a "commensurate" increase
of alpha, from 0.5 to 1.4 at five times the decay, recovers it (Sec. 13). It gives neither learning
rates nor sizes: here the rate is the same in all runs, so that alpha and decay alone vary, and a
much lazier network is drawn next to the one of alpha = 1.4.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from xarray import DataArray, Dataset

from lazyrich.paper_figures.checks import Check, of_seeds, spread
from lazyrich.paper_figures.experiments import modular_transformer
from lazyrich.paper_figures.runs import device, of_fit
from lazyrich.plotting import WIDTH, band, letter, look, steps_axis
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

LATER, TOGETHER = 3.0, 1.6  # times: what counts as grokking, and as none


@dataclass(frozen=True)
class Parameters:
    """Runs of little and of much decay, each at ``alpha``, and lazier ones of much decay."""

    p: int = 113
    fraction: float = 0.4
    d_model: int = 128
    alpha: float = 0.5
    lazier: tuple[float, ...] = (1.4, 5.0)
    little: float = 1.0
    much: float = 5.0
    learning_rate: float = 1e-3
    steps: int = 50_000
    seeds: int = 3
    device: str = "auto"


TOO_SMALL = {
    "decay-ends-grokking",
    "groks",
    "laziness-recovers-at-last",
}
PRESETS = {
    "tiny": Parameters(
        p=13, fraction=0.7, d_model=16, learning_rate=2e-3, steps=300, seeds=1, device="cpu"
    ),
    "quick": Parameters(p=23, fraction=0.75, d_model=32, steps=3_000, device="cpu"),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs of each panel; the last are over ``lazier``."""
    names = ("p", "fraction", "d_model", "learning_rate", "steps")
    fixed = {name: getattr(p, name) for name in names} | {"device": device(p.device)}
    panels = {
        "little": ([p.alpha], p.little),
        "much": ([p.alpha], p.much),
        "lazier": (list(p.lazier), p.much),
    }
    return {
        name: Runs(
            of_fit(modular_transformer),
            {"alpha": alphas},
            {**fixed, "weight_decay": decay},
            p.seeds,
        )
        for name, (alphas, decay) in panels.items()
    }


def ratio(p: Parameters, runs: Dataset) -> DataArray:
    """Return how many times later the test loss falls below half of log p than the train loss.

    Infinite where it doesn't within the run, NaN where not even the train loss does.
    """
    level = np.log(p.p) / 2
    train, test = (settled(runs[f"{side}_loss"], level) for side in ("train", "test"))
    return (test / train).where(np.isfinite(train))


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the losses: little decay (a), much (b), and much with a lazy network (c)."""
    figure = Figure(figsize=(WIDTH, 2.0))
    axes = figure.subplots(1, 3, sharey=True)
    shown = {
        f"α = {p.alpha:g}, decay {p.little:g}": data["little"].sel(alpha=p.alpha),
        f"α = {p.alpha:g}, decay {p.much:g}": data["much"].sel(alpha=p.alpha),
        f"α = {p.lazier[-1]:g}, decay {p.much:g}": data["lazier"].sel(alpha=p.lazier[-1]),
    }
    for ax, text, (title, runs) in zip(axes, "abc", shown.items(), strict=True):
        later = runs.sel(step=slice(1, None))
        for side, name in (("train", "train_loss"), ("test", "population_loss")):
            losses, style = later[f"{side}_loss"], look(name, label=f"{side} loss")
            ax.plot(later.step, losses.median("seed"), **style)
            band(ax, later.step.values, losses.values, style["color"])
        ax.axhline(np.log(p.p) / 2, color="black", linewidth=0.5, linestyle=":")
        ax.set(yscale="log", ylim=(1e-7, 40))
        letter(ax, text, title)
        steps_axis(ax, p.steps)
    axes[0].set_ylabel("cross-entropy")
    axes[0].legend(loc="lower left")
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what Sec. 13 says of this figure, held against the runs."""
    settings = {
        "little": (data["little"].sel(alpha=p.alpha), p.alpha, p.little),
        "much": (data["much"].sel(alpha=p.alpha), p.alpha, p.much),
        "printed": (data["lazier"].sel(alpha=p.lazier[0]), p.lazier[0], p.much),
        "lazier": (data["lazier"].sel(alpha=p.lazier[-1]), p.lazier[-1], p.much),
    }
    found = {
        name: (ratio(p, runs), f"at α = {alpha:g}, decay {decay:g}")
        for name, (runs, alpha, decay) in settings.items()
    }
    return [
        _check(
            "groks",
            "with little decay there is a large delay",
            *found["little"],
            claim="fig-12-vanish",
        ),
        _check(
            "decay-ends-grokking",
            "more decay makes it vanish",
            *found["much"],
            groks=False,
            claim="fig-12-vanish",
        ),
        _check(
            "laziness-recovers",
            "as much laziness as decay recovers it: α from 0.5 to 1.4 for five times the decay",
            *found["printed"],
            expected=False,
            claim="fig-12",
        ),
        _check(
            "laziness-recovers-at-last",
            "a much lazier network groks again",
            *found["lazier"],
            expected=False,
            claim="fig-12",
        ),
    ]


def _check(
    name: str,
    sentence: str,
    times: DataArray,
    where: str,
    *,
    groks: bool = True,
    expected: bool = True,
    claim: str,
) -> Check:
    allowed = f"at least {LATER:g}, and within the run," if groks else f"at most {TOGETHER:g}"
    middle = float(np.median(times))
    holds = LATER <= middle < np.inf if groks else middle <= TOGETHER
    return Check(
        name,
        sentence,
        f"{where}, the test loss falls {spread(times)} times later than the train loss",
        f"{allowed} in the median seed",
        holds,
        expected=expected,
        source="Sec. 13, Fig. 12" if name != "laziness-recovers-at-last" else "",
        claim=claim,
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    printed = ratio(p, data["lazier"].sel(alpha=p.lazier[0]))
    return (
        f"Losses of a one-layer transformer on addition mod {p.p}: medians and ranges of "
        f"{of_seeds(p.seeds)}. Dotted: half of log p, below which a loss counts as fallen. (a) "
        "Little weight decay: a long delay. (b) Five times as much: train and test loss fall "
        f"nearly together. (c) As (b), at α = {p.lazier[-1]:g}: they still do.\n\n"
        f"{p.fraction:.0%} of the pairs are for training, d_model = {p.d_model}, AdamW at learning "
        f"rate {p.learning_rate:g}, centred. At α = {p.lazier[0]:g}, as in the text, the fall of "
        f"the test loss over that of the train loss: {spread(printed)}. The text gives neither "
        "sizes nor learning rates; shrunk here from p = 113 and d_model = 128 where these are "
        "smaller."
    )
