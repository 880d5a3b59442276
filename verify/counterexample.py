"""The smallest counter-example to a printed formula, found by a search over simple exact points."""

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from lazyrich.theory.counterexample import SIMPLE, simplest_first

__all__ = ["SIMPLE", "smallest"]


def smallest(
    printed: Callable[..., Any],
    derived: Callable[..., Any],
    coincidences: int = 2,
    agree_where: str = "",
    **domain: Sequence[Any],
) -> str:
    """The first point of the domain at which the two formulas differ, with both exact values.

    ``domain`` lists the values of each argument from simple to less simple; points are tried in the
    order of the sum of places in these lists. The line says ``agree_where`` the formulas agree, or
    names the first points at which they do by coincidence. Raises ``AssertionError`` if they agree
    everywhere.

    >>> smallest(lambda e: 2 * e, lambda e: 2 * e**2, e=SIMPLE)
    'e = 2: printed 4, derived 8 (they agree by coincidence at e = 1)'
    """
    agreeing = []
    for point in simplest_first(domain):
        left, right = (_exact(formula(**point)) for formula in (printed, derived))
        named = ((name.replace("_prime", "'"), value) for name, value in point.items())
        text = ", ".join(f"{name} = {value}" for name, value in named)
        if sp.simplify(left - right) == 0:
            agreeing.append(text)
            continue
        shown = f"by coincidence at {'; '.join(agreeing[:coincidences])}"
        note = f" (they agree {agree_where or shown})" if agreeing else ""
        return f"{text}: printed {left}, derived {right}{note}"
    raise AssertionError(f"printed and derived agree at all {len(agreeing)} points of the search")


def _exact(value: Any) -> sp.Expr:
    exact = sp.sympify(value)
    assert not exact.has(sp.Float), f"{value}: must be exact"
    return exact
