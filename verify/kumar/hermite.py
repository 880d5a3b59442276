"""Claims on higher degrees: kernels need P ~ D^k (Sec. 5), Hermite targets (Sec. 15.2)."""

from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from math import factorial
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from lazyrich.simulate.outcome import settled_at
from lazyrich.theory import ClosedForm, closed_form
from lazyrich.theory.hermite import (
    h,
    hermite,
    hermite_activation,
    hermite_ntk_at_init,
    hermite_ntk_eigenvalues,
    hermite_target_power,
    information_exponent,
)
from lazyrich.theory.network import activation
from lazyrich.theory.symbols import D, beta, epsilon, isotropic
from lazyrich.theory.wick import dot, expectation
from lazyrich.verify.certificates import hermite as certificates
from lazyrich.verify.counterexample import smallest
from lazyrich.verify.evidence import attach, attacked, counterexample, equality, evidence, proof
from lazyrich.verify.hermite_runs import FEW, SIZES, hermite_runs
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.properties import hermite as laws
from lazyrich.verify.statistics import Array, mostly


@cache
def _power(k: int) -> ClosedForm:
    return hermite_target_power(k)


@cache
def _spectrum(k: int) -> dict[str, Any]:
    return dict(hermite_ntk_eigenvalues(k).terms)


def _doubled() -> dict[str, Any]:
    value, count = _spectrum(3)["harmonics_3"]
    return {**_spectrum(3), "harmonics_3": (2 * value, count)}


attach(
    "sec-5-degree-k",
    proof(
        "the spectrum of the kernel with He_3, by degree of harmonics",
        certificates.hermite_spectrum(3),
        lambda: _spectrum(3),
        _doubled,
    ),
)


@evidence(
    "sec-5-degree-k",
    "derived",
    "the number of harmonics of degree k",
    control={"expected": lambda k: sp.Rational(1, k)},
)
def count_of_top(expected: Any = lambda k: sp.Rational(1, factorial(k))) -> str:
    for k in (2, 3, 4):
        _, count = _spectrum(k)[f"harmonics_{k}"]
        found = sp.limit(count / D**k, D, sp.oo)
        assert found == expected(k), f"k = {k}: {found} D^k functions, not {expected(k)}"
    return "D^k/k! functions of degree k share one eigenvalue of order D^-k, k = 2, 3, 4"


_links = st.lists(st.integers(-3, 3), min_size=2, max_size=6).filter(any).map(tuple)


_variances = st.builds(Fraction, st.integers(0, 9), st.integers(1, 5))


def _in_its_degree_alone(coefficients: tuple[int, ...]) -> dict[int, Any]:
    powers = laws.derived_powers(coefficients)
    return {len(coefficients) - 1: sp.Add(*powers.values())}


attach(
    "sec-15.2-exponent-is-degree",
    attacked(
        "the power of a polynomial of beta.x in each Hermite degree, exactly, any |beta|",
        laws.power_by_degree_is_that_of_the_expansion,
        (_links, _variances),
        lambda c, v: laws.power_by_degree_is_that_of_the_expansion(c, v, _in_its_degree_alone),
    ),
    equality(
        "(beta.x)^3 has power in degree 1",
        lambda: laws.derived_powers((0, 0, 0, 1))[1],
        lambda: 9 * dot(beta, beta) ** 3 / D**3,
        lambda: sp.S.Zero,
    ),
)


counterexample(
    "sec-15.2-exponent-is-degree",
    lambda: (
        smallest(lambda n: n, lambda n: information_exponent(h**n), n=(1, 2, 3, 4))
        + ", for the target (beta.x)^n"
    ),
)


def _exponents_above_two_exponents(variance: Any) -> str:
    found = [information_exponent(hermite(k), variance) for k in (3, 4)]
    assert found == [3, 4], f"exponents {found} at |beta|^2/D = {variance}"
    return f"exponents {found} at |beta|^2/D = {variance}"


def _mean(term: str) -> Any:
    return sp.factor(expectation(_power(3).terms[term], isotropic(beta, sp.S.One)))


def _scaled(k: int) -> Any:
    cf = hermite_target_power(k)
    top = f"degree_{k}"
    return ClosedForm(
        cf.name, cf.title, cf.expr, [], "", "", terms={**cf.terms, top: 2 * cf.terms[top]}
    )


attach(
    "sec-15.2-exponents-above-2",
    *(
        proof(
            f"the power of He_{k}(beta.x) by degree",
            certificates.target_power(k),
            lambda k=k: _power(k),
            lambda k=k: _scaled(k),
        )
        for k in (3, 4)
    ),
    Evidence(
        "derived",
        "exponents 3 and 4 at |beta|^2 = D, and not at 3D/2",
        lambda _: _exponents_above_two_exponents(sp.S.One),
        lambda _: _exponents_above_two_exponents(sp.Rational(3, 2)),
    ),
    equality(
        "for beta ~ N(0, I) the mean power in degree 1 over that in degree 3",
        lambda: _mean("degree_1") / _mean("degree_3"),
        lambda: 3 / (D + 2),
        lambda: sp.S.Zero,
    ),
)


counterexample(
    "sec-15.2-exponents-above-2",
    lambda: (
        smallest(
            lambda k, v: k,  # noqa: ARG005
            lambda k, v: information_exponent(hermite(k), v),
            k=(3, 4),
            v=(sp.S.One, sp.Rational(3, 2)),
        )
        + ", with v = |beta|^2/D"
    ),
)


