"""Our laws 1 to 3 for the systems of Lyu et al. 2024: constants, exponents, domains."""

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from scipy.optimize import root

from lazyrich.theory import closed_form
from lazyrich.theory.lyu.symbols import L as DEPTH
from lazyrich.theory.lyu.symbols import a as scale
from lazyrich.theory.lyu.symbols import w as weight
from lazyrich.verify import strategies as given
from lazyrich.verify.diagonal_flow import (
    Array,
    Problem,
    follow,
    gaussian,
    smallest_l1,
)
from lazyrich.verify.evidence import attach, attacked, counterexample, equality, evidence
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.properties import lyu as laws
from lazyrich.verify.statistics import each, slope_is

# L = 3, 4: (0, 2/5, 2/5) has the smallest L1 norm, (1, 0, 0) a smaller quasi-norm.
DEEP = Problem(((2.0, 1.0, 4.0), (2.0, 4.0, 1.0)), (2.0, 2.0))


def on_the_path(X: Array, y: Array, a: float) -> Array:
    """argmin of the sum of Phi_a over X w = y at L = 2, by its n optimality conditions."""
    nu = np.zeros(len(y))
    for step in np.geomspace(max(4.0, 2 * a), a, 40):  # from the early solution on

        def off(nu: Array, at: float = step) -> Array:
            return X @ (2 * at**2 * np.sinh(X.T @ nu)) - y

        found = root(off, nu, tol=1e-13)
        nu = found.x
    return 2 * a**2 * np.sinh(X.T @ nu)


# With a kernel of X, and a^2 of the order of w: before and after, other potentials agree.
_IN_TRANSITION = st.builds(
    lambda n, seed, **options: gaussian(n, 4, seed, **options),
    st.integers(1, 2),
    given.seeds(),
    loss=st.sampled_from(("square", "exponential", "logistic")),
    alpha=st.sampled_from((0.5, 1.0)),
    lamda=st.sampled_from((1e-3, 1e-2, 1e-1)),
)


_u, _v, _g, _lamda = sp.symbols("u v g lambda")


def _proof(depth: int, power: int) -> str:
    """d/dt of u^p + v^p is (L - 2) lambda times it: polynomials, once u v is cleared."""
    flow = {p: -_g * sp.diff(_u**depth - _v**depth, p) - _lamda * p for p in (_u, _v)}
    kept = _u * _v if depth == 2 else _u**power + _v**power
    rate = sp.Add(*(sp.diff(kept, p) * flow[p] for p in (_u, _v)))
    factor = -2 * _lamda if depth == 2 else (depth - 2) * _lamda
    off = sp.numer(sp.together(sp.expand(rate - factor * kept)))
    assert sp.expand(off) == 0, f"L = {depth}: {sp.factor(off)} off"
    return f"L = {depth}"


attach(
    "lyu-law-1",
    equality(
        "derived from the flow",
        lambda: closed_form("diagonal-net-invariant").terms["deep"],
        lambda: 2 * scale ** (2 - DEPTH),
        lambda: scale ** (2 - DEPTH),
    ),
    Evidence(
        "proved",
        "as polynomial identities, L = 2 to 6",
        lambda _: ", ".join(_proof(depth, 2 - depth) for depth in range(2, 7)),
        lambda _: ", ".join(_proof(depth, 1 - depth) for depth in range(2, 7)),
    ),
    attacked(
        "against integration of all weights: three losses, L = 2, 3, 4",
        laws.invariant_holds,
        (laws.problems(), laws.times()),
        lambda problem, T: laws.invariant_holds(problem, T, lambda a, L: 2 * a**L),
    ),
    attacked(
        "the matrix model, D = 1 to 4, any set of observed entries",
        laws.matrix_invariants_hold,
        (given.seeds(), st.integers(1, 4), laws.times()),
        lambda seed, D, T: laws.matrix_invariants_hold(seed, D, T, 2.0),
    ),
)


