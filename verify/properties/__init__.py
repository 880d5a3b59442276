"""The laws of the model as asserts that anyone can run on their own code.

Each law takes one random input of ``strategies`` (and, on demand, the formula to be tested, so that
a wrong one can be planted), raises ``AssertionError`` where it fails, and returns the share of its
tolerance that it used. ``attack`` runs a law on many inputs; pytest users put it under ``@given``.
The laws of training are in ``properties.training``.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
import torch
from hypothesis import reject

from lazyrich.simulate.network import predictions
from lazyrich.simulate.neurons import network as forward
from lazyrich.support.arguments import one_of
from lazyrich.theory import ClosedForm, closed_form, generate
from lazyrich.verify.attack import attack
from lazyrich.verify.cubature import fifth_degree, gauss_hermite
from lazyrich.verify.ledger import Budget
from lazyrich.verify.strategies import Array, Network, closed_form_inputs
from lazyrich.verify.tolerances import assert_close
from lazyrich.verify.tracked import flat, tracked

Formula = Callable[..., Any]


def assert_matches_closed_form(
    name: str,
    implementation: Formula,
    *,
    part: str = "expr",
    budget: Budget = Budget(),  # noqa: B008 (frozen)
    operations: int | None = None,
    dtype: str = "float64",
) -> str:
    """Assert that an implementation equals the closed form ``name``, on random exact inputs.

    ``implementation`` takes the closed form's arguments by keyword (``closed_form(name)
    .arguments()``; NumPy arrays and floats) and returns a number or an array, or a tuple where the
    closed form is one. ``part`` is "expr" or one of its terms. The right value comes from rational
    arithmetic; the tolerance is the rounding that ``operations`` operations in a row (by default
    4 (D + P + 2)^2 + N, more than matrix products need) can do at the input's condition number.
    Returns one line. Raises ``AssertionError`` with the smallest input found that breaks it, and
    ``ValueError`` for an unknown name or part, or a formula with roots or inverse matrices.

    >>> def power_in_linear_modes(alpha, wbar, D):
    ...     return alpha**2 / D * (wbar @ wbar)
    >>> assert_matches_closed_form("test-loss", power_in_linear_modes, part="linear")[:16]
    '25 random inputs'
    """
    cf = closed_form(name)
    expr = _part(cf, part)

    def law(values: dict[str, Any]) -> float:
        sizes = [values.get(size, 1) for size in ("D", "P")]
        count = operations or 4 * (sum(sizes) + 2) ** 2 + values.get("N", 1)
        try:
            expected = tracked(expr, values)
        except ZeroDivisionError:
            reject()  # outside the formula's domain, such as epsilon = 0 in the minimiser
        got = flat(implementation(**values))
        assert len(got) == len(expected), f"{name}: {len(got)} parts, not {len(expected)}"
        shares = [
            assert_close(
                value, right, magnitude=magnitude, operations=count, dtype=dtype, label=name
            )
            for value, (right, magnitude) in zip(got, expected, strict=True)
        ]
        return max(shares)

    return attack(law, closed_form_inputs(expr), budget=budget)


def _part(cf: ClosedForm, part: str) -> Any:
    parts = {"expr": cf.expr, **cf.terms}
    chosen = parts[one_of("part", part, parts)]
    return sp.Tuple(*chosen) if isinstance(chosen, tuple) else chosen


@cache
def closed_form_function(name: str, part: str = "expr") -> Formula:
    """The torch function of a closed form, or of one of its terms."""
    cf = closed_form(name)
    return cf.function("torch") if part == "expr" else cf.functions("torch")[part]


def tensor(array: Any) -> torch.Tensor:
    """A float64 tensor."""
    return torch.as_tensor(np.asarray(array), dtype=torch.float64)


def jacobian(network: Network, X: Array) -> torch.Tensor:
    """Autograd's d f(x_mu)/d w_i at the rows of X, flat: shape (P, N D)."""
    X_ = tensor(X)

    def outputs(W: torch.Tensor) -> torch.Tensor:
        return forward(X_, W, alpha=network.alpha, epsilon=network.epsilon)

    return torch.func.jacrev(outputs)(tensor(network.W)).flatten(1)  # pyright: ignore


def autograd_ntk(network: Network, X: Array) -> torch.Tensor:
    """The NTK (P, P) of the rows of X by autograd, neuron by neuron [eq. 2]."""
    J = jacobian(network, X)
    return J @ J.T


def absolute(network: Network) -> Network:
    """The network of absolute values, whose function bounds all intermediate results."""
    return Network(
        abs(network.alpha), abs(network.epsilon), np.abs(network.W), np.abs(network.beta)
    )


