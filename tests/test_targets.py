"""Any polynomial target and any activation: labels, and the exact population loss."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.cli import main
from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.constants import kept_apart
from lazyrich.theory import Target
from lazyrich.verify.cubature import gauss_hermite

D = 2
B = np.array([[1.0, 0.3], [0.3, -0.5]])
COVARIANCE = np.array([[0.7, 0.2], [0.2, 0.4]])
# text -> (constants, y(x) written out)
TARGETS = {
    "(beta.x)**2/2 + b.x + c": ({"c": 0.7}, lambda x, t: (x @ t[0]) ** 2 / 2 + x @ t[1] + 0.7),
    "x'B x/2 - 1": ({"B": B}, lambda x, _: np.einsum("pi,ij,pj->p", x, B, x) / 2 - 1),
    "|x|^2": ({}, lambda x, _: (x**2).sum(1)),
    "3": ({}, lambda x, _: 3 + 0 * x[:, 0]),
    "(beta.x)**3 + k*beta.x": ({"k": -0.4}, lambda x, t: (x @ t[0]) ** 3 - 0.4 * (x @ t[0])),
    "(beta_1.x)**3 + 2*(beta_2.x)**2": ({}, lambda x, t: (x @ t[0]) ** 3 + 2 * (x @ t[1]) ** 2),
    "(beta.x)^3/D - |beta|^2 (beta.x)/D + |beta|^4": (
        {},
        lambda x, t: ((x @ t[0]) ** 3 - t[0] @ t[0] * (x @ t[0])) / D + (t[0] @ t[0]) ** 2,
    ),
    "|beta_1|^2 (beta_1.beta_2) (beta_1.x)^3": (
        {},
        lambda x, t: (t[0] @ t[0]) * (t[0] @ t[1]) * (x @ t[0]) ** 3,
    ),
    "x'B x - tr(B)/D": ({"B": B}, lambda x, _: np.einsum("pi,ij,pj->p", x, B, x) - B.trace() / D),
    "(beta_1.x)*(beta_2.x)": ({}, lambda x, t: (x @ t[0]) * (x @ t[1])),
}
ACTIVATIONS = {
    "h + epsilon/2*h**2": ({}, lambda h: h + 0.15 * h**2),
    "h + c*h**3": ({"c": 0.1}, lambda h: h + 0.1 * h**3),
    "h**2 - 0.2*h**4 + 0.5": ({}, lambda h: h**2 - 0.2 * h**4 + 0.5),
}


@pytest.mark.parametrize("covariance", [None, COVARIANCE])
@pytest.mark.parametrize("text", TARGETS)
def test_labels_are_the_formula(text, covariance):
    constants, y = TARGETS[text]
    task = PolynomialTask(D, 6, 4, 1, covariance, target=text, constants=constants)
    for X, labels in ((task.X, task.y), (task.X_test, task.y_test)):
        np.testing.assert_allclose(labels, y(X.numpy(), _by_name(task)), rtol=1e-12, atol=1e-12)


def _by_name(task):
    """The directions in the order in which the test's formulas name them: beta before b."""
    values = task.goal.values
    order = [n for n in ("beta", "beta_1", "beta_2", "b") if n in values]
    return [values[name].numpy() for name in order]


@pytest.mark.parametrize("engine", ["moments", "flow", "neurons", "linearised"])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("text", TARGETS)
def test_the_population_loss_of_moments_is_that_on_a_cubature(text, centred, engine):
    constants, y = TARGETS[text]
    covariance = COVARIANCE if "B" in text or "3" in text else None
    task = PolynomialTask(D, 6, 3, 1, covariance, target=text, constants=constants, noise=0.3)
    options = {"alpha": 1.5, "epsilon": 0.3, "width": 3, "learning_rate": 0.02, "centred": centred}
    run = simulate.train(task, engine=engine, steps=4, record=[4], alignment=None, **options)
    if engine == "linearised":
        return
    wbar, M = run.state if engine != "neurons" else _moments(run.state)
    if centred:
        W0 = standard_normal(0, "weights", (3, D))
        wbar, M = wbar - W0.mean(0), M - W0.T @ W0 / 3
    points, weights = gauss_hermite(D, 8)
    x = points @ np.linalg.cholesky(D * task.covariance.numpy()).T
    f = 1.5 * (x @ wbar.numpy() + 0.15 * np.einsum("pi,ij,pj->p", x, M.numpy(), x))
    expected = float(weights @ (f - y(x, _by_name(task))) ** 2) + 0.09
    assert float(run.history.population_loss[-1]) == pytest.approx(expected, rel=1e-9)
    nothing = float(weights @ y(x, _by_name(task)) ** 2) + 0.09
    assert float(run.history.zero_population_loss) == pytest.approx(nothing, rel=1e-9)


def _moments(W):
    return W.mean(0), W.T @ W / W.shape[0]


