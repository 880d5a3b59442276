"""The ``dual`` engine: gradient flow of a diagonal network of d weights in n variables.

Flow on (1/n) sum_i l(f_i; y_i) + (lambda/2) |theta|^2 with f_i = x_i.w, w = u^L - v^L, from
u = v = a_0, is, with g = (1/n) sum_i l'(f_i) x_i,

    du/dt = -L u^(L-1) g - lambda u,       dv/dt = L v^(L-1) g - lambda v.

Let a(t) = a_0 exp(-lambda t), entry by entry. For L = 2, log(u/a) has the rate -2 g and log(v/a)
the rate 2 g. For L > 2, (u/a)^(2-L) has the rate (L-2) L a^(L-2) g and (v/a)^(2-L) its negative:
weight decay drops out. With a_0 = alpha s and, for all depths at once,

    u = a E(zeta/2),    v = a E(-zeta/2),    E(x) = (1 - (L-2) x)^(-1/(L-2)),    exp(x) at L = 2,

zeta = s^(L-2) X^T nu, the n numbers nu obey

    dnu_i/dt = -(2 L/n) (alpha exp(-lambda t))^(L-2) l'(f_i; y_i),    nu(0) = 0,
    f = X w,    w = a^L (E(zeta/2)^L - E(-zeta/2)^L),                  2 a^2 sinh(zeta) at L = 2,

with the invariants u v = a^2 (L = 2) and u^(2-L) + v^(2-L) = 2 a^(2-L) (L > 2). The ODE is stiff:
after the fit, nu follows the decaying scale on a time 1/lambda while errors of f die out at rates
of the kernel. It is solved by BDF in the time log(1 + t/t_0), t_0 the fastest time at the start,
with its Jacobian -(2 L/n) (..)^(L-2) l'' X diag(dw/dzeta s^(L-2)) X^T.

For L > 2 the weights that survive have zeta near the edge of the domain of E, at a distance of
order (a/u)^(L-2): errors of nu come out larger by its inverse, and beyond 1e16 nothing is left.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np
from scipy.integrate import BDF

from lazyrich.simulate.lyu.losses import Loss
from lazyrich.simulate.stability import NumericalError
from lazyrich.support.patience import Progress, silent

# Of the solver: runs take about a thousand.
MOST_STEPS = 100_000


class SolverError(NumericalError, ArithmeticError):
    """The solver of gradient flow could not continue beyond ``time``."""

    def __init__(self, time: float, reason: str) -> None:
        super().__init__(f"the flow could not be solved beyond t = {time:.6g}: {reason}")
        self.time, self.reason = time, reason

    def __reduce__(self) -> tuple:
        return type(self), (self.time, self.reason)


def layer(depth: int, log_scale: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return log(a E(x)), a = exp(log_scale): NaN where x is outside the domain of E.

    >>> a_third, x = np.log([1 / 3.0]), np.array([0.25])
    >>> [float(np.exp(layer(L, a_third, x)[0]).round(4)) for L in (2, 3, 4)]
    [0.428, 0.4444, 0.4714]
    """
    if depth == 2:
        return log_scale + x
    with np.errstate(invalid="ignore", divide="ignore"):
        return log_scale - np.log1p(-(depth - 2) * x) / (depth - 2)


def weights(depth: int, log_scale: np.ndarray, zeta: np.ndarray) -> np.ndarray:
    """Return w = u^L - v^L; no overflow before w itself overflows, no cancellation at small zeta.

    >>> tiny = weights(3, np.zeros(1), np.array([1e-20]))              # w = L zeta + O(zeta^3)
    >>> huge = weights(2, np.array([-400.0]), np.array([800.0]))       # exp(800 - 800)
    >>> f"{tiny[0]:.6g}", float(huge[0])
    ('3e-20', 1.0)
    """
    if depth == 2:
        size = np.abs(zeta)
        return np.sign(zeta) * _exp(2 * log_scale + size) * -np.expm1(-2 * size)
    # log u^L - log v^L = (L/(L-2)) log((1 + s)/(1 - s)), odd in s.
    s = (depth - 2) * zeta / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = 2 * depth / (depth - 2) * np.arctanh(np.abs(s))
        larger = depth * log_scale - depth / (depth - 2) * np.log1p(-np.abs(s))
    return np.sign(zeta) * _exp(larger) * -np.expm1(-ratio)


def slopes(depth: int, log_scale: np.ndarray, zeta: np.ndarray) -> np.ndarray:
    """Return dw/dzeta = (L/2) a^(2-L) (u^(2L-2) + v^(2L-2))."""
    u, v = (layer(depth, log_scale, sign * zeta / 2) for sign in (1, -1))
    power, factor = 2 * depth - 2, (2 - depth) * log_scale
    return depth / 2 * (_exp(power * u + factor) + _exp(power * v + factor))


