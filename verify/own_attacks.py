"""The attacks on a user's problem: each compares the theory with what does not share its code.

Every attack has a control, the nearest wrong statement, that it must reject. Networks are evaluated
by torch, derivatives taken by autograd, means by quadrature.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lazyrich.verify.cubature import gauss_hermite

if TYPE_CHECKING:
    from lazyrich.theory import Problem

Array = np.ndarray
_PLANTED = 1e-3  # the relative error of the wrong statements that have no nearer form


@dataclass(frozen=True)
class Setting:
    """A problem with numbers: dimension, samples, width, and values of its symbols."""

    problem: "Problem"
    D: int
    P: int
    N: int
    seed: int
    values: dict[str, Any]

    def generator(self, stream: int) -> np.random.Generator:
        """Return a random generator of its own for each attack."""
        return np.random.default_rng([self.seed, stream])

    @property
    def trained(self) -> bool:
        """Whether the readouts are trained."""
        return self.problem.readouts == "trained"

    @property
    def deviations(self) -> dict[str, float]:
        """The standard deviations of the initial weights, 1 unless given."""
        names = ("sigma_w", "sigma_v") if self.trained else ("sigma",)
        return {name: self.values.get(name, 1.0) for name in names}

    def of(self, names: Any) -> dict[str, Any]:
        """Return the values of some symbols."""
        return {name: self.values[name] for name in names}

    def numbers(self, names: Any) -> dict[str, Any]:
        """The same as plain numbers and lists, with D, and Sigma where the inputs have it."""
        found = self.of([*names, *self.problem.inputs.symbols])
        plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in found.items()}
        return {"D": self.D, **plain}

    def phi(self, h: torch.Tensor) -> torch.Tensor:
        """Return the activation at h, from its definition."""
        activation = self.problem.activation
        own = self.of(activation.symbols)
        if activation.kind == "polynomial":
            total = torch.zeros_like(h)
            for coefficient in reversed(activation.coefficients(**own)):
                total = total * h + coefficient
            return total
        factor, slope = activation.scale(**own)
        return factor * (torch.erf if activation.kind == "erf" else torch.relu)(slope * h)

    def labels(self, X: Array) -> Array:
        """Return the target at the rows of X."""
        return self.problem.target.labels(X, **self.of(self.problem.target.symbols))

    @property
    def root(self) -> Array:
        """The R of x = R z for z ~ N(0, I/D): the unit matrix unless the inputs have a Sigma."""
        if self.problem.inputs.isotropic:
            return np.eye(self.D)
        return np.linalg.cholesky(self.D * np.asarray(self.values["Sigma"])).T

    def cubature(self, degree: int) -> tuple[Array, Array]:
        """Return points and weights, exact for polynomials of that degree in the inputs."""
        points, weights = gauss_hermite(self.D, degree)
        return points @ self.root, weights

    def of_size(self, D: int, stream: int) -> "Setting":
        """The problem in D dimensions, with other vectors and matrices of that size."""
        random, values = self.generator(stream), dict(self.values)
        for name, symbol in self.problem.target.symbols.items():
            if shape := getattr(symbol, "shape", None):
                values[name] = random.normal(size=(D,) if shape[1] == 1 else (D, D))
        if not self.problem.inputs.isotropic:
            values["Sigma"] = drawn_covariance(D, random)
        return replace(self, D=D, values=values)

    def network(self, width: int, stream: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return initial weights (N, D) and readouts (N,)."""
        random = self.generator(stream)
        first, *rest = self.deviations.values()
        W = torch.tensor(first * random.normal(size=(width, self.D)))
        v = (
            torch.tensor(rest[0] * random.normal(size=width))
            if rest
            else torch.ones(width).double()
        )
        return W, v

    def function(self, W: torch.Tensor, v: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Return (1/N) sum_i v_i phi(w_i.x) at the rows of X, without alpha."""
        return self.phi(X @ W.T) @ v / W.shape[0]

    def tangent(self, W: torch.Tensor, v: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Return the derivatives of the function in all trained weights, (P, parameters)."""
        trained = (0, 1) if self.trained else (0,)
        slopes = torch.func.jacrev(lambda W, v: self.function(W, v, X), trained)(W, v)
        return torch.cat([slope.reshape(X.shape[0], -1) for slope in slopes], dim=1)


@dataclass(frozen=True)
class Finding:
    """What one attack found: the error, what it may be, and the error of the wrong statement."""

    error: float
    allowed: float
    control: float
    detail: str

    @property
    def holds(self) -> bool:
        """Whether the statement held."""
        return bool(self.error <= self.allowed)

    @property
    def control_rejected(self) -> bool:
        """Whether the wrong statement was told apart."""
        return bool(self.control > self.allowed)


def drawn_covariance(D: int, random: np.random.Generator) -> Array:
    """A random covariance, of order I/D and well conditioned."""
    factor = random.normal(size=(D, D)) / np.sqrt(D)
    return (factor @ factor.T + np.eye(D)) / D


def relative(found: Array, expected: Array) -> float:
    scale = np.abs(expected).max()
    return float(np.abs(found - expected).max() / scale) if scale else float(np.abs(found).max())


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
    control = relative((1 + _PLANTED) * found, expected)
    return Finding(error, 1e-10, control, f"6 inputs, {setting.N} neurons")


def _plane(setting: Setting, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """w.x and w.x' on a polar rule for w in the plane of x and x', and weights adding up to 1."""
    deviation = next(iter(setting.deviations.values()))
    length = np.linalg.norm(a)
    along = a @ b / length
    across = np.sqrt(max(b @ b - along**2, 0.0))
    # The angles at which w.x or w.x' changes sign are where relu has its kinks.
    turn = np.arctan2(-along, across) if across else np.pi / 2
    edges = np.array([np.pi / 2, -np.pi / 2, turn, turn + np.pi, 0.0])
    edges = np.unique(np.mod(edges, 2 * np.pi))
    edges = np.append(edges, 2 * np.pi)
    nodes, masses = np.polynomial.legendre.leggauss(48)
    radii, weights = 7 * (nodes + 1), 7 * masses
    weights = weights * radii * np.exp(-(radii**2) / 2) / (2 * np.pi)
    half = np.diff(edges)[:, None] / 2
    angles = (edges[:-1, None] + half * (nodes + 1)).ravel()
    mass = (half * masses).ravel()[:, None] * weights
    first = radii * np.cos(angles)[:, None]
    second = radii * np.sin(angles)[:, None]
    return deviation * length * first, deviation * (along * first + across * second), mass


def kernel_at_init(setting: Setting) -> Finding:
    """The derived kernel at initialisation is the mean over one neuron's weights, by quadrature."""
    X = setting.generator(3).normal(size=(4, setting.D))
    readout = setting.deviations.get("sigma_v", 1.0)
    expected = np.zeros((4, 4))
    for i, j in np.ndindex(4, 4):
        u, v, mass = _plane(setting, X[i], X[j])
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
    return Finding(error, 1e-7, relative((1 + _PLANTED) * found, expected), "4 inputs")


def kernel_matrix(setting: Setting, X: Array, Z: Array | None = None) -> Array:
    """Return the derived kernel at initialisation at the rows of X and Z."""
    Z = X if Z is None else Z
    kernel = setting.problem.closed_form("ntk-at-init").function("numpy")
    values = setting.of(setting.problem.activation.symbols) | setting.deviations
    return kernel(x=X[:, None], x_prime=Z[None, :], **values) + np.zeros((len(X), len(Z)))


def spectrum(setting: Setting) -> Finding:
    """Eigenvalues as often as their multiplicities say, and no others, on an exact cubature."""
    degree = setting.problem.activation.degree
    assert degree is not None
    worst, control, sizes = 0.0, np.inf, []
    values: dict[str, Any] = setting.of(setting.problem.activation.symbols) | setting.deviations
    for D in (1, 2, 3):
        points, weights = gauss_hermite(D, 2 * degree)
        root = np.sqrt(weights)
        table = root[:, None] * kernel_matrix(setting, points) * root
        expected = np.linalg.eigvalsh(table)[::-1]
        spaces = setting.problem.spectrum(D=D, **values).spaces
        padded = np.zeros_like(expected)
        numbers = np.repeat([s.value for s in spaces], [s.multiplicity for s in spaces])
        padded[: len(numbers)] = numbers
        worst = max(worst, relative(padded, expected))
        if len(numbers):
            # The control has the smallest eigenvalue once less: it is the hardest to tell.
            shorter = padded.copy()
            shorter[len(numbers) - 1] = 0.0
            control = min(control, relative(shorter, expected))
        sizes.append(f"{len(numbers)} at D = {D}")
    return Finding(worst, 1e-11, control, f"eigenvalues: {', '.join(sizes)}")


def power_on_spectrum(setting: Setting) -> Finding:
    """<y K y> and <y K^2 y> on a product rule in the plane, against eigenvalues and powers."""
    plane = in_two_dimensions(setting)
    radii2, masses = np.polynomial.legendre.leggauss(40)
    radii, masses = 4 * (radii2 + 1), 4 * masses
    masses = masses * radii * np.exp(-(radii**2) / 2)
    angles = 2 * np.pi * (np.arange(64) + 0.5) / 64
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = (radii[:, None, None] * directions / np.sqrt(2)).reshape(-1, 2)
    weights = np.repeat(masses / 64, 64)
    y = plane.labels(points)
    table = kernel_matrix(plane, points)
    values: dict[str, Any] = plane.of(plane.problem.symbols) | plane.deviations
    found = plane.problem.spectrum(D=2, highest=20, **values)
    # The scale is that of the largest eigenvalue on all of y; the control moves 10% of y there.
    largest, square = found.spaces[0].value, weights @ y**2
    image, errors = y, []
    for power in (1, 2):
        image = table @ (weights * image)
        ours = sum(s.power * s.value**power for s in found.spaces)
        errors.append((ours - weights @ (y * image)) / (square * largest**power))
    control = max(abs(error + 0.1) for error in errors)
    detail = f"D = 2, quadrature error of the eigenvalues {found.error:.0e}"
    return Finding(max(map(abs, errors)), 0.02, control, detail)


def in_two_dimensions(setting: Setting) -> Setting:
    """The problem in the plane, with other vectors and matrices of that size."""
    return setting.of_size(2, stream=4)


def population_loss(setting: Setting) -> Finding:
    """The derived loss of random neurons is the mean over a cubature, or over polar nodes."""
    plane = in_two_dimensions(setting)
    W, v = plane.network(3, 5)
    expected = np.array([_mean_loss(plane, W, v)])
    more = {"v": v.numpy()} if plane.trained else {}
    values = plane.of(plane.problem.symbols)
    values |= plane.of(plane.problem.inputs.symbols)
    found = np.array([plane.problem.population_loss(W=W.numpy(), alpha=1.5, **more, **values)])
    control = relative((1 + _PLANTED) * found, expected)
    return Finding(relative(found, expected), 1e-8, control, "3 neurons, D = 2")


def simulator(setting: Setting) -> Finding:
    """The population loss that a simulated run records is the mean over the inputs.

    At the first step, and where the readouts are fixed also at the last, whose weights it returns.
    """
    from lazyrich import simulate
    from lazyrich.simulate.activations import EPSILON

    plane = in_two_dimensions(setting)
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
        alpha=1.5,
        epsilon=constants.get("epsilon", EPSILON),
        steps=20,
        engine="neurons",
        init=W,
        centred=False,
        learning_rate=1e-3,
        readouts=v if plane.trained else None,
        activation=described.activation,
        constants=constants,
        record=[0, 20],
        alignment=None,
    )
    weights = [W] if plane.trained else [W, run.state]
    found = run.history.population_loss.values[: len(weights)]
    expected = np.array([_mean_loss(plane, neurons, v) for neurons in weights])
    control = relative((1 + _PLANTED) * found, expected)
    return Finding(relative(found, expected), 1e-8, control, "3 neurons, D = 2, 20 steps")


def _mean_loss(plane: Setting, W: torch.Tensor, v: torch.Tensor) -> float:
    """<(y - f)^2> at alpha = 1.5, over a cubature or over polar nodes."""
    degree = plane.problem.activation.degree
    if degree is not None:
        points, weights = plane.cubature(2 * max(degree, plane.problem.target.degree))
    else:
        # A neuron changes sign where w.x = (R'w).z does, with x = R'z.
        points, weights = _polar_rule(W.numpy() @ plane.root.T)
        points = points @ plane.root
    residual = 1.5 * plane.function(W, v, torch.tensor(points)).numpy() - plane.labels(points)
    return float(weights @ residual**2)


def _polar_rule(W: Array) -> tuple[Array, Array]:
    """Points in the plane and weights of N(0, I/2), cut where a neuron changes sign."""
    kinks = np.arctan2(W[:, 1], W[:, 0])[:, None] + [np.pi / 2, -np.pi / 2]
    edges = np.unique(np.append(np.mod(kinks, 2 * np.pi), [0.0, 2 * np.pi]))
    nodes, masses = np.polynomial.legendre.leggauss(60)
    radii = 6 * (nodes + 1)
    radial = 6 * masses * radii * np.exp(-(radii**2) / 2) / (2 * np.pi)
    half = np.diff(edges)[:, None] / 2
    angles = (edges[:-1, None] + half * (nodes + 1)).ravel()
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = (radii * directions[:, :, None]).transpose(0, 2, 1).reshape(-1, 2) / np.sqrt(2)
    return points, ((half * masses).ravel()[:, None] * radial).ravel()


def target_powers(setting: Setting) -> Finding:
    """The powers by degree add up to <y^2> on a cubature, and degree 0 is the squared mean."""
    plane = in_two_dimensions(setting)
    points, weights = plane.cubature(max(2 * plane.problem.target.degree, 1))
    y = plane.labels(points)
    form = plane.problem.closed_form("target-power")
    known = form.evaluate_terms(**plane.numbers(plane.problem.target.symbols))
    found = np.array([float(known["degree_0"]), float(sum(known.values()))])
    expected = np.array([(weights @ y) ** 2, weights @ y**2])
    control = relative((1 + _PLANTED) * found, expected)
    return Finding(relative(found, expected), 1e-10, control, f"{len(points)} points, D = 2")


def laziness(setting: Setting) -> Finding:
    """Gradient descent leaves the kernel's prediction by an amount of order 1/alpha.

    The prediction is regression with the derived kernel of the initial neurons, step by step. The
    control is the prediction of a kernel that is 5% too small, which stays wrong at every alpha.
    Of a target that is 0 nothing is learned: the labels are then drawn.
    """
    random, is_relu = setting.generator(6), setting.problem.activation.kind == "relu"
    W, v = setting.network(setting.N, 7)
    X = torch.empty(0)
    for _ in range(_DRAWS):  # a neuron of relu that changes sign would leave a gap of order 1
        X = random.normal(size=(setting.P, setting.D)) / np.sqrt(setting.D)
        X = torch.tensor(X @ setting.root)
        if not is_relu or float((W @ X.T).abs().min()) > _CLEAR:
            break
    y = torch.tensor(setting.labels(X.numpy()))
    if setting.problem.target.expr == 0:
        y = torch.tensor(random.normal(size=setting.P))
    tangent = setting.tangent(W, v, X)
    kernel = tangent @ tangent.T * setting.N
    # Slow enough that the control's kernel, which is 5% too small, predicts something else.
    rate = 0.1 * setting.P / (2 * float(torch.linalg.eigvalsh(kernel)[-1]) + 1e-300)
    # Large enough that no neuron moves as far as its kink, and no more: the gap nears rounding.
    alphas = (2.0**16, 2.0**18) if is_relu else (2.0**10, 2.0**12)
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
