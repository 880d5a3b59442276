"""The Gaussian calculator: the mean of any polynomial in forms of Gaussian vectors, for every D.

``expectation`` reads a formula (or takes a SymPy expression), integrates the Gaussian vectors out
by Isserlis' theorem (``wick``), and returns a closed form.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import shown
from lazyrich.support.patience import told
from lazyrich.theory import wick
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.gaussian_laws import (
    Names,
    check_texts,
    columns_of,
    default_law,
    habits,
    is_general,
    law_text,
    laws_of,
)
from lazyrich.theory.generate import arguments, python_name
from lazyrich.theory.grammar import names as naming
from lazyrich.theory.grammar import write
from lazyrich.theory.grammar.means import conditioned, count, read_with_means, without_sign
from lazyrich.theory.natural import Hidden, check_size, matrix_symbols, scalar
from lazyrich.theory.symbols import D, Gaussian, SymmetricMatrixSymbol

MAX_DEGREE = 48
Report = Callable[[float, float], None]


def expectation(
    expr: "str | sp.Expr | MatrixExpr",
    *,
    over: Names | None = None,
    covariance: Mapping[str, "str | MatrixExpr"] | None = None,
    symmetric: Names = (),
    vectors: Names = (),
    matrices: Names = (),
    scalars: Names = (),
    progress: Report | None = None,
) -> ClosedForm:
    """The mean of a polynomial in forms of independent Gaussian vectors, for every dimension D.

    ``expr``: text by the grammar (``"(x'Ax)^2 (b.x)^2"``, ``"E_x[(x'Ax)^2]"``) or SymPy
    (``(x.T*A*x)**2``). Means may stand inside: ``"E[(b.x)^4] - E[(b.x)^2]^2"`` is a variance, and
    so is ``"(x.x - E[x.x])^2"``, which is averaged as well.
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
    if over is not None:
        check_texts(over=over)
    text, over, fixed, is_signed = _without_sign(expr, over)
    options = {"over": over, "covariance": covariance, "symmetric": symmetric}
    options |= {"vectors": vectors, "matrices": matrices, "scalars": scalars}
    inner = inner_means(options, text, told(progress, "the mean"))
    integrand, outside = _integrand(text, inner)
    given, symmetric = inner.given, inner.symmetric
    if inner.steps:
        over, given = inner.left(integrand, outside, is_signed)
    else:
        over, given = _mentioned(text, integrand, over, given)
    over = _unconditional(integrand, over, fixed, given)
    laws = laws_of(integrand, over, given, inner.declared)
    value, steps = _integrated(integrand, laws, symmetric, inner.report)
    every = [*inner.laws, *(law for law in laws if law not in inner.laws)]
    text = " ".join((text if isinstance(text, str) else write(integrand)).split())
    return ClosedForm(
        name="expectation",
        title=f"E[{' | '.join([text, *([', '.join(fixed)] if fixed else [])])}]" if laws else text,
        expr=value,
        steps=[*inner.steps, *steps],
        assumptions=_assumptions(every, matrix_symbols(_all(integrand, every)), symmetric),
        source="derived here, by Isserlis' theorem; for every dimension D",
        cancelled=_cancelled([*inner.integrands, integrand], every),
        covariances={f"covariance of {python_name(law.vector)}": law.covariance for law in every},
    )


def _all(integrand: sp.Expr, laws: Sequence[Gaussian]) -> sp.Tuple:
    return sp.Tuple(integrand, *(law.covariance for law in laws))


def _cancelled(integrands: Sequence[sp.Expr], laws: Sequence[Gaussian]) -> dict[str, Any]:
    """All symbols but the vectors that are integrated out: the mean may have lost some of them."""
    asked = arguments(sp.Tuple(D, *integrands, *(law.covariance for law in laws)))
    integrated = [python_name(law.vector) for law in laws]
    return {name: s for name, s in asked.items() if name not in integrated}


