"""Gradient flow: against an independent integration, in its limits, and against descent."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from lazyrich import simulate
from lazyrich.simulate import flow as flow_engine
from lazyrich.simulate import measures, rkc
from lazyrich.simulate.descent_gap import DescentGapWarning, exponential
from lazyrich.simulate.gradient_flow import GradientFlow, Nearby
from lazyrich.simulate.pseudo_neurons import PseudoNeurons

STEPS = 16
# The reference's own noise, over the sum of |terms| of f, with local errors of 1e-12.
REFERENCE_NOISE = 1e-9


class Neurons:
    """The definition, neuron by neuron in NumPy, integrated by SciPy at 1e-12."""

    def __init__(self, X, y, W, alpha, epsilon, centred):
        self.X, self.y, self.W, self.alpha, self.epsilon = X, y, W, alpha, epsilon
        self.first = self.f(W) if centred else np.zeros_like(y)

    def f(self, W):
        H = self.X @ W.T
        return self.alpha * (H + self.epsilon / 2 * H**2).mean(1)

    def velocity(self, W):
        residual = self.f(W) - self.first - self.y
        slope = residual[:, None] * (1 + self.epsilon * self.X @ W.T)
        return -2 / (self.alpha * len(self.y)) * slope.T @ self.X

    def rate(self):
        """2 lambda_max(K)/P at the start, K the normalised train kernel."""
        slopes = 1 + self.epsilon * self.X @ self.W.T
        K = self.X @ self.X.T * (slopes @ slopes.T) / len(self.W)
        return 2 / len(self.y) * np.linalg.eigvalsh(K)[-1]

    def solve(self, times):
        found = solve_ivp(
            lambda _, w: self.velocity(w.reshape(self.W.shape)).ravel(),
            (0, times[-1]),
            self.W.ravel(),
            method="LSODA",  # implicit where a loss has decayed: DOP853 is noisy there, to 3e-9
            rtol=1e-12,
            atol=1e-15,
            t_eval=times,
        )
        assert found.status == 0, found.message
        return found.y.T.reshape(-1, *self.W.shape)

    def roots(self, weights, beta):
        """Roots of the losses on X and over the population (Gaussian moments), and scales of f."""
        X, D, N = self.X, len(beta), len(self.W)
        train, population, scales = [], [], []
        for W in weights:
            train.append(np.sqrt(((self.f(W) - self.first - self.y) ** 2).mean()))
            linear, quadratic = self.alpha * W.mean(0), self.alpha * self.epsilon * W.T @ W / N
            if self.first.any():
                linear = linear - self.alpha * self.W.mean(0)
                quadratic = quadratic - self.alpha * self.epsilon * self.W.T @ self.W / N
            A = quadratic - np.outer(beta, beta)
            square = linear @ linear / D + (np.trace(A) ** 2 + 2 * (A * A).sum()) / (2 * D) ** 2
            population.append(np.sqrt(square))
            H = np.abs(X @ W.T)
            terms = abs(self.alpha) * (H + abs(self.epsilon) / 2 * H**2).mean(1)
            scales.append(np.sqrt(((terms + np.abs(self.first) + self.y) ** 2).mean()))
        return np.array(train), np.array(population), np.array(scales)


def relative_errors(run, train, population, scales):
    """Errors of the roots of the losses relative to the roots, beyond the reference's noise."""
    errors = []
    for name, root in (("train_loss", train), ("population_loss", population)):
        found = np.sqrt(run.history[name].values)
        excess = np.maximum(np.abs(found - root) - REFERENCE_NOISE * scales, 0)
        errors.append(float((excess / np.maximum(root, 1e-300)).max()))
    return errors


