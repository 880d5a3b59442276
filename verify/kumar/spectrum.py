"""Claims of Kumar et al. 2024 on the initial kernel's spectrum: Sec. 5, eqs. (10) and (11)."""

from dataclasses import replace

import sympy as sp

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D, epsilon, sigma, x, x_prime
from lazyrich.theory.wick import dot
from lazyrich.verify import properties
from lazyrich.verify import strategies as given
from lazyrich.verify.counterexample import SIMPLE, smallest
from lazyrich.verify.evidence import attacked, certificate, equality
from lazyrich.verify.ledger import Claim, Verdict
from lazyrich.verify.spectrum_evidence import (
    LAMBDA_LINEAR,
    LAMBDA_RADIAL,
    LAMBDA_TRACELESS,
    TRACELESS_DERIVATION,
    eigenvalue,
    eigenvalue_evidence,
    image_evidence,
    in_numbers,
    misprinted_eigenvalue,
    multiplicity,
)


def claims() -> list[Claim]:
    """The claims on the spectrum, in the paper's order."""
    return [*_section_5(), _initial_kernel(), _mercer_problem()]


def _section_5() -> list[Claim]:
    printed = 2 * epsilon / D**2
    return [
        Claim(
            name="sec-5-lambda-lin",
            source="Sec. 5, below eq. (5)",
            statement="Linear functions all have eigenvalue 1/D.",
            verdict=Verdict.CONFIRMED,
            evidence=eigenvalue_evidence("linear", LAMBDA_LINEAR, LAMBDA_LINEAR / D),
        ),
        misprinted_eigenvalue(
            "sec-5-lambda-quadr",
            "Sec. 5, below eq. (5)",
            "Quadratic functions have eigenvalue 2 epsilon/D^2.",
            "traceless",
            printed,
            printed=r"$\lambda_{\rm quadr} = 2 \epsilon D^{-2}$",
            derived=r"$\lambda_{\rm quadr} = 2 \epsilon^2 D^{-2}$, on traceless functions",
            derivation=TRACELESS_DERIVATION,
        ),
        _all_quadratic_functions(),
        _power_in_quadratics(),
        Claim(
            name="sec-5-samples",
            source="Sec. 5, below eq. (5)",
            statement="1/lambda_quadr = D^2/(2 epsilon) (the number of samples that kernel "
            "regression needs).",
            verdict=Verdict.MISPRINT,
            printed=r"$P \sim \lambda_{\rm quadr}^{-1} = \frac{1}{2\epsilon} D^2$",
            derived=r"$\lambda_{\rm quadr}^{-1} = \frac{1}{2\epsilon^2} D^2$",
            derivation="The inverse of the eigenvalue on traceless quadratic functions, "
            r"$2\epsilon^2/D^2$. (Whether $P \sim 1/\lambda$ holds is another claim.)",
            counterexample=lambda: smallest(
                in_numbers(D**2 / (2 * epsilon)),
                in_numbers(1 / eigenvalue("traceless")),
                D=(2, 3),
                epsilon=SIMPLE,
            ),
            evidence=(
                equality(
                    "the inverse of the derived eigenvalue",
                    lambda: 1 / eigenvalue("traceless"),
                    lambda: D**2 / (2 * epsilon**2),
                    lambda: D**2 / (2 * epsilon),
                ),
            ),
        ),
    ]


