"""Predict whether and when a network groks, from its parameters or from its data set.

Nothing is trained: the times are those of the limit epsilon/alpha -> 0 (``rich_flow``), one cheap
solution for all networks of the same alpha epsilon, in units of tau = alpha/epsilon; where least
squares alone fits the training set (P up to about D), the train loss falls with the linearised
network. From parameters alone the same is done on data sets drawn from the task's law.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares

from lazyrich.simulate.arrays import natural, real_array
from lazyrich.simulate.laws.lazy import exact_from, loss_of_nothing
from lazyrich.simulate.laws.rich_flow import HORIZON, early_growth, rich_curve
from lazyrich.simulate.laws.spike import root
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.metrics import population_terms
from lazyrich.simulate.outcome import SHARE, Outcome
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.simulate.task import PolynomialTask
from lazyrich.support.arguments import finite, positive_integer

DRAWS = 5
# The lazy loss of one data set is not computed for more samples: it takes P^3/3 multiplications.
MOST_SAMPLES = 2500
_BLOCK = 1024


@dataclass(frozen=True)
class Forecast:
    """What is predicted for training on one data set.

    ``train_fall`` and ``test_fall``: the steps from which the losses have fallen (see ``outcome``),
    ``inf`` for not within ``horizon`` steps. ``plateau``: the test loss of least squares of y on x.
    ``lazy_loss``: that of the linearised network at the end, NaN where it was not computed.
    """

    train_fall: float
    test_fall: float
    horizon: float
    plateau: float
    lazy_loss: float

    @property
    def outcome(self) -> Outcome:
        """The outcome, as for a run that ends at the horizon."""
        return Outcome(self.train_fall, self.test_fall, self.horizon)

    @property
    def phase(self) -> str:
        """The phase of the outcome; see ``outcome.phase_of``."""
        return self.outcome.phase


@checks_its_arguments
def forecast(
    X: object, beta: object, *, alpha: float, epsilon: float, learning_rate: float = 1.0
) -> Forecast:
    """Predict centred training, at infinite width, on y = (beta.x)^2/2 at these inputs (P, D).

    Test losses are over x ~ N(0, I/D). Raises ``ValueError`` for bad input, and where
    alpha epsilon <= 0: no such network fits a positive quadratic target.

    >>> task = PolynomialTask(D=20, P=160, seed=0)
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
        train = _linear_fall(inputs, task.y.numpy(), epsilon, loss_of_nothing(task.D, b)) / rate
    test = max(curve.test_fall * unit, train)
    horizon = HORIZON * task.D**2 / b * unit
    return Forecast(train, test, horizon, _plateau(task), _lazy_loss(task, epsilon))