def compare(task, W, alpha, epsilon, centred, duration, **options):
    neurons = Neurons(task.X.numpy(), task.y.numpy(), W, alpha, epsilon, centred)
    total = duration / max(neurons.rate(), 1e-6)
    run = simulate.train(
        task,
        alpha=alpha,
        epsilon=options.pop("flow_epsilon", epsilon),
        init=W,
        centred=centred,
        engine="flow",
        steps=STEPS,
        learning_rate=total / STEPS,
        record=range(STEPS + 1),
        alignment=None,
        **options,
    )
    times = np.arange(STEPS + 1) * (total / STEPS)
    return run, relative_errors(run, *neurons.roots(neurons.solve(times), task.beta.numpy()))


@example(2, 1, 1, 2.0, -1, 0.0, 1.0, False, 47.0, 1)  # stiff, long after the loss has decayed
@given(
    D=st.integers(1, 6),
    P=st.integers(1, 20),
    N=st.integers(1, 6),
    log_alpha=st.floats(-1.5, 3),
    sign=st.sampled_from([-1, 1]),
    epsilon=st.one_of(st.just(0.0), st.floats(0.05, 3), st.floats(-3, -0.05)),
    sigma=st.sampled_from([1e-3, 0.3, 1.0, 3.0]),
    centred=st.booleans(),
    duration=st.floats(1, 100),
    seed=st.integers(0, 2**20),
)
def test_losses_keep_ten_times_the_tolerance(
    D, P, N, log_alpha, sign, epsilon, sigma, centred, duration, seed
):
    """At rtol = 1e-4, train and population loss within 1e-3 of an integration at 1e-12.

    5e-4 of the roots. Of 750 random examples the worst had 2.7e-4.
    """
    task = simulate.PolynomialTask(D=D, P=P, n_test=1, seed=seed)
    W = sigma * np.random.default_rng(seed).standard_normal((N, D))
    _, errors = compare(task, W, sign * 10**log_alpha, epsilon, centred, duration)
    assert max(errors) < 5e-4


TASK = simulate.PolynomialTask(D=8, P=24, n_test=20, seed=3)
WEIGHTS = np.random.default_rng(3).standard_normal((12, 8))


@pytest.mark.parametrize("rtol", [1e-3, 1e-4, 1e-6])
def test_errors_follow_the_tolerance(rtol):
    _, errors = compare(TASK, WEIGHTS, 1.0, 0.5, True, 300, rtol=rtol)
    assert max(errors) < 5 * rtol


def test_a_wrong_right_hand_side_is_rejected():
    """Negative control: epsilon off by a thousandth fails the comparison that the flow passes."""
    _, errors = compare(TASK, WEIGHTS, 1.0, 0.5, True, 300, flow_epsilon=0.5005)
    assert max(errors) > 5e-4


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("alpha", [1e-6, 1.0, -3.0, 1e6])
def test_without_epsilon_the_flow_is_linear_with_a_closed_form(alpha, centred):
    """r(tau) = exp(-(2/P) X X^T tau) r(0), to 10 rtol, until rounding: 1e-10 of the terms of f."""
    X, y = TASK.X, TASK.y
    W = torch.tensor(WEIGHTS)
    steps, rate = 40, 10.0
    run = simulate.train(
        TASK, alpha=alpha, epsilon=0.0, init=W, centred=centred, engine="flow", steps=steps,
        learning_rate=rate, record=range(steps + 1), alignment=None,
    )  # fmt: skip
    eigenvalues, vectors = torch.linalg.eigh(X @ X.T)
    first = torch.zeros_like(y) if centred else alpha * X @ W.mean(0)
    start = vectors.T @ (first - y)
    for step, loss in zip(range(steps + 1), run.history.train_loss.values, strict=True):
        decay = torch.exp(-2 / TASK.P * eigenvalues.clamp(min=0) * rate * step)
        exact = float((decay * start).square().mean().sqrt())
        noise = 1e-10 * float((abs(alpha) * (X @ W.mean(0)).abs() + y).norm())
        assert abs(math.sqrt(loss) - exact) < 5e-4 * exact + noise


