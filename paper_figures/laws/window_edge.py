"""The lower edge of the Goldilocks window: how many samples rich training needs, over D.

Held against two laws: the spike of early growth (does an eigenvalue that knows of beta stand out
of the bulk?), and the convex programme that small features end in (is beta beta^T of least trace
among all that fits?).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check
from lazyrich.paper_figures.studies.networks import Network, falls
from lazyrich.plotting import BLACK, BLUE, VERMILLION, WIDTH, letter, shades
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.laws.least_trace import least_trace
from lazyrich.simulate.laws.rich_flow import HORIZON
from lazyrich.simulate.laws.spike import share_standing_out, spike_of
from lazyrich.simulate.measures import zero_losses
from lazyrich.simulate.metrics import population_terms
from lazyrich.simulate.outcome import SHARE
from lazyrich.simulate.runs import Runs


@dataclass(frozen=True)
class Parameters:
    """Networks of several D and P/D, ``seeds`` data sets each, and the D at which the spike is."""

    dimensions: tuple[int, ...] = (10, 20, 40)
    ratios: tuple[float, ...] = (1.5, 2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 4)
    features: float = 1e-4
    laziness: float = 10.0
    seeds: int = 16
    spike_dimensions: tuple[int, ...] = (10, 30, 100, 300, 1000, 3000, 10_000)
    spike_ratios: tuple[float, ...] = (1.25, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8)


TOO_SMALL = {
    "spike-decides",
    "spike-is-below",
    "spike-recedes",
}
PRESETS = {
    "tiny": Parameters(dimensions=(6, 9), ratios=(1.5, 4), seeds=3, spike_dimensions=(10, 1000)),
    "quick": Parameters(
        dimensions=(10, 20),
        ratios=(2, 2.5, 3, 3.5),
        seeds=8,
        spike_dimensions=(10, 30, 100, 300, 1000, 3000),
    ),
    "paper": Parameters(),
}


def networks(p: Parameters) -> list[Network]:
    """Return the networks, by D, then P/D, then seed."""
    return [
        Network(seed, D, round(D * ratio), p.features, p.laziness, HORIZON)
        for D in p.dimensions
        for ratio in p.ratios
        for seed in range(p.seeds)
    ]


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: all networks."""
    return {"runs": Runs(NETWORK, listed=[network.cell() for network in networks(p)])}


def _shaped(p: Parameters, values: list) -> np.ndarray:
    return np.array(values).reshape(len(p.dimensions), len(p.ratios), p.seeds)


def generalises(p: Parameters, data: dict[str, Dataset]) -> np.ndarray:
    """Return whether the test loss falls within the run, (D, P/D, seeds)."""
    return _shaped(p, np.isfinite(falls(data["runs"])[:, 1]).tolist())


@lru_cache(maxsize=4096)
def _laws_say(network: Network) -> tuple[bool, bool]:
    """Whether least trace recovers beta well enough, and whether the spike knows of it."""
    task = network.task
    X, y, beta = task.X.numpy(), task.y.numpy(), task.beta.numpy()
    Q, u = least_trace(X, y)
    # At alpha = epsilon = 1 the predictor u.x + x'Qx/2 has the moments (u, Q).
    moments = (torch.from_numpy(u), torch.from_numpy(Q))
    loss = float(sum(population_terms(task, *moments, alpha=1.0, epsilon=1.0).values()))
    rho = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    stands_out = spike_of(rho, X @ beta, task.D).overlap > 0 if task.P > task.D else False
    return loss < SHARE * zero_losses(task)["zero_population_loss"], stands_out


def laws_say(p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Return what least trace and spike say of each data set, (D, P/D, seeds)."""
    said = [_laws_say(network) for network in networks(p)]
    return _shaped(p, [one[0] for one in said]), _shaped(p, [one[1] for one in said])


@lru_cache(maxsize=64)
def spike_edge(p: Parameters, D: int) -> float:
    """Return the P/D at which the spike stands out for half of the data sets, by its law."""
    shares = [share_standing_out(D, round(D * ratio)) for ratio in p.spike_ratios]
    return edge(np.array(p.spike_ratios), np.array(shares))


def edge(ratios: np.ndarray, shares: np.ndarray) -> float:
    """Return the P/D at which a share first reaches 1/2 for good, linear between; NaN for never.

    >>> round(edge(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.25, 1.0])), 3)
    2.333
    """
    below = np.flatnonzero(shares < 0.5)
    if below.size == 0:
        return float(ratios[0])
    i = below[-1]
    if i + 1 == len(ratios):
        return float(np.nan)
    part = (0.5 - shares[i]) / (shares[i + 1] - shares[i])
    return float(ratios[i] + part * (ratios[i + 1] - ratios[i]))


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the share of data sets that generalise (left), the edge over D (right)."""
    figure = Figure(figsize=(WIDTH, 2.7))
    axes = figure.subplots(1, 2)
    found, (trace, _) = generalises(p, data), laws_say(p)
    ratios = np.array(p.ratios)
    for color, D, runs, law in zip(
        shades(len(p.dimensions)), p.dimensions, found, trace, strict=True
    ):
        axes[0].plot(ratios, runs.mean(-1), "o", color=color, markersize=4, label=f"D = {D}")
        axes[0].plot(ratios, law.mean(-1), "-", color=color, linewidth=0.9)
    axes[0].axhline(0.5, color=BLACK, linewidth=0.4, linestyle=":")
    axes[0].set(xlabel="P/D", ylabel="share that generalises")
    axes[0].legend(loc="lower right")
    _edges(axes[1], p, found, trace)
    letter(axes[0], "a", "trained; lines: least trace")
    letter(axes[1], "b", "lower edge of the window")
    return figure


