"""The laws of training: one step, many steps on two engines, and the lazy limit.

As in ``properties``: each law raises ``AssertionError`` where it fails and returns the share of
its tolerance that it used.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import reject

from lazyrich.simulate import DivergenceError, PolynomialTask, Run, train
from lazyrich.simulate.network import predictions
from lazyrich.simulate.neurons import network as forward
from lazyrich.simulate.stability import stable_learning_rate
from lazyrich.verify.cubature import fifth_degree
from lazyrich.verify.properties import absolute, closed_form_function, tensor
from lazyrich.verify.strategies import Array, Network, Training
from lazyrich.verify.tolerances import assert_close, rounding

Formula = Callable[..., Any]

# Nothing slower than 1/alpha or faster by half an order comes near -1 within this.
SLOPE_TOLERANCE = 0.05


def moment_step_is_autograds(
    training: Training, eta_0: float, step: Formula | None = None
) -> float:
    """One step of gradient descent by autograd on the neurons moves (wbar, M) as derived.

    ``step`` takes X, r, wbar, M, alpha, epsilon, eta_0 and returns (wbar, M). The centred predictor
    is f(w) - f(w/2) here, so that it isn't zero at the step.
    """
    network, X = training.network, tensor(training.X)
    numbers = {"alpha": network.alpha, "epsilon": network.epsilon}
    start = 0.5 * network.W if training.centred else 0.0 * network.W
    W = tensor(network.W).requires_grad_()
    r = forward(X, W, **numbers) - forward(X, tensor(start), **numbers) - tensor(training.y)
    (gradient,) = torch.autograd.grad(r.square().mean(), W)
    moved = (W - eta_0 * network.N / network.alpha**2 * gradient).detach().numpy()
    found = Network(network.alpha, network.epsilon, moved, network.beta).moments()

    function = step or closed_form_function("moment-step")
    wbar, M = map(tensor, network.moments())
    derived = function(X=X, r=r.detach(), wbar=wbar, M=M, eta_0=eta_0, **numbers)
    # With r negative all terms of the step have one sign: it bounds itself on absolute values.
    big = absolute(network)
    numbers = {"alpha": big.alpha, "epsilon": big.epsilon}
    r = sum(forward(X.abs(), tensor(np.abs(w)), **numbers) for w in (network.W, start))
    wbar, M = map(tensor, big.moments())
    known = {"X": X.abs(), "r": -(r + tensor(training.y)), "wbar": wbar, "M": M, "eta_0": eta_0}
    bounds = closed_form_function("moment-step")(**known, **numbers)
    operations = 8 * (network.D + training.P + 2) ** 2 + 4 * network.N
    return max(
        assert_close(ours, theirs, magnitude=bound, operations=operations, label=name)
        for name, ours, theirs, bound in zip(("wbar", "M"), derived, found, bounds, strict=True)
    )


def engines_agree(
    training: Training, share: float, steps: int = 30, other: str = "neurons", **changed: Any
) -> float:
    """``moments`` and the engine ``other`` agree after many steps, to rounding error.

    ``share`` is the learning rate in units of the largest stable one. The tolerance is the rounding
    of all the steps, times the growth of a perturbation of the start, which a third run measures.
    ``changed`` plants other options in the second run.
    """
    network = training.network
    task = PolynomialTask.from_arrays(X=training.X, beta=network.beta)
    wbar, M = map(tensor, network.moments())
    numbers = {"alpha": network.alpha, "epsilon": network.epsilon}
    stable = stable_learning_rate(task.X, wbar, M, **numbers)
    options: dict[str, Any] = {"steps": steps, "centred": training.centred, "alignment": None}
    options |= {"learning_rate": share * min(stable, 1.0), **numbers}
    nudge = 2.0**-30
    signs = np.where(np.arange(network.W.size).reshape(network.W.shape) % 3, 1, -1)
    try:
        exact = train(task, engine="moments", init=network.W, **options)
        nudged = train(task, engine="moments", init=network.W + nudge * signs, **options)
    except DivergenceError:
        reject()
    try:
        slow = train(task, engine=other, init=network.W, **(options | changed))
    except DivergenceError as error:
        raise AssertionError(f"only {other} diverges: {error}") from None
    size = max(float(exact.history.weight_norm.max()), 2.0**-10)
    entries = network.W.size
    growth = max(_distance(exact, nudged) / (nudge * np.sqrt(entries)), 1.0) * np.sqrt(entries)
    if growth > 2.0**20:
        reject()  # chaotic: a result without digits proves nothing
    operations = steps * 2 * (network.N + 2 * network.D + training.P + 20)
    allowed = rounding(operations, growth) * size
    distance = _distance(exact, slow)
    assert distance <= allowed, f"engines differ by {distance:.1e}, rounding explains {allowed:.1e}"
    return distance / allowed


def _distance(a: Run, b: Run) -> float:
    """The distance of the final weights: |wbar - wbar'|, and that of M over the weights' size."""
    (wbar_a, M_a), (wbar_b, M_b) = (_moments(run) for run in (a, b))
    size = max(float(np.sqrt(abs(np.trace(M_a)))), 2.0**-10)
    return float(max(np.linalg.norm(wbar_a - wbar_b), np.linalg.norm(M_a - M_b) / size))


def _moments(run: Run) -> tuple[Array, Array]:
    if isinstance(run.state, tuple):
        wbar, M = run.state
        return wbar.numpy(), M.numpy()
    W = run.state.numpy()
    return W.mean(0), W.T @ W / len(W)


def laziness_slope(
    seed: int,
    epsilon: float,
    alphas: tuple[float, float] = (2.0**9, 2.0**11),
    centred: bool = True,
    **changed: Any,
) -> float:
    """The order in alpha at which training leaves its linearisation: d log distance/d log alpha.

    The distance is that of the trained predictor from the linearised one in L2 of the inputs, over
    the latter's change, at fixed tau. ``changed`` plants other options in the linearised run.
    """
    distances = [_from_linearised(seed, epsilon, a, centred, changed) for a in alphas]
    return float(np.diff(np.log(distances))[0] / np.diff(np.log(alphas))[0])


def laziness_is_first_order(seed: int, epsilon: float, **changed: Any) -> float:
    """Sec. 4.1: at large alpha the centred predictor trains as linearised, up to O(1/alpha)."""
    if epsilon == 0:
        reject()  # a linear network is its linearisation
    slope = laziness_slope(seed, epsilon, **changed)
    assert abs(slope + 1) < SLOPE_TOLERANCE, f"slope {slope:.3f} in alpha, not -1"
    return abs(slope + 1) / SLOPE_TOLERANCE


def _from_linearised(
    seed: int, epsilon: float, alpha: float, centred: bool, changed: dict[str, Any]
) -> float:
    D, N = 4, 6
    task = PolynomialTask(D=D, P=12, n_test=1, seed=seed)
    W = np.random.default_rng(seed).standard_normal((N, D))
    start = W.mean(0), W.T @ W / N
    numbers = {"alpha": alpha, "epsilon": epsilon}
    stable = stable_learning_rate(task.X, *map(tensor, start), **numbers)
    options: dict[str, Any] = {"init": W, "centred": centred, "alignment": None, "steps": 50}
    options |= {"learning_rate": stable / 2, **numbers}
    points, weights = fifth_degree(D)

    def outputs(moments: tuple[Array, Array]) -> Array:
        return predictions(tensor(points), *map(tensor, moments), **numbers).numpy()

    linearised = train(task, engine="linearised", **(options | changed))
    lazy = outputs(_moments(linearised))
    trained = outputs(_moments(train(task, engine="moments", **options)))
    change = lazy - outputs(start)
    return float(np.sqrt(weights @ (trained - lazy) ** 2 / (weights @ change**2)))
