"""Claims of Kumar et al. 2024 on when grokking arises: Abstract, Fig. 3, 4, Sec. 14, 15.1, 17.

Measured on small runs (``small_runs``) at D = 16; "falls" as in ``grokking``.
"""

import numpy as np
import torch
from sympy import ZZ
from sympy.polys.matrices import DomainMatrix

from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.network import predictions
from lazyrich.simulate.outcome import SHARE, settled_at
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.theory import closed_form
from lazyrich.verify.evidence import evidence
from lazyrich.verify.kumar.grokking import delays, from_linearised
from lazyrich.verify.ledger import Budget
from lazyrich.verify.small_runs import (
    LATER,
    MOSTLY_LATER,
    Array,
    Curves,
    Setting,
    curves,
    fall_times,
    groks,
    with_error,
)
from lazyrich.verify.statistics import in_most, mostly

_GROKS = Setting(learning_rate=2.0)
_RECORDS, _APART = 300, 10  # of targets of several directions: how many, and steps between two


def _several_directions(
    directions: int, P: int, first_seed: int, seeds: int, dimension: int = 16
) -> tuple[Array, Array]:
    """Train and test loss over <y^2>, (seeds, records), of labels sum_k (beta_k.x)^2/2."""
    inputs, labels = [], []
    for seed in range(first_seed, first_seed + seeds):
        beta = standard_normal(seed, "beta", (directions, dimension))
        beta *= (dimension / directions) ** 0.5 / beta.norm(dim=1, keepdim=True)
        draws = [
            standard_normal(seed, f"{part} inputs", (n, dimension)) / dimension**0.5
            for part, n in (("train", P), ("test", 500))
        ]
        inputs.append(torch.cat(draws))
        labels.append((inputs[-1] @ beta.T).square().sum(1) / 2)
    X, y = torch.stack(inputs), torch.stack(labels)
    one = PseudoNeurons.isotropic(dimension, 1.0)
    start = PseudoNeurons(one.columns.repeat(seeds, 1, 1), one.signs.repeat(seeds, 1))
    numbers = {"alpha": 1.0, "epsilon": 0.1}
    descent = Descent(
        start, X[:, :P], y[:, :P], learning_rate=4.0, centred=True, alpha=1.0, epsilon=0.1
    )
    first_wbar, first_M = start.wbar.clone(), start.M.clone()
    records = []
    for _ in range(_RECORDS):
        neurons = descent.neurons
        f = predictions(X, neurons.wbar - first_wbar, neurons.M - first_M, **numbers)
        error = (f - y).square()
        records.append(torch.stack([error[:, :P].mean(1), error[:, P:].mean(1)]))
        descent.step(_APART)
    power = y[:, P:].square().mean(1)
    train, test = (torch.stack(records, -1) / power[:, None]).numpy()
    return train, test


def _plain(setting: Setting, P: int, first: int, count: int) -> Curves:
    """Runs of the plain predictor, N = 100, one a draw."""
    return curves((setting,), P=P, width=100, centred=False, first_seed=first, seeds=count)


def _condition(part: str, setting: Setting, P: int, what: str) -> None:
    """Attach: without this condition the test loss does not rise first; with all it does."""

    @evidence(
        "abstract-three-conditions",
        "measured",
        f"without {what} (P = {P}, alpha = {setting.alpha:g}, {setting.solution:g} of a solution "
        "in the initial weights) the test loss does not rise first; with it, it does",
        control={"setting": _GROKS, "P": 60},
        part=part,
    )
    def without(budget: Budget, setting: Setting = setting, P: int = P) -> str:
        def stays(first: int, count: int) -> Array:
            test = _plain(setting, P, first, count).test[:, 0]
            return test.max(-1) <= 1.05 * test[:, 0]

        return mostly(f"without {what} the test loss does not rise by 5%", stays, budget.seed)


_SOLVED = Setting(learning_rate=2.0, solution=0.75)
_RICH = Setting(alpha=1 / 16, learning_rate=0.5)
_ALIGNED = Setting(epsilon=8.0, learning_rate=1 / 32)
_condition("misaligned", _SOLVED, 60, "misalignment")
_condition("data", _GROKS, 400, "a small data set")
_condition("lazy", _RICH, 60, "laziness")


