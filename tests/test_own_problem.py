"""``verify.problem``: right theory passes, wrong theory fails, bad files are one clear line."""

import json
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner

from lazyrich import verify
from lazyrich.commands.verify import command as verify_command
from lazyrich.simulate.stability import DivergenceError
from lazyrich.theory import Problem
from lazyrich.verify import own_attacks, own_checks
from lazyrich.verify.own_checks import attacks_on
from lazyrich.verify.own_problem import _setting, problem
from lazyrich.verify.own_report import ProblemReport
from lazyrich.verify.own_setting import Setting

PROBLEMS = [
    {"activation": "h + c h^3", "c": 0.3},
    {"activation": "h + c h^3", "c": -0.2, "readouts": "trained", "target": "(beta.x)^3 + b.x"},
    {"activation": "erf(h/sqrt(2))", "target": "beta.x + (beta.x)^3", "sigma": 0.8},
    {"activation": "2 relu(-h)", "readouts": "trained", "D": 3},
    {"activation": "h", "target": "x'Bx", "D": 1},
    {"activation": "1 + h^2", "target": "1 + |x|^2", "readouts": "trained"},
]


@pytest.mark.parametrize("entries", PROBLEMS, ids=lambda e: f"{e['activation']} {e.get('target')}")
@pytest.mark.parametrize("seed", [0, 1])
def test_right_theory_passes_at_every_seed(entries, seed):
    report = problem(entries, seed=seed)
    assert report.passed, str(report)
    assert {"ntk", "ntk-at-init", "population-loss", "simulator", "laziness"} <= {
        c.name for c in report.checks
    }


SIZES = [
    {"activation": "h + h^2/2", "target": "c (beta.x)^2"},
    {"activation": "c h + c h^2/2", "target": "beta.x", "readouts": "trained"},
    {"activation": "c relu(h)", "target": "beta.x"},
    {"activation": "erf(h)", "target": "c beta.x", "sigma": 5.0},
]


@pytest.mark.parametrize("c", [1e-8, 1e8])
@pytest.mark.parametrize("entries", SIZES, ids=lambda e: f"{e['activation']} {e['target']}")
def test_the_size_of_labels_and_outputs_changes_no_verdict(entries, c):
    report = problem({**entries, "c": c})
    assert report.passed, str(report)


def test_a_coefficient_of_0_leaves_the_kernel_fewer_functions():
    report = problem({"epsilon": 0.0, "target": "(beta.x)^2/2 - |beta|^2/(2 D)"})
    assert report.passed, str(report)
    assert report.settings["epsilon"] == 0
    with pytest.raises(ValueError, match="must depend on h"):
        problem({"activation": "c h^2", "c": 0})


def failed(report):
    return {check.name for check in report.failed}


def test_a_wrong_kernel_fails(monkeypatch):
    monkeypatch.setattr(Problem, "slope_pair", property(lambda self: self.value_pair))
    names = failed(problem({"activation": "h + c h^3", "c": 0.3}))
    assert {"ntk-at-init", "ntk-at-init: every D", "ntk-eigenvalues: every D"} <= names


def test_a_wrong_spectrum_fails(monkeypatch):
    right = Problem.spectrum

    def short(self, **values):
        found = right(self, **values)
        return type(found)(found.D, found.spaces[:-1], found.tail, found.null, found.error)

    monkeypatch.setattr(Problem, "spectrum", short)
    assert "ntk-eigenvalues" in failed(problem({"activation": "h + h^2"}))


def test_a_wrong_loss_fails(monkeypatch):
    right = Problem.population_loss
    monkeypatch.setattr(
        Problem, "population_loss", lambda self, **values: right(self, **values) + 0.01
    )
    assert failed(problem({"activation": "h + h^2"})) == {"population-loss"}


