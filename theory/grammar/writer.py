"""Write a SymPy expression as a text that ``read`` reads back."""

import re
from typing import Any

import sympy as sp

from lazyrich.support.arguments import shown
from lazyrich.theory.generate import python_name

_SUM, _PRODUCT, _ATOM = range(3)  # how tightly a text binds
_FUNCTIONS = {
    kind: kind.__name__.lower()
    for kind in (
        *(sp.exp, sp.log, sp.erf, sp.sin, sp.cos, sp.tan, sp.asin, sp.acos, sp.atan),
        *(sp.sinh, sp.cosh, sp.tanh, sp.asinh, sp.sign, sp.Abs, sp.Max, sp.Min),
    )
} | {sp.gamma: "Gamma", sp.binomial: "binom", sp.factorial: "factorial"}
_Text = tuple[str, int]


def write(expr: Any) -> str:
    """The text of a scalar, vector or matrix, as short as one writes it in a paper.

    Raises ``ValueError`` for an expression that the grammar has no words for.

    >>> from lazyrich.theory.symbols import D, M, beta, epsilon, x
    >>> write(3 * epsilon * sp.Trace(beta.T * M * beta) ** 2 / (4 * D) - sp.Trace(beta.T * x))
    "3 epsilon (beta'M beta)^2/(4 D) - beta.x"
    """
    return _text(sp.sympify(expr))[0]


def _text(expr: Any) -> _Text:
    for kind, rule in _RULES.items():
        if isinstance(expr, kind):
            return rule(expr)
    if expr.func in _FUNCTIONS:
        inside = ", ".join(_text(part)[0] for part in expr.args)
        return f"{_FUNCTIONS[expr.func]}({inside})", _ATOM
    raise ValueError(f"expr = {expr}: {type(expr).__name__} can't be written as a formula")


def _within(expr: Any, level: int) -> str:
    """The text, in brackets if it binds less tightly than ``level``."""
    text, own = _text(expr)
    return f"({text})" if own < level else text


def _name(symbol: Any) -> _Text:
    name = python_name(symbol)
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"name = {shown(name)}: must be letters, digits and underscores")
    return name, _ATOM


def _number(value: sp.Rational) -> _Text:
    if value < 0:
        return f"-{-value}", _SUM
    return str(value), _ATOM if value.is_Integer else _PRODUCT


def _sum(expr: sp.Add | sp.MatAdd) -> _Text:
    terms = expr.as_ordered_terms() if isinstance(expr, sp.Add) else expr.args
    texts = [_text(term)[0] for term in terms]
    first, *others = sorted(texts, key=lambda text: text.startswith("-"))
    signed = (f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in others)
    return first + "".join(signed), _SUM


def _product(expr: sp.Expr) -> _Text:
    coefficient, rest = expr.as_coeff_Mul()
    sign, coefficient = ("-", -coefficient) if coefficient < 0 else ("", coefficient)
    above, below = [], []
    for factor in sp.Mul.make_args(rest):
        exponent = factor.exp if isinstance(factor, sp.Pow) else sp.S.One
        if exponent.is_number and exponent.is_negative:
            below.append(1 / factor)
        elif factor != 1:
            above.append(factor)
    return _quotient(sign, coefficient, [_within(f, _PRODUCT) for f in above], below)


def _quotient(sign: str, coefficient: sp.Rational, above: list[str], below: list) -> _Text:
    numerator, denominator = sp.Integer(coefficient.p), sp.Integer(coefficient.q)
    if numerator != 1 or not above:
        above = [str(numerator), *above]
    text = sign + " ".join(above)
    if denominator != 1:
        below = [denominator, *below]
    if below:
        texts = [_within(factor, _PRODUCT) for factor in below]
        is_one = len(texts) == 1 and _text(below[0])[1] != _PRODUCT  # an atom, or in brackets
        text += f"/{texts[0]}" if is_one else f"/({' '.join(texts)})"
    return text, _SUM if sign else _PRODUCT


