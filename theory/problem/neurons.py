"""The exact population loss of given neurons, on NumPy or torch arrays, from the derived overlaps.

It costs one product of the N x N overlaps for each Hermite degree of the activation. For erf and
relu it is one function of the overlaps.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.support.arguments import finite
from lazyrich.theory import gaussian_pair as pair
from lazyrich.theory import generate
from lazyrich.theory.problem.loss import target_overlaps

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

Array = Any  # NumPy or torch
_BLOCK = 1024  # rows of the overlaps that are held at a time


def _is_torch(array: Array) -> bool:
    return type(array).__module__.split(".")[0] == "torch"


def _as_matrix(name: str, value: Any, like: Array = None) -> Array:
    """A floating array (rows, D) of the kind of ``like``, or of its own."""
    if like is not None and _is_torch(like):
        import torch

        array = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    elif _is_torch(value):
        array = value if value.is_floating_point() else value.double()
    else:
        import numpy as np

        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise ValueError(f"{name} = {value!r}: must be equal rows of numbers") from None
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} has shape {tuple(array.shape)}: must be (N, D)")
    return array


class Neurons:
    """Neurons of a problem, with their amplitudes: f(x) = sum_a amplitudes_a phi(weights_a.x)."""

    def __init__(self, problem: "Problem", weights: Array, amplitudes: Array, values: dict):
        self.problem = problem
        self.weights, self.amplitudes = weights, amplitudes
        self.backend = "torch" if _is_torch(weights) else "numpy"
        self.values = values
        names = problem.activation.symbols
        point = {s: sp.sympify(_number(name, values[name])) for name, s in names.items()}
        self._at_values = lambda expr: sp.sympify(expr).subs(point)

    def overlaps(self, rows: slice) -> Array:
        """The covariances of w_a.x and w_b.x, for some of the rows a."""
        left = self.weights[rows]
        if self.problem.inputs.isotropic:
            return left @ self.weights.mT / self.weights.shape[1]
        return left @ self.values["Sigma"] @ self.weights.mT

    def variances(self) -> Array:
        """The variances of w_a.x."""
        w = self.weights
        if self.problem.inputs.isotropic:
            return (w * w).sum(-1) / w.shape[1]
        return ((w @ self.values["Sigma"]) * w).sum(-1)

    def square_by_degree(self) -> list[Array]:
        """<f^2> by Hermite degree: sum_ab (w_a.Sigma w_b)^n m_n(a) m_n(b)/n!."""
        series = self.problem.activation.hermite_series(pair.s)
        variances = self.variances()
        means = []
        for mean in series:
            coefficients = sp.Poly(self._at_values(mean), pair.s).all_coeffs()
            means.append(self.amplitudes * _horner([float(c) for c in coefficients], variances))
        totals = [0.0 * variances.sum() for _ in series]
        for top in range(0, len(variances), _BLOCK):
            rows = slice(top, top + _BLOCK)
            overlaps = self.overlaps(rows)
            power = 0 * overlaps + 1
            for n, mean in enumerate(means):
                totals[n] = totals[n] + mean[rows] @ power @ mean / math.factorial(n)
                power = power * overlaps
        return totals

    def square(self) -> Array:
        """<f^2> as a function of the overlaps, for erf and relu."""
        function = generate.function(self._at_values(self.problem.value_pair), self.backend)
        variances = self.variances()
        total = 0.0 * variances.sum()
        for top in range(0, len(variances), _BLOCK):
            rows = slice(top, top + _BLOCK)
            first, second = variances[rows][:, None], variances[None, :]
            # Rounding may take a covariance past the product of the deviations.
            limit = (first * second) ** 0.5 * (1 - 2**-50)
            covariance = self.overlaps(rows).clip(-limit, limit)
            values = _values(function, _s=first, _t=second, _c=covariance)
            values = _where(first * second > 0, values, 0 * covariance)
            total = total + self.amplitudes[rows] @ values @ self.amplitudes
        return total

    def with_target(self) -> dict[int, Array]:
        """<f y> by Hermite degree of the target."""
        overlaps = self.problem.target_overlaps
        totals = {}
        for n, expr in overlaps.items():
            function = self.problem.function(f"overlap {n}", expr, self.backend)
            arguments = {"w": self.weights, **self.values}
            values = self.problem.evaluate(function, arguments)
            if self.problem.activation.degree is None:  # a neuron of no weight contributes nothing
                values = _where(self.variances() > 0, values, 0 * self.amplitudes)
            totals[n] = (self.amplitudes * values).sum(-1)
        return totals

    def target_power(self) -> dict[int, Any]:
        """<y^2> by Hermite degree."""
        powers = {}
        for n, expr in self.problem.powers.items():
            function = self.problem.function(f"power {n}", expr, self.backend)
            arguments = {"D": self.weights.shape[1], **self.values}
            powers[n] = self.problem.evaluate(function, arguments)
        return powers


def _values(function: Any, **arrays: Array) -> Array:
    used = {k: v for k, v in arrays.items() if k in function.names}
    return function(**used)


def _where(condition: Array, values: Array, otherwise: Array) -> Array:
    if _is_torch(otherwise):
        import torch

        return torch.where(condition, values, otherwise)
    import numpy as np

    return np.where(condition, values, otherwise)


def _horner(coefficients: Sequence[float], argument: Array) -> Array:
    total = 0 * argument
    for coefficient in coefficients:
        total = total * argument + coefficient
    return total


def _number(name: str, value: Any) -> float:
    return finite(name, float(value) if getattr(value, "ndim", 1) == 0 else value)
