"""Certificates of the closed forms of the network, its kernel's spectrum and the loss.

Everything is built here from the definitions, entry by entry: f from its neurons, the kernel from
partial derivatives, expectations from moments of monomials, multiplicities from ranks.
"""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator
from itertools import combinations_with_replacement
from math import prod
from typing import Any

import numpy as np
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from lazyrich.theory import ClosedForm
from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.coordinates import Coordinates, Matrix, inverse

NEURONS = ("w1", "w2")


def network(at: Coordinates, x: str):
    """f(x) = (alpha/N) sum_i phi(w_i.x) of the neurons w1, w2 [eq. 3]."""
    alpha, epsilon = at.values["alpha"], at.values["epsilon"]
    preactivations = [at.dot(w, x) for w in NEURONS]
    outputs = [h + epsilon * h**2 / 2 for h in preactivations]
    return alpha * sum(outputs[1:], outputs[0]) / len(NEURONS)


def weights(at: Coordinates) -> dict[str, Any]:
    """wbar, M and N of the neurons w1, w2 [eq. 4]."""
    columns = [at.values[w] for w in NEURONS]
    return {
        "wbar": sum(columns[1:], columns[0]) / len(columns),
        "M": sum((c @ c.T for c in columns[1:]), columns[0] @ columns[0].T) / len(columns),
        "N": at.number(len(columns)),
    }


def kernel(at: Coordinates):
    """The NTK: scalar products of partial derivatives in every weight [eq. 2]."""
    f, f_prime = network(at, "x"), network(at, "x_prime")
    products = (at.derivative(f, w).T @ at.derivative(f_prime, w) for w in NEURONS)
    return sum((p[0, 0] for p in products), at.ring.zero)


def initial_kernel(at: Coordinates):
    """The mean of the normalised NTK over w_i ~ N(0, sigma^2 I) [eq. 10]."""
    mean = kernel(at)
    for w in NEURONS:
        mean = at.mean(mean, w, at.values["sigma"] ** 2)
    return mean * normalisation(at)


def normalisation(at: Coordinates):
    """N/alpha^2, which makes the NTK the paper's K."""
    return inverse(at.values["alpha"]) ** 2 * len(NEURONS)


def target(at: Coordinates):
    """y(x) = (beta.x)^2/2 [eq. 3]."""
    return at.dot("beta", "x") ** 2 / 2


def parity(at: Coordinates, polynomial, vector: str, odd: bool):
    """The part of a polynomial that is odd, or even, in a vector."""
    places = [at.places[f"{vector}_{i}"] for i in range(at.D)]
    terms = {m: c for m, c in polynomial.terms() if sum(m[i] for i in places) % 2 == odd}
    return at.ring.from_dict(terms)


