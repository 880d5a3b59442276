"""The activation phi(h) of a network: a polynomial in h, or a multiple of erf(a h) or relu(h)."""

import math
import re
from functools import cached_property
from typing import Any

import sympy as sp

from lazyrich.support.arguments import shown
from lazyrich.theory import grammar
from lazyrich.theory import symbols as model
from lazyrich.theory.gaussian_pair import mean_derivative
from lazyrich.theory.grammar import functions
from lazyrich.theory.printing import latex
from lazyrich.theory.values import to_give

h = sp.Symbol("h", real=True)  # the argument of an activation
DEFAULT = "h + epsilon/2*h**2"
# These names already mean something in a problem; a coefficient needs another one.
_TAKEN = "D N P alpha beta sigma sigma_w sigma_v sigma_noise w w0 v v0 x x_prime Sigma W W0"
_KEYWORDS = "W_moved v_moved noise ridge highest by_degree"  # of the methods of ``Problem``
RESERVED = frozenset(f"{_TAKEN} {_KEYWORDS}".split())
_SMALLEST = sp.Rational(1, 10**100)
_ALLOWED = "a polynomial in h, a multiple of erf(a h), or a multiple of relu(h)"


def hermite(k: int, argument: sp.Expr = h) -> sp.Expr:
    """Return the probabilists' Hermite polynomial He_k.

    >>> hermite(3)
    h**3 - 3*h
    """
    return functions.hermite(k, argument)


def relu(argument: sp.Expr) -> sp.Expr:
    """Return max(0, argument)."""
    return sp.Max(0, argument)


class Activation:
    """An activation as an expression in h, with any coefficients that the user names.

    Raises ``ValueError`` for an expression that is none of these, or a reserved name.

    >>> cubic = Activation("h + c*h**3")
    >>> cubic.text, cubic.degree, cubic.moments_close, list(cubic.symbols)
    ('c h^3 + h', 3, False, ['c'])
    >>> cubic.coefficients(c=0.5)
    [0.0, 1.0, 0.0, 0.5]
    """

    def __init__(self, expression: "str | sp.Expr | Activation" = DEFAULT):
        self.h = h
        read = in_range("activation", _read(expression))
        self.expr = _plain_relu(_with_package_symbols(read))
        if self.expr.free_symbols and not self.expr.has(h):
            other = ", ".join(sorted(map(str, self.expr.free_symbols)))
            raise ValueError(
                f"activation = {self.text}: has no h, of which it is a function; "
                f"write h for {other}"
            )
        self.kind = _kind(self.expr, expression if isinstance(expression, str) else self.expr)

    def __repr__(self) -> str:
        return f"Activation({self.text!r})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle \phi(h) = {latex(self.expr)}$"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self.expr == other.expr

    def __hash__(self) -> int:
        return hash(self.expr)

    @property
    def text(self) -> str:
        """The activation as text that ``Activation`` reads back; configurations keep this."""
        return re.sub(r"max\(0, (-?h)\)", r"relu(\1)", grammar.write(self.expr))

    @property
    def symbols(self) -> dict[str, sp.Symbol]:
        """The coefficients that are symbols, by name."""
        return {s.name: s for s in sorted(self.expr.free_symbols - {h}, key=str)}

    @cached_property
    def degree(self) -> int | None:
        """The degree of the polynomial in h; None for erf and relu."""
        if self.kind != "polynomial":
            return None
        return max(sp.Poly(self.expr, h).degree(), 0) if self.expr != 0 else 0

    @property
    def moments_close(self) -> bool:
        """Whether wbar and M determine the network's function, and descent acts on them alone."""
        return self.degree is not None and self.degree <= 2

    def derivative(self) -> sp.Expr:
        """Return phi'(h), expanded."""
        return sp.expand(sp.diff(self.expr, h))

    def hermite_series(self, variance: sp.Expr, degree: int | None = None) -> list[sp.Expr]:
        """Return the means of phi, phi', ..., phi^(degree) at h ~ N(0, variance).

        The n-th mean times variance^(n/2)/sqrt(n!) is the coefficient of phi on the n-th
        normalised Hermite polynomial of h/sqrt(variance). ``degree`` defaults to that of phi;
        erf and relu, which have all degrees, need it.

        >>> Activation(h**3).hermite_series(sp.Symbol("s", positive=True))
        [0, 3*s, 0, 6]
        """
        highest = self.degree if degree is None else degree
        if highest is None:
            raise ValueError(f"degree = None: {self.text} has all Hermite degrees, so name one")
        return [mean_derivative(self.expr, h, n, variance) for n in range(highest + 1)]

    def polynomial_coefficients(self) -> list[sp.Expr]:
        """Return the coefficients of 1, h, h^2, ... Raises ``ValueError`` for erf and relu."""
        if self.degree is None:
            raise ValueError(f"activation = {shown(self.text)}: needs a polynomial in h here")
        return [sp.expand(self.expr).coeff(h, n) for n in range(self.degree + 1)]

    def coefficients(self, **values: float) -> list[float]:
        """Return the coefficients of 1, h, h^2, ... as floats, for a simulation.

        Raises ``ValueError`` for a missing or unknown symbol, and for erf and relu.
        """
        check_values("activation", self.symbols, values)
        point = {self.symbols[name]: value for name, value in values.items()}
        return [float(c.subs(point)) for c in self.polynomial_coefficients()]

    def scale(self, **values: float) -> tuple[float, float]:
        """Return (c, a) of c erf(a h) or c relu(a h), a = 1 or -1, as floats, for a simulation."""
        check_values("activation", self.symbols, values)
        point = {self.symbols[name]: value for name, value in values.items()}
        factor, rest = self.expr.as_independent(h)
        slope: Any = sp.Add(*rest.args).coeff(h, 1)  # max(0, h) has 0 as well
        return float(factor.subs(point)), float(slope.subs(point))