def _off(form):
    """The closed form, its last term or its value too large by a thousandth."""

    def wrong(part):
        if isinstance(part, sp.Tuple | tuple):
            return type(part)(*(wrong(p) for p in part[:1]), *part[1:]) if part else part
        return part * sp.Rational(1001, 1000)

    terms = {name: wrong(sp.sympify(part)) for name, part in form.terms.items()}
    whole = form.expr if isinstance(form.expr, sp.Tuple) else wrong(form.expr)
    return replace(form, expr=whole, terms=terms)


CUBIC = {"activation": "h - h^2/3 + c h^3", "c": 0.3, "target": "(beta.x)^3 + x'Bx", "D": 2, "P": 6}
BOTH = {"activation": "h + h^2", "readouts": "trained", "target": "1 + beta.x", "D": 2, "P": 6}


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("ntk", CUBIC),
        ("ntk-at-init", BOTH),
        ("ntk-eigenvalues", CUBIC),
        ("loss-at-init", BOTH),
        ("loss-at-init", CUBIC),
        ("target-power", CUBIC),
        ("target-decomposition", BOTH),
    ],
)
def test_a_planted_fault_in_any_closed_form_is_noticed_by_its_own_check(name, entries, monkeypatch):
    """A thousandth too much in one closed form, wherever it is used."""
    right = Problem._derive

    def faulty(self, wanted):
        form = right(self, wanted)
        return _off(form) if wanted == name else form

    monkeypatch.setattr(Problem, "_derive", faulty)
    setting = _setting(dict(entries), 0)
    checks = [attack for attack in attacks_on(setting) if name in attack.of]
    assert checks
    assert not all(check.run(setting).holds for check in checks)


@pytest.mark.parametrize("activation", ["erf(h)", "relu(h)"])
def test_an_eigenvalue_of_erf_or_relu_that_is_off_fails(activation, monkeypatch):
    right = Problem.spectrum

    def wrong(self, **values):
        found = right(self, **values)
        first = replace(found.spaces[0], value=1.001 * found.spaces[0].value)
        return replace(found, spaces=(first, *found.spaces[1:]))

    monkeypatch.setattr(Problem, "spectrum", wrong)
    assert "spectrum" in failed(problem({"activation": activation}))


def test_a_wrong_activation_in_the_simulation_fails(monkeypatch):
    """The attacks evaluate phi themselves: what they compare does not share that."""
    right = Setting.phi
    monkeypatch.setattr(Setting, "phi", lambda self, h: right(self, h) + 0.01 * h**2)
    names = failed(problem({"activation": "h + c h^3", "c": 0.3}))
    assert {"ntk", "ntk-at-init", "population-loss", "simulator"} <= names


def test_a_check_that_diverges_says_so(monkeypatch):
    def diverges(_setting):
        raise DivergenceError(1, 2.0, 1.0)

    monkeypatch.setattr(own_attacks, "simulator", diverges)
    report = problem({"activation": "h + c h^3", "c": 0.3, "target": "t beta.x", "t": 7})
    assert {c.name: c.found for c in report.not_judged} == {
        "simulator": "at c = 0.3, t = 7: training diverges"
    }


def test_a_problem_of_which_nothing_can_be_judged_is_refused(monkeypatch):
    def diverges(_setting):
        raise DivergenceError(1, 2.0, 1.0)

    only = own_checks.Attack("simulator", "a statement", diverges, ())
    monkeypatch.setattr(own_checks, "attacks_on", lambda _setting: [only])
    with pytest.raises(ValueError, match=r"^no check can be made at c = 0.3: training diverges$"):
        problem({"activation": "h + c h^3", "c": 0.3})


def test_the_report_as_text_json_and_html(tmp_path):
    report = verify.problem({"activation": "h + c h^3", "c": 0.3, "D": 2})
    assert "19 of 19 checks passed" in str(report)
    assert "degree 3" in str(report)
    for suffix in (".txt", ".json", ".html"):
        report.write(tmp_path / f"report{suffix}")
        assert "ntk-at-init" in (tmp_path / f"report{suffix}").read_text()
    assert json.loads(report.to_json())["passed"] is True
    with pytest.raises(ValueError, match="suffix"):
        report.write(tmp_path / "report.doc")


