"""Our law 4 for the systems of Lyu et al. 2024: the time of the transition."""

from collections.abc import Callable

import numpy as np

from lazyrich.verify.diagonal_flow import (
    Array,
    Problem,
    follow,
    follow_matrix,
)
from lazyrich.verify.evidence import evidence
from lazyrich.verify.lyu.laws import DEEP


def _crossing(net: Problem, T_first: float, of: Callable[[Array], float]) -> float:
    """The T at which a decreasing function of w crosses 0, by the states at 40 times."""
    times = T_first + np.linspace(0.0, 4.0, 41)
    values = [of(now.w) for now in follow(net, tuple(map(float, times)))]
    below = next(i for i, value in enumerate(values) if value < 0)
    nearby = slice(max(below - 3, 0), below + 3)
    fit = np.polyfit(times[nearby] - times[below], values[nearby], 4)
    roots = np.roots(fit)
    real = roots[abs(roots.imag) < 1e-9].real
    return float(times[below] + real[np.argmin(abs(real))])


def _three_quarters(depth: int, alpha: float, labels: float = 1.0, lamda: float = 1e-4) -> float:
    """T at which w_1 of DEEP's problem has fallen to 3/4 of its early value, 8/33."""
    y = tuple(labels * one for one in DEEP.y)
    net = Problem(DEEP.X, y, depth=depth, alpha=alpha, lamda=lamda)
    first = float(np.log(alpha)) - np.log(labels) / depth - 1.0
    return _crossing(net, first, lambda w: float(w[0] / labels - 2 / 11))


@evidence(
    "lyu-law-4",
    "measured",
    "diagonal nets, L = 2, 3, 4: lambda t* - log(alpha) at alpha = 8, 32, 128",
    control={"slope": 1.01},
)
def slopes(slope: float = 1.0) -> str:
    lines = []
    for depth in (2, 3, 4):
        alphas = (8.0, 32.0, 128.0)
        C = [_three_quarters(depth, alpha) - slope * np.log(alpha) for alpha in alphas]
        lines.append(f"L = {depth}: C = {np.mean(C):.5f} within {np.ptp(C):.0e}")
        assert np.ptp(C) < 1e-3, f"not slope {slope:g}: {lines[-1]}"
    return "; ".join(lines)


@evidence(
    "lyu-law-4",
    "measured",
    "the matrix model, which has no dual flow, at alpha = 4, 8, 16",
    control={"slope": 1.01},
)
def matrices(slope: float = 1.0) -> str:
    """Rank 1 with W_13 unobserved: log(alpha) less T where W_13 is half of its last value."""
    b = np.random.default_rng(0).normal(size=3)
    observed = np.array([[1.0, 1, 0], [0, 0, 1], [0, 0, 1]])
    C = []
    for alpha in (4.0, 8.0, 16.0):
        times = np.log(alpha) + np.linspace(-1.0, 3.0, 41)
        run = follow_matrix(np.outer(b, b), observed, alpha, 1e-4, tuple(times.tolist()))
        entry = np.array([now.W[0, 2] for now in run])
        half = entry[-1] / 2
        i = int(np.argmax(entry / half > 1))
        near = slice(i - 3, i + 3)
        C.append(np.polyval(np.polyfit(entry[near], times[near], 4), half))
    C = np.array(C) - slope * np.log((4.0, 8.0, 16.0))
    line = f"matrix model: C = {C.mean():.5f} within {np.ptp(C):.0e}"
    assert np.ptp(C) < 1e-3, f"not slope {slope:g}: {line}"
    return line


@evidence(
    "lyu-law-4",
    "measured",
    "labels times c shift it by -log(c)/L",
    control={"power": 2.0},
)
def labels(power: float = 1.0) -> str:
    lines = []
    for depth in (2, 3, 4):
        shift = _three_quarters(depth, 32.0, labels=8.0) - _three_quarters(depth, 32.0)
        wanted = -np.log(8.0) * power / depth
        lines.append(f"L = {depth}: {shift:.4f}")
        assert abs(shift - wanted) < 1e-2, f"{lines[-1]}, not {wanted:.4f}"
    return "labels times 8 shift lambda t* by " + ", ".join(lines)


@evidence(
    "lyu-law-4",
    "measured",
    "regression: C has an error of order lambda",
    control={"expected": 0.5},
)
def in_lambda(expected: float = 1.0) -> str:
    decays = np.array([1e-1, 1e-2, 1e-3])
    least = _three_quarters(2, 8.0, lamda=1e-6)
    errors = [abs(_three_quarters(2, 8.0, lamda=one) - least) for one in decays]
    slopes = np.diff(np.log(errors)) / np.diff(np.log(decays))
    line = "slope of log |C - C(lambda -> 0)| over log lambda: " + ", ".join(
        f"{slope:.3f}" for slope in slopes
    )
    assert abs(slopes[-1] - expected) < 0.05, f"{line}, not {expected:g}"
    return line


