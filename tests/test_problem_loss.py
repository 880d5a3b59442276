"""The population loss of given neurons against cubature and integration, for any problem."""

from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special

from lazyrich import simulate
from lazyrich.theory import Problem, closed_form
from lazyrich.theory.symbols import w
from lazyrich.verify.cubature import gauss_hermite
from tests.examples import few

TARGETS = {
    "(beta.x)^2/2": 2,
    "1 + b.x - c (beta.x)^3": 3,
    "(beta.x)(b.x)^2 + |x|^2": 3,
    "x'Bx/2 - |x|^4/3 + beta.x": 4,
    "2": 0,
}


def values_of(problem, D, rng):
    """Random values of the problem's symbols."""
    values = {}
    for name, symbol in problem.symbols.items():
        shape = getattr(symbol, "shape", ())
        size = () if not shape else (D,) if shape[1] == 1 else (D, D)
        values[name] = rng.normal(size=size) if size else float(rng.normal())
    return values


def polynomial(coefficients, h):
    return sum(c * h**n for n, c in enumerate(coefficients))


def text(coefficients):
    return " + ".join(f"({c}) h^{n}" if n else f"({c})" for n, c in enumerate(coefficients))


def labels(problem, points, values):
    return problem.target.labels(points, **{k: values[k] for k in problem.target.symbols})


def brute_force(problem, phi, degree, W, values, v=None, W0=None, v0=None, alpha=1.0, noise=0.0):
    D = W.shape[1]
    points, weights = gauss_hermite(D, 2 * degree)
    v = np.ones(len(W)) if v is None else v
    f = alpha * phi(points @ W.T) @ v / len(W)
    if W0 is not None:
        v0 = np.ones(len(W0)) if v0 is None else v0
        f = f - alpha * phi(points @ W0.T) @ v0 / len(W0)
    y = labels(problem, points, values)
    return float(weights @ (f - y) ** 2) + noise**2


coefficient = st.integers(-4, 4).map(lambda k: k / 4)


# Activation, target, D, N; readouts trained, centred; seed.
CORNERS = [
    ([0.0, 1.0], "2", 1, 1, False, False, 0),
    ([1.0, 0.5, -0.25, 0.0, 0.0, 1.0], "x'Bx/2 - |x|^4/3 + beta.x", 3, 4, True, True, 1),
    ([0.0, 0.0, 1.0], "1 + b.x - c (beta.x)^3", 2, 2, True, False, 2),
    ([0.0, -1.0], "(beta.x)(b.x)^2 + |x|^2", 3, 1, False, True, 3),
]
NAMES = ("coefficients", "target", "D", "N", "trained", "centred", "seed")


@few
@given(
    coefficients=st.lists(coefficient, min_size=2, max_size=6),
    target=st.sampled_from(sorted(TARGETS)),
    D=st.integers(1, 3),
    N=st.integers(1, 4),
    trained=st.booleans(),
    centred=st.booleans(),
    seed=st.integers(0, 1000),
)
@example(**dict(zip(NAMES, CORNERS[0], strict=True)))
@example(**dict(zip(NAMES, CORNERS[1], strict=True)))
@example(**dict(zip(NAMES, CORNERS[2], strict=True)))
@example(**dict(zip(NAMES, CORNERS[3], strict=True)))
def test_it_is_the_mean_over_a_cubature(coefficients, target, D, N, trained, centred, seed):
    rng = np.random.default_rng(seed)
    problem = Problem(text(coefficients), target, readouts="trained" if trained else "fixed")
    values, W = values_of(problem, D, rng), rng.normal(size=(N, D))
    more = {"v": rng.normal(size=N)} if trained else {}
    if centred:
        more["W0"] = rng.normal(size=(N, D))
        more |= {"v0": rng.normal(size=N)} if trained else {}
    degree = max(TARGETS[target], len(coefficients) - 1)

    def phi(h):
        return polynomial(coefficients, h)

    expected = brute_force(problem, phi, degree, W, values, **more, alpha=1.5, noise=0.5)
    found = problem.population_loss(W=W, alpha=1.5, noise=0.5, **more, **values)
    assert abs(found - expected) <= 1e-9 * (1 + expected)


