"""The laws of kernel-task alignment as asserts, on autograd's kernel and exact cubatures.

As in ``properties``: each law takes a random input (and, on demand, a formula to be tested), raises
``AssertionError`` where it fails, and returns the share of its tolerance that it used.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from sympy import ZZ
from sympy.polys.matrices import DomainMatrix

from lazyrich.simulate.metrics import alignment
from lazyrich.theory import closed_form
from lazyrich.verify.cubature import fifth_degree, gauss_hermite
from lazyrich.verify.properties import absolute, autograd_ntk, network_at_init, tensor
from lazyrich.verify.strategies import Array, Network
from lazyrich.verify.tolerances import assert_close

Terms = Mapping[str, Callable[..., Any]]


@cache
def functions(name: str) -> Terms:
    """The torch functions of the terms of a closed form."""
    return closed_form(name).functions("torch")


def kernel_on(network: Network, X: Array) -> tuple[Array, Array]:
    """(K, magnitude): the normalised NTK (n, n) of the rows of X, by autograd."""
    scale = network.N / network.alpha**2
    K = autograd_ntk(network, X).numpy() * scale
    return K, autograd_ntk(absolute(network), np.abs(X)).numpy() * scale


def alignment_moments(K: Array, y: Array, weights: Array, centred: bool) -> dict[str, float]:
    """<y K y'>, <K^2>, <y^2> as weighted sums over all pairs of points, from their definition."""
    if centred:
        rows = K @ weights
        K = K - rows[:, None] - rows[None, :] + weights @ rows
        y = y - weights @ y
    return {
        "numerator": float((weights * y) @ K @ (weights * y)),
        "kernel_square": float(weights @ K**2 @ weights),
        "target_square": float(weights @ y**2),
    }


def _magnitudes(K: Array, y: Array, weights: Array, centred: bool) -> dict[str, float]:
    """The same with every difference made a sum, on absolute values."""
    if centred:
        rows = K @ weights
        K = K + rows[:, None] + rows[None, :] + weights @ rows
        y = y + weights @ y
    return alignment_moments(K, y, weights, centred=False)


def _operations(network: Network, points: int) -> int:
    return 8 * points + 4 * (network.N * network.D + 4 * network.D + 20)


def _known(network: Network) -> dict[str, Any]:
    wbar, M = map(tensor, network.moments())
    known = {"epsilon": network.epsilon, "beta": tensor(network.beta), "D": network.D}
    return known | {"wbar": wbar, "M": M}


def _value(formula: Callable[..., Any], known: Mapping[str, Any], wanted: str) -> float:
    used = {
        "numerator": ("epsilon", "beta", "M", "D"),
        "kernel_square": ("epsilon", "wbar", "M", "D"),
        "target_square": ("beta", "D"),
    }[wanted]
    extra = ("P",) if "P" in known and wanted != "target_square" else ()
    return float(formula(**{k: known[k] for k in (*used, *extra)}))


def alignment_equals_its_closed_form(
    network: Network, centred: bool = False, terms: Terms | None = None
) -> float:
    """eq. (19), (20): the three moments of autograd's kernel on an exact cubature, any weights.

    ``terms`` are functions {numerator, kernel_square, target_square} of epsilon, beta, wbar, M, D.
    """
    points, weights = fifth_degree(network.D)
    K, K_bound = kernel_on(network, points)
    y = (points @ network.beta) ** 2 / 2
    found = alignment_moments(K, y, weights, centred)
    magnitudes = _magnitudes(K_bound, y, np.abs(weights), centred)
    formulas = functions("centred-kernel-alignment" if centred else "kernel-alignment")
    return max(
        assert_close(
            _value((terms or {}).get(name) or formulas[name], _known(network), name),
            value,
            magnitude=magnitudes[name],
            operations=_operations(network, len(points)),
            label=name,
        )
        for name, value in found.items()
    )