def _crossing_(k: int, depth: int) -> tuple[float, float]:
    """(T - log(alpha), f) where w_1/w_2 of x = (1, 2) has fallen from 1/2 to 1/4."""
    net = Problem(((1.0, 2.0),), (1.0,), "exponential", depth, 32.0, 10.0**-k)
    first = float(np.log(32.0)) - 2.5
    T = _crossing(net, first, lambda w: float(w[0] / w[1] - 0.25))
    (now,) = follow(net, (T,))
    return T - float(np.log(32.0)), float(now.f[0])


@evidence(
    "lyu-law-4-classification",
    "measured",
    "one sample x = (1, 2), lambda = 10^-3, 10^-6, 10^-12: C + log(f*)/L stays",
    control={"power": 0.5},
)
def drift(power: float = 1.0) -> str:
    lines = []
    for depth in (2, 3):
        found = [_crossing_(k, depth) for k in (3, 6, 12)]
        C = [T + power * np.log(f) / depth for T, f in found]
        moved = found[-1][0] - found[0][0]
        lines.append(f"L = {depth}: C moves by {moved:.3f}, with log(f)/L by {np.ptp(C):.0e}")
        assert abs(moved) > 0.2, f"no drift: {lines[-1]}"
        assert np.ptp(C) < 2e-3, f"not log(f)/L: {lines[-1]}"
    return "; ".join(lines)


_LARGE = (1e1, 1e2, 1e3, 1e4)


@evidence(
    "lyu-transition-time",
    "measured",
    "diagonal nets, L = 2 and 3, alpha from 10 to 10^4: lambda t*/log(alpha) is on a line over "
    "1/log(alpha), which meets 0 at 1; not at 1.05",
    control={"limit": 1.05},
)
def near_log_alpha(limit: float = 1.0) -> str:
    lines = []
    inverse = 1 / np.log(_LARGE)
    for depth in (2, 3):
        found = np.array([_three_quarters(depth, alpha) for alpha in _LARGE]) * inverse
        slope, end = np.polyfit(inverse, found, 1)
        off = float(abs(found - end - slope * inverse).max())
        lines.append(f"L = {depth}: {end:.4f} + {slope:.3f}/log(alpha), within {off:.0e}")
        assert off < 1e-3, f"no line: {lines[-1]}"
        assert abs(end - limit) < 1e-2, f"not to {limit:g}: {lines[-1]}"
    return "lambda t*/log(alpha) is " + "; ".join(lines)


def _width(alpha: float) -> tuple[float, float]:
    """(the T at 3/4 of the early w_1, the T at 1/2 less it) for DEEP's problem, L = 2."""
    net = Problem(DEEP.X, DEEP.y, depth=2, alpha=alpha, lamda=1e-4)
    first = float(np.log(alpha)) + 0.5
    at = [
        _crossing(net, first, lambda w, part=part: float(w[0] - part * 8 / 33))
        for part in (0.75, 0.5)
    ]
    return at[0], at[1] - at[0]


@evidence(
    "lyu-sharp",
    "measured",
    "diagonal net, L = 2, alpha from 10 to 10^4: the width in lambda t is one number, so that "
    "its share of log(alpha) falls as 1/log(alpha); not as 1/sqrt(log(alpha))",
    control={"power": 0.5},
    part="sharp",
)
def sharper(power: float = 1.0) -> str:
    shares = np.array([_width(alpha)[1] for alpha in _LARGE]) / np.log(_LARGE)
    scaled = shares * np.log(_LARGE) ** power
    line = f"the width over log(alpha) is {', '.join(f'{share:.3f}' for share in shares)}"
    assert np.ptp(scaled) < 0.02 * scaled.mean(), f"not as log(alpha)^-{power:g}: {line}"
    return line


@evidence(
    "lyu-sharp",
    "measured",
    "diagonal net, L = 2, alpha = 10^6: from 10% to half of log(alpha) w moves by less than 1e-3 "
    "of its size; up to 140% it moves",
    control={"to": 1.4},
    part="trapped",
)
def trapped(to: float = 0.5) -> str:
    net = Problem(DEEP.X, DEEP.y, depth=2, alpha=1e6, lamda=1e-4)
    first, last = follow(net, tuple(float(s * np.log(1e6)) for s in (0.1, to)))
    moved = float(np.linalg.norm(last.w - first.w) / np.linalg.norm(first.w))
    line = f"w moves by {moved:.1e} of its size up to {to:.0%} of log(alpha)"
    assert moved < 1e-3, line
    return line
