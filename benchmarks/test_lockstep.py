"""What it would save to integrate many runs of ``flow`` in lockstep: why they are not batched."""

import math
from functools import cache
from itertools import product, zip_longest
from unittest.mock import patch

import pytest
import torch

from lazyrich import simulate
from lazyrich.simulate import rkc, rkc_method
from lazyrich.simulate.descent_gap import exponential
from lazyrich.simulate.gradient_flow import GradientFlow, Nearby
from lazyrich.simulate.pseudo_neurons import PseudoNeurons

RUNS = list(product([0.25, 0.5, 1.0, 2.0], [0.1, 0.3, 0.6, 1.0], [0, 1]))  # alpha, epsilon, seed
OPTIONS = {"learning_rate": 0.5, "steps": 50_000, "width": math.inf, "alignment": None}


def task(D, seed):
    return simulate.PolynomialTask(D, 5 * D, n_test=10, seed=seed)


def train(D, alpha, epsilon, seed):
    return simulate.train(task(D, seed), alpha=alpha, epsilon=epsilon, engine="flow", **OPTIONS)


@cache
def stages(D):
    """Return the number of stages of every step, for each of the runs."""
    found = []
    for run in RUNS:
        with patch.object(rkc, "advance_by_changes", wraps=rkc.advance_by_changes) as advance:
            train(D, *run)
        found.append([call.args[-1] for call in advance.call_args_list])
    return found


class Stack:
    """The arithmetic of ``Nearby`` for all runs at once."""

    def __init__(self, D):
        data, start = task(D, 0), PseudoNeurons.isotropic(D, 1.0)
        self.flow = GradientFlow(start, data.X, data.y, alpha=1.0, epsilon=0.25)
        self.twin = Nearby(self.flow, torch.float32)
        self.columns, self.scale = start.columns, -2.0 / len(data.y)
        H, residual = self.flow.point
        one = [start.columns.mT, data.X, start.signs[None] * 0.125, torch.tensor([[0.25]])]
        many = [
            x.float().expand(len(RUNS), *x.shape).contiguous() for x in (*one, H, residual[None])
        ]
        self.V, self.X, self.quadratic, self.epsilon, *self.point = many

    def image(self, U, size):
        (H, residual), epsilon = self.point, self.epsilon
        G = U @ self.X.mT
        change = torch.matmul(self.quadratic, (2 * H + size * G) * G)
        change = change.add_(G[..., :1, :]) * self.scale
        T = H * (change * epsilon)
        T.addcmul_(G, (residual * self.scale + size * change) * epsilon)
        T[..., :1, :] += change
        return T @ self.X

    def change(self, U):
        return self.image(U, 1)

    def tangent(self, U):
        return self.image(U, 0)


def replay(change, tangent, V, numbers):
    """Do the arithmetic of steps of so many stages, and of following descent along them."""
    slope, direction, h = change(V), V, 1e-9  # the length changes nothing but numbers
    for number in numbers:
        rkc.advance_by_changes(change, V, slope, h, number)
        exponential(tangent, direction, h, rkc_method.INTERVAL * number**2 / h)


@pytest.mark.parametrize("D", [10, 40])
@pytest.mark.parametrize("what", ["whole runs", "their steps", "their steps, in lockstep"])
def test_lockstep(measure, D, what):
    """32 runs of flow, P = 5 D, 50,000 epochs recorded at 85 steps, over 4 alpha, 4 epsilon and 2
    seeds. Time per run. *Whole runs* of simulate.train, one by one; *their steps* alone: the
    arithmetic of their stages and of following descent; *in lockstep*: the same for all runs at
    once, every step having as many stages as the run that needs most. *Stages*: those per run. The
    difference of the last two is what lockstep saves of a whole run, where it saves."""
    group, own = f"Flow in lockstep, D = {D}", stages(D)
    count = round(sum(map(sum, own)) / len(RUNS))
    if what == "whole runs":

        def work():
            for run in RUNS:
                train(D, *run)

    elif what == "their steps":
        one = Stack(D)

        def work():
            for numbers in own:
                replay(one.twin.change, one.twin.tangent, one.columns.float(), numbers)

    else:
        together = [max(numbers) for numbers in zip_longest(*own, fillvalue=0)]
        many, count = Stack(D), sum(together)
        U = many.columns.float()
        assert torch.allclose(many.change(many.V)[-1].mT, many.twin.change(U), rtol=1e-4)
        assert torch.allclose(many.tangent(many.V)[-1].mT, many.twin.tangent(U), rtol=1e-4)

        def work():
            replay(many.change, many.tangent, many.V, together)

    measure(group, what, work, calls=len(RUNS), rounds=1, notes={"stages": count})
