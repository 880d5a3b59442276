"""Certificates of the network at finite width: means over the weights of N neurons, one by one.

The n-fold product of averages over N neurons has a mean that, times N^n, is a polynomial in N of
degree at most n: agreement at n + 1 widths is a proof for every N. Here n is the degree in
(wbar, M) of what is averaged.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lazyrich.theory import ClosedForm
from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.certificates.model import loss_terms, normalisation
from lazyrich.verify.coordinates import Coordinates, Matrix


def neurons(N: int) -> list[str]:
    """The names of the weight vectors of N neurons."""
    return [f"w{i}" for i in range(1, N + 1)]


def moments(at: Coordinates, N: int) -> tuple[Matrix, Matrix]:
    """(wbar, M) of the neurons, from their entries [eq. 4]."""
    columns = [at.values[w] for w in neurons(N)]
    squares = [w @ w.T for w in columns]
    total, square = (sum(parts[1:], parts[0]) for parts in (columns, squares))
    return np.asarray(total / N), np.asarray(square / N)


def initial_mean(at: Coordinates, N: int, polynomial):
    """The mean over the weights of N neurons, each N(0, sigma^2 I)."""
    for w in neurons(N):
        polynomial = at.mean(polynomial, w, at.values["sigma"] ** 2)
    return polynomial


def initial_variance(at: Coordinates, N: int, polynomial):
    """The variance over the weights of N neurons."""
    return initial_mean(at, N, polynomial**2) - initial_mean(at, N, polynomial) ** 2


def _moments_at_init(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    for N in (1, 2, 3):
        at = Coordinates(D, vectors=[*neurons(N), "u"], matrices=["A"], scalars=["sigma"])
        wbar, M = moments(at, N)
        linear = (at.values["u"].T @ wbar)[0, 0]
        quadratic = sum(np.diagonal(at.values["A"] @ M), at.ring.zero)
        off = M - at.identity() * at.values["sigma"] ** 2
        square = sum((entry**2 for entry in off.flat), at.ring.zero)
        known = {"N": at.number(N)}
        for name, functional in (("wbar", linear), ("M", quadratic)):
            mean, variance = (at.interpret(part, **known) for part in cf.terms[name])
            yield f"mean of {name}, N = {N}", initial_mean(at, N, functional), mean
            yield f"variance of {name}, N = {N}", initial_variance(at, N, functional), variance
        distance = at.interpret(cf.terms["distance"], **known)
        relative = at.interpret(cf.terms["relative_distance"], **known)
        yield f"distance, N = {N}", initial_mean(at, N, square), distance
        limit = at.values["sigma"] ** 4 * D
        yield f"relative distance, N = {N}", distance, relative * limit
        trace = sum(np.diagonal(M), at.ring.zero)
        spread = at.interpret(cf.terms["trace"], **known) * initial_mean(at, N, trace) ** 2
        yield f"trace, N = {N}", initial_variance(at, N, trace), spread


def _loss_at_init(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    for N in (1, 2, 3):
        scalars = ["alpha", "epsilon", "sigma"]
        at = Coordinates(D, vectors=[*neurons(N), "beta", "x"], scalars=scalars)
        claimed: Mapping[str, Any] = {"expr": cf.expr, **cf.terms}
        for name, term in loss_terms(at, *moments(at, N)).items():
            formula = at.interpret(claimed[name], N=at.number(N))
            yield f"{name}, N = {N}", initial_mean(at, N, term), formula


def _ntk_at_finite_width(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    """Without loss of generality x = (a, 0, ...) and x' = (b, c, 0, ...), by a rotation."""
    for N in (1, 2, 3):
        scalars = ["alpha", "epsilon", "sigma"]
        at = Coordinates(D, vectors=[*neurons(N), "x", "x_prime"], scalars=scalars)
        at.values["x"][1:] = at.ring.zero
        at.values["x_prime"][2:] = at.ring.zero
        kernel = at.ring.zero
        for w in neurons(N):
            slopes = [_slope(at, w, x, N) for x in ("x", "x_prime")]
            kernel += (slopes[0].T @ slopes[1])[0, 0]
        kernel = kernel * normalisation(at) * N / 2  # which is for two neurons
        known = {"N": at.number(N)}
        mean = at.interpret(cf.terms["mean"], **known)
        yield f"mean, N = {N}", initial_mean(at, N, kernel), mean
        variance = at.interpret(cf.terms["variance"], **known)
        yield f"variance, N = {N}", initial_variance(at, N, kernel), variance


def _slope(at: Coordinates, w: str, x: str, N: int) -> Matrix:
    h = at.dot(w, x)
    share = at.values["alpha"] * (h + at.values["epsilon"] * h**2 / 2) / N
    return at.derivative(share, w)


# Two pairs of weights, and for the loss two of inputs besides.
CERTIFICATES = {
    "moments-at-init": Certificate(2, 2, _moments_at_init),
    "loss-at-init": Certificate(2, 4, _loss_at_init),
    "ntk-at-finite-width": Certificate(4, 2, _ntk_at_finite_width),
}
