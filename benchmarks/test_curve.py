"""The curve of Figure 1, 100,000 epochs, by ``flow`` and by gradient descent."""

from functools import cache

import opponents
import pytest
from opponents import DTYPES, NUMBERS, TRAINERS

from lazyrich import simulate

EPOCHS = 100_000
LOSSES = ("train_loss", "population_loss")
# Steps of gradient descent that are timed; the rest takes as long each (the arithmetic is the
# same at every step).
TIMED = {500: 500, 5000: 40, 50_000: 4}


def flow(N, steps=EPOCHS, **options):
    task = opponents.task(n_test=1000)
    return lambda: simulate.train(task, engine="flow", width=N, steps=steps, **NUMBERS, **options)


@cache
def reference(N):
    return flow(N, alignment=None, rtol=1e-7)().history


@pytest.mark.parametrize("N", TIMED)
@pytest.mark.parametrize(
    "name",
    [
        "flow, float32",
        "flow",
        "flow, rtol = 1e-3, float32",
        "flow, rtol = 1e-3",
        "flow, alignment too",
        "by hand",
        "recording",
    ],
)
def test_figure_1(measure, name, N):
    """100,000 epochs, D = 100, P = 550. *Flow*: simulate.train in float32 or float64 at the default
    rtol = 1e-4, which promises losses within 1e-3, or at 1e-3; whole, with the initial weights,
    losses on 1,000 test samples, population loss and the estimated distance from gradient descent
    at 91 steps; *error*: the largest of train and population loss there, relative to rtol = 1e-7;
    *alignment too*: and the kernel's alignment on the test samples there. *By hand*: the leanest
    gradient descent, float32, nothing recorded: 500 steps at N = 500 (40 and 4 at the larger N) are
    timed and multiplied. *Recording*: the plain torch loop, float32, that keeps train and test
    losses every epoch and the (P, P) NTK every hundred, timed likewise (at least 100 steps; not at
    N = 50,000)."""
    group = f"The curve of Figure 1, N = {N:,}"
    if name.startswith("flow"):
        alignment = "test" if "alignment" in name else None
        notes = {}
        dtype = "float32" if "float32" in name else "float64"
        rtol = 1e-3 if "rtol" in name else 1e-4
        work = flow(N, alignment=alignment, dtype=dtype, rtol=rtol)
        found = measure(group, name, work, rounds=2, notes=notes).history
        notes["evaluations"] = int(found.evaluations[-1])
        errors = [float(abs(found[k] / reference(N)[k] - 1).max()) for k in LOSSES]
        notes["error"] = f"{max(errors):.1g}"
        return
    step, count = TRAINERS[name](DTYPES["float32"], N), TIMED[N]
    if name == "recording":  # the NTK at steps 0, 100, ...: whole hundreds, or its share is wrong
        if N == 50_000:
            pytest.skip("a hundred steps take minutes")
        count = max(count, 100)
    measure(group, name, lambda: step(count), calls=count, times=EPOCHS, rounds=2)


@pytest.mark.parametrize("steps", [1000, 10_000, 100_000, 1_000_000])
def test_steps(measure, steps):
    """Flow on the task of Figure 1, N = 500, losses recorded, against the number of epochs; the
    number of evaluations of the right-hand side grows far slower."""
    notes = {}
    run = flow(500, steps, alignment=None)
    found = measure(
        "Flow against epochs", f"{steps:,} epochs", run, at=steps, rounds=1, notes=notes
    )
    notes["evaluations"] = int(found.history.evaluations[-1])
