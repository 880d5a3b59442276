"""Maximum margins and minimum-norm interpolation of linear predictors f = X w."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import linprog, nnls

from lazyrich.simulate.oracles.solution import CertificateError, Solution, excess, relative

Array = np.ndarray
# Columns of a linear programme over d coordinates are added this many at a time.
BATCH = 200


def l2_max_margin(X: Array, y: Array) -> Solution:
    """Return the w of least |w|_2 with y_i x_i.w >= 1: the margin is 1/|w|_2.

    By non-negative least squares (Lawson and Hanson, Solving Least Squares Problems, ch. 23). KKT:
    w = A^T mu with A = diag(y) X, mu >= 0, mu_i (a_i.w - 1) = 0. Raises ``CertificateError`` for
    data that are not separable.

    >>> l2_max_margin(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1.0, -1.0])).w.round(6).tolist()
    [0.5, -1.0]
    """
    A = y[:, None] * X
    R = np.linalg.qr(A.T, mode="r")
    goal = np.append(np.zeros(len(R)), 1.0)
    u, distance = nnls(np.vstack([R, np.ones(len(y))]), goal)
    if not distance > 1e-12:
        raise CertificateError("no w separates the data")
    mu = u / (1 - u.sum())
    w = A.T @ mu
    slack = A @ w - 1
    square = float(w @ w)
    residuals = {
        "infeasibility": excess(-slack),
        "negative multiplier": relative(excess(-mu), float(np.abs(mu).max())),
        "complementarity": relative(float(np.abs(mu * slack).sum()), square),
    }
    return Solution(w, square**0.5, mu, residuals).certified()


def l1_max_margin(X: Array, y: Array) -> Solution:
    """Return a w of least |w|_1 with y_i x_i.w >= 1: the margin is 1/|w|_1.

    KKT, with A = diag(y) X: mu >= 0, |A^T mu|_inf <= 1, sum(mu) = |w|_1. It may not be unique.
    Raises ``CertificateError`` for data that are not separable.

    >>> l1_max_margin(np.array([[2.0, 1.0], [2.0, -1.0]]), np.array([1.0, 1.0])).w.tolist()
    [0.5, 0.0]
    """
    A = y[:, None] * X

    def programme(columns: Array) -> tuple[Array, Array] | None:
        part = A[:, columns]
        found = linprog(
            np.ones(2 * part.shape[1]), -np.hstack([part, -part]), -np.ones(len(A)), method="highs"
        )
        return _both(found, lambda: -found.ineqlin.marginals)

    w, mu = _generate(A, np.abs(l2_max_margin(X, y).w), programme, signed=True)
    residuals = {
        "infeasibility": excess(1 - A @ w),
        "negative multiplier": relative(excess(-mu), float(np.abs(mu).max())),
    }
    return _l1_solution(A, w, mu, float(mu.sum()), residuals)


def min_l2_interpolation(X: Array, y: Array) -> Solution:
    """Return the w of least |w|_2 with X w = y: in the row space of X.

    >>> min_l2_interpolation(np.array([[1.0, 1.0]]), np.array([1.0])).w.tolist()
    [0.5, 0.5]
    """
    mu = np.linalg.lstsq(X @ X.T, y, rcond=None)[0]
    w = X.T @ mu
    error = float(np.linalg.norm(X @ w - y))
    residuals = {"infeasibility": relative(error, float(np.linalg.norm(y)))}
    return Solution(w, float(np.linalg.norm(w)), mu, residuals).certified()


def min_l1_interpolation(X: Array, y: Array) -> Solution:
    """Return a w of least |w|_1 with X w = y. KKT: |X^T mu|_inf <= 1, y.mu = |w|_1.

    It is unique where |x_k.mu| < 1 off its support and the columns there are independent; else any
    minimiser may be returned.
    """

    def programme(columns: Array) -> tuple[Array, Array] | None:
        part = X[:, columns]
        found = linprog(
            np.ones(2 * part.shape[1]), A_eq=np.hstack([part, -part]), b_eq=y, method="highs"
        )
        return _both(found, lambda: found.eqlin.marginals)

    w, mu = _generate(X, np.abs(min_l2_interpolation(X, y).w), programme, signed=False)
    error = float(np.linalg.norm(X @ w - y))
    residuals = {"infeasibility": relative(error, float(np.linalg.norm(y)))}
    return _l1_solution(X, w, mu, float(y @ mu), residuals)


def mirror_interpolation(X: Array, y: Array, scale: float | Array) -> Solution:
    """Return argmin over X w = y of sum_k [w_k asinh(w_k/2a_k^2) - (w_k^2 + 4 a_k^4)^(1/2)].

    ``scale`` is a > 0, a number or one a coordinate. KKT: asinh(w/2a^2) = X^T mu. Newton's method
    on the concave dual y.mu - sum 2 a^2 cosh(X^T mu), by way of larger scales, for which it is
    nearly quadratic.

    >>> X, y = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), np.array([1.0, 1.0])
    >>> [mirror_interpolation(X, y, a).w.round(3).tolist() for a in (100.0, 1e-4)]
    [[0.667, 0.333, 0.333], [1.0, 0.0, 0.0]]
    """
    target = 2 * np.broadcast_to(np.asarray(scale, dtype=float) ** 2, (X.shape[1],))
    largest = max(1.0, float(np.abs(min_l2_interpolation(X, y).w).max()))
    log_factor = max(0.0, float(np.log(largest / target.min())))
    mu = np.zeros(len(y))
    for log_part in np.linspace(log_factor, 0, 1 + int(np.ceil(log_factor))):
        mu = _mirror_newton(X, y, np.exp(log_part) * target, mu)
    w = target * np.sinh(mu @ X)
    value = float((w * np.arcsinh(w / target) - np.hypot(w, target)).sum())
    error = float(np.linalg.norm(X @ w - y))
    residuals = {"infeasibility": relative(error, float(np.linalg.norm(y)))}
    return Solution(w, value, mu, residuals).certified()


def _mirror_newton(X: Array, y: Array, unit: Array, mu: Array) -> Array:
    """Maximise y.mu - sum unit cosh(X^T mu), from mu, with steps halved until it grows."""

    def dual(mu: Array) -> float:
        with np.errstate(over="ignore"):
            return float(y @ mu - (unit * np.cosh(mu @ X)).sum())

    now = dual(mu)
    for _ in range(200):
        zeta = mu @ X
        gradient = y - X @ (unit * np.sinh(zeta))
        if np.linalg.norm(gradient) <= 1e-12 * np.linalg.norm(y):
            break
        scaled = X * np.sqrt(unit * np.cosh(zeta))
        step = np.linalg.solve(scaled @ scaled.T, gradient)
        length = 1.0
        while not dual(mu + length * step) >= now - 1e-14 * abs(now) and length > 1e-12:
            length /= 2
        mu = mu + length * step
        now = dual(mu)
    return mu


def _both(found, multipliers: Callable[[], Array]) -> tuple[Array, Array] | None:
    """Return w and the multipliers of a solved programme, None of an infeasible one."""
    if found.status == 2:
        return None
    if found.status != 0:
        raise CertificateError(f"linear programme not solved: {found.message}")
    plus, minus = np.split(found.x, 2)
    return plus - minus, multipliers()


def _generate(
    A: Array,
    guess: Array,
    programme: Callable[[Array], tuple[Array, Array] | None],
    *,
    signed: bool,
) -> tuple[Array, Array]:
    """Solve an L1 programme over all columns of A, by way of those that it needs.

    Columns k with |a_k.mu| > 1 violate the dual: the worst are added until there are none. The
    first are those of which ``guess`` is largest. ``signed``: the constraints are A w >= 1, mu >= 0
    (else equalities).
    """
    n, d = A.shape
    columns = np.sort(np.argsort(-guess)[: min(d, 4 * n)])
    while True:
        found = programme(columns)
        if found is None:
            if len(columns) == d:
                raise CertificateError("no w satisfies the constraints")
            columns = np.sort(np.argsort(-guess)[: min(d, 2 * len(columns))])
            continue
        part, mu = found
        w = np.zeros(d)
        w[columns] = part
        worst = _violated(A, mu, columns)
        if len(worst):
            least = _least_multipliers(A, w, signed=signed)
            mu, worst = (mu, worst) if least is None else (least, worst[:0])
        if not len(worst):
            return w, mu
        columns = np.union1d(columns, worst)


def _violated(A: Array, mu: Array, known: Array) -> Array:
    """Return the columns with |a_k.mu| > 1, the worst first, a batch at most; not the known."""
    slope = np.abs(mu @ A)
    slope[known] = 0
    worst = np.argsort(-slope)[:BATCH]
    return worst[slope[worst] > 1 + 1e-9]


def _least_multipliers(A: Array, w: Array, *, signed: bool) -> Array | None:
    """Return the mu of least |mu|_2 that proves w optimal; None where none does.

    A sparse w meets more constraints with equality than it has entries. Then mu is not unique, and
    the simplex method returns a corner, which violates the most columns. By least distance
    programming (Lawson and Hanson, ch. 23) on mu >= 0, mu_i = 0 off the margin (if ``signed``),
    sign(w_k) a_k.mu = 1 on the support, and |a_k.mu| <= 1 on the columns that turn out to need it.
    """
    on = np.flatnonzero(np.abs(w) > 1e-9 * np.abs(w).max())
    tight = np.flatnonzero(A @ w < 1 + 1e-9) if signed else np.arange(len(A))
    B = A[tight]
    equal = B[:, on].T * np.sign(w[on])[:, None]
    rows = [equal, -equal, *([np.eye(len(tight))] if signed else [])]
    bounds = [np.ones(len(on)), -np.ones(len(on)), *([np.zeros(len(tight))] if signed else [])]
    known = on
    while True:
        least = _least_distance(np.vstack(rows), np.concatenate(bounds))
        if least is None:
            return None
        worst = _violated(B, least, known)
        if not len(worst):
            mu = np.zeros(len(A))
            mu[tight] = least
            return mu
        rows.append(-B[:, worst].T * np.sign(least @ B[:, worst])[:, None])
        bounds.append(-np.ones(len(worst)))
        known = np.union1d(known, worst)


def _least_distance(G: Array, h: Array) -> Array | None:
    """Return argmin |x|_2 with G x >= h, by its dual; None where there is no such x.

    >>> _least_distance(np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([2.0, 1.5])).round(9).tolist()
    [1.5, 0.5]
    """
    E = np.vstack([G.T, h])
    goal = np.append(np.zeros(len(E) - 1), 1.0)
    u, distance = nnls(E, goal)
    if not distance > 1e-9:
        return None
    rest = E @ u - goal
    return -rest[:-1] / rest[-1]


def _l1_solution(A: Array, w: Array, mu: Array, dual: float, residuals: dict) -> Solution:
    value = float(np.abs(w).sum())
    residuals |= {
        "dual infeasibility": excess(np.abs(mu @ A) - 1),
        "gap": relative(abs(value - dual), value),
    }
    return Solution(w, value, mu, residuals).certified()
