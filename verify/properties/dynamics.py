"""The laws of the dynamics: speed of f, equivalent scales, momentum, the limit of lazy training.

As in ``properties``: each law raises ``AssertionError`` where it fails and returns the share of
its tolerance that it used.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from lazyrich.simulate import PolynomialTask, Run, train
from lazyrich.simulate.neurons import network as forward
from lazyrich.simulate.stability import stable_learning_rate
from lazyrich.theory import closed_form, generate
from lazyrich.verify.properties import Formula, closed_form_function, tensor
from lazyrich.verify.strategies import Array, Network, Training
from lazyrich.verify.tolerances import assert_close

Moments = dict[str, Any]


@cache
def _terms(name: str) -> dict[str, tuple[Formula, tuple[str, ...]]]:
    """{term: (its torch function, the names of its arguments)}."""
    terms = closed_form(name).terms
    return {
        k: (generate.function(part, "torch"), tuple(generate.arguments(part)))
        for k, part in terms.items()
    }


def term_values(name: str, known: dict[str, Any]) -> Moments:
    """Every term of a closed form, each on those of the known arguments that it has."""
    return {
        term: function(**{k: known[k] for k in symbols})
        for term, (function, symbols) in _terms(name).items()
    }


def f_moves_at_the_speed_of_the_kernel(
    network: Network, seed: int, speed: Formula | None = None
) -> float:
    """App. 8.1: by a sample x' with residual rho, f(x) moves by -2 rho K(x, x') a unit of tau.

    Against autograd on the neurons at eta = eta_0 N/alpha^2. ``speed`` takes x, x_prime, wbar, M,
    rho, epsilon (and N, alpha).
    """
    x, x_prime = tensor(np.random.default_rng(seed).integers(-32, 33, (2, network.D)) / 16)
    rho = 1.25

    def moved(W: torch.Tensor, alpha: float, epsilon: float, pair: torch.Tensor) -> torch.Tensor:
        W = W.clone().requires_grad_()
        outputs = forward(pair, W, alpha=alpha, epsilon=epsilon)
        slopes = [torch.autograd.grad(f, W, retain_graph=True)[0] for f in outputs]
        return -(slopes[0] * slopes[1]).sum() * 2 * rho * network.N / alpha**2

    pair = torch.stack([x, x_prime])
    found = moved(tensor(network.W), network.alpha, network.epsilon, pair)
    size = -moved(tensor(abs(network.W)), abs(network.alpha), abs(network.epsilon), abs(pair))
    wbar, M = map(tensor, network.moments())
    known = {"x": x, "x_prime": x_prime, "wbar": wbar, "M": M, "rho": rho}
    known["epsilon"] = network.epsilon
    if speed is None:
        derived = closed_form_function("early-dynamics")(**known)
    else:
        derived = speed(**known, N=network.N, alpha=network.alpha)
    operations = 8 * (network.D + 4) ** 2 + 4 * network.N
    return assert_close(derived, found, magnitude=size, operations=operations, label="d f/d tau")


def scales_train_alike(
    seed: int, k: int, j: int, centred: bool, of_weights: float = 1.0, of_labels: float = 1.0
) -> float:
    """Sec. 4.1, 8.2: weights times sigma = 2^k and labels times c = 4^j are alpha and epsilon.

    Training at (alpha, epsilon) is that at (alpha sigma/c, epsilon sigma) with sigma = c = 1, at
    the same eta_0, in units of sigma and c: with powers of two, to the last bit. Other powers of
    sigma and c in the equivalent alpha can be planted.
    """
    sigma, c = 2.0**k, 4.0**j
    W = np.random.default_rng(seed).standard_normal((5, 3))
    task = PolynomialTask(D=3, P=8, n_test=1, seed=seed)
    scaled_task = PolynomialTask.from_arrays(X=task.X, beta=2.0**j * task.beta)
    equivalent = 2.0 * sigma**of_weights / c**of_labels
    one = short_run(task, W, alpha=equivalent, epsilon=0.5 * sigma, centred=centred)
    rate = one.config["learning_rate"]
    numbers = {"alpha": 2.0, "epsilon": 0.5, "learning_rate": rate}
    other = short_run(scaled_task, sigma * W, centred=centred, **numbers)
    for scale, ours, theirs in zip((sigma, sigma**2), one.state, other.state, strict=True):
        assert torch.equal(scale * ours, theirs), (
            f"weights differ by {float((scale * ours - theirs).abs().max()):.1e}"
        )
    losses = c**2 * one.history.train_loss.values, other.history.train_loss.values
    assert (losses[0] == losses[1]).all(), "train losses differ"
    return 0.0


def short_run(task: PolynomialTask, W: Array, **changed: Any) -> Run:
    """A hundred steps from the weights W (N, D), by default at 1/20 of the stable rate."""
    options: dict[str, Any] = {"steps": 100, "alignment": None, "init": W, "engine": "moments"}
    options |= {"centred": False} | changed
    if "learning_rate" not in options:
        start = map(tensor, (W.mean(0), W.T @ W / len(W)))
        numbers = {k: options[k] for k in ("alpha", "epsilon")}
        options["learning_rate"] = 0.05 * min(stable_learning_rate(task.X, *start, **numbers), 1.0)
    return train(task, **options)


def joint_moments(W: torch.Tensor, V: torch.Tensor) -> Moments:
    """The first and second moments of weights and velocities (N, D) over the neurons."""
    N = len(W)
    return {
        "wbar": W.mean(0),
        "vbar": V.mean(0),
        "M": W.T @ W / N,
        "C": W.T @ V / N,
        "V": V.T @ V / N,
    }


def joint_moments_follow_torch(
    training: Training,
    seed: int,
    rates: tuple[float, float, float, float],
    step: Callable[[dict[str, Any]], Moments] | None = None,
) -> float:
    """One step of torch.optim.SGD, from any weights and velocities, moves the five moments so.

    ``rates`` are eta_0, momentum, weight decay in the loss and decoupled. ``step`` takes the known
    arguments of moment-step-momentum and returns its terms.
    """
    step = step or (lambda known: term_values("moment-step-momentum", known))
    network, X = training.network, tensor(training.X)
    eta_0, mu, kappa, kappa_d = rates
    numbers = {"alpha": network.alpha, "epsilon": network.epsilon}
    eta = eta_0 * network.N / network.alpha**2
    velocity = np.random.default_rng(seed).integers(-64, 65, network.W.shape) / 16
    W = tensor(network.W).clone().requires_grad_()
    r = forward(X, W, **numbers) - tensor(training.y)
    (r.square().mean() + kappa / 2 * W.square().sum() / network.N).backward()
    gradient = W.grad
    assert gradient is not None
    optimiser = torch.optim.SGD([W], lr=eta, momentum=mu)
    optimiser.state[W]["momentum_buffer"] = tensor(velocity) / eta
    with torch.no_grad():
        decayed = eta_0 * kappa_d * W.clone()
        optimiser.step()
        W -= decayed
    # Without momentum torch keeps no velocity: it is the step itself.
    after = optimiser.state[W]["momentum_buffer"] if mu else gradient
    found = joint_moments(W.detach(), eta * after.detach())

    def known(weights: Array, velocities: Array, r: torch.Tensor, sign: int) -> dict[str, Any]:
        moments = joint_moments(tensor(weights), tensor(velocities))
        decays = {"kappa": sign * kappa, "kappa_d": sign * kappa_d, "eta_0": eta_0, "mu": mu}
        sizes = {"P": training.P, "D": network.D, "X": X if sign > 0 else abs(X), "r": r}
        return moments | decays | sizes | {k: v if sign > 0 else abs(v) for k, v in numbers.items()}

    claimed = step(known(network.W, velocity, r.detach(), 1))
    # With these signs all terms of each moment have one sign: the formula bounds itself.
    big = forward(abs(X), abs(tensor(network.W)), **{k: abs(v) for k, v in numbers.items()})
    most = known(abs(network.W), -abs(velocity), -(big + tensor(training.y)), -1)
    bounds = term_values("moment-step-momentum", most)
    operations = 16 * (network.D + training.P + 4) ** 2 + 8 * network.N
    return max(
        assert_close(claimed[k], moment, magnitude=abs(bounds[k]), operations=operations, label=k)
        for k, moment in found.items()
    )
