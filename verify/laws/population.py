"""Laws beyond the papers: feature learning with infinitely many samples."""

import math

import numpy as np
import sympy as sp

from lazyrich.simulate.laws import population
from lazyrich.theory.symbols import D as DIMENSION
from lazyrich.verify.evidence import certificate
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict


def claims() -> list[Claim]:
    """The laws on infinitely many samples."""
    return [_scalar(), _logistic(), _halving_time(), _three_halves(), _one_formula()]


def _exact(D: int, a: float, share: float, guess: float) -> float:
    """The T at which the share is learned, by integration: within a factor 2 of the guess."""
    times = guess * np.linspace(0.4, 2.0, 4001)
    learned = population.competition(D, a, np.concatenate([[0.0], times]))[0][1:] - a
    assert learned[0] < share < learned[-1], f"D = {D}, a = {a:g}: not within a factor 2"
    return float(np.interp(share, learned, times))


def _scalar() -> Claim:
    from dataclasses import replace

    def planted(form):
        return replace(form, terms={**form.terms, "m_1": 2 * form.terms["m_1"]})

    return Claim(
        name="law-population-scalar",
        source="Laws, population limit",
        statement="In the subspace wbar = u beta/|beta|, M = m_1 along beta and m_perp across, the "
        "flow of the population loss is a closed scalar ODE.",
        verdict=Verdict.CONFIRMED,
        evidence=(certificate("population-flow-scalar", planted),),
    )


def _logistic() -> Claim:
    def derived(factor: int) -> str:
        from lazyrich.theory import closed_form
        from lazyrich.theory.laws.population_time import a, chi, y

        form = closed_form("population-time")
        lag = sp.limit(form.components["lag"].subs(DIMENSION, 10**9), sp.Symbol("T"), sp.oo)
        assert lag.subs(a, 1).subs(sp.Symbol("T", nonnegative=True), 1) < sp.Rational(1, 10**6)
        slope = form.steps[0][1].subs(chi, 0)
        logistic = factor * (a + y) * (1 - y)
        assert sp.simplify(slope - logistic) == 0, f"dy/dT is {sp.factor(slope)}, not {logistic}"
        return f"chi -> 0 as D a -> infinity; dy/dT = {sp.factor(slope)}"

    return Claim(
        name="law-logistic",
        source="Laws, population limit",
        statement="With the trace slaved, m_1 is logistic.",
        verdict=Verdict.ASSUMING,
        assumption="D >> 1 and D a >> 1, a = alpha epsilon sigma^2/|beta|^2. For D = 1 it is "
        "logistic too, half as fast again; between, the trace lags.",
        evidence=(
            Evidence(
                "derived",
                "dy/dT of y = q_1 - a at trace 0, in T = 2 epsilon |beta|^2 tau/(alpha D^2)",
                lambda _: derived(2),
                lambda _: derived(3),
            ),
        ),
    )


def _printed(a: float) -> float:
    return math.log(2 + 1 / a) / (2 * (1 + a))


def _halving_time() -> Claim:
    def error_of(law, D: int, a: float) -> float:
        return abs(law(a) / _exact(D, a, 0.5, population.time_to_learn(D, a)) - 1)

    def check(factor: float) -> str:
        inside = [(D, a) for D in (100, 1000, 10_000) for a in np.geomspace(5 / D, 100, 8)]
        error = max(error_of(lambda a: factor * _printed(a), D, a) for D, a in inside)
        assert error < 0.05, f"{100 * error:.1f}% off"
        outside = error_of(_printed, 40, 1e-3)
        assert outside > 0.3, "holds at D = 40, a = 0.001"
        return (
            f"within {100 * error:.1f}% of the T at which half the target is learned for D >= 100, "
            f"D a >= 5; {100 * outside:.0f}% off at D = 40, a = 0.001"
        )

    def counterexample() -> str:
        T = population.time_to_learn(1, 1.0)
        q_1 = population.competition(1, 1.0, np.array([0.0, _printed(1.0)]))[0][1]
        left = (q_1 - 2) ** 2
        return (
            f"D = 1, a = 1: printed T = {_printed(1.0):.4f}, half of the target is learned at "
            f"{T:.4f}; at the printed time the misalignment has fallen to {left:.3f}, not 1/2"
        )

    return Claim(
        name="law-population-time",
        source="Laws, population limit",
        statement="The time to halve the misalignment is close to "
        "(alpha D^2/(4 eta_0 epsilon |beta|^2)) log(2 + 1/a)/(1 + a).",
        verdict=Verdict.MISPRINT,
        printed=r"$\frac{\alpha D^2}{4\eta_0\epsilon B}\frac{\log(2+1/a)}{1+a}$, for every $a$, "
        "to halve the misalignment",
        derived="that is the time at which the residual along beta is halved, and the "
        "misalignment, its square, a quarter; for D >= 100 and D a >= 5. For every D and a: "
        "population-time",
        derivation="(1 - y)/(1 + y/a) decays at the rate (1 + a)(2 + chi) in T, chi the trace of "
        "the residual over its entry along beta, from 1 to 0 as the trace saturates, at T of "
        "order 1/(1 + D a). With chi = 0 and y = 1/2 this gives the printed time.",
        counterexample=counterexample,
        evidence=(
            Evidence(
                "measured",
                "against integration, where it holds and where it doesn't",
                lambda _: check(1.0),
                lambda _: check(1.1),
            ),
        ),
    )


