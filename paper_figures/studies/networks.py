"""Networks in the two numbers that determine rich training, as runs and as forecasts.

The flow is run in steps of any length: the learning rate only says where it is recorded.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from xarray import Dataset

from lazyrich.simulate.laws.grokking import Forecast, forecast
from lazyrich.simulate.outcome import time_to_grok
from lazyrich.simulate.task import PolynomialTask

# Of every run, recorded on a log-spaced grid.
STEPS = 100_000


@dataclass(frozen=True)
class Network:
    """An infinitely wide network, centred, on the data set of ``seed``, |beta|^2 = D.

    ``features`` is alpha epsilon/|beta|^2, ``laziness`` alpha/epsilon; its run ends at
    T = epsilon tau/alpha = ``end`` D^2/|beta|^2.
    """

    seed: int
    D: int
    P: int
    features: float
    laziness: float
    end: float

    @property
    def s(self) -> float:
        """Return alpha epsilon."""
        return self.features * self.D

    @property
    def scales(self) -> dict[str, float]:
        """Return alpha and epsilon."""
        return {
            "alpha": math.sqrt(self.s * self.laziness),
            "epsilon": math.sqrt(self.s / self.laziness),
        }

    @property
    def learning_rate(self) -> float:
        """Return the eta_0 at which STEPS steps reach the end."""
        return self.end * self.D * self.laziness / STEPS

    @property
    def task(self) -> PolynomialTask:
        """The data set that it is trained on."""
        return PolynomialTask(self.D, self.P, n_test=1, seed=self.seed)

    def cell(self) -> dict:
        """Return its run, as of ``simulate.sweep``."""
        return {
            **self.scales,
            "D": self.D,
            "P": self.P,
            "task_seed": self.seed,
            "n_test": 1,
            "width": math.inf,
            "centred": True,
            "engine": "flow",
            "alignment": None,
            "steps": STEPS,
            "learning_rate": self.learning_rate,
        }


def falls(runs: Dataset) -> np.ndarray:
    """Return the steps at which train and population loss fall, (runs, 2); inf: not within the run.

    See ``outcome.time_to_grok``.
    """
    found = time_to_grok(runs)
    return np.array([found.train.values, found.test.values]).T


@lru_cache(maxsize=2048)
def predicted(network: Network) -> Forecast:
    """Return the forecast from the data set, in steps of the run."""
    task = network.task
    return forecast(task.X, task.beta, learning_rate=network.learning_rate, **network.scales)
