"""Claims of Lyu et al. 2024 on the late phase: Thms. 3.5 and 3.10, Cor. 3.7.

In classification the limit is approached as 1/log(1/lambda). What is tested are bounds that hold
at every alpha and lambda, on every data set, and close in the limit.
"""

from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from lazyrich.verify import homogeneous_flow
from lazyrich.verify import strategies as given
from lazyrich.verify.diagonal_flow import State, follow, gaussian, smallest_l1, smallest_l1_dual
from lazyrich.verify.evidence import attach, attacked, evidence
from lazyrich.verify.homogeneous_flow import NetState, QuadraticNet
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.properties.lyu import formula
from lazyrich.verify.statistics import mostly

LATE = 1.5  # (1 + c) log(alpha) is the T that is looked at: a = alpha^-1/2 there


def _late(
    seed: int, depth: int, k: float, loss: str, p: float = 1.0
) -> tuple[State, np.ndarray, np.ndarray]:
    """(state, X, y) of a diagonal net with n = 3, d = 4, alpha = 10^k, lambda = alpha^-p."""
    net = gaussian(3, 4, seed, loss=loss, depth=depth, alpha=10.0**k, lamda=10.0 ** (-k * p))
    # At a tighter tolerance the rounding of a fitted residual, over lambda, stops the integrator.
    (now,) = follow(net, (LATE * float(np.log(net.alpha)),), rtol=1e-8)
    return now, *net.arrays()


def _late_quadratic(seed: int, k: float, loss: str, p: float = 1.0) -> tuple[NetState, np.ndarray]:
    """(state, y) of sum_i v_i (w_i.x)^2, L = 3, 4 neurons, n = d = 3."""
    net = QuadraticNet(seed, loss=loss, alpha=10.0**k, lamda=10.0 ** (-k * p))
    (now,) = homogeneous_flow.follow(net, (LATE * float(np.log(net.alpha)),))
    return now, net.data()[1]


def _still(now: State, depth: int, lamda: float) -> float:
    """|d theta/dT|/|theta| of a diagonal net."""
    rest = [
        part + depth * sign * now.g * part ** (depth - 1) / lamda
        for part, sign in ((now.u, 1), (now.v, -1))
    ]
    return float(np.linalg.norm(rest) / now.norm_square() ** 0.5)


def _gap_share(
    q: np.ndarray, norm_square: float, still: float, lamda: float, L: int, of_bound: float
) -> float:
    """The complementarity gap as a share of its bound; theta must be nearly stationary."""
    assert still < 0.2, f"not stationary: |d theta/dT| = {still:.2g} |theta|"
    mu = formula("late-stationarity", "multiplier")(f=q, lamda=lamda, n=len(q))
    gap = mu @ (q - q.min()) / norm_square
    bound = formula("late-stationarity", "bound")(n=len(q), L=L, q=q.min())
    # The bound takes |theta|^2 = L sum mu q, which holds up to the distance from stationary.
    share = float(gap / (of_bound * bound * (1 + 2 * still)))
    assert share <= 1, f"gap {gap:.2g}, bound {of_bound * bound:.2g} at q = {q.min():.3g}"
    return share


def _diagonal_gap(of_bound: float = 1.0):
    def law(seed: int, depth: int, k: int) -> float:
        now, _, y = _late(seed, depth, k, "exponential")
        still = _still(now, depth, 10.0**-k)
        return _gap_share(y * now.f, now.norm_square(), still, 10.0**-k, depth, of_bound)

    return law


def _quadratic_gap(of_bound: float = 1.0):
    def law(seed: int, k: int) -> float:
        now, y = _late_quadratic(seed, k, "exponential")
        norm_square = float(now.theta @ now.theta)
        still = float(now.rest @ now.rest / norm_square) ** 0.5
        return _gap_share(y * now.f, norm_square, still, 10.0**-k, homogeneous_flow.L, of_bound)

    return law


attach(
    "lyu-thm-3.5",
    attacked(
        "sum_i v_i (w_i.x)^2, L = 3, 4 neurons, alpha from 10^5 to 10^8: at 1.5 times the time of "
        "the transition theta is nearly stationary, and its complementarity gap is below "
        "(n - 1)/(e L q), q the smallest margin; a tenth of that is rejected",
        _quadratic_gap(),
        (given.seeds(), st.integers(5, 8)),
        _quadratic_gap(of_bound=0.1),
        share=0.3,
    ),
    attacked(
        "diagonal nets, L = 2 and 3, alike",
        _diagonal_gap(),
        (given.seeds(), st.sampled_from((2, 3)), st.integers(5, 8)),
        _diagonal_gap(of_bound=0.1),
        share=0.5,
    ),
)


@evidence(
    "lyu-thm-3.5",
    "measured",
    "the quadratic net comes to rest as alpha grows: |d theta/dT|/|theta| at alpha = 10^6 is less "
    "than half of that at 10^4; not than that at 10^8",
    control={"before": 8.0},
)
def comes_to_rest(budget: Budget, before: float = 4.0) -> str:
    def still(seed: int, k: float) -> float:
        now, _ = _late_quadratic(seed, k, "exponential")
        return float(np.linalg.norm(now.rest) / np.linalg.norm(now.theta))

    def sample(first: int, count: int) -> np.ndarray:
        seeds = range(first, first + count)
        return np.array([still(seed, 6.0) < 0.5 * still(seed, before) for seed in seeds])

    return mostly("it falls to less than half", sample, budget.seed, against=0.1)


