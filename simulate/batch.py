"""Many runs of the ``moments`` engine in one tensor program.

For small D a step costs less arithmetic than the calls that start it; a leading axis of runs shares
those. Runs may differ in everything but D, the steps at which they stop, centring, precision and
device: fewer samples are padded with rows of zeros, fewer pseudo-neurons with columns of zeros.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lazyrich.simulate.moments import Descent, snapshot
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.rule import NUMBERS
from lazyrich.simulate.run import Run
from lazyrich.simulate.stability import (
    CHECK_EVERY,
    Diverged,
    DivergenceError,
    has_diverged,
    within_range,
)
from lazyrich.simulate.train import Plan, Recording
from lazyrich.simulate.training import Training

# Bytes that the arrays of one batch may take.
MEMORY_BUDGET = 2**28
# Bytes that a step may go through: where they leave the caches, a run takes up to 1.4 times as long
# in a batch as alone.
STEP_BUDGET = 2**22
# More runs than this share no more: the calls are a few per cent of a step by then.
MOST_RUNS = 32

NETWORK = ("alpha", "epsilon")


def batch_size(P: int, D: int, width: int | float, n_test: int) -> int:
    """Return how many runs of this size to train together, from 1 to ``MOST_RUNS``.

    As many as fit into both budgets. A step goes through X, four arrays X V where centred (at
    the start, of the change, now, and products), and the pseudo-neurons V, their gradient and
    velocity.

    In memory, a run holds X, which is copied twice as runs are stacked; X_test; its real neurons W,
    where there are finitely many; four arrays X V; nine of the size of its pseudo-neurons: as
    given, padded, stacked, in motion, their gradient and velocity, and the two kept for going back;
    and four of the size of M: at the start, at the last two snapshots, and in making one. One run
    at a time takes, in addition: four arrays of the size of W to plan, which may not be given
    back; and five kernels (P, P), or three arrays of the size of X_test and 512 rows of a kernel,
    to measure.

    >>> batch_size(P=50, D=10, width=100, n_test=1000)
    32
    >>> batch_size(P=200, D=80, width=500, n_test=1000), batch_size(10**5, 200, float("inf"), 1)
    (5, 1)
    """
    K = min(width - 1, D) + 1
    W = int(width) * D if math.isfinite(width) else 0
    step = P * D + 4 * P * K + 3 * D * K
    one = 3 * P * D + n_test * D + W + 4 * P * K + 9 * D * K + 4 * D**2
    once = 4 * W + max(5 * P**2, 3 * n_test * D + 512 * max(P, n_test))
    fitting = min((MEMORY_BUDGET // 8 - once) // one, STEP_BUDGET // 8 // step)
    return int(max(1, min(MOST_RUNS, fitting)))


@within_range
def train_batch(plans: Sequence[Plan]) -> list[Run | DivergenceError]:
    """Train these runs of engine "moments" together; each gives its run or what ended it.

    They must share the stops, D, centring, precision and device; else ``ValueError``. The numbers
    are those of ``train`` up to rounding. Raises ``NumericalError`` where those of any run leave
    the range of floating point.
    """
    if len({shared(plan) for plan in plans}) != 1 or not plans[0].engine.batches:
        raise ValueError("plans: must be runs of engine 'moments' alike in what a batch shares")
    found: list[Run | DivergenceError | None] = [None] * len(plans)
    for lazy in {plan.training.lazy for plan in plans}:
        places = [i for i, plan in enumerate(plans) if plan.training.lazy == lazy]
        for i, one in zip(places, _train_alike([plans[i] for i in places]), strict=True):
            found[i] = one
    return [one for one in found if one is not None]


def _train_alike(plans: Sequence[Plan]) -> list[Run | DivergenceError]:
    """Train runs that share their coordinates too."""
    trainings = [plan.training for plan in plans]
    recordings = [Recording(plan) for plan in plans]
    starts, descent = _stacked(trainings)
    stops = set(trainings[0].stops)
    errors: dict[int, DivergenceError] = {}

    def end(i: int, step: int) -> None:
        errors[i] = recordings[i].divergence(step)
        descent.clear(i)

    for done, diverged in _stops(descent, trainings):
        for i, recording in enumerate(recordings):
            if i in errors:
                continue
            if i in diverged:
                end(i, diverged[i])
            elif done in stops:
                try:
                    recording.take(snapshot(done, descent, starts, trainings[i], i))
                except Diverged as event:
                    end(i, event.step)
    return [errors[i] if i in errors else r.finish() for i, r in enumerate(recordings)]


def shared(plan: Plan) -> tuple:
    """Return what the runs of one batch have in common."""
    training = plan.training
    X, centred = training.X, training.network.centred
    return (plan.engine.name, training.stops, training.task.D, centred, X.dtype, X.device)


def _stops(descent: Descent, trainings: list[Training]) -> Iterator[tuple[int, dict[int, int]]]:
    """Yield each step at which losses were looked at, and when runs that had diverged by it did."""
    samples = torch.tensor([training.X.shape[0] for training in trainings])
    scales = [training.loss_scale for training in trainings]

    def diverged() -> set[int]:
        losses = (descent.loss().cpu() / samples).tolist()
        seen = zip(losses, scales, strict=True)
        return {i for i, (loss, scale) in enumerate(seen) if has_diverged(loss, scale)}

    done = 0
    for stop in trainings[0].stops:
        first: dict[int, int] = {}
        while done < stop:
            count = min(CHECK_EVERY, stop - done)
            kept = descent.state()
            descent.step(count)
            found = diverged()
            first = {}
            if found:  # again, one by one: the same bits, and the first step of each
                descent.restore(kept)
                for step in range(done, done + count):
                    descent.step()  # the losses are those before it
                    first = dict.fromkeys(diverged() & found, step) | first
            done += count
            if done < stop and first:
                yield done, first
        yield done, first


def _stacked(trainings: list[Training]) -> tuple[PseudoNeurons, Descent]:
    """Return the initial pseudo-neurons and the descent of all runs, padded to common sizes."""
    X0 = trainings[0].X
    most = max(training.X.shape[0] for training in trainings)
    widest = max(training.start.columns.shape[-1] for training in trainings)
    starts = PseudoNeurons(
        torch.stack([_padded(p.start.columns, -1, widest) for p in trainings]),
        torch.stack([_padded(p.start.signs, -1, widest) for p in trainings]),
    ).to(dtype=X0.dtype, device=X0.device)
    networks, rules = [p.network for p in trainings], [p.rule for p in trainings]
    numbers = {name: _each([getattr(n, name) for n in networks], X0) for name in NETWORK}
    numbers |= {name: _each([getattr(rule, name) for rule in rules], X0) for name in NUMBERS}
    descent = Descent(
        starts,
        torch.stack([_padded(p.X, 0, most) for p in trainings]),
        torch.stack([_padded(p.y, 0, most) for p in trainings]),
        centred=networks[0].centred,
        lazy=trainings[0].lazy,
        samples=_each([p.X.shape[0] for p in trainings], X0),
        **numbers,
    )
    return starts, descent


def _each(values: list, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def _padded(array: Tensor, axis: int, length: int) -> Tensor:
    missing = list(array.shape)
    missing[axis] = length - missing[axis]
    return torch.cat([array, array.new_zeros(missing)], axis)
