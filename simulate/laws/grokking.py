"""When training falls in the limit epsilon/alpha -> 0, from the data set alone.

Nothing is trained: the times are those of ``rich_flow``, one cheap solution for all networks of the
same alpha epsilon, in units of tau = alpha/epsilon. Where least squares alone fits the training set
(P up to about D), the train loss falls with the linearised network. ``simulate.forecast`` holds
beyond the limit too.
"""

import math
from dataclasses import dataclass

import numpy as np

from lazyrich.simulate.laws.endpoints import lazy_loss, plateau_loss
from lazyrich.simulate.laws.rich_flow import HORIZON, rich_curve
from lazyrich.simulate.laws.spike import root
from lazyrich.simulate.network import Network
from lazyrich.simulate.outcome import SHARE, Outcome
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.task import PolynomialTask
from lazyrich.support.arguments import finite

DIVERGES, NOT_KNOWN = "diverges", "not known"


@dataclass(frozen=True)
class Forecast:
    """What is predicted for training on one data set.

    ``train_fall`` and ``test_fall``: the steps from which the losses have fallen (see ``outcome``),
    ``inf`` for not within ``horizon`` steps. ``plateau``: the test loss of least squares of y on x.
    ``lazy_loss``: that of the linearised network at the end, NaN where it was not computed.
    ``diverges``: the step from which the train loss grows without bound, ``unstable_from``: that
    from which gradient descent is unstable and was not followed, both ``inf`` for never.
    ``rate_share``: the learning rate over the largest stable one at the start.
    """

    train_fall: float
    test_fall: float
    horizon: float
    plateau: float
    lazy_loss: float
    diverges: float = math.inf
    unstable_from: float = math.inf
    rate_share: float = math.nan

    @property
    def outcome(self) -> Outcome:
        """The outcome, as for a run that ends at the horizon."""
        return Outcome(self.train_fall, self.test_fall, self.horizon)

    @property
    def phase(self) -> str:
        """The phase of the outcome (see ``outcome.phase_of``), "diverges", or "not known".

        It is not known where there is no test loss.
        """
        if math.isfinite(self.diverges):
            return DIVERGES
        return NOT_KNOWN if math.isnan(self.test_fall) else self.outcome.phase


@checks_its_arguments
def forecast(
    X: object, beta: object, *, alpha: float, epsilon: float, learning_rate: float = 1.0
) -> Forecast:
    """Predict centred training, at infinite width, on y = (beta.x)^2/2 at these inputs (P, D).

    In the limit epsilon/alpha -> 0 and by gradient flow; ``simulate.forecast`` is not so limited.
    Test losses are over x ~ N(0, I/D). Raises ``ValueError`` for bad input, and where
    alpha epsilon <= 0: no such network fits a positive quadratic target.

    >>> task = PolynomialTask(D=20, P=100, seed=0)
    >>> found = forecast(task.X, task.beta, alpha=4.0, epsilon=0.05)
    >>> found.phase, found.train_fall < found.test_fall < found.horizon
    ('groks', True)
    """
    task = PolynomialTask.from_arrays(X=X, beta=beta)
    s, laziness = _scales(alpha, epsilon)
    rate = finite("learning_rate", learning_rate, positive=True)
    b = float(task.beta @ task.beta)
    if b == 0:
        raise ValueError("beta is 0: must have an entry other than 0")
    inputs, target = task.X.numpy(), task.beta.numpy()
    curve, unit = rich_curve(inputs, target, s), laziness / rate
    train = curve.train_fall * unit
    if train == 0:
        train = _linear_fall(inputs, task.y.numpy(), epsilon) / rate
    test = max(curve.test_fall * unit, train)
    horizon = HORIZON * task.D**2 / b * unit
    network = Network.checked(task.D, {"alpha": alpha, "epsilon": epsilon, "width": math.inf})
    return Forecast(train, test, horizon, plateau_loss(task), lazy_loss(task, network))


def _scales(alpha: float, epsilon: float) -> tuple[float, float]:
    """The two numbers alpha epsilon and alpha/epsilon."""
    alpha, epsilon = finite("alpha", alpha, nonzero=True), finite("epsilon", epsilon, nonzero=True)
    if alpha * epsilon < 0:
        raise ValueError(
            f"alpha = {alpha:g}, epsilon = {epsilon:g}: their product must be above 0: with it "
            "below, f can't grow to fit y"
        )
    return alpha * epsilon, alpha / epsilon


def _linear_fall(X: np.ndarray, y: np.ndarray, epsilon: float) -> float:
    """The tau at which the train loss of the linearised network falls; inf for never."""
    G = X @ X.T
    values, vectors = np.linalg.eigh(G + epsilon**2 * G**2)
    powers, rates = (vectors.T @ y) ** 2 / len(y), 4 * values.clip(min=0) / len(y)

    def excess(tau: float) -> float:
        return float(powers @ np.exp(-rates * tau)) - SHARE * float(y @ y) / len(y)

    end = 1e6 / rates.max()
    if excess(0.0) <= 0:
        return 0.0
    return root(excess, 0.0, end) if excess(end) < 0 else math.inf
