"""A closed form: an expression with its named parts, its derivation and its ways of evaluation."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import one_of, shown
from lazyrich.theory import arrays, generate, values
from lazyrich.theory.evaluate import value
from lazyrich.theory.printing import displayed, latex, pretty, shortened, whole
from lazyrich.theory.symbols import D, Sigma, b

__all__ = ["ClosedForm", "Step", "latex", "pretty"]

Step = tuple[str, Any]  # a sentence and the expression that it leads to
Part = Any  # a SymPy expression, or a tuple of them
Symbol = sp.Symbol | MatrixSymbol


@dataclass(frozen=True, repr=False)
class ClosedForm:
    """A formula of the theory, derived by the code that returns it.

    ``expr`` is the SymPy expression, ``terms`` its named parts, ``steps`` the derivation as pairs
    of a sentence and an expression, ``components`` what belongs to the terms (eigenprojectors,
    parts of the target, gradients), ``source`` the paper's section and equation, ``cancelled`` the
    symbols of the question that the formula does not depend on: they may be given values too;
    ``covariances`` those of the vectors that were integrated out, by vector.

    Notebooks show the formula with its terms.

    >>> from lazyrich import theory
    >>> theory.closed_form("ntk-at-init")                         # doctest: +ELLIPSIS
    <ClosedForm ntk-at-init: The normalised kernel at initialisation ...
      epsilon^2 sigma^2 (x.x_prime)^2 + x.x_prime
      terms: ntk, ntk_normalised>
    """

    name: str
    title: str
    expr: Any
    steps: list[Step]
    assumptions: str
    source: str
    terms: Mapping[str, Part] = field(default_factory=dict)
    components: Mapping[str, Part] = field(default_factory=dict)
    cancelled: Mapping[str, Symbol] = field(default_factory=dict)
    covariances: Mapping[str, Any] = field(default_factory=dict)

    @property
    def symbols(self) -> dict[str, Symbol]:
        """The symbols of ``expr`` and ``terms`` by name: the keywords of ``evaluate``.

        >>> from lazyrich import theory
        >>> theory.closed_form("target-decomposition").symbols
        {'D': D, 'beta': beta}
        """
        return generate.arguments(whole((self.expr, *self.terms.values())))

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

    def __repr__(self) -> str:
        formula = f"\n  {shortened(self.expr)}"
        terms = f"\n  terms: {', '.join(self.terms)}" if self.terms else ""
        return f"<ClosedForm {self.name}: {self.title}{formula}{terms}>"

    def _repr_html_(self) -> str:
        """The title, the formula for the notebook's MathJax, and what it assumes."""
        return (
            f"<p><b>{escape(self.name)}</b>: {escape(self.title)}</p>"
            f"<p>{escape(self._repr_latex_())}</p><p>Assumes: {escape(self.assumptions)}</p>"
        )

    def _repr_latex_(self) -> str:
        """The expression and its terms, as notebooks show them."""
        return displayed(self.expr, self.terms)

    def arguments(self) -> list[str]:
        """The keywords that ``evaluate`` and ``function`` take."""
        return list(self.symbols)

    def evaluate(self, **point: Any) -> Any:
        """The value of ``expr``: exact for exact input, a float where a float comes in.

        Scalars are numbers, vectors lists of D entries (or SymPy columns), matrices lists of rows
        (or SymPy matrices). Text such as "1/4" or "0.1" is read exactly. Arguments of the terms
        alone may be left out. The value is complex where the formula is, and infinite where it says
        so. Raises ``ValueError`` for a missing or unknown argument, for a value that does not fit
        its symbol, where the formula has no value, and where a value of floats leaves their range:
        exact numbers have any size.

        >>> from lazyrich import theory
        >>> loss = theory.closed_form("test-loss")
        >>> loss.evaluate(alpha=1, epsilon="1/2", beta=[2], wbar=[0], M=[[1]])
        147/16
        """
        known = self._known(self._with_norm(point), [self.expr])
        found = self._finished(value(self.expr, known), point)
        self._check_defined(found)
        return found

    def evaluate_terms(self, **point: Any) -> dict[str, Any]:
        """The value of each named part, as ``evaluate`` does for the whole; nan where it has none.

        >>> from lazyrich import theory
        >>> theory.closed_form("test-loss").evaluate_terms(
        ...     alpha=1, epsilon="1/2", beta=[2], wbar=[0], M=[[1]]
        ... )
        {'variance': 49/16, 'misalignment': 49/8, 'linear': 0}
        """
        known = self._known(self._with_norm(point), list(self.terms.values()))
        return {
            name: self._finished(value(part, known), point) for name, part in self.terms.items()
        }

    def subs(self, point: Mapping[Any, Any] | None = None, /, **more: Any) -> "ClosedForm":
        """The closed form with values for some of its symbols; the others stay symbols.

        ``point`` and keywords map names or symbols to values as of ``evaluate``. A dimension is
        the size of the vectors and matrices that stay, too. The derivation stays that of the
        general formula. Raises ``ValueError`` for a symbol that is not one of
        ``symbols``, also if it has the name of one.

        >>> from lazyrich import theory
        >>> theory.closed_form("ntk-eigenvalues").subs(D=100, epsilon="1/2").terms["radial"]
        (51*sigma**2/20000, 1)
        """
        point = self._with_norm({**(point or {}), **more})
        point = {self._name_of(key): given for key, given in point.items()}
        known = self._read(point)
        shapes = {k: s for k, s in self._named().items() if k in point}
        sizes = arrays.sizes(known, shapes)
        known |= {k: sp.Integer(v) for k, v in sizes.items() if k not in known}
        at = {k: _to_sympy(v) for k, v in known.items()}
        expr = self._finished(_partly(self.expr, at), point)
        self._check_defined(expr)
        text = _at(point)
        return replace(
            self,
            title=f"{self.title} at {text}" if text else self.title,
            expr=expr,
            terms={n: self._finished(_partly(part, at), point) for n, part in self.terms.items()},
        )

    def function(self, backend: str) -> Callable[..., Any]:
        """``expr`` as a function of keyword arrays on "numpy" or "torch" (see ``generate``)."""
        return generate.function(whole(self.expr), backend)

    def functions(self, backend: str) -> dict[str, Callable[..., Any]]:
        """Each named part as such a function."""
        return {k: generate.function(whole(part), backend) for k, part in self.terms.items()}

    def _known(self, point: dict[str, Any], parts: list) -> dict[str, Any]:
        """The values for ``parts``; those for other parts of the closed form are no error."""
        everything = self._named()
        read = self._read(point)
        wanted = generate.arguments(whole(tuple(parts)))
        symbols = {k: s for k, s in everything.items() if k in wanted or k in point}
        return {k: _to_sympy(v) for k, v in arrays.complete(read, symbols).items()}

    def _read(self, point: dict[str, Any]) -> dict[str, Any]:
        """The values in SymPy, each checked against its symbol."""
        symbols = self._named()
        for name in point:
            one_of("argument", name, symbols)
        found = {name: values.read(name, given, symbols[name]) for name, given in point.items()}
        laws = {"Sigma": Sigma} if symbols.get("Sigma") == Sigma else {}
        for name, covariance in (laws | dict(self.covariances)).items():
            _check_covariance(name, covariance, found, symbols)
        return found

    def _named(self) -> dict[str, Symbol]:
        """Every symbol that may be given a value, by name."""
        return {**self.cancelled, **self.symbols}

    def refuse_others(self, names: Iterable[str]) -> None:
        """Raise ``ValueError`` for a name that stands for nothing in the formula.

        >>> from lazyrich import theory
        >>> theory.closed_form("early-plateau").refuse_others(["P", "beta"])   # b is |beta|^2
        >>> theory.closed_form("early-plateau").refuse_others(["q"])
        Traceback (most recent call last):
        ...
        ValueError: argument = 'q': Allowed: D, P, b
        """
        known = self._named()
        for name in names:
            if not known:
                raise ValueError(f"argument = {shown(name)}: {self.name} has no symbols")
            if name != self._norm:
                one_of("argument", name, known)

    @property
    def _norm(self) -> str | None:
        """The name of the vector that is there only by its square, the symbol b; None if none."""
        named = self._named()
        return "beta" if named.get("b") == b and "beta" not in named else None

    def _with_norm(self, point: Mapping[Any, Any]) -> dict[Any, Any]:
        """The values, with those of b and D in the place of a vector whose square is b."""
        name, point = self._norm, dict(point)
        if name is None or name not in point:
            return point
        if "b" in point:
            raise ValueError(f"b, {name}: must be given one of them, b = |{name}|^2")
        entries = values.table(name, point.pop(name), MatrixSymbol(name, D, 1))
        if values.number(point.setdefault("D", len(entries))) != len(entries):
            raise ValueError(f"{name} has {len(entries)} entries: must be D = {point['D']}")
        if "D" not in self._named():
            del point["D"]
        return point | {"b": sp.Add(*(entry**2 for entry in entries))}

    def _name_of(self, key: Any) -> str:
        """The name of one of the form's symbols, given by name or as the symbol itself."""
        if isinstance(key, str):
            return one_of("argument", key, self._named())
        name = generate.python_name(key) if isinstance(key, sp.Symbol | MatrixSymbol) else key
        if self._named().get(name) != key:
            other = f"another {key} than that of" if name in self.symbols else f"{key!r}: not in"
            raise ValueError(
                f"{other} {self.name}, whose symbols are {', '.join(self.symbols)} (``symbols``)"
            )
        return name

    def _finished(self, result: Any, point: Mapping[Any, Any]) -> Any:
        """See ``_finished``; an error says what was given."""
        try:
            return _finished(result)
        except OverflowError as error:
            raise ValueError(
                f"{_at(point)}: {self.name} has a value of {error} there, outside of the range of "
                "floats (1e-308 to 1e+308); whole numbers and fractions are exact, of any size"
            ) from None

    def _check_defined(self, found: Any) -> None:
        if any(item in (sp.nan, sp.zoo) or item != item for item in _leaves(found)):
            raise ValueError(f"{self.name} has no value here. It assumes: {self.assumptions}")


