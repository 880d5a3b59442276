"""How fast a network becomes lazy: its gap to kernel regression is of order epsilon/alpha.

The centred network in delta = alpha (w - w0) (``lazy-coordinates``), to first order in
epsilon/alpha, at infinite width, at the end of training. Not in the papers.
"""

import sympy as sp
from sympy import DiagMatrix, MatrixSymbol

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_flow
from lazyrich.theory.scaling import lazy_coordinates, w_0
from lazyrich.theory.symbols import D, P, SymmetricMatrixSymbol, alpha, epsilon, isotropic, sigma, x
from lazyrich.theory.training_symbols import K, X, tau, y
from lazyrich.theory.wick import canonical, dot, expectation, form

g = MatrixSymbol("g", D, 1)  # delta = g + G w0 for the linearised network
G = SymmetricMatrixSymbol("G", D, D)
y_i, y_j = sp.symbols("y_i y_j", real=True)  # the labels in the eigenvectors of K
lambda_i, lambda_j = sp.symbols("lambda_i lambda_j", positive=True)  # eigenvalues of K


def _lazy_weights(eigenvalue: sp.Expr, label: sp.Expr) -> sp.Expr:
    """R = (2/P) times the integrated residual along an eigenvector of K, from r = -y."""
    R = sp.Symbol("R", real=True)
    return linear_flow(2 / P * (-label - eigenvalue * R), R, tau, sp.S.Zero)


def _memory() -> sp.Expr:
    """The integral of dR_i/dt R_j over all times."""
    R_i, R_j = _lazy_weights(lambda_i, y_i), _lazy_weights(lambda_j, y_j)
    return sp.factor(sp.integrate(sp.expand(sp.diff(R_i, tau) * R_j), (tau, 0, sp.oo)))


def _drive() -> sp.Expr:
    """What the linearised weights put into the term of order epsilon/alpha, quadratic in x.

    The mean over w0 ~ N(0, sigma^2 I) of (delta.x)^2/2, and of the change of delta by the step's
    term epsilon/alpha (delta.x), in the predictor's term epsilon w0.x: d/dtau of G^2 sigma^2/2.
    """
    moved = dot(x, g + G * w_0)
    square = expectation(moved**2 / 2, isotropic(w_0, sigma**2))
    feature = expectation(dot(w_0, x) * form(x, G, w_0), isotropic(w_0, sigma**2))
    if feature != sigma**2 * form(x, G, x):
        raise AssertionError(f"the lazy features are not sigma^2 G: {feature}")
    return canonical(square + sigma**2 * form(x, G * G, x) / 2)


def lazy_rate() -> ClosedForm:
    """The part of order epsilon/alpha of the network at the end of training.

    f = f_lazy + (epsilon/alpha) (I - K(., X) K^-1) S, where S(x) = v.x + ``terms["drive"]``,
    with g and G of ``terms`` (``g``: X^T K^-1 y; ``G``) and
    v = sum over mu, nu of J_mu,nu (x_mu.x_nu) x_mu. ``expr``: J in the eigenvectors of K.
    ``simulate.laws.lazy_rate`` puts it together for a data set.
    """
    parts = lazy_coordinates().terms
    memory = _memory()
    drive = _drive()
    weights = K.I * y
    g_end, G_end = X.T * weights, epsilon * X.T * DiagMatrix(weights) * X
    return ClosedForm(
        name="lazy-rate",
        title="The integral of dR_i/d tau R_j: how the order of learning stays in the weights",
        expr=memory,
        terms={"memory": memory, "drive": drive, "g": g_end, "G": G_end},
        components={"order": epsilon / alpha},
        steps=[
            ("The predictor in delta = alpha (w - w0), a neuron's share,", parts["predictor"]),
            ("and what a sample takes from delta in a step: both in epsilon/alpha.", parts["step"]),
            (
                "Without it delta = -X^T R (1 + epsilon X w0), R the integral of (2/P) r: at the "
                "end R = -K^-1 y, and delta = g + G w0 with these.",
                (g_end, G_end),
            ),
            (
                "To first order the residual obeys dr/d tau = -(2/P) K r + dS/d tau, so that it "
                "ends at 0 and f off the samples at (I - K(., X) K^-1) S. From the square of "
                "delta.x in f and from G moving by the step's new term, S holds",
                drive,
            ),
            (
                "and from g moving, v.x, dv/d tau = X^T diag(dR/d tau) X X^T R: it remembers in "
                "which order the eigenvectors were learned. In them R is",
                _lazy_weights(lambda_i, y_i),
            ),
            ("and the integral of dR_i R_j over training is", memory),
            ("The order of the whole, so of the gap of the test losses.", epsilon / alpha),
        ],
        assumptions=(
            "Infinite width, wbar = 0 and M = sigma^2 I at the start, centred predictor, gradient "
            "flow to its end, K on the samples invertible (P at most lazy-sample-size). Holds "
            "where epsilon/alpha times this is small, the peak near P = D last."
        ),
        source="derived here",
    )
