"""How far lazy training moves the weights: hard tasks (Kumar et al. 2024, App. 10).

Lazy training is gradient descent on f(w0) + grad f(w0).(w - w0). The residuals at its start are
r = f(w0) - y: r = -y where the predictor is centred or f(w0) = 0.
"""

import sympy as sp
from sympy import MatrixSymbol, Trace

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_flow
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.network import activation, neuron_average
from lazyrich.theory.symbols import D, M, N, P, SymmetricMatrixSymbol, alpha, isotropic, sigma, w, x
from lazyrich.theory.target import target_decomposition
from lazyrich.theory.training_symbols import K, lambda_k, r, tau
from lazyrich.theory.wick import canonical, dot, expectation, form, gradient

dw = MatrixSymbol("dw", D, 1)  # w - w0 of one neuron
M_dw = SymmetricMatrixSymbol("M_dw", D, D)  # mean of dw dw^T over the neurons
_J = MatrixSymbol("J", P, N * D)  # the Jacobian of f on the training inputs
_Theta = SymmetricMatrixSymbol("Theta", P, P)  # the NTK on the training inputs, J J^T

r_k = sp.Symbol("r_k", real=True)  # component of r along the eigenvector of K to lambda_k


def _mode() -> sp.Expr:
    """The square of the weights' coordinate along a right singular vector of J at time tau."""
    d, s = sp.Symbol("d", real=True), sp.Dummy("s", positive=True)
    loss = (r_k + s * d) ** 2 / P
    rate = -(N / alpha**2) * sp.diff(loss, d)  # eta = eta_0 N/alpha^2
    solution = linear_flow(rate, d, tau, sp.S.Zero)
    # 1 - exp(-...) stays in one factor: expanded, its exponentials would overflow in floats.
    square = sp.collect(sp.expand(solution), r_k / s) ** 2
    return sp.powdenest(square.subs(s, sp.sqrt(alpha**2 / N * lambda_k)))


def lazy_movement() -> ClosedForm:
    """|w - w0|^2 after lazy training [Kumar et al. 2024, App. 10, eq. 9].

    Symbols: K (P, P) the normalised kernel on the training inputs, r (P,) the residuals f(w0) - y.
    ``components``: mode, the share at time tau of one eigenvector of K with eigenvalue lambda_k,
    whose product with r is r_k.

    >>> lazy_movement().evaluate(K=[[4]], r=[6], N=10, alpha=3)
    10
    """
    minimum = _J.T * _Theta.I * r
    reached = (_J * minimum).subs(_J * _J.T, _Theta).doit()
    if reached != r:
        raise AssertionError(f"the linearised network reaches {reached}, not r")
    square = (minimum.T * minimum).doit().subs(_J * _J.T, _Theta).doit().subs(_Theta.T, _Theta)
    expr = N / alpha**2 * Trace(square.subs(_Theta, K))
    mode = _mode()
    start = sp.limit(mode, lambda_k, 0)
    return ClosedForm(
        name="lazy-movement",
        title="Squared distance of the weights from their start after lazy training",
        expr=expr,
        terms={"final": expr},
        components={"mode": mode},
        steps=[
            ("Gradient descent from w0 stays in w0 + range(J^T), J the Jacobian.", _J.T),
            ("There the linearised network fits r at this w - w0, Theta = J J^T.", minimum),
            ("Its square.", Trace(square)),
            ("Theta = (alpha^2/N) K: |w - w0|^2.", expr),
            ("One mode in time, by gradient flow on the mean square error.", mode),
            ("At the end of training.", sp.limit(mode, tau, sp.oo)),
            ("An eigenvalue 0 moves nothing, at any time: its part of r is never fitted.", start),
        ],
        assumptions=(
            "Exact for the linearised network only; gradient flow or descent below the largest "
            "stable rate, from w0. Singular K: the pseudo-inverse K^+ stands for K^-1, and the "
            "part of r outside the range of K stays as an error. |w - w0|^2 sums over neurons."
        ),
        source="Kumar et al. 2024, App. 10, eq. (9)",
    )


def target_difficulty() -> ClosedForm:
    """The difficulty y^T K^-1 y of the paper's target at initialisation, for all large P.

    ``terms``: its shares from the radial and the traceless part of the target, and the relative
    movement |w - w0|^2/|w0|^2 of lazy training.
    """
    power, spectrum = target_decomposition(), ntk_eigenvalues()
    shares = {
        k: sp.factor(part / spectrum.terms[k][0]) for k, part in power.terms.items() if part != 0
    }
    expr = sp.factor(sp.Add(*shares.values()))
    size = expectation(dot(w, w), isotropic(w, sigma**2))
    relative = sp.factor(N / alpha**2 * expr / (N * size))
    return ClosedForm(
        name="target-difficulty",
        title="The difficulty of y = (beta.x)^2/2 for the kernel at initialisation",
        expr=expr,
        terms={**shares, "relative_movement": relative},
        steps=[
            ("The power of the target on each eigenspace.", tuple(power.terms.values())),
            ("Divided by the eigenvalue there.", tuple(shares.values())),
            ("Summed: the squared norm of y in the kernel's function space.", expr),
            ("|w0|^2/N.", size),
            ("|w - w0|^2/|w0|^2 of lazy training.", relative),
        ],
        assumptions=(
            "Infinite width, epsilon != 0, centred predictor. y^T K^+ y on any P inputs is at most "
            "this, grows with each input, and reaches it where they determine all functions "
            "u.x + x^T A x: from P = D + D(D + 1)/2 on, for inputs in general position."
        ),
        source="derived here, for Kumar et al. 2024, App. 10, eqs. (8), (9)",
    )


def linearisation_error() -> ClosedForm:
    """f(w) - [f(w0) + grad f(w0).(w - w0)], exact for this network [Kumar et al. 2024, eq. 1].

    Symbols: M_dw (D, D) = (1/N) sum (w_i - w_i0)(w_i - w_i0)^T. ``components``: mean, over
    x ~ N(0, I/D); bound_at_lazy_minimum, an upper bound of its size where lazy training ends.
    """
    moved, start = activation(dot(w + dw, x)), activation(dot(w, x))
    remainder = canonical(moved - start - Trace(gradient(start, w).T * dw))
    expr = canonical(alpha * neuron_average(remainder.subs(dw, w)).subs(M, M_dw))
    mean = expectation(expr, isotropic(x))
    factor = sp.cancel(expr / form(x, M_dw, x))
    bound = sp.Abs(factor) * dot(x, x) * lazy_movement().expr / N
    return ClosedForm(
        name="linearisation-error",
        title="What the linearised network leaves out",
        expr=expr,
        terms={"exact": expr},
        components={"mean": mean, "bound_at_lazy_minimum": bound},
        steps=[
            ("One neuron at w + dw, less its linearisation at w.", remainder),
            ("Averaged over the neurons, times alpha.", expr),
            ("Its mean over x.", mean),
            (
                "x^T M_dw x <= |x|^2 Tr M_dw, Tr M_dw = |w - w0|^2/N. This is |w - w0|^2 of "
                "lazy training:",
                lazy_movement().expr,
            ),
            ("a bound of its size.", bound),
        ],
        assumptions="Readouts fixed; any width, any weights. The bound needs K invertible or K^+.",
        source="derived here, for Kumar et al. 2024, eq. (1), App. 10",
    )
