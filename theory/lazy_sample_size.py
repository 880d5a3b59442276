"""From which sample size on lazy training is exact: what becomes of "P ~ 1/lambda".

The kernel has finitely many functions. Kernel regression without a ridge, the end of completely
lazy training, is a projection on as many of them as there are samples (Kumar et al. 2024, Sec. 5).
"""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.linear import linear_root
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.rank import ntk_rank
from lazyrich.theory.symbols import D, P

ridge = sp.Symbol("ridge", positive=True)  # the delta of (K + delta I)^-1 y


def learnability_with_ridge() -> dict[str, sp.Expr]:
    """{eigenspace: share of it that is learned} for P -> infinity at fixed ridge/P.

    There the mean over the samples is that over the inputs, the operator T in place of K/P, and
    (T + ridge/P)^-1 T has the eigenvalue lambda/(lambda + ridge/P).

    >>> learnability_with_ridge()["linear"]
    P/(D*ridge + P)
    """
    spectrum = ntk_eigenvalues().terms
    return {k: sp.factor(value / (value + ridge / P)) for k, (value, _) in spectrum.items()}


def lazy_sample_size() -> ClosedForm:
    """The sample size from which on ridgeless kernel regression with the initial kernel is exact.

    ``terms``: ``exact``, that number; ``traceless_at_least`` and ``traceless_at_most``, between
    which lies the share of the traceless quadratic functions that P samples teach; ``with_ridge``,
    that share for many samples and a ridge; ``inverse_eigenvalue``, the rule of thumb 1/lambda, and
    ``ratio`` of it to ``exact``.

    >>> lazy_sample_size().evaluate(D=40)
    860
    """
    value, count = ntk_eigenvalues().terms["traceless"]
    others = sp.Add(*(n for k, (_, n) in ntk_eigenvalues().terms.items() if k != "traceless"))
    exact = ntk_rank().terms["init"]
    rule = sp.factor(1 / value)
    ratio = sp.factor(rule / exact)
    with_ridge = learnability_with_ridge()["traceless"]
    half = linear_root(sp.numer(sp.together(with_ridge - sp.Rational(1, 2))), P)
    terms = {
        "exact": exact,
        "traceless_at_least": (P - others) / count,
        "traceless_at_most": P / count,
        "with_ridge": with_ridge,
        "inverse_eigenvalue": rule,
        "ratio": ratio,
    }
    return ClosedForm(
        name="lazy-sample-size",
        title="The sample size from which on lazy training is exact",
        expr=exact,
        terms=terms,
        components={"ratio_in_many_dimensions": sp.limit(ratio, D, sp.oo), "half_with_ridge": half},
        steps=_steps(exact, others, count, terms),
        assumptions=(
            "epsilon != 0, infinite width, inputs with a density, P samples without noise, "
            "gradient flow on the linearised network run to its end, or no ridge. At finite width "
            "N < D + 1 the target is no combination of the kernel's functions: never exact. "
            "The shares: D >= 2, P at most the exact number."
        ),
        source="derived here; Kumar et al. 2024, Sec. 5, App. 11.1 state P ~ 1/lambda",
    )


def _steps(exact: sp.Expr, others: sp.Expr, count: sp.Expr, terms: dict) -> list[Step]:
    rule, ratio, with_ridge = (terms[k] for k in ("inverse_eigenvalue", "ratio", "with_ridge"))
    half = linear_root(sp.numer(sp.together(with_ridge - sp.Rational(1, 2))), P)
    return [
        (
            "K(x, x') is a scalar product of this many independent functions, the x_i and "
            "x_i x_j. Ridgeless regression projects the target, one of their combinations, on "
            "the span of K(x_mu, .), mu = 1..P, in the scalar product of the kernel.",
            exact,
        ),
        (
            "With so many samples the span is everything, so that every linear plus quadratic "
            "function is learned exactly: the determinant of the functions at the samples is "
            "a polynomial that is not 0, as they are independent, so it vanishes with "
            "probability 0.",
            sp.Ge(P, exact),
        ),
        (
            "With fewer, the target lies in the span only where all minors of order P + 1 of "
            "the functions at the samples, with the target's coefficients as one more row, "
            "vanish: polynomials again, not all 0. So there is an error with probability 1.",
            sp.Lt(P, exact),
        ),
        (
            "How much below? L_k = lambda_k phi_k(X)^T K^-1 phi_k(X) is the share of the "
            "eigenfunction phi_k that is learned, between 0 and 1; sum_k lambda_k phi_k "
            "phi_k^T = K, so that they add up to Tr(K^-1 K), for every kernel.",
            P,
        ),
        (
            "The linear and radial ones take between none and all of their number. So the mean "
            "share of the traceless ones lies between",
            (P - others) / count,
        ),
        (
            "and the following, for every epsilon, sigma and set of samples: P must be of the "
            "order of D^2/2.",
            P / count,
        ),
        ("The rule of thumb P ~ 1/lambda would have it depend on epsilon:", rule),
        ("its ratio to the exact number,", ratio),
        (
            "which tends to 1/(epsilon sigma)^2 in many dimensions: right in its order in D, "
            "wrong in epsilon.",
            sp.limit(ratio, D, sp.oo),
        ),
        (
            "It answers another question: with a ridge (weight decay, noise, the tail of a "
            "kernel of infinite rank) and many samples, a traceless function is learned by",
            with_ridge,
        ),
        ("and by half at P = ridge/lambda.", half),
    ]
