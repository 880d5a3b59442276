"""Claims on higher degrees: kernels need P ~ D^k (Sec. 5), Hermite targets (Sec. 15.2)."""

from fractions import Fraction
from functools import cache
from math import factorial
from typing import Any

import sympy as sp
from hypothesis import strategies as st

from lazyrich.theory import ClosedForm, closed_form
from lazyrich.theory.hermite import (
    h,
    hermite,
    hermite_activation,
    hermite_ntk_at_init,
    hermite_target_power,
    information_exponent,
)
from lazyrich.theory.hermite_spectrum import hermite_ntk_eigenvalues
from lazyrich.theory.network import activation
from lazyrich.theory.symbols import D, beta, epsilon, isotropic
from lazyrich.theory.wick import dot, expectation
from lazyrich.verify.certificates import hermite as certificates
from lazyrich.verify.counterexample import smallest
from lazyrich.verify.evidence import attacked, equality, proof
from lazyrich.verify.ledger import Claim, Evidence, Verdict
from lazyrich.verify.properties import hermite as laws


def claims() -> list[Claim]:
    """The claims on higher degrees, in the paper's order."""
    return [
        _samples_of_degree_k(),
        _exponent_is_degree(),
        _exponents_above_two(),
        _convention(),
        _same_model(),
        _more_data(),
    ]


@cache
def _power(k: int) -> ClosedForm:
    return hermite_target_power(k)


@cache
def _spectrum(k: int) -> dict[str, Any]:
    return dict(hermite_ntk_eigenvalues(k).terms)


def _samples_of_degree_k() -> Claim:
    def count_of_top(expected: Any) -> str:
        for k in (2, 3, 4):
            _, count = _spectrum(k)[f"harmonics_{k}"]
            found = sp.limit(count / D**k, D, sp.oo)
            assert found == expected(k), f"k = {k}: {found} D^k functions, not {expected(k)}"
        return "D^k/k! functions of degree k share one eigenvalue of order D^-k, k = 2, 3, 4"

    def doubled() -> dict[str, Any]:
        value, count = _spectrum(3)["harmonics_3"]
        return {**_spectrum(3), "harmonics_3": (2 * value, count)}

    return Claim(
        name="sec-5-degree-k",
        source="Sec. 5",
        statement="Learning polynomials of degree k in dimension D with the NTK requires P of the "
        "order of D^k samples.",
        verdict=Verdict.CONFIRMED,
        derivation="P samples teach at most P functions in sum, whatever the kernel (see "
        "sec-5-sample-size), and the harmonics of degree k have one share by symmetry: at most "
        "P k!/D^k of each in many dimensions.",
        evidence=(
            proof(
                "the spectrum of the kernel with He_3, by degree of harmonics",
                certificates.hermite_spectrum(3),
                lambda: _spectrum(3),
                doubled,
            ),
            Evidence(
                "derived",
                "the number of harmonics of degree k",
                lambda _: count_of_top(lambda k: sp.Rational(1, factorial(k))),
                lambda _: count_of_top(lambda k: sp.Rational(1, k)),
            ),
        ),
    )


def _exponent_is_degree() -> Claim:
    links = st.lists(st.integers(-3, 3), min_size=2, max_size=6).filter(any).map(tuple)
    variances = st.builds(Fraction, st.integers(0, 9), st.integers(1, 5))

    def in_its_degree_alone(coefficients: tuple[int, ...]) -> dict[int, Any]:
        powers = laws.derived_powers(coefficients)
        return {len(coefficients) - 1: sp.Add(*powers.values())}

    return Claim(
        name="sec-15.2-exponent-is-degree",
        source="Sec. 15.2",
        statement="For simple polynomial targets, as in this setting, the information exponent is "
        "the degree.",
        verdict=Verdict.REFUTED,
        printed="the information exponent of a simple polynomial target is its degree",
        derived=r"$(\beta \cdot x)^n$ has the exponent 1 for odd $n$, 2 for even $n$; $He_n(\beta "
        r"\cdot x)$ has $n$ if and only if $|\beta|^2 = D$",
        derivation="The exponent is the least degree n >= 1 in which the target has a Hermite "
        "coefficient: h^3 = He_3 + 3 He_1. For this paper's own target h^2/2 it is 2, its degree.",
        counterexample=lambda: (
            smallest(lambda n: n, lambda n: information_exponent(h**n), n=(1, 2, 3, 4))
            + ", for the target (beta.x)^n"
        ),
        evidence=(
            attacked(
                "the power of a polynomial of beta.x in each Hermite degree, exactly, any |beta|",
                laws.power_by_degree_is_that_of_the_expansion,
                (links, variances),
                lambda c, v: laws.power_by_degree_is_that_of_the_expansion(
                    c, v, in_its_degree_alone
                ),
            ),
            equality(
                "(beta.x)^3 has power in degree 1",
                lambda: laws.derived_powers((0, 0, 0, 1))[1],
                lambda: 9 * dot(beta, beta) ** 3 / D**3,
                lambda: sp.S.Zero,
            ),
        ),
    )