def _network_function(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = Coordinates(D, vectors=[*NEURONS, "x"], scalars=["alpha", "epsilon"])
    f, known = network(at, "x"), weights(at)
    yield "f", f, at.interpret(cf.expr, **known)
    yield "linear", parity(at, f, "x", True), at.interpret(cf.terms["linear"], **known)
    yield "quadratic", parity(at, f, "x", False), at.interpret(cf.terms["quadratic"], **known)


def _ntk(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = Coordinates(D, vectors=[*NEURONS, "x", "x_prime"], scalars=["alpha", "epsilon"])
    ntk, known = kernel(at), weights(at)
    normalised = ntk * normalisation(at)
    yield "ntk", ntk, at.interpret(cf.terms["ntk"], **known)
    yield "expr", ntk, at.interpret(cf.expr, **known)
    yield "ntk_normalised", normalised, at.interpret(cf.terms["ntk_normalised"], **known)


def initial(
    D: int, *more: str, matrices: tuple[str, ...] = (), scalars: tuple[str, ...] = ()
) -> Coordinates:
    """Coordinates in which ``initial_kernel`` can be had, with further names."""
    return Coordinates(
        D,
        vectors=[*NEURONS, "x", "x_prime", *more],
        matrices=list(matrices),
        scalars=["alpha", "epsilon", "sigma", *scalars],
    )


def _ntk_at_init(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = initial(D)
    normalised = initial_kernel(at)
    N = at.number(len(NEURONS))
    yield "expr", normalised, at.interpret(cf.expr)
    yield "ntk_normalised", normalised, at.interpret(cf.terms["ntk_normalised"])
    yield "ntk", normalised * at.values["alpha"] ** 2 / 2, at.interpret(cf.terms["ntk"], N=N)


def at_prime(at: Coordinates, g):
    """The function g of x at x'."""
    pairs = zip(at.values["x"][:, 0], at.values["x_prime"][:, 0], strict=True)
    return g.compose(list(pairs))


def traceless(at: Coordinates, A: Matrix) -> Matrix:
    """A less its trace's share of the unit matrix."""
    trace = sum(np.diagonal(A), at.ring.zero)
    return A - at.identity() * (trace / at.D)


def eigenfunctions(at: Coordinates) -> dict[str, Any]:
    """u.x, |x|^2 and x^T A x with the trace of A taken off."""
    x = at.values["x"]
    return {
        "linear": at.dot("u", "x"),
        "radial": at.dot("x", "x"),
        "traceless": (x.T @ traceless(at, at.values["A"]) @ x)[0, 0],
    }


# A multiplicity is the trace of a projector: a polynomial of degree 2 in D, so D = 2, 3, 4 do.
_RANKS_UP_TO = 4


def _ntk_eigenvalues(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = initial(D, "u", matrices=("A",))
    functions = eigenfunctions(at)
    eigenvalues = {name: at.interpret(cf.terms[name][0]) for name in functions}
    K = initial_kernel(at)
    for name, g in functions.items():
        image = at.mean(K * g, "x")
        yield f"T[{name}]", image, eigenvalues[name] * at_prime(at, g)
        for other, projector in cf.components.items():
            image = at.mean(at.interpret(projector) * g, "x")
            expected = at_prime(at, g) if other == name else at.ring.zero
            yield f"projector on {other} of {name}", expected, image
    if D <= _RANKS_UP_TO:
        yield from _multiplicities(D, at, eigenvalues, cf)


def _multiplicities(D: int, at: Coordinates, eigenvalues: dict, cf: ClosedForm):
    matrix = operator_matrix(D)
    field = matrix.domain
    sizes = {k: nullity(matrix, constant(v, field)) for k, v in eigenvalues.items()}
    for name, size in sizes.items():
        yield f"multiplicity of {name}", size, at.interpret(cf.terms[name][1])
    yield "all eigenspaces", nullity(matrix, field.zero) + sum(sizes.values()), matrix.shape[0]


def operator_matrix(D: int) -> DomainMatrix:
    """The matrix of T on the monomials of degree at most 2, over the field Q(epsilon, sigma).

    K is a polynomial of degree 2 in x', so that nothing outside their span has an image outside.
    """
    at = initial(D)
    x, x_prime = list(at.values["x"][:, 0]), list(at.values["x_prime"][:, 0])
    pairs = list(combinations_with_replacement(range(D), 2))

    def monomials(v):
        return [at.ring.one, *v, *(v[i] * v[j] for i, j in pairs)]

    K = initial_kernel(at)
    images = [at.mean(K * m, "x") for m in monomials(x)]
    field = QQ.frac_field("epsilon", "sigma")
    rows = [[constant(part(at, image, m), field) for image in images] for m in monomials(x_prime)]
    return DomainMatrix(rows, (len(rows), len(rows)), field)


def part(at: Coordinates, polynomial, monomial):
    """The coefficient, a polynomial in the scalars, of a monomial in the entries of x'."""
    first = at.places["x_prime_0"]
    ((wanted, _),) = monomial.terms()
    end = first + at.D
    return at.ring.from_dict(
        {
            (*e[:first], *[0] * at.D, *e[end:]): c
            for e, c in polynomial.terms()
            if e[first:end] == wanted[first:end]
        }
    )


def constant(polynomial, field):
    """A polynomial in the scalars as an element of the field of rational functions of them."""
    places = [polynomial.ring.symbols.index(symbol) for symbol in field.symbols]
    total = field.zero
    for exponents, coefficient in polynomial.terms():
        powers = (gen ** exponents[i] for gen, i in zip(field.gens, places, strict=True))
        total += prod(powers, start=field.one) * coefficient
    return total


def nullity(matrix: DomainMatrix, eigenvalue) -> int:
    """The dimension of the eigenspace of an eigenvalue in the matrix's field."""
    shifted = matrix - DomainMatrix.eye(matrix.shape[0], matrix.domain) * eigenvalue
    return matrix.shape[0] - shifted.to_sparse().rank()


def _target_decomposition(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = Coordinates(D, vectors=["beta", "x"])
    y, x = target(at), at.values["x"][:, 0]
    square = at.dot("x", "x")
    share = at.mean(y * square, "x") / at.mean(square**2, "x").LC
    linear = [at.mean(y * x_i, "x") / at.mean(x_i**2, "x").LC * x_i for x_i in x]
    components = {"linear": sum(linear, at.ring.zero), "radial": share * square}
    components["traceless"] = y - components["linear"] - components["radial"]
    laplacian = sum((components["traceless"].diff(x_i).diff(x_i) for x_i in x), at.ring.zero)
    yield "Laplacian of the traceless part", laplacian, at.ring.zero
    for name, component in components.items():
        yield f"{name} component", component, at.interpret(cf.components[name])
        yield f"{name} power", at.mean(component**2, "x"), at.interpret(cf.terms[name])
    yield "power", at.mean(y**2, "x"), at.interpret(cf.expr)


def loss_terms(at: Coordinates, wbar: Matrix, M: Matrix) -> dict[str, Any]:
    """The population loss by terms, from the residual y - f at (wbar, M) [eq. 6].

    variance is the squared mean of its even part, misalignment the variance of that part, linear
    the mean square of the odd part.
    """
    alpha, epsilon, x = at.values["alpha"], at.values["epsilon"], at.values["x"]
    linear = alpha * (wbar.T @ x)[0, 0]
    even = target(at) - alpha * epsilon * (x.T @ M @ x)[0, 0] / 2
    variance = at.mean(even, "x") ** 2
    return {
        "variance": variance,
        "misalignment": at.mean(even**2, "x") - variance,
        "linear": at.mean(linear**2, "x"),
        "expr": at.mean((even - linear) ** 2, "x"),
    }


def _test_loss(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    vectors = ["beta", "wbar", "wbar0", "x"]
    at = Coordinates(D, vectors=vectors, matrices=["M", "M0"], scalars=["alpha", "epsilon"])
    shifts = {"wbar0": at.values["wbar0"], "M0": at.values["M0"]}
    if cf.name == "test-loss":
        shifts = {name: value - value for name, value in shifts.items()}
    terms = loss_terms(at, at.values["wbar"] - shifts["wbar0"], at.values["M"] - shifts["M0"])
    claimed = {"expr": cf.expr, **cf.terms}
    for name, term in terms.items():
        yield name, term, at.interpret(claimed[name])
    for symbol in ("wbar", "M"):
        slope = at.derivative(terms["expr"], symbol)
        yield f"gradient in {symbol}", slope, at.interpret(cf.components[f"gradient_{symbol}"])


def _test_loss_minimiser(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    vectors = ["beta", "wbar0", "x"]
    at = Coordinates(D, vectors=vectors, matrices=["M0"], scalars=["alpha", "epsilon"])
    parts = {"expr": cf.expr, **cf.terms, **cf.components}
    claimed = {name: at.interpret(part) for name, part in parts.items()}
    zero = at.ring.zero
    plain = loss_terms(at, claimed["wbar"], claimed["M"])["expr"]
    yield "loss", plain, zero
    yield "M", claimed["M"], claimed["expr"]
    shifted = claimed["wbar_centred"] - at.values["wbar0"], claimed["M_centred"] - at.values["M0"]
    yield "centred loss", loss_terms(at, *shifted)["expr"], zero


# k: half the indices in a term; m: pairs of integrated inputs, and powers of 1/D put in by hand:
# one for the trace taken off, and one for the power of |x|^2 by which the target is divided.
CERTIFICATES = {
    "network-function": Certificate(2, 0, _network_function),
    "ntk": Certificate(3, 0, _ntk),
    "ntk-at-init": Certificate(2, 1, _ntk_at_init),
    "ntk-eigenvalues": Certificate(2, 3, _ntk_eigenvalues),
    "target-decomposition": Certificate(2, 5, _target_decomposition),
    "test-loss": Certificate(2, 2, _test_loss),
    "test-loss-centred": Certificate(2, 2, _test_loss),
    "test-loss-minimiser": Certificate(2, 2, _test_loss_minimiser),
}
