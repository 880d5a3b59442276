"""Modular addition in a two-layer perceptron of squares: the runs of Figures 2 and 16."""

from dataclasses import dataclass

import numpy as np
from xarray import DataArray, Dataset

from lazyrich.paper_figures.experiments import modular_perceptron
from lazyrich.paper_figures.runs import device, of_fit
from lazyrich.simulate.outcome import settled
from lazyrich.simulate.runs import Runs

# Classified: this part of the samples. Learnt: half the loss of predicting nothing, 1/p.
CLASSIFIED, LEARNT = 0.95, 0.5
LAZINESS = 1.0  # of panels (a) and (b)


@dataclass(frozen=True)
class Parameters:
    """A network of ``width`` squares at each alpha, and ``seeds`` new splits and weights."""

    p: int = 23
    width: int = 100
    fraction: float = 0.9
    alphas: tuple[float, ...] = (0.25, 1.0, 2.25, 4.0)
    learning_rate: float = 100.0
    steps: int = 100_000
    seeds: int = 5
    device: str = "auto"


PRESETS = {
    "tiny": Parameters(p=17, width=64, alphas=(1.0, 2.25), steps=4000, seeds=1, device="cpu"),
    "quick": Parameters(alphas=(0.25, 1.0, 2.25), steps=10_000, seeds=3, device="cpu"),
    "paper": Parameters(),
}


def sweeps(p: Parameters) -> dict[str, Runs]:
    """Return the runs."""
    names = ("p", "width", "fraction", "learning_rate", "steps")
    fixed = {name: getattr(p, name) for name in names} | {"device": device(p.device)}
    return {"runs": Runs(of_fit(modular_perceptron), {"alpha": list(p.alphas)}, fixed, p.seeds)}


def base(data: dict[str, Dataset]) -> Dataset:
    """Return the runs of panels (a) and (b), over seeds."""
    return data["runs"].sel(alpha=LAZINESS)


def accuracy_times(runs: Dataset, side: str, level: float = CLASSIFIED) -> DataArray:
    """Return the step from which this part of the samples is classified; inf if not at the end.

    >>> runs = Dataset({"test_accuracy": ("step", [0.0, 0.5, 1.0])}, {"step": [0, 10, 20]})
    >>> 10 < float(accuracy_times(runs, "test")) <= 20
    True
    """
    # One sample in a thousand stands for no error at all, which has no logarithm.
    return settled((1 - runs[f"{side}_accuracy"]).clip(1e-3), 1 - level + 1e-9)


def loss_times(p: Parameters, runs: Dataset, side: str) -> DataArray:
    """Return the step from which the loss stays below half that of predicting nothing."""
    return settled(runs[f"{side}_loss"], LEARNT / p.p)


def delays(train: DataArray, test: DataArray) -> DataArray:
    """Return test less train; infinite where the test set is not learnt within the run."""
    return (test - train).where(np.isfinite(train))