def test_a_wrong_loss_is_caught():
    """Without the second Hermite degree of one neuron's square, or of the overlap, it differs."""
    rng = np.random.default_rng(1)
    problem = Problem("h + c h^3", "(beta.x)^3")
    values, W = values_of(problem, 2, rng), rng.normal(size=(3, 2))
    parts = problem.population_loss(W=W, by_degree=True, **values)
    expected = brute_force(problem, lambda h: h + values["c"] * h**3, 3, W, values)
    assert abs(sum(parts.values()) - expected) < 1e-10 * expected
    assert abs(sum(parts.values()) - parts["degree_3"] - expected) > 1e-2 * expected


def test_the_papers_model_has_its_loss():
    rng = np.random.default_rng(2)
    W, beta = rng.normal(size=(5, 4)), rng.normal(size=4)
    known = closed_form("test-loss").function("numpy")
    expected = known(alpha=2.0, epsilon=0.3, beta=beta, wbar=W.mean(0), M=W.T @ W / 5)
    found = Problem().population_loss(W=W, alpha=2.0, beta=beta, epsilon=0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_torch_and_numpy_agree_and_torch_differentiates():
    rng = np.random.default_rng(3)
    problem = Problem("h + c h^3", "(beta.x)^2/2 + b.x", readouts="trained")
    W, values, v = rng.normal(size=(4, 3)), values_of(problem, 3, rng), rng.normal(size=4)
    known = problem.population_loss(W=W, v=v, **values)
    weights = torch.tensor(W, requires_grad=True)
    loss = problem.population_loss(W=weights, v=torch.tensor(v), **values)
    np.testing.assert_allclose(float(loss.detach()), known, rtol=1e-12)
    (slope,) = torch.autograd.grad(loss, weights)
    step = np.zeros_like(W)
    step[1, 2] = 1e-5
    ends = [problem.population_loss(W=W + s * step, v=v, **values) for s in (1, -1)]
    np.testing.assert_allclose(float(slope[1, 2]), (ends[0] - ends[1]) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize(
    ("activation", "phi"),
    [
        ("erf(h/sqrt(2))", lambda h: special.erf(h / np.sqrt(2))),
        ("2 erf(a h)", lambda h: 2 * special.erf(0.7 * h)),
        ("relu(h)", lambda h: np.maximum(h, 0)),
        ("c relu(h)", lambda h: -1.5 * np.maximum(h, 0)),
        ("relu(-h)", lambda h: np.maximum(-h, 0)),
    ],
)
@pytest.mark.parametrize("target", ["(beta.x)^2/2", "1 + beta.x - (b.x)^3"])
def test_erf_and_relu_by_integration_in_the_plane(activation, phi, target):
    problem = Problem(activation, target)
    values = {"beta": np.array([1.0, -0.5]), "b": np.array([0.5, 1.0]), "a": 0.7, "c": -1.5}
    values = {name: values[name] for name in problem.symbols}
    W = np.array([[1.0, 0.3], [-0.4, 0.9], [1.0, 0.3], [0.0, 0.0]])  # two equal, one of no weight

    # Polar coordinates, cut at the angles where a neuron has its kink.
    kinks = np.arctan2(W[:3, 1], W[:3, 0])[:, None] + [np.pi / 2, -np.pi / 2]
    edges = [0.0, *np.unique(np.mod(kinks, 2 * np.pi)), 2 * np.pi]
    nodes, weights = np.polynomial.legendre.leggauss(80)
    radii, mass = 6 * (nodes + 1), 6 * weights
    expected = 0.0
    for low, high in pairwise(edges):
        angles = (high - low) / 2 * nodes + (high + low) / 2
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        x = (radii[:, None, None] * directions / np.sqrt(2)).reshape(-1, 2)
        residual = phi(x @ W.T).mean(1) - labels(problem, x, values)
        density = radii * np.exp(-(radii**2) / 2) / (2 * np.pi)
        expected += (mass * density) @ (residual**2).reshape(80, 80) @ weights * (high - low) / 2
    found = problem.population_loss(W=W, **values)
    assert abs(found - expected) < 1e-9 * (1 + expected)


def test_inputs_of_any_covariance():
    rng = np.random.default_rng(4)
    root = rng.normal(size=(2, 2))
    Sigma = root @ root.T
    problem = Problem("h + h^2/3 - h^3", "(beta.x)^2 + b.x + x'Bx", inputs=Sigma)
    values, W = values_of(problem, 2, rng), rng.normal(size=(3, 2))
    points, weights = gauss_hermite(2, 6)
    points = np.sqrt(2) * points @ root.T
    h = points @ W.T
    residual = (h + h**2 / 3 - h**3).mean(1) - labels(problem, points, values)
    found = problem.population_loss(W=W, **values)
    np.testing.assert_allclose(found, weights @ residual**2, rtol=1e-11)
    named = Problem("h + h^2/3 - h^3", "(beta.x)^2 + b.x + x'Bx", inputs="Sigma")
    np.testing.assert_allclose(named.population_loss(W=W, Sigma=Sigma, **values), found, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "missing beta"),
        ({"beta": [1.0]}, r"beta has shape \(1,\): must be \(2,\)"),
        ({"beta": [1.0, 2.0], "gamma": 1}, "gamma: no symbol of this problem"),
        ({"beta": [1.0, 2.0], "v": [1.0]}, "v is given, but"),
        ({"beta": [1.0, 2.0], "W": [1.0, 2.0]}, "W has shape"),
        ({"beta": [1.0, 2.0], "W0": [[1.0]]}, "W0 has shape"),
        ({"beta": [1.0, 2.0], "alpha": float("nan")}, "alpha = nan"),
        ({"beta": [1.0, 2.0], "W": [["a"]]}, "W = "),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        Problem("h^3").population_loss(**({"W": [[1.0, 2.0]]} | arguments))
    assert "\n" not in str(error.value)


def test_a_start_of_another_width_and_negative_noise_are_refused():
    problem = Problem("h + c*h**3", "beta.x")
    known = {"W": [[1.0, 0.0], [0.0, 1.0]], "beta": [1.0, 0.0], "c": 0.1}
    with pytest.raises(ValueError, match=r"W0 has shape \(1, 2\): must be that of W, \(2, 2\)"):
        problem.population_loss(W0=[[1.0, 0.0]], **known)
    with pytest.raises(ValueError, match=r"noise = -0\.1: must be at least 0"):
        problem.population_loss(noise=-0.1, **known)
    with pytest.raises(ValueError, match=r"noise = -0\.1: must be at least 0"):
        problem.learning_curve(P=3, D=2, c=0.1, sigma=1.0, beta=[1.0, 0.0], noise=-0.1)


@pytest.mark.parametrize("alpha", [1.1e3, 1e5, 1e12, -1e40, 1e150])
@pytest.mark.parametrize(
    ("activation", "readouts"),
    [("h^4 - h^3/2 + h", "fixed"), ("h^3 - 2 h^2", "trained"), ("erf(h/3)", "trained")],
)
def test_nothing_cancels_in_the_centred_loss_at_large_alpha(alpha, activation, readouts):
    """Against the simulator's rise of each neuron on a cubature, which has no difference in it."""
    from lazyrich.simulate.activations import EPSILON, numeric
    from lazyrich.simulate.two_layer import TwoLayer

    problem, random = Problem(activation, "(beta.x)^3 + beta.x", readouts), np.random.default_rng(3)
    W0, change, v0, later = (torch.tensor(random.normal(size=n)) for n in ((4, 2), (4, 2), 4, 4))
    trained = readouts == "trained"
    phi, _ = numeric(activation, epsilon=EPSILON, constants=None, degree=None)
    start = TwoLayer(W0, v0 if trained else None, alpha, phi)
    points, weights = gauss_hermite(2, 160 if "erf" in activation else 12)
    f = start.rise(torch.tensor(points), change, later if trained else None).numpy()
    beta = [1.0, -0.5]
    y = (points @ beta) ** 3 + points @ beta
    more = {"v": v0 + later / alpha, "v0": v0, "v_moved": later} if trained else {}
    given = {"W": W0 + change / alpha, "W0": W0, "alpha": alpha, "beta": beta, **more}
    found = float(problem.population_loss(**given, W_moved=change))
    assert found == pytest.approx(weights @ (y - f) ** 2, rel=1e-8)
    if abs(alpha) > 1e10:  # as it was: the weights alone don't tell
        wrong = float(problem.population_loss(**{**given, "v_moved": None}))
        assert wrong != pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("activation", ["h + 0.1 h^3", "erf(h)"])
def test_a_very_lazy_run_records_its_population_loss(activation):
    from lazyrich import simulate

    task = simulate.PolynomialTask(D=3, P=8, seed=1)
    options = {"activation": activation, "width": 6, "engine": "neurons", "learning_rate": 0.1}
    ends = []
    for alpha in (1e5, 1e14, 1e150):
        run = simulate.train(task, alpha=alpha, steps=30, record=[0, 30], alignment=None, **options)
        loss = run.history.population_loss.values
        assert loss[0] == pytest.approx(0.75, rel=1e-9)  # <y^2> at |beta|^2 = D
        ends.append(loss[1])
    assert ends[1] == pytest.approx(ends[2], rel=1e-12)
    assert ends[0] == pytest.approx(ends[2], rel=1e-3)


def test_relu_has_no_centred_loss_beyond_rounding():
    problem = Problem("relu(h)", "beta.x")
    W = [[1.0, 0.5]]
    assert np.isnan(problem.population_loss(W=W, W0=W, alpha=1e9, beta=[1.0, 0.0]))
    assert problem.population_loss(W=W, W0=W, alpha=1e6, beta=[1.0, 0.0]) == pytest.approx(0.5)


@pytest.mark.parametrize("inputs", [None, "Sigma"])
@pytest.mark.parametrize("activation", ["h + g h^2", "erf(h)", "3", "0"])
@pytest.mark.parametrize("target", ["0", "2", "|x|^2 - |x|^2"])
def test_a_constant_target_or_activation_has_every_closed_form(activation, target, inputs):
    """Nothing to learn is a problem like any other, and <y f> is y times the mean of f."""
    described = Problem(activation, target, inputs=inputs)
    for name in described.names():
        described.closed_form(name)
    overlap = described.closed_form("population-loss").terms["target_overlap"]
    mean = described.activation.hermite_series(described.inputs.overlap(w, w), 0)[0]
    assert sp.expand(overlap - described.target.expr * mean) == 0


def test_a_constant_activation_learns_nothing():
    """Its kernel is 0: the lazy loss is that of predicting nothing; with readouts it is not."""
    constant = Problem("3", "1 + beta.x")
    found = constant.spectrum(D=2, sigma=1.0, beta=[1.0, 0.0])
    assert (found.spaces, found.rank, found.null) == ((), 0, 1.5)
    assert constant.learning_curve(P=9, D=2, sigma=1.0, beta=[1.0, 0.0]) == 1.5
    trained = Problem("3", "1 + beta.x", readouts="trained")
    found = trained.spectrum(D=2, sigma_w=1.0, sigma_v=1.0, beta=[1.0, 0.0])
    assert [(s.value, s.power) for s in found.spaces] == [(9.0, 1.0)]


@pytest.mark.parametrize("centred", [True, False])
def test_a_constant_activation_does_not_move(centred):
    task = simulate.PolynomialTask(D=2, P=5, n_test=1, target="1 + beta.x")
    run = simulate.train(
        task, activation="3", steps=5, engine="neurons", width=3, centred=centred, alpha=2.0
    )
    np.testing.assert_array_equal(np.ptp(run.history.train_loss.values), 0.0)


def test_what_moved_is_given_with_the_start():
    problem = Problem("h + c h^3", "(beta.x)^3")
    at = {"W": np.ones((2, 1)), "c": 0.5, "beta": [1.0]}
    with pytest.raises(ValueError, match=r"^W_moved is given without W0$"):
        problem.population_loss(W_moved=np.ones((2, 1)), **at)