@pytest.mark.parametrize("D", [1, 3])
@pytest.mark.parametrize("N", [1, 4])
def test_corners_and_signs_of_the_pseudo_neurons(D, N):
    """One dimension, one neuron (no F at all), one sample: the velocity is the definition's."""
    task = simulate.PolynomialTask(D=D, P=1 if N == 1 else 5, n_test=1, seed=N)
    W = np.random.default_rng(N).standard_normal((N, D))
    neurons = PseudoNeurons.from_weights(torch.tensor(W))
    flow = GradientFlow(neurons, task.X, task.y, alpha=2.0, epsilon=-0.7)
    V = neurons.columns
    slope = flow.velocity(V)
    wanted = Neurons(task.X.numpy(), task.y.numpy(), W, 2.0, -0.7, False).velocity(W)
    moved = (slope * neurons.signs) @ V.T
    assert np.allclose(slope[:, 0].numpy(), wanted.mean(0), rtol=1e-12, atol=1e-14)
    both = (wanted.T @ W + W.T @ wanted) / N  # dM/dtau
    assert np.allclose((moved + moved.T).numpy(), both, rtol=1e-12, atol=1e-13)


def test_tangent_is_the_derivative_of_the_velocity():
    generator = torch.Generator().manual_seed(0)
    M = torch.randn(8, 8, generator=generator, dtype=torch.float64)  # J of both signs
    neurons = PseudoNeurons.from_moments(torch.ones(8, dtype=torch.float64), M + M.T)
    assert set(neurons.signs.tolist()) == {-1.0, 1.0}
    flow = GradientFlow(neurons, TASK.X, TASK.y, alpha=1.5, epsilon=0.8, decay=0.3)
    V = neurons.columns
    U = torch.randn(V.shape, generator=generator, dtype=torch.float64)
    difference = (flow.velocity(V + 1e-6 * U) - flow.velocity(V - 1e-6 * U)) / 2e-6
    flow.velocity(V)
    # Central differences of a cubic: 1e-12 of the third derivative, 1e-10 of rounding.
    assert torch.allclose(Nearby(flow, torch.float64).tangent(U), difference, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("lazy", [False, True])
def test_changes_are_differences_of_velocities(lazy):
    """In float64 to rounding; in float32 to its last places *of the change*, however small."""
    generator = torch.Generator().manual_seed(0)
    neurons = PseudoNeurons.from_weights(torch.tensor(WEIGHTS))
    numbers = {"alpha": -1.5, "epsilon": 0.8, "centred": lazy, "lazy": lazy, "decay": 0.3}
    flow = GradientFlow(neurons, TASK.X, TASK.y, **numbers)
    V = neurons.columns + torch.randn(neurons.columns.shape, generator=generator).double()
    U = torch.randn(V.shape, generator=generator, dtype=torch.float64)
    slope = flow.velocity(V)
    whole, half = (Nearby(flow, dtype) for dtype in (torch.float64, torch.float32))
    assert torch.allclose(whole.change(U), flow.velocity(V + U) - slope, rtol=1e-11, atol=1e-11)
    for size in (1.0, 1e-9):
        found, exact = half.change((size * U).float()).double(), whole.change(size * U)
        assert float((found - exact).norm()) < 1e-6 * float(exact.norm())
        linear = whole.tangent(size * U)
        assert (float((linear - exact).norm()) < 1e-6 * float(exact.norm())) == (size < 1)


@pytest.mark.parametrize("rtol", [1e-3, 1e-4])
def test_stages_in_float32_cost_none_of_the_tolerance(rtol, monkeypatch):
    """A tenth of it a step at most; the losses then differ by less than the tolerance."""
    coarse = descend("flow", 0.5, rtol=rtol)
    monkeypatch.setattr(flow_engine._View, "changes", lambda _: None)
    whole = descend("flow", 0.5, rtol=rtol)
    for name in LOSSES:
        assert np.allclose(coarse[name], whole[name], rtol=rtol, atol=0)
        assert not np.array_equal(coarse[name], whole[name])


def test_stages_in_float32_are_given_up_where_they_would_be_felt(monkeypatch):
    """At rtol = 1e-10 rounding in float32 is above the tolerance: one step is tried at most."""
    calls, of_class = [], Nearby.change
    monkeypatch.setattr(Nearby, "change", lambda near, U: calls.append(1) or of_class(near, U))
    descend("flow", 0.5, rtol=1e-10)
    assert 0 < len(calls) < rkc.MIN_STAGES
    calls.clear()
    descend("flow", 0.5, rtol=1e-4)
    assert len(calls) > 10 * rkc.MIN_STAGES


def descend(engine, rate, **options):
    wanted = {"alpha": 1.0, "epsilon": 0.5, "init": torch.tensor(WEIGHTS), "centred": True}
    wanted |= {"alignment": None, "steps": round(100 / rate), "learning_rate": rate} | options
    wanted.setdefault("record", [round(tau / rate) for tau in (5.0, 20.0, 50.0, 100.0)])
    return simulate.train(TASK, engine=engine, **wanted).history


RATES = [0.5, 0.25, 0.125, 0.0625]
LOSSES = ["train_loss", "test_loss", "population_loss"]


def slope(values):
    return np.polyfit(np.log(RATES), np.log(np.abs(values)), 1)[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.01},
        {"decoupled_weight_decay": 0.01},
        {"alpha": -2.0},
        {"momentum": 0.3},
        {"momentum": 0.5, "weight_decay": 0.01},
    ],
)
def test_distance_from_descent_is_of_first_order_and_its_estimate_of_second(options):
    """Slopes in log(eta0): 1 for descent less flow, 2 for what the estimate leaves of it.

    What is left is 1.2e-6 and more; at a tenth of this rtol, for twice the work, it differs
    by 3%.
    """
    gaps, left = [], []
    for rate in RATES:
        flow, exact = (
            descend(engine, rate, rtol=1e-7, **options) for engine in ("flow", "moments")
        )
        truth = np.array([(exact[name] / flow[name] - 1).values for name in LOSSES])
        estimate = np.array([flow[f"descent_gap_{name}"].values for name in LOSSES])
        gaps.append(np.abs(truth).max())
        left.append(np.abs(truth - estimate).max())
    assert abs(slope(gaps) - 1) < 0.15
    assert abs(slope(left) - 2) < 0.25


