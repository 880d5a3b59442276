"""Claims of Kumar et al. 2024 on lazy training and its rates: Sec. 1, 4.1, App. 8.1."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st

from lazyrich.simulate import DivergenceError, PolynomialTask, train
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.network import ntk_normalised, predictions
from lazyrich.simulate.neurons import network as forward
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.theory import closed_form
from lazyrich.verify import strategies as given
from lazyrich.verify.certificates.population import CERTIFICATES
from lazyrich.verify.certificates.width import CERTIFICATES as AT_INIT
from lazyrich.verify.evidence import attach, attacked, evidence, proof
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import closed_form_function
from lazyrich.verify.properties import dynamics as properties_dynamics
from lazyrich.verify.small_runs import Setting, curves, with_error
from lazyrich.verify.statistics import DRAWS, in_most, mean_is, mostly, slope_is
from lazyrich.verify.tolerances import assert_close


def _linear_model(seed: int, samples: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(W0 of 4 neurons in 3 dimensions, X, y) with more weights than samples."""
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((4, 3)), rng.standard_normal((samples, 3))
    y = rng.standard_normal(samples)
    return torch.from_numpy(W), torch.from_numpy(X), torch.from_numpy(y)


def _gradients(X: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """grad f(x_mu) at W, one row a sample."""

    def outputs(weights: torch.Tensor) -> torch.Tensor:
        return forward(X, weights, alpha=1.0, epsilon=0.5)

    return torch.func.jacrev(outputs)(W).flatten(1)  # pyright: ignore


def _leaves_the_span(seed: int, loss: str, linearised: bool) -> float:
    """Descend on any loss; the share of w - w0 off the span of the initial gradients."""
    W, X, y = _linear_model(seed)
    slopes = _gradients(X, W)
    start = forward(X, W, alpha=1.0, epsilon=0.5)
    moved = torch.zeros(W.numel(), dtype=W.dtype)
    for _ in range(30):
        v = moved.clone().requires_grad_()
        at = W + v.reshape(W.shape)
        f = start + slopes @ v if linearised else forward(X, at, alpha=1.0, epsilon=0.5)
        r = f - y
        losses = {
            "square": r.square(),
            "fourth power": r**4,
            "logistic": (1 + (-f * y).exp()).log(),
        }
        (slope,) = torch.autograd.grad(losses[loss].mean().clamp(max=1e3), v)
        moved = moved - 0.02 * slope / slope.norm().clamp(min=1.0)
    basis, _ = torch.linalg.qr(slopes.T)
    off = moved - basis @ (basis.T @ moved)
    # Projecting costs about as many roundings as there are entries in the basis.
    return assert_close(
        float(off.norm()),
        0.0,
        magnitude=float(moved.norm()) + 1e-300,
        operations=40 * basis.numel(),
    )


def _limit_is_kernel_regression(seed: int, samples: int, of_residual: bool = True) -> float:
    """The limit of linearised descent against f0 + k(x) K^+ (y - f0), K from autograd."""
    W, X, y = _linear_model(seed, samples)
    points = torch.from_numpy(np.random.default_rng(seed + 1).standard_normal((4, 3)))
    numbers = {"alpha": 1.0, "epsilon": 0.5}
    start = PseudoNeurons.from_weights(W)
    lazy = LinearisedDescent(start, X, y, learning_rate=0.1, centred=False, **numbers)
    limit = predictions(points, *lazy.moments(float("inf")), **numbers)
    of_train, of_points = _gradients(X, W), _gradients(points, W)
    K = of_train @ of_train.T
    inverse = torch.linalg.pinv(K, hermitian=True, rtol=len(X) * 2.0**-52)
    at_train, at_points = forward(X, W, **numbers), forward(points, W, **numbers)
    target = y - at_train if of_residual else y
    weights = inverse @ target
    claimed = (at_points if of_residual else 0.0) + of_points @ (of_train.T @ weights)
    sizes = torch.linalg.eigvalsh(K)
    kept = sizes[sizes > len(X) * 2.0**-52 * sizes[-1]]
    magnitude = float(of_points.norm() * of_train.norm() * target.norm() / kept[0])
    condition = float(kept[-1] / kept[0])
    return assert_close(
        limit, claimed, magnitude=magnitude * condition, operations=400, label="limit"
    )


def _ridge_losses(seed: int, P: int, D: int = 16) -> tuple[float, float]:
    """The test loss of kernel regression: in the limit of no ridge, and with the best ridge."""
    task = PolynomialTask(D=D, P=P, n_test=4000, seed=seed)
    zero, eye = torch.zeros(D, dtype=torch.float64), torch.eye(D, dtype=torch.float64)
    K = ntk_normalised(task.X, task.X, zero, eye, epsilon=0.1)
    k = ntk_normalised(task.X_test, task.X, zero, eye, epsilon=0.1)
    values, vectors = torch.linalg.eigh(K)
    losses = []
    for ridge in [1e-12, *np.logspace(-6, 1, 29)]:
        weights = vectors @ ((vectors.T @ task.y) / (values + float(ridge * values[-1])))
        losses.append(float((k @ weights - task.y_test).square().mean()))
    return losses[0], min(losses)


_losses = st.sampled_from(["square", "fourth power", "logistic"])


attach(
    "sec-1-subspace",
    attacked(
        "three losses: no part of w - w0 is off the span; of the network itself, some is",
        lambda seed, loss: _leaves_the_span(seed, loss, linearised=True),
        (given.seeds(), _losses),
        lambda seed, loss: _leaves_the_span(seed, loss, linearised=False),
        share=0.4,
    ),
)


_kernel_regression_sizes = st.integers(2, 10)


attach(
    "sec-1-kernel-regression",
    attacked(
        "the limit is f0 + k K^+ (y - f0); without f0 it is rejected",
        _limit_is_kernel_regression,
        (given.seeds(), _kernel_regression_sizes),
        lambda seed, P: _limit_is_kernel_regression(seed, P, of_residual=False),
    ),
)


@evidence(
    "fig-1-kernel-regression-line",
    "measured",
    "at P = 5.5 D regression without ridge is within 10% of the best, at P = D not",
    control={"P": 16},
)
def best_kernel_regression(budget: Budget, P: int = 88) -> str:
    pairs = np.array([_ridge_losses(budget.seed + i, P) for i in range(DRAWS)])
    ratio = pairs[:, 0] / pairs[:, 1]
    line = f"loss without ridge over that with the best, P = {P / 16:g} D: {with_error(ratio)}"
    return in_most(f"{line}: below 1.1", ratio < 1.1)


_infinite_data_sizes = np.array([128.0, 512.0, 2048.0])


_GROUP = 12  # seeds, whose root mean square gap is one draw


def _gap_slopes(first: int, count: int) -> np.ndarray:
    """Exponents of the largest gap along a run over P, of the draws first, first + 1, ..."""
    gaps = []
    for P in _infinite_data_sizes:
        rows = {"first_seed": _GROUP * first, "seeds": _GROUP * count, "dimension": 4, "steps": 20}
        found = curves((Setting(learning_rate=0.5),), P=int(P), **rows)
        apart = (found.train[:, 0] - found.test[:, 0]) ** 2
        gaps.append(np.sqrt(apart.max(-1).reshape(count, _GROUP).mean(1)))
    return np.polyfit(np.log(_infinite_data_sizes), np.log(gaps), 1)[0]


def _infinite_data_planted():
    cf = closed_form("population-step")
    return replace(cf, components=dict(cf.components) | {"g": 2 * cf.components["g"]})


attach(
    "sec-1-infinite-data",
    proof(
        "with infinitely many samples a step is a gradient step of the population loss",
        CERTIFICATES["population-step"],
        lambda: closed_form("population-step"),
        _infinite_data_planted,
    ),
)


@evidence(
    "sec-1-infinite-data",
    "measured",
    "at P samples the two losses differ by P^(-1/2) along the whole run",
    control={"expected": -1.0},
)
def infinite_data(budget: Budget, expected: float = -0.5) -> str:
    what = "exponent of the largest |train - test| loss over a run, over P"
    return mean_is(what, _gap_slopes, budget.seed, expected, smallest=0.3)


def _without_width(*, N, alpha, **known):  # noqa: ARG001
    return closed_form_function("early-dynamics")(**known) / N


attach(
    "sec-8.1-early-training",
    attacked(
        "at eta_0 N/alpha^2, f moves by -2 r K by each sample, at any alpha and N; "
        "at eta_0/alpha^2 it doesn't",
        properties_dynamics.f_moves_at_the_speed_of_the_kernel,
        (given.networks(), given.seeds()),
        lambda network, seed: properties_dynamics.f_moves_at_the_speed_of_the_kernel(
            network, seed, _without_width
        ),
    ),
)


@evidence(
    "sec-8.1-early-training",
    "measured",
    "the centred predictor's first step; the plain one's is another for each alpha",
    control={"centred": False},
)
def first_moves(budget: Budget, centred: bool = True) -> str:
    """The first step of f on the training set at alpha from 1/4 to 64, same eta_0."""
    alphas = (0.25, 1.0, 8.0, 64.0)
    settings = tuple(Setting(alpha=a, learning_rate=1e-6) for a in alphas)
    found = curves(settings, centred=centred, steps=1, first_seed=budget.seed, seeds=4)
    moves = []
    for i, row in enumerate(found.tasks):
        for j, (task, s) in enumerate(zip(row, settings, strict=True)):
            change = (
                found.wbar[i, j, 1] - found.wbar[i, j, 0],
                found.M[i, j, 1] - found.M[i, j, 0],
            )
            f = predictions(task.X, *change, alpha=s.alpha, epsilon=s.epsilon)
            moves.append(float(f.norm()) / 1e-6)
    speeds = np.array(moves).reshape(len(found.tasks), -1)
    spread = float((speeds.max(1) / speeds.min(1)).max())
    line = f"speeds of f at alpha = 1/4 to 64 agree within a factor {spread:.6f}"
    # The step leaves terms of its own size, 1e-6 times at most 1/alpha times the weights.
    assert spread < 1 + 1e-3, f"not kept: {line}"
    return line


def _fate(alpha: float, rescaled: bool, seed: int) -> float:
    """The final train loss over the first at one eta for all alpha, or at eta ~ 1/alpha^2."""
    task = PolynomialTask(D=8, P=30, n_test=1, seed=seed)
    rate = 1.0 if rescaled else alpha**2
    options = {"width": float("inf"), "centred": True, "alignment": None, "steps": 500}
    options["engine"] = "moments"
    try:
        run = train(task, alpha=alpha, epsilon=0.25, learning_rate=rate, **options)
    except DivergenceError:
        return float("inf")
    return float(run.history.train_loss[-1] / run.history.train_loss[0])


@evidence(
    "sec-8.1-wrong-learning-rates",
    "measured",
    "train loss after 500 steps at alpha = 1/99, 1, 99 with one eta; with eta ~ 1/alpha^2 the "
    "largest alpha trains",
    control={"rescaled": True},
)
def wrong_learning_rates(budget: Budget, rescaled: bool = False) -> str:
    def suffers(first: int, count: int) -> np.ndarray:
        draws = [[_fate(a, rescaled, first + i) for a in (1 / 99, 1.0, 99.0)] for i in range(count)]
        small, middle, large = np.array(draws).T
        return (small > 0.5) & (middle < 0.2) & ~(large < 1)

    return mostly("only the middle alpha trains", suffers, budget.seed)


_alphas = np.array([16.0, 64.0, 256.0])


def _no_instability_planted():
    cf = closed_form("loss-at-init")
    return replace(cf, terms=dict(cf.terms) | {"linear": cf.terms["linear"] * 2})


attach(
    "sec-8.1-no-instability",
    proof(
        "the plain predictor's initial loss grows as alpha^2 sigma^2/N and "
        "alpha^2 epsilon^2 sigma^4/4",
        AT_INIT["loss-at-init"],
        lambda: closed_form("loss-at-init"),
        _no_instability_planted,
    ),
    part="loss",
)


@evidence(
    "sec-8.1-no-instability",
    "measured",
    "the centred predictor starts at <y^2> for every alpha, the plain one doesn't",
    control={"centred": False},
    part="loss",
)
def initial(budget: Budget, centred: bool = True) -> str:
    settings = tuple(Setting(alpha=a) for a in _alphas)

    def sample(first: int, count: int) -> np.ndarray:
        how = {"first_seed": first, "seeds": count, "width": 50}
        return curves(settings, centred=centred, steps=1, **how).test[:, :, 0]

    return slope_is("initial loss over alpha", _alphas, sample, budget.seed, 0.0)


@evidence(
    "sec-8.1-no-instability",
    "measured",
    "at eta_0 = 2 the train loss falls at alpha = 1 to 4096, centred and plain; at 16 neither",
    control={"rate": 16.0},
    part="steps",
)
def stable(budget: Budget, rate: float = 2.0) -> str:
    settings = tuple(Setting(alpha=a, learning_rate=rate) for a in (1.0, 16.0, 256.0, 4096.0))
    lines = []
    for centred in (True, False):
        options = {"steps": 300, "width": 100, "centred": centred, "first_seed": budget.seed}
        train = curves(settings, **options).train
        falls = np.all(train[:, :, -1] < train[:, :, 0], axis=1)
        what = f"eta_0 = {rate:g}, {'centred' if centred else 'plain'}: every alpha trains"
        lines.append(in_most(what, falls))
    return "; ".join(lines)
