"""Expressions of the theory in LaTeX and as two-dimensional text."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE, PRECEDENCE_FUNCTIONS, precedence_Mul
from sympy.printing.pretty.pretty import PrettyPrinter
from sympy.printing.pretty.pretty_symbology import pretty_use_unicode
from sympy.printing.pretty.stringpict import prettyForm


def _precedence(product: sp.MatMul) -> int:
    """SymPy's precedence of a product of matrices, without negating the product to find its sign.

    >>> A, B = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("B", 2, 2)
    >>> [_precedence(p) == precedence_Mul(p) for p in (A * B, -A * B, -sp.Symbol("x") * A)]
    [True, True, True]
    """
    if any(hasattr(factor, "precedence") for factor in product.args):
        return precedence_Mul(product)
    return PRECEDENCE["Add" if _has_minus_sign(product) else "Mul"]


def _has_minus_sign(product: sp.MatMul) -> bool:
    first = product.args[0]
    return bool(first.is_Number and first.is_extended_negative)


# SymPy's table by class: the same brackets as without the entry, in a quarter of the time.
PRECEDENCE_FUNCTIONS["MatMul"] = _precedence


def whole(part: Any) -> Any:
    """A part of a closed form as one object of SymPy: tuples as ``Tuple``."""
    return sp.Tuple(*map(whole, part)) if isinstance(part, tuple | list) else part


class _Latex(LatexPrinter):
    """Scalar products and bilinear forms without a trace, bars on the means."""

    def _print_Trace(self, expr):
        factors = _vector_factors(expr)
        if not factors:
            return rf"\operatorname{{tr}}\left({self._print(expr.arg)}\right)"
        if len(factors) > 2:
            return rf"\left({self._print(expr.arg)}\right)"
        if factors[0] == factors[1]:
            return rf"\left|{self._print(factors[0])}\right|^{{2}}"
        left, right = (
            self.parenthesize(factor, PRECEDENCE["Mul"], strict=True) for factor in factors
        )
        return rf"\left({left} \cdot {right}\right)"

    def _print_Pow(self, expr):
        if isinstance(expr.base, sp.Trace) and expr.exp.is_Integer and expr.exp > 0:
            text, power = self._print(expr.base), int(expr.exp)
            is_norm = text.startswith(r"\left|")
            return text[:-3] + f"{{{2 * power}}}" if is_norm else f"{text}^{{{power}}}"
        return super()._print_Pow(expr)

    def _print_MatAdd(self, expr):
        terms = [self._print(term) for term in _positive_first(expr)]
        return " + ".join(terms).replace("+ -", "-")

    def _print_MatMul(self, expr):
        """A product as by SymPy, which negates it to find its sign: slow."""
        factors, sign = list(expr.args), ""
        if _has_minus_sign(expr):
            sign = "- "
            factors = factors[1:] if factors[0] == -1 else [-factors[0], *factors[1:]]
        return sign + " ".join(self._factor(factor, expr) for factor in factors)

    def _factor(self, factor, product):
        if isinstance(factor, sp.Mul) and not isinstance(factor, sp.MatMul):
            return self._print(factor)
        return self.parenthesize(factor, _precedence(product))

    def _print_DiagMatrix(self, expr):
        return rf"\operatorname{{diag}}\left({self._print(expr.args[0])}\right)"

    def _print_Identity(self, expr):  # noqa: ARG002
        return "I"

    def _print_MatrixSymbol(self, expr):
        names = {"wbar": r"\bar{w}", "wbar0": r"\bar{w}_{0}", "M0": "M_{0}", "x'": "x'"}
        return names.get(expr.name) or super()._print_MatrixSymbol(expr)

    def _print_Transpose(self, expr):
        return self.parenthesize(expr.arg, 100) + "^{T}"


class _Pretty(PrettyPrinter):
    """The same as text."""

    def _print_Trace(self, expr):
        factors = _vector_factors(expr)
        if not factors:
            return super()._print_Trace(expr)
        if len(factors) > 2:
            return prettyForm(*self._print(expr.arg).parens())
        if factors[0] == factors[1]:
            return prettyForm(*self._print(factors[0]).parens("|", "|")) ** prettyForm("2")
        left, right = map(self._factor, factors)
        dot = "·" if self._use_unicode else "."
        return prettyForm(*prettyForm(*left.right(dot, right)).parens())

    def _factor(self, expr):
        text = self._print(expr)
        return prettyForm(*text.parens()) if expr.is_MatAdd else text

    def _print_MatAdd(self, expr):
        first, *others = _positive_first(expr)
        text = self._print(first)
        for term in others:
            is_negative = _is_negative(term)
            text = prettyForm(*text.right(" - " if is_negative else " + "))
            text = prettyForm(*text.right(self._print(-term if is_negative else term)))
        text.binding = prettyForm.ADD
        return text

    def _print_Mul(self, product):
        """A product as by SymPy, which loads all units of physics for it: slow."""
        if product.args[0] == 1 or any(factor.is_Number for factor in product.args[1:]):
            return super()._print_Mul(product)  # written out, not evaluated
        above, below = [], []
        for factor in product.as_ordered_factors():
            if factor.is_Rational and not factor.is_infinite:
                above += [sp.Integer(factor.p)] * (factor.p != 1)
                below += [sp.Integer(factor.q)] * (factor.q != 1)
            elif (
                factor.is_commutative
                and factor.is_Pow
                and factor.exp.is_Rational
                and factor.exp.is_negative
            ):
                below.append(sp.Pow(factor.base, -factor.exp, evaluate=factor.exp == -1))
            else:
                above.append(factor)
        text = prettyForm.__mul__(*map(self._print, above or [sp.S.One]))
        return text / prettyForm.__mul__(*map(self._print, below)) if below else text

    def _print_DiagMatrix(self, expr):
        return prettyForm(*prettyForm(*self._print(expr.args[0]).parens()).left("diag"))

    def _print_Identity(self, expr):  # noqa: ARG002
        return prettyForm("I")


def _is_negative(term) -> bool:
    return term.as_coeff_matrices()[0].could_extract_minus_sign() if term.is_MatMul else False


def _positive_first(total: sp.MatAdd) -> list:
    return sorted(total.args, key=_is_negative)


def _vector_factors(trace: sp.Trace) -> list:
    """[a, ..., b] of the 1 x 1 matrix a^T ... b, with a untransposed; [] for a proper trace."""
    if trace.arg.shape[0] != 1 or not isinstance(trace.arg, sp.MatMul):
        return []
    coefficient, (first, *others) = trace.arg.as_coeff_matrices()
    return [coefficient * first.T, *others]


def latex(expr: Any) -> str:
    r"""Any expression of the theory in LaTeX.

    >>> from lazyrich.theory.symbols import M, beta
    >>> print(latex(sp.Trace(beta.T * beta) ** 2 + sp.Trace(M)))
    \left|\beta\right|^{4} + \operatorname{tr}\left(M\right)
    """
    return _Latex().doprint(whole(expr))


def shortened(expr: Any, length: int = 200) -> str:
    """An expression on one line, as the grammar writes it; cut off after ``length`` characters.

    >>> from lazyrich.theory.symbols import D, alpha
    >>> shortened(alpha**2 / D), shortened(alpha**2 / D, length=8)
    ('alpha^2/D', 'alpha...')
    """
    text = _formula(whole(expr))
    return text if len(text) <= length else text[: length - 3] + "..."


def _formula(expr: Any) -> str:
    from lazyrich.theory.grammar import write

    if isinstance(expr, sp.Tuple):
        return f"({', '.join(map(_formula, expr))})"
    try:
        return write(expr)
    except (ValueError, TypeError):
        return " ".join(str(expr).split())


def displayed(expr: Any, terms: Mapping[str, Any] = MappingProxyType({})) -> str:
    r"""An expression with its named terms in LaTeX, as notebooks show them: each in a row.

    Where the expression is the tuple of the terms, these are enough.

    >>> from lazyrich.theory.symbols import alpha
    >>> print(displayed(alpha, {"square_term": alpha**2}))
    $\begin{array}{l}
    \displaystyle \alpha \\[6pt]
    \displaystyle \text{square term} = \alpha^{2}
    \end{array}$
    """
    rows = [] if terms and whole(tuple(terms.values())) == whole(expr) else [latex(expr)]
    for name, term in terms.items():
        if whole(term) != whole(expr):
            words = name.replace("_", " ")
            rows.append(rf"\text{{{words}}} = {latex(term)}")
    body = " \\\\[6pt]\n".join(rf"\displaystyle {row}" for row in rows)
    return f"${body}$" if len(rows) == 1 else f"$\\begin{{array}}{{l}}\n{body}\n\\end{{array}}$"


def pretty(expr: Any, *, unicode: bool = True) -> str:
    """Any expression of the theory as two-dimensional text, on demand in ASCII.

    >>> pretty(sp.Symbol("alpha"), unicode=False)
    'alpha'
    """
    before = pretty_use_unicode(unicode)  # SymPy's printer reads both this and its settings
    try:
        return _Pretty({"use_unicode": unicode, "wrap_line": False}).doprint(whole(expr))
    finally:
        pretty_use_unicode(before)
