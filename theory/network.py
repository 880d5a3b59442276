"""The two-layer network with frozen readouts: its function and its neural tangent kernel.

f(x) = (alpha/N) sum_i phi(w_i.x), phi(h) = h + (epsilon/2) h^2 (Kumar et al. 2024, Sec. 5, eq. 3).
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory import words
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.symbols import (
    M,
    alpha,
    epsilon,
    w,
    wbar,
    x,
)
from lazyrich.theory.wick import canonical, dot
from lazyrich.theory.words import Polynomial, Reader

if TYPE_CHECKING:
    from lazyrich.theory.problem import Problem


def activation(h: sp.Expr) -> sp.Expr:
    """phi(h) = h + (epsilon/2) h^2, eq. (3)."""
    return h + epsilon / 2 * h**2


def neuron_average(expr: sp.Expr) -> sp.Expr:
    """(1/N) sum_i of a polynomial of degree at most 2 in the weights w = w_i, by (wbar, M).

    Raises ``ValueError`` for a higher degree, which the two moments do not determine.

    >>> neuron_average(dot(w, x) ** 2)
    Trace(x.T*M*x)
    """
    reader = Reader()
    total: Polynomial = {}
    for monomial, coefficient in words.tidy(reader.polynomial(expr)).items():
        with_w = [item for item, n in monomial for _ in range(n) if w in (item.left, item.right)]
        rest = tuple((item, n) for item, n in monomial if w not in (item.left, item.right))
        averaged = reader.polynomial(_moment(with_w, reader))
        words.add_to(total, words.product({rest: coefficient}, averaged))
    return words.to_sympy(total)


def _moment(items: list[words.Contraction], reader: Reader) -> sp.Expr:
    """The neuron average of a product of linear forms in w, or of one quadratic form."""
    if not items:
        return sp.S.One
    if len(items) == 1 and items[0].left == items[0].right:
        return sp.Trace(words.word_matrix(items[0].word, w.shape[0]) * M)
    vectors = []
    for item in items:
        word = item.word if item.left == w else words.reverse(item.word, reader.symmetric)
        vectors.append(words.word_matrix(word, w.shape[0]) * _other_end(item))
    if len(vectors) == 1:
        return sp.Trace(wbar.T * vectors[0])
    if len(vectors) > 2 or w in map(_other_end, items):
        raise ValueError(f"degree {len(vectors)} in w: (wbar, M) determine degree 2 at most")
    return sp.Trace(vectors[0].T * M * vectors[1])


def _other_end(item: words.Contraction) -> MatrixSymbol | None:
    return item.right if item.left == w else item.left


def network_function(phi: Callable[[sp.Expr], sp.Expr] = activation) -> ClosedForm:
    """f(x) in terms of wbar and M [Kumar et al. 2024, Sec. 5, eqs. 3, 4]."""
    neuron = phi(dot(w, x))
    expr = canonical(alpha * neuron_average(neuron))
    parts = sp.Add.make_args(expr)
    linear, quadratic = (sp.Add(*(t for t in parts if t.has(m))) for m in (wbar, M))
    return ClosedForm(
        name="network-function",
        title="The network's function in terms of the moments of its weights",
        expr=expr,
        terms={"linear": linear, "quadratic": quadratic},
        steps=[
            ("One neuron's output phi(w.x).", neuron),
            ("Average over the neurons: (1/N) sum w_i = wbar, (1/N) sum w_i w_i^T = M.", expr),
        ],
        assumptions="Readouts fixed at 1; any width N, any weights.",
        source="Kumar et al. 2024, Sec. 5, eqs. (3), (4)",
    )


@cache
def model() -> "Problem":
    """The paper's problem: this activation with readouts fixed at 1, and its target."""
    from lazyrich.theory.activation import h
    from lazyrich.theory.problem import Problem
    from lazyrich.theory.target import target

    return Problem(activation(h), target())


def ntk() -> ClosedForm:
    """The neural tangent kernel at any weights [Kumar et al. 2024, eqs. 2, 5, 18]."""
    from lazyrich.theory.problem.form import instance

    return instance(
        model().closed_form("ntk"),
        title="The neural tangent kernel, and the paper's K = NTK/(alpha^2/N)",
        source="Kumar et al. 2024, Sec. 4.1 eq. (2), Sec. 5 eq. (5), App. 11.2 eq. (18)",
    )


def ntk_at_init() -> ClosedForm:
    """The normalised kernel at infinite-width initialisation [Kumar et al. 2024, eq. 10]."""
    from lazyrich.theory.problem.form import instance

    return instance(
        model().closed_form("ntk-at-init"),
        title="The normalised kernel at initialisation with weights of variance sigma^2",
        source="Kumar et al. 2024, App. 11.1, eq. (10)",
    )
