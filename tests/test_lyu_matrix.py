"""The matrix model: flow against descent, invariants, the closed flow of W, both limits."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import sqrtm

from lazyrich import simulate
from lazyrich.simulate.lyu import StabilityWarning, factorisation

TASK = simulate.matrix_completion(d=6, observed=0.6, seed=1)


@pytest.mark.parametrize("alpha", [0.5, 3.0])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_the_flow_is_the_closed_flow_of_w(alpha, decay):
    """dW/dt = -2 (G S + S G) - 2 lambda W, S = (W^2 + 4 a^4)^(1/2), by SciPy at 1e-10."""
    times = np.array([1.0, 5.0, 20.0])
    i, j = TASK.rows.numpy(), TASK.columns.numpy()

    def velocity(t, flat):
        W = flat.reshape(6, 6)
        G = np.zeros((6, 6))
        G[i, j] = (W[i, j] - TASK.y.numpy()) / TASK.n
        G = G + G.T
        S = np.real(sqrtm(W @ W + 4 * (alpha * math.exp(-decay * t)) ** 4 * np.eye(6)))
        return (-2 * (G @ S + S @ G) - 2 * decay * W).ravel()

    wanted = solve_ivp(velocity, (0, 20.0), np.zeros(36), t_eval=times, rtol=1e-10, atol=1e-12)
    options = {"alpha": alpha, "weight_decay": decay, "time": 20.0, "record": times}
    run = simulate.MatrixFactorisation().train(TASK, rtol=1e-7, **options)
    found = run.history.W.values.reshape(3, 36)
    assert np.abs(found - wanted.y.T).max() < 1e-5 * np.abs(wanted.y).max()
    assert float(run.history.invariant_gap.max()) < 1e-5
    U, V = run.state["U"].numpy(), run.state["V"].numpy()
    W, a = U @ U.T - V @ V.T, alpha * math.exp(-decay * 20)
    assert np.allclose(np.real(sqrtm(W @ W + 4 * a**4 * np.eye(6))), U @ U.T + V @ V.T, rtol=1e-5)


def test_descent_approaches_the_flow_with_the_learning_rate():
    options = {"alpha": 2.0, "weight_decay": 0.02, "time": 12.8, "record": [12.8]}
    model = simulate.MatrixFactorisation()
    exact = model.train(TASK, rtol=1e-8, **options)
    gaps = []
    for rate in (0.1, 0.05):
        slow = model.train(TASK, engine="neurons", learning_rate=rate, **options)
        distance = float((slow.state["U"] - exact.state["U"]).norm())
        gaps.append((distance, float(slow.history.invariant_gap[-1])))
    for coarse, fine in zip(*gaps, strict=True):
        assert 1.8 < coarse / fine < 2.2


@pytest.mark.slow
def test_early_zero_fill_late_low_rank():
    """Unobserved entries are near 0 while a is large; X comes out in the end."""
    decay, alpha = 1e-3, 20.0
    run = simulate.MatrixFactorisation().train(
        TASK, alpha=alpha, weight_decay=decay, time=2.5 * math.log(alpha) / decay
    )
    early = run.history.sel(time=0.5 * math.log(alpha) / decay, method="nearest")
    assert float(early.train_loss) < 1e-6
    assert float(early.largest_unobserved) < 1e-2
    assert float(run.history.test_loss[-1]) < 1e-3 < 0.05 < float(early.test_loss)
    # The late certificate, |G|_op = lambda/2 and no more.
    assert float(run.history.gradient_norm[-1]) == pytest.approx(decay / 2, rel=0.02)


def test_the_stable_rate_is_that_of_the_linearised_step():
    torch.manual_seed(0)
    U, V = torch.randn(2, 6, 6, dtype=torch.float64)

    def entries(U, V):
        return (U @ U.T - V @ V.T)[TASK.rows, TASK.columns]

    parts = torch.autograd.functional.jacobian(entries, (U, V))
    J = torch.cat([part.reshape(TASK.n, -1) for part in parts], 1)
    top = 2 / TASK.n * float(torch.linalg.eigvalsh(J @ J.T)[-1])
    found = factorisation.stable_learning_rate(TASK, U, V, 0.1)
    assert found == pytest.approx(2 / (top + 0.1), rel=1e-9)


def test_too_large_a_rate_warns_and_diverges_in_one_line():
    with (
        pytest.warns(StabilityWarning, match="largest stable rate there is"),
        pytest.raises(simulate.DivergenceError, match="training diverged by step"),
    ):
        simulate.MatrixFactorisation().train(
            TASK, alpha=3.0, weight_decay=0.0, time=1e3, engine="neurons", learning_rate=10.0
        )


def test_a_run_is_written_whole_and_read_back(tmp_path):
    run = simulate.MatrixFactorisation().train(TASK, alpha=2.0, weight_decay=0.1, time=5.0)
    run.save(tmp_path / "run.nc")
    again = simulate.load(tmp_path / "run.nc")
    assert again.history.identical(run.history)
    assert torch.equal(again.state["V"], run.state["V"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "dual"}, "engine = 'dual': "),
        ({"alpha": -1}, "alpha = -1: must be a finite number above 0"),
        ({"learning_rate": 0.1}, "learning_rate = 0.1: is for engine 'neurons'"),
        ({"task": None}, "task = None: must be a CompletionTask"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    options = {"task": TASK, "alpha": 2.0, "weight_decay": 0.1, "time": 5.0, **arguments}
    with pytest.raises(ValueError) as error:
        simulate.MatrixFactorisation().train(**options)
    assert str(error.value).startswith(message)
