"""The integrator: its order, its stability, its error control, its dense output."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lazyrich.simulate import rkc, rkc_method

STAGES = [5, 6, 7, 8, 9, 10, 13, 17, 20, 33, 50, 100, 200, 500]


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Kaps:
    """Kaps' problem: nonlinear, two components, stiffness mu, and an exact solution."""

    def __init__(self, mu: float) -> None:
        self.mu = mu
        self.start = vector(1.0, 1.0)

    def __call__(self, y: Tensor) -> Tensor:
        a, b = y
        return torch.stack([-(2 + self.mu) * a + self.mu * b**2, a - b - b**2])

    def exact(self, t: float) -> Tensor:
        return vector(math.exp(-2 * t), math.exp(-t))


def fixed_steps(problem: Kaps, count: int, stages: int, companion: bool = False) -> float:
    """The error at t = 1 after ``count`` equal steps, of the method or of its companion."""
    y, h = problem.start, 1 / count
    for _ in range(count):
        y, estimate, _ = rkc.advance(problem, y, problem(y), h, stages)
        if companion:
            y = y - estimate
    return float((y - problem.exact(1.0)).abs().max())


def slope(errors: list[float], sizes: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def measured_order(stages: int, companion: bool = False) -> float:
    counts = [16, 32, 64, 128]
    errors = [fixed_steps(Kaps(3.0), count, stages, companion) for count in counts]
    return slope(errors, [1 / count for count in counts])


# The slopes come within 0.05 of the order at these step sizes; 0.2 tells 3 from 2 for certain.
@pytest.mark.parametrize("stages", [5, 6, 9, 20])
def test_order_is_three_on_a_nonlinear_problem(stages):
    assert abs(measured_order(stages) - 3) < 0.2


@pytest.mark.parametrize("stages", [5, 6, 9, 20])
def test_order_of_the_companion_is_two(stages):
    assert abs(measured_order(stages, companion=True) - 2) < 0.2


def test_a_wrong_weight_lowers_the_order(monkeypatch):
    right = rkc.coefficients(6)
    weights = list(right.weights)
    weights[1], weights[2] = weights[1] + 0.01, weights[2] - 0.01  # breaks sum w_j c_j = 1/2
    wrong = right._replace(weights=tuple(weights))
    monkeypatch.setattr(rkc, "coefficients", {6: wrong}.__getitem__)
    assert measured_order(6) < 1.5


def tableau(stages: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Butcher's A, b and b - b^ of the method, from what ``advance`` does to unit slopes."""
    calls = 0

    def unit(stage: Tensor) -> Tensor:  # stage j sees y + h sum_k A_jk e_k; its slope is e_j
        nonlocal calls
        rows.append(stage.clone())
        calls += 1
        return torch.eye(stages, dtype=torch.float64)[calls]

    rows = [torch.zeros(stages, dtype=torch.float64)]
    zero = torch.zeros(stages, dtype=torch.float64)
    after, estimate, _ = rkc.advance(
        unit, zero, torch.eye(stages, dtype=torch.float64)[0], 1.0, stages
    )
    return torch.stack(rows).numpy(), after.numpy(), estimate.numpy()


def order_defect(stages: int) -> float:
    """The largest defect of the four conditions of third order and the two of second."""
    A, b, e = tableau(stages)
    c = A.sum(1)
    found = [b.sum(), b @ c, b @ c**2, b @ A @ c, e.sum(), e @ c]
    return float(np.abs(np.array(found) - [1, 1 / 2, 1 / 3, 1 / 6, 0, 0]).max())


@pytest.mark.parametrize("stages", STAGES)
def test_order_conditions(stages):
    """They hold to rounding, s^2 eps; every stage but two is of second order at its own time."""
    assert order_defect(stages) < 1e-14 * stages**2
    A, _, _ = tableau(stages)
    c = A.sum(1)
    assert np.abs((A @ c - c**2 / 2)[3:]).max(initial=0) < 1e-14 * stages**2


def test_order_conditions_reject_the_uncorrected_second_stage(monkeypatch):
    """With b_2 = 1/4 and weights to match, the order is three for linear problems only."""
    monkeypatch.setattr(rkc, "coefficients", rkc.coefficients.__wrapped__)  # keeps it from memory
    monkeypatch.setattr(rkc_method, "_second", {6: 0.25}.__getitem__)
    A, b, _ = tableau(6)
    c = A.sum(1)
    assert abs(b @ A @ c - 1 / 6) < 1e-13
    assert abs(b @ c**2 - 1 / 3) > 1e-3


@pytest.mark.parametrize("stages", STAGES)
def test_stable_along_the_negative_axis(stages):
    """|R(z)| < 1 for -0.4 s^2 <= z < 0, below 0.9 beyond z = -3; stages by at most 1."""
    bound = rkc.coefficients(stages).interval
    assert bound == 0.4 * stages**2
    z = -torch.tensor(np.r_[np.linspace(0.01, 3, 500), np.linspace(3, bound, 40 * stages)])
    seen = []

    def rhs(y: Tensor) -> Tensor:
        seen.append(float(y.abs().max()))
        return z * y

    after, _, _ = rkc.advance(rhs, torch.ones_like(z), z, 1.0, stages)
    assert float(after.abs().max()) < 1
    assert float(after[z < -3].abs().max()) < 0.9
    assert max(seen) < 1 + 1e-9  # rounding, s^2 eps amplified by z


def test_fewer_stages_would_not_be_stable():
    """The bound is no understatement by much: 1.25 times the interval is unstable."""
    for stages in STAGES:
        z = vector(-1.25 * rkc.coefficients(stages).interval)
        after, _, _ = rkc.advance(lambda y, z=z: z * y, torch.ones_like(z), z, 1.0, stages)
        assert abs(float(after)) > 1


def test_stages_for_gives_the_fewest_stable_stages():
    for z in np.geomspace(1e-3, 9e4, 200):
        stages = rkc.stages_for(float(z))
        assert rkc.coefficients(stages).interval >= z * (1 - 1e-12)
        assert stages == rkc.MIN_STAGES or rkc.coefficients(stages - 1).interval < z


def test_global_error_follows_the_tolerance():
    """By the first power where the problem is smooth; within thrice it where it is stiff."""
    tolerances = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
    for mu in (3.0, 100.0, 1000.0):
        problem, errors = Kaps(mu), []
        for tolerance in tolerances:
            found = rkc.solve(problem, problem.start, [3.0], relative=tolerance, absolute=0.0)
            errors.append(float((found[0] / problem.exact(3.0) - 1).abs().max()))
        assert all(error < 3 * bound for error, bound in zip(errors, tolerances, strict=True))
        assert mu > 3 or abs(slope(errors, tolerances) - 1) < 0.05


def one_step(problem: Callable[[Tensor], Tensor], y: Tensor, h: float, stages: int) -> rkc.Step:
    after, _, slopes = rkc.advance(problem, y, problem(y), h, stages)
    return rkc.Step(0.0, h, y, after, slopes, 0, 0, 0.0)


@pytest.mark.parametrize("stages", [5, 6, 12])
@pytest.mark.parametrize("theta", [0.1, 0.5, 0.9])
def test_dense_output_has_the_order_of_the_method(stages, theta):
    problem, errors, sizes = Kaps(3.0), [], [0.04, 0.02, 0.01]
    for h in sizes:
        step = one_step(problem, problem.start, h, stages)
        errors.append(float((step.at(theta * h) - problem.exact(theta * h)).abs().max()))
    assert abs(slope(errors, sizes) - 4) < 0.2  # of the local error


@pytest.mark.parametrize("stages", STAGES)
def test_dense_output_is_stable_and_meets_the_ends(stages):
    """|Q_theta(z)| < 1.3 on the interval; at both ends of the step it is the states there."""
    z = -torch.linspace(0, rkc.coefficients(stages).interval, 30 * stages, dtype=torch.float64)
    step = one_step(lambda y: z * y, torch.ones_like(z), 1.0, stages)
    for theta in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        assert float(step.at(theta).abs().max()) < 1.3
    assert torch.equal(step.at(1.0), step.after)
    near = step.at(1.0 - 1e-9)
    assert float((near - step.after).abs().max()) < 1e-7 * stages**2  # |dQ/dtheta| <= |z| there
    slow = z > -1
    excess = (step.at(1e-9) - step.before).abs() - 0.1 * z**4  # an error of fourth order
    assert float(excess[slow].max()) < 1e-8


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 12),
    stiffness=st.floats(0.0, 4.0),
    end=st.floats(1e-3, 1e3),
    tolerance=st.sampled_from([1e-3, 1e-5]),
)
def test_linear_problems_at_any_times(seed, n, stiffness, end, tolerance):
    """y' = -A y with A positive: at times all over, the error stays below the tolerance.

    The estimate is that of a method one order lower, and errors decay here: the worst of 4000
    examples came to 0.22 of the tolerance.
    """
    generator = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    rates = 10 ** (stiffness * torch.rand(n, generator=generator, dtype=torch.float64) - 2)
    A, y = (Q * rates) @ Q.T, torch.randn(n, generator=generator, dtype=torch.float64)
    times = sorted((end * torch.rand(7, generator=generator, dtype=torch.float64)).tolist())
    scale = float(y.abs().max())
    found = rkc.solve(lambda y: -(A @ y), y, times, relative=0.0, absolute=tolerance * scale)
    for time, value in zip(times, found, strict=True):
        exact = Q @ (torch.exp(-rates * time) * (Q.T @ y))
        assert float((value - exact).abs().max()) < tolerance * scale


