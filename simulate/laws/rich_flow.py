"""Rich training predicted from its data: the limit epsilon/alpha -> 0, whole or around its spikes.

Centred training at infinite width, in T = epsilon tau/alpha, of f = u.x + x^T (Q - s I) x/2 with
s = alpha epsilon, u = alpha wbar and Q = F F^T, F(0) = sqrt(s) I. The linear modes fit the faster
the lazier the network is; in the limit they are slaved to least squares, and what is left is

    dF/dT = 2 S F,    S = -(1/P) sum_mu r_mu x_mu x_mu^T,    r = (1 - Pi)(x^T (Q - s I) x/2 - y),

Pi the projection on the columns of X: alpha and epsilon enter by s alone, and nothing is stiff
(``slaved-flow`` of the theory). So one solution
predicts every network of the same alpha epsilon. Turning F from the right changes nothing, so F
may start along the eigenvectors v_i
of S(0), whose leading ones are the spikes. A *free* column moves in R^D; the others keep their
direction and grow in length only, at the rate v_i^T S v_i: species that compete with the spikes.
With ``free`` = D that is the limit itself. An evaluation takes about 2 P D (free + 2)
multiplications.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.integrate import RK45

from lazyrich.simulate.laws.lazy import loss_of_nothing
from lazyrich.simulate.outcome import SHARE, settled_at
from lazyrich.simulate.shapes import Float

# "Never" is not by this T, in units of D^2/|beta|^2: features of size alpha epsilon/|beta|^2 = 1e-4
# take about two of them to grow.
HORIZON = 100.0
# Relative error of a step. With a tenth of it no time in the tests moves by a hundredth.
RTOL = 1e-3
# A train loss of this share of that of predicting nothing moves no more.
FITTED = 1e-6


@dataclass(frozen=True)
class RichCurve:
    """Train and population loss over T = epsilon tau/alpha, each over that of predicting nothing.

    Predicting nothing on the training set and on the population, as in ``Outcome``.
    ``evaluations`` of the right-hand side were needed.
    """

    time: Float[np.ndarray, " n"]
    train: Float[np.ndarray, " n"]
    test: Float[np.ndarray, " n"]
    evaluations: int

    @property
    def train_fall(self) -> float:
        """The T from which the train loss is below SHARE; inf where it is not by the end."""
        return settled_at(self.time, self.train, SHARE)

    @property
    def test_fall(self) -> float:
        """The T from which the population loss is below SHARE; inf where it is not by the end."""
        return settled_at(self.time, self.test, SHARE)


def rich_curve(
    X: Float[np.ndarray, "P D"],
    beta: Float[np.ndarray, " D"],
    s: int | float,
    *,
    free: int | None = None,
    horizon: int | float = HORIZON,
) -> RichCurve:
    """Integrate the flow on y = (beta.x)^2/2 until both losses have fallen, or won't.

    ``s`` = alpha epsilon > 0; ``free`` columns move in all directions, all of them by default.
    Ends when both losses are below half of ``SHARE``, when the train loss is below ``FITTED``, or
    at T = ``horizon`` D^2/|beta|^2. For P <= D slaved linear modes fit everything at once, and
    nothing happens after.

    >>> rng = np.random.default_rng(0)
    >>> X, beta = rng.standard_normal((120, 12)) / 12**0.5, np.ones(12)
    >>> whole, spike = (rich_curve(X, beta, 0.01, free=free) for free in (12, 1))
    >>> whole.train_fall < whole.test_fall, bool(abs(spike.test_fall / whole.test_fall - 1) < 0.1)
    (True, True)
    """
    flow = _Flow(X, beta, s, X.shape[1] if free is None else free)
    solver = RK45(
        flow.slope,
        0.0,
        flow.start,
        horizon * flow.unit,
        rtol=flow.rtol,
        atol=flow.atol,  # pyright: ignore[reportArgumentType]
        first_step=flow.unit / 100,
    )
    records = [(0.0, *flow.losses(flow.start))]
    while True:
        with np.errstate(over="ignore", invalid="ignore"):  # of steps tried, that are too long
            failure = solver.step()
        if failure is not None:
            raise ArithmeticError(f"s = {s}: the flow can't be continued: {failure}")
        train, test = flow.losses(solver.y)
        records.append((solver.t, train, test))
        if max(train, test) < SHARE / 2 or train < FITTED or solver.status == "finished":
            break
    times, trains, tests = np.array(records).T
    return RichCurve(times, trains, tests, solver.nfev)


@cache
def _terms() -> dict[str, Callable]:
    from lazyrich.theory import closed_form  # here, since importing SymPy takes a while

    return closed_form("test-loss").functions("numpy")


class _Flow:
    """The limit's right-hand side: the state is F's free columns, and the logarithms of the rest.

    Those are of the lengths of the other columns over their first, sqrt(s).
    """

    def __init__(self, X: np.ndarray, beta: np.ndarray, s: float, free: int) -> None:
        self._X, self._beta, self._s, self._free = X, beta, s, free
        P, D = X.shape
        self._basis = column_basis(X) if D < P else np.eye(P)
        self._inverse = np.linalg.pinv(X)
        self._y, self._first = (X @ beta) ** 2 / 2, s * (X**2).sum(1)
        V = early_growth(X, self._y)[1]
        self._kept, self._kept_squares = V[:, free:], (X @ V[:, free:]) ** 2
        b = float(beta @ beta)
        self.null, self.unit = loss_of_nothing(D, b), D**2 / b
        self.start = np.concatenate([math.sqrt(s) * V[:, :free].ravel(), np.zeros(D - free)])
        # Of f, which is of the size of b and a small difference where s is large.
        self.rtol = RTOL * min(1.0, b / s)
        sizes = np.concatenate([np.full(D * free, math.sqrt(s)), np.ones(D - free)])
        self.atol = self.rtol / 10 * sizes

    def _split(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F's free columns, (D, free), and the squares of the other lengths."""
        D, free = len(self._beta), self._free
        return state[: D * free].reshape(D, free), self._s * np.exp(2 * state[D * free :])

    def _misfit(self, H: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """What u.x has to fit, less what is left of it: x^T (Q - s I) x/2 - y."""
        return ((H**2).sum(1) + self._kept_squares @ squares - self._first) / 2 - self._y

    def _unfitted(self, misfit: np.ndarray) -> np.ndarray:
        return misfit - self._basis @ (self._basis.T @ misfit)

    def slope(self, _time: float, state: np.ndarray) -> np.ndarray:
        """The derivative of the state in T."""
        F, squares = self._split(state)
        H = self._X @ F
        rate = -2 / len(H) * self._unfitted(self._misfit(H, squares))
        return np.concatenate(
            [(self._X.T @ (rate[:, None] * H)).ravel(), self._kept_squares.T @ rate]
        )

    def losses(self, state: np.ndarray) -> tuple[float, float]:
        """Train and population loss over that of predicting nothing, the second by eq. (6)."""
        F, squares = self._split(state)
        misfit, D = self._misfit(self._X @ F, squares), len(self._beta)
        r, u = self._unfitted(misfit), self._inverse @ misfit
        M = F @ F.T + (self._kept * squares) @ self._kept.T - self._s * np.eye(D)
        common = {"D": D, "alpha": 1.0}
        quadratic = common | {"epsilon": 1.0, "beta": self._beta, "M": M}
        terms = _terms()
        test = terms["variance"](**quadratic) + terms["misalignment"](**quadratic)
        test = float(test + terms["linear"](**common, wbar=u))
        return float(r @ r / (self._y @ self._y)), float(test / self.null)


def column_basis(X: Float[np.ndarray, "P D"]) -> Float[np.ndarray, "P rank"]:
    """Return an orthonormal basis of what linear functions give on these inputs, P > D.

    >>> column_basis(np.ones((3, 2))).shape
    (3, 1)
    """
    rank = int(np.linalg.matrix_rank(X))
    if rank == X.shape[1]:
        return np.linalg.qr(X)[0]
    return np.linalg.svd(X, full_matrices=False)[0][:, :rank]


def early_growth(
    X: Float[np.ndarray, "P D"], y: Float[np.ndarray, " P"]
) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, "D D"]]:
    """Return the eigenvalues of S once the linear modes are fitted, from the largest, and vectors.

    S = (1/P) sum_mu rho_mu x_mu x_mu^T with rho the residuals of least squares of y on x. At first
    Q grows as s exp(4 S T). For P <= D there is no residual and S = 0.

    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> values, _ = early_growth(X, np.array([0.0, 0.0, 3.0]))
    >>> values.round(3).tolist()                                       # rho = (-1, -1, 1)
    [0.333, -0.333]
    """
    P, D = X.shape
    if P <= D:
        return np.zeros(D), np.eye(D)
    basis = column_basis(X)
    rho = y - basis @ (basis.T @ y)
    values, vectors = np.linalg.eigh(X.T @ (rho[:, None] * X) / P)
    return values[::-1], vectors[:, ::-1]
