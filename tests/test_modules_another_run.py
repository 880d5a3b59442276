"""A checkpoint is refused where the run would go on as another, though both begin as the same.

Each pair is two runs with the same losses, outputs and repr at the start. The checks leave no
trace: neither in weights, nor in counters of the user's functions.
"""

import random

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.mlp import mlp

X = standard_normal(0, "train inputs", (12, 3))
DATA = simulate.Data(X, X[:, :1] ** 2, X + 0.1, X[:, :1])
SGD = {"optimiser": lambda w: torch.optim.SGD(w, lr=0.05), "loss": "mse"}
calls = []


def net():
    return mlp((3, 8, 1), nn.Tanh)


def fitted(model, path=None, steps=20, **given):
    run = simulate.fit(model, DATA, steps=steps, checkpoint=path, **{**SGD, **given})
    return run, torch.cat([p.detach().flatten() for p in model.parameters()])


def plain(f, y):
    return ((f - y) ** 2).mean()


def half(f, y):
    return ((f - y) * (f - y).detach()).mean()


class Rate(torch.optim.SGD):
    k = 1.0

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad, alpha=-group["lr"] * self.k)


class Faster(Rate):
    k = 2.0


Faster.__name__ = "Rate"


def hooked(factor):
    model = net()
    for p in model.parameters():
        p.register_hook(lambda g: factor * g)
    return model


class Centred(nn.Module):
    def __init__(self, alpha):
        super().__init__()
        self.model, self.initial, self.alpha = net(), net().requires_grad_(False), [alpha]

    def forward(self, x):
        return self.alpha[0] * (self.model(x) - self.initial(x))


class Starts(nn.Module):
    """Readouts that start at 0, and a function that no repr shows."""

    def __init__(self, function):
        super().__init__()
        self.model, self.function = net(), function
        nn.init.zeros_(self.model[2].weight)

    def forward(self, x):
        return self.model[2](self.function(self.model[0](x)))


class Pipe(nn.Module):
    """Can't be copied."""

    def __init__(self, alpha):
        super().__init__()
        self.model, self.pipe = Centred(alpha), (i for i in range(3))

    def forward(self, x):
        return self.model(x)


def patched(kind):
    def made(weights):
        optimiser = kind(weights, lr=0.05)
        torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)
        return optimiser

    return made


PAIRS = {
    "loss": lambda b: (net(), {"loss": half if b else plain}),
    "optimiser": lambda b: (net(), {"optimiser": Faster if b else Rate}),
    "hook": lambda b: (hooked(0.5 if b else 1.0), {}),
    "centred": lambda b: (Centred(2.0 if b else 1.0), {}),
    "function": lambda b: (Starts(torch.relu if b else torch.tanh), {}),
    "no copy": lambda b: (Pipe(2.0 if b else 1.0), {}),
    "patched": lambda b: (net(), {"loss": half if b else plain, "optimiser": patched(Rate)}),
    "batches": lambda b: (net(), {"loss": half if b else plain, "batch_size": 5}),
    "adaptive": lambda b: (net(), {"loss": half if b else plain, "optimiser": torch.optim.Adam}),
    "closures": lambda b: (
        Centred(2.0 if b else 1.0),
        {"optimiser": lambda w: torch.optim.LBFGS(w, max_iter=3)},
    ),
}


@pytest.mark.parametrize("name", list(PAIRS))
@pytest.mark.parametrize("first", [0, 1])
def test_a_run_that_begins_as_another_is_told_from_it(name, first, tmp_path):
    path = tmp_path / "c.pt"
    whole, given = PAIRS[name](first)
    expected = fitted(whole, **given)[1]
    part, given = PAIRS[name](first)
    fitted(part, path, steps=10, **given)
    kept = path.read_bytes()
    other, given = PAIRS[name](1 - first)
    before = [p.detach().clone() for p in other.parameters()]
    with pytest.raises(ValueError, match=r"checkpoint of another run: the [^\n]* at the same wei"):
        fitted(other, path, **given)
    assert all(map(torch.equal, other.parameters(), before))
    assert path.read_bytes() == kept
    same, given = PAIRS[name](first)
    assert torch.equal(fitted(same, path, **given)[1], expected)


