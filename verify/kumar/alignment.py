"""Claims on the kernel-task alignment of App. 11.2, eqs. (19), (20) (Kumar et al. 2024)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from sympy import Rational, Trace

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import A, D, M, P, alpha, beta, epsilon, isotropic, x
from lazyrich.theory.wick import canonical, dot, expectation, form
from lazyrich.verify import strategies as given
from lazyrich.verify.counterexample import SIMPLE, smallest
from lazyrich.verify.evidence import (
    attach,
    attacked,
    certificate,
    counterexample,
    equality,
)
from lazyrich.verify.ledger import Evidence
from lazyrich.verify.properties import alignment as laws

NUMERATOR = r"\langle y(x) K(x, x') y(x') \rangle"


def _terms() -> dict[str, sp.Expr]:
    return dict(closed_form("kernel-alignment").terms)


def _torch(terms: Mapping[str, sp.Expr]) -> laws.Terms:
    return replace(closed_form("kernel-alignment"), terms=terms).functions("torch")


def _second_line_printed() -> sp.Expr:
    """<y K y'> as the second line of eq. (20) prints it."""
    size = dot(beta, beta)
    return epsilon**2 / D**4 * (size**2 * Trace(M) + 8 * form(beta, M, beta) * size)


def _first_line_printed(prefactor: sp.Expr) -> sp.Expr:
    """The first line of eq. (20), its means over x taken, with this number for the printed 1."""
    h, law = dot(beta, x), isotropic(x)
    first = dot(beta, beta) * expectation(h**2 * form(x, M, x), law)
    second = 2 * expectation(form(beta, M, x) * h**3, law)
    return canonical(prefactor * epsilon**2 / D**2 * (first + second))


def _at(expr: sp.Expr, D_: int, m: Any, e: Any, b: Any) -> sp.Expr:
    """A scalar of beta, M, epsilon at M = m I and beta = (b, ..., b)."""
    expr = expr.subs({epsilon: e}).subs(D, D_)
    symbols = {s.name: s for s in expr.atoms(sp.MatrixSymbol)}
    values = {"M": m * sp.eye(D_), "beta": b * sp.ones(D_, 1)}
    return expr.subs({symbols[k]: sp.ImmutableMatrix(values[k]) for k in symbols}).doit()


def _counterexample(printed: sp.Expr) -> str:
    derived = _terms()["numerator"]
    return smallest(
        lambda D, epsilon, beta, M: _at(printed, D, M, epsilon, beta),
        lambda D, epsilon, beta, M: _at(derived, D, M, epsilon, beta),
        D=(1, 2, 3),
        epsilon=SIMPLE,
        beta=SIMPLE,
        M=SIMPLE[:5],
    )


def _without_diagonal() -> dict[str, Any]:
    return {
        name: (lambda P, f=f, **known: f(**known))  # noqa: ARG005
        for name, f in laws.functions("kernel-alignment").items()
    }


def _across(size: int) -> str:
    at = {"D": 2, "epsilon": 1, "beta": [1, 0], "wbar": [0, 0]}
    along, across = (
        closed_form("kernel-alignment").evaluate_terms(M=m, **at)["numerator"]
        for m in ([[1, 0], [0, 0]], [[0, 0], [0, size]])
    )
    assert across > along, f"{across} is not above {along}"
    return f"numerator {along} along beta, {across} across it"


def _semidefinite(smallest_D: int, largest_D: int):
    sizes = st.integers(smallest_D, largest_D)
    return sizes.flatmap(given.second_moments).filter(lambda M: bool(M.any()))


attach(
    "eq-20-first-line",
    equality(
        "with 1/4 in front the printed bracket is the derived numerator, without it not",
        lambda: _terms()["numerator"],
        lambda: _first_line_printed(Rational(1, 4)),
        lambda: _first_line_printed(sp.S.One),
    ),
    equality(
        "the two printed lines agree with each other",
        lambda: _first_line_printed(sp.S.One),
        _second_line_printed,
        lambda: _terms()["numerator"],
    ),
)


counterexample("eq-20-first-line", lambda: _counterexample(_first_line_printed(sp.S.One)))


def _second_line_printed_() -> dict[str, sp.Expr]:
    return _terms() | {"numerator": _second_line_printed()}


attach(
    "eq-20",
    equality(
        "the derived numerator is a quarter of the printed one, for every D, beta, M, wbar",
        lambda: _terms()["numerator"],
        lambda: _second_line_printed() / 4,
        _second_line_printed,
    ),
    certificate("kernel-alignment", lambda cf: replace(cf, terms=_second_line_printed_())),
    attacked(
        "autograd's kernel on an exact cubature has the derived moments",
        laws.alignment_equals_its_closed_form,
        (given.networks(),),
        lambda network: laws.alignment_equals_its_closed_form(
            network, terms=_torch(_second_line_printed_())
        ),
    ),
)


