"""The target y(x) = (beta.x)^2/2 on the eigenspaces of the initial kernel (Kumar et al. 2024)."""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.symbols import beta, x
from lazyrich.theory.wick import dot


def target(vector: sp.MatrixSymbol = x) -> sp.Expr:
    """y(x) = (beta.x)^2/2, eq. (3).

    >>> from lazyrich.theory.symbols import isotropic
    >>> from lazyrich.theory.wick import expectation
    >>> expectation(target(), isotropic(x))
    Trace(beta.T*beta)/(2*D)
    """
    return dot(beta, vector) ** 2 / 2


def target_decomposition() -> ClosedForm:
    """Component and power of the target on each eigenspace [Kumar et al. 2024, eq. 17]."""
    from lazyrich.theory.mercer import by_name
    from lazyrich.theory.network import model
    from lazyrich.theory.problem.form import instance

    form = model().closed_form("target-decomposition")
    if form.terms["null"] != 0:
        raise AssertionError(f"the kernel does not reach {form.components['null']} of the target")
    return instance(
        form,
        title="The target's power <y_k^2> on the linear, radial and traceless functions",
        terms=by_name(form.terms),
        components=by_name(form.components),
        assumptions="Inputs x ~ N(0, I/D); any beta.",
        source="Kumar et al. 2024, App. 11.1, eq. (17)",
    )
