"""The rank of the kernel of N neurons, by exact arithmetic at random weights.

The kernel's functions of x are the derivatives of f in its N D (or N (D + 1)) weights. Their rank
is that of their values at random points, modulo a prime: never more than the generic rank, and
equal to it except with a probability of about degree * rank / 2^31.
"""

from typing import TYPE_CHECKING, Any

import sympy as sp

from lazyrich.support.arguments import positive_integer, shown
from lazyrich.theory.activation import check_values
from lazyrich.theory.symbols import D as _D

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_PRIME = 2**31 - 1
_MOST = 1000  # functions: the elimination takes some seconds


def rank(problem: "Problem", D: Any, N: Any, values: dict[str, Any]) -> int:
    """Return the rank of the kernel of N generic neurons; see ``Problem.rank``."""
    import numpy as np

    D, N = positive_integer("D", D), positive_integer("N", N)
    coefficients = _coefficients(problem, values)
    trained = problem.readouts == "trained"
    functions = N * (D + 1) if trained else N * D
    most = min(functions, int(problem.closed_form("ntk-rank").expr.subs(_D, D)))
    if functions > _MOST:
        raise ValueError(
            f"N = {N}, D = {D}: the kernel has {functions} functions; at most {_MOST} are taken"
        )
    random = np.random.default_rng(0)
    W = random.integers(_PRIME, size=(N, D))
    v = random.integers(1, _PRIME, size=N)
    X = random.integers(_PRIME, size=(most + 8, D))
    H = np.zeros((N, len(X)), dtype=np.int64)
    for a in range(D):
        H = (H + W[:, a, None] * X[:, a] % _PRIME) % _PRIME
    slopes = _horner([n * c for n, c in enumerate(coefficients)][1:], H)
    if trained:
        slopes = v[:, None] * slopes % _PRIME
    rows = [slopes * X[:, a] % _PRIME for a in range(D)]
    if trained:
        rows.append(_horner(coefficients, H))
    return _rank(np.concatenate(rows))


def _coefficients(problem: "Problem", values: dict[str, Any]) -> list[int]:
    """The coefficients of 1, h, h^2, ... modulo the prime, decimals as the fractions they are."""
    activation = problem.activation
    if activation.degree is None:
        raise ValueError(f"activation = {shown(activation.text)}: needs a polynomial in h here")
    check_values("activation", activation.symbols, values)
    point = {activation.symbols[k]: sp.Rational(str(value)) for k, value in values.items()}
    exact = [sp.Rational(c.subs(point)) for c in activation.polynomial_coefficients()]
    return [int(c.p) * pow(int(c.q), -1, _PRIME) % _PRIME for c in exact]


def _horner(coefficients: list[int], H: Any) -> Any:
    value = 0 * H
    for c in reversed(coefficients):
        value = (value * H + c) % _PRIME
    return value


def _rank(table: Any) -> int:
    """The rank modulo the prime, by elimination."""
    found = 0
    for column in range(table.shape[1]):
        pivots = table[found:, column].nonzero()[0]
        if not len(pivots):
            continue
        pivot = found + pivots[0]
        table[[found, pivot]] = table[[pivot, found]]
        inverse = pow(int(table[found, column]), -1, _PRIME)
        table[found] = table[found] * inverse % _PRIME
        below = table[found + 1 :, column, None] * table[found] % _PRIME
        table[found + 1 :] = (table[found + 1 :] - below) % _PRIME
        found += 1
        if found == len(table):
            break
    return found
