"""The phase diagram over P/D and alpha epsilon/|beta|^2: memorises, groks, generalises at once.

Markers are trained networks. Boundaries are predicted from P, D, alpha and epsilon alone: from the
forecasts of other data sets of the same size.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check
from lazyrich.paper_figures.studies.networks import Network, falls, predicted
from lazyrich.plotting import BLACK, BLUE, ORANGE, WIDTH
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.laws.rich_flow import HORIZON
from lazyrich.simulate.outcome import AT_ONCE, GROKS, MEMORISES, phase_of
from lazyrich.simulate.runs import Runs

PHASES: dict[str, dict[str, Any]] = {
    MEMORISES: {"color": BLACK, "marker": "x"},
    GROKS: {"color": ORANGE, "marker": "o", "markerfacecolor": ORANGE},
    AT_ONCE: {"color": BLUE, "marker": "s", "markerfacecolor": "none"},
}
# Other data sets have seeds from here on.
OTHERS = 10_000


@dataclass(frozen=True)
class Parameters:
    """A grid of networks, one data set each, and ``draws`` other data sets for the forecasts."""

    D: int = 24
    ratios: tuple[float, ...] = (1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 14, 20, 32, 48)
    features: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
    laziness: float = 30.0
    draws: int = 5


PRESETS = {
    "tiny": Parameters(D=10, ratios=(1.5, 6, 24), features=(1e-3, 3e-2), draws=2),
    "quick": Parameters(
        D=16,
        ratios=(1.5, 2.5, 4, 6, 9, 14, 24, 48),
        features=(1e-4, 1e-3, 1e-2, 0.1, 1.0),
        draws=2,
    ),
    "paper": Parameters(),
}


def _network(p: Parameters, seed: int, ratio: float, features: float) -> Network:
    return Network(seed, p.D, round(p.D * ratio), features, p.laziness, HORIZON)


def networks(p: Parameters) -> list[Network]:
    """Return the trained networks, along P/D first."""
    points = [(features, ratio) for features in p.features for ratio in p.ratios]
    return [_network(p, seed, ratio, f) for seed, (f, ratio) in enumerate(points)]


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: all networks."""
    return {"runs": Runs(NETWORK, listed=[network.cell() for network in networks(p)])}


def measured(data: dict[str, Dataset]) -> list[str]:
    """Return the phases of the trained networks."""
    return [phase_of(*times) for times in falls(data["runs"])]


def elsewhere(p: Parameters) -> list[list[str]]:
    """Return the phases predicted for other data sets, for each of the networks."""
    return [
        [
            predicted(Network(OTHERS + k, n.D, n.P, n.features, n.laziness, n.end)).phase
            for k in range(p.draws)
        ]
        for n in networks(p)
    ]


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the diagram."""
    figure = Figure(figsize=(WIDTH, 2.8))
    ax = figure.subplots()
    points = np.array([(n.P / n.D, n.features) for n in networks(p)])
    phases = np.array(measured(data))
    for phase, marker in PHASES.items():
        ax.plot(*points[phases == phase].T, linestyle="none", markersize=5, label=phase, **marker)
    _boundaries(ax, p)
    ax.set(xscale="log", yscale="log", xlabel="P/D", ylabel="αε/|β|²")
    ax.set(xlim=(min(p.ratios) / 1.1, max(p.ratios) * 1.1))
    ax.set(ylim=(min(p.features) / 1.5, max(p.features) * 1.5))
    ticks = [ratio for ratio in (1.5, 3, 6, 12, 24, 48) if ratio <= max(p.ratios)]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    for style, label in (("-", "predicted: memorises"), ("--", "predicted: at once")):
        ax.plot([], [], color=BLACK, linestyle=style, label=label)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center")
    return figure


def _boundaries(ax: Axes, p: Parameters) -> None:
    """Draw where half of the other data sets are on either side."""
    shape = (len(p.features), len(p.ratios))
    votes = elsewhere(p)
    for phase, style in ((MEMORISES, "-"), (AT_ONCE, "--")):
        share = np.array([np.mean([vote == phase for vote in few]) for few in votes])
        share = share.reshape(shape)
        if share.min() < 0.5 < share.max():
            ax.contour(p.ratios, p.features, share, [0.5], colors=BLACK, linestyles=[style])


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return the checks of the forecasts, and that all three phases are there."""
    phases, votes = measured(data), elsewhere(p)
    own = [predicted(network).phase for network in networks(p)]
    clear = [(found, few[0]) for found, few in zip(phases, votes, strict=True) if len({*few}) == 1]
    return [
        _right("own-data-set", "the phase is predicted from the data set", phases, own),
        _right(
            "parameters-alone",
            "away from the boundaries, where all other data sets agree, the phase is predicted "
            "from the parameters alone",
            *map(list, zip(*clear, strict=True)),
        ),
        _all_three(phases),
        _memorises_below(p, phases),
    ]


def _right(name: str, sentence: str, phases: list[str], predicted_: list[str]) -> Check:
    right = sum(a == b for a, b in zip(phases, predicted_, strict=True))
    return Check(
        name,
        sentence,
        f"right for {right} of {len(phases)} networks",
        "95% of them",
        right >= 0.95 * len(phases),
        claim="law-phases",
    )


def _all_three(phases: list[str]) -> Check:
    counts = {phase: phases.count(phase) for phase in PHASES}
    return Check(
        "three-phases",
        "networks memorise, grok, or generalise at once",
        ", ".join(f"{count} of {phase!r}" for phase, count in counts.items()),
        "some of each, and no others",
        min(counts.values()) > 0 and sum(counts.values()) == len(phases),
        claim="law-phases",
    )


def _memorises_below(p: Parameters, phases: list[str]) -> Check:
    few = [f for f, n in zip(phases, networks(p), strict=True) if n.P < 2 * n.D]
    return Check(
        "too-few-samples",
        "with fewer than 2 D samples every network memorises, however rich",
        f"{few.count(MEMORISES)} of {len(few)} networks",
        "all",
        len(few) > 0 and few.count(MEMORISES) == len(few),
        claim="law-phases",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    return (
        f"Phases of {data['runs'].sizes['cell']} networks trained by gradient flow: 'generalises "
        "at once' where the test loss falls within twice the time of the train loss, 'groks' where "
        "later, 'memorises' where not within the run. Lines, from the parameters alone: where half "
        f"of {p.draws} other data sets are predicted to memorise (full), to learn at once "
        "(dashed).\n\n"
        f"D = {p.D}, α/ε = {p.laziness:g}, infinite width, centred, one data set each, runs to "
        f"τ = {HORIZON:g} αD²/(ε|β|²). A loss has fallen when it stays below 2/15 of that of "
        "predicting nothing."
    )