def _check_covariance(
    name: str, covariance: Any, known: dict[str, Any], symbols: dict[str, Symbol]
) -> None:
    """Raise ``ValueError`` where the values make a covariance indefinite; none if some lack."""
    needed = generate.arguments(covariance)
    if needed.keys().isdisjoint(known):
        return
    sizes = arrays.sizes(known, {n: s for n, s in symbols.items() if n in known})
    if not covariance.has(MatrixSymbol):
        sizes = {"D": 1} | sizes  # a multiple of the unit matrix
    at = {n: sp.Integer(v) for n, v in sizes.items()} | {n: _to_sympy(v) for n, v in known.items()}
    if needed.keys() <= at.keys():
        matrix = value(covariance, at)
        if not matrix.free_symbols:
            values.check_covariance(name, sp.matrix2numpy(matrix, dtype=float))


def _to_sympy(given: Any) -> Any:
    return sp.ImmutableMatrix(given) if isinstance(given, list) else sp.sympify(given)


def _at(point: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name} = {shown(given)}" for name, given in point.items())


def _partly(part: Part, known: Mapping[str, Any]) -> Any:
    """The value of a part where its symbols have one, else the part at those that have."""
    is_complete = generate.arguments(whole(part)).keys() <= known.keys()
    return value(part, known, free=not is_complete)


def _leaves(part: Any) -> Iterator[Any]:
    if isinstance(part, tuple | list | sp.Tuple | sp.MatrixBase):
        for item in part:
            yield from _leaves(item)
    else:
        yield part


def _finished(result: Any) -> Any:
    """A float or complex where a float came in, immutable matrices, nan where there is no value.

    Raises ``OverflowError``, with the number, for one that no float comes near.
    """
    if isinstance(result, tuple):
        return tuple(map(_finished, result))
    if isinstance(result, sp.MatrixBase):
        for entry in result:
            _finished(entry)
        return sp.ImmutableMatrix(result)
    if result == sp.zoo:
        return sp.nan
    if not result.has(sp.Float) or result.free_symbols or isinstance(result, MatrixExpr):
        return result
    try:
        found: complex = float(result)
    except TypeError:
        found = complex(result)
    for part, exact in ((found.real, sp.re(result)), (found.imag, sp.im(result))):
        is_small = abs(part) < sys.float_info.min and not exact.is_zero
        if is_small or (math.isinf(part) and exact.is_finite):
            raise OverflowError(str(sp.N(exact, 3)))
    return found
