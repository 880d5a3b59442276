"""Full-batch gradient descent on the moments (wbar, M): the exact step and its flow.

Every neuron undergoes the same affine map w -> F w - g, at any width N, so that the first two
moments over the neurons close. eta = eta_0 N/alpha^2 (Kumar et al. 2024, App. 8.1).
"""

from collections.abc import Callable
from dataclasses import replace

import sympy as sp
from sympy import DiagMatrix
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory import words
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.network import activation
from lazyrich.theory.symbols import I, M, N, P, alpha, eta_0, w, wbar, x
from lazyrich.theory.training_symbols import F, X, g, r, rho
from lazyrich.theory.wick import canonical, canonical_matrix, dot, gradient
from lazyrich.theory.words import Reader

kappa = sp.Symbol("kappa", nonnegative=True)  # weight decay in the loss
kappa_d = sp.Symbol("kappa_d", nonnegative=True)  # decoupled weight decay
_eta = eta_0 * N / alpha**2
Phi = Callable[[sp.Expr], sp.Expr]  # an activation, a polynomial of degree at most 2

_SETTING = (
    "Full-batch gradient descent on the mean square error (no 1/2); readouts fixed. "
    "The residuals are those of the predictor that is trained: plain or centred."
)
_RATE = "derived here; the learning rate from Kumar et al. 2024, App. 8.1"


def sample_step(residual: sp.Expr, phi: Phi = activation) -> MatrixExpr:
    """What gradient descent on the square of one sample's residual takes from a neuron w.

    The residual counts as a number: the gradient of f is taken by the neuron's own share of f.

    >>> from lazyrich.theory.symbols import epsilon
    >>> print(sample_step(rho).subs(epsilon, 0))
    (2*eta_0*rho/alpha)*x
    """
    share = alpha / N * phi(dot(w, x))
    return canonical_matrix(_eta * 2 * residual * gradient(share, w))


def sample_coefficients(phi: Phi = activation) -> tuple[sp.Expr, sp.Expr]:
    """The numbers a and b of sample_step(residual) = residual (a + b w.x) x.

    >>> sample_coefficients()
    (2*eta_0/alpha, 2*epsilon*eta_0/alpha)
    """
    ((scalar, word),) = _collected(sample_step(sp.S.One, phi))
    if [letter.matrix for letter in word] != [x]:
        raise AssertionError(f"one sample moves a neuron along x, not along {word}")
    h = sp.Dummy("h")
    polynomial = sp.Poly(sp.expand(scalar).subs(canonical(dot(w, x)), h), h)
    if polynomial.degree() > 1:
        raise AssertionError(f"the step of a neuron is not affine in its weights: {scalar}")
    return polynomial.coeff_monomial(1), polynomial.coeff_monomial(h)


def neuron_step(phi: Phi = activation) -> tuple[MatrixExpr, MatrixExpr]:
    """(G, g) of the map w -> w - G w - g of every neuron: the mean over the samples."""
    a, b = sample_coefficients(phi)
    return b * X.T * DiagMatrix(r) * X / P, a * X.T * r / P


def decay_step() -> sp.Expr:
    """The share of itself that w loses to the gradient of (kappa/2) mean |w_i|^2 in one step."""
    lost = canonical_matrix(_eta * gradient(kappa / 2 * dot(w, w) / N, w))
    ((share, _),) = _collected(lost)
    return share


def _collected(matrix: MatrixExpr) -> list[tuple[sp.Expr, words.Word]]:
    reader = Reader()
    total: dict[words.Word, words.Polynomial] = {}
    for scalar, word in reader.matrix_terms(matrix):
        words.add_to(total.setdefault(word, {}), scalar)
    return [(words.to_sympy(scalar), word) for word, scalar in total.items()]


def affine_moments(F: MatrixExpr, g: MatrixExpr) -> tuple[MatrixExpr, MatrixExpr]:
    """(wbar, M) after w -> F w - g: the neuron averages of F w - g and of its outer square."""
    mean = F * wbar - g
    second = F * M * F.T - F * wbar * g.T - g * wbar.T * F.T + g * g.T
    return mean, second


def _averages() -> list:
    mean, second = affine_moments(F, g)
    return [
        ("The average of F w - g over the neurons.", mean),
        ("The average of its outer square.", second),
    ]


