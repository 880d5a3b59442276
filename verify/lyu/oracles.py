"""Our law 5 for the systems of Lyu et al. 2024: what is solved at finite lambda."""

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import root

from lazyrich.theory import closed_form
from lazyrich.theory.lyu.symbols import L as DEPTH
from lazyrich.theory.lyu.symbols import a as scale
from lazyrich.theory.lyu.symbols import lamda as decay
from lazyrich.theory.lyu.symbols import w as weight
from lazyrich.verify import strategies as given
from lazyrich.verify.diagonal_flow import (
    Problem,
    follow,
    gaussian,
)
from lazyrich.verify.evidence import attach, attacked, equality, evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import lyu as laws
from lazyrich.verify.statistics import DRAWS, each, in_most, slope_is

_decays = np.array([4.0, 2.0, 1.0])


attach(
    "lyu-law-5",
    equality(
        "early, from the flow of w, any L",
        lambda: closed_form("regularised-oracles").terms["early"],
        lambda: decay * weight**2 / (4 * DEPTH * scale ** (2 * DEPTH - 2)),
        lambda: decay * weight**2 / (8 * scale ** (2 * DEPTH - 2)),
    ),
)


@evidence(
    "lyu-law-5",
    "measured",
    "early regression: what the ridge leaves is of second order in lambda",
    control={"constant": 4.0},
)
def ridge(budget: Budget, constant: float = 8.0) -> str:
    """Misfit of ridge regression with rho = lambda/(constant a^2), over that of the flow."""

    def left(seed: int, lamda: float) -> float:
        net = gaussian(2, 4, seed, alpha=64.0, lamda=lamda)
        X, y = net.arrays()
        (now,) = follow(net, (float(np.log(4)),))
        rho = lamda / (constant * now.a**2)
        K = X @ X.T
        f = K @ np.linalg.solve(K + len(y) * rho * np.eye(len(y)), y)
        return float(abs(now.f - f).max())

    what = f"|f - ridge| over lambda, rho = lambda/({constant:g} a^2)"
    return slope_is(what, _decays, each(left, _decays), budget.seed, 2.0, smallest=0.5)


@evidence(
    "lyu-law-5",
    "measured",
    "early classification: margins differ by 1/f from the oracle's",
    control={"constant": 2.0},
)
def classification(constant: float = 8.0) -> str:
    """Margin of the smallest net against that of loss + (lambda/(constant a^2)) w^2."""
    rows = []
    for k in (4, 8, 16):
        net = Problem(((1.0,),), (1.0,), "exponential", 2, 1e4, 10.0**-k)
        (now,) = follow(net, (float(np.log(1e2)),))
        q = float(now.f[0])
        rho = net.lamda / (constant * now.a**2)
        ridge = root(lambda f, r=rho: f + np.log(f) + np.log(2 * r), q, tol=1e-12).x[0]
        rows.append(abs(q - ridge) * q)
    shown = ", ".join(f"{one:.3f}" for one in rows)
    line = f"|f - oracle| times f, lambda = 1e-4, 1e-8, 1e-16: {shown}"
    assert max(rows) < 1.5, f"not of order 1/f: {line}"
    return line


@evidence(
    "lyu-law-5",
    "measured",
    "late: the lasso's certificate |g|_inf = lambda/2, w.g = -(lambda/2)|w|_1",
    control={"half": 1.0},
)
def lasso(budget: Budget, half: float = 0.5) -> str:
    worst = []
    for seed in range(budget.seed, budget.seed + DRAWS // 2):
        for loss in ("square", "logistic"):
            net = gaussian(3, 4, seed, loss=loss, lamda=1e-3)
            (now,) = follow(net, (float(np.log(net.alpha)) + 12.0,))
            force = half * net.lamda
            over = abs(now.g).max() / force - 1
            gap = now.w @ now.g / (force * abs(now.w).sum()) + 1  # 0 at the lasso
            worst.append(max(abs(over), abs(gap)))
    what = f"relative distance from the lasso's certificate (at most {max(worst):.1e}) below 0.1"
    return in_most(what, np.array(worst) < 0.1)


attach(
    "lyu-law-5",
    attacked(
        "the matrix model's certificate, D = 2, 3; the gradient as it stands is rejected",
        laws.matrix_certificate_holds,
        (given.seeds(), st.integers(2, 3), st.sampled_from((0.02, 0.1, 0.5))),
        lambda seed, D, lamda: laws.matrix_certificate_holds(seed, D, lamda, False),
        share=0.6,
    ),
)