def gram_alignment_has_the_diagonal(network: Network, P: int, terms: Terms | None = None) -> float:
    """The means of y^T K y/P^2 and |K|_F^2/P^2 over P samples: P (P - 1) pairs and P diagonals.

    Means over x = x' take a tensor rule of degree 8, so D is at most 3 here.
    """
    points, weights = fifth_degree(network.D)
    tensor_points, tensor_weights = gauss_hermite(network.D, 8)
    y, y_tensor = ((X @ network.beta) ** 2 / 2 for X in (points, tensor_points))
    K, K_bound = kernel_on(network, points)
    diagonals = (np.diag(matrix) for matrix in kernel_on(network, tensor_points))
    pairs, bounds = (
        alignment_moments(matrix, y, w, centred=False)
        for matrix, w in ((K, weights), (K_bound, np.abs(weights)))
    )
    shares = []
    means = [
        {"numerator": tensor_weights @ (y_tensor**2 * d), "kernel_square": tensor_weights @ d**2}
        for d in diagonals
    ]
    for name in ("numerator", "kernel_square"):
        value, magnitude = (
            ((P - 1) * pair[name] + float(mean[name])) / P
            for pair, mean in zip((pairs, bounds), means, strict=True)
        )
        formula = (terms or {}).get(name) or functions("gram-alignment")[name]
        shares.append(
            assert_close(
                _value(formula, _known(network) | {"P": P}, name),
                value,
                magnitude=magnitude,
                operations=_operations(network, len(points) + len(tensor_points)),
                label=name,
            )
        )
    return max(shares)


def initial_alignment_equals_its_closed_form(
    D: int, epsilon: float, sigma: float, centred: bool = False, terms: Terms | None = None
) -> float:
    """Sec. 5: the alignment at initialisation, with any beta, from neurons that have its moments.

    ``terms`` are functions {uncentred, centred} of D, epsilon, sigma.
    """
    network = network_at_init(D, epsilon, sigma)
    points, weights = gauss_hermite(D, 5)
    K, K_bound = kernel_on(network, points)
    y = (points @ np.arange(1.0, D + 1)) ** 2 / 2
    of = alignment_moments(K, y, weights, centred)
    bound = _magnitudes(K_bound, y, weights, centred)
    name = "centred" if centred else "uncentred"
    formula = (terms or {}).get(name) or functions("kernel-alignment-at-init")[name]
    size = np.sqrt(of["kernel_square"]) * of["target_square"]
    condition = sum(bound[k] / of[k] for k in ("kernel_square", "target_square"))
    return assert_close(
        float(formula(D=D, epsilon=epsilon, sigma=sigma)),
        of["numerator"] / size,
        magnitude=bound["numerator"] / size + condition * abs(of["numerator"]) / size,
        operations=_operations(network, len(points)),
        label=f"{name} alignment",
    )


def quadratic_alignment(M: Array, centred: bool = False) -> tuple[float, float]:
    """(alignment, magnitude) of the kernel (x.x') (x^T M x') with (e_1.x)^2/2, on a cubature."""
    points, weights = fifth_degree(M.shape[0])
    y = points[:, 0] ** 2 / 2
    K = (points @ points.T) * (points @ M @ points.T)
    bound = np.abs(points)
    K_bound = (bound @ bound.T) * (bound @ np.abs(M) @ bound.T)
    of = alignment_moments(K, y, weights, centred)
    bounds = _magnitudes(K_bound, y, np.abs(weights), centred)
    size = np.sqrt(of["kernel_square"]) * of["target_square"]
    condition = sum(bounds[k] / of[k] for k in ("kernel_square", "target_square"))
    return of["numerator"] / size, (bounds["numerator"] + condition * of["numerator"]) / size


def no_moment_is_aligned_better(
    M: Array, centred: bool = False, best: Callable[[int], float] | None = None
) -> float:
    """The derived M = t I + (1 - t) b b^T (t = 0 where that is negative) beats every other M >= 0.

    ``best`` gives t for a D. M (D, D) is positive semidefinite, not 0. Besides M itself moves
    from the winner towards M, I and b b^T are tried, small ones too, so that no wrong t passes
    because no random M is near the right one.
    """
    D = M.shape[0]
    weight = best or (lambda D: float(_best(D)["centred" if centred else "uncentred"]))
    along = np.zeros((D, D))
    along[0, 0] = 1
    t = max(weight(D), 0.0)
    derived = t * np.eye(D) + (1 - t) * along
    winner, magnitude = quadratic_alignment(derived, centred)
    shifts = [(1.0, M / np.trace(M))]
    shifts += [(s, other) for s in (1 / 4, 1 / 64) for other in (M / np.trace(M), np.eye(D), along)]
    rivals = (quadratic_alignment((1 - s) * derived + s * other, centred) for s, other in shifts)
    other, its_magnitude = max(rivals)
    excess = max(other - winner, 0.0)
    return assert_close(
        excess,
        0.0,
        magnitude=magnitude + its_magnitude,
        operations=8 * len(fifth_degree(D)[1]) + 8 * D,
        label=f"M is aligned better, {other:.6g} > {winner:.6g}: excess",
    )