def _all_quadratic_functions() -> Claim:
    def one_eigenvalue(cf):
        traceless, radial = cf.terms["traceless"], cf.terms["radial"]
        return replace(cf, terms={**cf.terms, "radial": (traceless[0], radial[1])})

    return Claim(
        name="sec-5-quadratic-functions",
        source="Sec. 5, below eq. (5)",
        statement="Quadratic functions have one eigenvalue.",
        verdict=Verdict.REFUTED,
        printed=r"quadratic functions (including the target $y(x)$) have eigenvalue "
        r"$\lambda_{\rm quadr}$",
        derived=r"$\frac{2\epsilon^2}{D^2}$ on traceless quadratic functions, "
        r"$\frac{\epsilon^2}{D}(1 + \frac{2}{D})$ on $|x|^2$; the target has a part in both",
        derivation=r"$T[x^\top A x] = \frac{2\epsilon^2}{D^2} x'^\top A x' + \frac{\epsilon^2}{D^2}"
        r" {\rm Tr} A\, |x'|^2$: a multiple only for ${\rm Tr} A = 0$ or $A \propto I$. The paper's"
        " own App. 11.1 says so.",
        counterexample=lambda: (
            smallest(
                in_numbers(LAMBDA_TRACELESS),
                in_numbers(eigenvalue("radial")),
                D=(1, 2),
                epsilon=SIMPLE,
            )
            + " as the eigenvalue of |x|^2"
        ),
        evidence=(
            certificate("ntk-eigenvalues", one_eigenvalue),
            *image_evidence(
                "|x|^2",
                LAMBDA_RADIAL * dot(x_prime, x_prime),
                LAMBDA_TRACELESS * dot(x_prime, x_prime),
            ),
        ),
    )


def _power_in_quadratics() -> Claim:
    def power() -> sp.Expr:
        parts = ("radial", "traceless")
        return sp.Add(*(eigenvalue(part) * multiplicity(part) for part in parts))

    return Claim(
        name="sec-5-power-in-quadratics",
        source="Sec. 5, below eq. (5)",
        statement="epsilon controls the power that the kernel places in quadratic functions.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            equality(
                "the trace over quadratic functions is epsilon^2 (D + 2)/D, against 1 over linear "
                "ones: it grows with |epsilon|, whatever the sign",
                power,
                lambda: epsilon**2 * (D + 2) / D,
                lambda: epsilon**2,
            ),
            equality(
                "the trace over linear functions is 1",
                lambda: eigenvalue("linear") * multiplicity("linear"),
                lambda: sp.S.One,
                lambda: D,
            ),
        ),
    )


def _initial_kernel() -> Claim:
    def kernel(power: int) -> sp.Expr:
        return dot(x, x_prime) + epsilon**power * dot(x, x_prime) ** 2

    return Claim(
        name="eq-10",
        source="App. 11.1, eq. (10)",
        statement="At infinite width the initial kernel is x.x' + epsilon^2 (x.x')^2.",
        verdict=Verdict.ASSUMING,
        assumption="The weights have variance 1 (with sigma^2: epsilon^2 sigma^2 (x.x')^2) and K "
        "is the NTK divided by alpha^2/N. At finite width this is the mean over initialisations.",
        evidence=(
            equality(
                "the mean over w ~ N(0, I)",
                lambda: closed_form("ntk-at-init").expr.subs(sigma, 1),
                lambda: kernel(2),
                lambda: kernel(1),
            ),
            certificate("ntk-at-init", lambda cf: replace(cf, expr=kernel(2))),
        ),
    )


def _mercer_problem() -> Claim:
    def misprinted(D: int, epsilon: float, sigma: float) -> dict[str, tuple[float, int]]:
        terms = properties.derived_spectrum(D, epsilon, sigma)
        return terms | {"traceless": (2 * epsilon / D**2, terms["traceless"][1])}

    spectrum = properties.operator_has_the_derived_spectrum
    return Claim(
        name="eq-11",
        source="App. 11.1, eq. (11)",
        statement="The eigenvalues of the kernel's integral operator under x ~ N(0, I/D) are those "
        "on linear, radial and traceless quadratic functions.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            attacked(
                "all eigenvalues with multiplicities, of the operator on an exact cubature",
                spectrum,
                (given.dimensions(4), given.epsilons(), given.scales(-3, 3)),
                lambda D, e, s: spectrum(D, e, s, misprinted),
            ),
            equality(
                "eigenvalues times projectors add up to the kernel: there are no others",
                lambda: closed_form("ntk-at-init").expr,
                lambda: _rebuilt(("linear", "radial", "traceless")),
                lambda: _rebuilt(("linear", "traceless")),
            ),
        ),
    )


def _rebuilt(parts: tuple[str, ...]) -> sp.Expr:
    cf = closed_form("ntk-eigenvalues")
    return sp.Add(*(cf.terms[part][0] * cf.components[part] for part in parts))
