"""The functions of the grammar: name -> (number of arguments, SymPy's function of them)."""

from collections.abc import Callable
from typing import Any

import sympy as sp

Function = Callable[..., Any]

# None: one or more arguments.
FUNCTIONS: dict[str, tuple[int | None, Function]] = {
    "binom": (2, lambda n, k: _binomial(n, k)),
    "factorial": (1, lambda n: _factorial(n)),
    "sqrt": (1, sp.sqrt),
    "exp": (1, sp.exp),
    "log": (1, sp.log),
    "ln": (1, sp.log),
    "erf": (1, sp.erf),
    "erfc": (1, lambda value: 1 - sp.erf(value)),
    "sin": (1, sp.sin),
    "cos": (1, sp.cos),
    "tan": (1, sp.tan),
    "asin": (1, sp.asin),
    "arcsin": (1, sp.asin),
    "acos": (1, sp.acos),
    "arccos": (1, sp.acos),
    "atan": (1, sp.atan),
    "arctan": (1, sp.atan),
    "sinh": (1, sp.sinh),
    "cosh": (1, sp.cosh),
    "tanh": (1, sp.tanh),
    "asinh": (1, sp.asinh),
    "Gamma": (1, sp.gamma),
    "abs": (1, sp.Abs),
    "sign": (1, sp.sign),
    "relu": (1, lambda value: sp.Max(value, 0)),
    "gelu": (1, lambda value: value * (1 + sp.erf(value / sp.sqrt(2))) / 2),
    "sigmoid": (1, lambda value: 1 / (1 + sp.exp(-value))),
    "silu": (1, lambda value: value / (1 + sp.exp(-value))),
    "swish": (1, lambda value: value / (1 + sp.exp(-value))),
    "softplus": (1, lambda value: sp.log(1 + sp.exp(value))),
    "max": (None, sp.Max),
    "min": (None, sp.Min),
    # Of matrices and vectors: see build.py.
    "tr": (1, None),  # type: ignore[dict-item]
    "Tr": (1, None),  # type: ignore[dict-item]
    "trace": (1, None),  # type: ignore[dict-item]
    "diag": (1, None),  # type: ignore[dict-item]
}
# Other spellings.
ALIASES = {
    **dict.fromkeys(("ReLU", "Relu", "RELU"), "relu"),
    **{"Erf": "erf", "GELU": "gelu", "SiLU": "silu", "Softplus": "softplus", "Sigmoid": "sigmoid"},
    **{"Max": "max", "Min": "min", "Abs": "abs", "binomial": "binom", "choose": "binom"},
}
MAX_HERMITE = 40
MAX_FACTORIAL = 200


def _binomial(n: sp.Expr, k: sp.Expr) -> sp.Expr:
    """n over k, multiplied out where k is a number, as in D (D - 1)/2."""
    if k.is_Number and not (k.is_Integer and 0 <= k <= MAX_FACTORIAL):
        raise ValueError(f"expected a whole number from 0 to {MAX_FACTORIAL}, or a symbol, as k")
    if k.is_Number:
        return sp.expand_func(sp.binomial(n, k)) if k > 0 else sp.S.One
    return sp.binomial(n, k)


def _factorial(n: sp.Expr) -> sp.Expr:
    if n.is_Number and not (n.is_Integer and 0 <= n <= MAX_FACTORIAL):
        raise ValueError(f"a factorial: expected a whole number from 0 to {MAX_FACTORIAL}")
    return sp.factorial(n)


def hermite(degree: int, value: sp.Expr) -> sp.Expr:
    """The probabilists' Hermite polynomial He_n of a value, by He_{n+1} = h He_n - He_n'.

    >>> hermite(3, sp.Symbol("h"))
    h**3 - 3*h
    """
    h, polynomial = sp.Dummy(), sp.S.One
    for _ in range(degree):
        polynomial = sp.expand(h * polynomial - sp.diff(polynomial, h))
    return polynomial.subs(h, value)