attach(
    "lyu-law-2",
    attacked(
        "z is in the span of the samples and w is that function of it, at any time",
        laws.weights_follow_the_dual,
        (laws.problems(), laws.times()),
        lambda problem, T: laws.weights_follow_the_dual(
            problem, T, lambda a, z, L: a**L * np.sinh(z)
        ),
    ),
    attacked(
        "nu integrated gives w, for three losses and L = 2, 3, 4; at half the speed not",
        laws.dual_flow_gives_the_weights,
        (laws.problems(), laws.times()),
        lambda problem, T: laws.dual_flow_gives_the_weights(problem, T, 0.5),
    ),
    attacked(
        "the n x n Jacobian against differences of the rates",
        laws.jacobian_is_the_derivative,
        (laws.problems(), st.sampled_from((0.25, 1.0, 4.0))),
        lambda problem, a: laws.jacobian_is_the_derivative(problem, a, 2.0),
    ),
)


_decays = np.array([1e-2, 1e-3, 1e-4])


attach(
    "lyu-law-3",
    equality(
        "Phi is the integral of z over w",
        lambda: closed_form("diagonal-net-potential").terms["two_layers"],
        lambda: weight * sp.asinh(weight / (2 * scale**2)) - sp.sqrt(weight**2 + 4 * scale**4),
        lambda: weight * sp.asinh(weight / scale**2) - sp.sqrt(weight**2 + scale**4),
    ),
    attacked(
        "w(t) minimises Phi_a at given outputs, at any time, for three losses",
        laws.minimises_the_potential,
        (_IN_TRANSITION, st.sampled_from((0.5, 1.0, 2.0)), given.seeds()),
        lambda problem, T, seed: laws.minimises_the_potential(
            problem,
            T,
            seed,
            lambda w, a: w * np.arcsinh(w / a**2) - np.sqrt(w**2 + a**4),
        ),
    ),
)


@evidence(
    "lyu-law-3",
    "measured",
    "the distance of the flow from the path in the transition, a = 1/e",
    control={"of_scale": 1.1},
)
def error(budget: Budget, expected: float = 1.0, of_scale: float = 1.0) -> str:
    def distance(seed: int, lamda: float) -> float:
        net = gaussian(2, 4, seed, lamda=lamda)
        (now,) = follow(net, (float(np.log(net.alpha)) + 1.0,))  # a = 1/e
        return abs(now.w - on_the_path(*net.arrays(), of_scale * now.a)).max()

    sample = each(distance, _decays)
    return slope_is("distance from the path over lambda", _decays, sample, budget.seed, expected)


def _ends(depth: int, power: float) -> str:
    """|w|_p^p at the end against the smallest: p = 1, or the quasi-norm of power 2/L."""
    net = Problem(DEEP.X, DEEP.y, depth=depth, lamda=1e-4)
    (now,) = follow(net, (float(np.log(net.alpha)) + 6.0,))
    got = float((abs(now.w) ** power).sum())
    vertices = (smallest_l1(*net.arrays()), np.array([1.0, 0.0, 0.0]))
    least = min(float((abs(one) ** power).sum()) for one in vertices)
    shown = ", ".join(f"{abs(one):.3f}" for one in now.w)
    line = f"L = {depth}: w ends at ({shown})"
    assert got < 1.02 * least, f"{line}: sum of |w|^{power:.3g} {got:.3f}, smallest {least:.3f}"
    return line


@evidence(
    "lyu-late-deep",
    "derived",
    "the limit of Phi_a as a -> 0",
    control={"claimed": "quasi"},
)
def series(claimed: str = "L1") -> str:
    late = closed_form("diagonal-net-potential").terms["late"]
    size = sp.Symbol("abs_w", positive=True)
    at = late.subs(DEPTH, 4)
    first = sp.limit(at, scale, 0)
    wanted = {"L1": size, "quasi": sp.sqrt(size)}[claimed]
    assert sp.simplify(first / wanted).is_number, f"Phi tends to {first}, not to {wanted}"
    return f"L = 4: Phi tends to {first}"


attach(
    "lyu-late-deep",
    Evidence(
        "measured",
        "the flow ends at the smallest L1 norm where the two differ",
        lambda _: "; ".join(_ends(depth, 1.0) for depth in (3, 4)),
        lambda _: "; ".join(_ends(depth, 2 / depth) for depth in (3, 4)),
    ),
)


counterexample(
    "lyu-late-deep",
    lambda: (
        "X = [[2, 1, 4], [2, 4, 1]], y = (2, 2): (1, 0, 0) has |theta|^2 = 1, the least; "
        f"{_ends(3, 1.0)}, of |theta|^2 = 1.086"
    ),
)
