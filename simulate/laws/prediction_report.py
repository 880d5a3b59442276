"""The report of ``simulate.forecast``: numbers by name, and as text."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lazyrich.simulate.laws.grokking import DIVERGES, Forecast
from lazyrich.simulate.laws.lazy import lazy_loss, peak, plateau
from lazyrich.simulate.laws.validated import (
    DECAY,
    FEATURES,
    FORECASTS,
    LAZY_LAWS,
    NEGATIVE,
    NOISE,
    RATE,
    Validated,
)
from lazyrich.simulate.outcome import AT_ONCE
from lazyrich.simulate.train import Plan
from lazyrich.simulate.training import Training

PLATEAU, LAZY = "test loss of linear least squares", "test loss of lazy training, at the end"
PEAK = "worst lazy test loss over P"
# What a reader is told of the numbers that aren't times.
MEANING = {
    PLATEAU: "the early plateau of the test loss at small epsilon",
    LAZY: "what the network would reach if its features never changed",
}


def report(found: Sequence[Forecast], plan: Plan, *, drawn: bool) -> dict[str, Any]:
    """Return all numbers of a prediction by name, as JSON holds them.

    The phase is that of most data sets, and the times are medians over the data sets of that phase:
    so the phase of the times is the phase said. Ranges are over all data sets.
    """
    training, task = plan.training, plan.training.task
    numbers = _numbers(training, found)
    phases = [one.phase for one in found]
    likely = max(phases, key=phases.count)
    trust = _trust(FORECASTS if training.network.epsilon >= 0 else NEGATIVE, numbers)
    unstable = sum(math.isfinite(one.unstable_from) for one in found)
    if unstable:
        trust["outside"].append(
            f"gradient descent becomes unstable on {unstable} of {len(found)} data sets and was "
            "not followed beyond"
        )
    quantities = {
        "phase": {"value": likely, "share": phases.count(likely) / len(phases)} | trust,
        **{name: times | trust for name, times in _times(found, likely).items()},
        PLATEAU: _spread([one.plateau for one in found]),
        LAZY: _spread([one.lazy_loss for one in found]),
    }
    if DIVERGES in phases:
        quantities["training diverges"] = _spread([one.diverges for one in found]) | trust
    quantities |= _lazy_laws(training, quantities)
    return {
        "what to do": " ".join(
            filter(None, (_rate_advice(found, numbers, training), _inputs_advice(training)))
        ),
        "D": task.D,
        "P": task.P,
        "N": numbers["N"],
        "target": task.formula(),
        "test loss": _test_loss(training),
        "|beta|^2": _plain(training),
        "steps": training.stops[-1],
        "alpha": training.network.alpha,
        "epsilon": training.network.epsilon,
        "centred": training.network.centred,
        **training.rule.numbers(),
        "numbers": numbers,
        "data sets drawn": len(found) if drawn else 0,
        "never": f"not within {min(one.horizon for one in found):.6g} steps",
        "quantities": quantities,
        "data sets": [{**asdict(one), "phase": one.phase} for one in found],
    }


def _inputs_advice(training: Training) -> str:
    """Return what to do about inputs that aren't of the size that the population loss assumes."""
    task = training.task
    if not task.has_population or task.mixing is not None:
        return ""
    if task.has_size():
        return ""
    size = task.size()
    return (
        f"Give X_test and y_test, or divide X by {size**0.5:.3g}: the mean of |x|^2 is {size:.3g} "
        "in X, and the test loss given is that over inputs with variance 1/D, where it is 1."
    )


