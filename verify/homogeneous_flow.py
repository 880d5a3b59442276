"""A small homogeneous net that is not diagonal, integrated weight by weight, for Lyu et al. (2024).

f(x) = sum_i v_i (w_i.x)^2 is homogeneous of degree L = 3 and smooth. Half of the neurons start as
twins of the others with v of the opposite sign, so that f(thetabar; x) = 0 for every x. Nothing
here knows the theorems: the flow of all weights with decay is integrated in T = lambda t. While
a = alpha exp(-T) is above 1 the unknowns are (theta/a - thetabar) a^L, which stay of order 1
however large alpha is; afterwards they are the weights.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lazyrich.verify.diagonal_flow import LOSS_SLOPES, Array
from lazyrich.verify.stiff import solved

L = 3
_STEP_TOLERANCE = 1e-9


@dataclass(frozen=True)
class QuadraticNet:
    """n samples in d dimensions, 2 * pairs neurons: inputs, labels and thetabar from ``seed``.

    Labels are random signs, or standard normal numbers for ``loss`` "square".
    """

    seed: int
    n: int = 3
    d: int = 3
    pairs: int = 2
    loss: str = "exponential"
    alpha: float = 1e6
    lamda: float = 1e-6

    def data(self) -> tuple[Array, Array]:
        """X (n, d) and y (n,)."""
        random = np.random.default_rng([self.seed, 0])
        X, y = random.normal(size=(self.n, self.d)), random.normal(size=self.n)
        return X, y if self.loss == "square" else np.where(y > 0, 1.0, -1.0)

    def start(self) -> tuple[Array, Array]:
        """(v, w) of thetabar: (2 pairs,) and (2 pairs, d)."""
        random = np.random.default_rng([self.seed, 1])
        v, w = random.normal(size=self.pairs), random.normal(size=(self.pairs, self.d))
        return np.concatenate([v, -v]), np.concatenate([w, w])


@dataclass(frozen=True)
class NetState:
    """The net at T = lambda t: ``a``, the outputs f (n,), ``theta`` and what it has moved.

    ``moved`` is (theta/a - thetabar) a^L, f to first order being its product with the features;
    ``rest`` is d theta/dT, zero at a stationary point of the loss with decay.
    """

    a: float
    f: Array
    theta: Array
    moved: Array
    rest: Array


def features(net: QuadraticNet) -> Array:
    """grad f(thetabar; x) for each sample, (n, weights)."""
    (X, _), (v, w) = net.data(), net.start()
    return _gradients(X, v, w)


def _gradients(X: Array, v: Array, w: Array) -> Array:
    h = X @ w.T
    in_w = 2 * (h * v)[:, :, None] * X[:, None, :]
    return np.concatenate([h**2, in_w.reshape(len(X), -1)], axis=1)


def _split(values: Array, net: QuadraticNet) -> tuple[Array, Array]:
    count = 2 * net.pairs
    return values[:count], values[count:].reshape(count, net.d)


def _change(X: Array, start: tuple[Array, Array], step: tuple[Array, Array]) -> Array:
    """f(thetabar + step) - f(thetabar), without cancellation."""
    (v, w), (dv, dw) = start, step
    h, dh = X @ w.T, X @ dw.T
    return ((h + dh) ** 2 * dv + v * dh * (2 * h + dh)).sum(1)


@lru_cache(maxsize=256)
def follow(net: QuadraticNet, stops: tuple[float, ...]) -> list[NetState]:
    """The states at ``stops`` (increasing, in T = lambda t).

    Raises ``AssertionError`` where the integrator gives up.
    """
    (X, y), start = net.data(), net.start()
    bar = np.concatenate([start[0], start[1].ravel()])
    slope_of = LOSS_SLOPES[net.loss]

    def outputs(a: float, moved: Array) -> Array:
        return a**L * _change(X, start, _split(moved / a**L, net))

    def push(theta: Array, f: Array) -> Array:
        """The gradient of the mean loss at theta."""
        return slope_of(f, y) @ _gradients(X, *_split(theta, net)) / net.n

    def early(T: float, moved: Array) -> Array:
        a = net.alpha * np.exp(-T)
        f = outputs(a, moved)
        return -L * moved - a ** (2 * L - 2) / net.lamda * push(bar + moved / a**L, f)

    def late(_: float, theta: Array) -> Array:
        v, w = _split(theta, net)
        return -theta - push(theta, (X @ w.T) ** 2 @ v) / net.lamda

    def state(T: float, moved: Array) -> NetState:
        a = net.alpha * np.exp(-T)
        theta = a * (bar + moved / a**L)
        f = outputs(a, moved)
        return NetState(a, f, theta, moved, -theta - push(theta, f) / net.lamda)

    turn = max(0.0, float(np.log(net.alpha)))
    before = [T for T in stops if turn > T]
    after = [T for T in stops if turn <= T]
    moved, found = np.zeros_like(bar), []
    if turn > 0:
        legs = _leg(early, 0.0, moved, [*before, turn] if after else before)
        found, moved = [state(T, at) for T, at in zip(before, legs, strict=False)], legs[-1]
    if after:
        theta = bar * min(1.0, net.alpha) + moved
        for T, at in zip(after, _leg(late, turn, theta, after), strict=True):
            a = net.alpha * np.exp(-T)
            v, w = _split(at, net)
            rest = late(T, at)
            found.append(NetState(a, (X @ w.T) ** 2 @ v, at, (at / a - bar) * a**L, rest))
    return found


def _leg(rate, first: float, values: Array, stops: list[float]) -> list[Array]:
    if stops[-1] == first:
        return [values]
    return solved(rate, first, values, stops, rtol=_STEP_TOLERANCE, atol=1e-13)
