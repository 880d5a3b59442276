"""What is predicted for the run before it is trained, for the explorer's marks and levels."""

import math
from typing import Any

from lazyrich.explore import chart
from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.activations import Curved
from lazyrich.simulate.laws import grokking
from lazyrich.simulate.laws.own_problem import predict_lazy
from lazyrich.theory import Problem

_WORDS = {"train": "train_loss", "test": "population_loss"}


def predicted(task: PolynomialTask, settings: dict[str, Any], phi: Any) -> dict[str, Any]:
    """Return ``marks``, ``levels``, ``facts`` and ``notes``: by the rich laws where they apply.

    Those are of the centred predictor with the quadratic activation and no noise. For the rest,
    what lazy training reaches on average.
    """
    reason = _no_rich_law(settings, phi)
    if reason is None:
        return _rich(task, settings, phi.epsilon)
    try:
        return _lazy(settings, reason)
    except ValueError as error:
        return {"marks": [], "levels": [], "facts": [], "notes": [f"No forecast: {error}"]}


def _no_rich_law(settings: dict[str, Any], phi: Any) -> str | None:
    if not isinstance(phi, Curved):
        return "the activation is not h + (epsilon/2) h^2"
    if settings["noise"] > 0:
        return "the labels are noisy"
    if not settings["centred"]:
        return "the predictor is not centred"
    if settings["alpha"] * phi.epsilon <= 0:
        return "alpha epsilon is not above 0"
    return None


def _rich(task: PolynomialTask, settings: dict[str, Any], epsilon: float) -> dict[str, Any]:
    rate = settings["learning_rate"]
    scales = {"alpha": settings["alpha"], "epsilon": epsilon, "learning_rate": rate}
    found = grokking.forecast(task.X, task.beta, **scales)
    falls = {"train": found.train_fall, "test": found.test_fall}
    marks = [
        chart.mark(f"{side}_fall", f"forecast: {side} loss falls", at, _WORDS[side])
        for side, at in falls.items()
    ]
    facts = [chart.fact("forecast_phase", "forecast: phase", found.phase, "phase")]
    for side, at in falls.items():
        value = f"step {at:.4g}" if math.isfinite(at) else f"not within {found.horizon:.3g} steps"
        facts.append(
            chart.fact(f"forecast_{side}_fall", f"forecast: {side} loss falls", value, "fallen")
        )
    notes = ["Forecasts are from this data set alone, for infinite width; nothing is trained."]
    plateau = chart.level("plateau", "forecast: plateau", found.plateau, "l1")
    return {"marks": marks, "levels": [plateau], "facts": facts, "notes": notes}


def _lazy(settings: dict[str, Any], reason: str) -> dict[str, Any]:
    problem = Problem(activation=settings["activation"])
    symbols = {n: settings[n] for n in problem.activation.symbols}
    D, P, noise = (settings[name] for name in ("D", "P", "noise"))
    found = predict_lazy(problem, D, P, noise=noise, **symbols)
    plateau = chart.level("plateau", "plateau with many samples (mean)", found.plateau, "l1")
    facts = [
        chart.fact("mean_lazy_loss", "forecast: mean lazy test loss", f"{found.curve[P]:.4g}"),
        chart.fact("mean_plateau", "forecast: plateau with many samples", f"{found.plateau:.4g}"),
    ]
    notes = [f"Forecast of lazy training only, a mean over data sets, since {reason}."]
    return {"marks": [], "levels": [plateau], "facts": facts, "notes": notes}
