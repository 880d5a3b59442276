"""The Mercer problem of the initial kernel for inputs of any covariance, x ~ N(0, Sigma).

The kernel depends on x.x' alone, so that a rotation makes Sigma diagonal; s_i are its eigenvalues
and e_i its eigenvectors. Linear functions and the products x_i x_j stay eigenfunctions; the squares
x_i^2 mix, by a diagonal matrix plus one of rank 1.
"""

import sympy as sp
from sympy import DiagMatrix, MatrixSymbol, Trace

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.network import ntk_at_init
from lazyrich.theory.symbols import A, D, Gaussian, I, Sigma, u, x, x_prime
from lazyrich.theory.wick import canonical, dot, equal, expectation, form

s = MatrixSymbol("s", D, 1)  # the eigenvalues of Sigma
zeta = sp.Symbol("zeta", positive=True)  # an eigenvalue sought
_q = MatrixSymbol("q", D, 1)  # an eigenvector of Sigma, as u below
_s_u, _s_q = sp.symbols("s_u s_q", positive=True)


def apply_general_operator(g: sp.Expr) -> sp.Expr:
    """T[g](x') = <K(x, x') g(x)> over x ~ N(0, Sigma), K the kernel at initialisation.

    >>> apply_general_operator(dot(u, x))
    Trace(u.T*Sigma*x')
    """
    return expectation(ntk_at_init().expr * g, Gaussian(x, Sigma))


def quadratic_map() -> tuple[sp.Expr, sp.Expr]:
    """(p, q) of the map A -> p Sigma A Sigma + q Tr(Sigma A) Sigma of quadratic forms x^T A x.

    Raises ``AssertionError`` if the operator has another form.
    """
    image = apply_general_operator(form(x, A, x))
    shapes = (
        canonical(form(x_prime, Sigma * A * Sigma, x_prime)),
        canonical(Trace(Sigma * A) * form(x_prime, Sigma, x_prime)),
    )
    p, q = (sp.expand(image).coeff(shape) for shape in shapes)
    if not equal(image, p * shapes[0] + q * shapes[1]):
        raise AssertionError(f"T[x^T A x] = {image}: not of the expected form")
    return p, q


def null_function() -> sp.Expr:
    """The one polynomial of degree at most 2 that the kernel cannot learn, 1 - a x^T Sigma^-1 x.

    >>> null_function()
    1 - Trace(x.T*Sigma**(-1)*x)/(D + 2)
    """
    a = sp.Dummy("a")
    image = apply_general_operator(1 - a * form(x, Sigma.I, x))
    root = linear_root(image, a)
    if root.has(Trace):
        raise AssertionError(f"no multiple of x^T Sigma^-1 x makes up for a constant: {root}")
    return 1 - root * form(x, Sigma.I, x)


def general_ntk_operator() -> ClosedForm:
    """The kernel's integral operator on polynomials of degree at most 2, inputs N(0, Sigma).

    ``terms``: its image of the constant 1, of u.x and of x^T A x, A symmetric, as functions of x'.
    """
    terms = {
        "constant": apply_general_operator(sp.S.One),
        "linear": apply_general_operator(dot(u, x)),
        "quadratic": apply_general_operator(form(x, A, x)),
    }
    paper = terms["quadratic"].subs(Sigma, I / D)
    return ClosedForm(
        name="general-ntk-operator",
        title="The image of 1, u.x and x^T A x under the initial kernel's operator",
        expr=sp.Tuple(*terms.values()),
        terms=terms,
        components={"null": null_function()},
        steps=[
            ("The kernel at initialisation.", ntk_at_init().expr),
            ("T applied to 1: a quadratic form.", terms["constant"]),
            ("T applied to u.x: the map u -> Sigma u.", terms["linear"]),
            ("T applied to x^T A x: A -> p Sigma A Sigma + q Tr(Sigma A) Sigma.", quadratic_map()),
            ("So this function, and no other of degree at most 2, goes to 0.", null_function()),
            ("The paper's case Sigma = I/D of the image of x^T A x.", canonical(paper)),
        ],
        assumptions=(
            "Infinite width, w_i ~ N(0, sigma^2 I), x ~ N(0, Sigma), Sigma positive definite, A "
            "symmetric; epsilon != 0 for the null space."
        ),
        source="derived here; generalises Kumar et al. 2024, App. 11.1, eqs. (12)-(16)",
    )