@pytest.mark.parametrize("readouts", [None, "gaussian"])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("text", ["(beta.x)**3 + k*beta.x", "(beta_1.x)*(beta_2.x)", "x'B x/2 - 1"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_population_loss_of_neurons_is_that_on_a_cubature(activation, text, centred, readouts):
    constants, y = TARGETS[text]
    some, phi = ACTIVATIONS[activation]
    task = PolynomialTask(D, 6, 3, 2, target=text, constants=constants, noise=0.2)
    epsilon = {"epsilon": 0.3} if "epsilon" in activation else {"epsilon": 0.02}
    run = simulate.train(
        task, activation=activation, constants=some, engine="neurons", readouts=readouts,
        alpha=1.5, width=3, learning_rate=0.01, steps=3, centred=centred, record=[3], **epsilon,
    )  # fmt: skip
    points, weights = gauss_hermite(D, 10)
    x = points / 1.0

    def f(W, v):
        return 1.5 / 3 * (phi(x @ W.numpy().T) * v.numpy()).sum(1)

    W0 = standard_normal(0, "weights", (3, D))
    v0 = torch.ones(3) if readouts is None else standard_normal(0, "readouts", (3,))
    found = f(run.state, v0 if readouts is None else run.readouts) - centred * f(W0, v0)
    expected = float(weights @ (found - y(x, _by_name(task))) ** 2) + 0.04
    assert float(run.history.population_loss[-1]) == pytest.approx(expected, rel=1e-9)


_POINTS = np.array([[0.4, -1.0], [2.0, 0.3]])
_SHARED = {  # with a c: a number, a vector, a matrix
    "(b.x)^3 + c b.x": -0.3,
    "(c.x)^3 + |x|^2 (c.x)": np.array([0.6, -1.1]),
    "x'cx + b.x": B,
}


@pytest.mark.parametrize("text", _SHARED)
@settings(max_examples=10)
@given(other=st.floats(-2, 2), taken=st.sampled_from(["k", "c_of_target", "c_of_target_"]))
def test_a_name_in_the_target_is_not_that_in_the_activation(text, other, taken):
    """Law: what another part of the problem calls c does nothing to the labels."""
    values, others = {"b": np.array([1.0, 2.0]), "c": _SHARED[text]}, {"c": other, taken: 1.0}
    target, symbolic = (
        {n: v for n, v in values.items() if f"{n}." in text or n == "c"},
        Target(text),
    )
    apart, renamed = kept_apart(symbolic, target, others)
    assert all(np.array_equal(renamed[n], others[n]) for n in {*renamed} & {*others})
    found = apart.labels(_POINTS, **renamed)
    np.testing.assert_allclose(found, symbolic.labels(_POINTS, **target), rtol=1e-14)


def test_the_population_loss_is_that_under_other_names():
    losses = []
    for name in ("c", "k"):
        given = {"target": f"x'Bx + b.x - {name}", "constants": {"B": B, name: 0.7}}
        run = simulate.train(
            PolynomialTask(D, 4, 3, 2, **given), activation="h + c h^3", constants={"c": 0.2},
            engine="neurons", steps=2, width=3, learning_rate=1e-3, record=[0, 2], alignment=None,
        )  # fmt: skip
        losses.append(run.history.population_loss.values)
    np.testing.assert_allclose(*losses, rtol=1e-12)


@pytest.mark.parametrize("activation", ["erf(h)", "relu(h)"])
def test_erf_and_relu_train_and_have_a_population_loss(activation):
    task = PolynomialTask(D, 8, n_test=200_000, seed=3)
    run = simulate.train(
        task, activation=activation, engine="neurons", alpha=1.0, width=4, learning_rate=0.05,
        steps=5, centred=False, alignment=None,
    )  # fmt: skip
    history = run.history
    assert float(history.train_loss[-1]) < float(history.train_loss[0])
    # The test loss is a mean of 200,000 squares, of relative spread below 3: five deviations.
    assert float(history.test_loss[-1]) == pytest.approx(
        float(history.population_loss[-1]), rel=5 * 3 / math.sqrt(200_000)
    )


def test_an_activation_by_any_name_is_the_same_run():
    task = PolynomialTask(4, 9, seed=0)
    options = {"alpha": 1.0, "width": 5, "steps": 20, "learning_rate": 0.2, "engine": "moments"}
    plain = simulate.train(task, epsilon=0.2, **options)
    other = simulate.train(task, activation="h + 0.1*h^2", **options)
    assert plain.history.train_loss.equals(other.history.train_loss)
    options["engine"] = "neurons"
    he = simulate.train(task, epsilon=0.2, activation_degree=3, **options)
    text = simulate.train(task, epsilon=0.2, activation="h + epsilon/2*(h^3 - 3 h)", **options)
    np.testing.assert_allclose(he.history.train_loss, text.history.train_loss, rtol=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "sin(beta.x)"}, "target = "),
        ({"target": "(beta.x)**2 + c"}, "constants: c of target = .* has no value"),
        ({"target": "x'B x"}, "constants: B of target = .* has no value"),
        ({"target": "x'B x", "constants": {"B": [[1.0]]}}, r"B has shape \(1, 1\): must be"),
        ({"constants": {"q": 1.0}}, "constants q: target = .* has only beta"),
        ({"noise": -1.0}, "noise = -1.0: must be at least 0"),
        ({"target": "beta.x + c", "constants": [1]}, "constants = .1.: must map names to values"),
        ({"constants": "c"}, "constants = 'c': must map names to values"),
        ({"target": "beta.x", "indices": 2}, "target: must be left out where indices"),
    ],
)
def test_bad_targets_are_one_line(given, message):
    with pytest.raises(ValueError, match=message) as caught:
        PolynomialTask(2, 5, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"activation": "h + c*h^3"}, "missing c: give c=NUMBER"),
        ({"activation": "h + h^3", "epsilon": 0.5}, "epsilon = 0.5: activation = .* has no eps"),
        ({"activation": "h + h^3", "engine": "flow"}, "activation = 'h .*; use engine = 'neurons'"),
        ({"activation": "tan(h)"}, "activation = "),
        ({"activation": "h + c*h^3", "constants": "c"}, "constants = 'c': must map names"),
        ({"activation": "h + h^3", "activation_degree": 2}, "activation_degree = 2: must be left"),
    ],
)
def test_bad_activations_are_one_line(given, message):
    options = {"alpha": 1.0, "width": 3, "steps": 2, "engine": "neurons", "epsilon": 0.02, **given}
    with pytest.raises(ValueError, match=message) as caught:
        simulate.train(PolynomialTask(2, 5), **options)
    assert "\n" not in str(caught.value)


