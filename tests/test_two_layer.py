"""Trained readouts, Hermite activations and targets, several directions: against definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.polynomial import hermite_e

from lazyrich import simulate
from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.activations import Curved
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.two_layer import TwoLayer
from lazyrich.verify.cubature import gauss_hermite

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 5)
DEGREES = st.one_of(st.none(), st.integers(1, 5))
SIGNED = st.one_of(st.floats(-2, -0.1), st.floats(0.1, 2))

NETWORKS = st.fixed_dictionaries(
    {
        "D": SIZES,
        "N": SIZES,
        "seed": SEEDS,
        "alpha": SIGNED,
        "epsilon": st.one_of(st.just(0.0), SIGNED),
        "degree": DEGREES,
        "readouts": st.booleans(),
    }
)


def polynomial(coefficients, h):
    """The sum of coefficients_j h^j, by Horner's rule."""
    total = torch.zeros_like(h)
    for coefficient in reversed(list(coefficients)):
        total = total * h + float(coefficient)
    return total


def he(k):
    """The coefficients of He_k in powers, by NumPy."""
    return hermite_e.herme2poly([0.0] * k + [1.0])


def definition(X, W, v, n):
    """f(x) = (alpha/N) sum_i v_i phi(w_i.x), summed neuron by neuron."""
    power = [0.0, 0.0, 1.0] if n["degree"] is None else he(n["degree"])
    shares = []
    for w, readout in zip(W, v, strict=True):
        h = X @ w
        shares.append(readout * (h + n["epsilon"] / 2 * polynomial(power, h)))
    return n["alpha"] / len(shares) * sum(shares)


def weights(n, scale=0.7):
    W = scale * standard_normal(n["seed"], "weights", (n["N"], n["D"]))
    v = standard_normal(n["seed"], "readouts", (n["N"],))
    return W, v if n["readouts"] else torch.ones_like(v)


def options(n, **more):
    """What ``train`` is asked for a network ``n``."""
    W, v = weights(n)
    asked = {"alpha": n["alpha"], "epsilon": n["epsilon"], "activation_degree": n["degree"]}
    asked |= {"init": W, "readouts": v if n["readouts"] else None, "engine": "neurons"}
    return asked | {"centred": False} | more


def descend(task, n, steps, *, rate, centred, momentum, weight_decay, decoupled_weight_decay):
    """Gradient descent with its updates written out, from autograd of the definition."""
    parameters = [array.clone().requires_grad_() for array in weights(n)]
    trained = parameters if n["readouts"] else parameters[:1]
    N, eta = n["N"], rate * n["N"] / n["alpha"] ** 2
    first = definition(task.X, *weights(n), n) if centred else 0.0
    velocity = [torch.zeros_like(array) for array in trained]
    for _ in range(steps):
        loss = (definition(task.X, *parameters, n) - first - task.y).square().mean()
        loss = loss + weight_decay / 2 / N * sum(array.square().sum() for array in trained)
        gradients = torch.autograd.grad(loss, trained)
        with torch.no_grad():
            for i, (array, gradient) in enumerate(zip(trained, gradients, strict=True)):
                velocity[i] = momentum * velocity[i] + gradient
                array.mul_(1 - rate * decoupled_weight_decay).sub_(eta * velocity[i])
    return [array.detach() for array in parameters]