@pytest.mark.parametrize("name", ["loss", "hook", "centred", "function", "no copy"])
def test_another_flow_is_told_too(name, tmp_path):
    def flowed(b):
        model, given = PAIRS[name](b)
        given = {"loss": "mse", **given}
        simulate.fit_flow(model, DATA, time=2.0, checkpoint=tmp_path / "c.pt", **given)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    first = flowed(0)
    with pytest.raises(ValueError, match=r"checkpoint of another run: the [^\n]* at the same wei"):
        flowed(1)
    assert torch.equal(flowed(0), first)
    given = {"loss": "mse", "time": 2.0, "checkpoint": tmp_path / "d.pt"}
    simulate.fit_flow(net(), DATA, metrics={"m": lambda f, _: f.mean()}, **given)
    with pytest.raises(ValueError, match=r"checkpoint of another run: m gives other values"):
        simulate.fit_flow(net(), DATA, metrics={"m": lambda f, _: f.sum()}, **given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_it_is_told_in_any_precision(dtype, tmp_path):
    data, path = DATA.to(dtype), tmp_path / "c.pt"
    for loss in (plain, plain, half):
        call = {**SGD, "loss": loss, "steps": 10, "checkpoint": path}
        if loss is half:
            with pytest.raises(ValueError, match=r"another run: the gradient of the loss"):
                simulate.fit(net().to(dtype), data, **call)
        else:
            simulate.fit(net().to(dtype), data, **call)


@pytest.mark.parametrize("steps", [1, 20])
def test_no_counter_of_the_user_is_moved(steps, tmp_path):
    """Each function is called as often as without a file, where training itself calls it."""

    def counts(path):
        counted = dict.fromkeys(["hook", "module", "optimiser", "loss"], 0)
        calls.clear()

        def noted(name, value):
            counted[name] += torch.is_grad_enabled() or name == "optimiser"
            return value

        def loss(f, y):
            if torch.is_grad_enabled():
                calls.append(1)  # a global one
            return noted("loss", plain(f, y))

        def optimiser(weights):
            made = torch.optim.SGD(weights, lr=0.05)
            made.register_step_post_hook(lambda *_: noted("optimiser", None))
            return made

        model = net()
        model[0].weight.register_hook(lambda g: noted("hook", g))
        model[1].register_forward_hook(lambda *_: noted("module", None))
        fitted(model, path, loss=loss, optimiser=optimiser, steps=steps)
        return {**counted, "global": len(calls)}

    assert counts(tmp_path / "c.pt") == counts(None)
    assert counts(tmp_path / "c.pt")["optimiser"] == 0  # resumed: nothing is left to do


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_a_checkpoint_changes_no_bit_and_no_random_number(steps, tmp_path):
    def random_loss(f, y):
        return ((f - y - 0.1 * random.random() - 0.1 * np.random.rand()) ** 2).mean()  # noqa: NPY002

    for number, (model, given) in enumerate(
        [(hooked(0.5), {}), (Pipe(2.0), {}), (net(), {"loss": random_loss}), PAIRS["closures"](0)]
    ):
        ends, state = [], {k: v.clone() for k, v in model.state_dict().items()}
        for path in (None, tmp_path / f"{number}.pt"):
            generators.put(START)
            model.load_state_dict(state)
            run, weights = fitted(model, path, steps=steps, **given)
            ends.append((run.history, weights, generators.digests(generators.states())))
        assert ends[0][0].identical(ends[1][0])
        assert torch.equal(ends[0][1], ends[1][1])
        assert ends[0][2] == ends[1][2]


class Counts(nn.Module):
    """Another network from its 16th call in training."""

    def __init__(self):
        super().__init__()
        self.model, self.count = net(), 0

    def forward(self, x):
        self.count += 1
        return self.model(x) * (2.0 if self.count > 15 else 1.0)


def test_plain_attributes_of_a_module_go_on(tmp_path):
    whole = fitted(Counts())[1]
    assert not torch.equal(whole, fitted(net())[1])
    fitted(Counts(), tmp_path / "c.pt", steps=11)
    assert torch.equal(fitted(Counts(), tmp_path / "c.pt")[1], whole)


START = generators.states()