counterexample("eq-20", lambda: _counterexample(_second_line_printed()))


def _threshold(factor: int) -> sp.Expr:
    """<y^2 K(x, x)>/<y K y'> at initialisation, sigma = 1: the P - 1 that balances them."""
    return factor * (D + 4) * (D + epsilon**2 * (D + 6)) / (epsilon**2 * (D + 8))


def _gram_matrix_derived() -> sp.Expr:
    from lazyrich.theory.symbols import I

    diagonal = closed_form("gram-alignment").components["numerator"] * P
    parts = [canonical(e.subs(M, I)) for e in (diagonal, _terms()["numerator"])]
    return sp.cancel(parts[0] / parts[1])


def _figure_1() -> str:
    at = {"D": 100, "epsilon": 0.02, "wbar": np.zeros(100), "M": np.eye(100)}
    at["beta"] = np.ones(100)
    gram = float(closed_form("gram-alignment").function("numpy")(P=1000, **at))
    limit = float(closed_form("kernel-alignment").function("numpy")(**at))
    return (
        f"D = 100, epsilon = 0.02 (Fig. 1) at initialisation: {gram:.4f} with 1,000 test "
        f"points, {limit:.2e} in the limit"
    )


attach(
    "eq-19",
    certificate("gram-alignment", lambda cf: replace(cf, terms=_terms())),
    attacked(
        "the means over P samples, from autograd's kernel on exact cubatures",
        laws.gram_alignment_has_the_diagonal,
        (given.networks(largest_D=3), st.integers(1, 10**4)),
        lambda network, P: laws.gram_alignment_has_the_diagonal(
            network, P, terms=_without_diagonal()
        ),
        share=0.4,
    ),
    equality(
        "the P - 1 at which the diagonal weighs as much as the rest",
        _gram_matrix_derived,
        lambda: _threshold(3),
        lambda: _threshold(1),
    ),
)


counterexample("eq-19", _figure_1)


def _slope() -> sp.Expr:
    """The change of the numerator along M + s A, per s."""
    from lazyrich.theory.wick import gradient

    return canonical(Trace(gradient(_terms()["numerator"], M) * A))


def _turned(isotropic_part: int) -> sp.Expr:
    size = dot(beta, beta)
    quarter = epsilon**2 * size / (4 * D**4)
    return quarter * (8 * form(beta, A, beta) + isotropic_part * size * Trace(A))


attach(
    "sec-11.2-numerator-increases",
    equality(
        "its slope along A: 8 beta^T A beta, and |beta|^2 Tr A next to it",
        _slope,
        lambda: _turned(1),
        lambda: _turned(0),
    ),
    Evidence(
        "proved",
        "the counter-example in exact arithmetic",
        lambda _: _across(10),
        lambda _: _across(8),
    ),
)


counterexample(
    "sec-11.2-numerator-increases",
    lambda: "D = 2, epsilon = 1, beta = (1, 0), M = diag(1, 0) and diag(0, 10): " + _across(10),
)


def _in_misalignment() -> sp.Expr:
    """Minus the slope of the misalignment along M + s beta beta^T at M = 0, wbar = 0."""
    from lazyrich.theory.wick import gradient

    slope = gradient(closed_form("test-loss").terms["misalignment"], M)
    along = canonical(Trace(slope.subs(M, sp.ZeroMatrix(D, D)).doit() * A))
    return canonical(-along)


attach(
    "sec-11.2-same-term",
    equality(
        "the part of the misalignment that is linear in M",
        _in_misalignment,
        lambda: alpha * epsilon / D**2 * form(beta, A, beta),
        lambda: sp.Abs(alpha * epsilon) / D**2 * form(beta, A, beta),
    ),
)


def _best(constant: int) -> sp.Expr:
    return (D - constant) / (25 * D + 38)


def _example() -> str:
    from lazyrich.theory.most_aligned import t as t_symbol

    cf, size = closed_form("most-aligned-moment"), 100
    t = cf.evaluate(D=size)
    value = cf.components["uncentred"].subs(D, size)
    along, better = (float(value.subs(t_symbol, at)) for at in (0, t))
    assert better > along, "the target's own moment is the best"
    return (
        f"D = {size}, large epsilon: {along:.4f} at M = beta beta^T, {better:.4f} at "
        f"M = t I + (1 - t) beta beta^T with t = {t}, |beta| = 1"
    )


attach(
    "sec-11.2-correlation-of-M",
    equality(
        "the stationary weight across beta",
        lambda: closed_form("most-aligned-moment").expr,
        lambda: _best(10),
        lambda: _best(9),
    ),
    attacked(
        "no positive semidefinite M is aligned better than the derived one",
        laws.no_moment_is_aligned_better,
        (_semidefinite(2, 14), st.booleans()),
        lambda M, centred: laws.no_moment_is_aligned_better(M, centred, lambda _: 1.0),
    ),
)


counterexample("sec-11.2-correlation-of-M", _example)
