"""How reliable ``simulate.forecast`` is: against gradient descent, step by step.

A small version of benchmarks/forecast.py, with draws of its own for each seed.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from lazyrich.simulate import DivergenceError, PolynomialTask, forecast, train
from lazyrich.simulate.record import default_grid
from lazyrich.verify.evidence import evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.statistics import mostly

_STEPS, _WITHIN = 1200, 0.1


def _drawn(seed: int) -> tuple[PolynomialTask, dict[str, Any]]:
    """A network with momentum and noisy labels; half of them with decay."""
    rng = np.random.default_rng([16, seed])

    def between(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    D = int(rng.integers(6, 13))
    task = PolynomialTask(D, math.ceil(D * between(1, 10)), seed=seed, noise=between(0.02, 0.5))
    laziness, features = between(0.3, 100), D * between(1e-3, 0.5)
    epsilon, momentum = math.sqrt(features / laziness), float(rng.uniform(0.3, 0.9))
    network = {
        "alpha": math.sqrt(features * laziness),
        "epsilon": epsilon,
        "width": math.inf if rng.random() < 0.3 else round(between(10, 200)),
        "centred": bool(rng.random() < 0.6),
        "momentum": momentum,
        "learning_rate": between(0.05, 0.3) / (1 + epsilon**2),
        "decoupled_weight_decay": between(1e-5, 1e-3) if rng.random() < 0.5 else 0.0,
    }
    return task, network | {"seed": seed, "steps": _STEPS}


def _near(said: float, seen: float) -> bool:
    """Within 10% or a step, "not within the run" being its end or later."""
    if math.isinf(said) or math.isinf(seen):
        return min(said, seen) > _STEPS / (1 + _WITHIN)
    return abs(said - seen) <= max(_WITHIN * seen, 1)


@cache
def _seen(seed: int) -> tuple[float, float] | None:
    """When the losses fall under descent; None where it diverges."""
    task, network = _drawn(seed)
    grid = default_grid(_STEPS, 40)
    try:
        run = train(task, engine="moments", alignment=None, record=grid, **network)
    except DivergenceError:
        return None
    outcome = run.outcome()
    return outcome.train_fall, outcome.test_fall


def _right(seed: int, told: Mapping[str, Any]) -> bool:
    task, network = _drawn(seed)
    (said,) = forecast(task, **(network | dict(told))).forecasts
    seen, diverges = _seen(seed), math.isfinite(said.diverges)
    if seen is None or diverges:
        return seen is None and diverges
    return _near(said.train_fall, seen[0]) and _near(said.test_fall, seen[1])


@evidence(
    "law-forecast",
    "measured",
    "random networks of D from 6 to 12 with momentum and noise, some with decay: right "
    "with probability 0.99, not 0.9; forecasts that leave momentum out are not",
    control={"told": {"momentum": 0.0}},
)
def forecasts(budget: Budget, told: Mapping[str, Any] | None = None) -> str:
    def sample(first: int, count: int) -> np.ndarray:
        return np.array([_right(seed, told or {}) for seed in range(first, first + count)])

    return mostly("both falls are within 10%", sample, budget.seed, share=0.99, against=0.9)
