"""``lazyrich derive`` for the user's own network."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lazyrich.commands.derive import command

CUBIC = ["--activation", "h + c*h^3"]


def run(*arguments):
    result = CliRunner().invoke(command, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_without_a_name_it_lists_what_is_derived_and_what_is_not_and_why():
    listing = json.loads(run(*CUBIC, "--format", "json"))
    assert "ntk-eigenvalues" in listing["Derived for this problem"]
    assert "degree 3" in listing["Not available, and why"]["test-loss"]
    assert "test-loss" in run("--activation", "h + h^2")
    reason = listing["Not available, and why"]["network-function"]
    assert run(*CUBIC).count(reason) == 2  # once for all that it stops, once with what to use


def test_a_long_tuple_is_printed_part_by_part():
    printed = run("ntk-eigenvalues", "--activation", "1 + h + c h^2 + h^4")
    assert max(map(len, printed.split("Assumes:")[0].splitlines())) <= 108
    assert printed.count("harmonics_0") == 1


def test_values_of_a_users_problem():
    at = ["--at", "D=3", "--at", "c=1/2", "--at", "sigma=1", "--format", "json"]
    terms = json.loads(run("ntk-eigenvalues", *CUBIC, *at))["terms"]
    assert terms["harmonics_3"] == [1, 7]
    trained = json.loads(run("ntk-at-init", *CUBIC, "--readouts", "trained", "--format", "json"))
    assert "sigma_v" in trained["expr"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--activation", "tanh(h)"], "activation = tanh"),
        (["--activation", "h + c h^^3"], ">>>"),
        (["--target", "exp(beta.x)"], "target = exp.beta.x.: must be a polynomial"),
        (["--target", "|x|^3"], "of .x. only even powers"),
        (["--activation", "h + H_3(h)"], ">>>H_3<<<.h., character 5: not a known function"),
        (["--activation", "h^60"], "activation: degree 60 in h: must be at most 24"),
        (["--activation", "rellu(h)"], "did you mean 'relu'"),
        (["ntk-rank", "--activation", "relu(h)"], "not available for this problem: relu"),
        (["ntk-rnk", *CUBIC], "did you mean 'ntk-rank'"),
        (["--activation", "__import__('os')"], ">>>"),
        (["--expect", "x.x", "--cov", "x=2"], "^--cov x=2: must be a matrix"),
        (["--expect", "x.x", "--cov", "w=I"], "^--cov w: Allowed: x"),
        (["--expect", "x.x", "--over", "q"], "^--over q: Allowed: x"),
        (["--expect", "b.c"], "^--over is missing"),
        (["ntk-rank", *CUBIC, "--at", "q=1"], "^--at q: Allowed"),
        (["ntk-at-init", *CUBIC, "--at", "beta=[1,2]"], "^--at beta: Allowed"),  # not in it
        (["ntk-rnk"], "^NAME 'ntk-rnk'"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    with pytest.raises(ValueError, match=message.replace("(", "[(]")) as error:
        run(*arguments)
    assert "\n" not in str(error.value)


def test_no_torch_for_symbolic_questions():
    code = (
        "import sys; from lazyrich.theory import Problem; p = Problem('h + c h^3'); "
        "[p.closed_form(n) for n in p.names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
