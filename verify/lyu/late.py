"""Claims of Lyu et al. 2024 on the late phase: Thms. 3.5 and 3.10, Cor. 3.7.

In classification the limit is approached as 1/log(1/lambda): tested as a bound that holds at every
lambda, and as a trend.
"""

from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from lazyrich.verify import strategies as given
from lazyrich.verify.diagonal_flow import State, follow, gaussian, smallest_l1
from lazyrich.verify.evidence import attach, attacked, evidence
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.properties.lyu import formula
from lazyrich.verify.small_runs import slope_is

BEHIND = 6.0  # T - log(alpha): a = exp(-6) there


def _late(seed: int, depth: int, lamda: float, loss: str) -> tuple[State, np.ndarray, np.ndarray]:
    """(state, X, y) well behind the transition: n = 3, d = 4, alpha = 4."""
    net = gaussian(3, 4, seed, loss=loss, depth=depth, lamda=lamda)
    (now,) = follow(net, (float(np.log(net.alpha)) + BEHIND,))
    return now, *net.arrays()


def _gap_law(of_bound: float = 1.0):
    """Stationary up to what has not decayed, and the complementarity gap within its bound."""

    def law(seed: int, depth: int, k: int) -> float:
        lamda = 10.0**-k
        now, _, y = _late(seed, depth, lamda, "exponential")
        q = y * now.f
        rest = [
            part + depth * sign * now.g * part ** (depth - 1) / lamda
            for part, sign in ((now.u, 1), (now.v, -1))
        ]
        still = np.linalg.norm(rest) / now.norm_square() ** 0.5
        assert still < 0.2, f"not stationary: |d theta/dT| = {still:.2g} |theta|"
        mu = formula("late-stationarity", "multiplier")(f=q, lamda=lamda, n=len(q))
        gap = mu @ (q - q.min()) / now.norm_square()
        bound = formula("late-stationarity", "bound")(n=len(q), L=depth, q=q.min())
        # The bound takes |theta|^2 = L sum mu q, which holds up to the distance from stationary.
        share = float(gap / (of_bound * bound * (1 + 2 * still)))
        assert share <= 1, f"gap {gap:.2g}, bound {of_bound * bound:.2g} at q = {q.min():.3g}"
        return share

    return law


_ks = (4, 8, 12)


attach(
    "lyu-thm-3.5",
    attacked(
        "diagonal nets, L = 2, 3: late, theta is stationary, and its complementarity gap "
        "is below (n - 1)/(e L q), q the smallest margin; a tenth of it is rejected",
        _gap_law(),
        (given.seeds(), st.sampled_from((2, 3)), st.integers(2, 6)),
        _gap_law(of_bound=0.1),
    ),
)


@evidence(
    "lyu-thm-3.5",
    "measured",
    "q grows as log(1/lambda), so that the gap closes, that slowly",
    control={"power": 2.0},
)
def stationary(budget: Budget, power: float = 1.0) -> str:
    rows = []
    for seed in range(budget.seed, budget.seed + 4):
        found = [_late(seed, 2, 10.0**-k, "exponential") for k in _ks]
        rows.append([float((y * now.f).min()) for now, _, y in found])
    growth = np.diff(rows, axis=1) / np.diff(_ks) / np.log(10)
    line = f"q over log(1/lambda): slopes {growth.min():.2f} to {growth.max():.2f}"
    # q + log(q) grows as log(1/lambda): 1 - 1/q, here 0.8 to 1 or so.
    share = growth / power
    assert ((share > 0.8) & (share < 1.1)).all(), f"not {power:g} log(1/lambda): {line}"
    return line


