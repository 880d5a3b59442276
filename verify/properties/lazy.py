"""Laws of kernel regression without a ridge, the end of completely lazy training.

The kernel is that at initialisation, x.x' + epsilon^2 (x.x')^2. Each law takes a formula on demand,
so that a wrong one can be planted, and raises ``AssertionError`` where it fails.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import reject
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from lazyrich.theory import closed_form
from lazyrich.verify.strategies import Array
from lazyrich.verify.tolerances import rounding

Point = list[int]
Size = Callable[[int], Any]
Bounds = Callable[[int, int], tuple[float, float]]


def kernel(a: Point, b: Point, epsilon: Fraction) -> Fraction:
    """The kernel in rational arithmetic.

    >>> kernel([1, 2], [3, 0], Fraction(1, 2))
    Fraction(21, 4)
    """
    product = sum(p * q for p, q in zip(a, b, strict=True))
    return product + epsilon**2 * product**2


def predict(points: list[Point], labels: list[Fraction], x: Point, epsilon: Fraction) -> Fraction:
    """Ridgeless kernel regression at x, in rational arithmetic.

    Rejects the example (``hypothesis.reject``) where the Gram matrix is singular.
    """
    size = len(points)
    gram = [[_exact(kernel(a, b, epsilon)) for b in points] for a in points]
    matrix = DomainMatrix(gram, (size, size), QQ)
    if matrix.rank() < size:
        reject()
    column = DomainMatrix([[_exact(label)] for label in labels], (size, 1), QQ)
    weights = [Fraction(str(w)) for (w,) in matrix.lu_solve(column).to_list()]
    return sum(
        (kernel(x, a, epsilon) * w for a, w in zip(points, weights, strict=True)), Fraction(0)
    )


def _exact(number: Fraction) -> Any:
    return QQ(number.numerator, number.denominator)


def random_points(count: int, D: int, seed: int) -> list[Point]:
    """Integer points (the law's scale is no matter), in a range that makes degenerate sets rare.

    Up to 30, a random search met a target that lay in the span of too few samples.
    """
    return np.random.default_rng(seed).integers(-999, 1000, size=(count, D)).tolist()


def lazy_training_is_exact_from(
    D: int, epsilon: Fraction, seed: int, size: Size | None = None
) -> None:
    """With ``size`` samples the target is learned at new points, with one less not at all of them.

    Three new points, as one may lie where even too few samples predict it. All in rational
    arithmetic; ``size`` is a function of D, by default the derived one.
    """
    count = int((size or (lambda D: closed_form("lazy-sample-size").evaluate(D=D)))(D))
    beta, *drawn = random_points(count + 4, D, seed)
    new, points = drawn[:3], drawn[3:]
    if not any(beta) or any(point in points for point in new):
        reject()

    def target(x: Point) -> Fraction:
        return Fraction(sum(p * q for p, q in zip(x, beta, strict=True)) ** 2, 2)

    for samples in (points, points[:-1]):
        labels = [target(x) for x in samples]
        is_exact = all(predict(samples, labels, x, epsilon) == target(x) for x in new)
        assert is_exact == (samples is points), (
            f"D = {D}, epsilon = {epsilon}: {len(samples)} samples predict new points "
            f"{'exactly' if is_exact else 'with an error'}"
        )


def learned_shares(X: Array, epsilon: float) -> tuple[dict[str, float], float]:
    """({eigenspace: its learned functions, as a number of them}, condition number of the Gram).

    The number is sum_k lambda_k phi_k(X)^T K^-1 phi_k(X) over the eigenspace's functions phi_k.
    Shapes: X (P, D), P at most D + D(D + 1)/2.
    """
    product, squares = X @ X.T, (X**2).sum(1)
    radial = epsilon**2 * np.outer(squares, squares) / X.shape[1]
    quadratic = epsilon**2 * product**2
    gram = product + quadratic
    parts = {"linear": product, "radial": radial, "traceless": quadratic - radial}
    shares = {name: float(np.trace(np.linalg.solve(gram, part))) for name, part in parts.items()}
    return shares, float(np.linalg.cond(gram))


def learned_shares_are_bounded(
    D: int,
    P: int,
    epsilon: float,
    seed: int,
    bounds: Callable[..., tuple[float, float]] | None = None,
) -> None:
    """Shares are between 0 and 1 and add up to P; the traceless ones lie between the bounds.

    ``bounds`` is a function of D and P; inputs are N(0, I/D), D at least 2.
    """
    X = np.random.default_rng(seed).normal(size=(P, D)) / np.sqrt(D)
    shares, condition = learned_shares(X, epsilon)
    if condition > 1e9:
        reject()
    # A solution is good to n^2 roundings times the condition number, a trace adds P of them.
    allowed = rounding(10 * P**2) * condition * P
    sizes = {"linear": D, "radial": 1, "traceless": (D - 1) * (D + 2) / 2}
    assert abs(sum(shares.values()) - P) <= allowed, f"shares {shares} don't add up to {P}"
    for name, share in shares.items():
        assert -allowed <= share <= sizes[name] + allowed, f"{name}: {share} of {sizes[name]}"
    least, most = (bounds or derived_bounds)(D, P)
    share = shares["traceless"] / sizes["traceless"]
    assert least - allowed <= share <= most + allowed, (
        f"D = {D}, P = {P}, epsilon = {epsilon}: share {share:.4f} outside {least:.4f}, {most:.4f}"
    )


def derived_bounds(D: int, P: int) -> tuple[float, float]:
    """Between what the learned share of traceless functions lies, by ``lazy-sample-size``."""
    terms = closed_form("lazy-sample-size").terms
    values = {"D": D, "P": P}
    least, most = (
        terms[name].subs({s: values[s.name] for s in terms[name].free_symbols})
        for name in ("traceless_at_least", "traceless_at_most")
    )
    return float(least), float(most)