def test_a_toml_file(tmp_path):
    path = tmp_path / "cubic.toml"
    path.write_text(
        'activation = "h + c h^3"\ntarget = "(beta.x)^2/2"\nc = 0.1\nD = 2\nbeta = [1.0, 2.0]\n'
    )
    report = problem(path)
    assert isinstance(report, ProblemReport)
    assert report.passed
    assert report.settings["c"] == 0.1


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"activation": "h + c h^3"}, "missing c"),
        ({"activation": "h", "activatoin": "h"}, "did you mean 'activation'"),
        ({"activation": "h", "D": 0}, "D = 0: must be a positive integer"),
        ({"activation": "h", "D": 2, "beta": [1.0]}, r"beta has shape \(1,\)"),
        ({"activation": "h", "beta": "x"}, "beta = 'x'"),
        ({"activation": "tanh(h)"}, "activation = tanh"),
        ({"activation": "h", "readouts": "free"}, "readouts = 'free'"),
        ({"activation": "h", "sigma": -1.0}, "sigma = -1.0"),
        ({"activation": "3"}, "a constant learns nothing"),
    ],
)
def test_bad_entries_are_one_clear_line(entries, message):
    with pytest.raises(ValueError, match=message) as error:
        problem(entries)
    assert "\n" not in str(error.value)


def test_a_target_of_zero_is_verified_too():
    """What needs a target's power is left out; what doesn't still has its control."""
    report = problem({"activation": "h + h^2", "target": "0", "D": 2})
    assert report.passed
    assert "target-power" not in {check.name for check in report.checks}


def test_bad_files_are_one_clear_line(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        problem(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("activation = h + c")
    with pytest.raises(ValueError, match="not a TOML file"):
        problem(tmp_path / "bad.toml")
    np.testing.assert_equal(len(list(tmp_path.iterdir())), 1)


def command(*arguments):
    return CliRunner().invoke(verify_command, [*map(str, arguments), "--quiet"])


def test_the_command(tmp_path, monkeypatch):
    file = tmp_path / "linear.toml"
    file.write_text('activation = "h"\ntarget = "beta.x"\nD = 2\n')
    result = command("--problem", file, "--format", "json", "--report", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["passed"] is True
    assert "laziness" in (tmp_path / "report.html").read_text()
    refused = command("eq-6", "--problem", file).exception
    assert isinstance(refused, ValueError)
    assert "takes no CLAIM" in str(refused)
    right = Problem.population_loss
    monkeypatch.setattr(
        Problem, "population_loss", lambda self, **values: right(self, **values) + 0.01
    )
    result = command("--problem", file)
    assert result.exit_code == 1
    assert "FAILED" in result.output


@pytest.mark.parametrize(
    "entries",
    [
        {"activation": "h + c h^3", "target": "x'Bx + b.x", "c": 0.3, "inputs": "Sigma"},
        {"activation": "relu(h)", "target": "(b.x)^2 (a.x)", "inputs": "Sigma"},
        {"activation": "h + h^2", "D": 2, "inputs": [[1.0, 0.2], [0.2, 0.5]]},
    ],
)
def test_a_problem_with_a_covariance_of_its_own_is_attacked_on_such_inputs(entries, monkeypatch):
    """The control draws the inputs of the attacks from N(0, I/D)."""
    assert problem(entries).passed
    monkeypatch.setattr(Setting, "root", property(lambda setting: np.eye(setting.D)))
    failed = {check.name for check in problem(entries).failed}
    assert failed >= {"target-power", "population-loss"}


def test_a_covariance_of_a_problem_file_is_checked():
    for Sigma in ([[1, 2], [2, 1]], [[1, 1], [1, 1]], [[1]], "q"):
        with pytest.raises(ValueError, match="Sigma"):
            problem({"target": "x.x", "activation": "h", "D": 2, "inputs": "Sigma", "Sigma": Sigma})
