"""The engines agree: ``moments`` with ``neurons`` to rounding error, for every width and descent.

How close is rounding error? Both sides of every comparison run in float32 as well. Rounding errors,
however the dynamics amplify them, are proportional to the unit roundoff, which is 2^29 times larger
there; an error of the algebra isn't. So the disagreement in float64 may be at most 2^-29 of the sum
of what each side is off in float32, times a margin for luck: see ``assert_rounding``.
"""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.stability import stable_learning_rate

SEEDS = st.integers(0, 2**32 - 1)
EPSILONS = st.one_of(st.just(0.0), st.floats(-2, -1e-2), st.floats(1e-2, 2))
ALPHAS = st.tuples(st.sampled_from([-1, 1]), st.floats(-3, 3)).map(lambda a: a[0] * 10.0 ** a[1])
SIZES = st.integers(1, 6)
DECAYS = st.one_of(st.just(0.0), st.floats(1e-3, 1.0))
RATIO_OF_PRECISIONS = 2.0**-29

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


def assert_rounding(found, expected, roughs, scale):
    """Assert that ``found`` is ``expected`` up to the rounding of both, judged by float32.

    ``roughs`` are both in float32. Each side is off by 2^-29 of what it is off there, and by the
    triangle inequality both differ by the sum at most. The margin 64 covers a float32 run whose
    errors happened to cancel; ``scale`` covers the runs that made none, where all their numbers
    were exact: a hundred roundings of the largest number they held, on each side.
    """
    error = (found - expected).abs().max()
    rough_error = sum(float((rough - expected).abs().max()) for rough in roughs)
    allowed = RATIO_OF_PRECISIONS * 64 * max(rough_error, 2 * 100 * 2.0**-24 * scale)
    assert float(error) <= allowed, f"error {float(error):g}, allowed {allowed:g}"


def moments_of(state):
    return state if isinstance(state, tuple) else (state.mean(0), state.T @ state / state.shape[0])


def compare(exact, slow, roughs):
    """Compare the final (wbar, M) and every recorded loss of two runs, ``roughs`` in float32."""
    runs = (exact, slow, *roughs)
    size = max(float(run.history.weight_norm.max()) for run in runs[1:])
    states = [moments_of(run.state) for run in runs]
    for power in (1, 2):  # wbar, then M
        found, expected, *rounded = (state[power - 1] for state in states)
        assert_rounding(found, expected, rounded, size**power)
    for name in ("train_loss", "test_loss", "population_loss", "weight_norm"):
        found, expected, *rounded = (torch.tensor(run.history[name].values) for run in runs)
        scale = float(expected.abs().max()) + loss_scale(slow, size)
        assert_rounding(found, expected, rounded, scale)


def loss_scale(run, size):
    """The square of the largest number that f - y is made of."""
    a, e, D = run.config["alpha"], run.config["epsilon"], run.config["task"]["D"]
    reach = 4.0 * D**0.5  # |x| of a Gaussian input, at most
    return (abs(a) * (size * reach + abs(e) * (size * reach) ** 2) + D * reach**2) ** 2


def train_or_discard(task, **options):
    """Return the run, and the same in float32."""
    try:
        return tuple(
            simulate.train(task, alignment=None, dtype=dtype, **options)
            for dtype in ("float64", "float32")
        )
    except simulate.DivergenceError:
        assume(False)


