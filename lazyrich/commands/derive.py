"""``lazyrich derive``: print a closed form, its derivation, or its value. Never loads torch."""

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from lazyrich.commands.expectations import expectation_options, expected
from lazyrich.commands.points import at_option
from lazyrich.commands.points import point as at_point
from lazyrich.commands.typed import errors_as_typed
from lazyrich.support.format_option import format_option
from lazyrich.support.problems import problem_options
from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.theory import ClosedForm, Problem

MOST_TERMS = 6  # of a mean, that are typeset side by side
WIDEST = 100  # columns of a tuple in one line
MISSING = "Not available, and why"
FORMATS = ("pretty", "latex", "python", "json")


@click.command("derive", short_help="Print a closed form, its derivation or its value.")
@click.argument("name", required=False)
@at_option
@format_option("How to print it.", FORMATS)
@click.option("--steps", is_flag=True, help="Show the derivation as well.")
@click.option(
    "--expect",
    "formula",
    metavar="FORMULA",
    help="Derive the mean of this polynomial over its Gaussian vectors, in place of NAME.",
)
@expectation_options
@problem_options
@quiet_option
@errors_as_typed
def command(
    name: str | None,
    assignments: tuple[str, ...],
    form: str,
    steps: bool,
    formula: str | None,
    described: dict[str, str],
    quiet: bool,
    **declarations: tuple[str, ...],
) -> None:
    """Print the closed form NAME, derived for symbolic dimension D. Without NAME, list them all.

    Use it to look up a formula of the theory, to see how it is derived, or to get it in LaTeX,
    Python or JSON.

    With --activation, --target or --readouts the closed forms are those of your own network.

    Values of --at for only some of the symbols leave the others symbolic.

    With --expect, or with E[...] as NAME, derive the mean of any polynomial in forms of Gaussian
    vectors. x, x_prime and x_1 are inputs, of covariance I/D; w and w_1 weights, of covariance
    sigma^2 I; --cov gives another one. Matrices are capital letters, symmetric only with
    --symmetric.

    \b
    Examples:
      lazyrich derive
      lazyrich derive ntk-eigenvalues --steps
      lazyrich derive test-loss --format latex
      lazyrich derive ntk-eigenvalues --at D=3 --at epsilon=1/4 --at sigma=1
      lazyrich derive --expect "(x'Ax)^2 (b.x)^2" --symmetric A --at D=100
      lazyrich derive --expect "(x'A x_prime)^2" --over x --cov x=Sigma
      lazyrich derive --activation "h + c*h^3"
      lazyrich derive ntk-eigenvalues --activation "h + c*h^3" --readouts trained
    """
    from lazyrich import theory

    if formula is None and name is not None and name not in theory.names():
        from lazyrich.theory.grammar.means import is_mean  # here: it takes a while

        if is_mean(name):
            name, formula = None, name
    problem = theory.Problem(**described) if described else None
    names, closed_form = (problem or theory).names, (problem or theory).closed_form
    if formula is not None and (name is not None or described):
        other = f"NAME ({name})" if name else f"--{next(iter(described))}"
        raise ValueError(f"--expect {formula}: takes no {other} as well")
    if formula is None and (unused := [key for key, value in declarations.items() if value]):
        raise ValueError(f"--{unused[0]}: needs --expect FORMULA")
    if name is None and formula is None:
        if assignments or steps:
            raise ValueError(f"--at and --steps need a NAME: one of {', '.join(names())}")
        listing = _own_groups(problem) if problem else theory.groups()
        click.echo(json.dumps(listing, indent=2) if form == "json" else _listing(listing))
        return
    point = at_point(assignments)
    if formula is not None:
        found = expected(formula, declarations, quiet)
    else:
        assert name is not None
        with progress_bar("deriving", quiet):
            found = closed_form(name)
    found.refuse_others(point)
    write = {"pretty": _pretty, "latex": _latex, "python": _python, "json": _json}[form]
    click.echo(write(found, point, steps))