def test_cost_grows_as_the_square_root_of_the_stiffness():
    """Two decades of stiffness cost ten times the evaluations, where Euler's steps cost 100."""
    counts = []
    for rate in (1e2, 1e4):
        rates = torch.tensor(np.geomspace(1, rate, 50))
        start = torch.ones(50, dtype=torch.float64)
        error = rkc.weighted_error(0.0, 1e-4)
        *_, last = rkc.steps(lambda y, rates=rates: -rates * y, start, 10.0, error)
        assert abs(float(last.after[0]) - math.exp(-10)) < 1e-3
        counts.append(last.evaluations)
    assert counts[1] < 15 * counts[0]
    stable_euler_steps = 1e4 * 10 / 2
    assert counts[1] < stable_euler_steps / 10


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), scale=st.floats(-8, 8))
def test_spectral_radius_by_power_iteration(seed, n, scale):
    """Of symmetric matrices, positive or not: 0.7 to 1.1 (the margin) times the truth.

    The worst of 4000 was 0.79; what a value too small costs is in the next test.
    """
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(n, n, generator=generator, dtype=torch.float64)
    A = 10**scale * (A @ A.T if seed % 2 else A + A.T)
    y = torch.randn(n, generator=generator, dtype=torch.float64)
    truth = float(torch.linalg.eigvalsh(A).abs().max())
    found = rkc.SpectralRadius(lambda y: A @ y)(y, A @ y, True)
    assert 0.7 * truth < found <= 1.1 * truth * (1 + 1e-6)


