"""How long features take with infinitely many samples: the closed form against integration.

No networks: by symmetry two numbers are left of them, integrated to nine digits.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check
from lazyrich.paper_figures.experiments import population_flow
from lazyrich.plotting import BLACK, GREY, WIDTH, letter, shades
from lazyrich.simulate.experiment import Function
from lazyrich.simulate.laws import population
from lazyrich.simulate.runs import Runs
from lazyrich.theory import closed_form

SHARE = 0.5  # of the target along beta that is learned
AIM = 0.05


@dataclass(frozen=True)
class Parameters:
    """``count`` values of a = alpha epsilon/|beta|^2 between the ends, for each D."""

    dimensions: tuple[int, ...] = (1, 10, 100, 1000)
    ends: tuple[float, float] = (1e-3, 1e2)
    count: int = 41


PRESETS = {
    "tiny": Parameters(count=6),
    "quick": Parameters(count=16),
    "paper": Parameters(),
}


def _a(p: Parameters) -> np.ndarray:
    return np.geomspace(*p.ends, p.count)


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the integrations over D and a."""
    points = [{"D": D, "a": float(a), "share": SHARE} for D in p.dimensions for a in _a(p)]
    experiment = Function(population_flow.time_to_learn, population_flow.cost)
    return {"times": Runs(experiment, listed=points)}


def _exact(p: Parameters, data: dict[str, Dataset]) -> np.ndarray:
    """T of shape (dimensions, a)."""
    return data["times"]["T"].values.reshape(len(p.dimensions), p.count)


def _law(p: Parameters) -> np.ndarray:
    return np.array([[population.time_to_learn(D, a, SHARE) for a in _a(p)] for D in p.dimensions])


def slaved(a: np.ndarray) -> np.ndarray:
    """Return T in many dimensions, where the trace of the features follows the leading one.

    >>> round(float(slaved(np.array([1.0]))[0]), 6)
    0.274653
    """
    return closed_form("population-time").functions("numpy")["time_many_dimensions"](a=a, p=SHARE)


def picture(p: Parameters, data: dict[str, Dataset]) -> Figure:
    """Return the times over a (left), and both laws over the exact time (right)."""
    figure = Figure(figsize=(WIDTH, 2.5))
    left, right = figure.subplots(1, 2)
    a, exact, law = _a(p), _exact(p, data), _law(p)
    left.plot(a, slaved(a), color=BLACK, linestyle=(0, (4, 2)), label="trace slaved")
    right.axhspan(1 - AIM, 1 + AIM, color=GREY, alpha=0.2, linewidth=0)
    looks = zip(p.dimensions, shades(len(p.dimensions)), "os^D", exact, law, strict=False)
    for D, color, marker, true, predicted in looks:
        left.plot(a, predicted, color=color)
        left.plot(a, true, marker, color=color, markersize=2.5, label=f"D = {D}")
        right.plot(a, predicted / true, marker + "-", color=color, markersize=2.5)
        right.plot(a, slaved(a) / true, color=color, linestyle=(0, (4, 2)), linewidth=0.8)
    left.set(xscale="log", yscale="log", xlabel="a = αε/|β|²", ylabel="T until half is learned")
    right.set(xscale="log", xlabel="a = αε/|β|²", ylabel="law over exact T", ylim=(0.9, 1.6))
    left.legend(loc="lower left")
    letter(left, "a")
    letter(right, "b")
    return figure


def claims(p: Parameters, data: dict[str, Dataset]) -> list[Check]:
    """Return what the laws say, held against the integrations."""
    exact, law = _exact(p, data), _law(p)
    errors = abs(law / exact - 1).max(1)
    worst = dict(zip(p.dimensions, errors, strict=True))
    simple = abs(slaved(_a(p)) / exact - 1)
    many = np.array([[D >= 100 and D * a >= 5 for a in _a(p)] for D in p.dimensions])
    return [
        Check(
            "one-formula",
            "one closed form gives the time for every D and a",
            ", ".join(f"{100 * e:.1f}% at D = {D}" for D, e in worst.items()),
            f"within {100 * AIM:.0f}% everywhere",
            bool((errors < AIM).all()),
            claim="law-population-time-any-D",
        ),
        Check(
            "slaved-everywhere",
            "log(2 + 1/a)/(1 + a) is the time for every D and a",
            f"up to {100 * simple.max():.0f}% off",
            f"within {100 * AIM:.0f}% everywhere",
            bool((simple < AIM).all()),
            expected=False,
            claim="law-population-time",
            judges="without assumption",
        ),
        Check(
            "slaved-where-many",
            "log(2 + 1/a)/(1 + a) is the time for D ≥ 100 and Da ≥ 5",
            f"within {100 * simple[many].max():.1f}%",
            f"within {100 * AIM:.0f}%",
            bool((simple[many] < AIM).all()),
            claim="law-population-time",
        ),
        Check(
            "exact-in-one-dimension",
            "the closed form is exact at D = 1",
            f"within {worst[1]:.1e}",
            "within 1e-5",
            bool(worst[1] < 1e-5),
            claim="law-population-time-any-D",
        ),
    ]


def caption(p: Parameters, data: dict[str, Dataset]) -> str:
    """Return what is shown; then, after an empty line, the settings and what was chosen."""
    del data
    return (
        "Infinitely many samples, infinite width, centred predictor, gradient flow: the time "
        "T = 2ε|β|²τ/(αD²) at which the residual along β is half of what it was (the misalignment "
        f"a quarter), over a = αε/|β|² from {p.ends[0]:g} to {p.ends[1]:g}. (a) Dots: integration "
        "of the two numbers that symmetry leaves; lines: the closed form population-time; dashed: "
        "its limit of a slaved trace, log(2 + 1/a)/(2(1 + a)). (b) Both over the integration; "
        f"shaded: within {100 * AIM:.0f}%."
    )
