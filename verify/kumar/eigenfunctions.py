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
from lazyrich.verify.evidence import certificate, equality, proof
from lazyrich.verify.ledger import Claim, Verdict
from lazyrich.verify.spectrum_evidence import (
    LAMBDA_RADIAL,
    LAMBDA_TRACELESS,
    TRACELESS_DERIVATION,
    c,
    eigenvalue,
    image,
    image_evidence,
    in_numbers,
    misprinted_eigenvalue,
    multiplicity,
    v,
)


def claims() -> list[Claim]:
    """The claims on the eigenfunctions and the target's parts, in the paper's order."""
    return [
        _linear_functions(),
        *_squares(),
        _shifted_squares(),
        _count_of_squares(),
        _products_with_a_shift(),
        _products(),
        *_radial(),
        *_target(),
    ]


def _linear_functions() -> Claim:
    return Claim(
        name="eq-12",
        source="App. 11.1, eq. (12)",
        statement="<K(x, x') x_i> = x_i'/D.",
        verdict=Verdict.CONFIRMED,
        evidence=image_evidence("x_i", dot(u, x_prime) / D, dot(u, x_prime)),
    )


def _squares() -> list[Claim]:
    square = dot(x_prime, x_prime)
    right = 2 * epsilon**2 / D**2 * dot(u, x_prime) ** 2 + epsilon**2 / D**2 * square
    printed = 2 * epsilon**2 / D**2 * dot(u, x) ** 2 + epsilon**2 / D**2 * square
    return [
        Claim(
            name="eq-13",
            source="App. 11.1, eq. (13), first formula",
            statement="<K(x, x') x_i^2> = (2 epsilon^2/D^2) x_i^2 + (epsilon^2/D^2) |x'|^2.",
            verdict=Verdict.MISPRINT,
            printed=r"$\frac{2\epsilon^2}{D^2} x_i^2 + \frac{\epsilon^2}{D^2} |x'|^2$",
            derived=r"$\frac{2\epsilon^2}{D^2} (x'_i)^2 + \frac{\epsilon^2}{D^2} |x'|^2$",
            derivation=r"$\langle (x \cdot x')^2 x_i^2 \rangle = \frac{1}{D^2} (|x'|^2 + 2 x_i'^2)$"
            " by Wick's theorem; $x$ is integrated out, so only $x'$ can be left. Eq. (14) has the "
            "prime.",
            counterexample=lambda: _value_counterexample(printed, right),
            evidence=image_evidence("x_i^2", right, printed),
        ),
        Claim(
            name="eq-13-radial",
            source="App. 11.1, eq. (13), second formula",
            statement="<K(x, x') |x|^2> = (epsilon^2/D)(1 + 2/D) |x'|^2.",
            verdict=Verdict.CONFIRMED,
            evidence=image_evidence(
                "|x|^2", LAMBDA_RADIAL * square, LAMBDA_RADIAL / epsilon**2 * square
            ),
        ),
    ]


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


def _shifted_squares() -> Claim:
    square = dot(x_prime, x_prime)
    first = LAMBDA_TRACELESS * dot(u, x_prime) ** 2 + epsilon**2 / D**2 * square
    first -= c * LAMBDA_RADIAL * square
    bracket = dot(u, x_prime) ** 2 + (Rational(1, 2) - c / 2 * (D + 2)) * square
    at_c = dot(u, x_prime) ** 2 - square / D
    name = "x_i^2 - c |x|^2"
    return Claim(
        name="eq-14",
        source="App. 11.1, eq. (14) and below",
        statement="<K(x, x') [x_i^2 - c |x|^2]> is as printed, and for c = 1/D an eigenfunction "
        "with eigenvalue 2 epsilon^2/D^2.",
        verdict=Verdict.ASSUMING,
        assumption="D >= 2: at D = 1 the function with c = 1/D is zero.",
        evidence=(
            *image_evidence(name, first, first + c * square),
            equality(
                "both printed lines are the same",
                lambda: first,
                lambda: LAMBDA_TRACELESS * bracket,
                lambda: LAMBDA_TRACELESS * (bracket + c * square / D),
            ),
            equality(
                "c = 1/D solves 2 c = c (D + 2) - 1",
                lambda: sp.solve(c * (D + 2) - 1 - 2 * c, c)[0],
                lambda: 1 / D,
                lambda: 1 / (D + 2),
            ),
            equality(
                "with that c the image is the eigenvalue times the function",
                lambda: canonical(image(name).subs(c, 1 / D)),
                lambda: LAMBDA_TRACELESS * at_c,
                lambda: LAMBDA_RADIAL * at_c,
            ),
        ),
    )


def _squares_left(dimension: sp.Integer) -> sp.Expr:
    """The multiplicity of the traceless functions less the count of the x_i x_j."""
    return (multiplicity("traceless") - D * (D - 1) / 2).subs(D, dimension)


