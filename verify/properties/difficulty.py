"""The laws of lazy training's movement, and of the difficulty of a task, as asserts."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.linalg import expm
from sympy import QQ, Rational, lambdify
from sympy.polys.matrices import DomainMatrix
from torch import Tensor

from lazyrich.simulate.neurons import network as forward
from lazyrich.theory import closed_form
from lazyrich.verify.properties import absolute, autograd_ntk, jacobian, tensor
from lazyrich.verify.strategies import Array, Network
from lazyrich.verify.tolerances import assert_close

Formula = Callable[..., Any]


@cache
def _mode() -> Formula:
    mode = closed_form("lazy-movement").components["mode"]
    function = lambdify(symbols := sorted(mode.free_symbols, key=str), mode, "math")
    names = [str(symbol) for symbol in symbols]
    return lambda **values: function(*(values[name] for name in names))


def movement_by_integration(J: Array, r: Array, tau: float, scale: float) -> float:
    """|w - w0|^2 at time tau of gradient flow on the linearised network, by a matrix exponential.

    d delta/d tau = (2 scale/P) J^T (r - J delta) with scale = N/alpha^2, integrated as one linear
    system: no eigenvectors.
    """
    P, size = J.shape
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = -2 * scale / P * J.T @ J
    system[:size, size] = 2 * scale / P * J.T @ r
    return float(np.sum(expm(tau * system)[:size, size] ** 2))


def movement_is_the_derived(
    network: Network, X: Array, r: Array, tau: float, mode: Formula | None = None
) -> float:
    """Sec. 10: |w - w0|^2 of lazy training at any time, as a sum over the modes of K.

    The tolerance is that of the two solvers: eigenvalues and the exponential are backward stable to
    n^2 roundings of the norm of the system, which the time multiplies. ``mode`` takes lambda_k,
    r_k, tau, N, P, alpha.
    """
    P, scale = len(X), network.N / network.alpha**2
    K = autograd_ntk(network, X).numpy() * scale
    values, vectors = np.linalg.eigh(K)
    floor = P * np.finfo(float).eps * max(values.max(), 0.0)
    total = 0.0
    for lambda_k, r_k in zip(values, vectors.T @ r, strict=True):
        if lambda_k > floor:
            known = {"lambda_k": lambda_k, "r_k": r_k, "tau": tau, "N": network.N, "P": P}
            total += float((mode or _mode())(**known, alpha=network.alpha))
    integrated = movement_by_integration(jacobian(network, X).numpy(), r, tau, scale)
    # |delta|^2 <= scale |r|^2 s z for s = 2 tau/P, z = s |K|; 1 - exp(-s lambda_k) loses 1/z of it.
    s = 2 * tau / P
    bound = scale * s * float(r @ r) * (1 + s * np.linalg.norm(K)) ** 3
    return assert_close(
        total,
        integrated,
        magnitude=bound,
        operations=8 * (network.W.size + P + 2) ** 2,
        label="|w - w0|^2",
    )


def linearisation_leaves_out_the_derived(
    network: Network, change: Array, X: Array, error: Formula | None = None
) -> float:
    """eq. (1): f(w0 + change) - [f(w0) + grad f(w0).change] is the derived remainder, exactly.

    ``error`` takes x, C, alpha, epsilon, with C = (1/N) sum of the changes' outer squares.
    """

    def outputs(W: Tensor, epsilon: float, alpha: float, X: Array) -> Tensor:
        return forward(tensor(X), W, alpha=alpha, epsilon=epsilon)

    def remainder(W: Array, change: Array, epsilon: float, alpha: float, X: Array):
        def f(weights: Tensor) -> Tensor:
            return outputs(weights, epsilon, alpha, X)

        start_and_slope = torch.func.jvp(f, (tensor(W),), (tensor(change),))
        return f(tensor(W + change)), start_and_slope[0], start_and_slope[1]

    moved, start, slope = remainder(network.W, change, network.epsilon, network.alpha, X)
    M_dw = tensor(change.T @ change / network.N)
    formula = error or closed_form("linearisation-error").function("torch")
    derived = formula(x=tensor(X), M_dw=M_dw, alpha=network.alpha, epsilon=network.epsilon)
    big = absolute(network)
    bounds = remainder(big.W, np.abs(change), big.epsilon, big.alpha, np.abs(X))
    return assert_close(
        derived,
        moved - start - slope,
        magnitude=sum(bounds),
        operations=4 * (network.N * network.D + network.D + 20),
        label="remainder",
    )


def exact_difficulty(X: list[list[int]], beta: list[int], epsilon: Fraction) -> Fraction:
    """y^T K^+ y at initialisation (sigma = 1), rational; the inputs are the rows of X.

    The labels lie in the range of K, so that any solution a of K a = y gives y^T a = y^T K^+ y.
    """
    field = QQ
    inner = [[sum(a * b for a, b in zip(x, z, strict=True)) for z in X] for x in X]
    curvature = field(epsilon.numerator, epsilon.denominator) ** 2
    K = [[field(h) + curvature * field(h) ** 2 for h in row] for row in inner]
    y = [field(sum(a * b for a, b in zip(x, beta, strict=True)) ** 2, 2) for x in X]
    rows = [[*row, label] for row, label in zip(K, y, strict=True)]
    reduced, pivots = DomainMatrix(rows, (len(X), len(X) + 1), field).rref()
    if len(X) in pivots:
        raise AssertionError("the labels don't lie in the range of K")
    right = [row[-1] for row in reduced.to_list()]
    total = sum((y[pivot] * right[i] for i, pivot in enumerate(pivots)), field.zero)
    return Fraction(int(total.numerator), int(total.denominator))


def difficulty_saturates(
    D: int, beta: list[int], epsilon: Fraction, seed: int, limit: Callable[..., Any] | None = None
) -> None:
    """Sec. 10: y^T K^+ y grows with each input, and from P = D + D(D + 1)/2 on it is constant.

    The constant is the derived |beta|^4/(4 epsilon^2 sigma^2). Exact, at random integer inputs of
    up to 6 digits, which are in general position but for a chance below 1e-5, and sigma = 1.
    ``limit`` takes beta, epsilon, sigma, D, alpha.
    """
    rank = D + D * (D + 1) // 2
    X = np.random.default_rng(seed).integers(-(10**6), 10**6, (rank + 1, D)).tolist()
    values = [exact_difficulty(X[:P], beta, epsilon) for P in range(1, rank + 2)]
    assert all(a <= b for a, b in pairwise(values)), f"y^T K^+ y falls: {values}"
    formula = limit or closed_form("target-difficulty").evaluate
    saturated = formula(beta=beta, epsilon=_rational(epsilon), sigma=1, D=D, alpha=1)
    for P in (rank, rank + 1):
        assert _rational(values[P - 1]) == saturated, (
            f"y^T K^+ y = {values[P - 1]} at P = {P}, D = {D}: not {saturated}"
        )


def _rational(value: Fraction) -> Any:
    return Rational(value.numerator, value.denominator)
