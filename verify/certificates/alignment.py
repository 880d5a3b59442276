"""Certificates of the kernel-task alignment and of the kernel of both layers.

The alignments are compared in a rotated frame: all sides are the same for vectors turned together,
so that the fixed ones may lie as w1 = (a, 0, ...), w2 = (b, c, 0, ...), beta = (p, q, r, 0, ...)
without loss. Every sum over neurons is at most a double one, so that N = 2 shows all there is.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lazyrich.theory import ClosedForm
from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.certificates.model import (
    NEURONS,
    at_prime,
    eigenfunctions,
    target,
    weights,
)
from lazyrich.verify.coordinates import Coordinates, inverse

_FRAME = {"w1": "a", "w2": "bc", "beta": "pqr"}


def _rotated(D: int, *scalars: str) -> Coordinates:
    """x, x' in full, the fixed vectors in the frame of the module's docstring."""
    letters = "".join(_FRAME.values())
    at = Coordinates(D, vectors=["x", "x_prime"], scalars=["epsilon", *scalars, *letters])
    for name, entries in _FRAME.items():
        column = np.full((D, 1), at.ring.zero, dtype=object)
        for i, letter in enumerate(entries[:D]):
            column[i, 0] = at.values[letter]
        at.values[name] = column
    return at


def _kernel(at: Coordinates):
    """The normalised NTK of the neurons w1, w2: (1/N) sum_i phi'(w_i.x) phi'(w_i.x') x.x'."""
    epsilon = at.values["epsilon"]
    slopes = [
        (1 + epsilon * at.dot(w, "x")) * (1 + epsilon * at.dot(w, "x_prime")) for w in NEURONS
    ]
    return at.dot("x", "x_prime") * (slopes[0] + slopes[1]) / 2


def _both(at: Coordinates, polynomial):
    """The mean over independent x and x'."""
    return at.mean(at.mean(polynomial, "x"), "x_prime")


def _moments(at: Coordinates, K, y) -> dict[str, Any]:
    """<y K y'>, <K^2>, <y^2>."""
    return {
        "numerator": _both(at, y * K * at_prime(at, y)),
        "kernel_square": _both(at, K**2),
        "target_square": at.mean(y**2, "x"),
    }


def _centred(at: Coordinates, K):
    """K with mean zero in both arguments."""
    return K - at.mean(K, "x") - at.mean(K, "x_prime") + _both(at, K)


def _alignment(D: int, claimed: Any) -> Iterator[Comparison]:
    at = _rotated(D)
    yield from _compared(at, _moments(at, _kernel(at), target(at)), claimed)


def _centred_alignment(D: int, claimed: Any) -> Iterator[Comparison]:
    at = _rotated(D)
    y = target(at)
    moments = _moments(at, _centred(at, _kernel(at)), y - at.mean(y, "x"))
    yield from _compared(at, moments, claimed)


def _compared(at: Coordinates, moments, claimed: Any, **known) -> Iterator[Comparison]:
    terms = getattr(claimed, "terms", claimed)
    for name, term in terms.items():
        yield name, moments[name], at.interpret(term, **weights(at), **known)


def _gram(D: int, claimed: Any) -> Iterator[Comparison]:
    """P = 1 and P = 2 show both coefficients of a mean over P samples, which is a + b/P."""
    at = _rotated(D)
    K, y = _kernel(at), target(at)
    x, x_prime = at.values["x"][:, 0], at.values["x_prime"][:, 0]
    on_diagonal = K.compose(list(zip(x_prime, x, strict=True)))
    pairs = _moments(at, K, y)
    diagonal = {
        "numerator": at.mean(y**2 * on_diagonal, "x"),
        "kernel_square": at.mean(on_diagonal**2, "x"),
        "target_square": pairs["target_square"],
    }
    yield from _compared(at, diagonal, claimed, P=at.number(1))
    half = {name: (pairs[name] + diagonal[name]) / 2 for name in pairs}
    yield from _compared(at, half, claimed, P=at.number(2))


def _both_layers(D: int, *more: str, matrices: tuple[str, ...] = ()) -> Coordinates:
    scalars = ["alpha", "epsilon", "sigma_w", "sigma_v"]
    vectors = ["w", "x", "x_prime", *more]
    return Coordinates(
        D, vectors=vectors, matrices=list(matrices), scalars=scalars, columns={"v": 1}
    )


def _share(at: Coordinates, x: str):
    """alpha v phi(w.x), the function of a network of one neuron."""
    h = at.dot("w", x)
    return at.values["alpha"] * at.values["v"][0, 0] * (h + at.values["epsilon"] * h**2 / 2)


def _kernel_of_both(at: Coordinates, *layers: str):
    """The mean over the initialisation of the normalised NTK of these layers."""
    f, f_prime = _share(at, "x"), _share(at, "x_prime")
    products = (at.derivative(f, n).T @ at.derivative(f_prime, n) for n in layers)
    total = sum((p[0, 0] for p in products), at.ring.zero) * inverse(at.values["alpha"]) ** 2
    for name, scale in (("v", "sigma_v"), ("w", "sigma_w")):
        total = at.mean(total, name, at.values[scale] ** 2)
    return total


def _readout_ntk(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = _both_layers(D)
    one = at.number(1)
    parts = {
        "ntk_normalised": _kernel_of_both(at, "v", "w"),
        "from_readouts": _kernel_of_both(at, "v"),
        "from_weights": _kernel_of_both(at, "w"),
    }
    parts["ntk"] = parts["ntk_normalised"] * at.values["alpha"] ** 2
    yield "expr", parts["ntk_normalised"], at.interpret(cf.expr)
    for name, part in parts.items():
        yield name, part, at.interpret(cf.terms[name], N=one)


def _readout_eigenvalues(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = _both_layers(D, "u", matrices=("A",))
    K = _kernel_of_both(at, "v", "w")
    for name, g in eigenfunctions(at).items():
        value = at.interpret(cf.terms[name][0])
        yield f"T[{name}]", at.mean(K * g, "x"), value * at_prime(at, g)
    sizes = {"linear": D, "radial": 1, "traceless": D * (D + 1) // 2 - 1}
    for name, size in sizes.items():
        yield f"multiplicity of {name}", at.number(size), at.interpret(cf.terms[name][1])


def _readout_function(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = _both_layers(D)
    v, w = at.values["v"][0, 0], at.values["w"]
    yield "f", _share(at, "x"), at.interpret(cf.expr, wbar=w * v, M=(w @ w.T) * v)


def _readout_flow(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    """d(v w), d(v w w^T) for N = 1, P = 1: the velocity -(1/alpha^2) d(residual^2)/d theta."""
    at = Coordinates(D, vectors=["w", "x"], scalars=["alpha", "epsilon", "rho"], columns={"v": 1})
    v, w = at.values["v"][0, 0], at.values["w"]
    speed = -2 * at.values["rho"] * inverse(at.values["alpha"]) ** 2
    dv = at.derivative(_share(at, "x"), "v")[0, 0] * speed
    dw = at.derivative(_share(at, "x"), "w") * speed
    known = {"P": at.number(1), "N": at.number(1), "v": v}
    yield "wbar", w * dv + dw * v, at.interpret(cf.terms["wbar"], **known)
    second = (w @ w.T) * dv + (dw @ w.T + w @ dw.T) * v
    yield "M", second, at.interpret(cf.terms["M"], **known)


# k: half the indices in a term; m: pairs of integrated inputs, and powers of 1/D put in by hand.
CERTIFICATES = {
    "kernel-alignment": Certificate(3, 4, _alignment),
    "centred-kernel-alignment": Certificate(3, 4, _centred_alignment),
    "gram-alignment": Certificate(3, 4, _gram),
    "readout-network-function": Certificate(2, 0, _readout_function),
    "readout-moment-flow": Certificate(4, 0, _readout_flow),
    "readout-ntk-at-init": Certificate(2, 2, _readout_ntk),
    "readout-ntk-eigenvalues": Certificate(2, 4, _readout_eigenvalues),
}
