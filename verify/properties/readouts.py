"""The laws of the network with both layers trained, as asserts on autograd and exact cubatures."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lazyrich.theory import closed_form
from lazyrich.verify.cubature import fifth_degree, gauss_hermite
from lazyrich.verify.properties import closed_form_function, tensor
from lazyrich.verify.strategies import Array
from lazyrich.verify.tolerances import assert_close

Formula = Callable[..., Any]


def readout_outputs(v: Tensor, W: Tensor, X: Tensor, *, alpha: float, epsilon: float) -> Tensor:
    """f(x) = (alpha/N) sum_i v_i phi(w_i.x) at the rows of X (P, D), neuron by neuron [eq. 21]."""
    H = X @ W.T
    return alpha / len(v) * (H + epsilon / 2 * H**2) @ v


def readout_gradients(v: Tensor, W: Tensor, X: Tensor, *, alpha: float, epsilon: float) -> Tensor:
    """Autograd's d f(x_mu)/d(v_i, w_i), shape (P, N, 1 + D)."""

    def outputs(theta: Tensor) -> Tensor:
        return readout_outputs(theta[:, 0], theta[:, 1:], X, alpha=alpha, epsilon=epsilon)

    theta = torch.cat([v[:, None], W], 1)
    return torch.func.jacrev(outputs)(theta)  # pyright: ignore[reportReturnType]


def initial_kernel(
    X: Array, epsilon: float, sigma_w: float, sigma_v: float, magnitude: bool = False
) -> Array:
    """The mean over the initialisation of autograd's normalised NTK on the rows of X (P, D).

    The kernel is a polynomial of degree 4 in w and 2 in v: weights w on an exact cubature and
    readouts +-sigma_v have exactly the mean of Gaussian ones.
    """
    points, shares = fifth_degree(X.shape[1])
    W = np.sqrt(X.shape[1]) * sigma_w * np.concatenate([points, points])
    v = sigma_v * np.repeat([1.0, -1.0], len(points))
    shares = np.concatenate([shares, shares]) / 2
    if magnitude:
        X, W, v, shares, epsilon = np.abs(X), np.abs(W), np.abs(v), np.abs(shares), abs(epsilon)
    gradients = readout_gradients(tensor(v), tensor(W), tensor(X), alpha=1.0, epsilon=epsilon)
    of_one_neuron = gradients * len(v)
    return torch.einsum("pik,qik,i->pq", of_one_neuron, of_one_neuron, tensor(shares)).numpy()


def readout_kernel_is_autograds(
    X: Array, epsilon: float, sigma_w: float, sigma_v: float, kernel: Formula | None = None
) -> float:
    """eq. (23): the derived kernel of both layers. ``kernel`` takes x, x_prime, epsilon, sigmas."""
    X_ = tensor(X)
    derived = (kernel or closed_form_function("readout-ntk-at-init"))(
        x=X_[:, None, :],
        x_prime=X_[None, :, :],
        epsilon=epsilon,
        sigma_w=sigma_w,
        sigma_v=sigma_v,
    )
    neurons = 2 * len(fifth_degree(X.shape[1])[1])
    return assert_close(
        derived,
        initial_kernel(X, epsilon, sigma_w, sigma_v),
        magnitude=initial_kernel(X, epsilon, sigma_w, sigma_v, magnitude=True),
        operations=2 * neurons * (X.shape[1] + 1) + 40,
        label="kernel of both layers",
    )


def derived_spectrum(
    D: int, epsilon: float, sigma_w: float, sigma_v: float
) -> dict[str, tuple[float, int]]:
    """{eigenspace: (eigenvalue, multiplicity)} of the kernel of both layers by the closed form."""
    values = closed_form("readout-ntk-eigenvalues").evaluate_terms(
        D=D, epsilon=epsilon, sigma_w=sigma_w, sigma_v=sigma_v
    )
    return {name: (float(value), int(size)) for name, (value, size) in values.items()}


def readout_operator_has_the_derived_spectrum(
    D: int, epsilon: float, sigma_w: float, sigma_v: float, spectrum: Formula | None = None
) -> float:
    """App. 12: eigenvalues with multiplicities, from autograd's kernel on a positive cubature."""
    points, weights = gauss_hermite(D, 5)
    scale = np.sqrt(np.outer(weights, weights))
    found = np.linalg.eigvalsh(initial_kernel(points, epsilon, sigma_w, sigma_v) * scale)[::-1]
    terms = (spectrum or derived_spectrum)(D, epsilon, sigma_w, sigma_v)
    listed = [value for value, size in terms.values() for _ in range(size)]
    assert len(listed) <= len(points), f"{len(listed)} eigenvalues at D = {D}"
    expected = np.sort([*listed, *[0.0] * (len(points) - len(listed))])[::-1]
    bound = initial_kernel(points, epsilon, sigma_w, sigma_v, magnitude=True) * scale
    return assert_close(
        found,
        expected,
        magnitude=np.linalg.norm(bound),
        operations=len(points) ** 2 + 4 * len(fifth_degree(D)[1]) * (D + 1),
        label=f"spectrum at D = {D}",
    )


