"""What is predicted for the run before it is trained, for the explorer's marks and levels."""

import math
from typing import Any

from lazyrich.explore import chart
from lazyrich.explore.formulas import described
from lazyrich.explore.watch import Watch
from lazyrich.simulate import PolynomialTask, forecast
from lazyrich.simulate.activations import Curved
from lazyrich.theory.problem.lazy_prediction import FAR, predict_lazy

_LOOKS = {"train": "train_loss", "test": "population_loss"}
_SHARED = ("alpha", "steps", "width", "learning_rate", "centred", "seed")


def none() -> dict[str, Any]:
    """Return what is shown before anything is predicted."""
    return {"marks": [], "levels": [], "facts": [], "notes": []}


def predicted(
    task: PolynomialTask, settings: dict[str, Any], phi: Any, watch: Watch
) -> dict[str, Any]:
    """Return ``marks``, ``levels``, ``facts`` and ``notes`` of ``simulate.forecast``.

    For an activation other than h + (epsilon/2) h^2, what lazy training reaches on average.
    """
    try:
        if isinstance(phi, Curved):
            return _falls(task, settings, phi.epsilon, watch)
        return _lazy(settings)
    except ValueError as error:
        return none() | {"notes": [f"No forecast: {error}"]}


def _falls(
    task: PolynomialTask, settings: dict[str, Any], epsilon: float, watch: Watch
) -> dict[str, Any]:
    given = {name: settings[name] for name in _SHARED}
    found = forecast(task, epsilon=epsilon, progress=watch, **given).forecasts[0]
    marks, outcome = [], found.outcome
    facts = [chart.fact("forecast_phase", "forecast: phase", found.phase, "phase")]
    for side, at in (("train", found.train_fall), ("test", found.test_fall)):
        label = f"forecast: {side} loss falls"
        marks.append(chart.mark(f"{side}_fall", label, at, _LOOKS[side]))
        facts.append(chart.fact(f"forecast_{side}_fall", label, outcome.when(side), "fallen"))
    notes = ["Forecasts are from the data set and the first weights; the network isn't trained."]
    if math.isfinite(found.diverges):
        notes.append(f"Gradient descent is forecast to diverge by step {found.diverges:.4g}.")
    plateau = chart.level("plateau", "forecast: plateau", found.plateau, "l1")
    return {"marks": marks, "levels": [plateau], "facts": facts, "notes": notes}


def _lazy(settings: dict[str, Any]) -> dict[str, Any]:
    problem = described(settings["activation"])
    symbols = {name: settings[name] for name in problem.activation.symbols}
    D, P, noise = (settings[name] for name in ("D", "P", "noise"))
    found = predict_lazy(problem, D, P, noise=noise, **symbols)
    plateau = chart.level("plateau", "plateau with many samples (mean)", found.plateau, "l1")
    loss = f"{found.curve[P]:.4g}" if P in found.curve else "not known"
    facts = [
        chart.fact("mean_lazy_loss", "forecast: mean lazy test loss", loss),
        chart.fact("mean_plateau", "forecast: plateau with many samples", f"{found.plateau:.4g}"),
    ]
    notes = ["With this activation, lazy training alone is forecast: a mean over data sets."]
    if P in found.unreliable:
        notes.append(f"The mean lazy test loss is not reliable: {FAR}")
    return {"marks": [], "levels": [plateau], "facts": facts, "notes": notes}