def test_a_sweep_over_targets_and_activations(tmp_path):
    found = simulate.sweep(
        {"target": ["(beta.x)**2 + k", "(beta.x)**3 + k"], "noise": [0.0, 0.1]},
        folder=tmp_path, jobs=1, D=3, P=9, n_test=5, alpha=1.0, width=3, steps=5,
        activation="h + c*h^3", constants={"c": 0.1, "k": 1.0}, engine="neurons",
        learning_rate=0.01,
    )  # fmt: skip
    assert (found.status == "finished").all()
    noisy, plain = found.train_loss.sel(noise=0.1), found.train_loss.sel(noise=0.0)
    assert (noisy != plain).all()


@given(seed=st.integers(0, 100))
def test_noise_has_streams_of_its_own(seed):
    plain, noisy = PolynomialTask(3, 50, 50, seed), PolynomialTask(3, 50, 50, seed, noise=0.5)
    assert torch.equal(plain.X, noisy.X)
    assert torch.equal(plain.beta, noisy.beta)
    apart = torch.cat([noisy.y - plain.y, noisy.y_test - plain.y_test])
    # 100 draws: within six deviations of the standard deviation.
    assert float(apart.std()) == pytest.approx(0.5, rel=6 / math.sqrt(200))


def test_a_run_without_a_population_loss_is_printed(capsys):
    """Moments know no population loss of (a.x)^2 (b.x); the table has what there is."""
    main(
        [
            "simulate",
            "--D",
            "3",
            "--P",
            "8",
            "--width",
            "4",
            "--steps",
            "2",
            "--quiet",
            "--target",
            "(a.x)^2*(b.x)",
        ]
    )
    printed = capsys.readouterr().out
    assert "train_loss" in printed
    assert "population_loss " not in printed


def test_what_a_quadratic_target_has_not_is_0_and_not_rounding():
    for text, empty in (("0.3 beta.x + 2", 2), ("(beta.x)^2 + 0.1", 1), ("beta.x + (u.x)^2", 0)):
        goal = PolynomialTask(5, 3, target=text).goal
        assert goal is not None
        assert goal.quadratic is not None
        assert not goal.quadratic[empty].any()


def test_samples_on_which_a_target_has_another_power_are_refused():
    """Of another size than the population whose loss is recorded: variance 1, not 1/D."""
    D = 20
    X = np.random.default_rng(0).normal(size=(50, D))
    given = {"target": "(beta.x)^4 - c", "beta": np.eye(D)[0], "constants": {"c": 1.0}}
    power = 105 / D**4 - 6 / D**2 + 1
    line = rf"its mean square is .* on X, and {power:.3g} over x ~ N\(0, I/D\): give inputs"
    with pytest.raises(ValueError, match=line):
        PolynomialTask.from_arrays(X, **given)
    assert PolynomialTask.from_arrays(X, inputs=np.eye(D), **given).P == 50
    assert PolynomialTask.from_arrays(X / D**0.5, **given).P == 50
