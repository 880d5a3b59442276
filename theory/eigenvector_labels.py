"""Labels from an eigenvector of the initial kernel (Kumar et al. 2024, Sec. 6.1)."""

import sympy as sp
from sympy import Trace

from lazyrich.theory.alignment import moments
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.network import ntk_at_init
from lazyrich.theory.symbols import A, u, x
from lazyrich.theory.training_symbols import K, y
from lazyrich.theory.wick import canonical, dot, form

lambda_j = sp.Symbol("lambda_j", nonnegative=True)  # the j-th eigenvalue of K


def eigenvector_label_alignment() -> ClosedForm:
    """The alignment of a kernel with one of its eigenvectors [Kumar et al. 2024, Sec. 6.1].

    Symbols: K (P, P) the Gram matrix, lambda_j its j-th eigenvalue. ``components``:
    linear, radial, traceless, for labels from an eigenfunction of the kernel at initialisation, in
    the limit of many samples.

    >>> eigenvector_label_alignment().evaluate(K=[[3, 0], [0, 4]], lambda_j=4)
    4/5
    """
    alignment = Trace(y.T * K * y) / (sp.sqrt(Trace(K * K)) * dot(y, y))
    gram = alignment.subs(K * y, lambda_j * y).doit()
    kernel = ntk_at_init().expr
    functions = {"linear": dot(u, x), "radial": dot(x, x), "traceless": form(x, A, x)}
    limits = {}
    for name, function in functions.items():
        parts = {k: _traceless(part) for k, part in moments(kernel, function).items()}
        share = sp.factor(sp.cancel(parts["numerator"] / parts["target_square"]))
        limits[name] = share / sp.sqrt(sp.factor(parts["kernel_square"]))
    spectrum = ntk_eigenvalues().terms
    total = sp.factor(sp.expand(sum(spectrum[k][1] * limits[k] ** 2 for k in spectrum)))
    if total != 1:
        raise AssertionError(f"the squared alignments of all eigenfunctions sum to {total}, not 1")
    return ClosedForm(
        name="eigenvector-label-alignment",
        title="The alignment of the kernel with labels from its j-th eigenvector",
        expr=gram,
        terms={"gram": gram},
        components=limits,
        steps=[
            ("The alignment of any labels y with a Gram matrix K, |K|_F^2 = Tr K^2.", alignment),
            ("K y = lambda_j y.", gram),
            ("Labels u.x: an eigenfunction of the kernel at initialisation.", limits["linear"]),
            ("Labels |x|^2.", limits["radial"]),
            ("Labels x^T A x with Tr A = 0.", limits["traceless"]),
            ("Squares over all eigenfunctions, by multiplicity, sum to 1; so over all j.", total),
        ],
        assumptions=(
            "Uncentred, labels and alignment on the same inputs; it falls with j by "
            "construction and is at most 1/sqrt(j). Eigenfunctions: infinite width, inputs "
            "N(0, I/D); for N(0, I), as in Fig. 5, put sqrt(D) epsilon for epsilon."
        ),
        source="derived here, for Kumar et al. 2024, Sec. 6.1",
    )


def _traceless(expr: sp.Expr) -> sp.Expr:
    return canonical(expr).subs(Trace(A), 0)