@cache
def _best(D: int) -> Mapping[str, Any]:
    return closed_form("most-aligned-moment").evaluate_terms(D=D)


def eigenvector_labels_have_the_derived_alignment(
    network: Network, X: Array, formula: Callable[..., Any] | None = None
) -> float:
    """Sec. 6.1: with labels from the j-th eigenvector of K(X, X) the alignment is lambda_j/|K|_F.

    ``formula`` takes K and lambda_j.
    """
    K, K_bound = kernel_on(network, X)
    size = np.linalg.norm(K)
    if size == 0:
        return 0.0
    K = K / size
    values, vectors = np.linalg.eigh(K)
    derived = formula or functions("eigenvector-label-alignment")["gram"]
    shares = []
    for value, vector in zip(values, vectors.T, strict=True):
        shares.append(
            assert_close(
                float(derived(K=tensor(K), lambda_j=torch.tensor(max(value, 0.0)))),
                float(alignment(tensor(K), tensor(vector))),
                magnitude=1 + np.linalg.norm(K_bound) / size,
                operations=8 * len(X) ** 2 + 4 * (network.N * network.D + 20),
                label="alignment",
            )
        )
    return max(shares)


def gram_rank(W: Array, X: Array, epsilon: int) -> int:
    """The exact rank of the NTK on integer inputs X (P, D) of neurons W (N, D), epsilon integer."""
    slopes = [[1 + epsilon * int(w @ x) for w in W] for x in X]
    rows = [
        [slope * int(entry) for slope in of for entry in x] for of, x in zip(slopes, X, strict=True)
    ]
    return DomainMatrix(rows, (len(X), W.size), ZZ).convert_to(ZZ.get_field()).rank()


def rank_is_the_derived(
    D: int, N: int, P: int, seed: int, formula: Callable[[int, int], int] | None = None
) -> None:
    """The rank of the NTK of N random neurons on P random inputs is min(P, the derived).

    The rank is that of the Jacobian, exactly, at random integers of up to 6 digits: these are in
    general position but for a chance below 1e-4. ``formula`` takes n = min(N, D + 1) and D.
    """
    rng = np.random.default_rng(seed)
    W, X = (rng.integers(-(10**6), 10**6, (rows, D)) for rows in (N, P))
    derived = formula or (lambda n, D: int(closed_form("ntk-rank").evaluate(n=n, D=D)))
    expected = min(P, derived(min(N, D + 1), D))
    found = gram_rank(W, X, epsilon=1)
    assert found == expected, f"rank {found}, not {expected}, at D = {D}, N = {N}, P = {P}"


def null_labels_are_out_of_reach(D: int, P: int, seed: int) -> None:
    """Labels from an eigenvector of eigenvalue 0 are orthogonal to all functions of the network.

    Exact, at random integer inputs: some such labels exist, and they are orthogonal to every x_i
    and x_i x_j on the inputs, so that no weights at all reach a train loss below <y^2>.
    """
    X = np.random.default_rng(seed).integers(-99, 100, (P, D)).tolist()
    inner = [[sum(a * b for a, b in zip(x, z, strict=True)) for z in X] for x in X]
    K = DomainMatrix([[h + h * h for h in row] for row in inner], (P, P), ZZ)
    labels = K.convert_to(ZZ.get_field()).nullspace()
    assert labels.shape[0] > 0, f"K has full rank at D = {D}, P = {P}: every label can be fitted"
    functions = [[*x, *(x[i] * x[j] for i in range(D) for j in range(i, D))] for x in X]
    features = DomainMatrix(functions, (P, len(functions[0])), ZZ)
    products = labels * features.convert_to(labels.domain)
    assert products.is_zero_matrix, "the labels correlate with a function of the network"