def _power(expr: sp.Pow) -> _Text:
    if expr.exp.is_number and expr.exp.is_negative:
        return _quotient("", sp.S.One, [], [1 / expr])
    if expr.exp == sp.Rational(1, 2):
        ends = _same_ends(expr.base)
        return (f"|{ends}|" if ends else f"sqrt({_text(expr.base)[0]})"), _ATOM
    if (ends := _same_ends(expr.base)) and expr.exp.is_Rational:
        base, exponent = f"|{ends}|", 2 * expr.exp
    elif expr.base == sp.E:
        return f"exp({_text(expr.exp)[0]})", _ATOM
    else:
        base, exponent = _within(expr.base, _ATOM), expr.exp
        if isinstance(expr.base, sp.Pow):
            base = f"({_text(expr.base)[0]})"
    return f"{base}^{_within(exponent, _ATOM)}", _ATOM


def _same_ends(expr: Any) -> str:
    """The vector a where an expression is |a|^2; "" elsewhere."""
    if not (isinstance(expr, sp.Trace) and isinstance(expr.arg, sp.MatMul)):
        return ""
    factors = expr.arg.args
    if len(factors) != 2 or expr.arg.shape[0] != 1 or factors[1] != factors[0].T:
        return ""
    return _text(factors[1])[0]


def _trace(expr: sp.Trace) -> _Text:
    if expr.arg.shape[0] != 1:
        return f"tr({_text(expr.arg)[0]})", _ATOM
    if isinstance(expr.arg, sp.MatAdd):
        return _text(sp.Add(*map(sp.Trace, expr.arg.args)))
    coefficient, factors = expr.arg.as_coeff_mmul()
    if coefficient != 1:
        return _text(coefficient * sp.Trace(factors))
    if ends := _same_ends(expr):
        return f"|{ends}|^2", _PRODUCT
    factors = expr.arg.args
    if len(factors) == 2:
        left, right = (_within(v, _ATOM) for v in (factors[0].T, factors[1]))
        if not left.startswith("(") and not right.startswith("("):
            return f"{left}.{right}", _PRODUCT
    return _chain(factors), _PRODUCT


def _chain(factors: Any) -> str:
    text = ""
    for factor in factors:
        part = _within(factor, _ATOM)
        text += part if not text or text.endswith("'") else f" {part}"
    return text


def _matrix_product(expr: sp.MatMul) -> _Text:
    scalar, factors = expr.as_coeff_matrices()
    matrices = _chain(factors)
    if scalar == 1:
        return matrices, _PRODUCT
    if scalar.is_Rational:
        sign, scalar = ("-", -scalar) if scalar < 0 else ("", scalar)
        return _quotient(sign, scalar, [matrices], [])
    sign, scalar = ("-", -scalar) if scalar.as_coeff_Mul()[0] < 0 else ("", scalar)
    text, level = _text(scalar)
    is_fraction = sp.fraction(scalar)[1] != 1
    inside = f"({text})" if is_fraction or level < _PRODUCT else text
    return f"{sign}{inside} {matrices}", _SUM if sign else _PRODUCT


def _transpose(expr: sp.Transpose) -> _Text:
    return f"{_within(expr.arg, _ATOM)}'", _ATOM


def _matrix_power(expr: sp.MatPow) -> _Text:
    base = _within(expr.base, _ATOM)
    if base.endswith("'"):
        base = f"({base})"
    return f"{base}^{_number(expr.exp)[0]}", _ATOM


def _pi(_: Any) -> _Text:
    return "pi", _ATOM


# The first that fits: an inverse is a power too.
_RULES: dict[type, Any] = {
    sp.Rational: _number,
    sp.Symbol: _name,
    sp.MatrixSymbol: _name,
    sp.Add: _sum,
    sp.MatAdd: _sum,
    sp.MatMul: _matrix_product,
    sp.Mul: _product,
    sp.exp: lambda expr: (f"exp({_text(expr.args[0])[0]})", _ATOM),
    sp.Pow: _power,
    sp.Trace: _trace,
    sp.Transpose: _transpose,
    sp.MatPow: _matrix_power,
    sp.Identity: lambda _: ("I", _ATOM),
    sp.ZeroMatrix: lambda _: ("0", _ATOM),
    sp.DiagMatrix: lambda expr: (f"diag({_text(expr.args[0])[0]})", _ATOM),
    type(sp.pi): _pi,
    type(sp.E): lambda _: ("exp(1)", _ATOM),
}