def _exp(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.exp(x)


@dataclass(frozen=True)
class DualFlow:
    """The ODE of the module's docstring; X (n, d), y (n,), start (d,), all NumPy."""

    X: np.ndarray
    y: np.ndarray
    loss: Loss
    depth: int
    alpha: float
    start: np.ndarray
    weight_decay: float

    def log_scale(self, time: float) -> np.ndarray:
        """Return log a(t), of shape (d,)."""
        return np.log(self.alpha * self.start) - self.weight_decay * time

    def zeta(self, nu: np.ndarray) -> np.ndarray:
        """Return zeta (d,)."""
        return self.start ** (self.depth - 2) * (nu @ self.X)

    def w(self, time: float, nu: np.ndarray) -> np.ndarray:
        """Return the linear predictor (d,)."""
        return weights(self.depth, self.log_scale(time), self.zeta(nu))

    def layers(self, time: float, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return u and v, each (d,)."""
        scale, zeta = self.log_scale(time), self.zeta(nu)
        return _exp(layer(self.depth, scale, zeta / 2)), _exp(layer(self.depth, scale, -zeta / 2))

    def _rate(self, time: float) -> float:
        power = self.depth - 2
        scale = power * (np.log(self.alpha) - self.weight_decay * time)
        return 2 * self.depth / len(self.y) * float(np.exp(scale))

    def velocity(self, time: float, nu: np.ndarray) -> np.ndarray:
        """Return dnu/dt (n,)."""
        f = self.X @ self.w(time, nu)
        return -self._rate(time) * self.loss.slope(f, self.y)

    def jacobian(self, time: float, nu: np.ndarray) -> np.ndarray:
        """Return d(dnu/dt)/dnu (n, n)."""
        scale, zeta = self.log_scale(time), self.zeta(nu)
        f = self.X @ weights(self.depth, scale, zeta)
        curvature = self.loss.curvature(f, self.y)
        return -self._rate(time) * curvature[:, None] * self._response(scale, zeta)

    def _response(self, scale: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """Return df/dnu (n, n) = X diag(..) X^T."""
        root = np.sqrt(slopes(self.depth, scale, zeta) * self.start ** (self.depth - 2))
        scaled = self.X * root
        return scaled @ scaled.T

    def fastest(self) -> tuple[float, float]:
        """Return the largest eigenvalue of df/dnu at the start, and the fastest rate there."""
        response = self._response(self.log_scale(0.0), np.zeros_like(self.start))
        top = float(np.linalg.eigvalsh(response)[-1])
        curvature = float(self.loss.curvature(np.zeros_like(self.y), self.y).max())
        return top, self._rate(0.0) * curvature * top

    def solve(self, times: np.ndarray, rtol: float, report: Progress = silent) -> np.ndarray:
        """Return nu at increasing ``times``, (len(times), n). Raises ``SolverError``."""
        top, rate = self.fastest()
        t0 = 1 / rate
        clock = np.log1p(np.asarray(times) / t0)

        def rhs(s: float, nu: np.ndarray) -> np.ndarray:
            return t0 * np.exp(s) * self.velocity(t0 * np.expm1(s), nu)

        known = np.zeros((len(self.y), len(self.y)))

        def jacobian(s: float, nu: np.ndarray) -> np.ndarray:
            # A step too long may ask outside the domain of E: any finite answer makes it shorter.
            nonlocal known
            found = t0 * np.exp(s) * self.jacobian(t0 * np.expm1(s), nu)
            known = found if np.isfinite(found).all() else known
            return known

        # An error of nu within atol moves f by at most rtol of its scale at the start, and zeta by
        # at most rtol.
        label = float(np.sqrt((self.y**2).mean())) or 1.0
        reach = float((self.start ** (self.depth - 2) * np.abs(self.X).sum(0)).max())
        found = np.zeros((len(clock), len(self.y)))
        done = int(np.searchsorted(clock, 0.0, side="right"))
        if done == len(clock):
            return found
        atol = rtol * min(label / top, 1 / reach)

        def start(s: float, nu: np.ndarray) -> BDF:
            return BDF(rhs, s, nu, float(clock[-1]), rtol=rtol, atol=atol, jac=jacobian)

        solver, began = start(0.0, found[0]), 0.0
        for taken in count():
            if done == len(clock):
                break
            if taken > MOST_STEPS:
                reason = f"more than {MOST_STEPS} steps: take a shorter time"
                raise SolverError(t0 * np.expm1(solver.t), reason)
            with np.errstate(invalid="ignore", over="ignore"):
                message = solver.step()
            if solver.status == "failed":
                # Where a step's guess is exact up to rounding, Newton's method makes no progress
                # on it, nor on that of a shorter step. A new start guesses worse.
                if not solver.t > began:
                    raise SolverError(t0 * np.expm1(solver.t), _line(message))
                solver, began = start(solver.t, solver.y), solver.t
                continue
            until = int(np.searchsorted(clock, solver.t, side="right"))
            if until > done:
                found[done:until] = solver.dense_output()(clock[done:until]).T
                done = until
            report(float(solver.t), float(clock[-1]))
        return found


def _line(message: str | None) -> str:
    return " ".join((message or "no reason given").split()).rstrip(".")