@evidence(
    "lyu-thm-3.5",
    "measured",
    "q grows as log(1/lambda), so that the gap closes, that slowly",
    control={"power": 2.0},
)
def margin_grows(budget: Budget, power: float = 1.0) -> str:
    ks = (5, 7, 9)

    def sample(first: int, count: int) -> np.ndarray:
        rows = []
        for seed in range(first, first + count):
            found = [_late(seed, 2, k, "exponential") for k in ks]
            rows.append([float((y * now.f).min()) for now, _, y in found])
        growth = np.diff(rows, axis=1) / np.diff(ks) / np.log(10) / power
        # q + log(q) grows as log(1/lambda): q as 1 - 1/q times it, 0.85 to 1 at q from 8 on.
        return ((growth > 0.75) & (growth < 1.05)).all(1)

    return mostly("q grows by 0.75 to 1.05 log(1/lambda)", sample, budget.seed, against=0.1)


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
    def sample(first: int, count: int) -> np.ndarray:
        found = [_late(seed, 2, 6, "exponential")[0] for seed in range(first, first + count)]
        off = np.array([abs(now.g).max() / (half * 1e-6) - 1 for now in found])
        return abs(off) < 0.1

    return mostly("|dloss/dw|_inf is lambda/2 within 10%", sample, budget.seed, against=0.1)


def _l1_margin(of_bound: float = 1.0):
    """Of all w of the same L1 norm the lasso has the least loss: its margin is within log(n)."""

    def law(seed: int, k: int) -> float:
        now, X, y = _late(seed, 2, k, "exponential")
        largest = 1 / abs(smallest_l1(X, y, margin=True)).sum()
        short = largest * abs(now.w).sum() - (y * now.f).min()
        allowed = of_bound * np.log(len(y))
        assert -1e-6 <= short <= allowed, f"margin {short:.3g} short, {allowed:.3g} allowed"
        return float(short / allowed)

    return law


attach(
    "lyu-cor-3.7",
    attacked(
        "alpha from 10^4 to 10^8: the smallest margin is within log(n) of the largest of this L1 "
        "norm, which grows as log(1/lambda); a tenth of log(n) is rejected",
        _l1_margin(),
        (given.seeds(), st.integers(4, 8)),
        _l1_margin(of_bound=0.1),
        share=0.5,
    ),
)


def _misfit(seed: int, k: float, is_diagonal: bool) -> float:
    """The largest |f - y| at alpha = 10^k, lambda = 1/alpha."""
    if is_diagonal:
        now, _, y = _late(seed, 2, k, "square")
    else:
        now, y = _late_quadratic(seed, k, "square")
    return float(abs(now.f - y).max())


def _of_order_lambda(budget: Budget, expected: float, is_diagonal: bool) -> str:
    def sample(first: int, count: int) -> np.ndarray:
        seeds = range(first, first + count)
        fall = [_misfit(s, 2.5, is_diagonal) / _misfit(s, 3.5, is_diagonal) for s in seeds]
        return abs(np.log10(fall) - expected) < 0.2

    line = f"the misfit falls as lambda^{expected:g}, the exponent within 0.2"
    return mostly(line, sample, budget.seed, against=0.1)


attach(
    "lyu-thm-3.10",
    *(
        Evidence(
            "measured",
            f"{net}: alpha = 1/lambda = 10^2.5 and 10^3.5: the misfit is of order lambda",
            lambda budget, diagonal=diagonal: _of_order_lambda(budget, 1.0, diagonal),
            lambda budget, diagonal=diagonal: _of_order_lambda(budget, 0.5, diagonal),
        )
        for net, diagonal in (
            ("diagonal net, L = 2", True),
            ("sum_i v_i (w_i.x)^2, L = 3, 4 neurons", False),
        )
    ),
)


def _norm(factor: float = 1.0):
    """|theta|^2 over the smallest L1 norm of an interpolant is 1, less what the misfit allows."""

    def law(seed: int, k: int) -> float:
        now, X, y = _late(seed, 2, k, "square")
        least = abs(smallest_l1(X, y)).sum()
        # |w|_1 >= nu.X w for any nu with |X^T nu|_inf <= 1, and nu.y is the smallest norm.
        misfit = abs(smallest_l1_dual(X, y) @ (now.f - y)) / least
        share = now.norm_square() / least / factor
        # The potential that w minimises is |w|_1 log(1/a^2) plus an entropy, of at most log(d)
        # |w|_1; and |theta|^2 is the sum of sqrt(w^2 + 4 a^4).
        spare = now.a**2 / least
        left = np.log(len(now.w)) / np.log(1 / spare) + 2 * len(now.w) * spare
        assert 1 - misfit - 1e-6 <= share <= 1 + left, f"{share:.4f} of it, misfit {misfit:.2g}"
        return max(0.0, float(share - 1) / left)

    return law


attach(
    "lyu-thm-3.10",
    attacked(
        "diagonal net, L = 2, alpha from 10^3 to 10^4: |theta|^2 ends at the smallest L1 norm of "
        "an interpolant, the global optimum, up to the misfit; not at half of it",
        _norm(),
        (given.seeds(), st.sampled_from((3.0, 3.5, 4.0))),
        _norm(factor=2.0),
        share=0.5,
    ),
)
