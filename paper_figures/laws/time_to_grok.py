"""Time to grok: predicted from the data set before training, against gradient flow.

Networks are drawn over the whole range of the law: D, P/D, alpha/epsilon and alpha epsilon/|beta|^2
log-uniform, each with a data set of its own. The forecast is that of ``simulate.predict``: the
limit epsilon/alpha -> 0, one solution for all alpha at the same alpha epsilon.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check
from lazyrich.paper_figures.studies.networks import STEPS, Network, falls, predicted
from lazyrich.plotting import BLUE, VERMILLION, WIDTH, letter
from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.laws.rich_flow import rich_curve
from lazyrich.simulate.runs import Runs

# Runs end at this T, in units of D^2/|beta|^2.
END = 30.0
# The aim of the law, as a relative error; the quantiles of it that are reported.
AIM, QUANTILES = 0.25, (0.5, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Parameters:
    """``networks`` drawn from these ranges."""

    networks: int = 120
    dimensions: tuple[int, ...] = (20, 30, 40)
    samples: tuple[float, float] = (4.0, 50.0)  # P/D
    laziness: tuple[float, float] = (3.0, 300.0)  # alpha/epsilon
    features: tuple[float, float] = (1e-4, 1e-1)  # alpha epsilon/|beta|^2
    seed: int = 0


PRESETS = {
    "tiny": Parameters(networks=10, dimensions=(10, 14), samples=(5.0, 20.0)),
    "quick": Parameters(networks=48, dimensions=(16, 20, 24)),
    "paper": Parameters(),
}


def networks(p: Parameters) -> list[Network]:
    """Return the networks, the same every time."""
    rng, found = np.random.default_rng(p.seed), []
    for seed in range(p.networks):
        ratio, laziness, features = (
            float(np.exp(rng.uniform(*np.log(ends))))
            for ends in (p.samples, p.laziness, p.features)
        )
        D = int(rng.choice(p.dimensions))
        found.append(Network(seed, D, round(D * ratio), features, laziness, END))
    return found


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs: all networks."""
    return {"runs": Runs(NETWORK, listed=[network.cell() for network in networks(p)])}


@lru_cache(maxsize=256)
def spike_alone(network: Network) -> tuple[float, float]:
    """Return the times, in steps, where only the leading column turns: the cheapest forecast."""
    task = network.task
    curve = rich_curve(task.X.numpy(), task.beta.numpy(), network.s, free=1, horizon=END)
    unit = network.laziness / network.learning_rate
    return curve.train_fall * unit, curve.test_fall * unit


def times(p: Parameters, data: dict[str, Dataset]) -> dict[str, np.ndarray]:
    """Return measured, predicted and spike-alone times, each (networks, 2): train and test fall.

    In units of the run, which ends at 1; inf for not within it.
    """
    law = np.array([(f.train_fall, f.test_fall) for f in map(predicted, networks(p))])
    spike = np.array([spike_alone(network) for network in networks(p)])
    law[law > STEPS], spike[spike > STEPS] = np.inf, np.inf
    return {"measured": falls(data["runs"]) / STEPS, "law": law / STEPS, "spike": spike / STEPS}


