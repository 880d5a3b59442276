"""The Gaussian calculator: the mean of any polynomial in forms of Gaussian vectors, for every D.

``expectation`` reads a formula (or takes a SymPy expression), integrates the Gaussian vectors out
by Isserlis' theorem (``wick``), and returns a closed form.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import one_of, shown
from lazyrich.theory import wick
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.generate import arguments, python_name
from lazyrich.theory.grammar import names as naming
from lazyrich.theory.grammar import read, write
from lazyrich.theory.grammar.means import without_sign
from lazyrich.theory.natural import Hidden, check_size, matrix_symbols, scalar
from lazyrich.theory.symbols import D, Gaussian, I, SymmetricMatrixSymbol, sigma

MAX_DEGREE = 48
# The laws that need no telling: inputs (x, x', x_1, ...) and weights of one neuron (w, w_1, ...).
_DEFAULT_LAWS = (
    (re.compile(r"x(_\w+)?"), I / D, "I/D"),
    (re.compile(r"w(_\w+)?"), sigma**2 * I, "sigma^2 I"),
)
Names = Collection[str]


def expectation(
    expr: "str | sp.Expr | MatrixExpr",
    *,
    over: Names | None = None,
    covariance: Mapping[str, "str | MatrixExpr"] | None = None,
    symmetric: Names = (),
    vectors: Names = (),
    matrices: Names = (),
    scalars: Names = (),
    progress: Callable[[float, float], None] | None = None,
) -> ClosedForm:
    """The mean of a polynomial in forms of independent Gaussian vectors, for every dimension D.

    ``expr``: text by the grammar (``"(x'Ax)^2 (b.x)^2"``, ``"E_x[(x'Ax)^2]"``) or SymPy
    (``(x.T*A*x)**2``).
    ``over``: the vectors to integrate out; by default the inputs (x, x_prime, x_1, ...) and weights
    (w, w_1, ...) in ``expr``. Every other vector stays: the mean is conditional on it.
    ``covariance``: {vector: covariance} as text or SymPy, such as ``{"x": "Sigma"}``; by default
    I/D for inputs and sigma^2 I for weights. A covariance's only matrix, Sigma, is symmetric.
    ``symmetric``: the matrices that equal their transposes; all others are general.
    ``vectors``, ``matrices``, ``scalars``: what names are, where their use doesn't tell. Capital
    letters are matrices.

    The closed form has ``expr``, ``pretty()``, ``latex()``, ``evaluate``, ``subs``, ``function``.
    Raises ``ValueError`` for what can't be read, is no polynomial, or has no law.

    >>> expectation("(x'Ax)^2").expr
    Trace(A*A.T)/D**2 + Trace(A**2)/D**2 + Trace(A)**2/D**2
    >>> expectation("(x'Ax)^2", symmetric=("A",), covariance={"x": "Sigma"}).expr
    Trace(A*Sigma)**2 + 2*Trace(A*Sigma*A*Sigma)
    >>> expectation("(x.x_prime)^4", over=("x",)).expr
    3*Trace(x'.T*x')**2/D**2
    """
    if covariance is not None and not isinstance(covariance, Mapping):
        reason = 'must map vectors to covariances, such as {"x": "Sigma"}'
        raise ValueError(f"covariance = {shown(covariance)}: {reason}")
    given = dict(covariance or {})
    if over is not None:
        _check_texts(over=over)
    expr, over = _without_sign(expr, over)
    _check_texts(symmetric=symmetric, vectors=vectors, matrices=matrices, scalars=scalars)
    _check_mentioned(symmetric, expr, given)
    named = _named_covariances(given)
    symmetric = {*symmetric, *named}
    declared = _declared(symmetric, vectors, matrices, scalars)
    integrand = _integrand(expr, declared)
    laws = _laws(integrand, *_mentioned(expr, integrand, over, given), declared)
    _check_degree(integrand, [law.vector for law in laws])
    found = matrix_symbols(sp.Tuple(integrand, *(law.covariance for law in laws)))
    general = [found[n] for n in symmetric if n in found and _is_general(found[n])]
    hidden = Hidden([law.vector for law in laws])
    value, steps = hidden.hide(integrand), [("The integrand.", integrand)]
    for i, law in enumerate(laws):
        report = _share(progress, i, len(laws))
        value = wick.expectation(value, law, symmetric=general, progress=report)
        if any(letter.shape[1] == 1 for letter in law.covariance.atoms(MatrixSymbol)):
            value = wick.canonical(value, general)  # beta beta' in a covariance cuts traces
        steps.append((f"The mean over {_law_text(law)}, by Isserlis' theorem.", hidden.show(value)))
    text = expr if isinstance(expr, str) else write(integrand)
    asked = arguments(sp.Tuple(D, integrand, *(law.covariance for law in laws)))
    integrated = [python_name(law.vector) for law in laws]
    return ClosedForm(
        name="expectation",
        title=f"E[{' '.join(text.split())}]",
        expr=hidden.show(value),
        steps=steps,
        assumptions=_assumptions(laws, found, symmetric),
        source="derived here, by Isserlis' theorem; for every dimension D",
        cancelled={name: s for name, s in asked.items() if name not in integrated},
        covariances={f"covariance of {python_name(law.vector)}": law.covariance for law in laws},
    )


def _without_sign(expr: Any, over: Names | None) -> tuple[Any, Names | None]:
    """The formula without the sign of a mean around it, and the vectors that the sign names."""
    if not isinstance(expr, str):
        return expr, over
    inside, named = without_sign(expr)
    if named is not None and over is not None and set(named) != set(over):
        raise ValueError(f"over = {', '.join(over)}: the mean in {expr} is over {', '.join(named)}")
    return inside, named if over is None else over


def _check_texts(**arguments: Names) -> None:
    for argument, names in arguments.items():
        collected = isinstance(names, Collection) and not isinstance(names, str)
        if not collected or not all(isinstance(name, str) for name in names):
            raise ValueError(
                f'{argument} = {shown(names)}: must be names in a tuple, such as ("A",)'
            )


def _check_mentioned(symmetric: Names, expr: Any, given: Mapping[str, Any]) -> None:
    """A matrix that no text mentions is a slip: the one that is meant would stay general."""
    texts = [expr, *given.values()]
    if not all(isinstance(text, str) for text in texts):
        return
    for name in symmetric:
        if not any(name in naming.plain(text) for text in texts):
            raise ValueError(f"symmetric = {name}: must be a matrix of the formula {expr}")


def _named_covariances(given: Mapping[str, Any]) -> set[str]:
    """The matrix of each covariance that has one, such as Sigma/D + I: it is symmetric."""
    texts = (naming.plain(c) for c in given.values() if isinstance(c, str))
    found = [re.findall(r"(?<!\w)(?![DIT]\b)[A-Z]\w*", text) for text in texts]
    return {names[0] for names in found if len(names) == 1}


def _declared(symmetric: Names, vectors: Names, matrices: Names, scalars: Names) -> dict[str, Any]:
    kinds = {
        "symmetric": (symmetric, lambda name: SymmetricMatrixSymbol(name, D, D)),
        "vectors": (vectors, naming.vector),
        "matrices": (matrices, naming.matrix),
        "scalars": (scalars, naming.scalar),
    }
    found: dict[str, Any] = {}
    for kind, (names, make) in kinds.items():
        for name in names:
            if not re.fullmatch(r"[A-Za-z]\w*", name):
                raise ValueError(f"{kind} = {shown(name)}: must be letters, digits and underscores")
            if kind != "matrices" and name in found:
                raise ValueError(f"{kind} = {shown(name)}: is declared as something else too")
            found.setdefault(name, make(name))
    return found


def _integrand(expr: Any, declared: Mapping[str, Any]) -> sp.Expr:
    if isinstance(expr, str):
        return read(expr, declared, new=_habits(), what="expr")
    if not isinstance(expr, sp.Basic):
        raise ValueError(f'expr = {shown(expr)}: must be a text such as "x\'Ax", or SymPy')
    return scalar(expr)


def _habits(symmetric: bool = False) -> naming.New:
    """The habits of papers, but matrices are general where nothing says that they are symmetric."""

    def meanings(name: str) -> tuple[naming.Symbol, ...]:
        return tuple(map(usual, naming.conventional(name)))

    def usual(symbol: naming.Symbol) -> naming.Symbol:
        is_matrix = isinstance(symbol, MatrixSymbol) and symbol.shape[1] != 1
        if not is_matrix:
            return symbol
        return SymmetricMatrixSymbol(symbol.name, D, D) if symmetric else naming.matrix(symbol.name)

    return naming.New(meanings, naming.conventional.in_runs, naming.conventional.rule)


def _is_general(symbol: MatrixSymbol) -> bool:
    return symbol.shape[1] != 1 and not isinstance(symbol, SymmetricMatrixSymbol)


def _mentioned(
    expr: Any, integrand: sp.Expr, over: Names | None, given: Mapping[str, Any]
) -> tuple:
    """``over`` and ``given`` without names that cancel in the text, as x does in (1 - 1) x.x."""
    if not isinstance(expr, str):
        return over, given
    found = matrix_symbols(integrand)
    words = set(re.findall(r"[A-Za-z]\w*", naming.plain(expr)))
    gone = {name for name in (*(over or ()), *given) if name in words and name not in found}
    if over is None and not found and any(_default_law(word) for word in words):
        over = ()
    kept = None if over is None else tuple(name for name in over if name not in gone)
    return kept, {name: law for name, law in given.items() if name not in gone}


def _laws(
    integrand: sp.Expr, over: Names | None, given: Mapping[str, Any], declared: Mapping[str, Any]
) -> list[Gaussian]:
    """The law of each vector to integrate out."""
    found = matrix_symbols(integrand)
    columns = {name: v for name, v in found.items() if v.shape[1] == 1}
    if over is None:
        usual = [name for name in columns if _default_law(name) is not None]
        over = list(dict.fromkeys([*usual, *(name for name in given if name in columns)]))
        if not columns:
            raise ValueError(f"expr = {write(integrand)}: has no Gaussian vector, such as x or w")
        if not over:
            raise ValueError(
                "over = None: no x, x_prime or w in the formula; name the Gaussian vectors among "
                f"{', '.join(columns)}"
            )
    _check_texts(over=over)
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


def _default_law(name: str) -> tuple[MatrixExpr, str] | None:
    return next(((law, text) for rule, law, text in _DEFAULT_LAWS if rule.fullmatch(name)), None)


def _covariance(vector: MatrixSymbol, given: Mapping[str, Any], known: dict) -> MatrixExpr:
    name, size = python_name(vector), vector.shape[0]
    value = given.get(name)
    if value is None:
        default = _default_law(name)
        if default is None:
            raise ValueError(f'{name} has no law: name its covariance, as in {{"{name}": "I"}}')
        value = default[0]
    elif isinstance(value, str):
        if value.lstrip().startswith("["):
            raise ValueError(
                f"covariance of {name} = {value}: must be a formula such as Sigma; "
                "its entries are then a value of Sigma"
            )
        value = read(value, known, new=_habits(), kind="any", what=f"covariance of {name}")
    if not isinstance(value, MatrixExpr):
        raise ValueError(f"covariance of {name} = {value}: must be a matrix, such as {value} I")
    if isinstance(value, sp.MatMul) and value.args[0].is_negative and not value.has(MatrixSymbol):
        raise ValueError(f"covariance of {name} = {write(value)}: must be positive semidefinite")
    return value.xreplace({D: size}) if size != D and D in value.shape else value


def _check_degree(integrand: sp.Expr, vectors: list[MatrixSymbol]) -> None:
    check_size(integrand, "expr")
    degree = _degree(integrand, vectors)
    if degree > MAX_DEGREE:
        raise ValueError(f"expr has degree {degree} in the Gaussians: must be at most {MAX_DEGREE}")


def _degree(expr: Any, vectors: list[MatrixSymbol]) -> int:
    """The degree in the vectors, or more (cancellations are not looked for)."""
    if isinstance(expr, sp.Add | sp.MatAdd):
        return max(_degree(term, vectors) for term in expr.args)
    if isinstance(expr, sp.Pow | sp.MatPow) and expr.exp.is_Integer:
        return abs(int(expr.exp)) * _degree(expr.base, vectors)
    return (expr in vectors) + sum(_degree(part, vectors) for part in expr.args)


def _share(progress: Callable | None, i: int, count: int) -> Callable[[float, float], None] | None:
    """A part's progress as the whole's."""
    if progress is None:
        return None
    return lambda done, total: progress(i + done / max(total, 1), count)


def _law_text(law: Gaussian) -> str:
    name = python_name(law.vector)
    default = _default_law(name)
    is_default = default is not None and law.covariance == default[0]
    return f"{name} ~ N(0, {default[1] if is_default and default else write(law.covariance)})"


def _assumptions(laws: list[Gaussian], found: dict, symmetric: Names) -> str:
    texts = [", ".join(map(_law_text, laws)) + (", independent" if len(laws) > 1 else "")]
    by_kind: dict[str, list[str]] = {"general": [], "symmetric": [], "given": []}
    integrated = [law.vector for law in laws]
    for name, symbol in found.items():
        if symbol.shape[1] == 1:
            by_kind["given"] += [name] if symbol not in integrated else []
        elif _is_general(symbol) and name not in symmetric:
            by_kind["general"].append(name)
        else:
            by_kind["symmetric"].append(name)
    texts += [f"{', '.join(names)} {kind}" for kind, names in by_kind.items() if names]
    return "; ".join(filter(None, texts)) + "." if any(texts) else "nothing."
