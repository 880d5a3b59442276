"""Claims of Kumar et al. 2024 on weight decay and momentum: App. 13, 14, Sec. 7."""

from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.theory.moment_dynamics import kappa, kappa_d
from lazyrich.theory.momentum import mu
from lazyrich.theory.symbols import M, alpha
from lazyrich.theory.wick import canonical_matrix
from lazyrich.verify import strategies as given
from lazyrich.verify.certificates.population import CERTIFICATES
from lazyrich.verify.evidence import attach, attacked, counterexample, evidence, proof
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.properties import dynamics as properties_dynamics
from lazyrich.verify.small_runs import Curves, Setting, curves, with_error

_DECAYS = (0.0, 3e-5, 1e-4, 3e-4, 3e-3)


def _decaying(budget: Budget, decays: tuple[float, ...] = _DECAYS) -> Curves:
    """A lazy network, plain, alpha = 16, with decoupled weight decay."""
    settings = tuple(Setting(alpha=16.0, epsilon=0.25, decay=d) for d in decays)
    return curves(settings, centred=False, steps=2500, first_seed=budget.seed, seeds=6)


def _times(found: Curves) -> np.ndarray:
    """When the test loss falls below half of <y^2>, medians over the seeds."""
    return np.median(found.when(found.test < 0.5), axis=0)


def _shown(times: np.ndarray) -> str:
    return ", ".join("never" if np.isinf(t) else f"{t:.0f}" for t in times)


def _decay_alone() -> Any:
    """d M/d tau where every sample is fitted."""
    return closed_form("moment-flow-decay").components["at_zero_residual"][1]


_RATES = st.tuples(*[st.integers(0, 16).map(lambda k: k / 16)] * 4).map(
    lambda rates: (rates[0] + 1 / 16, *rates[1:])
)


def _kernel_moves_planted():
    cf = closed_form("moment-flow-decay")
    return replace(cf, terms=dict(cf.terms) | {"M": cf.terms["wbar"] * cf.terms["wbar"].T})


attach(
    "sec-13-kernel-evolves",
    proof(
        "the flow of (wbar, M) with both kinds of decay",
        CERTIFICATES["moment-flow-decay"],
        lambda: closed_form("moment-flow-decay"),
        _kernel_moves_planted,
    ),
)


@evidence(
    "sec-13-kernel-evolves",
    "derived",
    "with every sample fitted, M and so K still move, linearly in kappa",
    control={"claimed": -(kappa / alpha**2 + kappa_d)},
)
def linear(claimed: Any = -2 * (kappa / alpha**2 + kappa_d)) -> str:
    difference = canonical_matrix(_decay_alone() - claimed * M)
    assert difference == sp.ZeroMatrix(*M.shape), f"off by {difference}"
    return "d M/d tau = -2 (kappa/alpha^2 + kappa_d) M where the residuals are 0"


def _helps(budget: Budget, order: slice) -> str:
    times = _times(_decaying(budget))
    some = times[:4][order]
    line = f"steps until test loss < <y^2>/2 at kappa = 0, 3e-5, 1e-4, 3e-4: {_shown(some)}"
    assert all(np.diff(some) < 0), f"decay does not help: {line}"
    return line


attach(
    "sec-13-decay-can-help",
    Evidence(
        "measured",
        "a lazy polynomial network (alpha = 16) generalises the earlier the more decay",
        lambda budget: _helps(budget, slice(None)),
        lambda budget: _helps(budget, slice(None, None, -1)),
    ),
)


def _delays(budget: Budget, P: int, decay: float) -> np.ndarray:
    settings = (Setting(decay=decay),)
    found = curves(settings, P=P, centred=False, first_seed=budget.seed)
    ratio = found.when(found.test < 0.25) / found.when(found.train < 0.1)
    return ratio[:, 0]


@evidence(
    "sec-13-neither-necessary-nor-sufficient",
    "measured",
    "the test loss lags without decay; with it, and data enough, it does not",
    control={"swap": True},
)
def neither(budget: Budget, swap: bool = False) -> str:
    without, with_decay = _delays(budget, 60, 0.0), _delays(budget, 240, 1e-4)
    if swap:
        without, with_decay = with_decay, without
    a, b = np.median(without), np.median(with_decay)
    line = f"test over train time: {a:.2g} without decay at P = 60, {b:.2g} with, at P = 240"
    assert a > 2, f"no grokking without decay: {line}"
    assert b < 2, f"grokking with decay: {line}"
    return line