def _edges(ax: Axes, p: Parameters, found: np.ndarray, trace: np.ndarray) -> None:
    ax.plot(p.dimensions, _edges_of(p, found), "o", color=VERMILLION, markersize=4, label="trained")
    ax.plot(p.dimensions, _edges_of(p, trace), color=BLACK, linewidth=1.0, label="least trace")
    edges = [spike_edge(p, D) for D in p.spike_dimensions]
    ax.plot(p.spike_dimensions, edges, color=BLUE, linestyle="--", label="spike stands out")
    highest = np.nanmax([*edges, *_edges_of(p, found), *_edges_of(p, trace), 1.0])
    ax.set(xscale="log", xlabel="D", ylabel="P/D", ylim=(0, 1.1 * highest))
    ax.legend(loc="lower left")


def _edges_of(p: Parameters, shares: np.ndarray) -> list[float]:
    return [edge(np.array(p.ratios), one.mean(-1)) for one in shares]


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the edge is, and is not, related to."""
    found, (trace, spike) = generalises(p, data), laws_say(p)
    trained, least = _edges_of(p, found), _edges_of(p, trace)
    spiked = [spike_edge(p, D) for D in p.dimensions]
    return [
        Check(
            "least-trace",
            "a rich network begins to generalise where beta beta^T begins to be of least trace "
            "among all that fits",
            f"P/D = {_pairs(p, trained, least)}; the same of {(found == trace).sum()} of "
            f"{found.size} data sets",
            "edges within 0.5 of each other",
            all(abs(a - b) <= 0.5 for a, b in zip(trained, least, strict=True)),
            claim="law-lower-edge",
            judges="right form",
        ),
        Check(
            "spike-is-below",
            "that is above the P/D at which the spike of early growth stands out",
            f"P/D = {_pairs(p, trained, spiked)}",
            "for every D",
            all(a > b for a, b in zip(trained, spiked, strict=True)),
            claim="law-lower-edge",
            judges="right form",
        ),
        _spike_decides(found, spike),
        _spike_recedes(p),
    ]


def _pairs(p: Parameters, one: list[float], other: list[float]) -> str:
    edges = zip(one, other, p.dimensions, strict=True)
    return ", ".join(f"{a:.2f} against {b:.2f} at D = {D}" for a, b, D in edges)


def _spike_decides(found: np.ndarray, spike: np.ndarray) -> Check:
    hidden, idle = int((found & ~spike).sum()), int((~found & spike).sum())
    return Check(
        "spike-decides",
        "a network generalises exactly if the spike of its early growth stands out",
        f"{hidden} of {found.size} generalise without, {idle} don't with it",
        "none of either",
        hidden + idle == 0,
        expected=False,
        claim="law-lower-edge",
    )


def _spike_recedes(p: Parameters) -> Check:
    edges = [spike_edge(p, D) for D in p.spike_dimensions]
    return Check(
        "spike-recedes",
        "in many dimensions the spike needs ever more samples a dimension: y is unbounded",
        f"P/D = {min(edges):.2f} at least, {edges[-1]:.2f} at D = {p.spike_dimensions[-1]}",
        "the last above the least",
        edges[-1] > min(edges) + 0.2,
        claim="law-lower-edge",
        judges="right form",
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    count = data["runs"].sizes["cell"]
    return (
        "How many samples rich training needs. (a) Share of networks whose test loss falls below "
        "2/15 of that of predicting nothing (dots), and of data sets for which it does at the "
        "predictor u·x + xᵀQx/2 of least Tr Q, Q ≥ 0, that fits the training set (lines). (b) P/D "
        "at which half of them do; dashed: at which a feature stands out at first for half of "
        "them.\n\n"
        f"αε/|β|² = {p.features:g}, α/ε = {p.laziness:g}, infinite width, centred, gradient flow "
        f"to τ = {HORIZON:g} αD²/(ε|β|²), {p.seeds} data sets each, {count} networks. Dashed: by "
        "its law, an eigenvalue with an overlap with β stands out of the bulk of the matrix that "
        "features first grow along. This is a matter of the speed of early growth, not of its end."
    )