@given(D=SIZES, P=SIZES, N=SIZES, seed=SEEDS, sigma=st.floats(0.1, 2), descent=DESCENTS)
def test_moments_follow_the_neurons_to_rounding_error(D, P, N, seed, sigma, descent):
    task = simulate.PolynomialTask(D, P, n_test=5, seed=seed)
    W = sigma * standard_normal(seed, "weights", (N, D))
    options = with_stable_rate(task, W.T @ W / N, descent) | {"init": W, "record": range(2)}
    options["record"] = [0, options["steps"] // 2, options["steps"]]
    exact, exact_rough = train_or_discard(task, engine="moments", **options)
    slow, slow_rough = train_or_discard(task, engine="neurons", **options)
    compare(exact, slow, (exact_rough, slow_rough))


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
    right |= {"weight_decay": 0.1, "decoupled_weight_decay": 0.01, "width": 4, "steps": 50}
    exact, exact_rough = train_or_discard(task, engine="moments", **right)
    slow, slow_rough = train_or_discard(task, engine="neurons", **right)
    roughs = (exact_rough, slow_rough)
    compare(exact, slow, roughs)
    off = simulate.train(task, engine="moments", **(right | wrong))
    with pytest.raises(AssertionError, match=r"error .*, allowed"):
        compare(off, slow, roughs)


def joint_recursion(task, wbar, M, options, dtype=torch.float64):
    """Return (wbar, M) and the largest number met, by the D x D affine map of z = (w, v).

    w is a neuron and v its velocity: z <- B z + h for all of them, so the joint moments obey
    mean <- B mean + h and second <- B second B^T + (B mean) h^T + h (B mean)^T + h h^T.
    """
    X, y, wbar, M = (array.to(dtype) for array in (task.X, task.y, wbar, M))
    D, P = task.D, task.P
    alpha, epsilon, rate = (options[name] for name in ("alpha", "epsilon", "learning_rate"))
    keep = 1 - rate * options["decoupled_weight_decay"]
    shrink = rate * options["weight_decay"] / alpha**2 * torch.eye(D, dtype=dtype)
    eye = torch.eye(D, dtype=dtype)
    mean = torch.cat([wbar, torch.zeros_like(wbar)])
    second = torch.zeros(2 * D, 2 * D, dtype=dtype)
    second[:D, :D] = M

    def f():
        quadratic = torch.einsum("pi,ij,pj->p", X, second[:D, :D], X)
        return alpha * X @ mean[:D] + alpha * epsilon / 2 * quadratic

    first, largest = f() if options["centred"] else 0.0, 0.0
    for _ in range(options["steps"]):
        r = 2 * rate / (alpha * P) * (f() - first - y)
        pull = epsilon * X.T @ torch.diag(r) @ X + shrink
        B = torch.cat(
            [
                torch.cat([keep * eye - pull, -options["momentum"] * eye], 1),
                torch.cat([pull, options["momentum"] * eye], 1),
            ]
        )
        h = torch.cat([-X.T @ r, X.T @ r])
        moved = B @ mean
        cross = torch.outer(moved, h)
        second = B @ second @ B.T + cross + cross.T + torch.outer(h, h)
        mean = moved + h
        largest = max(largest, float(second.abs().max()))
    return mean[:D], second[:D, :D], largest


@given(D=SIZES, P=SIZES, seed=SEEDS, descent=DESCENTS, size=st.floats(-2, 1))
def test_moments_without_neurons_follow_the_recursion_of_the_joint_moments(
    D, P, seed, descent, size
):
    task = simulate.PolynomialTask(D, P, n_test=5, seed=seed)
    draw = 10.0**size * standard_normal(seed, "weights", (D + 1, D))
    wbar, M = draw[0], draw[1:] + draw[1:].T  # indefinite, mostly
    options = with_stable_rate(task, M, descent)
    exact, exact_rough = train_or_discard(task, init=(wbar, M), record=[0], **options)
    *expected, largest = joint_recursion(task, wbar, M, options)
    *rough, rough_largest = joint_recursion(task, wbar, M, options, torch.float32)
    assume(math.isfinite(largest) and math.isfinite(rough_largest))
    largest = max(largest, float(M.abs().max()))
    for i, scale in enumerate((largest**0.5, largest)):  # wbar, then M
        assert_rounding(exact.state[i], expected[i], (exact_rough.state[i], rough[i]), scale)


@given(D=st.integers(1, 4), P=SIZES, seed=SEEDS, descent=DESCENTS)
def test_infinite_width_is_any_network_with_isotropic_second_moment(D, P, seed, descent):
    """2 D neurons +- sqrt(D) sigma e_i have wbar = 0 and M = sigma^2 I exactly, hence all else."""
    task = simulate.PolynomialTask(D, P, n_test=5, seed=seed)
    sigma = 0.75
    W = D**0.5 * sigma * torch.cat([torch.eye(D), -torch.eye(D)]).double()
    options = with_stable_rate(task, W.T @ W / (2 * D), descent)
    options["record"] = [0, options["steps"]]
    infinite, infinite_rough = train_or_discard(task, width=math.inf, sigma=sigma, **options)
    finite, finite_rough = train_or_discard(task, engine="neurons", init=W, **options)
    compare(infinite, finite, (infinite_rough, finite_rough))


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
        return simulate.train(task, engine=engine, dtype=dtype, seed=seed, **options).history

    assert history(3, 4).identical(history(3, 4))
    assert not history(3, 4).train_loss.equals(history(3, 5).train_loss)
    assert not history(3, 4).train_loss.equals(history(4, 4).train_loss)


@pytest.mark.parametrize("engine", ["moments", "neurons"])
def test_a_run_goes_on_from_the_state_of_another(engine):
    task = simulate.PolynomialTask(3, 5, n_test=5, seed=2)
    options = {"alpha": 1.0, "epsilon": 0.5, "engine": engine, "learning_rate": 0.2}
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
    here, there = (simulate.train(task, device=d, **options).history for d in ("cpu", "cuda"))
    # Stable descent: the 200 steps' roundings of sums of up to 30 terms add up at most.
    unit = torch.finfo(getattr(torch, dtype)).eps
    for name in here.data_vars:
        assert abs(there[name] - here[name]).max() <= 200 * 30 * unit * abs(here[name]).max()
