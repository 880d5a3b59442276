"""The slow flow of one data set at small epsilon/alpha, integrated closely: a reference.

``slaved-flow`` of the theory as it stands, in S = epsilon |beta|^2 tau/alpha, losses over |beta|^4,
a = alpha epsilon sigma^2/|beta|^2: alpha and epsilon stand nowhere else. Slow next to
``simulate.laws.rich_flow``. Centred predictor, infinite width, more samples than dimensions.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

Array = np.ndarray


class Curve(NamedTuple):
    """Train and test loss over |beta|^4 at the times S, each of shape (times,)."""

    train: Array
    test: Array


@cache
def _test_loss() -> Any:
    from lazyrich.theory import closed_form  # here, since importing SymPy takes a while

    return closed_form("test-loss").function("numpy")


class SlavedFlow:
    """The slow flow on inputs X (P, D), P > D, with target vector beta (D,), from Q = a I.

    >>> X = np.random.default_rng(0).normal(size=(12, 2)) / 2**0.5
    >>> curve = SlavedFlow(X, np.array([1.0, 1.0]), 1.0).curve(np.array([0.0, 100.0]))
    >>> bool(curve.train[1] < 1e-3 * curve.train[0]), bool(curve.test[1] < 1e-3 * curve.test[0])
    (True, True)
    """

    def __init__(self, X: Array, beta: Array, a: float) -> None:
        self.X, self.n, self.a = X, beta / np.linalg.norm(beta), a
        self._fitted, _ = np.linalg.qr(self.X)
        self._labels = (self.X @ self.n) ** 2 / 2

    def residual(self, F: Array) -> tuple[Array, Array]:
        """Return (r, m): the residuals (P,) over |beta|^2 and the slaved linear part (D,).

        Q = F F^T.
        """
        quadratic = ((self.X @ F) ** 2).sum(1) - self.a * (self.X**2).sum(1)
        unfitted = quadratic / 2 - self._labels
        r = unfitted - self._fitted @ (self._fitted.T @ unfitted)
        return r, -np.linalg.lstsq(self.X, unfitted, rcond=None)[0]

    def curve(self, times: Array) -> Curve:
        """Return the losses at these S, ascending from 0 or later."""
        states = self._integrate(float(times[-1]), times).y.T
        return Curve(*np.array([self._losses(state) for state in states]).T)

    def time_below(self, threshold: float, last: float = 1e6) -> float:
        """Return the first S at which the test loss is below ``threshold`` |beta|^4; inf if never.

        Never is: not by S = ``last``.
        """

        def excess(_: float, state: Array) -> float:
            return self._losses(state)[1] - threshold

        excess.terminal, excess.direction = True, -1  # pyright: ignore
        start = math.sqrt(self.a) * np.eye(len(self.n)).ravel()
        if excess(0.0, start) <= 0:
            return 0.0
        (hits,) = self._integrate(last, None, excess).t_events
        return float(hits[0]) if len(hits) else math.inf

    def _losses(self, state: Array) -> tuple[float, float]:
        F = state.reshape(len(self.n), -1)
        r, m = self.residual(F)
        M = F @ F.T - self.a * np.eye(len(self.n))
        test = _test_loss()(alpha=1.0, epsilon=1.0, beta=self.n, wbar=m, M=M)
        return float(r @ r) / len(r), float(test)

    def _integrate(self, last: float, times: Array | None, event: Any = None) -> Any:
        """Integrate F, Q = F F^T: its flow is -(2/P) X^T (r X F)."""
        P, D = self.X.shape

        def rate(_: float, state: Array) -> Array:
            H = self.X @ state.reshape(D, D)
            unfitted = ((H**2).sum(1) - self.a * (self.X**2).sum(1)) / 2 - self._labels
            r = unfitted - self._fitted @ (self._fitted.T @ unfitted)
            return (-2 / P) * (self.X.T @ (r[:, None] * H)).ravel()

        start = math.sqrt(self.a) * np.eye(D).ravel()
        return solve_ivp(
            rate, (0.0, last), start, "RK45", times, events=event, rtol=1e-6, atol=1e-8
        )