def _integrated(
    integrand: sp.Expr, laws: Sequence[Gaussian], symmetric: Names, report: Report | None
) -> tuple[sp.Expr, list[tuple[str, Any]]]:
    """The mean over independent vectors, and its steps; the integrand itself without a law."""
    _check_degree(integrand, [law.vector for law in laws])
    found = matrix_symbols(_all(integrand, laws))
    general = [found[n] for n in symmetric if n in found and is_general(found[n])]
    hidden = Hidden([law.vector for law in laws])
    value, steps = hidden.hide(integrand), [("The integrand.", integrand)]
    for i, law in enumerate(laws):
        share = _share(report, i, len(laws))
        value = wick.expectation(value, law, symmetric=general, progress=share)
        if any(letter.shape[1] == 1 for letter in law.covariance.atoms(MatrixSymbol)):
            value = wick.canonical(value, general)  # beta beta' in a covariance cuts traces
        steps.append((f"The mean over {law_text(law)}, by Isserlis' theorem.", hidden.show(value)))
    if not laws:
        value = wick.canonical(value, general)
        steps = [("Together.", hidden.show(value))]
    return hidden.show(value), steps


def inner_means(
    options: Mapping[str, Any], text: Any = None, progress: Report | None = None
) -> "InnerMeans":
    """Return what takes the means inside a formula, under the options of ``expectation``."""
    covariance = options["covariance"]
    if covariance is not None and not isinstance(covariance, Mapping):
        reason = 'must map vectors to covariances, such as {"x": "Sigma"}'
        raise ValueError(f"covariance = {shown(covariance)}: {reason}")
    given = dict(covariance or {})
    declarations = {kind: options[kind] for kind in ("symmetric", "vectors", "matrices", "scalars")}
    check_texts(**declarations)
    _check_mentioned(declarations["symmetric"], text, given)
    declarations["symmetric"] = {*declarations["symmetric"], *_named_covariances(given)}
    declared, symmetric = _declared(**declarations), declarations["symmetric"]
    return InnerMeans(options["over"], given, declared, symmetric, progress, count(text))


class InnerMeans:
    """The means inside a formula, as in E[(b.x)^4] - E[(b.x)^2]^2, under the same options.

    Called with what a mean is taken of, the vectors that its sign names, and those that it is
    conditional on, it returns the mean; ``steps``, ``laws`` and ``integrands`` are those of all.
    """

    def __init__(
        self,
        over: Names | None = None,
        given: Mapping[str, Any] | None = None,
        declared: Mapping[str, Any] | None = None,
        symmetric: Names = (),
        progress: Report | None = None,
        number: int = 0,
    ):
        self.over, self.given, self.declared = over, dict(given or {}), declared or {}
        self.symmetric, self._progress, self._number = symmetric, progress, number
        self.steps: list[tuple[str, Any]] = []
        self.laws: list[Gaussian] = []
        self.integrands: list[sp.Expr] = []

    def __call__(
        self, integrand: sp.Expr, named: tuple[str, ...] | None, fixed: tuple[str, ...]
    ) -> sp.Expr:
        columns = columns_of(integrand)
        if not columns:  # the mean of a constant, such as that of a mean
            return integrand
        over = named
        if over is None and self.over is not None:
            over = tuple(name for name in self.over if name in columns)
            if not over:
                raise ValueError(
                    f"over = {', '.join(self.over)}: E[{write(integrand)}] has none of them"
                )
        over = _unconditional(integrand, over, fixed, self.given)
        given = {
            n: law for n, law in self.given.items() if n in (columns if over is None else over)
        }
        laws = laws_of(integrand, over, given, self.declared)
        value, steps = _integrated(integrand, laws, self.symmetric, self.report)
        self.steps += steps
        self.laws += [law for law in laws if law not in self.laws]
        self.integrands.append(integrand)
        return value

    @property
    def report(self) -> Report | None:
        """Progress of the next mean, as that of all."""
        return _share(self._progress, len(self.integrands), self._number + 1)

    def left(self, integrand: sp.Expr, outside: sp.Expr, is_signed: bool) -> tuple[Names, dict]:
        """The vectors, with their laws, to average the formula over once its means are taken.

        Those of ``over``; else the Gaussian ones that stand outside of the means, as in
        (x.x - E[x.x])^2, or with a sign around it all that are left.
        """
        columns = columns_of(integrand)
        among = columns if is_signed else columns_of(outside)
        usual = [n for n in among if default_law(n) is not None or n in self.given]
        over = tuple(n for n in (usual if self.over is None else self.over) if n in columns)
        taken = [python_name(law.vector) for law in self.laws]
        return over, {n: law for n, law in self.given.items() if n in over or n not in taken}


