"""A closed form: an expression with its named parts, its derivation and its ways of evaluation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.printing.latex import LatexPrinter
from sympy.printing.pretty.pretty import PrettyPrinter
from sympy.printing.pretty.pretty_symbology import pretty_use_unicode
from sympy.printing.pretty.stringpict import prettyForm

from lazyrich.support.arguments import one_of
from lazyrich.theory import generate
from lazyrich.theory.evaluate import value
from lazyrich.theory.partial import partial

Step = tuple[str, Any]  # a sentence and the expression that it leads to
Part = Any  # a SymPy expression, or a tuple of them


@dataclass(frozen=True)
class ClosedForm:
    """A formula of the theory, derived by the code that returns it.

    ``expr`` is the SymPy expression, ``terms`` its named parts, ``steps`` the derivation as pairs
    of a sentence and an expression, ``components`` what belongs to the terms (eigenprojectors,
    parts of the target, gradients), ``source`` the paper's section and equation.
    """

    name: str
    title: str
    expr: Any
    steps: list[Step]
    assumptions: str
    source: str
    terms: Mapping[str, Part] = field(default_factory=dict)
    components: Mapping[str, Part] = field(default_factory=dict)

    def latex(self) -> str:
        """The expression in LaTeX.

        >>> from lazyrich import theory
        >>> print(theory.closed_form("ntk-at-init").latex())
        \\epsilon^{2} \\sigma^{2} \\left(x \\cdot x'\\right)^{2} + \\left(x \\cdot x'\\right)
        """
        return latex(self.expr)

    def pretty(self) -> str:
        """The expression as two-dimensional text."""
        return pretty(self.expr)

    def _repr_latex_(self) -> str:
        """The expression as notebooks show it."""
        return f"${self.latex()}$"

    def arguments(self) -> list[str]:
        """The keywords that ``evaluate`` and ``function`` take."""
        parts = sp.Tuple(*_flat([self.expr, *self.terms.values()]))
        return list(generate.arguments(parts))

    def unknown(self, **values: Any) -> list[str]:
        """The arguments that these values leave without one (arrays tell their dimensions).

        >>> from lazyrich import theory
        >>> theory.closed_form("target-decomposition").unknown(beta=[1, 2])
        []
        """
        symbols = generate.arguments(sp.Tuple(*_flat([self.expr, *self.terms.values()])))
        sizes = {str(n) for k in values if k in symbols for n in getattr(symbols[k], "shape", ())}
        return [name for name in symbols if name not in values and name not in sizes]

    def evaluate(self, **values: Any) -> Any:
        """The value of ``expr``: exact for exact input, a float where a float comes in.

        Scalars are numbers, vectors lists of D entries (or SymPy columns), matrices lists of rows
        (or SymPy matrices). Arguments of the terms alone may be left out. Raises ``ValueError`` for
        a missing or unknown argument or a wrong shape.

        >>> from sympy import Rational
        >>> from lazyrich import theory
        >>> loss = theory.closed_form("test-loss")
        >>> loss.evaluate(alpha=1, epsilon=Rational(1, 2), beta=[2], wbar=[0], M=[[1]])
        147/16
        """
        return _finished(value(self.expr, self._known(values, [self.expr])))

    def evaluate_terms(self, **values: Any) -> dict[str, Any]:
        """The value of each named part, as ``evaluate`` does for the whole."""
        known = self._known(values, list(self.terms.values()))
        return {name: _finished(value(part, known)) for name, part in self.terms.items()}

    def subs(self, **values: Any) -> "ClosedForm":
        """The closed form at the values of some of its symbols; the others stay symbolic.

        Values as in ``evaluate``. Raises ``ValueError`` where only some of the vectors and
        matrices of a bilinear form or a trace have values.

        >>> from lazyrich import theory
        >>> theory.closed_form("target-decomposition").subs(D=3).terms["radial"]
        5*Trace(beta.T*beta)**2/108
        """
        parts = [self.expr, *self.terms.values()]
        everything = generate.arguments(sp.Tuple(*_flat(parts)))
        for name in values:
            one_of("argument", name, everything)
        given = {k: _entries(k, v, everything[k]) for k, v in values.items()}
        sizes = {str(n) for k in given for n in getattr(everything[k], "shape", ())}
        known = generate.complete(
            given, {k: s for k, s in everything.items() if k in given or k in sizes}
        )
        exact = {k: sp.ImmutableMatrix(v) if isinstance(v, list) else v for k, v in known.items()}
        at = ", ".join(f"{name} = {value}" for name, value in values.items())
        return replace(
            self,
            title=f"{self.title} at {at}" if at else self.title,
            expr=partial(self.expr, exact),
            terms={name: partial(term, exact) for name, term in self.terms.items()},
        )

    def function(self, backend: str) -> Callable[..., Any]:
        """``expr`` as a function of keyword arrays on "numpy" or "torch" (see ``generate``)."""
        return generate.function(_whole(self.expr), backend)

    def functions(self, backend: str) -> dict[str, Callable[..., Any]]:
        """Each named part as such a function."""
        return {k: generate.function(_whole(part), backend) for k, part in self.terms.items()}

    def _known(self, values: dict[str, Any], parts: list) -> dict[str, Any]:
        """The values for ``parts``; those for other parts of the closed form are no error."""
        everything = generate.arguments(sp.Tuple(*_flat([self.expr, *self.terms.values()])))
        for name in values:
            one_of("argument", name, everything)
        wanted = generate.arguments(sp.Tuple(*_flat(parts)))
        symbols = {k: s for k, s in everything.items() if k in wanted or k in values}
        values = {k: _entries(k, v, everything[k]) for k, v in values.items()}
        known = generate.complete(values, symbols)
        to_sympy = {True: sp.ImmutableMatrix, False: sp.sympify}
        return {k: to_sympy[isinstance(v, list)](v) for k, v in known.items()}


def _flat(parts) -> list:
    return [p for part in parts for p in (_flat(part) if isinstance(part, tuple) else [part])]


def _whole(part: Part):
    return sp.Tuple(*part) if isinstance(part, tuple) else part


def _entries(name: str, value: Any, symbol: sp.Symbol | MatrixSymbol) -> Any:
    """A number, or a vector as a list of its D entries, or a matrix as a list of rows."""
    try:
        if isinstance(symbol, sp.Symbol):
            return _number(name, sp.sympify(value), symbol)
        value = value.tolist() if hasattr(value, "tolist") else value
        rows = [row if isinstance(row, list | tuple) else [row] for row in value]
        table = [[sp.sympify(entry) for entry in row] for row in rows]
    except (TypeError, sp.SympifyError):
        raise _wrong(name, value, symbol) from None
    lengths = {len(row) for row in table}
    is_column = symbol.shape[1] == 1
    is_numbers = all(isinstance(entry, sp.Expr) for row in table for entry in row)
    if not is_numbers or len(lengths) != 1 or (is_column and lengths != {1}):
        raise _wrong(name, value, symbol)
    return [entry for (entry,) in table] if is_column else table


def _number(name: str, value: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    for law in ("integer", "positive", "nonzero", "real"):
        if getattr(symbol, f"is_{law}") and getattr(value, f"is_{law}") is False:
            raise ValueError(f"{name} = {value}: must be {law}")
    if not isinstance(value, sp.Expr):
        raise TypeError
    return value


def _wrong(name: str, value: Any, symbol: sp.Symbol | MatrixSymbol) -> ValueError:
    kind = "a number"
    if isinstance(symbol, MatrixSymbol):
        kind = "a list of numbers" if symbol.shape[1] == 1 else "a list of equal rows of numbers"
    return ValueError(f"{name} = {value!r}: must be {kind}")


def _finished(result: Any) -> Any:
    """A float where a float came in, immutable matrices."""
    if isinstance(result, tuple):
        return tuple(_finished(item) for item in result)
    if isinstance(result, sp.MatrixBase):
        return sp.ImmutableMatrix(result)
    return float(result) if result.has(sp.Float) else result


class _Latex(LatexPrinter):
    """Scalar products and bilinear forms without a trace, bars on the means."""

    def _print_Trace(self, expr):
        factors = _vector_factors(expr)
        if not factors:
            return rf"\operatorname{{tr}}\left({self._print(expr.arg)}\right)"
        if len(factors) > 2:
            return rf"\left({self._print(expr.arg)}\right)"
        left, right = map(self._print, factors)
        return (
            rf"\left|{left}\right|^{{2}}"
            if left == right
            else rf"\left({left} \cdot {right}\right)"
        )

    def _print_Pow(self, expr):
        if isinstance(expr.base, sp.Trace) and expr.exp.is_Integer and expr.exp > 0:
            text, power = self._print(expr.base), int(expr.exp)
            is_norm = text.startswith(r"\left|")
            return text[:-3] + f"{{{2 * power}}}" if is_norm else f"{text}^{{{power}}}"
        return super()._print_Pow(expr)

    def _print_MatAdd(self, expr):
        terms = [self._print(term) for term in _positive_first(expr)]
        return " + ".join(terms).replace("+ -", "-")

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
        left, right = map(self._print, factors)
        if factors[0] == factors[1]:
            return prettyForm(*left.parens("|", "|")) ** prettyForm("2")
        dot = "·" if self._use_unicode else "."
        return prettyForm(*prettyForm(*left.right(dot, right)).parens())

    def _print_MatAdd(self, expr):
        first, *others = _positive_first(expr)
        text = self._print(first)
        for term in others:
            is_negative = _is_negative(term)
            text = prettyForm(*text.right(" - " if is_negative else " + "))
            text = prettyForm(*text.right(self._print(-term if is_negative else term)))
        text.binding = prettyForm.ADD
        return text

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
    first, *others = trace.arg.args
    return [first.T, *others]


def latex(expr: Any) -> str:
    r"""Any expression of the theory in LaTeX.

    >>> from lazyrich.theory.symbols import M, beta
    >>> print(latex(sp.Trace(beta.T * beta) ** 2 + sp.Trace(M)))
    \left|\beta\right|^{4} + \operatorname{tr}\left(M\right)
    """
    return _Latex().doprint(_whole(expr))


def pretty(expr: Any, *, unicode: bool = True) -> str:
    """Any expression of the theory as two-dimensional text, on demand in ASCII.

    >>> print(pretty(sp.Symbol("alpha") * sp.Symbol("beta") ** 2, unicode=False))
              2
    alpha*beta
    """
    before = pretty_use_unicode(unicode)  # SymPy's printer reads both this and its settings
    try:
        return _Pretty({"use_unicode": unicode, "wrap_line": False}).doprint(_whole(expr))
    finally:
        pretty_use_unicode(before)
