"""Evidence on statements of figures and sections: Fig. 3b, 5, 11, Sec. 6.1, App. 12."""

import math
from functools import lru_cache

import numpy as np
import sympy as sp

from lazyrich.simulate import PolynomialTask, train
from lazyrich.theory.symbols import alpha, epsilon
from lazyrich.verify.evidence import evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.statistics import (
    Array,
    Sample,
    each,
    mean_is,
    mostly,
    slope_is,
)

D, P = 16, 60


def _plateau(task: PolynomialTask, curvature: float) -> float:
    """Train loss over <y^2> of lazy flow at infinite width, when the linear functions are fitted.

    That is after three times the time of the slowest of them.
    """
    X, y = task.X.numpy(), task.y.numpy()
    inner = X @ X.T
    values, V = np.linalg.eigh(inner + curvature**2 * inner**2)
    slowest = np.linalg.eigvalsh(X.T @ X)[0]
    residual = np.exp(-3 * values / slowest) * (V.T @ y)
    return float((residual**2).mean() / (y**2).mean())


def _least_squares(task: PolynomialTask) -> float:
    X, y = task.X.numpy(), task.y.numpy()
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return float((residual**2).mean() / (y**2).mean())


def _over_least_squares(curvature: float, first: int, count: int) -> Array:
    tasks = [PolynomialTask(D=D, P=P, n_test=1, seed=first + k) for k in range(count)]
    return np.array([_plateau(task, curvature) / _least_squares(task) for task in tasks])


@evidence(
    "fig-3b-linearised-solution",
    "measured",
    "the plateau over least squares at epsilon = 0.0025 and 0.02: within 3%; not at 0.25",
    control={"curvatures": (0.0025, 0.25)},
    part="small",
)
def same_plateau(budget: Budget, curvatures: tuple[float, ...] = (0.0025, 0.02)) -> str:
    def near(first: int, count: int) -> Array:
        ratios = np.stack([_over_least_squares(e, first, count) for e in curvatures])
        return np.all(abs(ratios - 1) < 0.03, axis=0)

    what = f"epsilon = {curvatures}: the train loss of lazy flow is within 3% of least squares"
    return mostly(what, near, budget.seed)


@evidence(
    "fig-3b-linearised-solution",
    "measured",
    "at epsilon = 1/4 and 1 the loss falls further by then; at 0.0025 it doesn't",
    control={"curvatures": (0.0025, 1.0)},
    part="large",
)
def lower_plateau(budget: Budget, curvatures: tuple[float, float] = (0.25, 1.0)) -> str:
    def lower(first: int, count: int) -> Array:
        some, much = (_over_least_squares(e, first, count) for e in curvatures)
        return (some < 0.9) & (much < 0.5 * some)

    return mostly(f"epsilon = {curvatures}: below least squares", lower, budget.seed)


@evidence(
    "fig-5-inputs",
    "derived",
    "f at sqrt(D) x is f at x with alpha sqrt(D), epsilon sqrt(D); not with alpha D",
    control={"doubled": 2},
)
def inputs_of_other_scale(doubled: int = 1) -> str:
    """One neuron is enough: both parts of f are homogeneous in x."""
    h, d = sp.Symbol("h", real=True), sp.Symbol("D", positive=True)

    def f(a: sp.Expr, e: sp.Expr, pre: sp.Expr) -> sp.Expr:
        return a * (pre + e / 2 * pre**2)

    scaled = f(alpha, epsilon, sp.sqrt(d) * h)
    difference = sp.expand(scaled - f(alpha * sp.sqrt(d**doubled), epsilon * sp.sqrt(d), h))
    assert difference == 0, f"off by {difference}"
    return "alpha phi(sqrt(D) h) is alpha sqrt(D) phi'(h) with epsilon sqrt(D) in phi'"


@lru_cache(maxsize=128)
def _with_readouts(seed: int) -> dict[str, Array]:
    """Terms of the population loss over <y^2>, N = 100, weights and readouts trained."""
    run = train(
        PolynomialTask(D=D, P=P, n_test=1, seed=seed),
        alpha=1.0,
        epsilon=0.1,
        width=100,
        readouts="gaussian",
        engine="neurons",
        centred=False,
        learning_rate=0.2,
        steps=1500,
        seed=seed,
        alignment=None,
    )
    names = ("population_loss", "linear", "misalignment")
    return {name: run.history[name].values / 0.75 for name in names}


