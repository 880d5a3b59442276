"""The matrix model W = U U^T - V V^T: invariants, symmetrised gradient, early and late completion.

Lyu et al. 2024, Cor. 3.11: (U, V)(0) = alpha (I, I), mean square error on the observed entries.
"""

from functools import cache

import sympy as sp
from sympy import MatrixSymbol, Trace

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.lyu.diagonal_net import sums
from lazyrich.theory.lyu.oracles import regularised_oracles
from lazyrich.theory.lyu.potential import norms, size
from lazyrich.theory.lyu.symbols import lamda
from lazyrich.theory.symbols import D, I, SymmetricMatrixSymbol
from lazyrich.theory.wick import canonical_matrix, equal

U = MatrixSymbol("U", D, D)
V = MatrixSymbol("V", D, D)
G = MatrixSymbol("G", D, D)  # d loss/d W, entry by entry; not symmetric in general
Gsym = SymmetricMatrixSymbol("Gsym", D, D)  # (G + G^T)/2
_H = MatrixSymbol("H", D, D)  # a change of U
SETTING = (
    "U, V of shape (D, D), from (U, V) = alpha (I, I), a = alpha exp(-lambda t); any loss of W "
    "with derivative G, Gsym = (G + G^T)/2."
)


@cache
def flow() -> tuple[sp.MatrixExpr, sp.MatrixExpr]:
    """(dU/dt, dV/dt), from the differential of the loss.

    >>> flow()[0]
    (-lamda)*U - 2*Gsym*U
    """
    moved = Trace(G.T * (_H * U.T + U * _H.T))  # the loss's change by dU = H
    if not equal(moved, Trace(_H.T * (G + G.T) * U)):
        raise AssertionError("the gradient in U is not (G + G^T) U")
    return canonical_matrix(-2 * Gsym * U - lamda * U), canonical_matrix(2 * Gsym * V - lamda * V)


def matrix_model_invariants() -> ClosedForm:
    """d(U^T V)/dt and d(U U^T)/dt; U^T V = a^2 I, so that W says all of U U^T and V V^T.

    ``terms``: ``product``, U^T V; ``product_rate``; ``U_rate``, ``V_rate``, the flow; ``norm``,
    an eigenvalue of U U^T + V V^T where that of W is w.
    """
    d_U, d_V = flow()
    rate = canonical_matrix((d_U.T * V + U.T * d_V).doit())
    if rate != canonical_matrix(-2 * lamda * U.T * V):
        raise AssertionError(f"d(U^T V)/dt is {rate}")
    product = sums()[1] * I  # the same equation as for u v of the diagonal net, entry by entry
    outer = canonical_matrix((d_U * U.T + U * d_U.T).doit())
    return ClosedForm(
        name="matrix-model-invariants",
        title="U^T V along gradient flow with decay",
        expr=product,
        terms={
            "product": product,
            "product_rate": rate,
            "U_rate": d_U,
            "V_rate": d_V,
            "norm": norms()[1],
        },
        steps=[
            ("The loss's gradient in U is (G + G^T) U = 2 Gsym U. dU/dt:", d_U),
            ("dV/dt.", d_V),
            ("d(U^T V)/dt: the data cancel.", rate),
            ("From alpha^2 I:", product),
            (
                "So V = a^2 U^-T and V V^T = a^4 (U U^T)^-1 commutes with U U^T. In an eigenbasis "
                "of U U^T, u^2 - v^2 = w and u v = a^2 as for the diagonal net: U U^T + V V^T = "
                "(W^2 + 4 a^4 I)^(1/2), by eigenvalues",
                norms()[1],
            ),
            ("d(U U^T)/dt. The eigenbasis turns: there is no dual flow unless", outer),
            ("this commutes with U U^T, as for measurements that commute.", Gsym * U * U.T),
        ],
        assumptions=SETTING,
        source="derived here, for Lyu et al. 2024, Cor. 3.11",
    )


def matrix_model_oracles() -> ClosedForm:
    """The problems of which W is the solution early and late, and the late certificate.

    ``terms``: ``certificate``, the operator norm of Gsym at the end where W != 0; ``early`` and
    ``late``, R of one eigenvalue w of W (abs_w for |w|) in mean loss + R; ``any``, R at any a.
    """
    d_U, d_V = flow()
    rest = canonical_matrix((d_U * U.T - d_V * V.T).doit())  # 0 at the end, where U^T V = 0
    R = regularised_oracles().terms
    certificate = sp.diff(R["late_two_layers"], size)
    return ClosedForm(
        name="matrix-model-oracles",
        title="|Gsym|_op at the end of the flow, where W != 0",
        expr=certificate,
        terms={
            "certificate": certificate,
            "early": R["early_two_layers"],
            "late": R["late_two_layers"],
            "any": R["two_layers"],
        },
        steps=[
            (
                "R of an eigenvalue w, where W rests: the penalty (lambda/2)(|U|^2 + |V|^2) in W.",
                R["two_layers"],
            ),
            (
                "Early: a ridge, the smallest |W|_F. An entry that is observed at neither (i, j) "
                "nor (j, i) is 0; W is symmetric, so that its mirror is fitted with an entry.",
                R["early_two_layers"],
            ),
            ("Late: (lambda/2) times the nuclear norm.", R["late_two_layers"]),
            ("At the end a = 0 and U^T V = 0. dU/dt U^T - dV/dt V^T vanishes:", rest),
            (
                "Gsym (U U^T + V V^T) = -(lambda/2) W: on the range of W Gsym has the eigenvalue "
                "minus this where W is positive, plus this where it is negative.",
                certificate,
            ),
            (
                "No eigenvalue is larger: V is alpha times a fundamental solution of dV/dt = "
                "(2 Gsym - lambda) V, of full rank at all t. With an eigenvalue above lambda/2 in "
                "the limit it would grow without bound, and U likewise below -lambda/2. So the "
                "limit is the global minimum of mean loss + (lambda/2)|W|_*, for every alpha > 0, "
                "lambda > 0, labels and set of observed entries.",
                certificate,
            ),
        ],
        assumptions=SETTING
        + " Convex loss. |Gsym|_op is less where W = 0, which is the end for lambda >= 2 |Gsym|_op "
        "at W = 0. G itself, of entries observed on one side of the diagonal, has another norm.",
        source="derived here, for Lyu et al. 2024, Cor. 3.11, Thm. 3.12",
    )
