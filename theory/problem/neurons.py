"""The exact population loss of given neurons, on NumPy or torch arrays, from the derived overlaps.

The cost is one product of the N x N overlaps for each Hermite degree of the activation; for erf
and relu it is one function of the overlaps.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.support.arguments import dense, finite, shown
from lazyrich.support.differences import LARGE, apart
from lazyrich.theory import gaussian_pair as pair
from lazyrich.theory import generate
from lazyrich.theory.activation import missing
from lazyrich.theory.symbols import Sigma
from lazyrich.theory.values import check_covariance

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

Array = Any  # NumPy or torch
_LARGEST_OF_RELU = 1e7  # alpha beyond which the loss of a centred relu network is rounding
_BLOCK = 1024  # rows of the overlaps that are held at a time


class Formula:
    """An expression as an array function that ignores values which it does not need."""

    def __init__(self, expr: sp.Expr, backend: str):
        self.names = generate.arguments(sp.sympify(expr))
        self.function = generate.function(sp.sympify(expr), backend)

    def __call__(self, values: dict[str, Any]) -> Any:
        """Evaluate at the values; raises ``ValueError`` where one is missing."""
        return self.function(**{k: v for k, v in values.items() if k in self.names})


def population_loss(
    problem: "Problem",
    W: Any,
    alpha: float,
    v: Any,
    W0: Any,
    v0: Any,
    moved: tuple[Any, Any],
    values: dict[str, Any],
) -> dict[str, Any]:
    """Return the population loss by Hermite degree (by degree of the target for erf and relu)."""
    weights, amplitudes = _stacked(problem, W, v, W0, v0)
    amplitudes = amplitudes * float(alpha)
    if W0 is None and moved[0] is not None:
        raise ValueError("W_moved is given without W0")
    if moved[0] is not None and abs(alpha) > LARGE and problem.activation.kind != "relu":
        weights, amplitudes = _apart(problem, weights, alpha, v0, moved)
    elif W0 is not None and problem.activation.kind == "relu" and abs(alpha) > _LARGEST_OF_RELU:
        return {"degree_0": float("nan")}  # it has kinks everywhere, which no few neurons have
    backend = "torch" if _is_torch(weights) else "numpy"
    values = _complete(problem, weights, values)
    network = _Neurons(problem, weights, amplitudes, values, backend)
    squares = network.square_by_degree()
    overlaps, powers = network.with_target(), network.target_power()
    degrees = range(max([*squares, *overlaps, *powers]) + 1)
    return {
        f"degree_{n}": squares.get(n, 0.0) - 2 * overlaps.get(n, 0.0) + powers.get(n, 0.0)
        for n in degrees
    }


def _stacked(problem: "Problem", W: Any, v: Any, W0: Any, v0: Any) -> tuple[Array, Array]:
    """All neurons, the initial ones with the opposite sign, and their amplitudes without alpha."""
    W = _as_array("W", W, 2)
    readouts = _readouts(problem, "v", v, W)
    if W0 is None:
        if v0 is not None:
            raise ValueError("v0 is given without W0")
        return W, readouts / W.shape[0]
    W0 = _as_array("W0", W0, 2, like=W)
    if W0.shape != W.shape:
        raise ValueError(f"W0 has shape {tuple(W0.shape)}: must be that of W, {tuple(W.shape)}")
    initial = _readouts(problem, "v0", v0, W0)
    xp = _namespace(W)
    together = xp.concatenate([readouts / W.shape[0], -initial / W0.shape[0]])
    return xp.concatenate([W, W0]), together


def _apart(
    problem: "Problem", stacked: Array, alpha: float, v0: Any, moved: tuple[Any, Any]
) -> tuple[Array, Array]:
    """The centred predictor as neurons that don't cancel."""
    N = stacked.shape[0] // 2
    W, start = stacked[:N], stacked[N:]
    change = _as_array("W_moved", moved[0], 2, like=W)
    if change.shape != W.shape:
        raise ValueError(f"W_moved has shape {tuple(change.shape)}: must be {tuple(W.shape)}")
    readouts, later = _readouts(problem, "v0", v0, start) / N, None
    if problem.readouts == "trained":
        later = _readouts(problem, "v_moved", moved[1], start) / N
    xp, degree = _namespace(W), problem.activation.degree
    neurons, amplitudes = apart(start, change, readouts, later, alpha, degree)
    return xp.concatenate(neurons), xp.concatenate(amplitudes)


def _readouts(problem: "Problem", name: str, v: Any, W: Array) -> Array:
    if problem.readouts == "fixed":
        if v is not None:
            raise ValueError(f"{name} is given, but the readouts of this problem are fixed at 1")
        return 0 * W[:, 0] + 1
    if v is None:
        raise ValueError(f"missing {name}: the readouts (N,) of this problem are trained")
    v = _as_array(name, v, 1, like=W)
    if v.shape[0] != W.shape[0]:
        raise ValueError(f"{name} has shape {tuple(v.shape)}: must be ({W.shape[0]},)")
    return v


def _complete(problem: "Problem", weights: Array, values: dict[str, Any]) -> dict[str, Any]:
    """The values with D and Sigma, checked by name; vectors and matrices as arrays."""
    symbols = dict(problem.symbols)
    if not problem.inputs.isotropic:
        symbols["Sigma"] = problem.inputs.law.covariance
        values = problem.inputs.values | values
    for name in values:
        if name not in symbols:
            raise ValueError(f"{name}: no symbol of this problem ({', '.join(symbols) or 'none'})")
    for name in symbols:
        if name not in values:
            known = f"this problem has the symbols {', '.join(symbols)}"
            raise ValueError(missing(name, symbols[name], known))
    D = weights.shape[1]
    complete: dict[str, Any] = {"D": D}
    for name, value in values.items():
        symbol = symbols[name]
        if isinstance(symbol, MatrixSymbol):
            shape = (D,) if symbol.shape[1] == 1 else (D, D)
            complete[name] = _as_array(name, value, len(shape), like=weights)
            if tuple(complete[name].shape) != shape:
                found = tuple(complete[name].shape)
                raise ValueError(f"{name} has shape {found}: must be {shape}")
            if symbol == Sigma:
                check_covariance(name, value)
        else:
            complete[name] = _number(name, value)
    return complete