def _rate_advice(
    found: Sequence[Forecast], numbers: dict[str, int | float], training: Training
) -> str:
    """Return how training that diverges is mended; empty where it doesn't."""
    number = [one.phase for one in found].count(DIVERGES)
    if not number:
        return ""
    rate, share = float(training.rule.learning_rate), numbers[RATE]
    where = f" on {number} of {len(found)} data sets" if len(found) > 1 else ""
    if share > 1 and rate / share == 0:
        return (
            f"At {rate:g} training diverges{where}, and so it does at every smaller learning rate "
            "that floating point holds."
        )
    if share > 1:
        return (
            f"Lower the learning rate below {rate / share:.3g}, the largest stable one at the "
            f"start: at {rate:g} training diverges{where}."
        )
    stable = ""
    if share > 0:
        stable = (
            f": it is stable at the start (up to {rate / share:.3g}), but the network becomes "
            "sharper as it trains"
        )
    return f"Lower the learning rate: at {rate:g} training diverges{where}{stable}."


def _numbers(training: Training, found: Sequence[Forecast]) -> dict[str, int | float]:
    """Return what the ranges of validity are about."""
    task, network, rule = training.task, training.network, training.rule
    size = float(task.y.square().mean()) ** 0.5
    alpha, epsilon, steps = network.alpha, abs(network.epsilon), training.stops[-1]
    decay = rule.speed * float(rule.weight_decay) / alpha**2 + float(rule.decoupled_weight_decay)
    return {
        "D": task.D,
        "P/D": task.P / task.D,
        "N": math.inf if network.W is None else network.W.shape[0],
        "alpha/epsilon": alpha / epsilon if epsilon else math.inf,
        FEATURES: alpha * epsilon / (task.D * size),
        RATE: float(np.median([one.rate_share for one in found])),
        "steps": steps,
        "momentum": float(rule.momentum),
        NOISE: task.noise / size,
        DECAY: decay * float(rule.learning_rate) * steps,
    }


def _trust(validated: Validated, numbers: dict[str, int | float]) -> dict[str, Any]:
    return {
        "reliability": validated.error,
        "tried for": validated.in_words(),
        "outside": validated.outside(numbers),
    }


def _test_loss(training: Training) -> str:
    task = training.task
    if task.has_population:
        return "over all inputs x, exact"
    return f"on {len(task.y_test)} test samples" if len(task.y_test) else "no test set given"


def _lazy_laws(training: Training, quantities: dict[str, Any]) -> dict[str, Any]:
    """Return the same with averages over data sets, where there are laws for them."""
    task, network, b = training.task, training.network, _plain(training)
    if b is None:
        return {}
    at = {"D": task.D, "P/D": task.P / task.D}
    trust = _trust(LAZY_LAWS, at)
    found = {PLATEAU: quantities[PLATEAU] | {"mean by law": plateau(task.D, task.P, b=b).test}}
    if network.W is None and network.centred and network.epsilon:
        sigma = float(network.start.square() / task.D) ** 0.5
        numbers = {"b": b, "sigma": sigma}
        law = lazy_loss(task.D, task.P, network.epsilon, **numbers).total
        P, height = peak(task.D, network.epsilon, **numbers)
        found[LAZY] = quantities[LAZY] | {"mean by law": law} | trust
        found[PEAK] = {"value": height, "P": P} | trust
    return found


def _plain(training: Training) -> float | None:
    """Return |beta|^2 where there are laws of averages: y = (beta.x)^2/2, x ~ N(0, I/D)."""
    task = training.task
    plain = task.goal is None and task.target_degree is None and task.beta.ndim == 1
    if not plain or not task.has_population or task.noise or task.mixing is not None:
        return None
    return float(task.beta @ task.beta)


def _times(found: Sequence[Forecast], likely: str) -> dict[str, dict[str, int | float]]:
    """Return when the losses fall, and the time between, on the data sets of the likely phase.

    >>> falls = ((1.0, 3.0), (1.5, 4.0), (6.0, 7.0))
    >>> found = [Forecast(*times, 9.0, 1.0, 1.0) for times in falls]
    >>> [times["value"] for times in _times(found, "groks").values()]
    [1.5, 4.0, 2.5]
    """
    of_phase = [one for one in found if one.phase == likely]
    times = {
        f"{side} loss falls": _spread([getattr(one, f"{side}_fall") for one in found])
        | {"value": _spread([getattr(one, f"{side}_fall") for one in of_phase])["value"]}
        for side in ("train", "test")
    }
    train, test = (quantity["value"] for quantity in times.values())
    delay = test - train if math.isfinite(train) else math.nan
    spread = _spread([one.outcome.delay for one in found])
    return times | {"time to grok": spread | {"value": delay}}