_level = sp.Symbol("level", positive=True)


@evidence(
    "sec-13-linear-in-decay",
    "derived",
    "the time for decay alone to change M goes as 1/kappa",
    control={"power": 1},
)
def linear_in_decay(power: int = -1) -> str:
    found = canonical_matrix(_decay_alone().subs(kappa, 0))
    rate = sp.sympify(found.args[0])  # of M' = rate M
    time = sp.log(_level) / rate
    assert sp.simplify(sp.diff(time * kappa_d**-power, kappa_d)) == 0, f"time is {time}"
    return f"time to shrink M to a level of itself: {time}"


counterexample(
    "sec-13-linear-in-decay",
    lambda: (
        "alpha = 16, epsilon = 1/4, D = 16, P = 60, plain: from kappa = 3e-5 to 3e-4 the time "
        f"to halve the test loss goes {_shown(_times(_decaying(Budget()))[[1, 3]])}"
    ),
)


@evidence(
    "sec-13-exact-prediction",
    "measured",
    "time against decay on the polynomial task, medians over 6 seeds",
    control={"inverse": True},
)
def exact_prediction(budget: Budget, inverse: bool = False) -> str:
    times = np.ones(5) if inverse else _times(_decaying(budget))
    if inverse:  # what the claim would have it be
        times = 1 / np.array([np.inf, *_DECAYS[1:]])
    slope = np.log(times[3] / times[1]) / np.log(_DECAYS[3] / _DECAYS[1])
    line = (
        f"steps at kappa = 3e-5, 3e-4, 3e-3: {_shown(times[[1, 3, 4]])}; slope {slope:.2f} "
        "from the first to the second"
    )
    assert slope > -0.75, f"time ~ 1/kappa: {line}"
    assert np.isinf(times[4]), f"time keeps falling: {line}"
    return line


counterexample("sec-13-exact-prediction", lambda: exact_prediction(Budget(), inverse=False))


def _without_cross_moments(known: dict) -> dict:
    known = known | {"C": 0 * known["C"]}
    return properties_dynamics.term_values("moment-step-momentum", known)


attach(
    "sec-14-momentum",
    attacked(
        "five moments of weights and velocities close; without cross moments they don't",
        properties_dynamics.joint_moments_follow_torch,
        (given.trainings(), given.seeds(), _RATES),
        lambda training, seed, rates: properties_dynamics.joint_moments_follow_torch(
            training, seed, rates, _without_cross_moments
        ),
        share=0.4,
    ),
)


@evidence(
    "sec-14-momentum",
    "measured",
    "momentum 0.95 at eta_0/20 against plain descent at eta_0",
    control={"learning_rate": 0.05},
)
def shapes(budget: Budget, learning_rate: float = 0.2) -> str:
    heavy = curves((Setting(momentum=0.95, learning_rate=learning_rate),), first_seed=budget.seed)
    plain = curves((Setting(),), first_seed=budget.seed)
    late = heavy.steps > 100
    apart = np.abs(np.log(heavy.test[:, 0, late] / plain.test[:, 0, late])).max(-1)
    bumps = [(np.diff(run.train[:, 0]) > 0).sum(-1) for run in (heavy, plain)]
    line = (
        f"after 100 steps the test losses differ by a factor {with_error(np.exp(apart))}; the "
        f"train loss rises {bumps[0].sum()} times with momentum, {bumps[1].sum()} without"
    )
    assert np.median(np.exp(apart)) < 1.6, f"another shape: {line}"
    assert bumps[0].sum() > bumps[1].sum(), f"no more bumps: {line}"
    return line


@evidence(
    "sec-14-momentum",
    "derived",
    "the linear modes of Figure 1 oscillate (at a thousandth of its rate they don't)",
    control={"eta_0": 1e-3},
)
def oscillates(eta_0: float = 1) -> str:
    """The modes of Figure 1: lambda/P is at most about (1 + sqrt(D/P))^2/D."""
    h = 2 * eta_0 * (1 + (100 / 550) ** 0.5) ** 2 / 100
    bounds = closed_form("momentum-modes").terms["oscillates"]
    low, high = (float(bound.subs(mu, sp.Rational(95, 100))) for bound in bounds)
    assert low < h < high, f"h = {h:.3f} does not oscillate: {low:.1e} to {high:.2f}"
    return f"modes oscillate for {low:.1e} < h < {high:.2f}; the linear ones have {h:.3f}"