@checks_its_arguments
def forecasts(
    D: int,
    P: int,
    *,
    alpha: float,
    epsilon: float,
    learning_rate: float = 1.0,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[float, float], Any] | None = None,
) -> list[Forecast]:
    """Predict the same from the parameters: on ``draws`` data sets of seeds ``seed``, ...

    ``progress`` is called with (data sets done, ``draws``).

    >>> [found.phase for found in forecasts(20, 30, alpha=4.0, epsilon=0.05, draws=2)]
    ['memorises', 'memorises']
    """
    _scales(alpha, epsilon)
    count, first = positive_integer("draws", draws), natural("seed", seed)
    options = {"alpha": alpha, "epsilon": epsilon, "learning_rate": learning_rate}
    found = []
    for i in range(count):
        task = PolynomialTask(D, P, n_test=1, seed=first + i)
        found.append(forecast(task.X, task.beta, **options))
        if progress is not None:
            progress(i + 1, count)
    return found


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, smallest and largest of some numbers, such as times.

    >>> middle([3.0, math.inf, 2.0])
    (3.0, 2.0, inf)
    """
    ordered = np.sort(values)
    return float(ordered[len(ordered) // 2]), float(ordered[0]), float(ordered[-1])


def target_behind(
    X: Float[np.ndarray, "P D"], y: Float[np.ndarray, " P"]
) -> Float[np.ndarray, " D"]:
    """Return the beta with (beta.x)^2/2 = y at all inputs, up to its sign.

    By least squares from the leading directions of early growth. Raises ``ValueError`` for
    P < 2 D - 1, where many vectors do, and where none is found.

    >>> task = PolynomialTask(D=10, P=60, seed=1)
    >>> found = target_behind(task.X.numpy(), task.y.numpy())
    >>> bool(abs(abs(found @ task.beta.numpy()) - 10) < 1e-6)
    True
    """
    X, y, rounding = *(array.astype(float) for array in (X, y)), max(_unit(X), _unit(y))
    P, D = X.shape
    if P < 2 * D - 1:
        raise ValueError(f"y: P = {P} samples of D = {D} don't tell beta: give beta")
    scale = float(np.abs(y).max())
    for direction in early_growth(X, y)[1].T:
        start = direction * math.sqrt(2 * D * max(float(y.mean()), 0.0)) + 1e-12
        fit = least_squares(
            lambda w: (X @ w) ** 2 / 2 - y,
            start,
            lambda w: (X @ w)[:, None] * X,  # pyright: ignore[reportArgumentType]
            xtol=1e-15,
        )
        # Labels of single precision are off by some roundings of their own.
        if np.abs(fit.fun).max() <= max(1e-8, 32 * D**0.5 * rounding) * scale:
            return fit.x
    raise ValueError("y: no beta found with y = (beta.x)^2/2: give beta, or other labels")


def data_set(X: object, y: object = None, beta: object = None) -> tuple[np.ndarray, np.ndarray]:
    """Return checked (X, beta) from inputs with labels, or with the target vector.

    >>> data_set(X=[[1.0, 2.0]])
    Traceback (most recent call last):
    ...
    ValueError: y, beta: one of both must be given
    """
    inputs = real_array("X", X, (None, None), "(P, D) with P, D >= 1")
    P, D = inputs.shape
    if beta is not None:
        return inputs.numpy(), real_array("beta", beta, (D,), f"(D,) = ({D},)").numpy()
    if y is None:
        raise ValueError("y, beta: one of both must be given")
    labels = real_array("y", y, (P,), f"(P,) = ({P},)").numpy()
    single = any(_unit(array) > 1e-8 for array in (X, y))
    kind = np.float32 if single else np.float64
    return inputs.numpy(), target_behind(inputs.numpy(), labels.astype(kind))


def _unit(array: object) -> float:
    """Return the unit of rounding of an array of floats, that of double precision for the rest."""
    dtype = np.dtype(str(getattr(array, "dtype", "float64")).removeprefix("torch."))
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def _scales(alpha: float, epsilon: float) -> tuple[float, float]:
    """The two numbers alpha epsilon and alpha/epsilon."""
    alpha, epsilon = finite("alpha", alpha, nonzero=True), finite("epsilon", epsilon, nonzero=True)
    if alpha * epsilon < 0:
        raise ValueError(
            f"alpha = {alpha:g}, epsilon = {epsilon:g}: their product must be above 0: with it "
            "below, f can't grow to fit y"
        )
    return alpha * epsilon, alpha / epsilon


def _linear_fall(X: np.ndarray, y: np.ndarray, epsilon: float, null: float) -> float:
    """The tau at which the train loss of the linearised network falls; inf for never."""
    G = X @ X.T
    values, vectors = np.linalg.eigh(G + epsilon**2 * G**2)
    powers, rates = (vectors.T @ y) ** 2 / len(y), 4 * values.clip(min=0) / len(y)

    def excess(tau: float) -> float:
        return float(powers @ np.exp(-rates * tau)) - SHARE * null

    end = 1e6 / rates.max()
    if excess(0.0) <= 0:
        return 0.0
    return root(excess, 0.0, end) if excess(end) < 0 else math.inf


def _loss(task: PolynomialTask, wbar, M) -> float:
    terms = population_terms(task, wbar, M, alpha=1.0, epsilon=1.0)
    return float(sum(terms.values()))


def _plateau(task: PolynomialTask) -> float:
    u = np.linalg.pinv(task.X.numpy()) @ task.y.numpy()
    nothing = task.beta.new_zeros(task.D, task.D)
    return _loss(task, task.beta.new_tensor(u), nothing)


def _lazy_loss(task: PolynomialTask, epsilon: float) -> float:
    """Return the loss of fully lazy training, NaN where it takes too long.

    By the kernel on the samples, or by its features where they are fewer: linear functions x and
    products epsilon x_i x_j. It is 0 where the samples tell all features apart, which is a matter
    of rank and not of how many samples there are.
    """
    features = exact_from(task.D)
    if min(features, task.P) > MOST_SAMPLES:
        return math.nan
    if features > task.P:
        lazy = LinearisedDescent(
            PseudoNeurons.isotropic(task.D, 1.0),
            task.X,
            task.y,
            alpha=1.0,
            epsilon=epsilon,
            learning_rate=1.0,
            centred=True,
        )
        wbar, M = lazy.moved_moments(math.inf)
        return _loss(task, wbar, epsilon * M)
    return _loss_by_features(task, epsilon)


def _loss_by_features(task: PolynomialTask, epsilon: float) -> float:
    D = task.D
    rows, columns = torch.triu_indices(D, D)
    weight = torch.where(rows == columns, 1.0, math.sqrt(2.0)).to(task.X.dtype) * epsilon
    gram, moment = 0.0, 0.0
    for X, y in zip(task.X.split(_BLOCK), task.y.split(_BLOCK), strict=True):
        features = torch.cat([X, X[:, rows] * X[:, columns] * weight], 1)
        gram, moment = gram + features.T @ features, moment + features.T @ y
    values, vectors = torch.linalg.eigh(torch.as_tensor(gram))
    alive = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    if bool(alive.all()):
        return 0.0  # the target is one of these functions
    scaled = torch.where(alive, vectors.T @ moment / torch.where(alive, values, 1.0), 0.0)
    found = vectors @ scaled
    M = found.new_zeros(D, D)
    M[rows, columns] = M[columns, rows] = (
        found[D:] * weight * torch.where(rows == columns, 2.0, 1.0)
    )
    return _loss(task, found[:D], M)