@evidence(
    "fig-11",
    "measured",
    "rise of the linear term to the peak of the test loss, over that of the loss; not of the "
    "misalignment term",
    control={"term": "misalignment"},
    part="linear",
)
def rise_is_linear(budget: Budget, term: str = "linear") -> str:
    def due(first: int, count: int) -> Array:
        shares = []
        for run in map(_with_readouts, range(first, first + count)):
            loss = run["population_loss"]
            peak = loss.argmax()
            shares.append(run[term][peak] - run[term][0] >= loss[peak] - loss[0] > 0.02)
        return np.array(shares)

    return mostly(
        f"the {term} term rises by as much as the test loss, above 0.02", due, budget.seed
    )


@evidence(
    "fig-11",
    "measured",
    "misalignment over its start at the peak of the test loss and at the end; at the end it is "
    "not near its start",
    control={"at_the_end": True},
    part="later",
)
def aligns_later(budget: Budget, at_the_end: bool = False) -> str:
    def share(draw: int, at_peak: bool) -> float:
        """The misalignment over its start, at the peak or at the end."""
        run = _with_readouts(draw)
        misalignment = run["misalignment"]
        return misalignment[run["population_loss"].argmax() if at_peak else -1] / misalignment[0]

    def shares(first: int, count: int, at_peak: bool) -> Array:
        return np.array([share(draw, at_peak) for draw in range(first, first + count)])

    near = mostly(
        "misalignment above 0.85 of its start at the peak",
        lambda first, count: shares(first, count, not at_the_end) > 0.85,
        budget.seed,
    )
    fallen = mostly(
        "below 0.7 of it at the end",
        lambda first, count: shares(first, count, False) < 0.7,
        budget.seed,
    )
    return f"{near}; {fallen}"


@evidence(
    "sec-12-initial-moments",
    "measured",
    "N |wbar|^2/D, 1 at mean-zero readouts and weights; at means of 0.3 not",
    control={"mean": 0.3},
    part="first",
)
def no_first_moment(budget: Budget, mean: float = 0.0) -> str:
    N, D = 100, 6

    def size(first: int, count: int) -> Array:
        found = []
        for seed in range(first, first + count):
            rng = np.random.default_rng(seed)
            W, v = mean + rng.normal(size=(N, D)), mean + rng.normal(size=N)
            found.append(N * np.sum((v @ W / N) ** 2) / D)
        return np.array(found)

    # The planted means spread it: 32 draws show by how much.
    return mean_is("N |wbar|^2/D", size, budget.seed, 1.0, smallest=0.5, pilot=32, most=4096)


def _fall(extra: float) -> Sample:
    """|M| at mean-zero readouts, at each of ``_WIDTHS``, times N^extra: (count, widths)."""

    def size(draw: int, N: float) -> float:
        rng = np.random.default_rng([draw, int(N)])
        W, v = rng.normal(size=(int(N), 6)), rng.normal(size=int(N))
        return N**extra * float(np.linalg.norm((W.T * v) @ W / N))

    return each(size, _WIDTHS)


_WIDTHS = (100, 1000, 10_000)


@evidence(
    "sec-12-initial-moments",
    "measured",
    "|M| at mean-zero readouts goes as N^(-1/2), not as N^(-1/4)",
    control={"extra": 0.25},
    part="second",
)
@evidence(
    "sec-12-initial-moments",
    "measured",
    "|M| at mean-zero readouts goes as N^(-1/2), not as N^(-1)",
    control={"extra": -0.5},
    part="second",
)
def no_second_moment(budget: Budget, extra: float = 0.0) -> str:
    x = np.array(_WIDTHS, dtype=float)
    return slope_is("|M| over log N", x, _fall(extra), budget.seed, -0.5, smallest=0.25)


@evidence(
    "sec-12-initial-moments",
    "measured",
    "both layers' kernel of 100 neurons is eq. (23) in the mean; with weights of mean 1/2 it isn't",
    control={"mean": 0.5},
    part="kernel",
)
def kernel_with_readouts(budget: Budget, mean: float = 0.0) -> str:
    """At epsilon = 1/2, x = e_1, x' = (e_1 + e_2)/sqrt(2); the readouts' mean is not needed."""
    N, curvature, readouts = 100, 0.5, 0.6
    inner = math.sqrt(0.5)
    eq_23 = 2 * inner + 1.5 * curvature**2 * inner**2 + curvature**2 / 4

    def ratio(first: int, count: int) -> Array:
        found = []
        for seed in range(first, first + count):
            rng = np.random.default_rng(seed)
            W = mean + rng.normal(size=(N, 2))
            v = readouts + math.sqrt(1 - readouts**2) * rng.normal(size=N)
            h = np.array([W[:, 0], (W[:, 0] + W[:, 1]) * inner])
            slope, output = 1 + curvature * h, h + curvature / 2 * h**2
            found.append(np.mean(v**2 * slope.prod(0) * inner + output.prod(0)) / eq_23)
        return np.array(found)

    return mean_is("kernel over eq. (23)", ratio, budget.seed, 1.0, smallest=0.2, most=4096)
