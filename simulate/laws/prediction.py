"""``forecast``: will the network grok, and when, with the range in which each number was validated.

The numbers come from the laws of this folder; nothing is trained.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from lazyrich.simulate import goals
from lazyrich.simulate.activations import EPSILON
from lazyrich.simulate.drawing import draw, embedded
from lazyrich.simulate.laws import grokking
from lazyrich.simulate.laws.grokking import DRAWS, Forecast, data_set, forecasts, middle
from lazyrich.simulate.laws.lazy import lazy_loss, peak, plateau
from lazyrich.simulate.laws.validated import FEATURES, LAWS, VALIDATED
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.task import PolynomialTask
from lazyrich.support.arguments import finite, positive_integer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Prediction", "forecast"]


@dataclass(frozen=True)
class Prediction:
    """What is predicted for a network, from one data set or from several that were drawn.

    ``forecasts`` has one entry for each data set; ``report`` holds the medians, ranges, laws and
    where they were validated, by name. ``print(prediction)`` shows it; ``json()`` is text.
    """

    report: dict[str, Any]
    forecasts: tuple[Forecast, ...]

    @property
    def phase(self) -> str:
        """The likeliest phase; see ``outcome.phase_of``."""
        return self.report["quantities"]["phase"]["value"]

    @property
    def train_fall(self) -> float:
        """The median step from which the train loss has fallen; inf for not within the horizon."""
        return self.report["quantities"]["train loss falls"]["value"]

    @property
    def test_fall(self) -> float:
        """The median step from which the test loss has fallen; inf for not within the horizon."""
        return self.report["quantities"]["test loss falls"]["value"]

    def json(self) -> str:
        """Return the report as JSON, with null for what is not a number."""
        return json.dumps(_finite(self.report), indent=2)

    def __str__(self) -> str:
        return _text(self.report)

    def __repr__(self) -> str:
        return f"<Prediction: {self}>"

    def _repr_html_(self) -> str:
        picture = embedded(self.plot(), "predicted times and lazy losses")
        return f"<pre>{escape(str(self))}</pre>{picture}"

    def plot(self) -> "Figure":
        """Draw the predicted times, and the mean test losses over the number of samples."""
        return draw("forecast", self)


@checks_its_arguments
def forecast(
    data: object = None,
    *,
    D: int | None = None,
    P: int | None = None,
    alpha: float = 1.0,
    epsilon: float = EPSILON,
    learning_rate: float = 1.0,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[float, float], Any] | None = None,
) -> Prediction:
    """Predict whether a wide network will grok, and when, before training it.

    ``data``: a ``PolynomialTask`` on (beta.x)^2/2, or a mapping with X (P, D), and y (P,) or beta
    (D,). Without it, ``D`` and ``P``: then ``draws`` data sets are drawn, from ``seed`` on, and
    medians and ranges are reported. For the centred predictor at infinite width.

    Raises ``ValueError`` in one line for bad input.

    >>> task = PolynomialTask(D=20, P=160, seed=0)
    >>> found = forecast(task, alpha=4.0, epsilon=0.05)
    >>> found.phase, found.train_fall < found.test_fall
    ('groks', True)
    """
    given = {"alpha": alpha, "epsilon": epsilon, "learning_rate": learning_rate}
    scales: dict[str, Any] = {name: finite(name, value) for name, value in given.items()}
    if data is not None:
        if D is not None or P is not None:
            raise ValueError("data, D, P: must be given either data, or D and P")
        X, beta = _arrays(data)
        one = grokking.forecast(X, beta, **scales)
        rows, inputs = X.shape
        report = _report([one], rows, inputs, float(beta @ beta), scales, drawn=False)
        return Prediction(report, (one,))
    sizes = positive_integer("D", D), positive_integer("P", P)
    many = forecasts(*sizes, draws=draws, seed=seed, progress=progress, **scales)
    report = _report(many, sizes[1], sizes[0], float(sizes[0]), scales, drawn=True)
    return Prediction(report, tuple(many))


def _arrays(data: object) -> tuple[Any, Any]:
    """Return inputs and beta."""
    if isinstance(data, PolynomialTask):
        plain = data.goal is None and data.target_degree is None and data.beta.ndim == 1
        if not plain or data.noise or data.mixing is not None or not data.has_population:
            raise ValueError(
                f"data: is predicted for y = {goals.DEFAULT} on x ~ N(0, I/D) without noise; this "
                f"task has {data.formula()}"
            )
        return data.X.numpy(), data.beta.numpy()
    if not isinstance(data, Mapping):
        raise ValueError(f"data is {type(data).__name__}: must be a task, or X with y or beta")
    unknown = set(data) - {"X", "y", "beta"}
    if unknown or "X" not in data:
        found = ", ".join(map(str, data)) or "nothing"
        raise ValueError(f"data has {found}: must have X, and y or beta")
    return data_set(**data)


def _report(
    many: list[Forecast], P: int, D: int, b: float, scales: dict[str, float], drawn: bool
) -> dict[str, Any]:
    """Return the numbers to print, as JSON holds them."""
    alpha, epsilon = scales["alpha"], scales["epsilon"]
    features, laziness = alpha * epsilon / b, alpha / epsilon
    numbers = {"D": D, "P/D": P / D, "alpha/epsilon": laziness, FEATURES: features}
    phases = [one.phase for one in many]
    likely = max(phases, key=phases.count)
    at, height = peak(D, epsilon, b=b)
    quantities = {
        "phase": {"value": likely, "share": phases.count(likely) / len(phases)},
        "train loss falls": _times([one.train_fall for one in many]),
        "test loss falls": _times([one.test_fall for one in many]),
        "early plateau, test loss": {
            **_spread([one.plateau for one in many]),
            "mean by law": plateau(D, P, b=b).test,
        },
        "final loss if fully lazy": {
            **_spread([one.lazy_loss for one in many]),
            "mean by law": lazy_loss(D, P, epsilon, b=b).total,
        },
        "peak of the lazy loss over P": {"value": height, "P": at},
    }
    for name, quantity in quantities.items():
        quantity |= _validity(name, numbers)
    return {
        "D": D,
        "P": P,
        "|beta|^2": b,
        **scales,
        FEATURES: features,
        "alpha/epsilon": laziness,
        "data sets drawn": len(many) if drawn else 0,
        "never": f"not within {many[0].horizon:.6g} steps",
        "quantities": quantities,
        "data sets": [{**asdict(one), "phase": one.phase} for one in many],
    }


def _times(values: list[float]) -> dict[str, float]:
    return dict(zip(("value", "least", "greatest"), middle(values), strict=True))


def _spread(values: list[float]) -> dict[str, float]:
    return _times(values) if not any(map(math.isnan, values)) else {"value": math.nan}


def _validity(name: str, numbers: Mapping[str, int | float]) -> dict[str, Any]:
    law = VALIDATED[LAWS[name]]
    return {
        "validated for": law.in_words(),
        "error there": law.error,
        "outside the validated range": law.outside(numbers),
    }


def _finite(content: Any) -> Any:
    """The same with null in place of NaN and of infinite numbers, which JSON has not."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _text(found: dict[str, Any]) -> str:
    drawn = found["data sets drawn"]
    what = "for this data set"
    if drawn:
        what = f"median [range] of {drawn} data sets drawn" if drawn > 1 else "for 1 data set drawn"
    lines = [
        f"D = {found['D']}, P = {found['P']}, alpha/epsilon = {found['alpha/epsilon']:.4g}, "
        f"alpha epsilon/|beta|^2 = {found['alpha epsilon/|beta|^2']:.4g}; {what}"
    ]
    notes: dict[str, list[str]] = {}
    for name, quantity in found["quantities"].items():
        lines.append(f"  {name + ':':30} {_value(name, quantity, drawn)}")
        outside = quantity["outside the validated range"]
        note = f"    validated for {quantity['validated for']}"
        note += f"\n    error there: {quantity['error there']}"
        note += f"\n    OUTSIDE the validated range in {', '.join(outside)}" if outside else ""
        notes.setdefault(note, []).append(name)
    lines += [
        "",
        f'"never" = {found["never"]}. A loss has "fallen" once it stays below 2/15 of the loss of '
        "predicting nothing.",
        "How far to trust it:",
    ]
    lines += [f"  {', '.join(names)}\n{note}" for note, names in notes.items()]
    return "\n".join(lines)


def _value(name: str, quantity: dict[str, Any], drawn: int) -> str:
    value = quantity["value"]
    if name == "phase":
        return value + (f" ({quantity['share']:.0%} of the data sets)" if drawn > 1 else "")
    if name.startswith("peak"):
        return f"{value:.4g} at P = {quantity['P']}" if quantity["P"] else "none"
    text = _number(value, name)
    if drawn > 1 and "least" in quantity:
        text += f" [{_number(quantity['least'], name)}, {_number(quantity['greatest'], name)}]"
    if "mean by law" in quantity:
        text += f"; mean over data sets by law {_number(quantity['mean by law'], name)}"
    return text


def _number(value: float, name: str) -> str:
    if name.endswith("falls"):
        return "never" if math.isinf(value) else f"step {value:.4g}"
    return "not computed" if math.isnan(value) else f"{value:.4g}"
