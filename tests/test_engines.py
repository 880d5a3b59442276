"""The engines agree: ``moments`` with ``neurons`` to rounding error, for every width and descent.

How close is rounding error? As close as the roundings of every step of both sides, carried to the
end by the derivatives of the steps between, can take them: see ``rounding``. No margin is chosen.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.stability import stable_learning_rate
from lazyrich.verify.tolerances import rounding

from .rounding import Columns, JointMoments, apart, outputs

SEEDS = st.integers(0, 2**32 - 1)
EPSILONS = st.one_of(st.just(0.0), st.floats(-2, -1e-2), st.floats(1e-2, 2))
ALPHAS = st.tuples(st.sampled_from([-1, 1]), st.floats(-3, 3)).map(lambda a: a[0] * 10.0 ** a[1])
SIZES = st.integers(1, 6)
DECAYS = st.one_of(st.just(0.0), st.floats(1e-3, 1.0))

DESCENTS = st.fixed_dictionaries(
    {
        "alpha": ALPHAS,
        "epsilon": EPSILONS,
        "centred": st.booleans(),
        "momentum": st.sampled_from([0.0, 0.5, 0.9]),
        "weight_decay": DECAYS,
        "decoupled_weight_decay": DECAYS,
        "steps": st.integers(1, 100),
        "learning_rate": st.floats(0.01, 0.5),  # as a fraction of a stable one
    }
)


def with_stable_rate(task, M, descent):
    """Turn the rate from a fraction into a number, stable at M and at M + beta beta^T/|a e|."""
    descent = dict(descent)
    options = ("alpha", "epsilon", "momentum", "weight_decay", "decoupled_weight_decay")
    curvature = {name: descent[name] for name in options}
    strength = abs(descent["alpha"] * descent["epsilon"])
    learnt = torch.outer(task.beta, task.beta) / strength if strength else torch.zeros_like(M)
    size = torch.linalg.matrix_norm(M, 2) * torch.eye(task.D) + learnt
    rate = stable_learning_rate(task.X, torch.zeros_like(task.beta), size, **curvature)
    rate = min(rate, 1.0)  # where K = 0 and there is no decay, any rate is stable
    assume(rate > 0)
    return descent | {"learning_rate": descent["learning_rate"] * rate}


def assert_within(what, found, expected, allowed):
    """Assert that two arrays differ by at most ``allowed``, entry by entry."""
    error = (found - expected).abs()
    share = float(torch.where(error > 0, error / allowed, 0.0).max())
    assert share <= 1, f"{what}: error {float(error.max()):g}, {share:.2g} of what is allowed"


def total(*sides):
    """Return how far wbar and M may be apart, for two sides or more."""
    return sum(side.wbar_off for side in sides), sum(side.M_off for side in sides)


def compare(exact, slow, real, pseudo, dtype):
    """Compare the ends of "moments" and "neurons", given both starts: (wbar, M), Tr M, losses."""
    task, options, start = real.task, real.options, real.start(dtype)
    joint = JointMoments(task, options, start.wbar, start.M)
    starts = pseudo.start_moments(), real.start_moments()
    offs = total(real.moments(dtype), pseudo.moments(dtype), joint.carried(joint.course(), *starts))
    (found_wbar, found_M), (wbar, M) = exact.state, (slow.state.mean(0), second_moment(slow.state))
    assert_within("wbar", found_wbar, wbar, offs[0])
    assert_within("M", found_M, M, offs[1])
    found, expected = (run.history.weight_norm[-1].item() ** 2 for run in (exact, slow))  # Tr M
    allowed = float(offs[1].trace() + rounding(real.V.numel() + 10) * M.trace())
    assert abs(found - expected) <= allowed, f"weight norm: error {found - expected:g}"
    sizes = wbar.abs(), M.abs()
    if options["centred"]:  # then f is that of the differences from the start
        at_start = total(start, pseudo.start(dtype)), apart(*starts)
        offs = [sum(x) for x in zip(offs, *at_start, strict=True)]
        sizes = sizes[0] + start.wbar.abs(), sizes[1] + start.M.abs()
    for name, X, y in (("train", task.X, task.y), ("test", task.X_test, task.y_test)):
        found, expected = (float(run.history[f"{name}_loss"][-1]) for run in (exact, slow))
        allowed = loss_off(X, y, sizes, offs, expected, options)
        share = abs(found - expected) / allowed
        assert share <= 1, f"{name} loss: error {found - expected:g}, {share:.2g} of allowed"


def second_moment(W):
    return W.T @ W / len(W)


def loss_off(X, y, sizes, offs, loss, options):
    """Return how far the mean of (f - y)^2 may be off, (wbar, M) being of these sizes and offs."""
    numbers = abs(options["alpha"]), abs(options["epsilon"])
    off, terms = (outputs(X.abs(), *moments, *numbers) for moments in (offs, sizes))
    off += rounding(2 * X.shape[1] + 10) * (terms + y.abs())
    r = (loss * len(X)) ** 0.5  # |f - y|
    moved = (2 * r * float(off.norm()) + float(off.square().sum())) / len(X)
    return moved + rounding(len(X) + 3) * loss


def train_or_discard(task, **options):
    """Return the run, unless it diverges."""
    try:
        return simulate.train(task, alignment=None, **options)
    except simulate.DivergenceError:
        assume(False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(D=SIZES, P=SIZES, N=SIZES, seed=SEEDS, sigma=st.floats(0.1, 2), descent=DESCENTS)
def test_moments_follow_the_neurons_to_rounding_error(D, P, N, seed, sigma, descent, dtype):
    task = simulate.PolynomialTask(D, P, n_test=5, seed=seed)
    W = sigma * standard_normal(seed, "weights", (N, D))
    options = with_stable_rate(task, second_moment(W), descent)
    both = options | {"init": W, "dtype": dtype, "record": [0, options["steps"]]}
    exact, slow = (train_or_discard(task, engine=e, **both) for e in ("moments", "neurons"))
    pseudo = Columns.of_pseudo_neurons(task, options, PseudoNeurons.from_weights(W))
    compare(exact, slow, Columns.of_neurons(task, options, W), pseudo, dtype)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.1 * (1 + 1e-6)},
        {"epsilon": 0.5 + 1e-6},
        {"momentum": 0.5 + 1e-6},
        {"weight_decay": 0.1 + 1e-6},
        {"decoupled_weight_decay": 0.01 + 1e-6},
        {"centred": False},
    ],
)
def test_the_comparison_rejects_a_descent_that_is_off_by_a_millionth(wrong):
    task = simulate.PolynomialTask(3, 5, n_test=5, seed=1)
    right = {"learning_rate": 0.1, "epsilon": 0.5, "alpha": 2.0, "momentum": 0.5, "centred": True}
    right |= {"weight_decay": 0.1, "decoupled_weight_decay": 0.01, "steps": 50}
    W = standard_normal(1, "weights", (4, 3))
    pseudo = Columns.of_pseudo_neurons(task, right, PseudoNeurons.from_weights(W))
    sides = Columns.of_neurons(task, right, W), pseudo, "float64"
    slow = simulate.train(task, engine="neurons", init=W, **right)
    compare(simulate.train(task, engine="moments", init=W, **right), slow, *sides)
    off = simulate.train(task, engine="moments", init=W, **(right | wrong))
    with pytest.raises(AssertionError, match=r"error .*, .* of what is allowed"):
        compare(off, slow, *sides)


@given(D=SIZES, P=SIZES, seed=SEEDS, descent=DESCENTS, size=st.floats(-2, 1))
def test_moments_without_neurons_follow_the_recursion_of_the_joint_moments(
    D, P, seed, descent, size
):
    task = simulate.PolynomialTask(D, P, n_test=5, seed=seed)
    draw = 10.0**size * standard_normal(seed, "weights", (D + 1, D))
    wbar, M = draw[0], draw[1:] + draw[1:].T  # indefinite, mostly
    options = with_stable_rate(task, M, descent)
    exact = train_or_discard(task, engine="moments", init=(wbar, M), record=[0], **options)
    pseudo = Columns.of_pseudo_neurons(task, options, PseudoNeurons.from_moments(wbar, M))
    joint = JointMoments(task, options, wbar, M)
    found = joint.course()
    given_start = tuple(x.numpy().astype(np.longdouble) for x in (wbar, M))
    expected = joint.moments(found)
    moved = joint.carried(found, pseudo.start_moments(), given_start)
    offs = total(expected, pseudo.moments("float64"), moved)
    assert_within("wbar", exact.state[0], expected.wbar, offs[0])
    assert_within("M", exact.state[1], expected.M, offs[1])


@given(D=st.integers(1, 4), P=SIZES, seed=SEEDS, descent=DESCENTS)
def test_infinite_width_is_any_network_with_isotropic_second_moment(D, P, seed, descent):
    """2 D neurons +- sqrt(D) sigma e_i have wbar = 0 and M = sigma^2 I, and so all else."""
    task = simulate.PolynomialTask(D, P, n_test=5, seed=seed)
    sigma = 0.75
    W = D**0.5 * sigma * torch.cat([torch.eye(D), -torch.eye(D)]).double()
    options = with_stable_rate(task, second_moment(W), descent)
    both = options | {"record": [0, options["steps"]]}
    infinite = train_or_discard(task, engine="moments", width=math.inf, sigma=sigma, **both)
    finite = train_or_discard(task, engine="neurons", init=W, **both)
    pseudo = Columns.of_pseudo_neurons(task, options, PseudoNeurons.isotropic(D, sigma))
    compare(infinite, finite, Columns.of_neurons(task, options, W), pseudo, "float64")


def test_a_batch_of_runs_is_the_same_as_one_by_one():
    """Own data, own P and own numbers for each run, padded with rows and columns of zeros."""
    rows, runs = 7, []
    for seed, (P, N, alpha, epsilon, rate) in enumerate(
        [(7, 2, 1.0, 0.5, 0.1), (4, 9, -3.0, 0.0, 0.2), (5, 3, 0.5, -0.7, 0.05)]
    ):
        task = simulate.PolynomialTask(3, P, seed=seed)
        start = PseudoNeurons.from_weights(standard_normal(seed, "weights", (N, 3)))
        runs.append((task, start, {"alpha": alpha, "epsilon": epsilon, "learning_rate": rate}))

    def padded(tensor, length, axis):
        missing = length - tensor.shape[axis]
        shape = [*tensor.shape[:axis], missing, *tensor.shape[axis + 1 :]]
        return torch.cat([tensor, torch.zeros(shape, dtype=tensor.dtype)], axis)

    options = {"momentum": 0.5, "weight_decay": 0.1, "decoupled_weight_decay": 0.2, "centred": True}
    together = Descent(
        PseudoNeurons(
            torch.stack([padded(start.columns, 4, 1) for _, start, _ in runs]),
            torch.stack([padded(start.signs, 4, 0) for _, start, _ in runs]),
        ),
        torch.stack([padded(task.X, rows, 0) for task, _, _ in runs]),
        torch.stack([padded(task.y, rows, 0) for task, _, _ in runs]),
        samples=torch.tensor([task.P for task, _, _ in runs]),
        **{
            key: torch.tensor([numbers[key] for _, _, numbers in runs], dtype=torch.float64)
            for key in runs[0][2]
        },
        **options,
    )
    together.step(10)
    for index, (task, start, numbers) in enumerate(runs):
        alone = Descent(start, task.X, task.y, **numbers, **options)
        alone.step(10)
        # Ten stable steps of sums of at most 8 terms: some hundred roundings, not amplified.
        assert torch.allclose(together.neurons.M[index], alone.neurons.M, rtol=0, atol=1e-13)
        assert torch.allclose(together.loss()[index], alone.loss(), rtol=1e-12)


@pytest.mark.parametrize("engine", ["moments", "neurons", "linearised"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(engine, dtype):
    def history(task_seed, seed):
        task = simulate.PolynomialTask(6, 12, n_test=20, seed=task_seed)
        options = {"alpha": 1.5, "epsilon": 0.5, "width": 5, "steps": 30, "learning_rate": 0.5}
        options["centred"] = False
        return simulate.train(task, engine=engine, dtype=dtype, seed=seed, **options).history

    assert history(3, 4).identical(history(3, 4))
    assert not history(3, 4).train_loss.equals(history(3, 5).train_loss)
    assert not history(3, 4).train_loss.equals(history(4, 4).train_loss)


@pytest.mark.parametrize("engine", ["moments", "neurons"])
def test_a_run_goes_on_from_the_state_of_another(engine):
    task = simulate.PolynomialTask(3, 5, n_test=5, seed=2)
    options = {"alpha": 1.0, "epsilon": 0.5, "engine": engine, "learning_rate": 0.2}
    options["centred"] = False
    whole = simulate.train(task, width=4, steps=40, **options)
    half = simulate.train(task, width=4, steps=20, **options)
    rest = simulate.train(task, init=half.state, steps=20, **options)
    # Descent at a stable rate; factoring M anew costs some units of rounding.
    assert rest.history.test_loss[-1] == pytest.approx(
        float(whole.history.test_loss[-1]), rel=1e-11
    )


def test_other_optimisers_train_the_neurons_and_leave_no_time_tau():
    task = simulate.PolynomialTask(3, 5, n_test=5, seed=2)
    run = simulate.train(
        task,
        alpha=1.0,
        epsilon=0.5,
        width=4,
        engine="neurons",
        centred=False,
        steps=200,
        optimiser=lambda parameters: torch.optim.Adam(parameters, lr=0.05),
    )
    assert run.history.train_loss[-1] < 0.1 * run.history.train_loss[0]
    assert "tau" not in run.history.coords
    assert "Adam" in str(run.config["optimiser"]) or "lambda" in run.config["optimiser"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gpu_gives_what_the_cpu_gives(dtype):
    task = simulate.PolynomialTask(10, 30, n_test=50, seed=0)
    options = {"alpha": 2.0, "epsilon": 0.3, "width": 20, "steps": 200, "momentum": 0.5}
    options |= {"learning_rate": 0.5, "centred": True, "weight_decay": 0.01, "dtype": dtype}
    options["engine"] = "moments"
    here, there = (simulate.train(task, device=d, **options).history for d in ("cpu", "cuda"))
    # Stable descent: the 200 steps' roundings of sums of up to 30 terms add up at most.
    unit = torch.finfo(getattr(torch, dtype)).eps
    for name in here.data_vars:
        assert abs(there[name] - here[name]).max() <= 200 * 30 * unit * abs(here[name]).max()
