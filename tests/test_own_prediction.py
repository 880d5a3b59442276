"""Predictions for a user's own network, against the papers' model and kernel regression."""

import json
import math

import numpy as np
import pytest

from lazyrich.cli import main
from lazyrich.simulate.laws import lazy
from lazyrich.theory import Problem
from lazyrich.theory.problem.lazy_prediction import predict_lazy
from lazyrich.verify.cubature import gauss_hermite


@pytest.mark.parametrize("epsilon", [0.2, 1.0])
def test_the_papers_model_has_the_numbers_of_its_own_laws(epsilon):
    found = predict_lazy(Problem(), D=12, P=30, epsilon=epsilon)
    for P, loss in found.curve.items():
        assert loss == pytest.approx(lazy.lazy_loss(12, P, epsilon).total, rel=1e-6)
    assert found.exact_from == lazy.exact_from(12)
    assert found.nothing == pytest.approx(0.75)
    assert found.floor == pytest.approx(0, abs=1e-12)


def test_the_lazy_loss_of_a_cubic_network_is_that_of_kernel_regression_on_average():
    """Over 300 data sets. Control: the loss predicted for twice the samples is another."""
    D, P, rng = 6, 12, np.random.default_rng(0)
    found = predict_lazy(Problem("h + c*h^3", "(beta.x)^3"), D=D, P=P, c=0.3)
    losses = []
    for _ in range(300):
        X, new = (rng.standard_normal((n, D)) / math.sqrt(D) for n in (P, 200))

        def kernel(a, b, c=0.3):  # E phi'(u) phi'(v) x.x', by the moments of a Gaussian pair
            dot = a @ b.T
            u, v = (a**2).sum(1)[:, None], (b**2).sum(1)[None]
            return dot * (1 + 3 * c * (u + v) + 9 * c**2 * (u * v + 2 * dot**2))

        y, y_new = ((math.sqrt(D) * points[:, 0]) ** 3 for points in (X, new))
        f = kernel(new, X) @ np.linalg.solve(kernel(X, X), y)
        losses.append(np.mean((f - y_new) ** 2))
    mean, error = np.mean(losses), np.std(losses) / math.sqrt(len(losses))
    # Gaussian features are an approximation: a tenth, and five standard errors of the mean.
    assert abs(mean - found.curve[P]) < 0.1 * mean + 5 * error
    assert abs(mean - found.curve[2 * P]) > 0.1 * mean + 5 * error


@pytest.mark.parametrize(
    ("activation", "target"),
    [("erf(h)", "beta.x"), ("erf(h)", "(beta.x)^3"), ("relu(h)", "beta.x + (beta.x)^2/2")],
)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_learning_curves_of_erf_and_relu_are_those_of_kernel_regression(
    activation, target, noise
):
    """On 60 data sets at D = 20; the control is the loss predicted for eight times the samples."""
    D, P, rng = 20, 30, np.random.default_rng(0)
    problem = Problem(activation, target)
    found = predict_lazy(problem, D=D, P=P, noise=noise)
    more = predict_lazy(problem, D=D, P=8 * P, noise=noise)
    kernel = problem.closed_form("ntk-at-init").function("numpy")
    beta = np.array([math.sqrt(D)] + [0.0] * (D - 1))
    losses = []
    for _ in range(60):
        X = rng.standard_normal((P + 400, D)) / math.sqrt(D)
        K = kernel(x=X[:, None], x_prime=X[None, :P], sigma=1.0)
        y = problem.target.labels(X, beta=beta)
        f = K[P:] @ np.linalg.solve(K[:P], y[:P] + noise * rng.standard_normal(P))
        losses.append(np.mean((f - y[P:]) ** 2) + noise**2)
    mean, error = np.mean(losses), np.std(losses) / math.sqrt(len(losses))
    assert abs(mean - found.curve[P]) < 0.15 * mean + 4 * error
    assert abs(mean - more.curve[8 * P]) > 0.15 * mean + 4 * error


