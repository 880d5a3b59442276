"""Exact certificates: each closed form against brute force in coordinates, as a proof for every D.

Why finitely many dimensions are enough. Both sides are polynomials in the entries of the vectors
and matrices, and neither changes when all of them are rotated together, because the model, the
target and the law of the inputs don't. By the first fundamental theorem for O(D) each is therefore
a combination of full contractions of indices (traces and bilinear forms). With 2k indices in a
term these are pairings of 2k indices, which are linearly independent for D >= k (the second
fundamental theorem: the first relation antisymmetrises k + 1 > D indices). So the two sides are
equal for D >= k if and only if their coefficients are, and these are rational functions of D.

On the side of brute force they are, by Wick's theorem, sums over the pairings of m pairs of
integrated inputs: each pair gives 1/D from the covariance and each closed loop of pairs gives D,
at most one loop a pair. So D^m times a coefficient is a polynomial of degree at most m. On the side
of the closed form the coefficients are read off: p(D)/q(D), of degree d = max(deg p, deg q). If q
is a power of D, D^max(m, d) clears both sides, with polynomials of degree at most max(m, d); for
another q, D^m q does, with degree at most m + d. Polynomials that agree at one more value of D than
their degree are equal. Agreement from D = k on at so many values proves the closed form for every
D >= k, and for every D >= 1, as Wick's sum is the same expression at every D.

Widths: every sum over neurons here is additive in the neurons, so that N = 2 shows all there is.
Samples: (wbar, M) after a step is quadratic in the residuals, so that P = 2 shows all there is.
"""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportAttributeAccessIssue=false, reportReturnType=false

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import sympy as sp

from lazyrich.support.arguments import one_of
from lazyrich.verify.coordinates import is_zero

Comparison = tuple[str, Any, Any]  # label, by brute force, as claimed


@dataclass(frozen=True)
class Certificate:
    """How to compare one formula with brute force at one dimension.

    ``compare(D, claimed)`` yields (label, by brute force, as claimed), where ``claimed`` is a
    ``ClosedForm`` or formulas by name; ``contractions`` is the k and ``pairs`` the m of the
    module's argument.
    """

    contractions: int
    pairs: int
    compare: Callable[[int, Any], Iterator[Comparison]]

    def dimensions(self, claimed: Any) -> range:
        """From D = 1 (those from k on make the proof) to where the argument is complete."""
        degree, is_cleared = degree_in_D(claimed)
        degree = max(self.pairs, degree) if is_cleared else self.pairs + degree
        return range(1, self.contractions + degree + 1)


def prove(certificate: Certificate, claimed: Any) -> str:
    """Compare at enough dimensions; return what was proved. Raises ``AssertionError`` if it isn't.

    ``claimed`` is a ``ClosedForm``, or a mapping of names to formulas.
    """
    dimensions, count = certificate.dimensions(claimed), 0
    for D in dimensions:
        for label, brute, formula in certificate.compare(D, claimed):
            assert is_zero(brute - formula), f"{label} at D = {D}: {_short(brute - formula)} off"
            count += 1
    needed = len(dimensions) - certificate.contractions + 1
    return (
        f"{count} exact identities at D = 1..{dimensions[-1]}, "
        f"of which {needed} from D = {certificate.contractions} on prove it for every D"
    )


def certify(name: str, candidate: Any = None) -> str:
    """Prove the closed form ``name`` for all D; return what was proved.

    ``candidate`` is a ``ClosedForm`` to take its place: a wrong one must be rejected. Raises
    ``AssertionError`` if anything differs, ``ValueError`` for a name without a certificate.

    >>> certify("network-function")
    '6 exact identities at D = 1..2, of which 1 from D = 2 on prove it for every D'
    """
    known = _known()
    one_of("certificate", name, known)
    return _proved(name) if candidate is None else prove(known[name], candidate)


@cache
def _proved(name: str) -> str:
    """Once a process: many claims rest on the same certificate."""
    from lazyrich.theory import closed_form

    return prove(_known()[name], closed_form(name))


def certified() -> list[str]:
    """The names of the closed forms that have a certificate."""
    return list(_known())


@cache
def _known() -> dict[str, Certificate]:
    """The CERTIFICATES of all modules of this package."""
    modules = (import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return {k: v for module in modules for k, v in getattr(module, "CERTIFICATES", {}).items()}


def degree_in_D(part: Any) -> tuple[int, bool]:
    """(d, whether a power of D clears the denominators) of the coefficients of a formula.

    d is the largest degree of a numerator or a denominator; traces and bilinear forms count as
    variables of their own. The whole of an alignment, which holds a root, is left out: what is
    compared of it are its terms.

    >>> from lazyrich.theory.symbols import D, M
    >>> degree_in_D(sp.Trace(M) * (1 + 2 / D) / D)
    (2, True)
    """
    if isinstance(part, sp.MatMul | sp.MatAdd):
        terms = part.args if isinstance(part, sp.MatAdd) else [part]
        part = tuple(sp.sympify(term.as_coeff_mmul()[0]) for term in terms)
    if hasattr(part, "terms") and hasattr(part, "components"):
        parts = (part.expr, *part.terms.values(), *part.components.values())
        part = tuple(item for item in parts if not _has_root(item))
    if isinstance(part, Mapping):
        part = tuple(part.values())
    if isinstance(part, tuple | sp.Tuple):
        degrees = [degree_in_D(item) for item in part] or [(0, True)]
        return max(d for d, _ in degrees), all(cleared for _, cleared in degrees)
    if not isinstance(part, sp.Expr) or isinstance(part, sp.MatrixExpr):
        return 0, True
    from lazyrich.theory.symbols import D

    traces = {trace: sp.Dummy() for trace in part.atoms(sp.Trace)}
    top, bottom = sp.fraction(sp.together(part.xreplace(traces)))
    top, bottom = sp.Poly(top, D), sp.Poly(bottom, D)
    return max(top.degree(), bottom.degree(), 0), bottom.is_monomial


def _has_root(part: Any) -> bool:
    powers = part.atoms(sp.Pow) if isinstance(part, sp.Basic) else ()
    return any(not power.exp.is_Integer for power in powers)


def _short(difference: Any) -> str:
    text = " ".join(str(difference).split())
    return text if len(text) <= 120 else f"{text[:117]}..."
