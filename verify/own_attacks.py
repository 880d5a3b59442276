"""The attacks on a user's problem: each compares the theory with what does not share its code.

Every attack has a control, the nearest wrong statement, that it must reject. Those on the spectrum
stand in ``own_spectra``, that on the learning curve in ``own_curve``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.own_planes import inputs_in_plane, weights_in_plane
from lazyrich.verify.own_setting import (
    PLANTED,
    Array,
    Finding,
    Setting,
    kernel_matrix,
    relative,
)

ALPHA = 1.5  # in units of the setting's scale


def kernel_at_weights(setting: Setting) -> Finding:
    """The derived kernel of given neurons is the product of autograd's derivatives."""
    W, v = setting.network(setting.N, 1)
    X = setting.generator(2).normal(size=(6, setting.D))
    slopes = setting.tangent(W, v, torch.tensor(X)).numpy() * np.sqrt(setting.N)
    expected = slopes @ slopes.T  # over alpha^2/N
    form = setting.problem.closed_form("ntk")
    derived = form.functions("numpy")["ntk_normalised"]
    weights = W.numpy()
    values: dict[str, Any] = setting.of(setting.problem.activation.symbols)
    if setting.problem.moments_close:
        values |= {"wbar": weights.mean(0), "M": weights.T @ weights / setting.N}
        values = {k: value for k, value in values.items() if k in form.arguments()}
        found = derived(x=X[:, None], x_prime=X[None, :], **values)
    else:
        values |= {"w": weights} | ({"v": v.numpy()} if setting.trained else {})
        values = {k: value for k, value in values.items() if k in form.arguments()}
        one, other = X[:, None, None], X[None, :, None]
        found = derived(x=one, x_prime=other, **values)
        found = found.mean(-1) if found.ndim == 3 else found
    error = relative(found, expected)
    control = relative((1 + PLANTED) * found, expected)
    return Finding(error, 1e-10, control, f"6 inputs, {setting.N} neurons")


def kernel_at_init(setting: Setting) -> Finding:
    """The derived kernel at initialisation is the mean over one neuron's weights, by quadrature."""
    X = setting.generator(3).normal(size=(4, setting.D))
    readout = setting.deviations.get("sigma_v", 1.0)
    expected = np.zeros((4, 4))
    for i, j in np.ndindex(4, 4):
        u, v, mass = weights_in_plane(setting, X[i], X[j])
        values, slopes = [], []
        for argument in (u, v):
            h = torch.tensor(argument, requires_grad=True)
            value = setting.phi(h)
            needs = value.requires_grad
            slope = torch.autograd.grad(value.sum(), h)[0] if needs else torch.zeros_like(h)
            values.append(value.detach().numpy())
            slopes.append(slope.numpy())
        expected[i, j] = readout**2 * (mass * slopes[0] * slopes[1]).sum() * (X[i] @ X[j])
        if setting.trained:
            expected[i, j] += (mass * values[0] * values[1]).sum()
    found = kernel_matrix(setting, X)
    error = relative(found, expected)
    return Finding(error, 1e-7, relative((1 + PLANTED) * found, expected), "4 inputs")


def loss_at_init(setting: Setting) -> Finding:
    """The mean loss over random weights is that on an exact cubature over weights and inputs.

    One neuron in the plane, and two neurons on a line. The control is the loss at N + 1.
    """
    found, expected, wrong = [], [], []
    for D, N in ((2, 1), (1, 2)):
        small = setting.of_size(D, stream=9)
        form = small.problem.closed_form("loss-at-init")
        at = {
            "alpha": ALPHA * small.scale,
            **small.numbers(small.problem.symbols),
            **small.deviations,
        }
        found.append(float(form.evaluate(N=N, **at)))
        wrong.append(float(form.evaluate(N=N + 1, **at)))
        expected.append(_mean_loss_at_init(small, D, N))
    control = relative(np.array(wrong), np.array(expected))
    error = relative(np.array(found), np.array(expected))
    return Finding(error, 1e-10, control, "N = 1 at D = 2, N = 2 at D = 1")


def _mean_loss_at_init(small: Setting, D: int, N: int) -> float:
    degree = small.problem.activation.degree
    assert degree is not None
    nodes, masses = gauss_hermite(1, 2 * degree)
    of_weights = _grid(nodes[:, 0], masses, N * D)
    readout_nodes, readout_masses = gauss_hermite(1, 2)
    points, weights = small.cubature(2 * max(degree, small.problem.target.degree))
    y, X = small.labels(points), torch.tensor(points)
    first, *rest = small.deviations.values()
    readouts = (
        _grid(rest[0] * readout_nodes[:, 0], readout_masses, N) if rest else [(np.ones(N), 1.0)]
    )
    total = 0.0
    for flat, mass in of_weights:
        W = torch.tensor(first * flat.reshape(N, D))
        for v, share in readouts:
            f = ALPHA * small.scale * small.function(W, torch.tensor(v), X).numpy()
            total += mass * share * float(weights @ (y - f) ** 2)
    return total