@given(
    n=NETWORKS,
    P=SIZES,
    target_degree=DEGREES,
    indices=st.integers(1, 3),
    steps=st.integers(1, 12),
    descent=st.fixed_dictionaries(
        {
            "centred": st.booleans(),
            "momentum": st.sampled_from([0.0, 0.9]),
            "weight_decay": st.sampled_from([0.0, 0.3]),
            "decoupled_weight_decay": st.sampled_from([0.0, 0.2]),
        }
    ),
)
def test_neurons_descend_the_loss_of_the_definition(n, P, target_degree, indices, steps, descent):
    task = PolynomialTask(
        n["D"], P, n_test=3, seed=n["seed"], indices=indices, target_degree=target_degree
    )
    W, v = weights(n)
    K = TwoLayer(W, v if n["readouts"] else None, n["alpha"], Curved(n["epsilon"], n["degree"]))
    stable = P / max(float(K.ntk_normalised(task.X, task.X).trace()), 1e-3)
    rate = 0.01 * min(stable, 1.0)
    expected = descend(task, n, steps, rate=rate, **descent)
    assume(all(bool(array.abs().max() < 5) for array in expected))
    run = simulate.train(
        task, steps=steps, learning_rate=rate, record=[steps], **options(n, **descent)
    )
    found = [run.state, run.readouts] if n["readouts"] else [run.state]
    # Short stable descents of numbers of order 1, f a sum of products of up to a few hundred: some
    # thousand roundings, hardly amplified.
    reach = 1e-12 * (1 + float(definition(task.X, W, v, n).abs().max() + task.y.abs().max()))
    for array, wanted in zip(found, expected, strict=False):
        assert torch.allclose(array, wanted, rtol=0, atol=reach)
    f = definition(task.X, *expected, n)
    f = f - definition(task.X, W, v, n) if descent["centred"] else f
    loss = float((f - task.y).square().mean())
    assert float(run.history.train_loss[-1]) == pytest.approx(loss, rel=1e-9, abs=reach)
    if n["readouts"]:
        change = sum((a - b).square().sum() for a, b in zip(expected, (W, v), strict=True))
        size = W.square().sum() + v.square().sum()
        assert float(run.history.parameter_change[-1]) == pytest.approx(
            float((change / size).sqrt()), rel=1e-6, abs=1e-12
        )


@given(
    n=NETWORKS,
    target_degree=DEGREES,
    indices=st.integers(1, 3),
    centred=st.booleans(),
    mixed=st.booleans(),
)
def test_the_population_loss_is_the_loss_on_an_exact_cubature(
    n, target_degree, indices, centred, mixed
):
    n["D"] = min(n["D"], 3)
    D = n["D"]
    covariance = torch.eye(D, dtype=torch.float64) / D
    if mixed:
        root = standard_normal(n["seed"], "test inputs", (D, D)) + 3 * torch.eye(D)
        covariance = root @ root.T / (9 * D)
    task = PolynomialTask(D, 3, 2, n["seed"], covariance if mixed else None, indices, target_degree)
    asked = options(n, steps=2, learning_rate=1e-4, record=[2], centred=centred)
    run = simulate.train(task, **asked)
    points, shares = map(torch.tensor, gauss_hermite(D, 10))
    X = points @ torch.linalg.cholesky(D * covariance).T
    h = X @ torch.atleast_2d(task.beta).T
    y = (h**2 / 2 if target_degree is None else polynomial(he(target_degree), h)).sum(1)
    v = run.readouts if n["readouts"] else torch.ones(n["N"], dtype=torch.float64)
    f = definition(X, run.state, v, n)
    start = definition(X, *weights(n), n) if centred else torch.zeros_like(f)
    expected = float(shares @ (f - start - y).square())
    # The magnitudes that cancel: of each neuron's share and each direction's, on their own.
    size = float(shares @ (f.abs() + start.abs() + h.abs().pow(5).sum(1) + 10).square())
    found = run.history.population_loss
    assert float(found[-1]) == pytest.approx(expected, abs=1e-12 * size)
    terms = [name for name in run.history if str(name).startswith("degree_")]
    terms = terms or ["variance", "misalignment", "linear"]
    assert sum(float(run.history[name][-1]) for name in terms) == pytest.approx(float(found[-1]))
    if not centred and target_degree is None and indices == 1:
        other = simulate.train(
            PolynomialTask(D, 3, 2, n["seed"] + 1, covariance if mixed else None), **asked
        )  # a check that can fail: another beta
        silent = n["degree"] == 1 and n["epsilon"] == -2  # phi = 0
        assert (
            D == 1
            or silent
            or float(other.history.population_loss[-1]) != pytest.approx(expected, rel=1e-12)
        )