def _count_of_squares() -> Claim:
    def counted(D: int, claimed):
        at = Coordinates(D, vectors=["x"])
        entries, square = at.values["x"][:, 0], at.dot("x", "x")
        functions = [entry**2 - square / D for entry in entries]
        moments = [[at.mean(f * g, "x").LC if f * g else 0 for g in functions] for f in functions]
        yield "independent functions", sp.Matrix(moments).rank(), at.interpret(claimed["count"])

    def too_many(cf):
        linear = {**cf.terms, "traceless": (cf.terms["traceless"][0], D * (D + 1) / 2)}
        return replace(cf, terms=linear)

    return Claim(
        name="sec-11.1-count-of-squares",
        source="App. 11.1, around eq. (14)",
        statement="The x_i^2 - |x|^2/D count as D eigenfunctions, that is independent ones.",
        verdict=Verdict.REFUTED,
        printed="the existence of $D$ eigenfunctions; an additional $D$ eigenfunctions",
        derived=r"$D - 1$ independent ones; with the $x_i x_j$ the multiplicity of "
        r"$2\epsilon^2/D^2$ is $\frac{1}{2}(D - 1)(D + 2)$, not $\frac{1}{2} D (D + 1)$",
        derivation=r"$\sum_i (x_i^2 - |x|^2/D) = 0$; the quadratic forms have dimension "
        r"$\frac{1}{2}D(D+1)$, and one of them is $|x|^2$, with another eigenvalue.",
        counterexample=lambda: (
            smallest(
                lambda D: D,
                lambda D: _squares_left(D),
                D=[sp.Integer(2), sp.Integer(3)],
            )
            + " (x_1^2 - |x|^2/2 is minus x_2^2 - |x|^2/2)"
        ),
        evidence=(
            proof(
                "the rank of the functions' moment matrix is D - 1 (a multiplicity is the trace of "
                "a projector, a polynomial in D)",
                Certificate(1, 2, counted),
                lambda: {"count": D - 1},
                lambda: {"count": D},
            ),
            certificate("ntk-eigenvalues", too_many),
        ),
    )


def _products_with_a_shift() -> Claim:
    product, square = dot(u, x_prime) * dot(v, x_prime), dot(x_prime, x_prime)
    right = LAMBDA_TRACELESS * product - c * LAMBDA_RADIAL * square
    claimed = LAMBDA_TRACELESS * (product - c * square)
    return Claim(
        name="sec-11.1-shifted-products",
        source="App. 11.1, above eq. (15)",
        statement="x_i x_j - c |x|^2 for i != j is considered as an eigenfunction.",
        verdict=Verdict.MISPRINT,
        printed=r"$x_i x_j - c |x|^2$ for $i \neq j$",
        derived=r"$x_i x_j$ (that is $c = 0$), as in eq. (15)",
        derivation=r"$T[x_i x_j - c|x|^2] = \frac{2\epsilon^2}{D^2} x'_i x'_j - c "
        r"\frac{\epsilon^2}{D}(1 + \frac{2}{D}) |x'|^2$: a multiple only for $c = 0$.",
        counterexample=lambda: (
            smallest(
                lambda D, epsilon, c: in_numbers(-c * LAMBDA_TRACELESS)(D=D, epsilon=epsilon),
                lambda D, epsilon, c: in_numbers(-c * eigenvalue("radial"))(D=D, epsilon=epsilon),
                D=[sp.Integer(2)],
                epsilon=SIMPLE,
                c=[sp.Integer(0), sp.Integer(1)],
            )
            + " as the coefficient of |x'|^2, if T multiplied the function by 2 epsilon^2/D^2"
        ),
        evidence=image_evidence("x_i x_j - c |x|^2", right, claimed),
    )


def _products() -> Claim:
    product = dot(u, x_prime) * dot(v, x_prime)
    return Claim(
        name="eq-15",
        source="App. 11.1, eq. (15) and below",
        statement="<K(x, x') x_i x_j> = (2 epsilon^2/D^2) x_i' x_j' for i != j: another "
        "D (D - 1)/2 eigenfunctions with the same eigenvalue.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            *image_evidence("x_i x_j", LAMBDA_TRACELESS * product, LAMBDA_RADIAL * product),
            equality(
                "the count: all traceless quadratic functions less the D - 1 of the squares",
                lambda: multiplicity("traceless") - (D - 1),
                lambda: (D**2 - D) / 2,
                lambda: (D**2 + D) / 2,
            ),
        ),
    )


