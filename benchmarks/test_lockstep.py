"""What it would save to integrate many runs of ``flow`` in lockstep: why they are not batched."""

import math
from functools import cache
from itertools import product, zip_longest
from unittest.mock import patch

import pytest
import torch

from lazyrich import simulate
from lazyrich.simulate import rkc
from lazyrich.simulate.descent_gap import exponential
from lazyrich.simulate.gradient_flow import GradientFlow
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
        with patch.object(rkc, "advance", wraps=rkc.advance) as advance:
            train(D, *run)
        found.append([call.args[-1] for call in advance.call_args_list])
    return found


class Stack:
    """The arithmetic of ``GradientFlow`` for all runs at once."""

    def __init__(self, D):
        data, start = task(D, 0), PseudoNeurons.isotropic(D, 1.0)
        self.flow = GradientFlow(start, data.X, data.y, alpha=1.0, epsilon=0.25)
        self.twin = self.flow.in_float32()
        self.columns, self.target, self.scale = start.columns, data.y, -2.0 / len(data.y)
        H, residual = self.twin.point
        one = [start.columns.mT, data.X, start.signs[None] * 0.125, torch.tensor([[0.25]])]
        many = [x.expand(len(RUNS), *x.shape).contiguous() for x in (*one, H, residual[None])]
        V, X, quadratic, epsilon, *self.point = many
        self.V, self.full = V, (X, quadratic, epsilon.double())
        self.half = tuple(array.float() for array in self.full)

    def velocity(self, V):
        X, quadratic, epsilon = self.full
        H = V @ X.mT
        r = torch.matmul(quadratic, H.square()).add_(H[..., :1, :])
        r = r.sub_(self.target) * self.scale
        T = H * (r * epsilon)
        T[..., :1, :] += r
        return T @ X

    def tangent(self, U):
        (X, quadratic, epsilon), (H, residual) = self.half, self.point
        G = U @ X.mT
        change = torch.matmul(quadratic, G * H).mul_(2).add_(G[..., :1, :]) * self.scale
        T = H * (change * epsilon)
        T.addcmul_(G, residual * (epsilon * self.scale))
        T[..., :1, :] += change
        return T @ X


def replay(velocity, tangent, V, numbers):
    """Do the arithmetic of steps of so many stages, and of following descent along them."""
    slope, direction, h = velocity(V), V.float(), 1e-9  # the length changes nothing but numbers
    for number in numbers:
        rkc.advance(velocity, V, slope, h, number)
        exponential(tangent, direction, h, rkc.INTERVAL * number**2 / h)


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
                replay(one.flow.velocity, one.twin.tangent, one.columns, numbers)

    else:
        together = [max(numbers) for numbers in zip_longest(*own, fillvalue=0)]
        many, count = Stack(D), sum(together)
        U = many.columns.float()
        assert torch.allclose(many.velocity(many.V)[-1].mT, many.flow.velocity(many.columns))
        assert torch.allclose(many.tangent(many.V.float())[-1].mT, many.twin.tangent(U), rtol=1e-4)

        def work():
            replay(many.velocity, many.tangent, many.V, together)

    measure(group, what, work, calls=len(RUNS), rounds=1, notes={"stages": count})
