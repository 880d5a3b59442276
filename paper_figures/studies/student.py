"""A student of a teacher network in accuracy and loss: the runs of Figures 8, 17 and 18."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from xarray import DataArray, Dataset

from lazyrich.paper_figures.experiments import student_and_teacher
from lazyrich.paper_figures.runs import device, of_fit
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

LEVEL = 0.5  # an accuracy is reached where this part of the outputs is within the threshold
LAZINESS = 1.0  # of the run of Liu et al.


@dataclass(frozen=True)
class Parameters:
    """A student at each alpha, and ``seeds`` new teachers, students and inputs."""

    P: int = 100
    n_test: int = 100
    alphas: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 1.0, 3.0)
    threshold: float = 1e-3
    thresholds: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 3e-2, 0.1)
    learning_rate: float = 3e-4
    weight_decay: float = 0.05
    steps: int = 100_000
    seeds: int = 5
    device: str = "auto"


_SHORT: dict[str, Any] = {
    "threshold": 1e-2,
    "thresholds": (3e-3, 1e-2, 3e-2, 0.1),
    "learning_rate": 1e-3,
    "device": "cpu",
}
PRESETS = {
    "tiny": Parameters(alphas=(0.1, 1.0), steps=400, seeds=2, **_SHORT),
    "quick": Parameters(alphas=(0.1, 0.5, 1.0, 3.0), steps=10_000, seeds=3, **_SHORT),
    "paper": Parameters(),
}


def settings(p: Parameters) -> dict[str, Any]:
    """Return what all runs have in common."""
    names = ("P", "n_test", "steps")
    fixed: dict[str, Any] = {name: getattr(p, name) for name in names}
    return fixed | {"thresholds": list(p.thresholds), "device": device(p.device)}


def published(p: Parameters, alphas: tuple[float, ...]) -> Runs:
    """Return the runs at one rate and decay for all alphas."""
    fixed = {"learning_rate": p.learning_rate, "weight_decay": p.weight_decay}
    return Runs(of_fit(student_and_teacher), {"alpha": list(alphas)}, settings(p) | fixed, p.seeds)


def at_one(p: Parameters) -> dict[str, Runs]:
    """Return the runs at alpha = 1 alone."""
    return {"runs": published(p, (LAZINESS,))}


def student(data: dict[str, Dataset]) -> Dataset:
    """Return the runs of the student at alpha = 1, over seeds."""
    return data["runs"].sel(alpha=LAZINESS)


def reached(runs: Dataset, side: str) -> DataArray:
    """Return the step from which the accuracy stays at ``LEVEL`` or above; inf if not at the end.

    >>> runs = Dataset({"test_accuracy": ("step", [0.0, 0.2, 0.8])}, {"step": [0, 10, 20]})
    >>> 10 < float(reached(runs, "test")) < 20
    True
    """
    return settled((1 - runs[f"{side}_accuracy"]).clip(1e-3), 1 - LEVEL + 1e-9)


def lateness(runs: Dataset) -> DataArray:
    """Return how many times later the test accuracy is reached than the train accuracy.

    Infinite where it is not reached within the run, NaN where the train accuracy is not.
    """
    train, test = reached(runs, "train"), reached(runs, "test")
    return (test / train).where(np.isfinite(train))
