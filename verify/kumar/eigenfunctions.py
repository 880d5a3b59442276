"""Claims of Kumar et al. 2024 on the eigenfunctions of the initial kernel: eqs. (12)-(17).

u and v stand for the unit vectors e_i and e_j (see ``spectrum_evidence``).
"""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false

from dataclasses import replace

import sympy as sp
from sympy import Rational, Trace

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D, beta, epsilon, u, x, x_prime
from lazyrich.theory.wick import canonical, dot
from lazyrich.verify.certificates import Certificate
from lazyrich.verify.coordinates import Coordinates
from lazyrich.verify.counterexample import SIMPLE, smallest
from lazyrich.verify.evidence import attach, certificate, counterexample, equality, proof
from lazyrich.verify.spectrum_evidence import (
    LAMBDA_RADIAL,
    LAMBDA_TRACELESS,
    c,
    eigenvalue,
    image,
    image_evidence,
    in_numbers,
    misprinted_eigenvalue,
    multiplicity,
    v,
)


def _value_counterexample(printed: sp.Expr, derived: sp.Expr) -> str:
    """At D = 1, where x and x' are numbers and u = 1."""

    def at(expr: sp.Expr):
        def value(**point):
            numbers = {D: 1, epsilon: point["epsilon"], c: point.get("c", 0)}
            expr_1 = expr.subs(numbers)
            entries = {"u": 1, "x": point.get("x", 0), "x'": point["x_prime"]}
            entries["beta"] = point.get("beta", 0)
            matrices = {
                m: sp.ImmutableMatrix([[entries[m.name]]]) for m in expr_1.atoms(sp.MatrixSymbol)
            }
            return expr_1.subs(matrices).doit()

        return value

    values = tuple(Rational(n) for n in (1, 2, 0))
    found = smallest(at(printed), at(derived), epsilon=(1, 2), x=values, x_prime=values)
    return f"D = 1, {found}"


def _squares_left(dimension: sp.Integer) -> sp.Expr:
    """The multiplicity of the traceless functions less the count of the x_i x_j."""
    return (multiplicity("traceless") - D * (D - 1) / 2).subs(D, dimension)


def _image_of_the_printed_bracket():
    """A multiple of the bracket itself at |beta| = 1 only."""
    along, square = dot(beta, x_prime) ** 2, dot(x_prime, x_prime)
    shift = epsilon**2 / D**2 * (dot(beta, beta) - (D + 2) / D)
    return image_evidence(
        "(beta.x)^2 - |x|^2/D",
        LAMBDA_TRACELESS * along + shift * square,
        LAMBDA_TRACELESS * (along - square / D),
    )


def _printed_components(cf):
    radial = dot(x, x) / (2 * D)
    printed = {"radial": radial, "traceless": dot(beta, x) ** 2 / 2 - radial}
    return replace(cf, components={**cf.components, **printed})


attach(
    "eq-12",
    *image_evidence("x_i", dot(u, x_prime) / D, dot(u, x_prime)),
)


_squares_square = dot(x_prime, x_prime)


_squares_right = 2 * epsilon**2 / D**2 * dot(u, x_prime) ** 2 + epsilon**2 / D**2 * _squares_square


_squares_printed = 2 * epsilon**2 / D**2 * dot(u, x) ** 2 + epsilon**2 / D**2 * _squares_square


attach(
    "eq-13",
    *image_evidence("x_i^2", _squares_right, _squares_printed),
)


counterexample("eq-13", lambda: _value_counterexample(_squares_printed, _squares_right))


attach(
    "eq-13-radial",
    *image_evidence(
        "|x|^2", LAMBDA_RADIAL * _squares_square, LAMBDA_RADIAL / epsilon**2 * _squares_square
    ),
)


_shifted_squares_square = dot(x_prime, x_prime)


_first = LAMBDA_TRACELESS * dot(u, x_prime) ** 2 + epsilon**2 / D**2 * _shifted_squares_square


_first -= c * LAMBDA_RADIAL * _shifted_squares_square


_shifted_squares_bracket = (
    dot(u, x_prime) ** 2 + (Rational(1, 2) - c / 2 * (D + 2)) * _shifted_squares_square
)


_at_c = dot(u, x_prime) ** 2 - _shifted_squares_square / D


_name = "x_i^2 - c |x|^2"


attach(
    "eq-14",
    *image_evidence(_name, _first, _first + c * _shifted_squares_square),
    equality(
        "both printed lines are the same",
        lambda: _first,
        lambda: LAMBDA_TRACELESS * _shifted_squares_bracket,
        lambda: LAMBDA_TRACELESS * (_shifted_squares_bracket + c * _shifted_squares_square / D),
    ),
    equality(
        "c = 1/D solves 2 c = c (D + 2) - 1",
        lambda: sp.solve(c * (D + 2) - 1 - 2 * c, c)[0],
        lambda: 1 / D,
        lambda: 1 / (D + 2),
    ),
    equality(
        "with that c the image is the eigenvalue times the function",
        lambda: canonical(image(_name).subs(c, 1 / D)),
        lambda: LAMBDA_TRACELESS * _at_c,
        lambda: LAMBDA_RADIAL * _at_c,
    ),
)


def _counted(D: int, claimed):
    at = Coordinates(D, vectors=["x"])
    entries, square = at.values["x"][:, 0], at.dot("x", "x")
    functions = [entry**2 - square / D for entry in entries]
    moments = [[at.mean(f * g, "x").LC if f * g else 0 for g in functions] for f in functions]
    yield "independent functions", sp.Matrix(moments).rank(), at.interpret(claimed["count"])


