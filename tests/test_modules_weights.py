"""Modules whose parameters are not all plain weights: frozen, shared, unused, of other types."""

import copy

import pytest
import torch
from torch import nn

from lazyrich.simulate import (
    Data,
    Scaled,
    diagnose,
    fit,
    fit_flow,
    hessian_eigenvalues,
    lazy_curve,
    linearise,
    ntk,
    ntk_product,
)
from lazyrich.simulate.arrays import standard_normal

X = standard_normal(0, "train inputs", (20, 3))
DATA = Data(X[:12], X[:12, :1], X[12:], X[12:, :1])


def sgd(weights):
    return torch.optim.SGD(weights, lr=0.05)


class Net(nn.Module):
    """A network of two layers, with one more parameter, which changes nothing by itself."""

    def __init__(self, more=None, trained=False):
        super().__init__()
        self.a, self.b = nn.Linear(3, 8).double(), nn.Linear(8, 1).double()
        if more is not None:
            self.more = nn.Parameter(more, requires_grad=trained)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Permuted(Net):
    """Inputs in an order that an integer parameter gives."""

    def __init__(self):
        super().__init__(torch.tensor([0, 1, 2]))

    def forward(self, x):
        return super().forward(x[:, self.more])


class Shifted(Net):
    """A complex constant that adds 0 to the output."""

    def __init__(self):
        super().__init__(torch.tensor([1j], dtype=torch.complex128))

    def forward(self, x):
        return super().forward(x) + self.more.real


class Cut(Net):
    def forward(self, x):
        return super().forward(x).detach()


def of(kind, *arguments):
    torch.manual_seed(0)
    return kind(*arguments)


def everything(model):
    """Return numbers that every tool gives."""
    found = diagnose(copy.deepcopy(model), DATA, budget=60)
    runs = [
        fit(copy.deepcopy(model), DATA, loss="mse", optimiser=sgd, steps=20),
        fit(linearise(model), DATA, loss="mse", optimiser=sgd, steps=20),
        fit(Scaled(copy.deepcopy(model), 2.0), DATA, loss="mse", optimiser=sgd, steps=20),
        fit_flow(copy.deepcopy(model), DATA, loss="mse", time=1.0),
        lazy_curve(model, DATA, times=[1.0, 2.0]),
        lazy_curve(model, DATA, times=[1.0, 2.0], method="lanczos"),
    ]
    kernels = [ntk(model, X), ntk(model, X, memory=1), ntk_product(model, X, X[:, :1])]
    return [
        *(found.forecast.train.value, found.laziness.error, found.laziness.kernel_change),
        *(float(run.history[f"{s}_loss"][-1]) for run in runs for s in ("train", "test")),
        *(float(K.square().sum()) for K in kernels),
        *hessian_eigenvalues(model, DATA, "mse", k=3).tolist(),
    ]


@pytest.mark.parametrize("kind", [Permuted, Shifted])
def test_constants_of_other_types_leave_every_number_as_it_was(kind):
    assert everything(of(kind)) == pytest.approx(everything(of(Net)), rel=1e-9)


def test_weights_that_the_output_does_not_use_change_nothing():
    """Only the steps of flows, which are as long as errors relative to |w| allow (1e-2 at most)."""
    unused = everything(of(Net, torch.ones(5).double(), True))
    assert unused == pytest.approx(everything(of(Net)), rel=1e-2)


@pytest.mark.parametrize("layer", ["a", "b"])
def test_frozen_layers_are_constants(layer):
    """A frozen layer is the same as its output in place of the weights: as a layer of buffers."""
    model, buffered = of(Net), of(Net)
    getattr(model, layer).requires_grad_(False)
    part = getattr(buffered, layer)
    for name in ("weight", "bias"):
        value = getattr(part, name).detach()
        delattr(part, name)
        part.register_buffer(name, value)
    assert everything(model) == pytest.approx(everything(buffered), rel=1e-9)
    run = fit(model, DATA, loss="mse", optimiser=sgd, steps=5)
    start = of(Net)
    assert torch.equal(getattr(model, layer).weight, getattr(start, layer).weight)
    assert not any(name.startswith(layer) for name in run.state)


def test_shared_weights_count_once():
    """With v shared by two layers, f = v(v x): the kernel is that of the sum of both gradients."""
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)).double()
    apart = copy.deepcopy(model)
    model[1].weight = model[0].weight
    apart.load_state_dict({f"{i}.weight": model[0].weight for i in (0, 1)})
    gradients = [torch.autograd.grad(apart(x[None])[0, 0], list(apart.parameters())) for x in X[:4]]
    both = torch.stack([(g[0] + g[1]).flatten() for g in gradients])
    found = ntk(model, X[:4])[:, 0, :, 0]
    assert torch.allclose(found, both @ both.T)
    curve = lazy_curve(model, Data(X[:4], X[:4]), times=range(4), learning_rate=0.05)
    run = fit(linearise(model), Data(X[:4], X[:4]), loss="mse", optimiser=sgd, steps=3)
    last = float(run.history.train_loss[-1])
    assert float(curve.history.train_loss[-1]) == pytest.approx(last, rel=1e-9)


def frozen():
    return Net().requires_grad_(False)


COMPLEX = torch.ones(2, dtype=torch.complex128)
REFUSED = [
    (frozen, "nothing to train, all have requires_grad=False"),
    (nn.Tanh, "nothing to train, it has no parameters"),
    (lambda: Net(COMPLEX, True), "model has complex weights, more: must be real"),
    (
        lambda: nn.Sequential(nn.LazyLinear(1)).double(),
        "no shape for the parameter 0.weight yet:",
    ),
    (Cut, "output does not depend on its weights"),
]


@pytest.mark.parametrize(("kind", "message"), REFUSED)
def test_what_has_nothing_to_train_is_one_line(kind, message):
    model = of(kind)
    for call in (
        lambda: ntk(model, X),
        lambda: diagnose(model, DATA),
        lambda: diagnose(model, DATA, optimiser=sgd, with_pilots=False),
        lambda: lazy_curve(model, DATA),
        lambda: fit(model, DATA, loss="mse", optimiser=sgd, steps=3),
        lambda: fit_flow(model, DATA, loss="mse", time=1.0),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