def test_the_exponential_of_the_gap_is_bounded_and_of_second_order():
    """For eigenvalues in the interval: at most 1 in size, and off by |z|^3/6 at most."""
    for stages in (2, 3, 5, 30):
        radius = 0.65 * (stages**2 - 1)
        z = torch.linspace(-radius, 0, 2000, dtype=torch.float64)
        found = exponential(lambda v, z=z: z * v, torch.ones_like(z), 1.0, radius)
        assert float(found.abs().max()) <= 1 + 1e-12
        assert bool(((found - z.exp()).abs() <= abs(z) ** 3 / 6 + 1e-12).all())
        wrong = exponential(lambda v, z=z: 1.2 * z * v, torch.ones_like(z), 1.0, radius)
        assert float(wrong.abs().max()) > 1  # a radius that is too small does not pass


def test_float32_keeps_the_tolerance_while_the_residual_is_above_rounding():
    half, whole = (descend("flow", 0.5, dtype=dtype) for dtype in ("float32", "float64"))
    for name in LOSSES:
        assert np.allclose(half[name], whole[name], rtol=1e-3, atol=0)
        assert not np.array_equal(half[name], whole[name])


def test_the_allowance_for_rounding_depends_on_the_length_of_a_step_not_on_the_time():
    """Late in a run a step is as short as early: the same error must count as much."""
    neurons = PseudoNeurons.from_weights(torch.tensor(WEIGHTS))
    # Without a residual only rounding is allowed for in the predictions.
    flow = GradientFlow(neurons, TASK.X, 0 * TASK.y, alpha=1.5, epsilon=0.8, centred=True)
    V = neurons.columns
    flow.velocity(V)
    estimate = 1e-3 * V.abs()

    def size(time, end):
        step = rkc.Step(time, end, V, V, [], evaluations=1, rejections=0, radius=10.0)
        return flow.error(estimate, step, rtol=1e-12)

    assert size(1000.0, 1001.0) == size(0.0, 1.0)
    assert size(0.0, 2.0) < size(0.0, 1.0)  # a longer step may round more


