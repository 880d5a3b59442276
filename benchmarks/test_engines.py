"""A step of ``moments`` against its two matrix products, and against other ways of training."""

import time

import opponents
import pytest
import torch
from opponents import DTYPES, TRAINERS

# Steps in one timed call: the call itself costs nothing then.
STEPS = {500: 20, 5000: 4, 50_000: 1}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in TRAINERS if name != "moments"])
def test_opponents_compute_the_same(name, dtype):
    expected = opponents.moments(DTYPES[dtype], 500)(20)
    found = TRAINERS[name](DTYPES[dtype], 500)(20)
    # Stable descent: the roundings of 20 steps of sums of up to 550 terms, as they add up.
    unit = torch.finfo(DTYPES[dtype]).eps
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= 20 * opponents.P * unit * float(b.abs().max())


def in_turns(benchmark, rivals, rounds):
    """Time single steps in turns, so that all meet the same machine; the best of each counts."""
    best = dict.fromkeys(rivals, float("inf"))

    def turn():
        for name, step in rivals.items():
            start = time.perf_counter()
            step(1)
            best[name] = min(best[name], time.perf_counter() - start)

    benchmark.pedantic(turn, rounds=rounds, warmup_rounds=20)
    benchmark.extra_info["best"] = best


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_in_turns(benchmark, dtype):
    """A step of moments at N = 500, its two matrix products alone (K x D by D x P and K x P by
    P x D with K = D + 1, into buffers made before), and a step of gradient descent written out by
    hand in the same precision. Aim: the step by hand at least 4 times as long. Of the latter's
    arithmetic a moments step has the part (D + 1)/N, so that 4.95 is the most to expect."""
    step = opponents.moments(DTYPES[dtype], 500)
    rivals = {"moments": step, "its products": opponents.products(DTYPES[dtype], 500)}
    rivals["by hand"] = opponents.by_hand(DTYPES[dtype], 500)
    benchmark.group = f"One step at N = 500 in turns, {dtype}"
    benchmark.extra_info["about"] = test_moments_in_turns.__doc__
    in_turns(benchmark, rivals, rounds=500)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N", STEPS)
@pytest.mark.parametrize("name", ["moments", "by hand", "autograd", "neurons"])
def test_step(measure, name, N, dtype):
    """One step of gradient descent, D = 100, P = 550; all compute the same (tested). *By hand*:
    the gradient written out, two matrix products of N, D and P and three passes over N x P, every
    buffer reused. *Autograd*: torch.autograd.grad of the loss, no module and no optimiser, the
    update in place. *Neurons*: lazyrich's reference engine, torch.optim.SGD."""
    step = TRAINERS[name]
    count = STEPS[N]
    found = step(DTYPES[dtype], N, count) if name == "neurons" else step(DTYPES[dtype], N)
    group = f"One step at N = {N:,}, {dtype}"
    measure(group, name, lambda: found(count), calls=count, rounds=10 if N == 500 else 4)