@evidence(
    "sec-15.2-convention",
    "derived",
    "the probabilists' polynomials have exponents 3 and 4; the physicists' don't",
    control={"polynomial": lambda k: sp.hermite(k, h)},
)
def convention_exponents(polynomial: Any = hermite) -> str:
    found = [information_exponent(polynomial(k), sp.S.One) for k in (3, 4)]
    assert found == [3, 4], f"exponents {found} at |beta|^2 = D"
    return f"exponents {found} at |beta|^2 = D"


attach(
    "sec-15.2-activation",
    equality(
        "the kernel at k = 2 is that of the paper's activation",
        lambda: hermite_ntk_at_init(2).expr,
        lambda: closed_form("ntk-at-init").expr,
        lambda: hermite_ntk_at_init(3).expr,
    ),
    equality(
        "the two activations differ by a constant",
        lambda: hermite_activation(2) - activation(h),
        lambda: -epsilon / 2,
        lambda: sp.S.Zero,
    ),
    proof(
        "the kernel with He_3",
        certificates.hermite_kernel(3),
        lambda: hermite_ntk_at_init(3),
        lambda: hermite_ntk_at_init(2),
    ),
)


_inputs = (
    st.integers(2, 4),
    st.integers(1, 2),
    st.builds(Fraction, st.integers(-5, 5), st.integers(1, 5)),
    st.integers(0, 10**6),
)


attach(
    "sec-15.2-more-data",
    attacked(
        "the rank of the Gram matrix with He_k in rational arithmetic",
        laws.kernel_has_the_derived_rank,
        _inputs,
        lambda *values: laws.kernel_has_the_derived_rank(
            *values, rank=lambda k: laws.derived_rank(k) - 1
        ),
    ),
    equality(
        "the number of functions for k = 3",
        lambda: laws.derived_rank(3),
        lambda: D * (D**2 + 3 * D + 8) / 6,
        lambda: D * (D + 1) * (D + 2) / 6,
    ),
)


def _falls(loss: Array) -> Array:
    """The record, from 1, from which each run's loss stays below half that of f = 0; else inf."""
    return np.apply_along_axis(
        lambda row: settled_at(np.arange(1.0, row.size + 1), row, 0.5), -1, loss
    )


def _groks(k: int, budget: Budget, P: int | None) -> str:
    def later(first: int, count: int) -> Array:
        size = SIZES[k] if P is None else replace(SIZES[k], P=P)
        runs = hermite_runs(k, first, count, size)
        train, test = _falls(runs.train), _falls(runs.test)
        return np.isfinite(test) & (test > 1.1 * train)

    what = f"He_{k}: the test loss falls, at least a tenth later than the train loss,"
    return mostly(what, later, budget.seed)


@evidence(
    "fig-15",
    "measured",
    "He_3, D = 10, P = 150: the test loss falls after the train loss; with 30 samples it doesn't",
    control={"P": 30},
)
def groks_on_degree_3(budget: Budget, P: int | None = None) -> str:
    return _groks(3, budget, P)


@evidence(
    "fig-15",
    "measured",
    "He_4, D = 6, P = 200: the test loss falls after the train loss; with 24 samples it doesn't",
    control={"P": 24},
)
def groks_on_degree_4(budget: Budget, P: int | None = None) -> str:
    return _groks(4, budget, P)


def _linear_rise(k: int, first: int, count: int) -> tuple[Array, Array, Array]:
    """The rise of the test loss to its peak, the linear power there, and whether it is most."""
    runs = hermite_runs(k, first, count, FEW)
    at = np.arange(count), runs.test.argmax(-1)
    rise, power = runs.test[at] - runs.test[:, 0], runs.linear[at]
    return rise, power, (rise > 0.01) & (power > 0.5 * rise)


@evidence(
    "sec-15.2-as-expected-4",
    "measured",
    "He_4, D = 10, P = 60, alpha = 8: in 1 of 4 draws or less the test loss rises by mostly linear "
    "power; at these sizes on He_3 in 3 of 4 or more",
    control={"degree": 3},
)
def other_power_first(budget: Budget, degree: int = 4) -> str:
    rises: list[Array] = []

    def other(first: int, count: int) -> Array:
        rise, _, linear = _linear_rise(degree, first, count)
        rises.append(rise)
        return ~linear

    what = f"He_{degree}: no rise that is mostly linear power"
    found = mostly(what, other, budget.seed, share=0.75, against=0.25)
    return f"{found}, rise {np.median(np.concatenate(rises)):.2g} in the median"


@evidence(
    "sec-15.2-as-expected",
    "measured",
    "He_2 and He_3, D = 10, P = 60, alpha = 8: in 3 of 4 draws or more the test loss rises by a "
    "hundredth or more, most of it linear power; at these sizes on He_4 in 1 of 4 or less",
    control={"degrees": (4,)},
)
def linear_power_first(budget: Budget, degrees: tuple[int, ...] = (2, 3)) -> str:
    shares: dict[int, list[Array]] = {k: [] for k in degrees}

    def linear(k: int, first: int, count: int) -> Array:
        rise, power, most = _linear_rise(k, first, count)
        shares[k].append(power / np.maximum(rise, 0.01))
        return most

    lines = []
    for k in degrees:
        what = f"He_{k}: a rise that is mostly linear power"
        sample = partial(linear, k)
        lines.append(mostly(what, sample, budget.seed, share=0.75, against=0.25))
        lines[-1] += f", linear power over the rise {np.median(np.concatenate(shares[k])):.2f}"
    return "; ".join(lines)