def _radial() -> list[Claim]:
    square = dot(x_prime, x_prime)
    printed = (1 + 2 / D) / D
    derivation = (
        r"$\langle (x \cdot x')^2 |x|^2 \rangle = \frac{1}{D}(1 + \frac{2}{D})|x'|^2$, and the "
        r"kernel has $\epsilon^2$ in front; eq. (13) has it."
    )
    texts = {
        "printed": r"$\frac{1}{D}(1 + \frac{2}{D})$",
        "derived": r"$\frac{\epsilon^2}{D}(1 + \frac{2}{D})$",
        "derivation": derivation,
    }
    return [
        Claim(
            name="eq-16",
            source="App. 11.1, eq. (16)",
            statement="<K(x, x') |x|^2> = (1/D)(1 + 2/D) |x'|^2.",
            verdict=Verdict.MISPRINT,
            printed=r"$\frac{1}{D}(1 + \frac{2}{D}) |x'|^2$",
            derived=r"$\frac{\epsilon^2}{D}(1 + \frac{2}{D}) |x'|^2$",
            derivation=derivation,
            counterexample=lambda: (
                smallest(
                    in_numbers(printed), in_numbers(eigenvalue("radial")), D=(1, 2), epsilon=SIMPLE
                )
                + ", at |x'| = 1"
            ),
            evidence=image_evidence("|x|^2", LAMBDA_RADIAL * square, printed * square),
        ),
        misprinted_eigenvalue(
            "sec-11.1-lambda-radial",
            "App. 11.1, below eq. (16)",
            "|x|^2 has eigenvalue (1/D)(1 + 2/D).",
            "radial",
            printed,
            **texts,
        ),
        misprinted_eigenvalue(
            "sec-11.1-lambda-second-term",
            "App. 11.1, below eq. (17)",
            "The second term of eq. (17) has eigenvalue (1/D)(1 + 2/D).",
            "radial",
            printed,
            **texts,
        ),
    ]


def _target() -> list[Claim]:
    size, square = dot(beta, beta), dot(x, x)

    def bracket(shift: sp.Expr) -> sp.Expr:
        return dot(beta, x) ** 2 / 2 - shift * square / (2 * D)

    def components() -> dict[str, sp.Expr]:
        return dict(closed_form("target-decomposition").components)

    def unit(expr: sp.Expr) -> sp.Expr:
        return canonical(expr).subs(Trace(beta.T * beta), 1)

    return [
        Claim(
            name="eq-17",
            source="App. 11.1, eq. (17)",
            statement="y = [(x.beta)^2 - |x|^2/D]/2 + |x|^2/(2D) decomposes the target into "
            "eigenfunctions.",
            verdict=Verdict.ASSUMING,
            assumption="|beta| = 1. In general the parts are [(x.beta)^2 - |beta|^2 |x|^2/D]/2 "
            "and |beta|^2 |x|^2/(2D); with the experiments' |beta|^2 = D the printed bracket is "
            "no eigenfunction.",
            printed=r"$\frac{1}{2}[(x \cdot \beta)^2 - \frac{1}{D}|x|^2] + \frac{1}{2D}|x|^2$",
            derived=r"$\frac{1}{2}[(x \cdot \beta)^2 - \frac{|\beta|^2}{D}|x|^2] + "
            r"\frac{|\beta|^2}{2D}|x|^2$",
            derivation=r"$x^\top A x$ is an eigenfunction for ${\rm Tr} A = 0$ or $A \propto I$; "
            r"for $A = \beta\beta^\top$ the trace is $|\beta|^2$.",
            counterexample=lambda: (
                smallest(
                    lambda D, beta: (beta**2 - Rational(1, D)) / 2,
                    lambda D, beta: (beta**2 - beta**2 / D) / 2,
                    D=[sp.Integer(1), sp.Integer(2)],
                    beta=SIMPLE,
                )
                + ": the first component at x = (1, 0, ...) for beta = (beta, 0, ...)"
            ),
            evidence=(
                equality(
                    "at |beta| = 1 the first term is the traceless component",
                    lambda: unit(components()["traceless"]),
                    lambda: unit(bracket(sp.S.One)),
                    lambda: unit(bracket(sp.Integer(2))),
                ),
                equality(
                    "for any beta the traceless component has |beta|^2, unlike the printed one",
                    lambda: components()["traceless"],
                    lambda: bracket(size),
                    lambda: bracket(sp.S.One),
                ),
                equality(
                    "and the radial component has |beta|^2, too",
                    lambda: components()["radial"],
                    lambda: size * square / (2 * D),
                    lambda: square / (2 * D),
                ),
                certificate("target-decomposition", _printed_components),
                *_image_of_the_printed_bracket(),
            ),
        ),
        misprinted_eigenvalue(
            "sec-11.1-lambda-first-term",
            "App. 11.1, below eq. (17)",
            "The first term of eq. (17) has eigenvalue 2 epsilon/D^2.",
            "traceless",
            2 * epsilon / D**2,
            printed=r"$\frac{2\epsilon}{D^2}$",
            derived=r"$\frac{2\epsilon^2}{D^2}$",
            derivation=TRACELESS_DERIVATION,
        ),
    ]


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