def test_a_spectral_radius_too_small_costs_steps_and_no_accuracy():
    rates = torch.tensor(np.geomspace(1, 1e3, 50))
    start = torch.ones(50, dtype=torch.float64)
    error = rkc.weighted_error(0.0, 1e-4)
    evaluations = []
    for radius in (1000.0, 500.0, 250.0):
        found = rkc.steps(lambda y: -rates * y, start, 5.0, error, radius=lambda *_, r=radius: r)
        *_, last = found
        assert float((last.after - torch.exp(-rates * 5)).abs().max()) < 1e-4
        evaluations.append(last.evaluations)
    assert evaluations[0] < evaluations[2] < 20 * evaluations[0]


def test_spectral_radius_is_renewed_when_the_state_moves():
    radius = rkc.SpectralRadius(lambda y: -(y**3))
    one, two = vector(1.0), vector(2.0)
    assert abs(radius(one, -(one**3), False) - 3.3) < 1e-5
    assert abs(radius(two, -(two**3), False) - 13.2) < 1e-5


def test_a_kept_vector_is_iterated_until_its_radius_settles():
    """The fastest mode turns by 45 degrees: one iteration from the old one gives 7.8, not 11."""
    turned = torch.tensor([[5.5, 4.5], [4.5, 5.5]], dtype=torch.float64)  # eigenvalues 10 and 1
    jacobian = torch.diag(vector(1.0, 10.0))
    radius = rkc.SpectralRadius(lambda y: -(jacobian @ y))
    zero = vector(0.0, 0.0)
    radius(zero, zero, False)
    jacobian = turned
    assert abs(radius(zero, zero, True) / 11 - 1) < 3e-3