def _grid(nodes: Array, masses: Array, size: int) -> list[tuple[Array, float]]:
    """Every point of the product rule of this size, with its weight."""
    places = np.stack(np.meshgrid(*[np.arange(len(nodes))] * size, indexing="ij"), -1)
    return [(nodes[i], float(masses[i].prod())) for i in places.reshape(-1, size)]


def population_loss(setting: Setting) -> Finding:
    """The derived loss of random neurons is the mean over a cubature, or over polar nodes."""
    plane = setting.plane
    W, v = plane.network(3, 5)
    expected = np.array([mean_loss(plane, W, v)])
    more = {"v": v.numpy()} if plane.trained else {}
    values = plane.of(plane.problem.symbols)
    values |= plane.of(plane.problem.inputs.symbols)
    loss = plane.problem.population_loss(W=W.numpy(), alpha=ALPHA * plane.scale, **more, **values)
    found = np.array([loss])
    control = relative((1 + PLANTED) * found, expected)
    return Finding(relative(found, expected), 1e-8, control, "3 neurons, D = 2")


def simulator(setting: Setting) -> Finding:
    """The population loss that a simulated run records is the mean over the inputs.

    At the first step, and where the readouts are fixed also at the last, whose weights it returns.
    """
    from lazyrich import simulate
    from lazyrich.simulate.activations import EPSILON

    plane = setting.plane
    W, v = plane.network(3, 8)
    described = plane.problem
    task = simulate.PolynomialTask(
        D=2,
        P=plane.P,
        n_test=1,
        seed=plane.seed,
        target=described.target,
        constants=plane.of(described.target.symbols),
        inputs=plane.values.get("Sigma"),
    )
    constants = plane.of(described.activation.symbols)
    run = simulate.train(
        task,
        alpha=ALPHA * plane.scale,
        epsilon=constants.get("epsilon", EPSILON),
        steps=20,
        engine="neurons",
        init=W,
        centred=False,
        learning_rate=_rate(plane, W, v),
        readouts=v if plane.trained else None,
        activation=described.activation,
        constants=constants,
        record=[0, 20],
        alignment=None,
    )
    weights = [W] if plane.trained else [W, run.state]
    found = run.history.population_loss.values[: len(weights)]
    expected = np.array([mean_loss(plane, neurons, v) for neurons in weights])
    control = relative((1 + PLANTED) * found, expected)
    return Finding(relative(found, expected), 1e-8, control, "3 neurons, D = 2, 20 steps")


def _rate(plane: Setting, W: torch.Tensor, v: torch.Tensor) -> float:
    """A learning rate at which descent is stable: 1/1000 of 1/K, K the kernel at |x| = 2.

    The readouts' part of it is phi^2, which may exceed the output's square by far.
    """
    inputs = 2 * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).double()
    kernel = len(W) * plane.tangent(W, v, inputs @ torch.tensor(plane.root)).square().sum(1)
    largest = float(kernel.max())
    return 1e-3 / largest if largest > 0 else 1e-3


def mean_loss(plane: Setting, W: torch.Tensor, v: torch.Tensor) -> float:
    """<(y - f)^2> at alpha = ALPHA scales, over a cubature or over polar nodes."""
    degree = plane.problem.activation.degree
    if degree is not None:
        points, weights = plane.cubature(2 * max(degree, plane.problem.target.degree))
    else:
        # A neuron changes sign where w.x = (R'w).z does, with x = R'z.
        neurons = W.numpy() @ plane.root.T
        bend = plane.bend(float(np.linalg.norm(neurons, axis=1).max()))
        points, weights = inputs_in_plane(neurons, bend)
        points = points @ plane.root
    f = ALPHA * plane.scale * plane.function(W, v, torch.tensor(points)).numpy()
    residual = f - plane.labels(points)
    return float(weights @ residual**2)