@pytest.mark.parametrize("alpha", [0.5, -3.0])
def test_lazy_coordinates_are_another_scale_of_the_same_flow(alpha):
    """U = alpha (V - V(0)): the velocity is alpha times that of V; relative errors are the same.

    By hand with decay a: dV/dtau has -a V, so that dU/dtau has -a alpha V = -a (U + alpha V(0)).
    """
    neurons = PseudoNeurons.from_weights(torch.tensor(WEIGHTS))
    y = 1e4 * TASK.y  # so large that errors of the state are the largest
    plain, lazy = (
        GradientFlow(
            neurons, TASK.X, y, alpha=alpha, epsilon=0.8, centred=True, lazy=lazy, decay=0.3
        )
        for lazy in (False, True)
    )
    V0 = neurons.columns
    V = V0 * torch.linspace(1.2, 1.8, V0.shape[1], dtype=torch.float64)
    U = alpha * (V - V0)
    assert torch.allclose(lazy.velocity(U), alpha * plain.velocity(V), rtol=1e-11, atol=1e-11)
    assert torch.allclose(lazy.point[1], plain.point[1], rtol=1e-11)
    spread, mean = 1e-3 * V0, torch.zeros_like(V0)
    mean[:, 0] = 1e-3
    for estimate in (spread, mean):
        found = [
            flow.error(scale * estimate, rkc.Step(0.0, 1.0, end, end, [], 1, 0, 1.0), rtol=0.1)
            for flow, end, scale in ((plain, V, 1.0), (lazy, U, alpha))
        ]
        assert found[1] == pytest.approx(found[0], rel=1e-9)
    wanted = 4 * float(mean.norm() / V.norm()) / 0.1  # of V as a whole, STATE_WEIGHT times
    assert found[0] == pytest.approx(wanted, rel=1e-9)


def test_a_flow_rests_once_its_slope_is_rounding_and_has_stopped_to_fall():
    """A slope of 0 is the least: it has stopped to fall once STEPS more are no smaller."""
    flow = GradientFlow(
        PseudoNeurons.from_weights(torch.tensor(WEIGHTS)), TASK.X, TASK.y, alpha=1.0, epsilon=0.5
    )
    fast = flow.velocity(flow.start)
    slopes = [fast, *[0 * fast] * (rkc.Stall.STEPS + 1)]
    found = [flow.rests(slope, 1.0) for slope in slopes]
    assert found == [False] * (rkc.Stall.STEPS + 1) + [True]


def test_nothing_to_learn_from_nothing_ends_at_a_loss_of_zero():
    """Weights of zero stay zero; relative errors of a state of zeros are 0/0."""
    task = simulate.PolynomialTask.from_arrays(TASK.X, y=0 * TASK.y)
    zeros = torch.zeros(3, TASK.D).double()
    run = simulate.train(task, engine="flow", alpha=1.0, epsilon=0.5, init=zeros, steps=10)
    assert (run.history.train_loss == 0).all()


def test_infinite_width_and_moments_given_need_no_neurons():
    options = {"init": None, "rtol": 1e-8}
    wide = descend("flow", 0.5, width=math.inf, **options)
    identity = torch.eye(8, dtype=torch.float64)
    given_moments = descend("flow", 0.5, init=(identity[0] * 0, identity), rtol=1e-8)
    for name in LOSSES:
        assert np.allclose(wide[name], given_moments[name], rtol=1e-7, atol=0)


def test_the_flow_depends_on_tau_alone():
    """Another learning rate at the same tau is the same curve, with another distance to descent."""
    coarse, fine = descend("flow", 0.5), descend("flow", 0.0625)
    for name in LOSSES:
        assert np.allclose(coarse[name], fine[name], rtol=1e-3, atol=0)
        ratio = coarse[f"descent_gap_{name}"].values / fine[f"descent_gap_{name}"].values
        assert np.abs(ratio).min() > 4
    assert int(coarse.evaluations[-1]) == int(fine.evaluations[-1])


