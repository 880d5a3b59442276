"""Networks for the tests of simulate.modules: the polynomial one as a module, and small others."""

import torch
from hypothesis import strategies as st
from torch import nn

from lazyrich.simulate import neurons
from lazyrich.simulate.arrays import generator, standard_normal
from lazyrich.simulate.modules.mlp import Square, mlp

SEEDS = st.integers(0, 2**32 - 1)
ALPHAS = st.tuples(st.sampled_from([1, -1]), st.floats(-3, 3)).map(lambda p: p[0] * 10.0 ** p[1])
EPSILONS = st.one_of(st.just(0.0), st.floats(-2, -1e-2), st.floats(1e-2, 2))
UNIT = 2.0**-52


class Polynomial(nn.Module):
    """(1/N) sum_i phi(w_i.x), the paper's network at alpha = 1, one row of weights a neuron."""

    def __init__(self, W, epsilon):
        super().__init__()
        self.W, self.epsilon = nn.Parameter(W.clone()), epsilon

    def forward(self, x):
        return neurons.network(x, self.W, alpha=1.0, epsilon=self.epsilon)


class Tied(nn.Module):
    """Two layers that share their weights: one parameter under two names."""

    def __init__(self, width, seed):
        super().__init__()
        first = mlp((width, width), bias=False, seed=seed)[0]
        second = mlp((width, width), bias=False, seed=seed)[0]
        second.weight = first.weight
        self.layers = nn.Sequential(first, nn.Tanh(), second)

    def forward(self, x):
        return self.layers(x)


@st.composite
def networks(draw, inputs=3):
    """A function that makes a small network with outputs (n,), (n, C) or (n, 2, C), and inputs.

    (Made in the test, since checks of types use random numbers, which a strategy must not.)
    """
    C, shape = draw(st.integers(1, 3)), draw(st.sampled_from(["scalar", "vector", "matrix"]))
    hidden = draw(st.lists(st.integers(1, 4), min_size=0, max_size=2))
    outputs = {"scalar": 1, "vector": C, "matrix": 2 * C}[shape]
    options = {
        "activation": draw(st.sampled_from([nn.Tanh, Square, nn.Softplus])),
        "bias": draw(st.booleans()),
        "parametrisation": draw(st.sampled_from(["standard", "ntk"])),
        "seed": draw(SEEDS),
    }
    n = draw(st.integers(1, 5))

    def make():
        model = mlp((inputs, *hidden, outputs), **options)
        if shape == "scalar":
            model.append(nn.Flatten(0))
        if shape == "matrix":
            model.append(nn.Unflatten(1, (2, C)))
        return model, standard_normal(options["seed"], "train inputs", (n, inputs))

    return make


def moved(model, seed=1, size=0.3):
    """Move all parameters of a model by independent N(0, size^2), and return it."""
    draws = generator(seed, "weights")
    with torch.no_grad():
        for parameter in model.parameters():
            step = draws.standard_normal(tuple(parameter.shape))
            parameter.add_(torch.as_tensor(size * step).to(parameter.dtype))
    return model


def jacobian(model, X):
    """The Jacobian by a loop over samples and outputs, one backward pass each: (rows, weights)."""
    rows = []
    weights = [p for p in model.parameters() if p.requires_grad]
    for entry in model(X).flatten():
        found = torch.autograd.grad(entry, weights, retain_graph=True, allow_unused=True)
        parts = [
            torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)
        ]
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)