def _spread(values: list[int | float]) -> dict[str, int | float]:
    """Return the median, the least and the greatest; NaN where one is not known."""
    if any(map(math.isnan, values)):
        return {"value": math.nan}
    ordered = np.sort(values)
    middle = float(ordered[len(ordered) // 2])
    return {"value": middle, "least": float(ordered[0]), "greatest": float(ordered[-1])}


def finite_only(content: Any) -> Any:
    """Return the same with None in place of NaN and of infinite numbers, which JSON has not.

    >>> finite_only({"a": [1.0, math.inf]})
    {'a': [1.0, None]}
    """
    if isinstance(content, dict):
        return {key: finite_only(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite_only(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def text(found: dict[str, Any]) -> str:
    """Return the report as lines."""
    drawn, quantities = found["data sets drawn"], found["quantities"]
    what = "your data set"
    if drawn:
        what = "one data set"
        if drawn > 1:
            what = (
                f"{drawn} data sets drawn: median of those of the phase said [least, greatest of "
                "all]"
            )
    width = found["N"] if math.isfinite(found["N"]) else "infinite"
    todo = found["what to do"]
    lines = [todo, ""] if todo else []
    lines += [
        f"{found['target']}; D = {found['D']}, P = {found['P']}, width {width}, "
        f"{found['steps']} steps; {what}"
    ]
    late = "time to grok" if quantities["phase"]["value"] == AT_ONCE else None
    for name, quantity in quantities.items():
        label = "from the train loss to the test loss" if name == late else name
        lines.append(f"  {label + ':':40} {_value(name, quantity, drawn)}")
    lines += [
        f"  test loss: {found['test loss']}",
        "",
        f'"never": {found["never"]}. A loss "falls" at the step from which it stays below '
        "2/15 of the loss of predicting nothing.",
        *(f"{name[0].upper()}{name[1:]}: {meaning}." for name, meaning in MEANING.items()),
        "",
        *_reliability(quantities),
    ]
    return "\n".join(lines)


def _reliability(quantities: dict[str, Any]) -> list[str]:
    """Return how far to trust the numbers."""
    lines = ["How reliable:"]
    for title, name in (("Phase and times", "phase"), ("Averages over data sets", PEAK)):
        quantity = quantities.get(name)
        if quantity is None:
            continue
        lines.append(f"  {title}: {quantity['reliability']}.")
        if quantity["outside"]:
            lines.append(f"  OUTSIDE the validated range: {'; '.join(quantity['outside'])}.")
        else:
            lines.append("  Your network is within the validated range.")
    return lines


def _value(name: str, quantity: dict[str, Any], drawn: int) -> str:
    value = quantity["value"]
    if name == "phase":
        return value + (f" ({quantity['share']:.0%} of the data sets)" if drawn > 1 else "")
    if name == PEAK:
        return f"{value:.4g}, at P = {quantity['P']}" if quantity["P"] else "that of no samples"
    answer = _number(value, name)
    if drawn > 1 and "least" in quantity and quantity["least"] != quantity["greatest"]:
        ends = (_number(quantity[end], "") for end in ("least", "greatest"))
        answer += f" [{', '.join(end.removeprefix('step ') for end in ends)}]"
    if "mean by law" in quantity:
        answer += f"; average over data sets {_number(quantity['mean by law'], name)}"
    return answer


def _number(value: int | float, name: str) -> str:
    if name in (PLATEAU, LAZY):
        return "not computed" if math.isnan(value) else f"{value:.4g}"
    if math.isnan(value):
        return "none" if name == "time to grok" else "not known"
    if math.isinf(value):
        return "never"
    return f"{value:.4g} steps" if name == "time to grok" else f"step {value:.4g}"
