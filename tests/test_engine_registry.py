"""A new engine is one function and one line: by ``train``, in a sweep, from the command line."""

import math

import pytest

from lazyrich import simulate
from lazyrich.cli import main
from lazyrich.simulate.engines import ENGINES, Engine, register
from lazyrich.simulate.training import Snapshot

TASK = simulate.PolynomialTask(D=3, P=5, n_test=4, seed=0)
OPTIONS = {"alpha": 1.0, "epsilon": 0.5, "width": 4, "steps": 10}


def still(training):
    """Train nothing."""
    start = training.network.start
    alpha = training.network.alpha if training.network.centred else None
    for stop in training.stops:
        yield Snapshot.of(stop, start, start, alpha)
        training.report(stop)


@pytest.fixture(autouse=True)
def _toy():
    register(Engine("toy", still, momentum=False, dtypes=("float64",), devices=("cpu",)))
    yield ENGINES["toy"]
    del ENGINES["toy"]


def test_a_toy_engine_runs_by_train():
    run = simulate.train(TASK, engine="toy", **OPTIONS)
    assert run.config["engine"] == "toy"
    assert len(set(run.history.train_loss.values)) == 1
    assert run.outcome().phase == "not fitted"


def test_a_toy_engine_runs_in_a_sweep_and_is_counted(tmp_path):
    seen = []
    found = simulate.sweep(
        {"engine": ["toy", "moments"], "seed": [0, 1]},
        folder=tmp_path,
        jobs=1,
        progress=lambda done, total: seen.append((done, total)),
        D=3,
        P=5,
        n_test=4,
        **OPTIONS,
    )
    assert (found.status == "finished").all()
    assert (found.train_loss.sel(engine="toy").diff("step") == 0).all()
    assert math.isfinite(seen[-1][0])
    assert seen[-1][0] == pytest.approx(seen[-1][1])


def test_a_toy_engine_runs_from_the_command_line(capsys):
    asked = {"--D": "3", "--P": "5", "--steps": "10", "--width": "4", "--engine": "toy"}
    main(["simulate", *(text for pair in asked.items() for text in pair)])
    assert "phase: not fitted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"momentum": 0.5}, "momentum = 0.5: engine = 'toy' doesn't support it; use engine = "),
        (
            {"readouts": "gaussian"},
            "readouts = 'gaussian': .*; use engine = 'neurons'",
        ),
        ({"activation_degree": 3}, "activation_degree = 3: .*; use engine = 'neurons'"),
        ({"optimiser": print}, "optimiser = print: engine = 'toy' doesn't support it; use engine"),
        ({"descent_tolerance": 0.1}, "descent_tolerance = 0.1: .*; use engine = 'flow'"),
        ({"dtype": "float32"}, "dtype = 'float32': engine = 'toy' supports float64"),
        ({"device": "meta"}, "device = 'meta': engine = 'toy' supports cpu"),
    ],
)
def test_what_it_does_not_declare_is_refused_with_the_engines_that_do(given, message):
    with pytest.raises(ValueError, match=message):
        simulate.train(TASK, engine="toy", **OPTIONS | given)


def test_two_engines_of_one_name_are_refused():
    with pytest.raises(ValueError, match="name = 'flow': there is an engine of this name already"):
        register(Engine("flow", still))


def test_every_engine_says_what_it_costs():
    small, large = ({"D": 9, "P": 30, "width": 50, "steps": n} for n in (100, 1000))
    for engine in ENGINES.values():
        assert 0 < engine.cost(small) <= engine.cost(large) < math.inf