def _exponents_above_two() -> Claim:
    def exponents(variance: Any) -> str:
        found = [information_exponent(hermite(k), variance) for k in (3, 4)]
        assert found == [3, 4], f"exponents {found} at |beta|^2/D = {variance}"
        return f"exponents {found} at |beta|^2/D = {variance}"

    def mean(term: str) -> Any:
        return sp.factor(expectation(_power(3).terms[term], isotropic(beta, sp.S.One)))

    def scaled(k: int) -> Any:
        cf = hermite_target_power(k)
        top = f"degree_{k}"
        return ClosedForm(
            cf.name, cf.title, cf.expr, [], "", "", terms={**cf.terms, top: 2 * cf.terms[top]}
        )

    return Claim(
        name="sec-15.2-exponents-above-2",
        source="Sec. 15.2",
        statement="H_3 and H_4 have degree k > 2 and thus an information exponent above 2.",
        verdict=Verdict.ASSUMING,
        assumption="Probabilists' polynomials and |beta|^2 = D exactly. The degree alone does not "
        "give it: for any other |beta| the exponents are 1 and 2. For beta ~ N(0, I) they are so "
        "with probability 1, though the power in degree 1 is then small, on average 3/(D + 2) of "
        "that in degree 3.",
        counterexample=lambda: (
            smallest(
                lambda k, v: k,  # noqa: ARG005
                lambda k, v: information_exponent(hermite(k), v),
                k=(3, 4),
                v=(sp.S.One, sp.Rational(3, 2)),
            )
            + ", with v = |beta|^2/D"
        ),
        evidence=(
            *(
                proof(
                    f"the power of He_{k}(beta.x) by degree",
                    certificates.target_power(k),
                    lambda k=k: _power(k),
                    lambda k=k: scaled(k),
                )
                for k in (3, 4)
            ),
            Evidence(
                "derived",
                "exponents 3 and 4 at |beta|^2 = D, and not at 3D/2",
                lambda _: exponents(sp.S.One),
                lambda _: exponents(sp.Rational(3, 2)),
            ),
            equality(
                "for beta ~ N(0, I) the mean power in degree 1 over that in degree 3",
                lambda: mean("degree_1") / mean("degree_3"),
                lambda: 3 / (D + 2),
                lambda: sp.S.Zero,
            ),
        ),
    )


def _convention() -> Claim:
    def exponents(polynomial: Any) -> str:
        found = [information_exponent(polynomial(k), sp.S.One) for k in (3, 4)]
        assert found == [3, 4], f"exponents {found} at |beta|^2 = D"
        return f"exponents {found} at |beta|^2 = D"

    return Claim(
        name="sec-15.2-convention",
        source="Sec. 15.2",
        statement="The target is H_k, the k-th Hermite polynomial.",
        verdict=Verdict.OPEN,
        derivation="Of which kind and of which argument is not said. With beta.x of unit variance "
        "only the probabilists' polynomials have the exponents that the section ascribes to them; "
        "the physicists' H_3 = 8 He_3 + 12 He_1 and H_4 = 16 He_4 + 48 He_2 + 12 have 1 and 2, and "
        "need |beta|^2 = D/2. A reproducer takes He_k and |beta|^2 = D.",
        evidence=(
            Evidence(
                "derived",
                "the probabilists' polynomials have exponents 3 and 4; the physicists' don't",
                lambda _: exponents(hermite),
                lambda _: exponents(lambda k: sp.hermite(k, h)),
            ),
        ),
    )


def _same_model() -> Claim:
    return Claim(
        name="sec-15.2-activation",
        source="Sec. 15.2; eq. (3)",
        statement="phi(z) = z + (epsilon/2) H_k(z) with target H_k carries the model of eq. (3) to "
        "higher degrees.",
        verdict=Verdict.ASSUMING,
        assumption="Up to constants and a factor: H_2(z) = z^2 - 1. At k = 2 the kernel is that of "
        "eq. (10), but the function differs by alpha epsilon/2 (which the centred predictor "
        "cancels), and the target is (beta.x)^2 - 1, not (beta.x)^2/2; the network has no "
        "constant function to make up for the -1.",
        evidence=(
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
        ),
    )


def _more_data() -> Claim:
    inputs = (
        st.integers(2, 4),
        st.integers(1, 2),
        st.builds(Fraction, st.integers(-5, 5), st.integers(1, 5)),
        st.integers(0, 10**6),
    )
    return Claim(
        name="sec-15.2-more-data",
        source="Sec. 15.2",
        statement="Larger amounts of data are used to learn polynomials of higher degree.",
        verdict=Verdict.OPEN,
        derivation="How large is not said. The lazy network is exact from D(D + 3)/2, D(D^2 + 3D + "
        "8)/6 and D(D + 3)(D^2 + 3D + 14)/24 samples on for k = 2, 3, 4 (for those parts of the "
        "target that are not constant): the number of the kernel's functions. Between D and these "
        "numbers a reproducer must choose.",
        evidence=(
            attacked(
                "the rank of the Gram matrix with He_k in rational arithmetic",
                laws.kernel_has_the_derived_rank,
                inputs,
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
        ),
    )
