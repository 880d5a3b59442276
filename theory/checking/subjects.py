"""What a formula is compared with: a closed form, a term of one, or an expectation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import one_of, shown
from lazyrich.theory import symbols as model
from lazyrich.theory.calculator import InnerMeans
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.generate import arguments
from lazyrich.theory.grammar import conventional
from lazyrich.theory.grammar import names as naming
from lazyrich.theory.grammar.means import Average, read_with_means
from lazyrich.theory.natural import check_size

EXPECT = "expect:"
_PAIR = ("eigenvalue", "multiplicity")


@dataclass(frozen=True)
class Subject:
    """A right form: its name, expression, names, and assumptions."""

    name: str
    title: str
    expr: Any
    assumptions: str
    names: Mapping[str, Any]  # what a formula may contain
    general: tuple[MatrixSymbol, ...] = ()
    condition: Any = sp.true  # where the right form holds
    average: Average = field(default_factory=InnerMeans)  # of the means in a formula

    def read(self, formula: str) -> Any:
        """A formula in the subject's names. Raises ``ValueError`` for what can't be read."""
        new = conventional if self.name.startswith(EXPECT) else _OF_MODEL
        given, _ = read_with_means(formula, self.names, self.average, new=new, kind="any")
        check_size(given, "formula")
        given = self._by_norm(given)
        if given == 0 and isinstance(self.expr, MatrixExpr):
            given = sp.ZeroMatrix(*self.expr.shape)
        shapes = [getattr(part, "shape", ()) for part in (self.expr, given)]
        if shapes[0] != shapes[1]:
            kinds = [_kind(shape) for shape in shapes]
            raise ValueError(f"formula = {formula}: is {kinds[1]}; {self.name} is {kinds[0]}")
        return given

    def _by_norm(self, given: Any) -> Any:
        """Where a form has b = |beta|^2, a formula may say |beta|^2."""
        if self.names.get("b") == model.b and not sp.sympify(self.expr).has(model.beta):
            given = given.xreplace({sp.Trace(model.beta.T * model.beta): model.b})
        return given


def _kind(shape: tuple) -> str:
    return f"a matrix of shape {shape}" if shape else "a scalar"


# Names of the model that a form does not contain are read too: the answer then says so.
_OF_MODEL = naming.New(
    lambda name: conventional(name) if name in naming.OF_THEORY else (), naming.OF_THEORY
)


def of_form(form: ClosedForm, path: list[str]) -> Subject:
    """A closed form, or the part of it under this path of names.

    Raises ``ValueError`` for an unknown part, and for a form of several parts without one.
    """
    parts: dict[str, Any] = {**_items(form.expr), **form.components, **form.terms}
    expr, name, condition = form.expr, form.name, sp.true
    if path:
        if path[0] not in parts and _is_absent(form, path[0], parts):
            parts[path[0]] = sp.S.Zero
        one_of("term", path[0], parts)
        expr, name = parts[path[0]], f"{name}.{path[0]}"
    for i, key in enumerate(path[1:], start=1):
        items = _items(expr)
        one_of(f"part of {'.'.join([form.name, *path[:i]])}", key, items)
        condition = _has_functions(items) if key == _PAIR[0] else condition
        expr, name = items[key], f"{name}.{key}"
    if not path and isinstance(expr, tuple | sp.Tuple):
        raise ValueError(f"name = {shown(name)}: has several parts: {', '.join(_paths(form))}")
    items = _items(expr)
    if set(items) == set(_PAIR):
        expr = items[_PAIR[0]]  # the eigenvalue is what is meant
        condition = _has_functions(items)
    elif items:
        whole = ", ".join(f"{name}.{key}" for key in items)
        raise ValueError(f"name = {shown(name)}: has several parts: {whole}")
    if not isinstance(expr, sp.Expr | MatrixExpr):
        raise ValueError(f"name = {shown(name)}: is no formula but {expr}")
    assumptions = form.assumptions
    if isinstance(expr, sp.Piecewise):
        expr, condition = _finite_case(name, expr)
        assumptions = f"{condition}. {assumptions}"
    everything = sp.Tuple(*_flat([form.expr, *parts.values()]))
    names = arguments(everything)
    average = InnerMeans(given=_laws(names))
    return Subject(name, form.title, expr, assumptions, names, condition=condition, average=average)


def _laws(names: Mapping[str, Any]) -> dict[str, Any]:
    """The covariances of inputs and weights in a form that has these names, where not usual."""
    laws = {name: names["Sigma"] for name in ("x", "x_prime") if "Sigma" in names}
    return laws | ({"w": names["sigma_w"] ** 2 * model.I} if "sigma_w" in names else {})


def _has_functions(items: Mapping[str, Any]) -> Any:
    """Where an eigenvalue is one: not where its multiplicity is 0, such as degree 3 at D = 1."""
    return sp.Gt(items[_PAIR[1]], 0) if set(items) == set(_PAIR) else sp.true


# Forms with a part for each degree that occurs: those of all others are 0.
_BY_DEGREE = ("target-power", "ntk-eigenvalues", "target-decomposition")


def _is_absent(form: ClosedForm, term: str, parts: Mapping[str, Any]) -> bool:
    """Whether a term such as degree_9 is that of a degree which the form has not."""
    family, _, degree = term.rpartition("_")
    has_family = any(re.fullmatch(rf"{re.escape(family)}_\d+", name) for name in parts)
    return form.name.endswith(_BY_DEGREE) and bool(family) and degree.isdecimal() and has_family


def _items(expr: Any) -> dict[str, Any]:
    """The parts of a tuple, or the finite cases of a formula that has several, by name."""
    if isinstance(expr, sp.Piecewise) and len(cases := _finite_cases(expr)) > 1:
        return {str(i): sp.Piecewise(case) for i, case in enumerate(cases, start=1)}
    if not isinstance(expr, tuple | sp.Tuple):
        return {}
    keys = _PAIR if _is_pair(expr) else [str(i + 1) for i in range(len(expr))]
    return dict(zip(keys, expr, strict=True))


def _finite_cases(expr: sp.Piecewise) -> list[tuple[sp.Expr, Any]]:
    cases: Any = expr.args
    return [(value, condition) for value, condition in cases if value.is_infinite is not True]


def _finite_case(name: str, expr: sp.Piecewise) -> tuple[sp.Expr, Any]:
    """The one case in which the formula is finite, and when that is."""
    cases = _finite_cases(expr)
    if len(cases) != 1:
        raise ValueError(f"name = {shown(name)}: has no value to compare")
    return cases[0]


def _is_pair(expr: Any) -> bool:
    """An eigenvalue and its multiplicity, a polynomial in D."""
    if len(expr) != 2 or not all(isinstance(part, sp.Expr) for part in expr):
        return False
    value, multiplicity = expr
    return (
        value.has(model.D)
        and bool(multiplicity.is_polynomial(model.D))
        and (multiplicity.free_symbols <= {model.D})
    )


def _paths(form: ClosedForm) -> list[str]:
    return [f"{form.name}.{term}" for term in form.terms] or [f"{form.name}.1"]


def _flat(parts: Any) -> list:
    return [
        p
        for part in parts
        for p in (_flat(part) if isinstance(part, tuple | sp.Tuple) else [part])
        if isinstance(p, sp.Basic)
    ]


def of_expectation(
    name: str, form: ClosedForm, symmetric: tuple[str, ...], average: InnerMeans
) -> Subject:
    """The mean that ``form`` is; its formulas may contain every name of the integrand."""
    known = arguments(sp.Tuple(form.expr, *(expr for _, expr in form.steps)))
    matrices = {n: s for n, s in known.items() if isinstance(s, MatrixSymbol) and s.shape[1] != 1}
    general = tuple(s for n, s in matrices.items() if n in symmetric)
    return Subject(name, form.title, form.expr, form.assumptions, known, general, average=average)