def _three_halves() -> Claim:
    def check(rate: float) -> str:
        found = []
        for D in (1, 10, 100, 1000):
            for a in (1e-3 * D**-1.5, 1e-6 * D**-1.5):
                law = math.log(1 / a) / rate
                found.append(law / _exact(D, a, 0.5, law) - 1)
        error = max(map(abs, found))
        assert error < 0.05, f"{100 * error:.1f}% off"
        D, a = 1000, 1 / 1000
        T = _exact(D, a, 0.5, population.time_to_learn(D, a))
        late = math.log(1 / a) / 3 / T - 1
        assert abs(late) > 0.2, "holds at a = 1/D"
        return (
            f"within {100 * error:.1f}% for a <= D^(-3/2)/1000, D from 1 to 1000; at D = 1000, "
            f"a = 1/D it is {100 * late:.0f}% off, and T = {T:.2f} is near log(D)/2 = "
            f"{math.log(D) / 2:.2f}"
        )

    return Claim(
        name="law-population-time-small",
        source="Laws, population limit",
        statement="For small alpha epsilon the growth rate is 3/2 as large, giving "
        "t = (alpha D^2/(6 eta_0 epsilon |beta|^2)) log(|beta|^2/(alpha epsilon)).",
        verdict=Verdict.ASSUMING,
        assumption="a << D^(-3/2), where the feature has grown before the trace saturates. The "
        "crossover to the other law is wide: for D^(-3/2) << a << 1/D the time is that of "
        "T = log(D)/2, whatever a.",
        evidence=(
            Evidence(
                "measured",
                "against integration",
                lambda _: check(3.0),
                lambda _: check(2.0),
            ),
        ),
    )


def _one_formula() -> Claim:
    allowed = {0.5: 0.041, 1 - math.sqrt(0.5): 0.019}

    def check(budget: Budget, factor: float) -> str:
        rng = np.random.default_rng(budget.seed)
        worst = dict.fromkeys(allowed, 0.0)
        for _ in range(2 * budget.examples):
            D, a = round(10 ** rng.uniform(0, 4)), 10 ** rng.uniform(-5, 3)
            for share, most in allowed.items():
                T = population.time_to_learn(D, a, share)
                error = abs(factor * T / _exact(D, a, share, T) - 1)
                assert error < most, (
                    f"D = {D}, a = {a:.3g}, y = {share:.3g}: {100 * error:.1f}% off"
                )
                worst[share] = max(worst[share], error)
        shown = ", ".join(f"{100 * e:.1f}% at y = {s:.3f}" for s, e in worst.items())
        return (
            f"{2 * budget.examples} random (D, a), D to 10^4, a from 1e-5 to 1e3: at most {shown}"
        )

    return Claim(
        name="law-population-time-any-D",
        source="Laws, population limit",
        statement="(1 + y/a)/(1 - y) = (1 + D a) exp(2 (1 + a) T)/[(1 + a) exp(-(1 + D a) T) + "
        "(D - 1) a] gives the T at which the share y of the target along beta is learned, for "
        "every D and a; y = 1 - 1/sqrt(2) halves the misalignment.",
        verdict=Verdict.ASSUMING,
        assumption="y up to 1/2, where it is within 4.1% (1.9% at 1 - 1/sqrt(2)); exact for D = 1. "
        "At y = 0.7 it is up to 9% short and at 0.9 up to a third: the trace is last, by a power "
        "of time (population-flow-scalar).",
        evidence=(
            Evidence(
                "measured",
                "against integration",
                lambda budget: check(budget, 1.0),
                lambda budget: check(budget, 1.1),
            ),
        ),
    )