def missing(name: str, symbol: Any, known: str) -> str:
    """Return what to say of a symbol without a value.

    >>> missing("c", sp.Symbol("c"), "the symbols of the activation are c")
    'missing c: give c=NUMBER; the symbols of the activation are c'
    """
    return f"missing {name}: give {to_give(name, symbol)}; {known}"


def check_values(argument: str, symbols: dict[str, Any], values: dict[str, Any]) -> None:
    """Raise ``ValueError`` unless ``values`` names exactly the symbols."""
    needed = ", ".join(symbols) or "none"
    for name in values:
        if name not in symbols:
            raise ValueError(f"{name} = {values[name]!r}: no symbol of the {argument} ({needed})")
    for name in symbols:
        if name not in values:
            raise ValueError(
                missing(name, symbols[name], f"the symbols of the {argument} are {needed}")
            )


def _read(expression: "str | sp.Expr | Activation") -> sp.Expr:
    if isinstance(expression, Activation):
        return expression.expr
    if isinstance(expression, str):
        if not expression.strip():
            raise ValueError(f"activation = {shown(expression)}: must be {_ALLOWED}, not empty")
        found = grammar.read(
            expression, {"h": h, "pi": sp.pi}, new=grammar.scalars, what="activation"
        )
        _refuse_unknown_functions(expression)
        return found
    if isinstance(expression, int | float) and math.isfinite(expression):
        return exact(sp.sympify(expression))
    if not isinstance(expression, sp.Expr):
        raise ValueError(
            f"activation = {shown(expression)}: must be text or a SymPy expression in h"
        )
    return exact(expression)


