"""Where deep diagonal nets end in classification: the late phase at L > 2."""

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.theory.lyu.symbols import L as depth_symbol
from lazyrich.verify import strategies as given
from lazyrich.verify.diagonal_flow import Array, Problem, follow, gaussian, smallest_l1
from lazyrich.verify.evidence import attach, attacked, counterexample, evidence
from lazyrich.verify.ledger import Evidence
from lazyrich.verify.lyu.laws import DEEP

# The largest L1 margin is that of (5, -1)/13, and it is no KKT point of the norm problem at L > 2.
SMALLEST = Problem(((3.0, 2.0), (2.0, -3.0)), (1.0, 1.0), "exponential", lamda=1e-8)
BEHIND = 6.0  # T - log(alpha): a = exp(-6) there


def _end(net: Problem, depth: int) -> Array:
    """w at the end over its smallest margin."""
    at = Problem(net.X, net.y, "exponential", depth, net.alpha, 1e-8)
    (now,) = follow(at, (float(np.log(net.alpha)) + BEHIND,))
    return now.w / float((np.array(net.y) * now.f).min())


def _own_outputs(power: int):
    """w has the smallest L1 norm (L2 for ``power`` 2) among all of the same outputs."""

    def law(seed: int, n: int, depth: int) -> float:
        net = gaussian(n, 4, seed, loss="exponential", depth=depth, lamda=1e-4)
        (now,) = follow(net, (float(np.log(net.alpha)) + BEHIND,))
        X, _ = net.arrays()
        least = smallest_l1(X, now.f) if power == 1 else np.linalg.pinv(X) @ now.f
        excess = float((abs(now.w) ** power).sum() / (abs(least) ** power).sum() - 1)
        # Phi_a is L/(L - 2) times |w|, up to a^(L-2) |w|^(2/L) in each coordinate.
        sizes = [float((abs(one) ** (2 / depth)).sum() / abs(one).sum()) for one in (now.w, least)]
        allowed = depth * now.a ** (depth - 2) * max(sizes)
        assert excess < allowed, f"sum of |w|^{power} is {excess:.2g} above the least"
        return excess / allowed

    return law


def _no_kkt_point(depth: int) -> str:
    """The multipliers of both problems at the largest L1 margin of SMALLEST."""
    A = sp.Matrix([[3, 2], [2, -3]])
    w = A.solve(sp.ones(2, 1))
    signs = w.applyfunc(sp.sign)
    of_l1 = A.T.solve(signs)
    assert min(of_l1) > 0, "not the largest L1 margin"
    size = sp.Symbol("abs_w", positive=True)
    late = closed_form("regularised-oracles").terms["late"].subs(depth_symbol, depth)
    force = sp.Matrix(
        [s * sp.diff(late, size).subs(size, abs(one)) for s, one in zip(signs, w, strict=True)]
    )
    (decay,) = late.free_symbols - {size}
    first, second = (sp.simplify(one) for one in A.T.solve(force) / decay)
    line = f"L = {depth}: multipliers {float(first):.4f}, {float(second):.4f} at w = {tuple(w)}"
    assert first < 0, f"a KKT point: {line}"
    return line


def _leaves(depth: int) -> str:
    w = _end(SMALLEST, depth)
    line = f"L = {depth}: w/q ends at ({w[0]:.4f}, {w[1]:.1e})"
    assert abs(w - (0.5, 0.0)).max() < 1e-3, line
    return line


attach(
    "lyu-late-deep-classification",
    Evidence(
        "proved",
        "at L = 3, 4, 6 the largest L1 margin of X = [[3, 2], [2, -3]] is no KKT point of "
        "the norm problem, in exact roots; at L = 2 it is",
        lambda _: "; ".join(_no_kkt_point(depth) for depth in (3, 4, 6)),
        lambda _: _no_kkt_point(2),
    ),
    Evidence(
        "measured",
        "the flow leaves it for (1/2, 0), at L = 3, 4 and not at L = 2",
        lambda _: "; ".join(_leaves(depth) for depth in (3, 4)),
        lambda _: _leaves(2),
    ),
)


@evidence(
    "lyu-late-deep-classification",
    "measured",
    "X = [[2, 1, 4], [2, 4, 1]], y = (1, 1): it ends at the largest L1 margin, "
    "(0, 1, 1)/5, and not at (1/2, 0, 0), the global optimum of the norm problem",
    control={"power": 0.5},
)
def not_global(power: float = 1.0) -> str:
    lines = []
    for depth in (3, 4):
        w = _end(Problem(DEEP.X, (1.0, 1.0)), depth)
        end, other = (float((abs(one) ** power).sum()) for one in (w, np.array([0.5, 0, 0])))
        lines.append(f"L = {depth}: ({', '.join(f'{abs(one):.3f}' for one in w)})")
        assert end < other, f"{lines[-1]}: sum |w|^{power:.2g} {end:.3f}, {other:.3f} is less"
    return "; ".join(lines)


attach(
    "lyu-late-deep-classification",
    attacked(
        "w has the smallest L1 norm among all of the same outputs, n = 1 to 3, d = 4, L = 3, 4",
        _own_outputs(1),
        (given.seeds(), st.integers(1, 3), st.sampled_from((3, 4))),
        _own_outputs(2),
    ),
)


counterexample(
    "lyu-late-deep-classification",
    lambda: (
        f"X = [[3, 2], [2, -3]], y = (1, 1): the largest L1 margin is that of (5, -1)/13; "
        f"{_leaves(3)}"
    ),
)
