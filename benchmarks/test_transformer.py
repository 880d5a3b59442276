"""What a step of the transformer of modular addition costs next to its arithmetic."""

import pytest
import torch

from lazyrich.simulate import Scaled, fit, linearise
from lazyrich.simulate.modules.transformer import (
    ModularTransformer,
    cross_entropy,
    modular_addition_tokens,
)

STEPS = 10


def optimiser(weights):
    return torch.optim.AdamW(weights, lr=1e-3, fused=True)


@pytest.mark.parametrize("name", ["network", "centred predictor", "its linearised twin"])
def test_step(measure, name):
    """A step at p = 113, d_model 128, 5,107 pairs, float32, as `fit` makes it, with what it does
    once (checks, two records) shared out over 10. *Network*: f(x; w) alone, without f(x; w0), by
    hand: the arithmetic that each step needs."""
    data = modular_addition_tokens(113, 0.4, seed=0)
    network = ModularTransformer(113, d_model=128, d_mlp=512)

    def by_hand():
        made = optimiser(network.parameters())
        for _ in range(STEPS):
            made.zero_grad()
            cross_entropy(network(data.X), data.y).backward()
            made.step()

    def fitted():
        model = Scaled(network, 0.5)
        model = linearise(model) if "twin" in name else model
        given = {"loss": cross_entropy, "optimiser": optimiser, "record": [0, STEPS]}
        fit(model, data, steps=STEPS, **given)

    work = by_hand if name == "network" else fitted
    measure("A step of the transformer", name, work, calls=STEPS, rounds=2)
