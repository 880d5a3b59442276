"""Numbers beyond floating point, on the command line and in Python: one line names which."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import cli, simulate, theory, verify
from lazyrich.simulate.stability import OutOfRangeError, within_range

SIMULATE = ("simulate", "--D", "2", "--P", "12", "--width", "8", "--steps", "20", "--quiet")
NETWORK = """
from torch import nn
def make():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
"""


def refused(capsys, *arguments):
    """The one line with which a command ends in exit code 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("lazyrich: ")
    return err.removeprefix("lazyrich: ").strip()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--target", "c", "--constant", "c=1e308"),
            "target = 'c': the largest label is 1e+308: must be 0 or from 1e-120 to 1e+120 in size",
        ),
        (("--target", "c beta.x", "--constant", "c=1e-300"), "target = 'c beta.x': the largest l"),
        (
            ("--inputs", "[[1e300,0],[0,1]]"),
            "inputs has the largest entry 1e+300: must be from 1e-50 to 1e+50",
        ),
        (("--inputs", "[[1e-300,0],[0,1e-300]]"), "inputs has the largest entry 1e-300: must be"),
        (("--weight-decay", "1e300"), "weight_decay = 1e+300: a number left the range of float"),
        (("--sigma", "1e70", "--epsilon", "1e70"), "sigma = 1e+70, epsilon = 1e+70: a number lef"),
        (
            ("--activation", "h + c h^3", "--constant", "c=1e300"),
            "activation = 'c h^3 + h': the largest coefficient is 1e+300: must be at most 1e+70 in",
        ),
    ],
)
def test_simulate_names_the_number(capsys, options, message):
    assert refused(capsys, *SIMULATE, *options).startswith(message)


@pytest.mark.parametrize(
    ("c", "check", "why"),
    [
        (1e300, "ntk", "a number leaves the range of floating point"),
        (1e80, "simulator", "activation = 'c h^3 + h': the largest coefficient is 1e+80: must be"),
        (1e5, "ntk-eigenvalues", "a wrong statement passes it as well"),
    ],
)
def test_a_check_that_can_not_be_made_is_not_judged_and_the_others_are(c, check, why):
    report = verify.problem(
        {"activation": "h + c*h^3", "target": "beta.x", "c": c, "D": 2, "P": 3, "N": 2}
    )
    unknown = {check.name: check.found for check in report.not_judged}
    assert unknown[check].startswith(f"at c = {c:g}: {why}")
    verdicts = {check.name: check.verdict for check in report.checks}
    assert verdicts["loss-at-init"] == verdicts["population-loss"] == "passed"
    assert report.passed  # none of those that could be judged failed
    assert f"of {len(report.checks)} checks passed, {len(unknown)} not judged" in str(report)
    for shown in (str(report), report.to_json(), report.to_html()):
        assert "not judged" in shown


def test_the_entries_of_a_problem_are_bounded(capsys, tmp_path):
    (tmp_path / "own.toml").write_text('activation = "h"\ntarget = "b.x"\nb = [1e300, 1]\nD = 2')
    command = ("verify", "--problem", str(tmp_path / "own.toml"), "--quiet")
    message = "b has an entry of 1e+300 in size: must be at most 1e+30"
    assert refused(capsys, *command) == message


@pytest.mark.parametrize(
    ("name", "size", "more", "message"),
    [
        ("y", 1e300, (), "y has entries of up to 1e+300: torch.float32, in which the model comp"),
        ("y", 1e-300, (), "y has entries of up to 1e-300: torch.float32, in which the model comp"),
        ("X_test", 1e300, (), "X_test has entries of up to 1e+300: torch.float32, in which the mo"),
        ("y", 1.0, ("--weight-decay", "1e300"), "weight_decay = 1e+300: must be at most 3.40282e"),
    ],
)
def test_diagnose_names_the_numbers(capsys, tmp_path, monkeypatch, name, size, more, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net_of_extremes.py").write_text(NETWORK)
    sides = {"X": np.ones((9, 3)), "y": np.ones((9, 1))}
    sides |= {"X_test": np.ones((9, 3)), "y_test": np.ones((9, 1))}
    np.savez("set.npz", **sides | {name: size * sides[name]})
    command = ("diagnose", "net_of_extremes:make", "--data", "set.npz", "--quiet", *more)
    assert refused(capsys, *command).startswith(message)


@pytest.mark.parametrize("jobs", ["-2", "0"])
def test_a_number_of_processes_is_positive_or_as_many_as_cores(capsys, tmp_path, jobs):
    (tmp_path / "s.toml").write_text("[grid]\nalpha = [1.0]\n[fixed]\nD = 3\nP = 5\nsteps = 3\n")
    message = refused(capsys, "sweep", str(tmp_path / "s.toml"), "--jobs", jobs)
    assert message == f"jobs = {jobs}: must be a positive integer, or -1: one for each core"


def test_labels_in_double_precision_are_named_too():
    X = torch.ones(4, 2).double()
    data = simulate.Data(X, 1e300 * X[:, :1], X, X[:, :1])
    message = "the train loss is inf at the initial weights: must be finite, and y has entries of "
    with pytest.raises(ValueError, match=f"^{message}up to") as error:
        simulate.diagnose(nn.Linear(2, 1).double(), data, loss="mse")
    assert str(error.value) == f"{message}up to 1e+300"


def test_numbers_in_range_are_let_in():
    """At the bounds, and labels of 0, which have no size."""
    for y in (np.zeros(3), np.full(3, 1e119), np.full(3, 1e-119)):
        assert np.array_equal(simulate.PolynomialTask.from_arrays(X=np.eye(3), y=y).y, y)
    task = simulate.PolynomialTask(D=2, P=3, inputs=1e-49 * np.eye(2))
    assert float(task.covariance[0, 0]) == pytest.approx(1e-49)
    report = verify.problem({"activation": "h", "target": "b.x", "b": [1e3, 0.0], "D": 2})
    assert report.passed


def test_an_error_of_range_names_what_is_extreme_once():
    @within_range
    def inner(*, alpha):
        return 1 / alpha**3

    @within_range
    def outer(given, *, width):
        return inner(alpha=given["alpha"] + 0 * width)

    with pytest.raises(OutOfRangeError, match=r"^alpha = 1e-150: a number left") as error:
        outer({"alpha": 1e-150, "epsilon": 1e90}, width=3)
    assert error.value.given == ("alpha = 1e-150",)
    with pytest.raises(OutOfRangeError, match=r"^a number left the range of floating point: take"):
        within_range(lambda x: x / 0)(1.0)


@pytest.mark.parametrize("formula", ["E[E[E[x.x]]]", "E_x[E_x[x.x]]", "E[E[E[E[x.x]]]]"])
def test_the_mean_of_a_mean_is_that_mean(formula):
    assert theory.expectation(formula).expr == 1
    assert theory.check("E[x.x]", formula).equal
    assert not theory.check("E[x.x]", f"2 {formula}").equal