@pytest.mark.parametrize(
    ("other", "wanted"), [(1.0, rkc.SpectralRadius.FEWEST), (4.0, rkc.SpectralRadius.MOST)]
)
def test_power_iteration_takes_from_its_fewest_to_its_most_evaluations(other, wanted):
    """The square of (0, other; 1, 0) is a multiple of 1: it settles at once for 1, never for 4."""
    A, seen = torch.tensor([[0.0, other], [1.0, 0.0]], dtype=torch.float64), []

    def rhs(y: Tensor) -> Tensor:
        seen.append(y)
        return A @ y

    zero = vector(0.0, 0.0)
    rkc.SpectralRadius(rhs)(zero, zero, True)
    assert len(seen) == wanted


@pytest.mark.parametrize("rho", [0.01, 0.5, 1.0, 30.0])
def test_no_step_is_longer_than_the_most_stages_are_stable_for(rho):
    """However small the errors, and however slow the fastest mode."""
    control = rkc.StepControl()
    assert control.accepts(0.0, 1e9)
    h = control.step(rho, 1e12)
    assert h == rkc.INTERVAL * rkc.MAX_STAGES**2 / rho
    assert rkc.stages_for(h * rho) == rkc.MAX_STAGES


@pytest.mark.parametrize(("wanted", "step"), [(0.4, 0.4), (0.6, 0.5), (0.98, 0.5), (0.995, 1.0)])
def test_no_sliver_is_left_before_the_end(wanted, step):
    """What is left is one step, or two of the same length, or more than two."""
    control = rkc.StepControl()
    assert control.step(1 / wanted, 1.0) == pytest.approx(step, rel=1e-12)


def test_blow_up_is_found():
    with pytest.raises(rkc.StepSizeError, match=r"beyond t = 0\.5") as found:
        rkc.solve(lambda y: y**2, vector(2.0), [1.0], relative=1e-4, absolute=0.0)
    assert abs(found.value.time - 0.5) < 1e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_right_hand_side_that_is_not_finite_is_refused(value):
    with pytest.raises(rkc.StepSizeError, match="beyond t = 0"):
        rkc.solve(lambda y: y * value, vector(1.0), [1.0], relative=1e-4, absolute=0.0)


@pytest.mark.parametrize("times", [[1.0, 0.5], [-1.0], [float("nan")], [float("inf")]])
def test_times_must_increase(times):
    with pytest.raises(ValueError, match="must increase, from 0 or later"):
        rkc.solve(lambda y: -y, vector(1.0), times, relative=1e-4, absolute=0.0)


def test_no_time_to_integrate_and_nothing_to_do():
    start = vector(1.0, 2.0)
    found = rkc.solve(lambda y: 0 * y, start, [0.0, 0.0, 5.0, 5.0], relative=1e-4, absolute=0.0)
    assert len(found) == 4
    assert all(torch.equal(value, start) for value in found)
    assert rkc.solve(lambda y: -y, start, [], relative=1e-4, absolute=0.0) == []