def ntk_is_the_jacobians_gram_matrix(
    network: Network, X: Array, ntk: Formula | None = None
) -> float:
    """eqs. (2), (5), (18): autograd's NTK at any weights equals the derived one in (wbar, M).

    ``ntk`` takes x, x_prime, wbar, M, alpha, epsilon, N. The magnitude is the NTK of absolute
    values: every coefficient of the formula is positive.
    """
    wbar, M = map(tensor, network.moments())
    X_ = tensor(X)
    derived = (ntk or closed_form_function("ntk"))(
        x=X_[:, None, :],
        x_prime=X_[None, :, :],
        wbar=wbar,
        M=M,
        alpha=network.alpha,
        epsilon=network.epsilon,
        N=network.N,
    )
    magnitude = autograd_ntk(absolute(network), np.abs(X))
    operations = 2 * (network.N * network.D + 4 * network.D + 20)
    return assert_close(
        derived, autograd_ntk(network, X), magnitude=magnitude, operations=operations, label="NTK"
    )


def network_at_init(D: int, epsilon: float, sigma: float) -> Network:
    """2 D neurons +-sigma sqrt(D) e_i: they have wbar = 0 and M = sigma^2 I, as if infinitely many.

    >>> network_at_init(2, 0.5, 1.0).moments()[1].round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    axes = sigma * np.sqrt(D) * np.eye(D)
    return Network(1.0, epsilon, np.concatenate([axes, -axes]), np.zeros(D))


def derived_spectrum(D: int, epsilon: float, sigma: float) -> dict[str, tuple[float, int]]:
    """{eigenspace: (eigenvalue, multiplicity)} of the initial kernel by the closed form."""
    values = closed_form("ntk-eigenvalues").evaluate_terms(D=D, epsilon=epsilon, sigma=sigma)
    return {name: (float(value), int(size)) for name, (value, size) in values.items()}


def operator_has_the_derived_spectrum(
    D: int, epsilon: float, sigma: float, spectrum: Formula | None = None
) -> float:
    """eqs. (10)-(16): the integral operator's eigenvalues, with multiplicities, are the derived.

    The kernel is autograd's, of a finite network with the moments of an infinite one. On an exact
    cubature with positive weights w the matrix sqrt(w) K sqrt(w) has the nonzero eigenvalues of
    the operator: no quadrature error, as the products of two eigenfunctions have degree 4.
    """
    network = network_at_init(D, epsilon, sigma)
    points, weights = gauss_hermite(D, 5)
    roots = np.sqrt(weights)
    scale = np.outer(roots, roots) * network.N / network.alpha**2
    matrix = autograd_ntk(network, points).numpy() * scale
    found = np.sort(np.linalg.eigvalsh(matrix))[::-1]
    expected = np.zeros(len(points))
    terms = (spectrum or derived_spectrum)(D, epsilon, sigma)
    listed = [value for value, size in terms.values() for _ in range(size)]
    assert len(listed) <= len(points), f"{len(listed)} eigenvalues at D = {D}"
    expected[: len(listed)] = listed
    magnitude = np.linalg.norm(autograd_ntk(absolute(network), np.abs(points)).numpy() * scale)
    # eigvalsh is backward stable: an error of at most n^2 roundings of the matrix's norm.
    return assert_close(
        found,
        np.sort(expected)[::-1],
        magnitude=magnitude,
        operations=len(points) ** 2,
        label=f"spectrum at D = {D}",
    )


def loss_terms_on_cubature(
    network: Network, start: Array | None = None
) -> tuple[dict[str, float], float]:
    """(terms, magnitude) of the population loss, from the neurons on an exact finite test set.

    ``start`` (N, D) are the initial weights of the centred predictor f(w) - f(w0). The linear term
    is the mean square of the residual's odd part in x, variance the squared mean of the even part,
    misalignment the even part's variance.
    """
    points, weights = fifth_degree(network.D)

    def values(network: Network, W: Array, X: Array) -> Array:
        numbers = {"alpha": network.alpha, "epsilon": network.epsilon}
        return forward(tensor(X), tensor(W), **numbers).numpy()

    def residual(X: Array) -> Array:
        initial = 0.0 if start is None else values(network, start, X)
        return (X @ network.beta) ** 2 / 2 - values(network, network.W, X) + initial

    at, opposite = residual(points), residual(-points)
    odd, even = (at - opposite) / 2, (at + opposite) / 2
    mean = weights @ even
    terms = {"variance": mean**2, "misalignment": weights @ even**2 - mean**2}
    terms["linear"] = weights @ odd**2
    big, X = absolute(network), np.abs(points)
    bound = (X @ big.beta) ** 2 / 2 + values(big, big.W, X)
    bound += 0.0 if start is None else values(big, np.abs(start), X)
    # The squared mean is at most sum |weights| < 3 times the mean square.
    return {k: float(v) for k, v in terms.items()}, 4 * float(np.abs(weights) @ bound**2)


def loss_equals_its_closed_form(
    network: Network, start: Array | None = None, terms: Mapping[str, Formula] | None = None
) -> float:
    """eq. (6), and (7) in it: the loss on an exact cubature test set, term by term.

    ``terms`` are functions {variance, misalignment, linear} of alpha, epsilon, beta, wbar, M (and
    D), with (wbar - wbar0, M - M0) for the centred predictor.
    """
    on_cubature, magnitude = loss_terms_on_cubature(network, start)
    moments = network.moments()
    if start is not None:
        initial = Network(network.alpha, network.epsilon, start, network.beta).moments()
        moments = tuple(now - then for now, then in zip(moments, initial, strict=True))
    wbar, M = map(tensor, moments)
    known = {"alpha": network.alpha, "epsilon": network.epsilon, "beta": tensor(network.beta)}
    known |= {"wbar": wbar, "M": M, "D": network.D}
    operations = 2 * network.D**2 + 4 * network.D**2 + 2 * network.N + 40
    shares = []
    for name, value in on_cubature.items():
        formula = (terms or {}).get(name) or closed_form_function("test-loss", name)
        derived = float(formula(**{k: known[k] for k in _arguments(name)}))
        shares.append(
            assert_close(derived, value, magnitude=magnitude, operations=operations, label=name)
        )
    return max(shares)


def _arguments(term: str) -> tuple[str, ...]:
    common = ("alpha", "D")
    return (*common, "wbar") if term == "linear" else (*common, "epsilon", "beta", "M")


def gradient_is_autograds(
    network: Network, gradients: Mapping[str, Formula] | None = None
) -> float:
    """The derived gradients of the loss in wbar and M equal autograd's on an exact test set.

    ``gradients`` are functions {gradient_wbar, gradient_M} of alpha, epsilon, beta, wbar, M, D.
    """
    points, weights = fifth_degree(network.D)
    slopes = _loss_slopes(network, points, weights, sign=-1)
    # f + y on absolute values bounds |f - y|, and has slopes that bound its slopes.
    magnitudes = _loss_slopes(absolute(network), np.abs(points), np.abs(weights), sign=1)
    wbar, M = map(tensor, network.moments())
    known = {"alpha": network.alpha, "epsilon": network.epsilon, "beta": tensor(network.beta)}
    known |= {"wbar": wbar, "M": M, "D": network.D}
    shares = []
    for name, slope in slopes.items():
        formula = (gradients or {}).get(name) or _gradient_function(name)
        used = _symbols_of_gradient(name)
        shares.append(
            assert_close(
                formula(**{k: known[k] for k in used}).numpy(),
                slope,
                magnitude=magnitudes[name],
                operations=8 * (network.D + 2) ** 2 + 2 * network.N,
                label=name,
            )
        )
    return max(shares)


def _loss_slopes(network: Network, X: Array, weights: Array, sign: int) -> dict[str, Array]:
    """Autograd's slopes in wbar and M of the weighted mean of (f + sign y)^2 over the rows of X."""
    wbar, M = (tensor(moment).requires_grad_() for moment in network.moments())
    f = predictions(tensor(X), wbar, M, alpha=network.alpha, epsilon=network.epsilon)
    y = tensor((X @ network.beta) ** 2 / 2)
    slopes = torch.autograd.grad(tensor(weights) @ (f + sign * y) ** 2, (wbar, M))
    names = ("gradient_wbar", "gradient_M")
    return {name: slope.numpy() for name, slope in zip(names, slopes, strict=True)}