def _refuse_unknown_functions(text: str) -> None:
    """H_3(h) and phi(h) look like functions, and would be read as products."""
    known = {*functions.FUNCTIONS, *functions.ALIASES}
    for called in re.finditer(r"(?<![\w}])([A-Za-z]\w*)(?=\(h\))", text):
        name = called[1]
        if name not in known and not re.fullmatch(r"He_\d+", name):
            hint = f"He_n(h) is a Hermite polynomial; a product is {name} h"
            raise grammar.FormulaError(
                text, called.start(), len(name), f"not a known function; {hint}", "activation"
            )


def in_range(argument: str, expr: sp.Expr) -> sp.Expr:
    """Return the expression; raise ``ValueError`` for a number that arrays can't square.

    >>> in_range("activation", sp.Integer(10) ** 400)
    Traceback (most recent call last):
    ...
    ValueError: activation: 1.00e+400 is out of range: numbers must lie between 1e-100 and 1e+100
    """
    for number in expr.atoms(sp.Number):
        if number and number.is_finite and not _SMALLEST <= abs(number) <= 1 / _SMALLEST:
            raise ValueError(
                f"{argument}: {number.evalf(3):.3g} is out of range: numbers must lie between "
                "1e-100 and 1e+100"
            )
    return expr


def exact(expr: sp.Expr) -> sp.Expr:
    """Return the expression with each decimal as the fraction that was written: 0.1 is 1/10."""
    return expr.replace(lambda part: part.is_Float, lambda part: sp.Rational(str(float(part))))


def _with_package_symbols(expr: sp.Expr) -> sp.Expr:
    """The package's own h and epsilon in place of symbols of these names."""
    own = {"h": h, "epsilon": model.epsilon}
    names = [symbol.name for symbol in expr.free_symbols]
    for symbol in expr.free_symbols:
        if symbol.name == "x":
            raise ValueError(f"activation = {expr}: is a function of h, not of the input x")
        if symbol.name in RESERVED:
            raise ValueError(
                f"activation = {expr}: {symbol.name} has another meaning, "
                "so give this coefficient another name"
            )
        if names.count(symbol.name) > 1:
            raise ValueError(f"activation = {expr}: two different symbols are named {symbol.name}")
    return expr.subs({s: own[s.name] for s in expr.free_symbols if s.name in own})


def _plain_relu(expr: sp.Expr) -> sp.Expr:
    """relu(a h) for a number a as |a| relu(h) or |a| relu(-h), and min(0, h) as -relu(-h)."""

    def plain(*args: sp.Expr) -> sp.Expr:
        total = sp.Add(*args) if len(args) == 2 and 0 in args else sp.S.Zero
        slope: Any = total.coeff(h, 1)
        known = slope.is_nonzero and slope.is_real and total == slope * h
        return abs(slope) * relu(sp.sign(slope) * h) if known else sp.Max(*args)

    least = expr.replace(sp.Min, lambda *args: -sp.Max(*(-part for part in args)))
    plain_expr = least.replace(sp.Max, plain)
    return plain_expr if not plain_expr.has(sp.Max) or _is_relu(plain_expr) else expr


def _is_relu(expr: sp.Expr) -> bool:
    """Whether an expression is a multiple of relu(h) or of relu(-h)."""
    return expr.as_independent(h)[1] in (relu(h), relu(-h))


def _kind(expr: sp.Expr, given: Any) -> str:
    """polynomial, erf or relu; raise ``ValueError`` for anything else, with what to use instead."""
    if expr.is_polynomial(h) and not expr.has(sp.Max, sp.nan, sp.zoo, sp.oo, sp.I):
        return "polynomial"
    _, rest = expr.as_independent(h)
    if isinstance(rest, sp.erf):
        slope = rest.args[0].coeff(h, 1)
        if sp.expand(rest.args[0] - slope * h) == 0 and slope.is_real:
            return "erf"
    if _is_relu(expr):
        return "relu"
    from lazyrich.theory.stand_in import advice

    series = advice(expr, h)
    raise ValueError(f"activation = {given}: must be {_ALLOWED}{'; ' * bool(series)}{series}")
