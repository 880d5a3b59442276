"""``forecast``: will the network grok, and when, with how far to trust the answer."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from lazyrich.simulate import goals
from lazyrich.simulate.activations import EPSILON
from lazyrich.simulate.arrays import natural
from lazyrich.simulate.drawing import draw, embedded, saved
from lazyrich.simulate.engines import LONGEST
from lazyrich.simulate.laws.data_sets import task_of
from lazyrich.simulate.laws.endpoints import lazy_loss, plateau_loss
from lazyrich.simulate.laws.grokking import Forecast
from lazyrich.simulate.laws.outlook import outlook
from lazyrich.simulate.laws.prediction_report import finite_only, report, text
from lazyrich.simulate.network import moments_fit_memory
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.threads import threads
from lazyrich.simulate.train import STEPS, Plan, plan_of
from lazyrich.support.arguments import LARGEST, positive_integer, shown
from lazyrich.support.patience import told

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Forecast", "Prediction", "forecast"]

DRAWS, MOST_DRAWS = 5, 10_000


@dataclass(frozen=True)
class Prediction:
    """What is predicted for a network, from one data set or from several that were drawn.

    ``forecasts`` has one entry for each data set; ``report`` holds phase, times and ranges by name,
    and how far to trust them. Times are medians over the data sets of the phase said, so that phase
    and times agree. ``print(prediction)`` shows it; ``json()`` is text.
    """

    report: dict[str, Any]
    forecasts: tuple[Forecast, ...]

    @property
    def phase(self) -> str:
        """The phase of most data sets; see ``outcome.phase_of``."""
        return self.report["quantities"]["phase"]["value"]

    @property
    def train_fall(self) -> float:
        """The step from which the train loss has fallen; inf for not within the run."""
        return self.report["quantities"]["train loss falls"]["value"]

    @property
    def test_fall(self) -> float:
        """The step from which the test loss has fallen; inf for not within the run."""
        return self.report["quantities"]["test loss falls"]["value"]

    def json(self) -> str:
        """Return the report as JSON, with null for what is not a finite number."""
        return json.dumps(finite_only(self.report), indent=2)

    def __str__(self) -> str:
        return text(self.report)

    def __repr__(self) -> str:
        return f"<Prediction: {self}>"

    def _repr_html_(self) -> str:
        picture = embedded(self.plot(), "predicted times and lazy losses")
        return f"<pre>{escape(str(self))}</pre>{picture}"

    def plot(self, file: str | os.PathLike | None = None) -> "Figure":
        """Draw the predicted times, and the mean lazy test losses over the number of samples.

        ``file``: write the figure there as well, as .png, .pdf or .svg.
        """
        return saved(lambda: draw("forecast", self), file)


@checks_its_arguments
def forecast(
    data: object = None,
    *,
    D: int | None = None,
    P: int | None = None,
    alpha: float = 1.0,
    epsilon: float = EPSILON,
    steps: int = STEPS,
    width: int | float | None = None,
    learning_rate: float = 1.0,
    centred: bool = True,
    init: object = None,
    sigma: float = 1.0,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
    target: object = goals.DEFAULT,
    noise: float = 0.0,
    constants: Mapping[str, Any] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[float, float], Any] | None = None,
) -> Prediction:
    """Predict whether a network will grok within ``steps`` steps, and when, before training it.

    Use it in place of ``train`` where only that matters: it takes a small part of the time. All
    arguments from ``alpha`` to ``decoupled_weight_decay`` are those of ``train``, with the same
    defaults; gradient descent at this learning rate is predicted.

    - ``data``: a ``PolynomialTask``, or a mapping with X (P, D), and y (P,) or beta (D,), with
      X_test and y_test besides if there is a test set. Inputs of variance 1/D are expected; others
      are told, unless there is a test set. Without a test set and beta, the target
      (beta.x)^2/2 is fitted to the labels, and what is left of them counts as noise.
    - Without ``data``: ``D`` and ``P``. Then ``draws`` data sets are drawn, from ``seed`` on. The
      phase is that of most, times are medians over those, and ranges are over all. ``target``,
      ``noise`` and ``constants`` as in ``PolynomialTask``.
    - ``seed``: also that of the initial weights.
    - ``progress`` is called with (data sets done, data sets), in fractions too.

    Raises ``ValueError`` in one line for bad input.

    >>> task = PolynomialTask(D=20, P=100, seed=0)
    >>> found = forecast(task, alpha=4.0, epsilon=0.05)
    >>> found.phase, found.train_fall < found.test_fall
    ('groks', True)
    """
    network = {
        "alpha": alpha,
        "epsilon": epsilon,
        "steps": steps,
        "width": width,
        "learning_rate": learning_rate,
        "centred": centred,
        "init": init,
        "sigma": sigma,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "decoupled_weight_decay": decoupled_weight_decay,
    }
    law = {"target": target, "noise": noise, "constants": constants}
    first, count = natural("seed", seed), _draws(draws)
    if data is not None:
        _refuse_with_data(D=D, P=P, **{name: law[name] for name in law if _is_given(law[name])})
        tasks = [data if isinstance(data, PolynomialTask) else _read(data)]
    else:
        D, P = positive_integer("D", D), positive_integer("P", P)
        moments_fit_memory(D)
        if first + count - 1 > LARGEST:
            allowed = f"at most {LARGEST - count + 1}, as {count} data sets count on from it"
            raise ValueError(f"seed = {first}: must be {allowed}")
        tasks = (PolynomialTask(D, P, seed=first + i, **law) for i in range(count))
    found, plans, progress = [], [], told(progress, "the forecast")
    total = 1 if data is not None else count
    for i, task in enumerate(tasks):
        with threads(product=task.P**2 * task.D):  # the kernel of the training inputs
            one = _planned(task, network | {"seed": first + i})
            progress(i, total)
            found.append(_one(one, _part(progress, i, total)))
        plans = plans or [one]
    progress(total, total)
    return Prediction(report(found, plans[0], drawn=data is None), tuple(found))


def _draws(draws: int) -> int:
    count = positive_integer("draws", draws)
    if count > MOST_DRAWS:
        raise ValueError(f"draws = {count}: must be at most {MOST_DRAWS}")
    return count


def _refuse_with_data(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} = {shown(value)}: must be left out where data is given")


def _is_given(value: object) -> bool:
    """Whether it differs from the defaults of target, noise and constants."""
    return value is not None and not any(
        isinstance(value, type(default)) and value == default
        for default in (goals.DEFAULT, 0, 0.0, {}, False)
    )


def _read(data: object) -> PolynomialTask:
    if not isinstance(data, Mapping):
        raise ValueError(f"data is {type(data).__name__}: must be a task, or X with y or beta")
    return task_of(data)


def _planned(task: PolynomialTask, network: dict[str, Any]) -> Plan:
    """Return the checked run that is predicted: of gradient descent, step by step."""
    found = plan_of(task, engine="moments", alignment=None, **network)
    rate, steps = float(found.training.rule.learning_rate), found.training.stops[-1]
    if not rate * steps <= LONGEST:
        raise ValueError(
            f"learning_rate = {rate:g}, steps = {steps}: their product must be at most {LONGEST:g}"
        )
    if not bool(task.y.any()):
        raise ValueError("y is 0 everywhere: must have an entry other than 0")
    return found


def _part(progress: Callable[[float, float], Any], done: int, total: int) -> Callable[[float], Any]:
    return lambda share: progress(done + share, total)


def _one(planned: Plan, progress: Callable[[float], Any]) -> Forecast:
    training = planned.training
    found = outlook(training, progress=progress)
    task, outcome = training.task, found.outcome
    return Forecast(
        outcome.train_fall,
        outcome.test_fall,
        outcome.end,
        plateau_loss(task),
        lazy_loss(task, training.network),
        found.diverges,
        found.unstable_from,
        found.rate_share,
    )