@pytest.mark.parametrize("D", [2, 5, 20])
def test_the_floors_of_erf_and_relu(D):
    """The kernel of relu has |x| Y_l alone, of |x|^2 Y_2 and |x|^2 a part; erf has all odd ones."""

    def norm(k):  # <|x|^k>
        return math.exp(math.lgamma((D + k) / 2) - math.lgamma(D / 2)) * (2 / D) ** (k / 2)

    relu = predict_lazy(Problem("relu(h)", "beta.x + (beta.x)^2/2"), D=D, P=9)
    assert relu.floor == pytest.approx(0.75 * (1 - norm(3) ** 2 / norm(2) / norm(4)), rel=1e-9)
    erf = predict_lazy(Problem("erf(h)", "(beta.x)^3 + (beta.x)^2/2"), D=D, P=9, noise=0.5)
    assert erf.floor == pytest.approx(0.75 + 0.25, abs=1e-5 * erf.nothing)


@pytest.mark.parametrize(
    ("target", "values"),
    [
        ("(a.x)^2 (b.x) + (b.x)^2", {}),
        ("x'Bx + k |x|^4", {"B": [[1.0, 2.0], [0.0, 3.0]], "k": 0.5}),
        ("|x|^2 + 3", {}),
        ("c", {"c": 2.0}),
        ("a.x + |x|^2 (b.x)", {"a": [1.0, 2.0], "b": [0.0, 1.0]}),
    ],
)
@pytest.mark.parametrize("activation", ["h + h^2/2", "h + h^3"])
def test_targets_in_several_directions_matrices_norms_and_constants(activation, target, values):
    """The floor is what the kernel's functions leave of y on an exact cubature, in the plane."""
    problem = Problem(activation, target)
    found = predict_lazy(problem, D=2, P=3, noise=0.5, **values)
    points, weights = gauss_hermite(2, 12)
    kernel = problem.closed_form("ntk-at-init").function("numpy")
    K = kernel(x=points[:, None], x_prime=points[None], sigma=1.0)
    root, axes = np.sqrt(weights), math.sqrt(2) * np.eye(2)
    own = {"a": axes[0], "b": axes[int("a" in problem.target.symbols)]} | values
    y = root * problem.target.labels(points, **{name: own[name] for name in problem.target.symbols})
    eigenvalues, functions = np.linalg.eigh(root[:, None] * K * root)
    learned = (functions[:, eigenvalues > 1e-9 * eigenvalues[-1]].T @ y) ** 2
    assert found.nothing == pytest.approx(y @ y + 0.25)
    assert found.floor == pytest.approx(y @ y - learned.sum() + 0.25)
    linear = sum((root * points[:, i] * math.sqrt(2) @ y) ** 2 for i in range(2))
    assert found.plateau == pytest.approx(y @ y - linear + 0.25)
    assert found.exact_from == len(learned)


def test_what_is_not_known_of_a_target_is_one_line_with_what_to_give(tmp_path, capsys):
    np.save(tmp_path / "B.npy", np.diag(np.arange(10.0)))
    asked = ["predict", "--P", "20", "--epsilon", "0.3", "--D"]
    main([*asked, "10", "--target", "x'Bx", "--constant", f"B={tmp_path / 'B.npy'}"])
    assert "lazy floor" in capsys.readouterr().out
    main([*asked, "3", "--target", "(a.x)^2 + (b.x)^3"])
    assert "|a|^2 = 3, |b|^2 = 3, orthogonal" in capsys.readouterr().out
    for extra, message in (
        (["2", "--target", "x'Bx"], "the matrix B has no value: give its rows"),
        (["2", "--target", "x'Bx", "--constant", "B=[[1]]"], "B has shape (1, 1): must be (2, 2)"),
        (["2", "--target", "x'Bx", "--constant", "B=no.npy"], "--constant B=no.npy: no such file"),
        (["1", "--target", "(a.x)^2 (b.x)"], "2 directions can't be orthogonal at D = 1"),
        (["2", "--target", "k (a.x)^2"], "missing k: give --constant k=NUMBER"),
        (["2", "--target", "a.x + x'Bx", "--constant", "B=[[1,0],[0,2]]"], "its angle to B"),
        (["2", "--inputs", "Sigma"], "must be I/D"),
        (["2", "--target", "x'Bx", "--constant", "B=q"], "the value must be a number such as"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*asked, *extra])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_the_words_of_a_problem_serve_the_simulator_too(capsys):
    """Its initial test loss is that of the theory for the same numbers."""
    asked = ["simulate", "--D", "2", "--P", "20", "--steps", "10", "--learning-rate", "0.01"]
    asked += ["--engine", "neurons", "--quiet", "--inputs", "[[1,0],[0,1/4]]"]
    asked += ["--target", "x'Bx + k", "--constant", "B=[[1,0],[0,2]]", "--constant", "k=1/2"]
    main([*asked, "--readouts", "trained"])
    first = capsys.readouterr().out.splitlines()[1].split()
    # <(z_1^2 + z_2^2/2 + 1/2)^2> at |z_i|^2 = 1: 3 + 3/4 + 1/4 + 1 + 1 + 1/2
    assert float(first[3]) == pytest.approx(6.5)
    main([*asked, "--readouts", "fixed"])
    assert float(capsys.readouterr().out.splitlines()[1].split()[3]) == pytest.approx(6.5)