def test_measured_together_or_one_by_one_is_the_same(monkeypatch):
    """Predictions of many snapshots at once differ from those of each by rounding alone."""
    together = descend("flow", 0.5, record=range(0, 201, 2))
    monkeypatch.setattr(measures, "MANY", math.inf)
    monkeypatch.setattr(flow_engine, "snapshots_of_a_flow", lambda _: 7)
    one_by_one = descend("flow", 0.5, record=range(0, 201, 2))
    assert together.sizes == one_by_one.sizes
    for name in together:
        assert np.allclose(together[name], one_by_one[name], rtol=1e-9, atol=1e-12), name


def test_train_loss_never_rises():
    history = descend("flow", 0.5, epsilon=2.0)
    assert (np.diff(history.train_loss.values) < 0).all()


def test_warns_only_where_descent_is_further_than_asked():
    with pytest.warns(DescentGapWarning, match="more than descent_tolerance = 0.0001"):
        descend("flow", 0.5, descent_tolerance=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        descend("flow", 0.0625, descent_tolerance=0.5)


def test_an_unstable_learning_rate_has_no_estimate():
    """Above 2/rho gradient descent diverges, and its distance from the flow is infinite."""
    with pytest.warns(DescentGapWarning, match="estimated inf"):
        run = simulate.train(
            TASK, alpha=1.0, epsilon=0.5, width=12, engine="flow", steps=20, learning_rate=50.0,
            alignment=None, descent_tolerance=1.0,
        )  # fmt: skip
    assert math.isinf(run.history.descent_gap_train_loss[-1])
    with pytest.raises(simulate.DivergenceError):
        simulate.train(
            TASK, alpha=1.0, epsilon=0.5, width=12, engine="moments", steps=500,
            learning_rate=50.0, alignment=None,
        )  # fmt: skip


def test_moments_of_no_neurons_can_blow_up_and_say_so():
    M = -100.0 * torch.eye(8, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"init = \(wbar, M\): .* blows up at tau = "):
        descend("flow", 50.0, init=(M[0] * 0, M), alpha=-1.0, epsilon=1.0, steps=200, centred=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"momentum": 0.5, "decoupled_weight_decay": 0.1},
            "decoupled_weight_decay = 0.1: must be 0 for 'flow' with momentum",
        ),
        ({"rtol": 0.5}, "rtol = 0.5: must be from 1e-12 to 0.1"),
        ({"rtol": math.nan}, "rtol = nan: must be a finite number"),
        ({"descent_tolerance": -1.0}, "descent_tolerance = -1.0: must be a finite number above 0"),
        (
            {"engine": "moments", "descent_tolerance": 0.1},
            "= 0.1: engine = 'moments' does",
        ),
    ],
)
def test_bad_input_is_one_line(options, message):
    wanted = {"engine": "flow", "alpha": 1.0, "epsilon": 0.5, "width": 3, "steps": 2} | options
    with pytest.raises(ValueError, match=message):
        simulate.train(TASK, **wanted)


@pytest.mark.parametrize("extreme", [{"epsilon": 1e-12}, {"alpha": 1e14}, {"sigma": 1e-10}])
def test_numbers_beyond_float32_are_followed_in_float64(extreme):
    """Stages in float32 would overflow or lose the curvature: flow is descent at any size."""
    task = simulate.PolynomialTask(D=6, P=25, n_test=5)
    given = {"alpha": 1.0, "epsilon": 0.5, "width": 8, "steps": 20, "learning_rate": 1e-3} | extreme
    flow = simulate.train(task, engine="flow", rtol=1e-6, **given).history
    moments = simulate.train(task, engine="moments", **given).history
    assert np.allclose(flow.train_loss, moments.train_loss, rtol=1e-3)
