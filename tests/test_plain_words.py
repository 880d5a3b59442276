"""What a message says is true and names what was typed; a function of the user ends nothing."""

import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.cli import main
from lazyrich.simulate.diagnosis.steps import Steps
from lazyrich.theory import Problem, Target
from lazyrich.theory.values import rational

SMALL = ["--D", "2", "--P", "3", "--steps", "3"]
TASK = simulate.PolynomialTask(D=3, P=6, n_test=4, seed=0)
TRAIN = {"alpha": 1.0, "epsilon": 0.5, "width": 4, "steps": 4}
NEURONS = TRAIN | {"engine": "neurons"}
X = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]
DATA = simulate.Data(X, X**2, X, X**2)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def said_by(capsys, *asked: str) -> str:
    """The line on stderr of a command that is refused."""
    with pytest.raises(SystemExit) as stopped:
        main(asked)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["simulate", *SMALL[:4], "--steps", "３"], "'--steps': '３' is not a valid integer"),
        (["simulate", *SMALL, "--alpha", "１.５"], "'--alpha': '１.５' is not a valid float"),
        (["simulate", *SMALL, "--width", "٣"], "--width ٣: must be a positive integer or inf"),
        (["predict", *SMALL[:4], "--target", "２*beta.x"], "character 1: expected a number"),
        (["predict", *SMALL[:4], "--target", "beta.x", "--constant", "c=１"], "must be a number"),
        (
            ["predict", "--data", "/dev/null", "--alpha", "1", "--epsilon", "1"],
            "null: no file,",
        ),
        (
            ["simulate", *SMALL, "--inputs", "[[1,2],[3]]"],
            "inputs = [[1.0, 2.0], [3.0]]: must",
        ),
    ],
)
def test_a_message_names_what_was_typed(asked, message, capsys):
    assert message in said_by(capsys, *asked)


@pytest.mark.parametrize("digits", ["３", "1/３", "1e３", "३"])
def test_digits_of_other_scripts_are_no_number_of_the_grammar(digits):
    with pytest.raises(ValueError, match="must be a number such as"):
        rational(digits)
    with pytest.raises(ValueError, match="character"):
        Target(f"{digits}*beta.x")
    assert rational("1/3") == rational("2/6")


def test_the_seeds_of_all_data_sets_are_within_the_range():
    last = 2**63 - 1
    options = {"alpha": 1.0, "epsilon": 0.5, "steps": 100}
    with pytest.raises(ValueError, match=f"^seed = {last}: must be at most {last - 2}, as 3 data"):
        simulate.forecast(D=2, P=4, seed=last, draws=3, **options)
    assert simulate.forecast(D=2, P=4, seed=last - 1, draws=2, **options).phase


def test_tiny_noise_is_not_said_to_be_none():
    task = simulate.PolynomialTask(D=2, P=3, noise=1e-200)
    assert task.formula().endswith("noise of deviation 1e-200")


def test_no_learning_rate_below_zero_is_advised():
    found = Steps("SGD", 1.0, 0.0, 1.0, 0.0)
    assert "below 0" not in found.sentence
    assert "No learning rate that floating point holds is stable" in found.sentence


def test_times_given_as_text_are_refused():
    for times in (["1", "2"], np.array(["1", "2"])):
        with pytest.raises(ValueError, match=r"times = .*must be a list of numbers"):
            simulate.lazy_curve(network(), DATA, times=times)
    assert len(simulate.lazy_curve(network(), DATA, times=[1, 2]).history.time) == 2


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_the_loss_of_infinite_weights_is_refused(bad, kind):
    problem = Problem("h + c*h^3", "beta.x", readouts="trained")
    numbers = {"beta": [1.0, 0.0], "c": 0.5}
    with pytest.raises(ValueError, match=r"^W has 1 NaN or infinite entries: must be finite"):
        problem.population_loss(W=kind([[1.0, bad]]), v=kind([1.0]), **numbers)
    with pytest.raises(ValueError, match=r"^v has 1 NaN or infinite entries: must be finite"):
        problem.population_loss(W=kind([[1.0, 0.0]]), v=kind([bad]), **numbers)


def ends(*_: object) -> float:
    sys.exit(3)


def unset(parameters):
    optimiser = torch.optim.SGD(parameters, lr=0.1)
    optimiser.__class__ = type("Mine", (torch.optim.SGD,), {"step": ends})
    return optimiser


def fit(**options):
    sgd = torch.optim.SGD
    return simulate.fit(network(), DATA, loss="mse", steps=4, optimiser=sgd, **options)


ENDING = {
    "schedule": lambda _: fit(schedule=ends),
    "progress": lambda _: fit(progress=ends),
    "progress of train": lambda _: simulate.train(TASK, **TRAIN, progress=ends),
    "progress of a sweep": lambda folder: simulate.sweep(
        {"seed": [0]}, folder=folder, jobs=1, D=3, P=6, **TRAIN, progress=ends
    ),
    "optimiser": lambda _: simulate.train(TASK, **NEURONS, optimiser=ends),
    "optimiser, its step": lambda _: simulate.train(TASK, **NEURONS, optimiser=unset),
}


@pytest.mark.parametrize("name", ENDING)
def test_no_function_of_the_user_ends_the_program(name, tmp_path):
    what = name.split(" of ")[0].split(",")[0]
    with pytest.raises(ValueError, match=rf"^{what} ends the program \(SystemExit: 3\)"):
        ENDING[name](tmp_path)


class Ending(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1).double()

    def forward(self, _):
        raise SystemExit(3)


def test_a_model_that_ends_the_program_is_told_once():
    with pytest.raises(ValueError, match="ends the program") as found:
        simulate.ntk(Ending(), X)
    assert str(found.value).count("the model") == 1
    assert "\n" not in str(found.value)