def _too_many(cf):
    linear = {**cf.terms, "traceless": (cf.terms["traceless"][0], D * (D + 1) / 2)}
    return replace(cf, terms=linear)


attach(
    "sec-11.1-count-of-squares",
    proof(
        "the rank of the functions' moment matrix is D - 1 (a multiplicity is the trace of "
        "a projector, a polynomial in D)",
        Certificate(1, 2, _counted),
        lambda: {"count": D - 1},
        lambda: {"count": D},
    ),
    certificate("ntk-eigenvalues", _too_many),
)


counterexample(
    "sec-11.1-count-of-squares",
    lambda: (
        smallest(
            lambda D: D,
            lambda D: _squares_left(D),
            D=[sp.Integer(2), sp.Integer(3)],
        )
        + " (x_1^2 - |x|^2/2 is minus x_2^2 - |x|^2/2)"
    ),
)


_products_with_a_shift_product, _products_with_a_shift_square = (
    dot(u, x_prime) * dot(v, x_prime),
    dot(x_prime, x_prime),
)


_products_with_a_shift_right = (
    LAMBDA_TRACELESS * _products_with_a_shift_product
    - c * LAMBDA_RADIAL * _products_with_a_shift_square
)


_products_with_a_shift_claimed = LAMBDA_TRACELESS * (
    _products_with_a_shift_product - c * _products_with_a_shift_square
)


attach(
    "sec-11.1-shifted-products",
    *image_evidence(
        "x_i x_j - c |x|^2", _products_with_a_shift_right, _products_with_a_shift_claimed
    ),
)


counterexample(
    "sec-11.1-shifted-products",
    lambda: (
        smallest(
            lambda D, epsilon, c: in_numbers(-c * LAMBDA_TRACELESS)(D=D, epsilon=epsilon),
            lambda D, epsilon, c: in_numbers(-c * eigenvalue("radial"))(D=D, epsilon=epsilon),
            D=[sp.Integer(2)],
            epsilon=SIMPLE,
            c=[sp.Integer(0), sp.Integer(1)],
        )
        + " as the coefficient of |x'|^2, if T multiplied the function by 2 epsilon^2/D^2"
    ),
)


_products_product = dot(u, x_prime) * dot(v, x_prime)


attach(
    "eq-15",
    *image_evidence(
        "x_i x_j", LAMBDA_TRACELESS * _products_product, LAMBDA_RADIAL * _products_product
    ),
    equality(
        "the count: all traceless quadratic functions less the D - 1 of the squares",
        lambda: multiplicity("traceless") - (D - 1),
        lambda: (D**2 - D) / 2,
        lambda: (D**2 + D) / 2,
    ),
)


_radial_square = dot(x_prime, x_prime)


_radial_printed = (1 + 2 / D) / D


_derivation = (
    r"$\langle (x \cdot x')^2 |x|^2 \rangle = \frac{1}{D}(1 + \frac{2}{D})|x'|^2$, and the "
    r"kernel has $\epsilon^2$ in front; eq. (13) has it."
)


_texts = {
    "printed": r"$\frac{1}{D}(1 + \frac{2}{D})$",
    "derived": r"$\frac{\epsilon^2}{D}(1 + \frac{2}{D})$",
    "derivation": _derivation,
}


attach(
    "eq-16",
    *image_evidence("|x|^2", LAMBDA_RADIAL * _radial_square, _radial_printed * _radial_square),
)


counterexample(
    "eq-16",
    lambda: (
        smallest(
            in_numbers(_radial_printed), in_numbers(eigenvalue("radial")), D=(1, 2), epsilon=SIMPLE
        )
        + ", at |x'| = 1"
    ),
)


misprinted_eigenvalue("sec-11.1-lambda-radial", "radial", _radial_printed)


misprinted_eigenvalue("sec-11.1-lambda-second-term", "radial", _radial_printed)


_size, _target_square = dot(beta, beta), dot(x, x)


def _target_bracket(shift: sp.Expr) -> sp.Expr:
    return dot(beta, x) ** 2 / 2 - shift * _target_square / (2 * D)


def _components() -> dict[str, sp.Expr]:
    return dict(closed_form("target-decomposition").components)


def _unit(expr: sp.Expr) -> sp.Expr:
    return canonical(expr).subs(Trace(beta.T * beta), 1)


attach(
    "eq-17",
    equality(
        "at |beta| = 1 the first term is the traceless component",
        lambda: _unit(_components()["traceless"]),
        lambda: _unit(_target_bracket(sp.S.One)),
        lambda: _unit(_target_bracket(sp.Integer(2))),
    ),
    equality(
        "for any beta the traceless component has |beta|^2, unlike the printed one",
        lambda: _components()["traceless"],
        lambda: _target_bracket(_size),
        lambda: _target_bracket(sp.S.One),
    ),
    equality(
        "and the radial component has |beta|^2, too",
        lambda: _components()["radial"],
        lambda: _size * _target_square / (2 * D),
        lambda: _target_square / (2 * D),
    ),
    certificate("target-decomposition", _printed_components),
    *_image_of_the_printed_bracket(),
)


counterexample(
    "eq-17",
    lambda: (
        smallest(
            lambda D, beta: (beta**2 - Rational(1, D)) / 2,
            lambda D, beta: (beta**2 - beta**2 / D) / 2,
            D=[sp.Integer(1), sp.Integer(2)],
            beta=SIMPLE,
        )
        + ": the first component at x = (1, 0, ...) for beta = (beta, 0, ...)"
    ),
)


misprinted_eigenvalue("sec-11.1-lambda-first-term", "traceless", 2 * epsilon / D**2)