def general_ntk_spectrum() -> ClosedForm:
    """The kernel's spectrum for inputs N(0, Sigma), in the eigenvalues s (D,) of Sigma.

    ``terms``: ``linear`` (D,), the eigenvalues on e_i.x; ``cross`` (D, D), whose entries i < j are
    those on x_i x_j; ``diagonal`` (D, D), the matrix whose eigenvalues are those on combinations
    of the x_i^2. ``components``: ``secular``, whose zeros in zeta the latter are.
    """
    p, q = quadratic_map()
    diagonal = DiagMatrix(s)
    terms = {
        "linear": s,
        "cross": p * s * s.T,
        "diagonal": p * diagonal**2 + q * s * s.T,
    }
    of_product, of_square = _of_product(u, _q), _of_product(u, u)
    lines = dot(u, x_prime), dot(_q, x_prime)
    sigma_form = form(x_prime, Sigma, x_prime)
    if not equal(of_product, p * _s_u * _s_q * lines[0] * lines[1]) or not equal(
        of_square, p * _s_u**2 * lines[0] ** 2 + q * _s_u * sigma_form
    ):
        raise AssertionError(f"T of products of two eigenvectors: {of_product}, {of_square}")
    secular = q * Trace(s.T * (zeta * I - p * diagonal**2).I * s) - 1
    _check_trace(p, q)
    return ClosedForm(
        name="general-ntk-spectrum",
        title="Eigenvalues on linear functions, on products x_i x_j, and the matrix of squares",
        expr=sp.Tuple(*terms.values()),
        terms=terms,
        components={"secular": secular},
        steps=[
            ("On linear functions T is u -> Sigma u: its eigenvalues are those of Sigma.", s),
            ("T of (u.x)(q.x) for eigenvectors u, q of Sigma, orthogonal.", of_product),
            ("So x_i x_j, i < j, has the eigenvalue in the place i, j of", terms["cross"]),
            ("T of (u.x)^2 for a unit eigenvector u.", of_square),
            ("x'^T Sigma x' is sum_k s_k x'_k^2: on squares T is", terms["diagonal"]),
            ("its eigenvalues, where none is repeated, are the zeros in zeta of", secular),
            (
                "They interlace: one lies above each p s_i^2 and below the next, and the largest "
                "below p s_max^2 + q |s|^2. An s_i of multiplicity m leaves m - 1 of them at p "
                "s_i^2, with (p, q) =",
                sp.Tuple(p, q),
            ),
            ("The eigenvalues add up to <K(x, x)>: none is missing.", _trace()),
            ("s_i = 1/D gives the paper's spectrum.", _paper_spectrum(p, q)),
        ],
        assumptions="Infinite width, w_i ~ N(0, sigma^2 I), x ~ N(0, Sigma).",
        source="derived here; generalises Kumar et al. 2024, App. 11.1, eqs. (11)-(16)",
    )


def _of_product(a: MatrixSymbol, b: MatrixSymbol) -> sp.Expr:
    """T of (a.x)(b.x) for unit eigenvectors a and b of Sigma, orthogonal or the same."""
    value = {u: _s_u, _q: _s_q}
    image = apply_general_operator(dot(a, x) * dot(b, x))
    rules = {canonical(form(v, Sigma, x_prime)): value[v] * dot(v, x_prime) for v in (a, b)}
    rules[canonical(form(a, Sigma, b))] = value[a] if a == b else sp.S.Zero
    return canonical(image.subs(rules))


def _trace() -> sp.Expr:
    kernel = ntk_at_init().expr
    return expectation(kernel.subs(x_prime, x), Gaussian(x, Sigma))


def _check_trace(p: sp.Expr, q: sp.Expr) -> None:
    """sum_i s_i + p sum_{i<j} s_i s_j + (p + q) sum_i s_i^2 is the trace of the operator."""
    first, second = Trace(Sigma), Trace(Sigma * Sigma)
    total = first + p * (first**2 - second) / 2 + (p + q) * second
    if not equal(total, _trace()):
        raise AssertionError(f"the eigenvalues add up to {total}, not to {_trace()}")


def _paper_spectrum(p: sp.Expr, q: sp.Expr) -> sp.Expr:
    """The eigenvalues at s_i = 1/D: the matrix of squares is p/D^2 + q/D^2 times that of ones."""
    values = (1 / D, sp.factor((p + D * q) / D**2), p / D**2)
    paper = [value for value, _ in ntk_eigenvalues().terms.values()]
    if any(sp.expand(ours - theirs) != 0 for ours, theirs in zip(values, paper, strict=True)):
        raise AssertionError(f"s = 1/D gives {values}, not {paper}")
    return sp.Tuple(*values)
