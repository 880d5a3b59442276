"""Claims that general theory decides: sample sizes (Sec. 5, App. 11.1), multi-index (Sec. 15.1)."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from sympy import MatrixSymbol

from lazyrich.theory import closed_form
from lazyrich.theory.mercer import projectors
from lazyrich.theory.symbols import D, epsilon, isotropic, x, x_prime
from lazyrich.theory.wick import dot, expectation
from lazyrich.verify.certificates.general import CERTIFICATES
from lazyrich.verify.counterexample import smallest
from lazyrich.verify.evidence import attach, attacked, counterexample, equality, evidence, proof
from lazyrich.verify.ledger import Evidence
from lazyrich.verify.properties import lazy as laws

_EPSILONS = st.builds(Fraction, st.integers(-9, 9).filter(bool), st.integers(1, 9))
_SEEDS = st.integers(0, 10**6)


def _sizes() -> st.SearchStrategy:
    """(D, P) with P at most the number of the kernel's functions."""
    return st.integers(2, 6).flatmap(
        lambda d: st.tuples(st.just(d), st.integers(1, d * (d + 3) // 2 - 1))
    )


def _threshold() -> Evidence:
    def law(d: int, e: Fraction, seed: int) -> None:
        laws.lazy_training_is_exact_from(d, e, seed)

    def planted(d: int, e: Fraction, seed: int) -> None:
        laws.lazy_training_is_exact_from(d, e, seed, lambda D: D * (D + 1) // 2)

    return attacked(
        "in rational arithmetic: exact with D(D + 3)/2 samples, not with one less, any epsilon",
        law,
        (st.integers(1, 3), _EPSILONS, _SEEDS),
        planted,
    )


def _bounds() -> Evidence:
    def law(sizes: tuple[int, int], e: Fraction, seed: int) -> None:
        laws.learned_shares_are_bounded(*sizes, float(e), seed)

    def planted(sizes: tuple[int, int], e: Fraction, seed: int) -> None:
        laws.learned_shares_are_bounded(
            *sizes, float(e), seed, lambda D, P: (0.0, 2 * float(e) * P / D**2)
        )

    return attacked(
        "the share of traceless functions that P samples teach lies between 2(P - D - 1) and 2P "
        "over (D - 1)(D + 2), for every epsilon",
        law,
        (_sizes(), _EPSILONS, _SEEDS),
        planted,
    )


def _sample_size_printed(D: int, epsilon: sp.Expr) -> sp.Expr:
    return D**2 / (2 * epsilon)


def _sample_size_derived(D: int, epsilon: sp.Expr) -> sp.Expr:  # noqa: ARG001
    return closed_form("lazy-sample-size").evaluate(D=D)


attach(
    "sec-5-sample-size",
    _threshold(),
    _bounds(),
    equality(
        "the rule 1/lambda over the exact number tends to 1/epsilon^2 in many dimensions",
        lambda: closed_form("lazy-sample-size").components["ratio_in_many_dimensions"],
        lambda: 1 / (epsilon * sp.Symbol("sigma", positive=True)) ** 2,
        lambda: sp.S.One,
    ),
)


counterexample(
    "sec-5-sample-size",
    lambda: smallest(
        _sample_size_printed,
        _sample_size_derived,
        D=(100,),  # as in Figure 1
        epsilon=(sp.Rational(1, 50),),
    ),
)


attach(
    "sec-11.1-sample-sizes",
    _bounds(),
    _threshold(),
)


@evidence(
    "sec-11.1-sample-sizes",
    "measured",
    "most of |x|^2 is learned at P = 4D, in 10 as in 30 dimensions (8 draws each); at "
    "P = 4 sqrt(D) it is not",
    control={"power": 0.5},
)
def radial_share(power: float = 1.0) -> str:
    """Mean learned share of |x|^2 at P = 4 D^power, epsilon = 1/4, in 10 and 30 dimensions."""
    found = []
    for d in (10, 30):
        count = int(4 * d**power)
        draws = [np.random.default_rng([d, seed]) for seed in range(8)]
        inputs = [random.normal(size=(count, d)) / np.sqrt(d) for random in draws]
        found.append(np.mean([laws.learned_shares(X, 0.25)[0]["radial"] for X in inputs]))
    text = f"{found[0]:.2f} at D = 10, {found[1]:.2f} at D = 30"
    assert min(found) > 0.6, text
    assert abs(found[0] - found[1]) < 0.15, text
    return text


_indices: list[Any] = [MatrixSymbol(f"beta_{i}", D, 1) for i in (1, 2)]


_first, _second = _indices


_multi_index_printed = dot(_first, x) + dot(_second, x)


_meant = (dot(_first, x) ** 2 + dot(_second, x) ** 2) / 2


def _linear_part(target: sp.Expr) -> sp.Expr:
    on_linear = projectors()["linear"]
    return expectation(on_linear * target.subs(x, x_prime), isotropic(x_prime))


attach(
    "sec-15.1-targets",
    equality(
        "the printed target is a single-index model, with the index beta_1 + beta_2",
        lambda: _multi_index_printed,
        lambda: dot(_first + _second, x),
        lambda: dot(_first - _second, x),
    ),
    equality(
        "it lies in the kernel's space of linear functions as a whole",
        lambda: _linear_part(_multi_index_printed),
        lambda: _multi_index_printed,
        lambda: _meant,
    ),
    equality(
        "the sum of squares has no part there",
        lambda: _linear_part(_meant),
        lambda: sp.S.Zero,
        lambda: _multi_index_printed,
    ),
)


def _halved(cf):
    return replace(cf, terms={**cf.terms, "misalignment": cf.terms["misalignment"] / 2})


attach(
    "sec-15.1-same-model",
    proof(
        "the loss of a general quadratic problem, by terms",
        CERTIFICATES["general-test-loss"],
        lambda: closed_form("general-test-loss"),
        lambda: _halved(closed_form("general-test-loss")),
    ),
)
