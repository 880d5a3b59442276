"""Claims of Kumar et al. 2024 on weight decay and momentum: App. 13, 14, Sec. 7."""

from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st
from torch import Tensor

from lazyrich.theory import closed_form
from lazyrich.theory.moment_dynamics import kappa, kappa_d
from lazyrich.theory.momentum import mu
from lazyrich.theory.symbols import M, alpha
from lazyrich.theory.wick import canonical_matrix
from lazyrich.verify import strategies as given
from lazyrich.verify.certificates.population import CERTIFICATES
from lazyrich.verify.evidence import attach, attacked, evidence, proof
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import dynamics as properties_dynamics
from lazyrich.verify.small_networks import student_and_twin
from lazyrich.verify.small_runs import (
    LATER,
    Curves,
    Setting,
    curves,
    fall_times,
    groks,
    kernel_change,
    with_error,
)
from lazyrich.verify.statistics import DRAWS, Array, in_most, mean_exceeds, mostly

_DECAYS = (0.0, 3e-5, 1e-4, 3e-4, 3e-3)


def _decaying(budget: Budget, seeds: int = DRAWS) -> Curves:
    """A lazy network, plain, alpha = 16, with decoupled weight decay."""
    settings = tuple(Setting(alpha=16.0, epsilon=0.25, decay=d) for d in _DECAYS)
    return curves(settings, centred=False, steps=2500, first_seed=budget.seed, seeds=seeds)


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
    return (
        "d M/d tau = -2 (kappa/alpha^2 + kappa_d) M where the residuals are 0, kappa_d the "
        "decoupled decay"
    )


@evidence(
    "sec-13-kernel-evolves",
    "measured",
    "alpha = 256, epsilon = 1, decay 1e-3: within 2,500 steps the kernel moves by more than a "
    "tenth; with a hundredth of the decay it doesn't",
    control={"decay": 1e-5},
)
def leaves_by_decay(budget: Budget, decay: float = 1e-3) -> str:
    settings = (Setting(alpha=256.0, epsilon=1.0, learning_rate=1.0, decay=decay),)

    def moves(first: int, count: int) -> Array:
        found = curves(settings, steps=2500, first_seed=first, seeds=count)
        return kernel_change(found)[:, 0] > 0.1

    what = f"alpha = 256, decay {decay:g}: |K - K0|/|K0| is above 1/10 at the end"
    return mostly(what, moves, budget.seed)


def _when_halved(first: int, count: int, decay: float) -> tuple[Curves, Array]:
    """Runs without decay and with this one, and the record where the latter's test loss halves."""
    settings = tuple(Setting(alpha=16.0, epsilon=0.25, decay=d) for d in (0.0, decay))
    found = curves(settings, centred=False, steps=2500, first_seed=first, seeds=count)
    halved = np.minimum(found.falls(found.test, 0.5)[:, 1], found.steps[-1])
    return found, np.searchsorted(found.steps, halved).clip(max=len(found.steps) - 1)


@evidence(
    "sec-13-lower-norm",
    "measured",
    "alpha = 16: when the test loss has halved with kappa = 1e-4, M is nearer to the direction of "
    "beta beta^T than without decay; with 3e-3 it isn't",
    control={"decay": _DECAYS[4]},
    part="features",
)
def decay_aligns(budget: Budget, decay: float = _DECAYS[2]) -> str:
    def cosine(task: Any, _setting: Setting, _wbar: Tensor, M: Tensor) -> Tensor:
        along = torch.einsum("i,kij,j->k", task.beta, M, task.beta)
        return along / task.beta.square().sum() / M.square().sum((-1, -2)).sqrt()

    def nearer(first: int, count: int) -> Array:
        found, record = _when_halved(first, count, decay)
        without, with_decay = np.moveaxis(found.of_all(cosine), 1, 0)
        rows = np.arange(count)
        return with_decay[rows, record] > without[rows, record]

    what = f"kappa = {decay:g}: the cosine of M and beta beta^T is larger than without decay"
    return mostly(what, nearer, budget.seed)


@evidence(
    "sec-13-decay-why",
    "measured",
    "alpha = 16: when the test loss has halved with kappa = 1e-4, most of what it has gained on "
    "the run without decay is in the variance and in the linear term, not in the misalignment; "
    "variance has no such majority over the others",
    control={"term": "variance"},
)
def gain_by_terms(budget: Budget, term: str = "misalignment") -> str:
    def others_less_this(first: int, count: int) -> Array:
        found, record = _when_halved(first, count, _DECAYS[2])
        rows = np.arange(count)
        gains = {k: v[rows, 0, record] - v[rows, 1, record] for k, v in found.terms.items()}
        return sum(gains.values()) - 2 * gains[term]

    what = f"gain of the other terms less that of the {term}, over <y^2>"
    return mean_exceeds(what, others_less_this, budget.seed, 0.0, smallest=0.1, pilot=14)