@given(n=NETWORKS, P=SIZES)
def test_kernel_and_kernel_regression_are_those_of_the_gradients(n, P):
    """The limit of linearised descent is the least change of the weights that fits best."""
    task = PolynomialTask(n["D"], P, n_test=4, seed=n["seed"])
    W, v = weights(n)

    def jacobian(X):
        of_W, of_v = torch.autograd.functional.jacobian(lambda W, v: definition(X, W, v, n), (W, v))
        return torch.cat([of_W.flatten(1), of_v], 1) if n["readouts"] else of_W.flatten(1)

    J, J_test = jacobian(task.X), jacobian(task.X_test)
    known = TwoLayer(W, v if n["readouts"] else None, n["alpha"], Curved(n["epsilon"], n["degree"]))
    K = known.ntk_normalised(task.X_test, task.X) * n["alpha"] ** 2 / n["N"]
    assert torch.allclose(K, J_test @ J.T, rtol=1e-10, atol=1e-11 * (1 + float(K.abs().max())))
    sizes = torch.linalg.svdvals(J)
    assume(float(sizes[-1]) > 1e-3 * float(sizes[0]) > 0)  # K has the square of this condition
    residual = task.y - definition(task.X, W, v, n)
    change = torch.linalg.lstsq(J, residual, driver="gelsd").solution
    f = definition(task.X_test, W, v, n) + J_test @ change
    expected = float((f - task.y_test).square().mean())
    history = simulate.train(task, steps=1, learning_rate=1e-6, record=[0], **options(n)).history
    assert float(history.kernel_regression_test_loss) == pytest.approx(expected, rel=1e-5, abs=1e-8)
    if n["degree"] is None:  # then exactly known beyond the samples too
        moved = known.moved_moments(known.change(task.X, torch.ones(P, dtype=torch.float64)))
        h = 1e-6
        a = torch.full((P,), h, dtype=torch.float64)
        change = known.change(task.X, a)
        new = TwoLayer(
            W + change.W / n["alpha"],
            None if change.readouts is None else v + change.readouts / n["alpha"],
            n["alpha"],
            Curved(n["epsilon"]),
        )
        for now, start, slope in zip(new.moments(), known.moments(), moved, strict=True):
            slope = slope / n["alpha"]
            size = 1 + float(slope.abs().max()) ** 2
            assert torch.allclose(now - start, h * slope, rtol=0, atol=100 * h**2 * size)


@given(n=NETWORKS, P=SIZES, indices=st.integers(2, 4), target_degree=DEGREES)
def test_moments_need_labels_only_and_serve_any_target(n, P, indices, target_degree):
    n |= {"degree": None, "readouts": False}
    task = PolynomialTask(
        n["D"], P, n_test=3, seed=n["seed"], indices=indices, target_degree=target_degree
    )
    asked = options(n, steps=5, learning_rate=1e-4, alignment=None)
    asked.pop("activation_degree")
    slow = simulate.train(task, **asked).history
    for engine in ("moments", "flow"):
        fast = simulate.train(task, **asked | {"engine": engine}).history
        for name in ("train_loss", "test_loss", "population_loss"):
            tolerance = 1e-10 if engine == "moments" else 1e-2
            assert np.allclose(fast[name], slow[name], rtol=tolerance, atol=1e-12), (engine, name)


def test_labels_of_any_kind_are_learnt_and_leave_no_population_loss():
    X, X_test = (
        standard_normal(0, "train inputs", (6, 3)),
        standard_normal(0, "test inputs", (4, 3)),
    )
    y, y_test = torch.arange(6.0) - 2, torch.ones(4)
    task = PolynomialTask.from_arrays(X, y=y, X_test=X_test, y_test=y_test)
    options = {"alpha": 1.0, "epsilon": 0.5, "width": 4, "steps": 20, "learning_rate": 0.05}
    run = simulate.train(task, centred=False, engine="moments", **options)
    W = standard_normal(0, "weights", (4, 3))
    f = definition(X, W, torch.ones(4), {"alpha": 1.0, "epsilon": 0.5, "degree": None})
    assert float(run.history.train_loss[0]) == pytest.approx(float((f - y).square().mean()))
    assert float(run.history.test_loss[-1]) > 0
    assert "population_loss" not in run.history
    assert "kernel_regression_population_loss" not in run.history
    assert run.history.attrs["conventions"].split("; ")[1] == "y as given"