def tau(p: Parameters, share: np.ndarray) -> np.ndarray:
    """Return tau = eta0 step of shares of the run, (networks, 2)."""
    return share * np.array([[END * n.D * n.laziness] for n in networks(p)])


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return predicted against measured times: the law (left), the spike alone (right)."""
    figure = Figure(figsize=(WIDTH, 2.9))
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    found = times(p, data)
    _diagonal(axes[0], p, found["measured"], found["law"])
    _diagonal(axes[1], p, found["measured"], found["spike"])
    letter(axes[0], "a", "the limit ε/α → 0")
    letter(axes[1], "b", "one free column of D")
    axes[0].set_ylabel("predicted τ")
    axes[0].legend(loc="upper left")
    return figure


def _diagonal(ax: Axes, p: Parameters, measured: np.ndarray, law: np.ndarray) -> None:
    for k, (name, color, marker) in enumerate(
        (("train loss falls", BLUE, "o"), ("test loss falls", VERMILLION, "^"))
    ):
        x, y = tau(p, measured)[:, k], tau(p, law)[:, k]
        ax.plot(x, y, marker, color=color, markersize=3, markerfacecolor="none", label=name)
    found = tau(p, measured)[np.isfinite(measured)]
    ends = np.array([found.min() / 1.5, found.max() * 1.5])
    ax.plot(ends, ends, color="black", linewidth=0.7)
    ax.fill_between(ends, ends * (1 - AIM), ends * (1 + AIM), color="black", alpha=0.12, lw=0)
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured τ", aspect="equal")


def errors(measured: np.ndarray, law: np.ndarray) -> np.ndarray:
    """Return the relative errors of the times that both have, (n,)."""
    both = np.isfinite(measured) & np.isfinite(law)
    return (law / measured - 1)[both]


def _within(name: str, sentence: str, measured: np.ndarray, law: np.ndarray) -> Check:
    error = np.abs(errors(measured, law))
    one_only = int((np.isfinite(measured) != np.isfinite(law)).sum())
    share = float((error < AIM).mean()) if error.size else 0.0
    found = np.quantile(error, QUANTILES) if error.size else ()
    quantiles = ", ".join(f"{100 * q:.2g}%" for q in found)
    return Check(
        name,
        sentence,
        f"relative errors of {error.size} networks, at 50%, 90%, 95% and all of them: "
        f"{quantiles or 'none'}; {one_only} of {measured.size} fall within the run by one only",
        f"95% within {100 * AIM:g}%, and at most 5% within the run by one only",
        share >= 0.95 and one_only <= 0.05 * measured.size,
        claim="law-time-to-grok",
    )


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return the checks of the forecast, of the spike alone, and of the range they cover."""
    found, easy = times(p, data), _easy(p)
    return [
        *(
            _within(
                f"{name}-fall",
                f"the fall of the {name} loss is predicted from the data set",
                found["measured"][:, k],
                found["law"][:, k],
            )
            for k, name in enumerate(("train", "test"))
        ),
        _within(
            "spike-alone",
            "for P/D >= 8 and alpha epsilon D^2/(|beta|^2 P) < 0.03 one free column predicts both",
            found["measured"][easy],
            found["spike"][easy],
        ),
        _decades(tau(p, found["measured"])[:, 1]),
    ]


def _easy(p: Parameters) -> np.ndarray:
    """Return where the spike alone should do: P/D >= 8, and no lazy fit in the time it takes."""
    return np.array([n.P >= 8 * n.D and n.features * n.D**2 / n.P < 0.03 for n in networks(p)])


def _decades(test: np.ndarray) -> Check:
    fallen = test[np.isfinite(test)]
    span = float(np.log10(fallen.max() / fallen.min())) if fallen.size else 0.0
    return Check(
        "decades",
        "the test falls that were measured span decades",
        f"{span:.1f} decades, {fallen.size} networks",
        "2 at least",
        span >= 2,
    )


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    found = times(p, data)
    never = int((~np.isfinite(found["measured"][:, 1])).sum())
    return (
        f"When the train and the test loss of {p.networks} networks fall: measured by gradient "
        "flow, and predicted from the data set alone, before training. (a) By the limit ε/α → 0, "
        "a flow in αε alone. (b) By the same where one column of F, the spike, moves freely and "
        "the others only grow: it fails for few samples and large αε. Line: equality; grey: "
        f"{100 * AIM:g}%.\n\n"
        "A loss has fallen when it stays below 2/15 of the loss of predicting nothing. Infinite "
        f"width, centred; D from {min(p.dimensions)} to {max(p.dimensions)}, P/D from "
        f"{p.samples[0]:g} to {p.samples[1]:g}, α/ε from {p.laziness[0]:g} to {p.laziness[1]:g}, "
        f"αε/|β|² from {p.features[0]:g} to {p.features[1]:g}, log-uniform; τ = η0 × steps. "
        f"{never} test losses do not fall within the run and are not shown."
    )
