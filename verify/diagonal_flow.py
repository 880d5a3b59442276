"""Small diagonal nets and matrix models, integrated weight by weight, for Lyu et al. (2024).

Nothing here knows the invariants, the dual variable or the convex problems: the gradient flow with
decay is integrated in all the weights, in units of T = lambda t. So that alpha can be 10^40, the
coordinates are log(u/a), log(v/a), times a^L while a > 1, where both are of order a^-L.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import linprog, minimize

from lazyrich.verify.stiff import solved

Array = np.ndarray
# LSODA at 1e-10 a step: what it accumulates stays below this, relative to the largest entry
# (the test compares it with a tolerance a hundred times as tight).
FLOW_TOLERANCE = 1e-6
_STEP_TOLERANCE = 1e-10

LOSS_SLOPES = {
    "exponential": lambda f, y: -y * np.exp(-y * f),
    "logistic": lambda f, y: -y / (1 + np.exp(y * f)),
    "square": lambda f, y: 2 * (f - y),
}


@dataclass(frozen=True)
class Problem:
    """Training data as tuples (rows of ``X``, ``y``), loss, depth, initial scale and decay.

    ``second`` is v(0)/u(0), 1 unless an experiment breaks f(thetabar) = 0.
    """

    X: tuple[tuple[float, ...], ...]
    y: tuple[float, ...]
    loss: str = "square"
    depth: int = 2
    alpha: float = 4.0
    lamda: float = 1e-3
    second: float = 1.0

    def arrays(self) -> tuple[Array, Array]:
        """X (n, d) and y (n,)."""
        return np.array(self.X, dtype=float), np.array(self.y, dtype=float)


@dataclass(frozen=True)
class State:
    """The net at T = lambda t: a, u, v, w = u^L - v^L (d,), f (n,), g = d(mean loss)/dw (d,)."""

    T: float
    a: float
    u: Array
    v: Array
    w: Array
    f: Array
    g: Array

    def norm_square(self) -> float:
        """|theta|^2."""
        return float(self.u @ self.u + self.v @ self.v)


def gaussian(n: int, d: int, seed: int, **options) -> Problem:
    """A problem with standard normal inputs; Gaussian labels for square loss, else random signs."""
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(n, d)), random.normal(size=n)
    if options.get("loss", "square") != "square":
        y = np.where(y > 0, 1.0, -1.0)
    return Problem(tuple(map(tuple, X.tolist())), tuple(y.tolist()), **options)


@lru_cache(maxsize=256)
def follow(
    problem: Problem, stops: tuple[float, ...], rtol: float = _STEP_TOLERANCE
) -> list[State]:
    """The states at ``stops`` (increasing, in T = lambda t) along the flow of all weights.

    Raises ``AssertionError`` where the integrator gives up.
    """
    X, y = problem.arrays()
    (n, d), L = X.shape, problem.depth
    slope_of = LOSS_SLOPES[problem.loss]

    def state(T: float, logs: Array) -> State:
        a = problem.alpha * np.exp(-T)
        U, V = logs[:d], logs[d:]
        w = a**L * (np.expm1(L * U) - np.expm1(L * V))
        f = X @ w
        return State(T, a, a * np.exp(U), a * np.exp(V), w, f, X.T @ slope_of(f, y) / n)

    def rate(T: float, values: Array, is_scaled: bool) -> Array:
        a = problem.alpha * np.exp(-T)
        unit = a**-L if is_scaled else 1.0
        now = state(T, unit * values)
        U, V = unit * values[:d], unit * values[d:]
        speed = L / problem.lamda * a ** (L - 2) * now.g
        moved = np.concatenate([-speed * np.exp((L - 2) * U), speed * np.exp((L - 2) * V)])
        return moved * a**L - L * values if is_scaled else moved

    def leg(first: float, logs: Array, stops: list[float], is_scaled: bool) -> list[Array]:
        """The logs at ``stops``, from ``logs`` at T = ``first``."""
        units = [(problem.alpha * np.exp(-T)) ** L if is_scaled else 1.0 for T in (first, *stops)]
        if stops[-1] == first:
            return [logs]
        found = solved(
            rate, first, units[0] * logs, stops, rtol=rtol, atol=1e-14, args=(is_scaled,)
        )
        return [y / unit for y, unit in zip(found, units[1:], strict=True)]

    # One leg on either side of a = 1: a restart in the stiff phase before would take millions of
    # small steps.
    turn = max(0.0, float(np.log(problem.alpha)))
    early, late = ([s for s in stops if (s < turn) is side] for side in (True, False))
    logs, seen = np.concatenate([np.zeros(d), np.full(d, np.log(problem.second))]), []
    if turn > 0:
        seen = leg(0.0, logs, [*early, turn] if late else early, True)
        logs, seen = seen[-1], seen[: len(early)]
    if late:
        seen += leg(turn, logs, late, False)
    return [state(T, at) for T, at in zip(stops, seen, strict=True)]


def without_decay(problem: Problem, log_times: tuple[float, ...]) -> list[Array]:
    """w at the times exp(``log_times``) of the flow without decay (``problem.lamda`` is unused)."""
    X, y = problem.arrays()
    (n, d), L, a = X.shape, problem.depth, problem.alpha

    def w_of(logs: Array) -> Array:
        return a**L * (np.expm1(L * logs[:d]) - np.expm1(L * logs[d:]))

    def rate(log_t: float, logs: Array) -> Array:
        g = X.T @ LOSS_SLOPES[problem.loss](X @ w_of(logs), y) / n
        speed = np.exp(log_t) * L * a ** (L - 2) * np.concatenate([-g, g])
        return speed * np.exp((L - 2) * logs)

    start = np.zeros(2 * d)
    legs = solved(rate, -30.0, start, log_times, rtol=_STEP_TOLERANCE, atol=1e-14)
    return [w_of(logs) for logs in legs]


@dataclass(frozen=True)
class MatrixState:
    """The matrix model at scale ``a``: W, U, V (D, D) and G = d(mean loss)/dW entry by entry."""

    a: float
    W: Array
    U: Array
    V: Array
    G: Array


def follow_matrix(
    target: Array,
    observed: Array,
    alpha: float,
    lamda: float,
    stops: tuple[float, ...],
    kick: Array | float = 0.0,
) -> list[MatrixState]:
    """W = U U^T - V V^T from alpha (I, I), mean square error on the ``observed`` (D, D) entries.

    ``kick``, of shape (2, D, D), is added to the initial (U, V).
    """
    D = len(target)

    def gradient(W: Array) -> Array:
        return 2 * observed * (W - target) / observed.sum()

    def rate(_: float, values: Array) -> Array:
        U, V = values.reshape(2, D, D)
        G = gradient(U @ U.T - V @ V.T)
        both = (G + G.T) / lamda
        return np.stack([-both @ U - U, both @ V - V]).ravel()

    start = (alpha * np.stack([np.eye(D), np.eye(D)]) + kick).ravel()
    found = []
    legs = solved(rate, 0.0, start, stops, rtol=1e-10, atol=1e-13)
    for T, values in zip(stops, legs, strict=True):
        U, V = values.reshape(2, D, D)
        W = U @ U.T - V @ V.T
        found.append(MatrixState(alpha * np.exp(-T), W, U, V, gradient(W)))
    return found


def smallest_l1(X: Array, y: Array, margin: bool = False) -> Array:
    """argmin |w|_1 with X w = y, or with y_i (X w)_i >= 1 where ``margin``: a linear programme."""
    n, d = X.shape
    both = np.hstack([X, -X])
    limits = (
        {"A_ub": -y[:, None] * both, "b_ub": -np.ones(n)} if margin else {"A_eq": both, "b_eq": y}
    )
    found = linprog(np.ones(2 * d), bounds=(0, None), **limits)  # pyright: ignore[reportArgumentType]
    assert found.success, found.message
    return found.x[:d] - found.x[d:]


def smallest_l1_dual(X: Array, y: Array) -> Array:
    """argmax nu.y with |X^T nu|_inf <= 1: a certificate of the smallest L1 norm, nu.y."""
    found = linprog(-y, np.vstack([X.T, -X.T]), np.ones(2 * X.shape[1]), bounds=(None, None))
    assert found.success, found.message
    return found.x


def largest_l2_margin(X: Array, y: Array) -> Array:
    """argmin |w|_2 with y_i (X w)_i >= 1, by its dual (non-negative weights of the samples)."""
    signed = y[:, None] * X
    K = signed @ signed.T

    def dual(mu: Array) -> tuple[float, Array]:
        return 0.5 * mu @ K @ mu - mu.sum(), K @ mu - 1

    options = {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 10_000}
    start = np.ones(len(y)) / np.trace(K)
    found = minimize(
        dual, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(y), options=options
    )
    return signed.T @ found.x


def cosine(a: Array, b: Array) -> float:
    """The cosine of the angle between two vectors."""
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