def _not_global(claimed_weight: Any) -> str:
    """x = (1, 2), y = 1: w = (1, 0) is a KKT point, of L1 norm 1; (0, 1/2) has 1/2."""
    u, mu = (sp.Integer(1), sp.Integer(0)), sp.Rational(1, 2)
    x = (1, 2)
    assert all(ui == 2 * mu * ui * xi for ui, xi in zip(u, x, strict=True)), "not stationary"
    assert sum(ui**2 * xi for ui, xi in zip(u, x, strict=True)) == 1, "not on the margin"
    better = abs(claimed_weight)
    assert claimed_weight * x[1] >= 1, "w = (0, w_2) misses the margin"
    assert better < 1, "no smaller norm"
    return f"x = (1, 2), y = 1: w = (1, 0) is a KKT point, w = (0, {better}) has the least norm"


attach(
    "lyu-cor-3.7",
    Evidence(
        "proved",
        "a KKT point of the problem need not be its global optimum",
        lambda _: _not_global(sp.Rational(1, 2)),
        lambda _: _not_global(sp.Rational(1, 4)),
    ),
)


@evidence(
    "lyu-cor-3.7",
    "measured",
    "the flow does reach it: late, |dloss/dw|_inf = lambda/2, the lasso's certificate",
    control={"half": 1.0},
)
def certificate(budget: Budget, half: float = 0.5) -> str:
    worst = []
    for seed in range(budget.seed, budget.seed + 4):
        now, _, _ = _late(seed, 2, 1e-3, "exponential")
        worst.append(abs(now.g).max() / (half * 1e-3) - 1)
    line = f"|dloss/dw|_inf over lambda/2, less 1: {min(worst):.1e} to {max(worst):.1e}"
    assert max(np.abs(worst)) < 0.03, f"no lasso: {line}"
    return line


@evidence(
    "lyu-cor-3.7",
    "measured",
    "and its L1 margin comes nearer to the largest as lambda falls, slowly: a trend",
    control={"ks": (16, 8, 4)},
)
def margins(budget: Budget, ks: tuple[int, ...] = (4, 8, 16)) -> str:
    rows = []
    for seed in range(budget.seed, budget.seed + 4):
        row = []
        for k in ks:
            now, X, y = _late(seed, 2, 10.0**-k, "exponential")
            best = 1 / abs(smallest_l1(X, y, margin=True)).sum()
            row.append(1 - (y * now.f).min() / abs(now.w).sum() / best)
        rows.append(row)
    gaps = np.array(rows)
    shown = ", ".join(f"{g:.2g}" for g in np.median(gaps, axis=0))
    line = f"relative distance from the largest L1 margin, lambda = 10^-{ks}: {shown}"
    assert (gaps > 0).all(), f"above the largest margin: {line}"
    assert (np.diff(gaps, axis=1) < 0).all(), f"does not fall: {line}"
    return line


_decays = np.array([1e-2, 1e-3, 1e-4])


@evidence(
    "lyu-thm-3.10",
    "measured",
    "diagonal net, L = 2: the misfit is of order lambda",
    control={"expected": 0.5},
)
def misfit(budget: Budget, expected: float = 1.0) -> str:
    rows = []
    for seed in range(budget.seed, budget.seed + 3):
        found = [_late(seed, 2, lamda, "square") for lamda in _decays]
        rows.append([abs(now.f - y).max() for now, _, y in found])
    return slope_is("misfit over lambda", expected, _decays, np.array(rows))


@evidence(
    "lyu-thm-3.10",
    "measured",
    "|theta|^2 ends at the smallest L1 norm of an interpolant, the global optimum",
    control={"factor": 2.0},
)
def bounded(budget: Budget, factor: float = 1.0) -> str:
    shares = []
    for seed in range(budget.seed, budget.seed + 4):
        now, X, y = _late(seed, 2, 1e-3, "square")
        shares.append(now.norm_square() / abs(smallest_l1(X, y)).sum())
    line = f"|theta|^2 over the smallest L1 norm: {min(shares):.4f} to {max(shares):.4f}"
    assert max(abs(np.array(shares) / factor - 1)) < 0.02, line
    return line
