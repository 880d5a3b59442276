"""Claims of Kumar et al. 2024 on the initial kernel's spectrum: Sec. 5, eqs. (10) and (11)."""

from dataclasses import replace

import sympy as sp

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D, epsilon, sigma, x, x_prime
from lazyrich.theory.wick import dot
from lazyrich.verify import properties
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
from lazyrich.verify.spectrum_evidence import (
    LAMBDA_LINEAR,
    LAMBDA_RADIAL,
    LAMBDA_TRACELESS,
    eigenvalue,
    eigenvalue_evidence,
    image_evidence,
    in_numbers,
    misprinted_eigenvalue,
    multiplicity,
)


def _rebuilt(parts: tuple[str, ...]) -> sp.Expr:
    cf = closed_form("ntk-eigenvalues")
    return sp.Add(*(cf.terms[part][0] * cf.components[part] for part in parts))


_printed_quadratic = 2 * epsilon / D**2


attach(
    "sec-5-lambda-lin",
    *eigenvalue_evidence("linear", LAMBDA_LINEAR, LAMBDA_LINEAR / D),
)


misprinted_eigenvalue("sec-5-lambda-quadr", "traceless", _printed_quadratic)


attach(
    "sec-5-samples",
    equality(
        "the inverse of the derived eigenvalue",
        lambda: 1 / eigenvalue("traceless"),
        lambda: D**2 / (2 * epsilon**2),
        lambda: D**2 / (2 * epsilon),
    ),
)


counterexample(
    "sec-5-samples",
    lambda: smallest(
        in_numbers(D**2 / (2 * epsilon)),
        in_numbers(1 / eigenvalue("traceless")),
        D=(2, 3),
        epsilon=SIMPLE,
    ),
)


def _one_eigenvalue(cf):
    traceless, radial = cf.terms["traceless"], cf.terms["radial"]
    return replace(cf, terms={**cf.terms, "radial": (traceless[0], radial[1])})


attach(
    "sec-5-quadratic-functions",
    certificate("ntk-eigenvalues", _one_eigenvalue),
    *image_evidence(
        "|x|^2",
        LAMBDA_RADIAL * dot(x_prime, x_prime),
        LAMBDA_TRACELESS * dot(x_prime, x_prime),
    ),
)


counterexample(
    "sec-5-quadratic-functions",
    lambda: (
        smallest(
            in_numbers(LAMBDA_TRACELESS),
            in_numbers(eigenvalue("radial")),
            D=(1, 2),
            epsilon=SIMPLE,
        )
        + " as the eigenvalue of |x|^2"
    ),
)


def _power() -> sp.Expr:
    parts = ("radial", "traceless")
    return sp.Add(*(eigenvalue(part) * multiplicity(part) for part in parts))


attach(
    "sec-5-power-in-quadratics",
    equality(
        "the trace over quadratic functions is epsilon^2 (D + 2)/D, against 1 over linear "
        "ones: it grows with |epsilon|, for either sign",
        _power,
        lambda: epsilon**2 * (D + 2) / D,
        lambda: epsilon**2,
    ),
    equality(
        "the trace over linear functions is 1",
        lambda: eigenvalue("linear") * multiplicity("linear"),
        lambda: sp.S.One,
        lambda: D,
    ),
)


def _kernel(power: int) -> sp.Expr:
    return dot(x, x_prime) + epsilon**power * dot(x, x_prime) ** 2


attach(
    "eq-10",
    equality(
        "the mean over w ~ N(0, I)",
        lambda: closed_form("ntk-at-init").expr.subs(sigma, 1),
        lambda: _kernel(2),
        lambda: _kernel(1),
    ),
    certificate("ntk-at-init", lambda cf: replace(cf, expr=_kernel(2))),
)


def _misprinted(D: int, epsilon: float, sigma: float) -> dict[str, tuple[float, int]]:
    terms = properties.derived_spectrum(D, epsilon, sigma)
    return terms | {"traceless": (2 * epsilon / D**2, terms["traceless"][1])}


_spectrum = properties.operator_has_the_derived_spectrum


attach(
    "eq-11",
    attacked(
        "all eigenvalues with multiplicities, of the operator on an exact cubature",
        _spectrum,
        (given.dimensions(4), given.epsilons(), given.scales(-3, 3)),
        lambda D, e, s: _spectrum(D, e, s, _misprinted),
    ),
    equality(
        "eigenvalues times projectors add up to the kernel: there are no others",
        lambda: closed_form("ntk-at-init").expr,
        lambda: _rebuilt(("linear", "radial", "traceless")),
        lambda: _rebuilt(("linear", "traceless")),
    ),
)


@evidence(
    "sec-11.1-timescales",
    "derived",
    "the ratio of the eigenvalues is of the order of D",
    control={"power": 2},
)
def timescales(power: int = 1) -> str:
    values = {k: value for k, (value, _) in closed_form("ntk-eigenvalues").terms.items()}
    ratio = sp.factor(values["radial"] / values["traceless"])
    limit = sp.limit(ratio / D**power, D, sp.oo)
    assert 0 < limit < sp.oo, f"the times have the ratio {ratio}, not of the order D^{power}"
    return f"lazy flow learns |x|^2 {ratio} times as fast as the traceless part"