def test_the_command_prints_it_and_refuses_what_does_not_belong(capsys):
    asked = ["predict", "--D", "6", "--P", "12", "--activation", "h + c h^3", "--constant", "c=0.1"]
    main([*asked, "--format", "json"])
    assert json.loads(capsys.readouterr().out)["exact_from"] == 62
    main(asked)
    assert "lazy floor" in capsys.readouterr().out
    for extra, message in (
        (["--alpha", "1"], "--alpha 1.0: must be left out"),
        (["--constant", "q=1"], "q: no symbol of this problem"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*asked, *extra])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_the_test_set_in_the_file_of_diagnose_is_what_the_test_loss_is_of(tmp_path, capsys):
    X = np.random.default_rng(0).standard_normal((60, 6)) / math.sqrt(6)
    train = {"X": X, "y": X[:, 0] ** 2 * 3}
    printed = []
    for name, more in (("plain", {}), ("both", {"X_test": X[:9], "y_test": train["y"][:9]})):
        np.savez(tmp_path / f"{name}.npz", **train, **more)
        asked = ["--data", str(tmp_path / f"{name}.npz"), "--alpha", "4", "--epsilon", "0.1"]
        main(["predict", *asked, "--format", "json"])
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0]["test loss"] == "over all inputs x, exact"
    assert printed[1]["test loss"] == "on 9 test samples"


def test_relu_on_a_line_has_two_functions_and_no_curve_of_gaussian_features(capsys):
    """The floor is what x above 0 and x below 0 leave of x^2 + x: 3 - 8/pi, by hand."""
    main(["predict", "--D", "1", "--P", "2", "--activation", "relu(h)", "--target", "(b.x)^2+b.x"])
    printed = capsys.readouterr().out
    assert "two functions on a line" in printed
    assert "inf" not in printed.replace("infinitely", "")
    found = predict_lazy(Problem("relu(h)", "(b.x)^2 + b.x"), D=1, P=2)
    assert (found.curve, found.exact_from) == ({}, None)
    assert found.floor == pytest.approx(3 - 8 / math.pi, rel=1e-9)
    with pytest.raises(ValueError, match="two functions on a line"):
        Problem("relu(h)").learning_curve(P=2, D=1, sigma=1.0, beta=[1.0])


def test_a_mean_that_diverges_and_a_floor_that_is_reached_by_no_number_are_said_in_words():
    """At P = rank what lies outside of the kernel acts as noise of infinite variance."""
    found = predict_lazy(Problem("h + h^2", "(beta.x)^3"), D=4, P=14)
    assert found.curve[14] == math.inf
    assert found.curve[28] == pytest.approx(found.floor * 28 / (28 - 14))
    assert "P = 14:                 diverges: the variance is infinite" in str(found)
    assert "no finite number: above 14, the number of the kernel's functions" in str(found)
    assert json.loads(found.json())["curve"]["14"] is None
    learnt = predict_lazy(Problem("h + h^2", "(beta.x)^2"), D=4, P=14)
    assert learnt.curve[14] == learnt.floor == 0
    assert "floor:             14, the number of" in str(learnt)


def test_the_kernel_at_a_coefficient_of_0_has_fewer_functions():
    for epsilon, functions in ((0.0, 3), (0.5, 9)):
        found = predict_lazy(Problem("h + epsilon h^2", "(beta.x)^2"), D=3, P=5, epsilon=epsilon)
        assert found.exact_from == functions
    nothing = predict_lazy(Problem("3"), D=3, P=5)
    assert (nothing.exact_from, nothing.floor) == (0, nothing.nothing)
    assert "floor:             none: the kernel is 0" in str(nothing)