def target_powers(setting: Setting) -> Finding:
    """The powers by degree add up to <y^2> on a cubature, and degree 0 is the squared mean."""
    plane = setting.plane
    points, weights = plane.cubature(max(2 * plane.problem.target.degree, 1))
    y = plane.labels(points)
    form = plane.problem.closed_form("target-power")
    known = form.evaluate_terms(**plane.numbers(plane.problem.target.symbols))
    found = np.array([float(known["degree_0"]), float(sum(known.values()))])
    expected = np.array([(weights @ y) ** 2, weights @ y**2])
    control = relative((1 + PLANTED) * found, expected)
    return Finding(relative(found, expected), 1e-10, control, f"{len(points)} points, D = 2")


def laziness(setting: Setting) -> Finding:
    """Gradient descent leaves the kernel's prediction by an amount of order 1/alpha.

    The prediction is regression with the derived kernel of the initial neurons, step by step. The
    control is the prediction of a kernel that is 5% too small, which stays wrong at every alpha.
    Of a target that is 0 nothing is learned: the labels are then drawn.
    """
    random, is_relu = setting.generator(6), setting.problem.activation.kind == "relu"
    W, v = setting.network(setting.N, 7)
    X = y = torch.empty(0)
    # A neuron of relu that changes sign would leave a gap of order 1; where all are 0, none learns;
    # and where the labels happen to be small, the gap is rounding.
    size = setting.sizes[0] / 4 if setting.problem.target.expr != 0 else 0.0
    for _ in range(_DRAWS):
        X = random.normal(size=(setting.P, setting.D)) / np.sqrt(setting.D)
        X = torch.tensor(X @ setting.root)
        clear = not is_relu or float((W @ X.T).abs().min()) > _CLEAR
        y = torch.tensor(setting.labels(X.numpy()))
        if clear and y.square().mean() >= size**2 and bool(setting.tangent(W, v, X).any()):
            break
    if setting.problem.target.expr == 0:
        y = torch.tensor(random.normal(size=setting.P))
    tangent = setting.tangent(W, v, X)
    kernel = tangent @ tangent.T * setting.N
    # Slow enough that the control's kernel, which is 5% too small, predicts something else.
    rate = 0.1 * setting.P / (2 * float(torch.linalg.eigvalsh(kernel)[-1]) + 1e-300)
    # Large enough that no neuron moves as far as its kink, and no more: the gap nears rounding.
    alphas = (2.0**16, 2.0**18) if is_relu else (2.0**10, 2.0**12)
    # A neuron of a steep erf bends sooner, and may move so much less.
    steep = max(1.0, 1 / setting.bend(next(iter(setting.deviations.values()))))
    unit = setting.scale * 2.0 ** round(math.log2(steep))
    alphas = tuple(unit * alpha for alpha in alphas)
    gaps, wrong = [], []
    for alpha in alphas:
        trained = _descend(setting, W, v, X, y, alpha, rate)
        gaps.append(float((trained - _predicted(kernel, y, rate)).norm() / y.norm()))
        wrong.append(float((trained - _predicted(0.95 * kernel, y, rate)).norm() / y.norm()))
    if max(gaps) < 1e-9:  # the network is linear in its weights: nothing is left to fall
        return Finding(max(gaps), 1e-9, min(wrong), "the prediction is exact at every alpha")
    steps = np.log(alphas[1] / alphas[0])
    slope, control = (np.log(g[1] / g[0]) / steps for g in (gaps, wrong))
    return Finding(
        abs(slope + 1),
        0.1,
        abs(control + 1),
        f"slope {slope:.3f} of log(gap) in log(alpha), gap {gaps[0]:.1e} at alpha = {alphas[0]:g}",
    )


_STEPS = 10
_DRAWS, _CLEAR = 100, 2e-4  # of inputs on which no neuron of relu is this near to its kink


def _descend(setting: Setting, W, v, X, y, alpha: float, rate: float) -> torch.Tensor:
    """f - f_0 on the samples after full-batch descent at eta = rate N/alpha^2."""
    weights, readouts = W.clone().requires_grad_(True), v.clone()
    parameters = [weights]
    if setting.trained:
        parameters.append(readouts.requires_grad_(True))
    initial = alpha * setting.function(W, v, X).detach()

    def change() -> torch.Tensor:
        return alpha * setting.function(weights, readouts, X) - initial

    for _ in range(_STEPS):
        slopes = torch.autograd.grad((change() - y).square().mean(), parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                if slope is not None:
                    parameter -= rate * setting.N / alpha**2 * slope
    return change().detach()


def _predicted(kernel: torch.Tensor, y: torch.Tensor, rate: float) -> torch.Tensor:
    f = torch.zeros_like(y)
    for _ in range(_STEPS):
        f = f - rate * 2 / len(y) * kernel @ (f - y)
    return f


Attack = Callable[[Setting], Finding]
