"""Ridge and lasso: mean loss with a penalty of finite strength, for linear predictors f = X w."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lazyrich.simulate.oracles.solution import CertificateError, Solution, excess, relative, solver
from lazyrich.support.arguments import one_of

Array = np.ndarray


class Loss(NamedTuple):
    """A loss in the margin m = y f or, of regression, in f - y: value, first, second derivative."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]


_MARGIN = {
    "logistic": Loss(
        lambda m: np.logaddexp(0.0, -m),
        lambda m: -1 / (1 + np.exp(np.minimum(m, 700.0))),
        lambda m: 0.25 / np.cosh(np.clip(m / 2, -350.0, 350.0)) ** 2,
    ),
    "exponential": Loss(
        lambda m: np.exp(np.minimum(-m, 700.0)),
        lambda m: -np.exp(np.minimum(-m, 700.0)),
        lambda m: np.exp(np.minimum(-m, 700.0)),
    ),
}
_SQUARE = Loss(lambda r: r**2, lambda r: 2 * r, lambda r: np.full_like(r, 2.0))
LOSSES = (*_MARGIN, "square")


class _Problem:
    """The mean loss as a function of z = A w - b: A = diag(y) X, or X with b = y."""

    def __init__(self, X: Array, y: Array, loss: str) -> None:
        one_of("loss", loss, LOSSES)
        self.name, self.loss = loss, _MARGIN.get(loss, _SQUARE)
        self.A, self.b = (X, y) if loss == "square" else (y[:, None] * X, np.zeros(len(y)))

    def value(self, f: Array) -> float:
        return float(self.loss.value(f - self.b).mean())

    def slope(self, f: Array) -> Array:
        """Return the gradient of the mean loss in f = A w."""
        return self.loss.slope(f - self.b) / len(f)

    def curvature(self, f: Array) -> Array:
        return self.loss.curvature(f - self.b) / len(f)


def ridge(X: Array, y: Array, loss: str, strength: float) -> Solution:
    """Return argmin of the mean loss + (strength/2) |w|^2; loss as that of a ``DiagonalNet``.

    KKT: strength w + gradient of the mean loss = 0. Newton's method in the n coefficients c of
    w = A^T c, by way of greater strengths. The multipliers are c.

    >>> ridge(np.array([[1.0]]), np.array([3.0]), "square", 1.0).w.round(6).tolist()   # 2/(2 + 1) 3
    [2.0]
    """
    problem = _Problem(X, y, loss)
    A = problem.A
    K = A @ A.T
    start = float(problem.curvature(np.zeros(len(y))).max() * np.linalg.eigvalsh(K)[-1])
    c = np.zeros(len(y))
    for part in np.geomspace(max(start, strength), strength, 30):
        c = _ridge_newton(problem, K, float(part), c)
    w = A.T @ c
    gradient = A.T @ problem.slope(A @ w)
    size = float(np.linalg.norm(gradient))
    residuals = {"gradient": relative(float(np.linalg.norm(strength * w + gradient)), size)}
    value = problem.value(A @ w) + strength / 2 * float(w @ w)
    return Solution(w, value, c, residuals).certified()


def _ridge_newton(problem: _Problem, K: Array, strength: float, c: Array) -> Array:
    def objective(c: Array) -> float:
        f = K @ c
        return problem.value(f) + strength / 2 * float(c @ f)

    for _ in range(100):
        f = K @ c
        slope = problem.slope(f)
        residual = strength * c + slope
        if np.abs(residual).max() <= 1e-13 * np.abs(slope).max():
            break
        jacobian = strength * np.eye(len(c)) + problem.curvature(f)[:, None] * K
        c = _line_search(objective, c, -np.linalg.solve(jacobian, residual))
    return c


def _line_search(objective: Callable[[Array], float], at: Array, step: Array) -> Array:
    now, length = objective(at), 1.0
    while not objective(at + length * step) <= now + 1e-14 * abs(now) and length > 1e-10:
        length /= 2
    return at + length * step


