"""Which vectors of a formula are Gaussian, with which covariance, and how a law is written."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import one_of, shown
from lazyrich.theory.generate import python_name
from lazyrich.theory.grammar import names as naming
from lazyrich.theory.grammar import read, write
from lazyrich.theory.natural import matrix_symbols
from lazyrich.theory.symbols import D, Gaussian, I, SymmetricMatrixSymbol, sigma

# The laws that need no telling: inputs (x, x', x_1, ...) and weights of one neuron (w, w_1, ...).
_DEFAULT_LAWS = (
    (re.compile(r"x(_\w+)?"), I / D, "I/D"),
    (re.compile(r"w(_\w+)?"), sigma**2 * I, "sigma^2 I"),
)
Names = Collection[str]


def columns_of(expr: sp.Expr) -> dict[str, MatrixSymbol]:
    """The vectors of an expression by name."""
    return {name: v for name, v in matrix_symbols(expr).items() if v.shape[1] == 1}


def check_texts(**arguments: Names) -> None:
    """Raise ``ValueError`` unless each argument is a collection of names."""
    for argument, names in arguments.items():
        collected = isinstance(names, Collection) and not isinstance(names, str)
        if not collected or not all(isinstance(name, str) for name in names):
            raise ValueError(
                f'{argument} = {shown(names)}: must be names in a tuple, such as ("A",)'
            )


def habits() -> naming.New:
    """The habits of papers, but matrices are general where nothing says that they are symmetric."""

    def meanings(name: str) -> tuple[naming.Symbol, ...]:
        return tuple(map(usual, naming.conventional(name)))

    def usual(symbol: naming.Symbol) -> naming.Symbol:
        is_matrix = isinstance(symbol, MatrixSymbol) and symbol.shape[1] != 1
        return naming.matrix(symbol.name) if is_matrix else symbol

    return naming.New(meanings, naming.conventional.in_runs, naming.conventional.rule)


def is_general(symbol: MatrixSymbol) -> bool:
    """Whether it is a matrix that is not declared symmetric."""
    return symbol.shape[1] != 1 and not isinstance(symbol, SymmetricMatrixSymbol)


def laws_of(
    integrand: sp.Expr, over: Names | None, given: Mapping[str, Any], declared: Mapping[str, Any]
) -> list[Gaussian]:
    """The law of each vector to integrate out."""
    found = matrix_symbols(integrand)
    columns = columns_of(integrand)
    if over is None:
        usual = [name for name in columns if default_law(name) is not None]
        over = list(dict.fromkeys([*usual, *(name for name in given if name in columns)]))
        if not columns:
            raise ValueError(f"expr = {write(integrand)}: has no Gaussian vector, such as x or w")
        if not over:
            raise ValueError(
                "over = None: no x, x_prime or w in the formula; name the Gaussian vectors among "
                f"{', '.join(columns)}"
            )
    check_texts(over=over)
    for name in over:
        one_of("over", name, columns)
    for name in given:
        one_of("covariance", name, over)
    known = {**declared, **found}
    laws = [Gaussian(columns[name], _covariance(columns[name], given, known)) for name in over]
    for law in laws:
        for name in over:
            if law.covariance.has(columns[name]):
                raise ValueError(
                    f"covariance of {python_name(law.vector)} = {write(law.covariance)}: must be "
                    f"free of {name}, which is integrated out"
                )
    return laws


def default_law(name: str) -> tuple[MatrixExpr, str] | None:
    """The covariance of a vector of that name, and its text; None where it has to be given."""
    return next(((law, text) for rule, law, text in _DEFAULT_LAWS if rule.fullmatch(name)), None)


def _covariance(vector: MatrixSymbol, given: Mapping[str, Any], known: dict) -> MatrixExpr:
    name, size = python_name(vector), vector.shape[0]
    value = given.get(name)
    if value is None:
        default = default_law(name)
        if default is None:
            raise ValueError(f'{name} has no law: name its covariance, as in {{"{name}": "I"}}')
        value = default[0]
    elif isinstance(value, str):
        if value.lstrip().startswith("["):
            raise ValueError(
                f"covariance of {name} = {value}: must be a formula such as Sigma; give its "
                f"numbers as those of Sigma, Sigma={value.strip()}"
            )
        value = read(value, known, new=habits(), kind="any", what=f"covariance of {name}")
    if not isinstance(value, MatrixExpr):
        raise ValueError(f"covariance of {name} = {value}: must be a matrix, such as {value} I")
    if isinstance(value, sp.MatMul) and value.args[0].is_negative and not value.has(MatrixSymbol):
        raise ValueError(f"covariance of {name} = {write(value)}: must be positive semidefinite")
    return value.xreplace({D: size}) if size != D and D in value.shape else value


def law_text(law: Gaussian) -> str:
    """The law as words, such as x ~ N(0, I/D)."""
    name = python_name(law.vector)
    default = default_law(name)
    is_default = default is not None and law.covariance == default[0]
    return f"{name} ~ N(0, {default[1] if is_default and default else write(law.covariance)})"
