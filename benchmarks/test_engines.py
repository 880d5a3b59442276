"""One step of gradient descent: ``moments`` against its matrix products, and against its opponents.

Everything trains the same network on the same data, D = 100 and P = 550 as in Figure 1, from the
same N neurons, without measuring anything; ``test_opponents_compute_the_same`` checks that. The
opponents:

- products: the two matrix products of a moments step, P x D by D x (D + 1) and D x P by
  P x (D + 1), into buffers made before, and nothing else;
- neurons: the engine of that name, autograd and ``torch.optim.SGD``, N neurons;
- autograd: the leanest loop on ``torch.autograd.grad``: no optimiser, no module, the update in
  place;
- by hand: the gradient written out, two matrix products of P, D and N, every buffer reused.

    pytest benchmarks/test_engines.py

prints the table; the last column of each group is what a step costs against ``products``.
"""

import inspect
import time

import pytest
import torch

from lazyrich import simulate
from lazyrich.simulate import neurons
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.train import plan

D, P, ALPHA, EPSILON, RATE = 100, 550, 1.0, 0.02, 1.0
DTYPES = {"float32": torch.float32, "float64": torch.float64}
WIDTHS = (500, 5000)
STEPS = 20  # in one timed call, so that the call itself costs nothing


def data(dtype):
    task = simulate.PolynomialTask(D, P, n_test=1, seed=0)
    return task, task.X.to(dtype), task.y.to(dtype)


def products(dtype):
    """The two matrix products alone. Returns the function that does them n times."""
    _, X, _ = data(dtype)
    V, XT = torch.randn(D, D + 1, dtype=dtype), X.mT
    H, gradient = X @ V, torch.empty_like(V)

    def step(count):
        for _ in range(count):
            torch.matmul(X, V, out=H)
            torch.matmul(XT, H, out=gradient)

    return step


def moments(dtype, N=500):
    """The engine itself, at its start."""
    _, X, y = data(dtype)
    start = PseudoNeurons.from_weights(standard_normal(0, "weights", (N, D)))
    start = start.to(dtype=dtype, device="cpu")
    numbers = {"alpha": ALPHA, "epsilon": EPSILON, "learning_rate": RATE}
    return Descent(start, X, y, centred=True, **numbers)


def neurons_engine(dtype, N):
    """The reference engine, whole: every call trains anew for STEPS steps."""
    task, _, _ = data(dtype)
    W = standard_normal(0, "weights", (N, D))
    defaults = {name: p.default for name, p in inspect.signature(simulate.train).parameters.items()}
    numbers = {"alpha": ALPHA, "epsilon": EPSILON, "learning_rate": RATE, "centred": True}
    numbers |= {"engine": "neurons", "init": W, "steps": STEPS, "record": [STEPS]}
    numbers |= {"task": task, "dtype": str(dtype).removeprefix("torch.")}
    problem = plan(**defaults | numbers).problem
    assert problem.loss_scale > 0  # computed once, here

    def step(count):
        assert count == STEPS
        (last,) = neurons.descend(problem)
        return last.wbar, last.M

    return step


def autograd(dtype, N):
    """A plain torch loop, as lean as autograd allows."""
    _, X, y = data(dtype)
    W = standard_normal(0, "weights", (N, D)).to(dtype).requires_grad_()

    def network():
        H = X @ W.T
        return ALPHA * (H + EPSILON / 2 * H.square()).mean(1)

    target = y + network().detach()

    def step(count):
        for _ in range(count):
            loss = (network() - target).square().mean()
            (gradient,) = torch.autograd.grad(loss, W)
            with torch.no_grad():
                W.sub_(gradient, alpha=RATE * N / ALPHA**2)
        with torch.no_grad():
            return W.mean(0), W.T @ W / N

    return step


def by_hand(dtype, N):
    """The gradient written out, in place, with every buffer reused."""
    _, X, y = data(dtype)
    W = standard_normal(0, "weights", (N, D)).to(dtype)
    ones = torch.full((N,), ALPHA / N, dtype=dtype)
    H, T = torch.empty(P, N, dtype=dtype), torch.empty(P, N, dtype=dtype)
    f = torch.empty(P, dtype=dtype)
    constant = -2 * RATE / (ALPHA * P)

    def evaluate():
        torch.matmul(X, W.T, out=H)
        torch.addcmul(H, H, H, value=EPSILON / 2, out=T)  # phi
        torch.mv(T, ones, out=f)

    evaluate()
    target = y + f

    def step(count):
        for _ in range(count):
            evaluate()
            f.sub_(target)
            H.mul_(EPSILON).add_(1).mul_(f[:, None])  # r phi'
            W.addmm_(H.T, X, alpha=constant)
        return W.mean(0), W.T @ W / N

    return step


OPPONENTS = {"neurons": neurons_engine, "autograd": autograd, "by hand": by_hand}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPPONENTS)
def test_opponents_compute_the_same(name, dtype):
    descent = moments(DTYPES[dtype])
    descent.step(STEPS)
    expected = descent.neurons.wbar, descent.neurons.M
    found = OPPONENTS[name](DTYPES[dtype], 500)(STEPS)
    # Stable descent: the roundings of 20 steps of sums of up to 550 terms, as they add up.
    unit = torch.finfo(DTYPES[dtype]).eps
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= 20 * P * unit * float(b.abs().max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_against_its_products(benchmark, dtype):
    """Aim: a step within 1.5 times its two products.

    Timed step by step in turns, so that both meet the same machine, and compared by the best of
    many turns, since whatever else runs only ever adds.
    """
    rivals = {"products": products(DTYPES[dtype]), "moments": moments(DTYPES[dtype]).step}
    best = dict.fromkeys(rivals, float("inf"))

    def turn():
        for name, step in rivals.items():
            start = time.perf_counter()
            step(1)
            best[name] = min(best[name], time.perf_counter() - start)

    benchmark.group = f"a step and its products in turns, {dtype}"
    benchmark.pedantic(turn, rounds=3000, warmup_rounds=50)
    benchmark.extra_info |= best
    ratio = best["moments"] / best["products"]
    benchmark.extra_info["ratio"] = ratio
    print(f"\nmoments/products, {dtype}: {ratio:.2f}")
    assert ratio < 1.5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["products", "moments"])
def test_without_neurons(benchmark, name, dtype):
    rivals = {"products": products(DTYPES[dtype]), "moments": moments(DTYPES[dtype]).step}
    benchmark.group = f"{STEPS} steps, {dtype}"
    benchmark(rivals[name], STEPS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N", WIDTHS)
@pytest.mark.parametrize("name", OPPONENTS)
def test_with_neurons(benchmark, name, N, dtype):
    step = OPPONENTS[name](DTYPES[dtype], N)
    benchmark.group = f"{STEPS} steps, {dtype}"
    benchmark.pedantic(step, args=(STEPS,), rounds=10, warmup_rounds=1)
