"""Is a formula right? It is compared with what the theory derives, for every dimension D.

``check`` proves that the two are equal, or gives the difference, the smallest exact
counter-example, the special points at which they agree by accident, and what is off in words.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import escaped, one_of, shown
from lazyrich.theory import values
from lazyrich.theory.checking import points
from lazyrich.theory.checking.compare import Plain, decide
from lazyrich.theory.checking.points import Counterexample
from lazyrich.theory.checking.remarks import Remarks
from lazyrich.theory.checking.subjects import EXPECT, Subject, of_expectation, of_form
from lazyrich.theory.closed_form import ClosedForm, latex
from lazyrich.theory.generate import arguments
from lazyrich.theory.grammar import write
from lazyrich.theory.grammar.means import is_mean

if TYPE_CHECKING:
    from lazyrich.theory.problem import Problem

__all__ = ["Check", "Counterexample", "check"]


@dataclass(frozen=True)
class Check:
    """The answer of ``check``; true where the formula is equal, for every dimension unless fixed.

    ``equal`` is True, False, or None where neither could be shown; ``how`` says what shows it.
    ``difference`` is formula - right form; ``special_points`` are conditions under which the two
    agree though they differ; ``words`` say what is off. ``at``: the values that were given.
    """

    name: str
    formula: str
    given: Any
    right: Any
    equal: bool | None
    how: str
    difference: Any
    assumptions: str
    counterexample: Counterexample | None = None
    special_points: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    at: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.equal is True

    @property
    def verdict(self) -> str:
        """One line."""
        if self.equal:
            return f"equal {self._scope}: {self.how}"
        return "not equal" if self.equal is False else f"can't decide: {self.how}"

    @property
    def _scope(self) -> str:
        """Where it is equal; the value of D, or of a vector or matrix, is that of one dimension."""
        if not self.at:
            return "for every D"
        values = points.written(self.at)
        fixed = "D" in self.at or any(
            hasattr(value, "__len__") and not isinstance(value, str) for value in self.at.values()
        )
        return f"at {values}, not shown for other D" if fixed else f"for every D at {values}"

    @property
    def example(self) -> str:
        """The counter-example; of formulas without symbols, the values that made them so."""
        found = self.counterexample
        assert found is not None
        if found.point:
            return f"at {found}"
        where = f"at {points.written(self.at)}" if self.at else "everywhere"
        return f"{where}: {points.plain(found.given)}, not {points.plain(found.right)}"

    def __str__(self) -> str:
        lines = [f"{escaped(self.name)}: {self.verdict}", f"  formula:    {text(self.given)}"]
        if not self.equal:
            lines += [f"  right form: {text(self.right)}", f"  difference: {text(self.difference)}"]
        if self.counterexample:
            lines.append(f"  {self.example}")
        lines += [f"  {word}" for word in self.words]
        if self.special_points:
            lines.append(f"  agrees by accident at {'; '.join(self.special_points)}")
        return "\n".join([*lines, f"Assumes: {self.assumptions}"])

    def _repr_latex_(self) -> str:
        sign = {True: "=", False: r"\neq", None: r"\overset{?}{=}"}[self.equal]
        return rf"$\displaystyle {latex(self.given)} {sign} {latex(self.right)}$"

    def _repr_html_(self) -> str:
        lines = [self.example] if self.counterexample else []
        lines += self.words
        if self.special_points:
            lines.append(f"agrees by accident at {'; '.join(self.special_points)}")
        remarks = "".join(f"<li>{escape(line)}</li>" for line in lines)
        return (
            f"<p><b>{escape(f'{self.name}: {self.verdict}')}</b></p>"
            f"<p>{escape(self._repr_latex_())}</p><ul>{remarks}</ul>"
            f"<p>Assumes: {escape(self.assumptions)}</p>"
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON has it: formulas as text and in LaTeX."""
        point = self.counterexample
        return {
            "name": self.name,
            "equal": self.equal,
            "verdict": self.verdict,
            "formula": {"text": text(self.given), "latex": latex(self.given)},
            "right": {"text": text(self.right), "latex": latex(self.right)},
            "difference": {"text": text(self.difference), "latex": latex(self.difference)},
            "counterexample": point
            and {
                "point": {name: points.as_json(value) for name, value in point.point.items()},
                "formula": points.as_json(point.given),
                "right": points.as_json(point.right),
            },
            "special_points": list(self.special_points),
            "words": list(self.words),
            "at": {name: points.as_json(value) for name, value in self.at.items()},
            "assumptions": self.assumptions,
        }


def text(expr: Any) -> str:
    """An expression as a formula, or in SymPy's words where the grammar has none."""
    try:
        return write(expr)
    except ValueError:
        return str(expr)