def lasso(X: Array, y: Array, loss: str, strength: float) -> Solution:
    """Return argmin of the mean loss + strength |w|_1; loss as that of a ``DiagonalNet``.

    KKT: the gradient of the mean loss is -strength sign(w_k) on the support and at most strength
    off it. By Clarabel on the coordinates that it needs, sharpened by Newton's method on the
    support. The multipliers are the slopes of the loss in f. Needs the extra ``oracles``.

    >>> lasso(np.eye(2), np.array([3.0, 0.1]), "square", 1.0).w.round(6).tolist()
    [2.0, 0.0]
    """
    problem = _Problem(X, y, loss)
    A = problem.A
    n, d = A.shape
    first = np.abs(A.T @ problem.slope(np.zeros(n)))
    columns = np.sort(np.argsort(-first)[: min(d, 4 * n)])
    while True:
        w = np.zeros(d)
        w[columns] = _sharpened(problem, columns, strength, _clarabel(problem, columns, strength))
        gradient = A.T @ problem.slope(A @ w)
        violation = np.abs(gradient) - strength
        violation[columns] = 0
        worst = np.argsort(-violation)[:BATCH]
        worst = worst[violation[worst] > 1e-9 * strength]
        if not len(worst):
            break
        columns = np.union1d(columns, worst)
    support = w != 0
    on = gradient[support] + strength * np.sign(w[support])
    residuals = {
        "gradient on the support": relative(float(np.abs(on).max(initial=0)), strength),
        "gradient off it": relative(excess(np.abs(gradient) - strength), strength),
    }
    value = problem.value(A @ w) + strength * float(np.abs(w).sum())
    return Solution(w, value, problem.slope(A @ w), residuals).certified()


BATCH = 200


def _clarabel(problem: _Problem, columns: Array, strength: float) -> Array:
    cp = solver()
    w = cp.Variable(len(columns))
    z = problem.A[:, columns] @ w - problem.b
    total = {
        "square": lambda: cp.sum_squares(z),
        "logistic": lambda: cp.sum(cp.logistic(-z)),
        "exponential": lambda: cp.sum(cp.exp(-z)),
    }[problem.name]()
    # In units of the penalty, so that the solver's tolerance is that of the gradient.
    objective = total / (len(problem.b) * strength) + cp.norm1(w)
    cp.Problem(cp.Minimize(objective)).solve(solver=cp.CLARABEL)
    if w.value is None:
        raise CertificateError("Clarabel found no minimiser")
    return np.asarray(w.value)


def _sharpened(problem: _Problem, columns: Array, strength: float, w: Array) -> Array:
    """Return w with its small entries at 0 and the others where their gradient vanishes.

    An active set: coordinates that change their sign leave it, the worst violation joins it.
    """
    A = problem.A[:, columns]
    gradient = A.T @ problem.slope(A @ w)
    # An interior point has w_k (strength - |gradient_k|) of one size for all k.
    size = np.abs(w) / np.abs(w).max()
    w = np.where(size > 1 - np.abs(gradient) / strength, w, 0.0)
    signs = np.sign(w)
    for _ in range(10 * len(problem.b)):
        on = signs != 0
        part = _stationary(problem, A[:, on], strength * signs[on], w[on])
        w = np.zeros(len(columns))
        w[on] = part
        if (np.sign(w) != signs).any():
            signs = np.where(np.sign(w) == signs, signs, 0.0)
            w = np.where(signs != 0, w, 0.0)
            continue
        gradient = A.T @ problem.slope(A @ w)
        violation = np.where(on, 0.0, np.abs(gradient) - strength)
        worst = int(np.argmax(violation))
        if not violation[worst] > 1e-9 * strength:
            break
        signs[worst] = -np.sign(gradient[worst])
    return w


def _stationary(problem: _Problem, B: Array, penalty: Array, part: Array) -> Array:
    """Return argmin of the mean loss of B part + penalty.part, by Newton's method."""

    def objective(part: Array) -> float:
        return problem.value(B @ part) + float(penalty @ part)

    for _ in range(50):
        f = B @ part
        residual = B.T @ problem.slope(f) + penalty
        if np.abs(residual).max(initial=0) <= 1e-12 * np.abs(penalty).max(initial=0):
            break
        hessian = (B.T * problem.curvature(f)) @ B
        part = _line_search(objective, part, -np.linalg.lstsq(hessian, residual, rcond=None)[0])
    return part
