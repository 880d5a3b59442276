"""Many runs at once are each run alone."""

import numpy as np
import pytest

from lazyrich import simulate
from lazyrich.simulate.many import joined, run_many

TASKS = [simulate.PolynomialTask(D=4, P=9 + seed, n_test=3, seed=seed) for seed in range(2)]
SETTINGS = [
    {"alpha": 0.5},
    {"alpha": 2.0, "decoupled_weight_decay": 0.1},
    {"engine": "linearised"},
    {"init": np.eye(4), "width": None},
]
FIXED = {"engine": "moments", "width": 6, "epsilon": 0.3, "learning_rate": 0.3, "steps": 20}


def test_each_run_is_what_train_gives():
    seen = []
    found = run_many(TASKS, SETTINGS, progress=lambda *at: seen.append(at), **FIXED)
    for task, runs in zip(TASKS, found, strict=True):
        for asked, run in zip(SETTINGS, runs, strict=True):
            alone = simulate.train(task, **FIXED | asked)
            assert run.config == alone.config
            np.testing.assert_allclose(run.history.train_loss, alone.history.train_loss, rtol=1e-11)
    assert seen[-1] == (8, 8)


def test_a_run_that_diverges_is_its_error_and_a_gap_in_the_dataset():
    found = run_many(TASKS[0], [{}, {"learning_rate": 1e4}], **FIXED)
    assert isinstance(found[0][1], simulate.DivergenceError)
    losses = joined(found, over=("seed", "rate")).train_loss
    assert losses.dims == ("seed", "rate", "step")
    assert np.isfinite(losses[0, 0]).all()
    assert np.isnan(losses[0, 1]).all()


def test_bad_input_is_refused_before_the_first_run():
    ran = []
    for bad, message in (({"alpah": 1.0}, "did you mean 'alpha'"), ({"alpha": 0.0}, "alpha = 0.0")):
        with pytest.raises(ValueError, match=message):
            run_many(TASKS, [{}, bad], progress=lambda *at: ran.append(at), **FIXED)
    assert not ran