def _own_groups(problem: "Problem") -> dict[str, dict[str, str]]:
    """What is derived for the user's problem, and what is not and why."""
    listing = {"Derived for this problem": problem.names()}
    missing = problem.not_available()
    return listing | {MISSING: missing} if missing else listing


def _listing(groups: dict[str, dict[str, str]]) -> str:
    """Each name with its line; of what is not available, each reason with its names."""
    width = max(len(name) for entries in groups.values() for name in entries)
    lines = []
    for group, entries in groups.items():
        lines.append(group)
        if group == MISSING:
            lines += _by_reason(entries)
        else:
            lines += [f"  {name:{width}}  {line}" for name, line in entries.items()]
        lines.append("")
    return "\n".join(lines[:-1])


def _by_reason(missing: dict[str, str]) -> list[str]:
    lines: list[str] = []
    for reason in dict.fromkeys(missing.values()):
        names = ", ".join(name for name, why in missing.items() if why == reason)
        lines.append(f"  {reason}:")
        lines += [f"    {line}" for line in textwrap.wrap(names, 84, break_on_hyphens=False)]
    return lines


def _parts(closed_form: "ClosedForm", point: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The expression and its terms, with the values of the point."""
    if not point:
        return closed_form.expr, dict(closed_form.terms)
    found = closed_form.subs(**point)
    return found.expr, dict(found.terms)


def _pretty(closed_form: "ClosedForm", point: dict[str, Any], steps: bool) -> str:
    import sympy

    from lazyrich.theory.closed_form import pretty

    unicode = _prints("β w̄ ⎛ │ ⋅ ∞")

    def block(expression: Any, indent: str = "    ") -> str:
        """A long tuple has its parts below each other, each under its number."""
        lines = pretty(expression, unicode=unicode).splitlines()
        if isinstance(expression, tuple | sympy.Tuple) and max(map(len, lines)) > WIDEST:
            items = enumerate(expression, start=1)
            return "\n\n".join(f"{indent}{i}:\n\n{block(e, indent + '  ')}" for i, e in items)
        return "\n".join(indent + line.rstrip() for line in lines)

    whole, terms = _parts(closed_form, point)
    at = ", ".join(f"{key} = {value}" for key, value in point.items())
    shown = _by_terms(whole) if closed_form.name == "expectation" else None
    lines = [f"{closed_form.title}{' at ' + at if at else ''}", ""]
    if sympy.sympify(whole) != sympy.sympify(tuple(terms.values())):  # they follow one by one
        lines += [shown or block(whole), ""]
    for name, term in terms.items():
        lines += [f"  {name}:", "", block(term), ""]
    if steps:
        lines += ["Derivation", ""]
        for number, (sentence, expression) in enumerate(closed_form.steps, start=1):
            lines += [f"  {number}. {sentence}", "", block(expression), ""]
    lines += [f"Assumes: {closed_form.assumptions}", f"Source:  {closed_form.source}"]
    return "\n".join(lines)


def _by_terms(total: Any) -> str | None:
    """A long sum as formulas of one line each; None for any other expression."""
    from lazyrich.theory.grammar import write

    if not total.is_Add or len(total.args) <= MOST_TERMS:
        return None
    terms = [write(term) for term in total.as_ordered_terms()]
    return "\n".join(f"    - {t[1:]}" if t.startswith("-") else f"    + {t}" for t in terms)


def _prints(text: str) -> bool:
    """Whether standard output has all of these characters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _latex(closed_form: "ClosedForm", point: dict[str, Any], steps: bool) -> str:
    from lazyrich.theory.closed_form import latex

    whole, terms = _parts(closed_form, point)
    lines = [latex(whole)]
    lines += [f"% {name}\n{latex(term)}" for name, term in terms.items()]
    if steps:
        lines += [
            f"% {sentence}\n{latex(expression)}" for sentence, expression in closed_form.steps
        ]
    return "\n".join(lines)


def _python(closed_form: "ClosedForm", point: dict[str, Any], steps: bool) -> str:
    """A script that defines ``expr`` and ``terms``, and with ``--steps`` ``steps``."""
    import sympy

    whole, terms = _parts(closed_form, point)
    derivation = closed_form.steps if steps else []
    everything = sympy.sympify((whole, *terms.values(), *(e for _, e in derivation)))
    lines = ["from sympy import *", "", *_definitions(everything), f"expr = {_source(whole)}"]
    lines += ["terms = {", *(f"    {k!r}: {_source(term)}," for k, term in terms.items()), "}"]
    if steps:
        lines += ["steps = [", *(f"    ({s!r}, {_source(e)})," for s, e in derivation), "]"]
    return "\n".join(lines)


def _definitions(expression: Any) -> list[str]:
    """One line of Python for each symbol of an expression, dimensions before what has them."""
    import sympy

    from lazyrich.theory import generate
    from lazyrich.theory.symbols import SymmetricMatrixSymbol

    names = generate.arguments(expression)
    matrices = {n: s for n, s in names.items() if isinstance(s, sympy.MatrixSymbol)}
    # Sizes too: that of D*N weights has two symbols.
    scalars = set(names.values()) - set(matrices.values())
    scalars |= {
        symbol for m in matrices.values() for size in m.shape for symbol in size.free_symbols
    }
    lines = [f"{generate.identifier(str(s))} = {sympy.srepr(s)}" for s in sorted(scalars, key=str)]
    for name, matrix in matrices.items():
        rows, columns = matrix.shape
        note = "  # symmetric" if isinstance(matrix, SymmetricMatrixSymbol) else ""
        lines.append(
            f"{generate.identifier(name)} = MatrixSymbol({matrix.name!r}, {rows}, {columns}){note}"
        )
    return [*lines, ""] if lines else []


def _source(expression: Any) -> str:
    """An expression as Python that gives it back where ``_definitions`` of its symbols hold."""
    import sympy
    from sympy.printing.str import StrPrinter

    from lazyrich.theory import generate

    class Printer(StrPrinter):
        # What SymPy prints for these reads back as something else: I, 0, 1/2 (a float), x'.
        def _print_Symbol(self, expr):
            return generate.identifier(generate.python_name(expr))

        _print_MatrixSymbol = _print_Symbol

        def _print_Identity(self, expr):
            return f"Identity({self._print(expr.shape[0])})"

        def _print_ZeroMatrix(self, expr):
            return f"ZeroMatrix({self._print(expr.shape[0])}, {self._print(expr.shape[1])})"

        def _print_Rational(self, expr):
            return f"Rational({expr.p}, {expr.q})"

        def _print_MatrixBase(self, expr):  # in one line
            return f"Matrix({self._print(expr.tolist())})"

        _print_ImmutableDenseMatrix = _print_MatrixBase

    return Printer().doprint(sympy.sympify(expression))


def _json(closed_form: "ClosedForm", point: dict[str, Any], steps: bool) -> str:
    from lazyrich.theory.closed_form import latex

    whole, terms = _parts(closed_form, point)
    document = {
        "name": closed_form.name,
        "title": closed_form.title,
        "source": closed_form.source,
        "assumptions": closed_form.assumptions,
        "at": {key: _plain(value) for key, value in point.items()},
        "expr": _plain(whole),
        "latex": latex(whole),
        "terms": {name: _plain(term) for name, term in terms.items()},
    }
    if steps:
        document["steps"] = [
            {"sentence": sentence, "expr": _plain(e), "latex": latex(e)}
            for sentence, e in closed_form.steps
        ]
    return json.dumps(document, indent=2, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Floats and integers as JSON numbers, rationals as "1/4", expressions as Python."""
    import sympy

    if isinstance(value, list | tuple | sympy.Tuple):
        return [_plain(item) for item in value]
    if isinstance(value, sympy.MatrixBase):
        return _plain(value.tolist())
    if isinstance(value, sympy.Float):
        return float(value)
    if isinstance(value, sympy.Integer):
        return int(value)
    if isinstance(value, sympy.Rational):
        return str(value)
    return value if isinstance(value, int | float) else _source(value)