def check(
    name: "str | ClosedForm",
    formula: str,
    *,
    over: Collection[str] | None = None,
    covariance: Mapping[str, str] | None = None,
    symmetric: Collection[str] = (),
    vectors: Collection[str] = (),
    matrices: Collection[str] = (),
    scalars: Collection[str] = (),
    at: Mapping[str, Any] | None = None,
    problem: "Problem | None" = None,
    progress: Callable[[float, float], None] | None = None,
) -> Check:
    """Compare a formula with what the theory derives, for every dimension D.

    ``name``: a closed form (``"test-loss"``), a term or component of one
    (``"kernel-alignment.numerator"``, ``"ntk-eigenvalues.radial"``, its ``.multiplicity``), or
    ``"expect:"`` and a polynomial, whose mean ``expectation`` derives under the other arguments; a
    formula with a sign of a mean in it, as in ``"E[(x.x)^2]"``, needs no ``"expect:"``.
    A closed form of your own stands in place of a name too, and with ``problem`` the name is one of
    that problem's closed forms. ``at``: values of some symbols, such as
    ``{"sigma": 1}`` for a formula that has no sigma. Equal is said only where it is proved:
    by canonical forms, or by SymPy's rules where there are roots and functions.

    Raises ``ValueError`` for an unknown name and for a formula that can't be read.

    >>> print(check("ntk-eigenvalues.radial", "epsilon^2 sigma^2 (D + 2)/D^2").verdict)
    equal for every D: both sides have the same canonical form
    >>> eq_20 = "epsilon^2/D^4 |beta|^4 tr(M) + 8 epsilon^2/D^4 beta'M beta |beta|^2"
    >>> check("kernel-alignment.numerator", eq_20).words
    ['too large by the factor 4']
    """
    options = {
        "over": over,
        "covariance": covariance,
        "symmetric": symmetric,
        "vectors": vectors,
        "matrices": matrices,
        "scalars": scalars,
    }
    subject = _subject(name, options, problem, progress)
    if not isinstance(formula, str):
        raise ValueError(f"formula = {shown(formula)}: must be a text such as (beta.x)^2/2")
    if at is not None and not isinstance(at, Mapping):
        raise ValueError(f"at = {shown(at)}: must map names to values, such as {{'sigma': 1}}")
    return _checked(subject, formula, dict(at or {}))


def _subject(
    name: Any, options: dict[str, Any], problem: "Problem | None", progress: Callable | None
) -> Subject:
    from lazyrich import theory
    from lazyrich.theory.calculator import expectation, inner_means

    if is_mean(name) and not name.startswith(EXPECT):
        name = f"{EXPECT} {name}"
    if isinstance(name, str) and name.startswith(EXPECT):
        form = expectation(name.removeprefix(EXPECT).strip(), progress=progress, **options)
        average = inner_means(options)
        return of_expectation(name, form, tuple(options["symmetric"]), average)
    for option, value in options.items():
        if not (value is None or (isinstance(value, Collection) and not len(value))):
            raise ValueError(f"{option} = {shown(value)}: only for a name {EXPECT}FORMULA")
    if problem is not None and not isinstance(problem, theory.Problem):
        raise ValueError(f"problem = {shown(problem)}: must be a theory.Problem")
    if isinstance(name, ClosedForm):
        return of_form(name, [])
    if not isinstance(name, str):
        raise ValueError(f"name = {shown(name)}: must be a name such as 'test-loss'")
    first, *path = name.split(".")
    return of_form((problem or theory).closed_form(first), path)


def _checked(subject: Subject, formula: str, at: dict[str, Any]) -> Check:
    right, given = subject.expr, subject.read(formula)
    right, given = (_at(part, at, subject) for part in (right, given))
    plain = Plain(subject.general)
    decision = decide(right, given, plain)
    equal, how = decision.equal, decision.how
    found, special, words = None, [], []
    if not equal:
        varied = list(arguments(sp.Tuple(right, given)))
        found = points.smallest(right, given, varied, subject.condition)
        if equal is None and found is not None:
            equal = False
        elif equal is None:
            count = points.agreeing(right, given, varied)
            how = f"they agree at {count} simple points, which is no proof"
        if equal is False and not isinstance(right, MatrixExpr):
            remarks = Remarks(right, given, plain)
            special, words = remarks.special_points(), remarks.words()
    return Check(
        name=subject.name,
        formula=formula,
        given=given,
        right=right,
        equal=equal,
        how=how,
        difference=decision.difference,
        assumptions=subject.assumptions,
        counterexample=found,
        special_points=special,
        words=words,
        at=at,
    )


def _at(expr: Any, at: dict[str, Any], subject: Subject) -> Any:
    """An expression at these values, taken exactly."""
    for name, value in at.items():
        one_of("argument", name, subject.names)
        if isinstance(symbol := subject.names[name], sp.Symbol | sp.MatrixSymbol):
            values.read(name, value, symbol)  # also where the formulas don't have it
    form = ClosedForm(subject.name, subject.title, expr, [], subject.assumptions, "")
    exact = {k: sp.Rational(str(v)) if isinstance(v, float) else v for k, v in at.items()}
    return form.subs({k: v for k, v in exact.items() if k in form.symbols}).expr
