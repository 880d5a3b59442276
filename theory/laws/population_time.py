"""How long feature learning takes with infinitely many samples: one formula, any D, any alpha.

The centred flow by symmetry (``population-flow-scalar``) in two numbers: p, the share of the target
along beta that has been learned, and chi, how far the trace of M lags behind. Not in the papers.
"""

from functools import cache

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.laws.symbols import p
from lazyrich.theory.linear import linear_root
from lazyrich.theory.population_scalars import population_flow_scalar, q_1, q_perp
from lazyrich.theory.symbols import M0, D, I, M, alpha, b, beta, epsilon, wbar, wbar0
from lazyrich.theory.test_loss import test_loss_centred
from lazyrich.theory.training_symbols import T, a, betahat
from lazyrich.theory.wick import canonical, dot

chi = sp.Symbol("chi", real=True)  # trace of the residual over its entry along beta: 1 at first
_across = sp.Dummy("q_perp", positive=True)


@cache
def _log_rates() -> tuple[sp.Expr, sp.Expr]:
    """d log q_1/dT and d log q_perp/dT of the centred competition, from q = a."""
    rates = population_flow_scalar().components["competition_centred"]
    species = zip(rates, (q_1, q_perp), strict=True)
    first, second = (sp.expand(sp.cancel(rate / q)) for rate, q in species)
    return first, second


@cache
def _in_two_numbers() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """(dp/dT, d chi/dT with q_perp left where it is not times D, q_perp in p and chi)."""
    species = {q_1: a + p, q_perp: _across}
    first, second = (
        (q * rate).subs(species) for q, rate in zip((q_1, q_perp), _log_rates(), strict=True)
    )
    residual = p - 1
    trace = residual + (D - 1) * (_across - a)
    across = linear_root(trace - chi * residual, _across)
    d_y = sp.factor(first.subs(_across, across))
    # d q_perp/dT = -q_perp (trace + 2 (q_perp - a)), and (D - 1)(q_perp - a) = trace - residual.
    d_trace = d_y - (D - 1) * across * chi * residual - 2 * _across * (chi - 1) * residual
    exact = sp.diff(trace, p) * first + sp.diff(trace, _across) * second
    if sp.factor((exact - d_trace).subs(_across, across)) != 0:
        raise AssertionError(f"the trace does not move by {d_trace}")
    return d_y, sp.factor((d_trace - chi * d_y) / residual), across


def _loss() -> sp.Expr:
    """The test loss over (|beta|^2/D)^2 at wbar = 0, in q_1 and q_perp."""
    scale = b / (alpha * epsilon)
    along = betahat * betahat.T
    symmetric = {
        beta: sp.sqrt(b) * betahat,
        wbar: wbar0,
        M: scale * (q_1 * along + q_perp * (I - along)),
        M0: scale * a * I,
    }
    loss = canonical(test_loss_centred().expr.subs(symmetric).doit())
    loss = loss.subs(canonical(dot(betahat, betahat)), 1) * (D / b) ** 2
    # In the residuals along and across, left unexpanded: near the solution it would cancel.
    first, others = sp.Dummy("first"), sp.Dummy("others")
    in_residuals = sp.expand(sp.cancel(loss.subs({q_1: a + 1 + first, q_perp: a + others})))
    return in_residuals.subs({first: q_1 - a - 1, others: q_perp - a})


def _lag() -> tuple[sp.Expr, sp.Expr]:
    """(d chi/dT before either species has left a, its solution from chi = 1)."""
    _, d_chi, _ = _in_two_numbers()
    early = sp.factor(d_chi.subs({p: 0, _across: a}))
    rate = 1 + D * a
    solution = rate / (1 + a + (D - 1) * a * sp.exp(rate * T))
    left = sp.diff(solution, T) - early.subs(chi, solution)
    if sp.cancel(left) != 0 or _at_start(solution) != 1:
        raise AssertionError(f"{solution} does not solve d chi/dT = {early}")
    return early, solution