def _still_late(setting: Setting, what: str) -> None:
    """Attach: without this condition the test loss still falls late, unless there is much data."""

    @evidence(
        "abstract-three-conditions",
        "measured",
        f"{what}, P = 60: the test loss still falls more than twice as late as the train loss; "
        "with 400 samples it doesn't",
        control={"P": 400},
        part="delay",
    )
    def late(budget: Budget, P: int = 60) -> str:
        return groks(f"{what}, P = {P}", lambda *draws: _plain(setting, P, *draws), budget.seed)


_still_late(_SOLVED, "0.75 of a solution in the initial weights")
_still_late(_ALIGNED, "epsilon = 8, a better aligned kernel")
_still_late(_RICH, "alpha = 1/16")


def _dimensions(first: int, second: int) -> tuple[int, int]:
    """Of the span of the gradients of P = 3 samples at epsilon = first, and at both; exact."""
    rng = np.random.default_rng(0)
    X, W = rng.integers(-99, 100, (3, 4)), rng.integers(-99, 100, (5, 4))

    def gradients(epsilon: int) -> list[list[int]]:
        return [[int((1 + epsilon * (w @ x)) * entry) for w in W for entry in x] for x in X]

    rows = [gradients(first), gradients(first) + gradients(second)]
    a, b = (
        DomainMatrix(part, (len(part), 20), ZZ).convert_to(ZZ.get_field()).rank() for part in rows
    )
    return a, b


@evidence(
    "fig-3d",
    "proved",
    "the rank of the gradients of three samples, in integers",
    control={"second": 1},
)
def planes_over_epsilon(first: int = 1, second: int = 2) -> str:
    one, both = _dimensions(first, second)
    line = f"gradients span {one} dimensions at epsilon = {first}, {both} with {second}"
    assert both > one, f"the same plane: {line}"
    return line


_alphas, _epsilons = (0.25, 1.0, 4.0), (0.1, 0.2, 0.4)


def _table(budget: Budget) -> Array:
    """Delays in tau, (seeds, alpha, epsilon), of the plain predictor."""
    settings = tuple(
        Setting(alpha=a, epsilon=e, learning_rate=min(2.0, 4 * a))
        for a in _alphas
        for e in _epsilons
    )
    found = curves(settings, centred=False, steps=4000, first_seed=budget.seed)
    return delays(found).reshape(-1, 3, 3)


@evidence(
    "fig-3e",
    "measured",
    "a grid of 3 alphas and 3 epsilons: the delay at the largest alpha and the "
    "smallest epsilon is longer than in the middle and at the other end",
    control={"order": -1},
)
def time_to_grok(budget: Budget, order: int = 1) -> str:
    values = _table(budget)[:, ::order]
    medians = np.median(values, axis=0)
    shown = "; ".join(
        f"alpha = {a:g}: {', '.join('never' if np.isinf(m) else f'{m:.0f}' for m in row)}"
        for a, row in zip(_alphas[::order], medians, strict=True)
    )
    line = f"delay in tau over epsilon = {_epsilons}: {shown}"
    corner = values[:, 2, 0]  # the last alpha, the first epsilon
    middle = in_most(f"{line}: longer there than in the middle", corner > values[:, 1, 1])
    return f"{middle}; {in_most('than in the other corner', corner > values[:, 0, 2])}"


@evidence(
    "sec-5.3-peak-is-linear",
    "measured",
    "the linear term rises by more than the whole loss, and falls again",
    control={"term": "misalignment"},
)
def peak_is_linear(budget: Budget, term: str = "linear") -> str:
    found = curves((Setting(),), first_seed=budget.seed)
    rows, peak = np.arange(len(found.test)), found.test[:, 0].argmax(-1)
    rise = found.test[rows, 0, peak] - found.test[:, 0, 0]
    moved = {k: v[rows, 0, peak] - v[:, 0, 0] for k, v in found.terms.items()}
    fall = {k: v[:, 0, -1] / v[rows, 0, peak] for k, v in found.terms.items()}
    line = (
        f"to its peak the test loss rises by {with_error(rise)} <y^2>, its {term} term by "
        f"{with_error(moved[term])}; from there to the end that falls to "
        f"{with_error(fall[term])} of itself"
    )
    due = in_most(f"{line}: at least as much", moved[term] >= rise)
    return f"{due}; {in_most('it halves after the peak', fall[term] < 0.5)}"