@cache
def _gradient_function(name: str) -> Formula:
    return generate.function(closed_form("test-loss").components[name], "torch")


def _symbols_of_gradient(name: str) -> tuple[str, ...]:
    return _arguments("linear") if name == "gradient_wbar" else _arguments("variance")


def minimiser_reaches_zero(network: Network, minimiser: Formula | None = None) -> float:
    """Sec. 5.3: with alpha epsilon > 0 two neurons of the derived moments make no error at all.

    With alpha epsilon < 0 no neurons do better than the zero function. ``minimiser`` takes alpha,
    epsilon, beta and returns M, from whose leading eigenvector the two neurons are made.
    """
    product, zero = network.alpha * network.epsilon, np.zeros_like(network.W)
    nothing, _ = loss_terms_on_cubature(Network(network.alpha, network.epsilon, zero, network.beta))
    if product <= 0:
        terms, bound = loss_terms_on_cubature(network)
        operations = 8 * network.D**2 + 2 * network.N + 40
        lost = sum(nothing.values()) - sum(terms.values())
        return assert_close(
            max(lost, 0.0), 0.0, magnitude=bound, operations=operations, label="gain over 0"
        )
    known = {"alpha": network.alpha, "epsilon": network.epsilon, "beta": tensor(network.beta)}
    M = (minimiser or closed_form_function("test-loss-minimiser"))(**known).numpy()
    values, directions = np.linalg.eigh(M)
    w = np.sqrt(max(values[-1], 0.0)) * directions[:, -1]
    X = fifth_degree(network.D)[0]
    numbers = {"alpha": network.alpha, "epsilon": network.epsilon}
    outputs = forward(tensor(X), tensor(np.stack([w, -w])), **numbers).numpy()
    big = {name: abs(value) for name, value in numbers.items()}
    bound = forward(tensor(np.abs(X)), tensor(np.abs([w, w])), **big).numpy()
    return assert_close(
        outputs,
        (X @ network.beta) ** 2 / 2,
        # |w| |x| bounds |w.x| however the eigenvector is rounded.
        magnitude=bound + np.abs(X @ network.beta).max() ** 2 + bound.max(),
        # A backward stable solver is off by n^2 roundings of the matrix's norm.
        operations=8 * (network.D + 2) ** 2 + 40,
        label="f at M*",
    )
