"""The Mercer problem of the initial kernel: eigenvalues, multiplicities, eigenprojectors.

The code applies the integral operator T[g](x') = <K(x, x') g(x)> to the polynomials of degree at
most 2 and reads off where it acts as a multiple (Kumar et al. 2024, App. 11.1, eqs. 11-16).
"""

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.network import ntk_at_init
from lazyrich.theory.symbols import A, D, I, isotropic, u, x, x_prime
from lazyrich.theory.wick import canonical, dot, equal, expectation, form

_x_second = MatrixSymbol("x''", D, 1)


def apply_operator(kernel: sp.Expr, g: sp.Expr) -> sp.Expr:
    """T[g](x') = <K(x, x') g(x)> over x ~ N(0, I/D), eq. (11)."""
    return expectation(kernel * g, isotropic(x))


def ratio(image: sp.Expr, g: sp.Expr) -> sp.Expr:
    """The eigenvalue: the factor between two functions, which must not depend on their argument.

    Raises ``ValueError`` if the functions are not proportional.
    """
    factor = sp.factor(sp.cancel(image / canonical(g)))
    if factor.has(sp.Trace):
        raise ValueError(f"T[{g}] = {image}: not a multiple of it")
    return factor


def compose(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """The kernel <a(x, x'') b(x'', x')> of the product of two integral operators."""
    left, right = a.subs(x_prime, _x_second), b.subs(x, _x_second)
    return expectation(left * right, isotropic(_x_second))


def eigenspaces(kernel: sp.Expr) -> tuple[dict[str, sp.Expr], list[Step]]:
    """The eigenvalues of ``kernel`` on linear, radial and traceless functions, with the steps."""
    of_linear = apply_operator(kernel, dot(u, x))
    of_quadratic = apply_operator(kernel, form(x, A, x))
    of_radial = canonical(of_quadratic.subs(A, I))
    of_traceless = of_quadratic.subs(sp.Trace(A), 0)
    values = {
        "linear": ratio(of_linear, dot(u, x_prime)),
        "radial": ratio(of_radial, dot(x_prime, x_prime)),
        "traceless": ratio(of_traceless, form(x_prime, A, x_prime)),
    }
    steps = [
        ("T applied to a linear function u.x.", of_linear),
        ("T applied to x^T A x, A symmetric: the map A -> a A + b Tr(A) I.", of_quadratic),
        ("A = I: |x|^2 is an eigenfunction.", of_radial),
        ("Tr A = 0: every traceless quadratic form is one.", of_traceless),
        ("The eigenvalues on linear, radial and traceless functions.", tuple(values.values())),
    ]
    return values, steps


def projectors() -> dict[str, sp.Expr]:
    """Kernels of the orthogonal projections on the three eigenspaces, in L2 of N(0, I/D).

    Each is a multiple of the form (x, x') -> <part of x x^T, x' x'^T>, and idempotence fixes which.
    """
    squares = dot(x, x) * dot(x_prime, x_prime) / D
    shapes = {
        "linear": dot(x, x_prime),
        "radial": squares,
        "traceless": dot(x, x_prime) ** 2 - squares,
    }
    return {k: canonical(s / ratio(compose(s, s), s)) for k, s in shapes.items()}


def multiplicity(projector: sp.Expr) -> sp.Expr:
    """The dimension of an eigenspace: the trace <Pi(x, x)> of its projector."""
    return sp.factor(expectation(projector.subs(x_prime, x), isotropic(x)))


def ntk_eigenvalues() -> ClosedForm:
    """Spectrum of the normalised kernel at initialisation [Kumar et al. 2024, eqs. 11-16]."""
    kernel = ntk_at_init().expr
    values, steps = eigenspaces(kernel)
    parts = projectors()
    sizes = {name: multiplicity(part) for name, part in parts.items()}
    rebuilt = sp.Add(*(values[k] * parts[k] for k in values))
    if not equal(rebuilt, kernel):
        raise AssertionError(f"the eigenspaces do not exhaust the kernel: {rebuilt} != {kernel}")
    c = sp.Dummy("c")
    of_null = sp.expand(apply_operator(kernel, 1 - c * dot(x, x)))
    (null,) = sp.solve(of_null, c)
    terms = {k: (values[k], sizes[k]) for k in values}
    steps += [
        ("Projectors on the three eigenspaces.", tuple(parts.values())),
        ("Multiplicities, as traces of the projectors.", tuple(sizes.values())),
        ("Eigenvalue times projector, summed, gives the kernel back: nothing is left out.", kernel),
        (
            "Of the polynomials of degree at most 2 only this one is in the null space.",
            1 - null * dot(x, x),
        ),
        (
            "The count: linear + radial + traceless + 1 is their dimension 1 + D + D(D + 1)/2.",
            sp.factor(sp.Add(*sizes.values()) + 1),
        ),
    ]
    return ClosedForm(
        name="ntk-eigenvalues",
        title="(eigenvalue, multiplicity) on linear, radial and traceless functions",
        expr=sp.Tuple(*(sp.Tuple(*pair) for pair in terms.values())),
        terms=terms,
        components=parts,
        steps=steps,
        assumptions="Infinite width, w_i ~ N(0, sigma^2 I), inputs x ~ N(0, I/D).",
        source="Kumar et al. 2024, App. 11.1, eqs. (11)-(16)",
    )
