"""Certificates of general quadratic problems: inputs N(0, Sigma), any quadratic target, noise.

By a rotation Sigma is diagonal, so that x_i = r_i z_i with z ~ N(0, I). Pairs of inputs give Sigma,
never 1/D, and closed loops give traces, never D: brute force knows no D but through them.
"""

from collections.abc import Iterator

import numpy as np

from lazyrich.theory import ClosedForm
from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.coordinates import Coordinates, Matrix


def _coordinates(
    D: int, matrices: list[str], vectors: list[str], scalars: list[str]
) -> Coordinates:
    """With r (D,), Sigma = diag(r^2) and x = r z."""
    at = Coordinates(D, vectors=["z", "r", *vectors], matrices=matrices, scalars=scalars)
    r = at.values["r"]
    at.values["Sigma"] = at.identity() * r * r
    at.values["x"] = at.values["z"] * r
    return at


def _mean(at: Coordinates, polynomial):
    return at.mean(polynomial, "z", at.number(1))


def _network(at: Coordinates):
    linear = at.dot("wbar", "x")
    return at.values["alpha"] * (linear + at.values["epsilon"] * at.form("x", "M", "x") / 2)


def _target(at: Coordinates):
    return at.values["c_0"] + at.dot("c_1", "x") + at.form("x", "B", "x") / 2


def _test_loss(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    """The mean square of the error, with noise +-sigma_noise at equal chances; and by terms."""
    scalars = ["alpha", "epsilon", "c_0", "sigma_noise"]
    at = _coordinates(D, ["B", "M"], ["c_1", "wbar"], scalars)
    error, noise = _target(at) - _network(at), at.values["sigma_noise"]
    loss = (_mean(at, (error + noise) ** 2) + _mean(at, (error - noise) ** 2)) / 2
    yield "loss", loss, at.interpret(cf.expr)
    mirrored = {v: -at.values[v] for v in ("c_1", "wbar")}
    even = (error + _with(at, mirrored)) / 2
    mean = _mean(at, even)
    yield "variance", mean**2, at.interpret(cf.terms["variance"])
    yield "misalignment", _mean(at, even**2) - mean**2, at.interpret(cf.terms["misalignment"])
    yield "linear", _mean(at, (error - even) ** 2), at.interpret(cf.terms["linear"])
    yield "noise", noise**2, at.interpret(cf.terms["noise"])
    for name in ("wbar", "M"):
        slope = at.interpret(cf.components[f"gradient_{name}"])
        for i, j in np.ndindex(slope.shape):
            yield f"gradient in {name}", at.derivative(loss, name)[i, j], slope[i, j]


def _with(at: Coordinates, values: dict[str, Matrix]):
    """The error with other linear parts."""
    kept = {name: at.values[name] for name in values}
    at.values |= values
    error = _target(at) - _network(at)
    at.values |= kept
    return error


def _ntk_operator(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = _coordinates(D, ["A"], ["u", "x_prime"], ["epsilon", "sigma"])
    product = at.dot("x", "x_prime")
    kernel = product + (at.values["epsilon"] * at.values["sigma"] * product) ** 2
    functions = {
        "constant": at.number(1),
        "linear": at.dot("u", "x"),
        "quadratic": at.form("x", "A", "x"),
    }
    for name, function in functions.items():
        yield name, _mean(at, kernel * function), at.interpret(cf.terms[name])


def _ntk_spectrum(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    """T x_i, T x_i x_j and T x_i^2, against the eigenvalues and the matrix; s_i = r_i^2."""
    at = _coordinates(D, [], ["x_prime"], ["epsilon", "sigma"])
    x, x_prime = at.values["x"][:, 0], at.values["x_prime"][:, 0]
    product = at.dot("x", "x_prime")
    kernel = product + (at.values["epsilon"] * at.values["sigma"] * product) ** 2
    linear, cross, diagonal = (
        at.interpret(cf.terms[name], s=at.values["r"] ** 2)
        for name in ("linear", "cross", "diagonal")
    )
    for i in range(D):
        yield f"x_{i}", _mean(at, kernel * x[i]), linear[i, 0] * x_prime[i]
        mixed = sum((diagonal[k, i] * x_prime[k] ** 2 for k in range(D)), at.ring.zero)
        yield f"x_{i}^2", _mean(at, kernel * x[i] ** 2), mixed
        for j in range(i):
            image = _mean(at, kernel * x[i] * x[j])
            yield f"x_{i} x_{j}", image, cross[i, j] * x_prime[i] * x_prime[j]


# Contractions: two Sigma and two of B, M. The spectrum is about single coordinates: two at a time.
CERTIFICATES = {
    "general-test-loss": Certificate(4, 0, _test_loss),
    "general-ntk-operator": Certificate(4, 0, _ntk_operator),
    "general-ntk-spectrum": Certificate(3, 0, _ntk_spectrum),
}
