"""Full-batch gradient descent on the moments (wbar, M): the exact step and its flow.

Every neuron undergoes the same affine map w -> A w - g, whatever the width N, so that the first two
moments over the neurons close. eta = eta_0 N/alpha^2 (Kumar et al. 2024, App. 8.1).
"""

import sympy as sp
from sympy import DiagMatrix, MatrixSymbol

from lazyrich.theory import words
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.network import activation
from lazyrich.theory.symbols import D, I, M, N, P, alpha, eta_0, w, wbar, x
from lazyrich.theory.wick import canonical, canonical_matrix, dot, gradient
from lazyrich.theory.words import Reader

X = MatrixSymbol("X", P, D)  # the training inputs, a sample a row
r = MatrixSymbol("r", P, 1)  # the residuals f(x_mu) - y_mu
_A = MatrixSymbol("A", D, D)
_g = MatrixSymbol("g", D, 1)


def neuron_step() -> tuple[sp.MatrixExpr, sp.MatrixExpr, sp.MatrixExpr]:
    """(one sample's part of -step, A, g) of the map w -> A w - g of every neuron."""
    residual = sp.Symbol("r_mu")
    # The gradient of residual^2 is 2 residual grad f, and f depends on w_i by its own share only.
    share = alpha / N * activation(dot(w, x))
    part = canonical_matrix(eta_0 * N / alpha**2 * 2 * residual * gradient(share, w))
    constant, linear = _split_by_degree(part, residual)
    g = constant * X.T * r / P
    G = linear * X.T * DiagMatrix(r) * X / P
    return part, I - G, g


def _split_by_degree(part: sp.MatrixExpr, residual: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
    """The a and b of part = residual (a x + b (w.x) x)."""
    ((scalar, word),) = _collected(part)
    if [letter.matrix for letter in word] != [x]:
        raise AssertionError(f"one sample moves a neuron along x, not {part}")
    h = sp.Symbol("h")
    polynomial = sp.Poly(sp.expand(scalar / residual).subs(canonical(dot(w, x)), h), h)
    if polynomial.degree() > 1:
        raise AssertionError(f"the step of a neuron is not affine in its weights: {part}")
    return polynomial.coeff_monomial(1), polynomial.coeff_monomial(h)


def _collected(matrix: sp.MatrixExpr) -> list[tuple[sp.Expr, words.Word]]:
    reader = Reader(())
    total: dict[words.Word, words.Polynomial] = {}
    for scalar, word in reader.matrix_terms(matrix):
        words.add_to(total.setdefault(word, {}), scalar)
    return [(words.to_sympy(scalar), word) for word, scalar in total.items()]


def _affine_moments(A: sp.MatrixExpr, g: sp.MatrixExpr) -> tuple[sp.MatrixExpr, sp.MatrixExpr]:
    """(wbar, M) after w -> A w - g: the neuron averages of A w - g and of its outer square."""
    mean = A * wbar - g
    second = A * M * A.T - A * wbar * g.T - g * wbar.T * A.T + g * g.T
    return mean, second


def moment_step() -> ClosedForm:
    """One step of gradient descent on (wbar, M), exact at every N.

    Symbols: X the inputs (P, D), r the residuals f - y (P,) at the current weights.
    ``terms``: wbar (D,) and M (D, D) after the step; ``components``: A (D, D) and g (D,).
    """
    part, A, g = neuron_step()
    mean, second = _affine_moments(A, g)
    return ClosedForm(
        name="moment-step",
        title="(wbar, M) after one step of full-batch gradient descent",
        expr=sp.Tuple(mean, second),
        terms={"wbar": mean, "M": second},
        components={"A": A, "g": g},
        steps=[
            (
                "What the sample x with residual r takes from a neuron w, eta = eta_0 N/alpha^2.",
                part,
            ),
            ("The mean over the samples: w -> A w - g with this g,", g),
            ("and this A, the same for all neurons.", A),
            ("The average of A w - g over the neurons.", _affine_moments(_A, _g)[0]),
            ("The average of its outer square.", _affine_moments(_A, _g)[1]),
        ],
        assumptions=(
            "Full-batch gradient descent on the mean square error (no 1/2); readouts fixed. "
            "The residuals are those of the predictor that is trained: plain or centred."
        ),
        source="derived here; the learning rate from Kumar et al. 2024, App. 8.1",
    )


def moment_flow() -> ClosedForm:
    """The gradient flow of (wbar, M) in tau = eta_0 * step: the limit eta_0 -> 0 of the step.

    ``terms``: d wbar/d tau (D,) and d M/d tau (D, D).
    """
    step = moment_step()
    terms = {k: _rate(part) for k, part in step.terms.items()}
    return ClosedForm(
        name="moment-flow",
        title="d(wbar, M)/d tau under gradient flow, tau = eta_0 * step",
        expr=sp.Tuple(*terms.values()),
        terms=terms,
        steps=[
            ("One step of gradient descent.", step.expr),
            ("d wbar/d tau: the part linear in eta_0.", terms["wbar"]),
            ("d M/d tau, likewise.", terms["M"]),
        ],
        assumptions="As moment-step, eta_0 -> 0 at fixed tau.",
        source="derived here",
    )


def _rate(matrix: sp.MatrixExpr) -> sp.MatrixExpr:
    """d/d eta_0 at 0 of a matrix polynomial in eta_0."""
    dimension = matrix.shape[0]
    rates = [(sp.diff(scalar, eta_0).subs(eta_0, 0), word) for scalar, word in _collected(matrix)]
    terms = [rate * words.word_matrix(word, dimension) for rate, word in rates if rate != 0]
    return sp.MatAdd(*terms).doit(deep=False)