@evidence(
    "sec-13-lower-norm",
    "measured",
    "alpha = 16, where the solution has a quarter of the initial squared norm: the test loss "
    "halves earlier with kappa = 1e-4 than without; with 3e-3 later",
    control={"record": 4},
    part="generalises",
)
@evidence(
    "sec-13-decay-can-help",
    "measured",
    "alpha = 16: the test loss halves earlier with kappa = 1e-4 than without; with 3e-3 later",
    control={"record": 4},
)
def decay_helps(budget: Budget, record: int = 2) -> str:
    def earlier(first: int, count: int) -> np.ndarray:
        found = _decaying(Budget(seed=first), seeds=count)
        times = np.minimum(found.falls(found.test, 0.5), found.steps[-1])  # where later, a bound
        return np.log(times[:, 0] / times[:, record])

    what = f"log of when the test loss halves without decay over with kappa = {_DECAYS[record]:g}"
    return mean_exceeds(what, earlier, budget.seed, 0.0, smallest=0.45, pilot=14)


@evidence(
    "sec-13-neither-necessary-nor-sufficient",
    "measured",
    "without decay, P = 60: the test loss lags; with P = 240 it does not",
    control={"P": 240},
    part="necessary",
)
def without_decay(budget: Budget, P: int = 60) -> str:
    def runs(first: int, count: int) -> Curves:
        return curves((Setting(),), P=P, centred=False, first_seed=first, seeds=count)

    return groks(f"P = {P}, no decay", runs, budget.seed)


@evidence(
    "sec-13-neither-necessary-nor-sufficient",
    "measured",
    "with decay 1e-4 and P = 240 the test loss falls with the train loss; with P = 60 it lags",
    control={"P": 60},
    part="sufficient",
)
def with_decay(budget: Budget, P: int = 240) -> str:
    settings = (Setting(decay=1e-4),)
    found = curves(settings, P=P, centred=False, first_seed=budget.seed)
    train, test = fall_times(found)
    at_once = (test < LATER * train)[:, 0]
    return in_most(f"P = {P}, decay 1e-4: the test loss falls at once", at_once)


_level = sp.Symbol("level", positive=True)


@evidence(
    "sec-13-exact-prediction",
    "measured",
    "slope of log time over log kappa from 3e-5 to 3e-4 is above -1; times of 1/kappa have it",
    control={"inverse": True},
)
def exact_prediction(budget: Budget, inverse: bool = False) -> str:
    def slope(first: int, count: int) -> np.ndarray:
        found = _decaying(Budget(seed=first), seeds=count)
        times = found.falls(found.test, 0.5)[:, [1, 3]]
        times = np.minimum(times, found.steps[-1])  # where later, a bound
        values = np.log(times[:, 1] / times[:, 0]) / np.log(_DECAYS[3] / _DECAYS[1])
        return -np.ones(count) if inverse else values

    what = "slope of the time to halve the test loss over kappa"
    return mean_exceeds(what, slope, budget.seed, -1.0, smallest=0.4, pilot=14)


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
    heavy_setting = Setting(momentum=0.95, learning_rate=learning_rate)

    def both(first: int, count: int) -> tuple[Curves, Curves]:
        found = (curves((s,), first_seed=first, seeds=count) for s in (heavy_setting, Setting()))
        return next(found), next(found)

    def bumps(first: int, count: int) -> np.ndarray:
        heavy, plain = ((np.diff(run.train[:, 0]) > 0).sum(-1) for run in both(first, count))
        return heavy - plain

    heavy, plain = both(budget.seed, DRAWS)
    late = heavy.steps > 100
    apart = np.abs(np.log(heavy.test[:, 0, late] / plain.test[:, 0, late])).max(-1)
    what = f"after 100 steps the test losses differ by a factor {with_error(np.exp(apart))}"
    alike = in_most(f"{what}: below 2", apart < np.log(2))
    what = "rises of the train loss, with momentum less without"
    return f"{alike}; {mean_exceeds(what, bumps, budget.seed, 0.0, smallest=1.0, pilot=14)}"


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


def _tracked(until: float, within: float, seed: int) -> str:
    def near(first: int, count: int) -> Array:
        student, twin = student_and_twin(steps=60, seeds=count, first_seed=first)
        before = student > until * student[:, :1]
        assert not before[:, -1].any(), f"the loss is above {until:g} of its start at the end"
        return (abs(student / twin - 1) < within).all(-1, where=before)

    what = f"the train losses agree within {within:.1%} until {until:g} of the start"
    return mostly(what, near, seed)


@evidence(
    "sec-8.3.1-laziness",
    "measured",
    "student of App. 8.3.1, AdamW: its train loss is within 0.5% of its linearised twin's until it "
    "has halved; not until it is a tenth",
    control={"until": 0.1},
    own_setting=True,
)
@evidence(
    "fig-13b-half",
    "measured",
    "student of App. 8.3.1, AdamW: its train loss is within 0.5% of its linearised twin's until it "
    "has halved; not until it is a tenth",
    control={"until": 0.1},
    own_setting=True,
)
def tracks_the_student(budget: Budget, until: float = 0.5) -> str:
    return _tracked(until, 0.005, budget.seed)


@evidence(
    "fig-13b-then",
    "measured",
    "student of App. 8.3.1: its train loss is within 5% of its twin's until it is a tenth; not "
    "within 0.5%",
    control={"within": 0.005},
    own_setting=True,
)
def tracks_it_further(budget: Budget, within: float = 0.05) -> str:
    return _tracked(0.1, within, budget.seed)