def readout_moments(v: Array, W: Array) -> tuple[Array, Array]:
    """wbar = (1/N) sum v_i w_i and M = (1/N) sum v_i w_i w_i^T [eq. 22]."""
    return v @ W / len(v), (W * v[:, None]).T @ W / len(v)


def readout_function_is_that_of_the_moments(
    v: Array, W: Array, X: Array, alpha: float, epsilon: float, outputs: Formula | None = None
) -> float:
    """eqs. (21), (22). ``outputs`` takes x, wbar, M, alpha, epsilon."""
    wbar, M = map(tensor, readout_moments(v, W))
    derived = (outputs or closed_form_function("readout-network-function"))(
        x=tensor(X), wbar=wbar, M=M, alpha=alpha, epsilon=epsilon
    )
    numbers = {"alpha": alpha, "epsilon": epsilon}
    big = {name: abs(value) for name, value in numbers.items()}
    return assert_close(
        derived,
        readout_outputs(tensor(v), tensor(W), tensor(X), **numbers),
        magnitude=readout_outputs(*(tensor(np.abs(a)) for a in (v, W, X)), **big),
        operations=2 * (len(v) + 2 * X.shape[1] + 10),
        label="f",
    )


def readout_loss_is_eq_6(
    v: Array, W: Array, beta: Array, alpha: float, epsilon: float, loss: Formula | None = None
) -> float:
    """App. 12: eq. (6) at the readout-weighted moments is the loss, on an exact test set.

    ``loss`` takes alpha, epsilon, beta, wbar, M.
    """
    X, weights = fifth_degree(len(beta))
    wbar, M = map(tensor, readout_moments(v, W))
    numbers = {"alpha": alpha, "epsilon": epsilon}
    f = readout_outputs(tensor(v), tensor(W), tensor(X), **numbers).numpy()
    big = {name: abs(value) for name, value in numbers.items()}
    f_bound = readout_outputs(*(tensor(np.abs(a)) for a in (v, W, X)), **big).numpy()
    bound = np.abs(weights) @ (f_bound + (np.abs(X) @ np.abs(beta)) ** 2 / 2) ** 2
    derived = (loss or closed_form_function("test-loss"))(
        **numbers, beta=tensor(beta), wbar=wbar, M=M
    )
    return assert_close(
        float(derived),
        float(weights @ (f - (X @ beta) ** 2 / 2) ** 2),
        magnitude=4 * bound,
        operations=8 * len(beta) ** 2 + 2 * len(v) + 60,
        label="loss",
    )


def moments_after_a_step(
    v: Array, W: Array, X: Array, y: Array, *, alpha: float, epsilon: float, learning_rate: float
) -> tuple[Array, Array]:
    """(wbar, M) of eq. 22 after one step of gradient descent on both layers, by autograd."""
    theta = torch.cat([tensor(v)[:, None], tensor(W)], 1).requires_grad_()
    f = readout_outputs(theta[:, 0], theta[:, 1:], tensor(X), alpha=alpha, epsilon=epsilon)
    (slope,) = torch.autograd.grad((f - tensor(y)).square().mean(), theta)
    moved = (theta - learning_rate * len(v) / alpha**2 * slope).detach().numpy()
    return readout_moments(moved[:, 0], moved[:, 1:])


def readout_flow_is_the_derived(
    v: Array,
    W: Array,
    x: Array,
    rho: float,
    alpha: float,
    epsilon: float,
    flow: Mapping[str, Formula] | None = None,
) -> float:
    """The rate of (wbar, M) under gradient flow of both layers, by autograd through the moments.

    One sample x (D,) with residual rho. ``flow`` maps wbar, M to functions of one neuron's v, w.
    """
    formulas = flow or closed_form("readout-moment-flow").functions("torch")
    known = {"x": tensor(x), "rho": rho, "alpha": alpha, "epsilon": epsilon, "P": 1}
    rates = {
        name: torch.stack(
            [formula(**known, v=float(vi), w=tensor(wi)) for vi, wi in zip(v, W, strict=True)]
        ).mean(0)
        for name, formula in formulas.items()
    }

    def velocity(theta: Tensor, X: Tensor, rho: float, epsilon: float) -> Tensor:
        gradient = readout_gradients(theta[:, 0], theta[:, 1:], X, alpha=alpha, epsilon=epsilon)
        return -2 * rho * len(v) / alpha**2 * gradient[0]

    def moments(theta: Tensor) -> tuple[Tensor, Tensor]:
        v_, W_ = theta[:, 0], theta[:, 1:]
        return v_ @ W_ / len(v), (W_ * v_[:, None]).T @ W_ / len(v)

    theta = torch.cat([tensor(v)[:, None], tensor(W)], 1)
    X = tensor(x)[None, :]
    found = torch.func.jvp(moments, (theta,), (velocity(theta, X, rho, epsilon),))[1]
    big = theta.abs()
    speed = velocity(big, X.abs(), -abs(rho), abs(epsilon)).abs()
    bounds = torch.func.jvp(moments, (big,), (speed,))[1]
    return max(
        assert_close(
            rates[name], value, magnitude=bound, operations=8 * (len(x) + len(v) + 10), label=name
        )
        for name, value, bound in zip(("wbar", "M"), found, bounds, strict=True)
    )