def _number(name: str, value: Any) -> float:
    dense(name, value)
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()  # of NumPy or torch
    return finite(name, value)


class _Neurons:
    """f(x) = sum_a amplitudes_a phi(weights_a.x), and its means with itself and the target."""

    def __init__(self, problem: "Problem", weights, amplitudes, values: dict, backend: str):
        self.problem, self.backend = problem, backend
        self.weights, self.amplitudes, self.values = weights, amplitudes, values
        sigma = values.get("Sigma")
        self.spread = weights / weights.shape[1] if sigma is None else weights @ sigma
        self.variances = (self.spread * weights).sum(-1)

    def square_by_degree(self) -> dict[int, Array]:
        """<f^2> by Hermite degree: sum_ab (w_a.Sigma w_b)^n m_n(a) m_n(b)/n!."""
        if self.problem.activation.degree is None:
            return {0: self._square()}
        means = [self._mean(n) for n in range(self.problem.activation.degree + 1)]
        totals = [0.0 * self.variances.sum() for _ in means]
        for rows in self._blocks():
            overlaps = self.spread[rows] @ self.weights.T
            power = 0 * overlaps + 1
            for n, mean in enumerate(means):
                totals[n] = totals[n] + mean[rows] @ power @ mean / math.factorial(n)
                power = power * overlaps
        return dict(enumerate(totals))

    def _mean(self, n: int) -> Array:
        """The amplitudes times the means of the n-th derivative of phi."""
        total = 0 * self.variances
        for coefficient in self._series[n]:
            total = total * self.variances + coefficient
        return self.amplitudes * total

    @property
    def _series(self) -> list[list[float]]:
        activation = self.problem.activation
        point = {symbol: self.values[name] for name, symbol in activation.symbols.items()}
        return [
            [float(c.subs(point)) for c in sp.Poly(mean, pair.s).all_coeffs()]
            for mean in activation.hermite_series(pair.s)
        ]

    def _square(self) -> Array:
        """<f^2> as a function of the overlaps, for erf and relu."""
        formula = self.problem.formula("pair", self.problem.value_pair, self.backend)
        total = 0.0 * self.variances.sum()
        for rows in self._blocks():
            s, t = self.variances[rows][:, None], self.variances[None, :]
            overlaps = self.spread[rows] @ self.weights.T
            nonzero = 0 * overlaps + s * t > 0  # a neuron of no weight contributes nothing
            at = {"_s": s + ~(s > 0), "_t": t + ~(t > 0), "_c": overlaps}
            values = formula(self.values | at)
            total = total + self.amplitudes[rows] @ (values * nonzero) @ self.amplitudes
        return total

    def _blocks(self) -> Sequence[slice]:
        return [slice(top, top + _BLOCK) for top in range(0, len(self.variances), _BLOCK)]

    def with_target(self) -> dict[int, Array]:
        """<f y> by Hermite degree of the target."""
        totals = {}
        for n, expr in self.problem.target_overlaps.items():
            weights, nonzero = self.weights, 1.0
            if self.problem.activation.degree is None:
                is_zero = self.variances == 0
                weights, nonzero = weights + 1.0 * is_zero[:, None], 1.0 * ~is_zero
            formula = self.problem.formula(f"overlap {n}", expr, self.backend)
            values = formula(self.values | {"w": weights})
            totals[n] = (self.amplitudes * (values * nonzero)).sum(-1)
        return totals

    def target_power(self) -> dict[int, Any]:
        """<y^2> by Hermite degree."""
        return {
            n: self.problem.formula(f"power {n}", expr, self.backend)(self.values)
            for n, expr in self.problem.powers.items()
        }


def _is_torch(array: Any) -> bool:
    return type(array).__module__.split(".")[0] == "torch"


def _namespace(array: Array) -> Any:
    import importlib

    return importlib.import_module("torch" if _is_torch(array) else "numpy")


def _as_array(name: str, value: Any, ndim: int, like: Any = None) -> Array:
    """A floating array of the kind of ``like``, or else of its own; must be finite in its shape."""
    dense(name, value)
    if _is_torch(value) and value.is_complex():
        raise ValueError(f"{name} is an array of complex numbers: must be real")
    if _is_torch(like):
        array = _namespace(like).as_tensor(value, dtype=like.dtype, device=like.device)
    elif _is_torch(value):
        array = value if value.is_floating_point() else value.double()
    else:
        import numpy as np

        try:
            array = np.asarray(value.tolist() if hasattr(value, "tolist") else value, dtype=float)
        except (TypeError, ValueError):
            raise ValueError(f"{name} = {shown(value)}: must be equal rows of numbers") from None
    if array.ndim != ndim or 0 in array.shape:
        wanted = "a vector" if ndim == 1 else "a matrix with one row for each neuron or dimension"
        raise ValueError(f"{name} has shape {tuple(array.shape)}: must be {wanted}")
    if bad := _not_finite(array):
        raise ValueError(f"{name} has {bad} NaN or infinite entries: must be finite")
    return array


def _not_finite(array: Array) -> int:
    """The number of entries that are NaN or infinite; 0 within ``vmap``, which shows none."""
    try:
        return int((~_namespace(array).isfinite(array)).sum())
    except RuntimeError:
        return 0
