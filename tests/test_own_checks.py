"""Every closed form of a user's problem has a check that notices a fault in it, or is named."""

from dataclasses import replace

import pytest
import sympy as sp

from lazyrich.theory import Problem
from lazyrich.theory.problem import eigenspaces, floor, instances
from lazyrich.verify import own_functions
from lazyrich.verify.own_checks import attacks_on, not_checked
from lazyrich.verify.own_problem import _setting, problem

SIZES = {"D": 3, "P": 6, "N": 6}
CUBIC = {"activation": "h - h^2/3 + c h^3", "c": 0.3, "target": "(beta.x)^3 + beta.x", **SIZES}
QUADRATIC = {"activation": "h + c h^2/2", "c": 0.4, "target": "(beta.x)^2/2 + beta.x", **SIZES}
PAPER = {"activation": "h + c h^2/2", "c": 0.4, "target": "(beta.x)^2/2", **SIZES}
TRAINED = {
    "activation": "c + h",
    "c": 0.3,
    "target": "(beta.x)^2/2",
    "readouts": "trained",
    **SIZES,
}
SIGMA = {**QUADRATIC, "inputs": "Sigma"}
RELU = {"activation": "relu(h)", "target": "(beta.x)^2 + beta.x", **SIZES}
RELU_TRAINED = {**RELU, "readouts": "trained"}
ERF = {"activation": "erf(h)", "target": "(beta.x)^2 + beta.x", **SIZES}
HIGH = {"activation": "h + h^7", "target": "x'Bx + beta.x", **SIZES}
ALL = [CUBIC, QUADRATIC, PAPER, TRAINED, SIGMA, RELU, RELU_TRAINED, ERF, HIGH]


@pytest.mark.parametrize("entries", ALL, ids=str)
def test_every_closed_form_is_checked_or_named(entries):
    """Named are those of the papers' model alone, and those that take long at a high degree."""
    setting = _setting(dict(entries), 0)
    done = attacks_on(setting)
    checked = {name for attack in done for name in attack.of}
    left = not_checked(setting, done)
    assert checked <= set(setting.problem.names())
    assert checked | set(left) == set(setting.problem.names())
    slow = {"loss-at-init", "lazy-learning-curve", "ntk-eigenvalues"}
    high = slow if entries is HIGH else set()
    assert set(left) <= {*instances.OF_NETWORK, *instances.OF_PAPER, *high}
    assert len({attack.name for attack in done}) == len(done)


def test_what_is_not_checked_stands_in_the_report():
    report = problem(PAPER)
    assert report.passed, str(report)
    assert "\nnot checked: " in str(report)
    assert "kernel-alignment" in report.not_checked
    assert "<h2>Not checked</h2>" in report.to_html()
    assert "not checked" not in str(problem(TRAINED))


def _larger(part, by):
    if isinstance(part, sp.Tuple | tuple):
        return type(part)(*(_larger(p, by) for p in part))
    return part * by


@pytest.mark.parametrize(
    ("name", "entries", "term", "by"),
    [
        ("neuron-flow", CUBIC, "w", "1001/1000"),
        ("neuron-flow", RELU_TRAINED, "v", 2),
        ("neuron-flow", ERF, "w", "1001/1000"),
        ("moment-flow", QUADRATIC, "M", "1001/1000"),
        ("moment-flow", TRAINED, "v_squared", 2),
        ("moment-flow-decay", QUADRATIC, "wbar", "1001/1000"),
        ("moment-step", SIGMA, "M", "1001/1000"),
        ("moment-step-decay", SIGMA, "M", "1001/1000"),
        ("moment-step-momentum", QUADRATIC, "C", "1001/1000"),
        ("network-function", QUADRATIC, None, "1001/1000"),
        ("test-loss", SIGMA, None, "1001/1000"),
        ("ntk-rank", CUBIC, "harmonics_3", 2),
        ("ntk-rank", QUADRATIC, None, 2),
        ("lazy-sample-size", QUADRATIC, None, 2),
        ("lazy-sample-size", TRAINED, "null", "1001/1000"),
        ("lazy-learning-curve", QUADRATIC, None, "1001/1000"),
        ("lazy-learning-curve", TRAINED, "samples", "1001/1000"),
        ("early-plateau", QUADRATIC, "many_samples", "105/100"),
        ("early-plateau", RELU, "few_samples", "105/100"),
        ("early-plateau", CUBIC, "train", "95/100"),
        ("early-plateau", CUBIC, "floor", "1001/1000"),
        ("loss-at-init", RELU, None, "1001/1000"),
        ("loss-at-init", RELU_TRAINED, None, "1001/1000"),
    ],
)
def test_a_fault_in_one_closed_form_is_noticed_by_its_own_check(
    name, entries, term, by, monkeypatch
):
    """In the value, or in one of its terms."""
    right, by = Problem._derive, sp.Rational(by)

    def faulty(self, wanted):
        form = right(self, wanted)
        if wanted != name:
            return form
        if term is None:
            return replace(form, expr=_larger(sp.sympify(form.expr), by))
        return replace(form, terms={**form.terms, term: _larger(form.terms[term], by)})

    def found():
        setting = _setting(dict(entries), 0)
        (attack,) = [one for one in attacks_on(setting) if name in one.of]
        return attack.run(setting)

    finding = found()
    assert finding.holds
    assert finding.control_rejected
    monkeypatch.setattr(Problem, "_derive", faulty)
    assert not found().holds