@evidence(
    "sec-14-sufficient",
    "measured",
    "alpha = 16, P = 300: from the halved train loss to the end |f - f_lin|/|f| grows by a tenth, "
    "and the test loss falls at once; at P = 60 it does not",
    control={"P": 60},
)
def sufficient(budget: Budget, P: int = 300) -> str:
    def holds(first: int, count: int) -> Array:
        found = curves((Setting(alpha=16.0),), P=P, first_seed=first, seeds=count)
        train, test = (part[:, 0] for part in fall_times(found))
        apart = from_linearised(found)[:, 0]
        halved = (found.train[:, 0] < 0.5 * found.train[:, 0, :1]).argmax(-1)
        early, late = apart[np.arange(len(apart)), halved], apart[:, -1]
        return (test < LATER * train) & (late > 1.1 * early)

    what = f"alpha = 16, P = {P}: the network grows less lazy, and generalises at once,"
    return mostly(what, holds, budget.seed, share=0.9)


@evidence(
    "sec-15.1-persists",
    "measured",
    "two and three directions, P = 100: the test loss first rises by 1%, and falls more than twice "
    "as late as the train loss; with P = 400 it doesn't",
    control={"P": 400},
)
def multi_index(budget: Budget, P: int = 100) -> str:
    def groks_with(directions: int) -> str:
        def late(first: int, count: int) -> Array:
            losses = _several_directions(directions, P, first, count)
            steps = _APART * np.arange(_RECORDS)
            fit, general = (
                np.array([settled_at(steps, row, SHARE) for row in loss]) for loss in losses
            )
            risen = losses[1].max(-1) > 1.01 * losses[1][:, 0]
            return risen & np.isfinite(general) & (general > LATER * fit)

        what = f"P = {P}, {directions} directions: the test loss rises first, and falls late,"
        return mostly(what, late, budget.seed, share=MOSTLY_LATER)

    return f"{groks_with(2)}; {groks_with(3)}"


def _losses(j: int, sizes: tuple[int, ...], seed: int, dimension: int = 6) -> list[float]:
    """Test loss over <y^2> of kernel regression; labels: eigenvector j on all points."""
    X = np.random.default_rng(seed).normal(size=(max(sizes) + 100, dimension))
    inner = X @ X.T / dimension
    K = inner + inner**2 / 4
    labels = np.linalg.eigh(K)[1].T[-j]
    found = []
    for P in sizes:
        train, test = slice(0, P), slice(max(sizes), None)
        f = K[test, train] @ np.linalg.pinv(K[train, train], 1e-10) @ labels[train]
        found.append(float(((f - labels[test]) ** 2).mean() / (labels[test] ** 2).mean()))
    return found


@evidence(
    "sec-17-more-data",
    "measured",
    "kernel regression at D = 6, rank 27: exact for j = 1, 5, 20, 27 and not for 28",
    control={"indices": (28,)},
)
def more_data(budget: Budget, indices: tuple[int, ...] = (1, 5, 20, 27)) -> str:
    rank = int(closed_form("ntk-rank").evaluate_terms(D=6, n=1)["init"])
    sizes = (10, 20, rank + 3)
    lines = []
    for j in indices:
        found = np.median([_losses(j, sizes, budget.seed + k) for k in range(5)], axis=0)
        lines.append(f"j = {j}: {', '.join(f'{v:.2g}' for v in found)}")
        assert found[-1] < 1e-6, f"not learnt from P = {sizes[-1]}: {'; '.join(lines)}"
    return f"rank {rank}; test loss at P = {sizes}: {'; '.join(lines)}"
