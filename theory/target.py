"""The target y(x) = (beta.x)^2/2 on the eigenspaces of the initial kernel (Kumar et al. 2024)."""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.mercer import projectors
from lazyrich.theory.symbols import beta, isotropic, x, x_prime
from lazyrich.theory.wick import canonical, dot, equal, expectation


def target(vector: sp.MatrixSymbol = x) -> sp.Expr:
    """y(x) = (beta.x)^2/2, eq. (3).

    >>> expectation(target(), isotropic(x))
    Trace(beta.T*beta)/(2*D)
    """
    return dot(beta, vector) ** 2 / 2


def target_decomposition() -> ClosedForm:
    """Component and power of the target on each eigenspace [Kumar et al. 2024, eq. 17]."""
    components = {
        name: expectation(projector * target(x_prime), isotropic(x_prime))
        for name, projector in projectors().items()
    }
    terms = {k: expectation(part**2, isotropic(x)) for k, part in components.items()}
    power = expectation(target() ** 2, isotropic(x))
    if not equal(sp.Add(*components.values()), target()):
        raise AssertionError("the components of the target do not add up to it")
    if not equal(sp.Add(*terms.values()), power):
        raise AssertionError("the powers of the components do not add up to the target's")
    return ClosedForm(
        name="target-decomposition",
        title="The target's power <y_k^2> on the linear, radial and traceless functions",
        expr=power,
        terms=terms,
        components=components,
        steps=[
            ("The target.", canonical(target())),
            (
                "Its components: projections on linear, radial, traceless.",
                tuple(components.values()),
            ),
            ("They add up to the target.", canonical(sp.Add(*components.values()))),
            ("The power of each component.", tuple(terms.values())),
            ("The powers add up to <y^2>: the components are orthogonal.", power),
        ],
        assumptions="Inputs x ~ N(0, I/D); any beta.",
        source="Kumar et al. 2024, App. 11.1, eq. (17)",
    )
