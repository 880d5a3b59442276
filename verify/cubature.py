"""Finite weighted sets of points whose averages equal expectations over x ~ N(0, I/D) exactly.

The losses are polynomials of degree 4 in the input, so the fifth-degree rule is a finite test set
on which the weighted mean square error *is* the population loss, at any D. Higher degrees take the
tensor rule, whose size is exponential in D. For inputs N(0, Sigma) multiply the points by a root
of D Sigma.
"""

import numpy as np

from lazyrich.support.arguments import positive_integer

Rule = tuple[np.ndarray, np.ndarray]  # points (n, D), weights (n,) adding up to 1


def fifth_degree(D: int) -> Rule:
    """Points (n, D) and weights (n,), exact for polynomials of degree at most 5; n = 2 D^2 + 1.

    The origin, +-r e_i and +-s e_i +- s e_j with r^2 = (D + 2)/D and s^2 = r^2/2 (Stroud 1971,
    E_n^{r^2} 5-2; McNamee and Stenger 1967). In one dimension it is Gauss-Hermite with three
    nodes. Weights of +-r e_i are negative for D > 4; the sum of |weights| stays below 3.

    >>> points, weights = fifth_degree(3)
    >>> points.shape, round(float(weights @ (points[:, 0] * points[:, 1]) ** 2), 15)  # 1/D^2
    ((19, 3), 0.111111111111111)
    """
    D = positive_integer("D", D)
    r = np.sqrt((D + 2) / D)
    s = r / np.sqrt(2)
    unit = np.eye(D)
    axes = [sign * r * unit[i] for i in range(D) for sign in (1, -1)]
    diagonals = [
        s * (a * unit[i] + b * unit[j])
        for i in range(D)
        for j in range(i + 1, D)
        for a in (1, -1)
        for b in (1, -1)
    ]
    points = np.array([np.zeros(D), *axes, *diagonals])
    of_axis, of_diagonal = (4 - D) / (2 * (D + 2) ** 2), 1 / (D + 2) ** 2
    weights = np.repeat([2 / (D + 2), of_axis, of_diagonal], [1, len(axes), len(diagonals)])
    return points, weights


def gauss_hermite(D: int, degree: int) -> Rule:
    """Points (n, D) and positive weights (n,), exact for polynomials of degree at most ``degree``.

    The tensor product of Gauss-Hermite rules with m = floor(degree/2) + 1 nodes: n = m^D. Raises
    ``ValueError`` if that is more than a million points.

    >>> points, weights = gauss_hermite(2, 8)
    >>> len(points), round(float(weights @ points[:, 0] ** 8), 12)                 # 7!! / 2^4
    (25, 6.5625)
    """
    D, degree = positive_integer("D", D), positive_integer("degree", degree)
    nodes, shares = np.polynomial.hermite_e.hermegauss(degree // 2 + 1)
    if len(nodes) ** D > 10**6:
        raise ValueError(f"D = {D}: {len(nodes)}^{D} points are too many, at most a million")
    grids = np.meshgrid(*[nodes / np.sqrt(D)] * D, indexing="ij")
    parts = np.meshgrid(*[shares / shares.sum()] * D, indexing="ij")
    points = np.stack([grid.ravel() for grid in grids], axis=1)
    return points, np.prod([part.ravel() for part in parts], axis=0)


def doubling_panels(
    low: float, high: float, count: int, smallest: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss-Legendre on an interval: ``count`` nodes, or panels.

    Where ``smallest`` is below the interval's length, 16 nodes on each of the panels, which double
    in length from either end: for functions that vary over ``smallest`` and more, near an end.

    >>> points, weights = doubling_panels(0, 1, 48, 1e-6)
    >>> bool(abs(weights @ (1e-6 / (1e-12 + points**2)) - np.arctan(1e6)) < 1e-9)
    True
    >>> len(doubling_panels(0, 1, 48)[0])
    48
    """
    half, cuts = (high - low) / 2, np.array([0.0, 2.0])
    if smallest < high - low:
        rising = np.append(0.0, 2.0 ** np.arange(-np.ceil(np.log2(half / smallest)), 1))
        cuts, count = np.append(rising, 2 - rising[-2::-1]), 16
    nodes, masses = np.polynomial.legendre.leggauss(count)
    lengths = np.diff(cuts)[:, None] / 2 * half
    points = low + cuts[:-1, None] * half + lengths * (nodes + 1)
    return points.ravel(), (lengths * masses).ravel()