@pytest.mark.parametrize("target", ["(beta.x)^3", "(beta.x)^6 + beta.x", "(beta.x)^9"])
@pytest.mark.parametrize("name", ["loss-at-init", "floor", "target on the spectrum"])
def test_the_rule_on_circles_reaches_as_far_as_the_target_does(name, target):
    setting = _setting({"activation": "relu(h)", "target": target}, 0)
    (attack,) = [one for one in attacks_on(setting) if one.name == name]
    assert attack.run(setting).error < 1e-8


@pytest.mark.parametrize("slope", [1, 2, 3, 5, 8, 20, 40, 80])  # erf(80 h/40) bends within a circle
@pytest.mark.parametrize("target", ["beta.x", "(beta.x)^3"])
def test_the_rule_on_circles_has_the_waves_of_erf_at_every_slope(slope, target):
    setting = _setting({"activation": f"erf({slope} h/40)", "target": target}, 0)
    (attack,) = [one for one in attacks_on(setting) if one.name == "spectrum"]
    assert attack.run(setting).error < 1e-8


@pytest.mark.parametrize("entries", [CUBIC, RELU, ERF], ids=str)
def test_a_wrong_floor_is_noticed(entries, monkeypatch):
    assert own_functions.floor(_setting(dict(entries), 0)).holds

    def wrong(described, found, values):
        return 1.01 * floor.lazy_floor(described, found, values) + 0.01

    monkeypatch.setattr(own_functions, "lazy_floor", wrong)
    assert not own_functions.floor(_setting(dict(entries), 0)).holds


@pytest.mark.parametrize("name", ["learning-curve", "learning-curve: all learned"])
@pytest.mark.parametrize("entries", [TRAINED, QUADRATIC], ids=str)
def test_a_wrong_curve_is_noticed_below_and_above_the_number_of_functions(
    name, entries, monkeypatch
):
    def verdict():
        setting = _setting(dict(entries), 0)
        (attack,) = [one for one in attacks_on(setting) if one.name == name]
        return attack.run(setting).holds

    assert verdict()
    right = eigenspaces._mean_loss
    monkeypatch.setattr(eigenspaces, "_mean_loss", lambda *given: 1.15 * right(*given))
    assert not verdict()


def test_the_curve_is_tested_below_the_number_of_functions_that_are_resolved():
    """The file says P = 2; the check said that "P = 200: must be below 100"."""
    entries = {"activation": "erf(h/500)", "target": "(beta.x)^2", "D": 2, "P": 2, "N": 5}
    report = problem(entries)
    assert not report.not_judged
    assert "50 Gaussian samples at D = 100" in str(report)


def test_the_simulator_takes_a_step_that_is_stable_for_the_readouts_too():
    """phi^2 is 10^5 times the square of the output: training diverged."""
    report = problem(
        {
            "activation": "1e8 relu(-h)",
            "target": "1",
            "readouts": "trained",
            "sigma_w": 0.0069,
            "sigma_v": 0.0026,
        }
    )
    assert {check.name for check in report.not_judged} == set()
    assert report.passed
