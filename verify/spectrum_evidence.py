"""What the claims on the spectrum share: the functions of App. 11.1 and what the operator does.

The paper's case is sigma = 1. In the formulas u and v stand for the unit vectors e_i and e_j, so
that u.x = x_i; |u| = |v| = 1 and u.v = 0 are put in on both sides.
"""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportCallIssue=false, reportArgumentType=false

from dataclasses import replace

import numpy as np
import sympy as sp
from sympy import Trace

from lazyrich.theory import closed_form
from lazyrich.theory.mercer import apply_operator
from lazyrich.theory.symbols import D, beta, epsilon, sigma, u, x
from lazyrich.theory.wick import canonical, dot
from lazyrich.verify.certificates import Certificate
from lazyrich.verify.certificates.model import initial, initial_kernel
from lazyrich.verify.coordinates import Coordinates
from lazyrich.verify.counterexample import SIMPLE, smallest
from lazyrich.verify.evidence import attach, certificate, counterexample, equality, proof
from lazyrich.verify.ledger import Evidence

v = sp.MatrixSymbol("v", D, 1)
c = sp.Symbol("c", real=True)

LAMBDA_LINEAR = 1 / D
LAMBDA_TRACELESS = 2 * epsilon**2 / D**2
LAMBDA_RADIAL = epsilon**2 / D * (1 + 2 / D)

# The functions that the paper applies the integral operator to.
FUNCTIONS = {
    "x_i": dot(u, x),
    "x_i^2": dot(u, x) ** 2,
    "|x|^2": dot(x, x),
    "x_i^2 - c |x|^2": dot(u, x) ** 2 - c * dot(x, x),
    "x_i x_j": dot(u, x) * dot(v, x),
    "x_i x_j - c |x|^2": dot(u, x) * dot(v, x) - c * dot(x, x),
    "(beta.x)^2 - |x|^2/D": dot(beta, x) ** 2 - dot(x, x) / D,
}


def paper(expr: sp.Expr) -> sp.Expr:
    """At sigma = 1, with |u| = |v| = 1 and u.v = 0."""
    units = {Trace(u.T * u): 1, Trace(v.T * v): 1, Trace(u.T * v): 0}
    return canonical(expr.subs(sigma, 1)).subs(units)


def image(name: str) -> sp.Expr:
    """T[g](x') for one of FUNCTIONS, by the Wick engine."""
    return paper(apply_operator(closed_form("ntk-at-init").expr, FUNCTIONS[name]))


def _images(D: int, claimed):
    """T[g] by brute force, for each function of which an image is claimed."""
    at = initial(D, "beta", scalars=("c",))
    at.values |= {"sigma": at.number(1), "u": _unit(at, 0), "v": _unit(at, 1)}
    for name, formula in claimed.items():
        if D == 1 and FUNCTIONS[name].has(v):
            continue  # one dimension has no i != j
        K = initial_kernel(at)
        yield f"T[{name}]", at.mean(K * at.interpret(FUNCTIONS[name]), "x"), at.interpret(formula)


def _unit(at: Coordinates, i: int) -> np.ndarray:
    column = np.zeros((at.D, 1), dtype=int)
    column[min(i, at.D - 1)] = 1
    return at.matrix(column)


def image_evidence(name: str, right: sp.Expr, wrong: sp.Expr) -> tuple[Evidence, Evidence]:
    """T[g] is the right formula and not the wrong one: derived, and proved by brute force."""
    return (
        equality(f"T[{name}] by Wick's theorem", lambda: image(name), lambda: right, lambda: wrong),
        proof(
            f"T[{name}] by moments of monomials",
            Certificate(2, 2, _images),
            lambda: {name: right},
            lambda: {name: wrong},
        ),
    )


def eigenvalue(part: str) -> sp.Expr:
    return closed_form("ntk-eigenvalues").terms[part][0].subs(sigma, 1)


def multiplicity(part: str) -> sp.Expr:
    return closed_form("ntk-eigenvalues").terms[part][1]


def eigenvalue_evidence(part: str, right: sp.Expr, wrong: sp.Expr) -> tuple[Evidence, Evidence]:
    def planted(cf):
        pair = (cf.terms[part][0] * wrong / right, cf.terms[part][1])
        return replace(cf, terms={**cf.terms, part: pair})

    return (
        equality(
            f"eigenvalue on {part} functions",
            lambda: eigenvalue(part),
            lambda: right,
            lambda: wrong,
        ),
        certificate("ntk-eigenvalues", planted),
    )


def in_numbers(expr: sp.Expr):
    """An expression in D and epsilon as a function of their values."""
    names = {symbol.name: symbol for symbol in (D, epsilon)}
    return lambda **point: expr.subs({names[name]: value for name, value in point.items()})


def misprinted_eigenvalue(claim: str, part: str, wrong: sp.Expr) -> None:
    """Attach evidence and a counter-example to a claim with a wrong eigenvalue."""
    right = {"traceless": LAMBDA_TRACELESS, "radial": LAMBDA_RADIAL}[part]
    attach(claim, *eigenvalue_evidence(part, right, wrong))
    counterexample(
        claim,
        lambda: smallest(in_numbers(wrong), in_numbers(eigenvalue(part)), D=(2, 3), epsilon=SIMPLE),
    )