def population_time() -> ClosedForm:
    """The share p of the target along beta that is learned by time T, infinitely many samples.

    ``expr``: p(T), with T = 2 epsilon |beta|^2 tau/(alpha D^2), a = alpha epsilon sigma^2/|beta|^2.
    ``terms``: ``decay``, what (1 - p)/(1 + p/a) has fallen to by T; ``decay_needed``, this at p;
    ``time_many_dimensions`` and ``time_rich``, the T at which p is reached for D a >> 1 and D >> 1,
    and for a << D^(-3/2); ``tau``, the tau that is one unit of T; ``loss``, the test loss over
    (|beta|^2/D)^2 in q_1 and q_perp. ``components``: ``log_rates``, those of q_1 and q_perp in T,
    exact. b stands for |beta|^2.
    ``simulate.laws.population`` solves for T.
    """
    d_y, _, across = _in_two_numbers()
    needed = (1 - p) / (1 + p / a)
    speed = sp.factor(-sp.diff(sp.log(needed), p) * d_y)
    early, lag = _lag()
    exponent = speed.subs(chi, 0) * T + sp.diff(speed, chi) * _integral(lag)
    rate = 1 + D * a
    decay = ((1 + a) * sp.exp(-rate * T) + (D - 1) * a) * sp.exp(-2 * (1 + a) * T) / rate
    if sp.powsimp(sp.factor(sp.diff(sp.log(decay) + exponent, T))) != 0 or _at_start(decay) != 1:
        raise AssertionError(f"{decay} is not exp(-({exponent}))")
    learned = (1 - decay) / (1 + decay / a)
    many = -sp.log(needed) / (2 * (1 + a))
    rich = -sp.log(needed) / 3
    unit = alpha * D**2 / (2 * epsilon * b)
    return ClosedForm(
        name="population-time",
        title="Share of the target along beta that is learned by T = 2 epsilon b tau/(alpha D^2)",
        expr=learned,
        terms={
            "decay": decay,
            "decay_needed": needed,
            "time_many_dimensions": many,
            "time_rich": rich,
            "tau": unit,
            "loss": _loss(),
        },
        components={
            "log_rates": _log_rates(),
            "speed": speed,
            "across": across,
            "early": early,
            "lag": lag,
        },
        steps=[
            ("dp/dT, from the centred competition; 1 - p is the residual along beta.", d_y),
            ("with q_perp in p and chi = trace of the residual/(p - 1).", across),
            ("-d/dT of log((1 - p)/(1 + p/a)): exact.", speed),
            ("d chi/dT while p is small and q_perp at its start: the trace saturates.", early),
            ("Its solution from chi = 1: exact throughout for D = 1, and for a -> infinity.", lag),
            ("So (1 - p)/(1 + p/a) has fallen to this by T,", decay),
            ("and p is this.", learned),
            ("D a >> 1, D large: the trace is slaved, m_1 is logistic, p is reached at T =", many),
            ("a << D^(-3/2): the trace never saturates, the rate is 3/2 as large; T =", rich),
            ("Between, D^(-3/2) << a << 1/D: T = log(D)/2, free of a. One unit of T in tau:", unit),
        ],
        assumptions=(
            "Infinitely many samples, infinite width, gradient flow, centred predictor, "
            "alpha epsilon > 0. An approximation for 1 < D < infinity: docs/laws.md has its "
            "measured error; p at most about 1/2, beyond which the last of the trace is slow."
        ),
        source="derived here",
    )


def _at_start(expr: sp.Expr) -> sp.Expr:
    return sp.powsimp(sp.expand(expr.subs(T, 0)))


def _integral(lag: sp.Expr) -> sp.Expr:
    """The integral of the lag from 0 to T; checked by differentiation."""
    rate = 1 + D * a
    found = rate * T - sp.log((1 + a + (D - 1) * a * sp.exp(rate * T)) / rate)
    found /= 1 + a
    if sp.factor(sp.diff(found, T) - lag) != 0 or _at_start(found) != 0:
        raise AssertionError(f"{found} is not the integral of {lag}")
    return found