def moment_step(phi: Phi = activation) -> ClosedForm:
    """One step of gradient descent on (wbar, M), exact at every N.

    Symbols: X the inputs (P, D), r the residuals f - y (P,) at the current weights.
    ``terms``: wbar (D,) and M (D, D) after the step; ``components``: F (D, D) and g (D,).
    """
    G, shift = neuron_step(phi)
    mean, second = affine_moments(I - G, shift)
    return ClosedForm(
        name="moment-step",
        title="(wbar, M) after one step of full-batch gradient descent",
        expr=sp.Tuple(mean, second),
        terms={"wbar": mean, "M": second},
        components={"F": I - G, "g": shift},
        steps=[
            (
                "What the sample x with residual rho takes from a neuron w, eta = eta_0 N/alpha^2.",
                sample_step(rho, phi),
            ),
            ("The mean over the samples: w -> F w - g with this g,", shift),
            ("and this F, the same for all neurons.", I - G),
            *_averages(),
        ],
        assumptions=_SETTING,
        source=_RATE,
    )


def moment_step_decay(phi: Phi = activation) -> ClosedForm:
    """The step with weight decay, kappa in the loss and kappa_d decoupled; exact at every N.

    The loss has (kappa/2) (1/N) sum |w_i|^2 added; the decoupled kind multiplies w by
    1 - eta_0 kappa_d in addition to the gradient step. ``terms`` and ``components`` are those of
    moment-step.
    """
    G, shift = neuron_step(phi)
    share = decay_step()
    matrix = (1 - eta_0 * kappa_d - share) * I - G
    mean, second = affine_moments(matrix, shift)
    return ClosedForm(
        name="moment-step-decay",
        title="(wbar, M) after one step with weight decay, in the loss and decoupled",
        expr=sp.Tuple(mean, second),
        terms={"wbar": mean, "M": second},
        components={"F": matrix, "g": shift},
        steps=[
            ("The gradient of (kappa/2) mean |w_i|^2, times eta, is this share of w.", share),
            ("Decoupled decay takes this share as well.", eta_0 * kappa_d),
            ("The map w -> F w - g of every neuron now has this F,", matrix),
            ("and g is that of moment-step.", shift),
            *_averages(),
        ],
        assumptions=_SETTING,
        source=_RATE + "; weight decay as in App. 13",
    )


def moment_flow(phi: Phi = activation) -> ClosedForm:
    """The gradient flow of (wbar, M) in tau = eta_0 * step: the limit eta_0 -> 0 of the step.

    ``terms``: d wbar/d tau (D,) and d M/d tau (D, D).
    """
    return _flow_of(moment_step(phi), "moment-flow", "d(wbar, M)/d tau under gradient flow")


def moment_flow_decay(phi: Phi = activation) -> ClosedForm:
    """The gradient flow with weight decay: the two kinds count only as kappa/alpha^2 + kappa_d.

    ``terms``: d wbar/d tau (D,) and d M/d tau (D, D); ``components``: ``at_zero_residual``, what
    is left of them where every sample is fitted: M shrinks at twice the rate of wbar, and with it
    the kernel moves at a rate linear in the decay.
    """
    flow = _flow_of(
        moment_step_decay(phi),
        "moment-flow-decay",
        "d(wbar, M)/d tau under gradient flow with weight decay",
    )
    fitted = {r: sp.ZeroMatrix(P, 1), DiagMatrix(r): sp.ZeroMatrix(P, P)}
    left = tuple(canonical_matrix(part.subs(fitted).doit()) for part in flow.terms.values())
    last = ("Where every sample is fitted, r = 0: decay alone is left.", left)
    return replace(flow, steps=[*flow.steps, last], components={"at_zero_residual": left})


def _flow_of(step: ClosedForm, name: str, title: str) -> ClosedForm:
    terms = {k: rate(part) for k, part in step.terms.items()}
    return ClosedForm(
        name=name,
        title=f"{title}, tau = eta_0 * step",
        expr=sp.Tuple(*terms.values()),
        terms=terms,
        steps=[
            ("One step of gradient descent.", step.expr),
            ("d wbar/d tau: the part linear in eta_0.", terms["wbar"]),
            ("d M/d tau, likewise.", terms["M"]),
        ],
        assumptions=f"As {step.name}, eta_0 -> 0 at fixed tau.",
        source="derived here",
    )


def rate(matrix: MatrixExpr) -> MatrixExpr:
    """d/d eta_0 at 0 of a matrix polynomial in eta_0.

    >>> rate(eta_0 * M + eta_0**2 * I + wbar * wbar.T)
    M
    """
    dimension = matrix.shape[0]
    rates = [(sp.diff(scalar, eta_0).subs(eta_0, 0), word) for scalar, word in _collected(matrix)]
    terms = [slope * words.word_matrix(word, dimension) for slope, word in rates if slope != 0]
    return sp.MatAdd(sp.ZeroMatrix(*matrix.shape), *terms).doit(deep=False)