def test_a_run_with_readouts_goes_on_from_its_file(tmp_path):
    task = PolynomialTask(3, 5, n_test=5, seed=2, target_degree=3)
    asked = {"alpha": 1.0, "epsilon": 0.5, "engine": "neurons", "learning_rate": 0.05}
    asked |= {"activation_degree": 3, "centred": False}
    whole = simulate.train(task, width=4, steps=40, readouts="gaussian", **asked)
    half = simulate.train(task, width=4, steps=20, readouts="gaussian", **asked)
    half.save(tmp_path / "half.nc")
    half = simulate.load(tmp_path / "half.nc")
    rest = simulate.train(task, init=half.state, readouts=half.readouts, steps=20, **asked)
    assert torch.equal(rest.state, whole.state)
    assert torch.equal(rest.readouts, whole.readouts)
    assert not torch.equal(whole.readouts, standard_normal(0, "readouts", (4,)))


def test_readouts_are_normal_and_share_no_number_with_the_weights():
    v = standard_normal(3, "readouts", (20_000,))
    # Standard error of the mean 1/sqrt(n), of the variance sqrt(2/n): five of each.
    assert abs(float(v.mean())) < 5 / math.sqrt(20_000)
    assert abs(float(v.var()) - 1) < 5 * math.sqrt(2 / 20_000)
    assert not torch.isin(v, standard_normal(3, "weights", (20_000,))).any()


def test_too_large_a_rate_is_reported_with_the_largest_stable_one():
    task = PolynomialTask(4, 8, n_test=5, seed=0, target_degree=3)
    asked = {"alpha": 1.0, "epsilon": 0.3, "width": 5, "engine": "neurons", "steps": 300}
    asked |= {"readouts": "gaussian", "activation_degree": 3}
    with pytest.raises(simulate.DivergenceError) as caught:
        simulate.train(task, learning_rate=1e3, **asked)
    W, v = standard_normal(0, "weights", (5, 4)), standard_normal(0, "readouts", (5,))
    K = TwoLayer(W, v, 1.0, Curved(0.3, 3)).ntk_normalised(task.X, task.X)
    top = float(torch.linalg.eigvalsh(K)[-1])
    assert caught.value.stable_learning_rate == pytest.approx(8 / top)
    assert caught.value.stable_at == 0


BAD = [
    (
        {"engine": "moments", "readouts": "gaussian"},
        r"readouts = 'gaussian': engine = 'moments'",
    ),
    ({"engine": "flow", "activation_degree": 3}, r"activation_degree = 3: engine = 'flow' doesn't"),
    ({"engine": "linearised", "readouts": [1.0] * 4}, r"readouts = an array: engine"),
    ({"readouts": "normal"}, "readouts = 'normal': Allowed: fixed, trained, gaussian"),
    ({"readouts": [1.0]}, r"readouts has shape \(1,\): must be \(N,\) = \(4,\)"),
    ({"activation_degree": 0}, "activation_degree = 0: must be a positive integer"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_what_an_engine_cannot_do_is_refused_in_one_line(given, message):
    asked = {"alpha": 1.0, "epsilon": 0.5, "width": 4, "steps": 3, "engine": "neurons", **given}
    with pytest.raises(ValueError, match=message) as caught:
        simulate.train(PolynomialTask(3, 5), **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"indices": 0}, "indices = 0: must be a positive integer"),
        ({"target_degree": 2.5}, "target_degree = 2.5: must be a positive integer"),
    ],
)
def test_bad_targets_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        PolynomialTask(3, 5, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "beta, y: must be given one of them, and not both"),
        ({"beta": [1.0, 0.0], "y": [1.0]}, "beta, y: must be given one of them, and not both"),
        ({"beta": [1.0, 0.0], "y_test": [1.0]}, "y_test: must be left out where beta gives"),
        ({"y": [1.0, 2.0]}, r"y has shape \(2,\): must be \(P,\) = \(1,\)"),
        ({"y": [1.0], "target_degree": 3}, "y: must come without target_degree"),
        ({"y": [1.0], "X_test": [[1.0, 1.0]]}, "with y_test where there is an X_test"),
        ({"beta": [[1.0]]}, r"beta has shape \(1, 1\): must be \(D,\) = \(2,\) or \(K, D\)"),
    ],
)
def test_bad_arrays_of_targets_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        PolynomialTask.from_arrays([[1.0, 2.0]], **given)
