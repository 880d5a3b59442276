"""Claims on the "CKA" of the main text, Secs. 5, 5.3, and of App. 8.3.3 (Kumar et al.)."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from sympy import Rational, Trace

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D, M, alpha, beta, epsilon, sigma
from lazyrich.theory.wick import canonical, dot, form
from lazyrich.verify import strategies as given
from lazyrich.verify.counterexample import SIMPLE, smallest
from lazyrich.verify.evidence import (
    attach,
    attacked,
    certificate,
    counterexample,
    equality,
    evidence,
)
from lazyrich.verify.ledger import Evidence
from lazyrich.verify.properties import alignment as laws


def _of_unit_kernel() -> str:
    """Both alignments of K = I with y = (1, 2), exactly: H y = y - 3/2 and H I H = H."""
    y, H = sp.Matrix([1, 2]), sp.eye(2) - sp.ones(2, 2) / 2
    printed, centred = (
        (v.T * K * v)[0] / (K.norm() * v.dot(v)) for K, v in ((sp.eye(2), y), (H, H * y))
    )
    assert printed != centred, f"both are {printed}"
    return f"K = I, y = (1, 2): printed {printed}, centred {centred}"


def _constant(value: float) -> dict[str, Any]:
    return dict.fromkeys(("uncentred", "centred"), lambda **_: value)


def _past_the_minimum(*sizes: int) -> str:
    """Alignment and misalignment at D = 1, alpha = epsilon = 1, |beta|^2 = 2, M = these sizes."""
    alignments, errors, losses = [], [], []
    for m in sizes:
        at = {"D": 1, "epsilon": 1, "beta": [sp.sqrt(2)], "wbar": [0], "M": [[m]]}
        alignments.append(sp.nsimplify(closed_form("kernel-alignment").evaluate(**at) ** 2))
        errors.append(closed_form("test-loss").evaluate_terms(alpha=1, **at)["misalignment"])
        losses.append(closed_form("test-loss").evaluate(alpha=1, **at))
    assert all(a < b for a, b in pairwise(alignments)), f"the alignment falls: {alignments}"
    assert any(a < b for a, b in pairwise(errors)), f"the misalignment only falls: {errors}"
    assert any(a < b for a, b in pairwise(losses)), f"the loss only falls: {losses}"
    listed = "; ".join(
        f"M = {m}: squared alignment {a}, misalignment {e}, loss {loss}"
        for m, a, e, loss in zip(sizes, alignments, errors, losses, strict=True)
    )
    return f"D = 1, alpha = epsilon = 1, |beta|^2 = 2: {listed}"


def _mixed(kept: Any, added: Any) -> sp.Expr:
    """The squared alignment at M = kept^2 I + added^2 M*, M* the solution, as in Fig. 10.

    There D = 40, epsilon = 1/4, alpha = 1, |beta|^2 = D; the alignment doesn't depend on |beta|.
    """
    size, e = 40, Rational(1, 4)
    diagonal = [kept**2 + added**2 * size / e, *[kept**2] * (size - 1)]
    terms = closed_form("kernel-alignment").evaluate_terms(
        D=size,
        epsilon=e,
        beta=[1, *[0] * (size - 1)],
        wbar=[0] * size,
        M=sp.diag(*diagonal),
    )
    return terms["numerator"] ** 2 / (terms["kernel_square"] * terms["target_square"] ** 2)


def _root(square: sp.Expr) -> str:
    return f"{float(sp.sqrt(square)):.6f}"


def _limit(name: str, power: int) -> sp.Expr:
    """Of the alignment for large epsilon, times a power of D, as D grows."""
    value = closed_form("kernel-alignment-at-init").terms[f"{name}_limit"]
    return sp.limit(value * D**power, D, sp.oo)


@evidence(
    "sec-5-cka-is-not-centred",
    "proved",
    "the centred alignment doesn't change with constants, the printed one does",
    control={"uncentred": True},
)
def shifted(uncentred: bool = False) -> str:
    K, y = np.eye(2), np.array([1.0, 2.0])
    values = [laws.alignment_moments(K + c, y + c, np.full(2, 0.5), not uncentred) for c in (0, 1)]
    ours, theirs = (np.array(list(v.values())) for v in values)
    assert np.allclose(ours, theirs), f"adding 1 changes it: {values}"
    return f"adding 1 to K and y changes nothing: {values[0]}"


attach(
    "sec-5-cka-is-not-centred",
    equality(
        "for large epsilon, then large D, the uncentred one tends to 1/(3 sqrt 3)",
        lambda: _limit("uncentred", 0),
        lambda: 1 / (3 * sp.sqrt(3)),
        lambda: sp.S.Zero,
    ),
    equality(
        "and D times the centred one to sqrt(2)",
        lambda: _limit("centred", 1),
        lambda: sp.sqrt(2),
        lambda: 1 / (3 * sp.sqrt(3)),
    ),
    certificate(
        "centred-kernel-alignment",
        lambda cf: replace(cf, terms=closed_form("kernel-alignment").terms),
    ),
    attacked(
        "the centred moments of autograd's kernel on an exact cubature",
        lambda network: laws.alignment_equals_its_closed_form(network, centred=True),
        (given.networks(),),
        lambda network: laws.alignment_equals_its_closed_form(
            network, centred=True, terms=laws.functions("kernel-alignment")
        ),
    ),
)


counterexample("sec-5-cka-is-not-centred", _of_unit_kernel)


@evidence(
    "sec-5-cka-choices",
    "derived",
    "what a reproducer must choose: the points and their number, centring, the time "
    "of the kernel; the choices differ already at initialisation in Fig. 1",
    control={"least": 10.0},
)
def readings(least: float = 1.1) -> str:
    """The alignment of Fig. 1 at initialisation, by what the text leaves open."""
    at = {"D": 100, "epsilon": 0.02, "wbar": np.zeros(100), "M": np.eye(100)}
    at["beta"] = np.ones(100)
    gram = closed_form("gram-alignment").function("numpy")
    found = {
        "population": closed_form("kernel-alignment").function("numpy")(**at),
        "population, centred": closed_form("centred-kernel-alignment").function("numpy")(**at),
        "test set, 1,000 points": gram(P=1000, **at),
        "train set, 550 points": gram(P=550, **at),
    }
    values = sorted(float(v) for v in found.values())
    closest = min(b / a for a, b in pairwise(values))
    assert closest > least, f"two readings differ by a factor {closest:.3g} only"
    return "; ".join(f"{name}: {float(value):.2e}" for name, value in found.items())


def _slope(power: int) -> sp.Expr:
    """d alignment/d epsilon, times a factor that is positive: what is left has its sign."""
    value = closed_form("kernel-alignment-at-init").terms["uncentred"]
    size = D**2 + 3 * epsilon**4 * sigma**4 * (D + 2)
    positive = 3 * size ** Rational(3, 2) / (2 * D ** Rational(3, 2) * sigma**2 * (D + 8))
    return sp.simplify(sp.diff(value, epsilon) * positive) - epsilon**power


attach(
    "sec-5-epsilon-and-cka",
    equality(
        "its slope in epsilon, over a positive factor, less epsilon",
        lambda: _slope(1),
        lambda: sp.S.Zero,
        lambda: _slope(3),
    ),
    equality(
        "where it saturates",
        lambda: closed_form("kernel-alignment-at-init").terms["uncentred_limit"],
        lambda: (D + 8) / (3 * sp.sqrt(3 * D * (D + 2))),
        lambda: (D + 8) / (3 * sp.sqrt(D * (D + 2))),
    ),
    attacked(
        "its value, plain and centred, from autograd's kernel of finite networks that have "
        "the moments of infinite ones",
        laws.initial_alignment_equals_its_closed_form,
        (given.dimensions(3), given.epsilons(), given.scales(-3, 3), st.booleans()),
        lambda D, e, sigma, centred: laws.initial_alignment_equals_its_closed_form(
            D, e, sigma, centred, terms=_constant(e**2)
        ),
        share=0.6,
    ),
)


def _norm_not_squared_ratio(power: int, y: Any) -> sp.Expr:
    """y^T K y/(|K|_F |y|^power) of one sample with K = 1."""
    return y**2 / sp.Abs(y) ** power


attach(
    "sec-5.3-cka-norm",
    equality(
        "with |y|^2 labels three times as large change nothing: the difference",
        lambda: sp.S.Zero,
        lambda: _norm_not_squared_ratio(2, Rational(3)) - _norm_not_squared_ratio(2, Rational(1)),
        lambda: _norm_not_squared_ratio(1, Rational(3)) - _norm_not_squared_ratio(1, Rational(1)),
    ),
)


counterexample(
    "sec-5.3-cka-norm",
    lambda: (
        smallest(
            lambda y: _norm_not_squared_ratio(1, y),
            lambda y: _norm_not_squared_ratio(2, y),
            y=SIMPLE,
        )
        + ", for one sample with K = 1"
    ),
)


def _misalignment(sign: int) -> sp.Expr:
    constant = alpha**2 * epsilon**2 * Trace(M * M) + dot(beta, beta) ** 2
    return constant / (2 * D**2) - sign * alpha * epsilon / D**2 * form(beta, M, beta)


attach(
    "sec-5.3-cka-and-misalignment",
    equality(
        "misalignment: besides |M|_F and |beta| it holds M in beta^T M beta only",
        lambda: canonical(closed_form("test-loss").terms["misalignment"]),
        lambda: _misalignment(1),
        lambda: _misalignment(-1),
    ),
    Evidence(
        "proved",
        "the alignment rises on, misalignment and loss fall to 0 and rise again",
        lambda _: _past_the_minimum(1, 2, 3),
        lambda _: _past_the_minimum(1, 2),
    ),
)


counterexample("sec-5.3-cka-and-misalignment", lambda: _past_the_minimum(1, 2, 3))


_twentieth = Rational(1, 20)


@evidence(
    "sec-8.3.3-alignment-of-mixture",
    "proved",
    "at D = 40, epsilon = 1/4, in exact arithmetic",
    control={"kept": 1 - _twentieth},
)
def grows(share: Any = _twentieth, kept: Any = 1) -> str:
    before, after = _mixed(1, 0), _mixed(kept, share)
    assert after > before, f"the alignment falls from {_root(before)} to {_root(after)}"
    return f"from {_root(before)} to {_root(after)} at the fraction {share} of the solution"


counterexample(
    "sec-8.3.3-alignment-of-mixture",
    lambda: (
        f"D = 40, epsilon = 1/4, wide, c = 1/20: {_root(_mixed(1 - _twentieth, _twentieth))} "
        f"against {_root(_mixed(1, 0))} at c = 0"
    ),
)
