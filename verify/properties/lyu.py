"""The laws of the early/late dichotomy, against integration of all weights (``diagonal_flow``).

As in ``properties``: each law raises ``AssertionError`` where it fails and returns the share of
its tolerance that it used. A planted formula takes the place of that of the closed form.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scipy.integrate import solve_ivp
from scipy.linalg import null_space

from lazyrich.theory import closed_form, generate
from lazyrich.verify.diagonal_flow import (
    FLOW_TOLERANCE,
    Array,
    Problem,
    State,
    follow,
    follow_matrix,
    gaussian,
)
from lazyrich.verify.strategies import seeds
from lazyrich.verify.tolerances import UNIT_ROUNDOFF

Formula = Callable[..., Any]
# Of z, relative: a hundred times the error that the integration of the weights allows a step.
DUAL_TOLERANCE = 1e-8


def problems(
    depths: tuple[int, ...] = (2, 3, 4),
    losses: tuple[str, ...] = ("square", "exponential", "logistic"),
) -> SearchStrategy[Problem]:
    """Small Gaussian problems: both signs of w, alpha from 1/2 to 8, lambda from 2^-10 to 1/4."""
    return st.builds(
        lambda n, d, seed, **options: gaussian(n, d, seed, **options),
        st.integers(1, 3),
        st.integers(1, 4),
        seeds(),
        loss=st.sampled_from(losses),
        depth=st.sampled_from(depths),
        alpha=st.sampled_from((0.5, 1.0, 2.0, 8.0)),
        lamda=st.integers(-10, -2).map(lambda k: 2.0**k),
    )


def times() -> SearchStrategy[float]:
    """T = lambda t from the first moves to well behind the transition."""
    return st.sampled_from((0.01, 0.5, 1.0, 2.0, 4.0))


@cache
def formula(name: str, term: str) -> Formula:
    """A term of a closed form as a NumPy function; arguments that it lacks are left out."""
    part = closed_form(name).terms[term]
    function, symbols = generate.function(part, "numpy"), tuple(generate.arguments(part))
    return lambda **known: function(**{k: known[k] for k in symbols})


def within(
    what: str, got: Any, wanted: Any, size: float, tolerance: float = FLOW_TOLERANCE
) -> float:
    """Assert that two arrays differ by at most ``tolerance`` * ``size``; return the share used."""
    error = float(np.max(np.abs(np.asarray(got) - np.asarray(wanted))))
    share = error / (tolerance * size)
    assert share <= 1, f"{what}: off by {error / size:.2g} of {size:.3g}, allowed is {tolerance:g}"
    return share


def invariant_holds(problem: Problem, T: float, claimed: Formula | None = None) -> float:
    """u v (L = 2) or u^(2-L) + v^(2-L) at a(t) is what diagonal-net-invariant says."""
    (now,) = follow(problem, (T,))
    L = problem.depth
    term = "two_layers" if L == 2 else "deep"
    wanted = (claimed or formula("diagonal-net-invariant", term))(a=now.a, L=L)
    got = now.u * now.v if L == 2 else now.u ** (2.0 - L) + now.v ** (2.0 - L)
    return within("the invariant", got, wanted, abs(float(wanted)))


def dual_variable(now: State, L: int) -> Array:
    """z of a state, from u and v alone: half of log(u/v)^2, or the difference of powers."""
    if L == 2:
        return np.log(now.u / now.v)
    powers = now.u ** (2.0 - L) - now.v ** (2.0 - L)
    return -powers * L / (L - 2) / 2 * now.a ** (L - 2)


def weights_follow_the_dual(problem: Problem, T: float, claimed: Formula | None = None) -> float:
    """z is in the span of the samples, and w is that function of z (diagonal-net-weights)."""
    (now,) = follow(problem, (T,))
    X, _ = problem.arrays()
    L = problem.depth
    z = dual_variable(now, L)
    spanned = X.T @ np.linalg.lstsq(X.T, z, rcond=None)[0]
    share = within("z outside the samples' span", z, spanned, max(1.0, float(abs(z).max())))
    law = claimed or formula("diagonal-net-weights", "two_layers" if L == 2 else "deep")
    size = float(max(abs(now.w).max(), now.a**L))
    if L > 2:  # near the pole at |z| = L/(L - 2) w moves far for the little that z may be off
        pole = L / (L - 2)
        size *= 1 + DUAL_TOLERANCE / (10 * FLOW_TOLERANCE) * float(max(abs(z) / (pole - abs(z))))
    return max(share, within("w", law(a=now.a, z=z, L=L), now.w, size, 10 * FLOW_TOLERANCE))


def dual_flow(problem: Problem, T: float, factor: float = 1.0) -> tuple[float, Array]:
    """(a, nu) at T by the rates of diagonal-net-dual-flow, times ``factor``."""
    X, y = problem.arrays()
    L = problem.depth
    weights = formula("diagonal-net-weights", "two_layers" if L == 2 else "deep")
    rates = formula("diagonal-net-dual-flow", problem.loss)

    def rate(T: float, nu: Array) -> Array:
        a = problem.alpha * np.exp(-T)
        f = X @ weights(a=a, z=X.T @ nu, L=L)
        return factor * rates(a=a, L=L, n=len(y), y=y, f=f) / problem.lamda

    leg = solve_ivp(
        rate, (0, T), np.zeros(len(y)), method="LSODA", rtol=1e-10, atol=1e-12 * problem.alpha**-L
    )
    assert leg.success, leg.message
    return problem.alpha * np.exp(-T), leg.y[:, -1]


def dual_flow_gives_the_weights(problem: Problem, T: float, factor: float = 1.0) -> float:
    """The n dual numbers, integrated, give the w of the 2 d weights."""
    X, _ = problem.arrays()
    L = problem.depth
    (now,) = follow(problem, (T,))
    a, nu = dual_flow(problem, T, factor)
    law = formula("diagonal-net-weights", "two_layers" if L == 2 else "deep")
    size = float(max(abs(now.w).max(), abs(now.f).max(), 1e-3))
    got = law(a=a, z=X.T @ nu, L=L)
    return within("w", got, now.w, size, 100 * FLOW_TOLERANCE)


def jacobian_is_the_derivative(problem: Problem, a: float, factor: float = 1.0) -> float:
    """The n x n Jacobian of the dual rates against central differences, at a random nu."""
    X, y = problem.arrays()
    L, n = problem.depth, len(y)
    deep = "two_layers" if L == 2 else "deep"
    # Small enough that |z| < L/(L - 2) = 2 at L = 4, and f is of order 1.
    nu = np.linspace(-1, 1, n + 1)[1:] / (1 + np.abs(X).sum()) / max(1.0, a**L)

    def f(nu: Array) -> Array:
        return X @ formula("diagonal-net-weights", deep)(a=a, z=X.T @ nu, L=L)

    def rates(nu: Array) -> Array:
        return formula("diagonal-net-dual-flow", problem.loss)(a=a, L=L, n=n, y=y, f=f(nu))

    h = 1e-5 * float(abs(nu).max())
    numeric = np.stack([(rates(nu + h * e) - rates(nu - h * e)) / (2 * h) for e in np.eye(n)], 1)
    z = X.T @ nu
    curved = formula("diagonal-net-dual-flow", f"{problem.loss}_curvature")(y=y, f=f(nu))
    c = (L - 2) / L
    u, v = (
        a * (np.exp(s * z / 2) if L == 2 else (1 - s * c * z) ** (-1 / (L - 2))) for s in (1, -1)
    )
    w_z = formula("diagonal-net-weights", "slope")(a=a, L=L, u=u, v=v)
    exact = formula("diagonal-net-dual-flow", "jacobian")(
        a=a, L=L, n=n, d=len(z), X=X, w_z=w_z, ell_ff=np.broadcast_to(curved, (n,)).astype(float)
    )
    rounding = 8 * UNIT_ROUNDOFF["float64"] * float(abs(rates(nu)).max()) / h  # of differences
    size = float(abs(exact).max()) + rounding / FLOW_TOLERANCE
    return within("the Jacobian", factor * exact, numeric, size)


def minimises_the_potential(
    problem: Problem, T: float, seed: int, claimed: Formula | None = None
) -> float | None:
    """At L = 2 no w + h with X h = 0 has a smaller sum of Phi_a than w(t)."""
    (now,) = follow(problem, (T,))
    X, _ = problem.arrays()
    kernel = null_space(X)
    if not kernel.size:
        return None
    law = claimed or formula("diagonal-net-potential", "two_layers")

    def total(w: Array) -> float:
        return float(np.sum(law(w=w, a=now.a)))

    step = kernel @ np.random.default_rng(seed).normal(size=kernel.shape[1])
    width = np.sqrt(now.w**2 + 4 * now.a**4)  # on which Phi bends
    step *= 0.01 * np.min(width / np.maximum(abs(step), 1e-300))
    here, there, back = total(now.w), total(now.w + step), total(now.w - step)
    # The derivative along h, against the bend: 0 at a minimum.
    lean, bend = (there - back) / 2, (there + back) / 2 - here
    assert bend > 0, "Phi is not convex there"
    return within("the slope of Phi along X h = 0", lean, 0.0, bend, 0.01)


def matrix_invariants_hold(seed: int, D: int, T: float, of_product: float = 1.0) -> float:
    """U^T V = a^2 I and U U^T + V V^T = (W^2 + 4 a^4 I)^(1/2) along the flow."""
    random = np.random.default_rng(seed)
    observed = (random.random((D, D)) < 0.6) * 1.0
    observed[0, 0] = 1.0
    (now,) = follow_matrix(random.normal(size=(D, D)), observed, 2.0, 0.05, (T,))
    size = max(now.a**2, float(abs(now.W).max()))
    product = formula("matrix-model-invariants", "product")(a=now.a, D=D)
    share = within("U^T V", now.U.T @ now.V, of_product * product, now.a**2)
    values, basis = np.linalg.eigh(now.W)
    norms = formula("matrix-model-invariants", "norm")(a=now.a, w=values)
    root = (basis * norms) @ basis.T
    got = now.U @ now.U.T + now.V @ now.V.T
    return max(share, within("U U^T + V V^T", got, root, size))


def matrix_certificate_holds(
    seed: int, D: int, lamda: float, symmetrised: bool = True, kick: float = 0.0
) -> float:
    """At the end |Gsym|_op = lambda/2, and Gsym (U U^T + V V^T) = -(lambda/2) W.

    ``kick`` is the standard deviation of what is added to the initial alpha (I, I).
    """
    random = np.random.default_rng(seed)
    target = random.normal(size=(D, D))
    observed = (random.random((D, D)) < 0.6) * 1.0
    observed[0, 1 % D] = 1.0
    kicked = kick * random.normal(size=(2, D, D))
    (now,) = follow_matrix(target, observed, 2.0, lamda, (np.log(2) + 40,), kicked)
    G = (now.G + now.G.T) / 2 if symmetrised else now.G
    half = float(formula("matrix-model-oracles", "certificate")(lamda=lamda))
    norm = float(np.linalg.norm(G, 2))
    if np.linalg.norm(now.W, 2) < 0.05:  # lambda so large that W = 0
        assert norm < half * 1.02, f"|G|_op = {norm:.3g} at W = 0, above {half:.3g}"
        return norm / half
    # An eigenvalue within 2% of lambda/2 has not died out at a = exp(-40): W falls as a^(2 - 2 r).
    share = within("|G|_op", norm, half, half, 0.02)
    both = now.U @ now.U.T + now.V @ now.V.T
    size = half * float(np.linalg.norm(now.W, 2))
    return max(share, within("G |W|", G @ both, -half * now.W, size, 0.02))
