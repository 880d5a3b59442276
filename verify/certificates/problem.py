"""Certificates for any described problem with a polynomial activation, as for the paper's model.

By a rotation x = (a, 0, ...) and x' = (b, c, 0, ...): from D = 2 on nothing of a function of two
vectors is lost. Harmonics are taken in the first two coordinates.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sympy as sp

from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.coordinates import Coordinates

if TYPE_CHECKING:
    from lazyrich.theory import Problem


def kernel(problem: "Problem") -> Certificate:
    """For ``ntk-at-init``: the mean over w (and v) of the products of derivatives."""
    scalars = _scalars(problem)

    def compare(D: int, claimed: Any) -> Iterator[Comparison]:
        expr = claimed["kernel"] if isinstance(claimed, Mapping) else claimed.expr
        at = Coordinates(D, vectors=["w", "x", "x_prime"], scalars=scalars)
        at.values["x"][1:] = at.ring.zero
        at.values["x_prime"][2:] = at.ring.zero
        yield "kernel", _mean_kernel(at, problem), at.interpret(expr)

    # No closed loops: every pair of w joins two of the vectors x, x'.
    return Certificate(contractions=2, pairs=0, compare=compare)


def spectrum(problem: "Problem") -> Certificate:
    """For the terms of ``ntk-eigenvalues``: T on |x|^(2j) times a real harmonic."""
    scalars = _scalars(problem)
    degree = problem.activation.degree or 0

    def compare(D: int, terms: Mapping[str, Any]) -> Iterator[Comparison]:
        if D == 1:
            return  # harmonics of degree l > 1 begin at D = 2
        at = Coordinates(D, vectors=["w", "x", "x_prime"], scalars=scalars)
        at.values["x_prime"][2:] = at.ring.zero
        whole = _mean_kernel(at, problem)
        square, square_prime = at.dot("x", "x"), at.dot("x_prime", "x_prime")
        for name, (value, _) in terms.items():
            l = int(name.removeprefix("harmonics_"))
            block = at.interpret(rows(value))
            radial = _radial_functions(at, whole, l, degree)
            assert len(radial) == len(block), f"{name}: the kernel has the functions {radial}"
            for j, column in zip(radial, zip(*block, strict=True), strict=True):
                function = whole * square**j * harmonic(at, l, "x")
                claimed = sum(
                    (c * square_prime**i for c, i in zip(column, radial, strict=True)), at.ring.zero
                )
                yield (
                    f"{name}, |x|^{2 * j}",
                    at.mean(function, "x"),
                    claimed * harmonic(at, l, "x_prime"),
                )
        yield "trace", _trace(at, problem), _sum(at, terms)

    return Certificate(contractions=2, pairs=degree, compare=compare)


def _scalars(problem: "Problem") -> list[str]:
    own = ["sigma"] if problem.readouts == "fixed" else ["sigma_w", "sigma_v"]
    return [*own, *problem.activation.symbols]


def _activation(at: Coordinates, problem: "Problem", argument: Any) -> Any:
    terms = sp.Poly(problem.activation.expr, problem.activation.h).terms()
    return sum((at.interpret(c) * argument**n for (n,), c in terms), at.ring.zero)


def _mean_kernel(at: Coordinates, problem: "Problem", names: tuple = ("x", "x_prime")) -> Any:
    """One neuron's kernel by explicit derivatives, averaged coordinate by coordinate."""
    values = [_activation(at, problem, at.dot("w", x)) for x in names]
    slopes = [at.derivative(value, "w") for value in values]
    product = (slopes[0].T @ slopes[1])[0, 0]
    if problem.readouts == "trained":
        product = at.values["sigma_v"] ** 2 * product + values[0] * values[1]
    deviation = at.values["sigma" if problem.readouts == "fixed" else "sigma_w"]
    return at.mean(product, "w", deviation**2)


def _radial_functions(at: Coordinates, whole: Any, l: int, degree: int) -> list[int]:
    """The j of the |x'|^(2j) Y in the images of all |x|^(2k) Y: x' along the first axis.

    There Y is a power of x'_1, and |x'|^(2j) Y the power 2j + l.
    """
    first = at.places["x_prime_0"]
    second = at.places.get("x_prime_1")
    found = set()
    for k in range((degree - l) // 2 + 1):
        image: Any = at.mean(whole * at.dot("x", "x") ** k * harmonic(at, l, "x"), "x")
        for exponents, _ in image.terms():
            if second is None or exponents[second] == 0:
                found.add((exponents[first] - l) // 2)
    return sorted(found)


def harmonic(at: Coordinates, l: int, name: str) -> Any:
    """Re z^l + 2 Im z^l, z = x_1 + i x_2: a harmonic polynomial of degree l."""
    first, second = at.values[name][0, 0], at.values[name][1, 0]
    real, imaginary = at.number(1), at.number(0)
    for _ in range(l):
        real, imaginary = real * first - imaginary * second, real * second + imaginary * first
    return real + 2 * imaginary


def _trace(at: Coordinates, problem: "Problem") -> Any:
    return at.mean(_mean_kernel(at, problem, ("x", "x")), "x")


def _sum(at: Coordinates, terms: Mapping[str, Any]) -> Any:
    """Multiplicities times traces of the blocks."""
    total = at.ring.zero
    for value, count in terms.values():
        diagonal = (row[i] for i, row in enumerate(at.interpret(rows(value))))
        total += at.interpret(count) * sum(diagonal, at.ring.zero)
    return total


def rows(value: Any) -> Any:
    """A block; an eigenvalue as a block of size 1."""
    return value if isinstance(value, sp.Tuple) else ((value,),)