def _unconditional(
    integrand: sp.Expr, over: Names | None, fixed: Names, given: Mapping[str, Any]
) -> Names | None:
    """The vectors to average over, without those that a mean is conditional on: E[... | w]."""
    if not fixed:
        return over
    columns = columns_of(integrand)
    for name in fixed:
        if name not in (there := matrix_symbols(integrand)):
            raise ValueError(
                f"given = {shown(name)}: the formula has no {name}; it has {', '.join(there)}"
            )
        if over is not None and name in over:
            raise ValueError(f"over = {', '.join(over)}: the mean is conditional on {name}")
    if over is not None:
        return over
    usual = (name for name in columns if default_law(name) is not None or name in given)
    return tuple(name for name in usual if name not in fixed)


def _without_sign(expr: Any, over: Names | None) -> tuple[Any, Names | None, Names, bool]:
    """The formula without the sign of a mean around it, what that names, whether there is one.

    The sign names the vectors to average over, and after a bar those that are given.
    """
    if not isinstance(expr, str):
        return expr, over, (), False
    inside, named = without_sign(expr)
    if named is not None and over is not None and set(named) != set(over):
        raise ValueError(f"over = {', '.join(over)}: the mean in {expr} is over {', '.join(named)}")
    is_signed, fixed = inside != expr, ()
    if is_signed:
        inside, fixed = conditioned(inside)
    return inside, named if over is None else over, fixed, is_signed


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


def _integrand(expr: Any, inner: InnerMeans) -> tuple[sp.Expr, sp.Expr]:
    """The integrand, and it with a symbol in place of each mean inside."""
    if isinstance(expr, str):
        return read_with_means(expr, inner.declared, inner, new=habits(), what="expr")
    if not isinstance(expr, sp.Basic):
        raise ValueError(f'expr = {shown(expr)}: must be a text such as "x\'Ax", or SymPy')
    return scalar(expr), scalar(expr)


def _mentioned(
    expr: Any, integrand: sp.Expr, over: Names | None, given: Mapping[str, Any]
) -> tuple:
    """``over`` and ``given`` without names that cancel in the text, as x does in (1 - 1) x.x."""
    if not isinstance(expr, str):
        return over, given
    found = matrix_symbols(integrand)
    words = _words(expr, {*given, *found})
    gone = {name for name in (*(over or ()), *given) if name in words and name not in found}
    left = [name for name in found if name in given or default_law(name)]
    if over is None and not left and any(default_law(word) for word in words):
        over = ()
    kept = None if over is None else tuple(name for name in over if name not in gone)
    return kept, {name: law for name, law in given.items() if name not in gone}


def _words(expr: str, known: Iterable[str]) -> set[str]:
    """The names in a text, those in runs of letters too: A and x of Ax."""
    names = {*known, *naming.conventional.in_runs}
    words = re.findall(r"[A-Za-z]\w*", naming.plain(expr))
    with suppress(ValueError):  # two ways to split: the reader has met it
        words += [piece for word in words for piece in naming.split(word, names) or ()]
    return set(words)


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


def _share(progress: Report | None, i: int, count: int) -> Report | None:
    """A part's progress as the whole's."""
    if progress is None:
        return None
    return lambda done, total: progress(i + done / max(total, 1), count)


def _assumptions(laws: list[Gaussian], found: dict, symmetric: Names) -> str:
    texts = [", ".join(map(law_text, laws)) + (", independent" if len(laws) > 1 else "")]
    by_kind: dict[str, list[str]] = {"general": [], "symmetric": [], "given": []}
    integrated = [law.vector for law in laws]
    for name, symbol in found.items():
        if symbol.shape[1] == 1:
            by_kind["given"] += [name] if symbol not in integrated else []
        elif is_general(symbol) and name not in symmetric:
            by_kind["general"].append(name)
        else:
            by_kind["symmetric"].append(name)
    texts += [f"{', '.join(names)} {kind}" for kind, names in by_kind.items() if names]
    return "; ".join(filter(None, texts)) + "." if any(texts) else "nothing."
