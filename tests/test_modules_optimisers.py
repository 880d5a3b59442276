"""Optimisers of the user, of any kind: trained as their own loop would, or refused in one line."""

import sys
import warnings

import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.stability import CHECK_EVERY

X = standard_normal(0, "train inputs", (12, 3)).float()
DATA = simulate.Data(X, X[:, :1] ** 2, X + 0.1, X[:, :1])


def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def fitted(optimiser, steps=20, net=None, **given):
    net = net or model()
    run = simulate.fit(net, DATA, loss="mse", optimiser=optimiser, steps=steps, **given)
    return run, torch.cat([p.detach().flatten() for p in net.parameters()])


class Plain(torch.optim.Optimizer):
    """Gradient descent by a user."""

    def __init__(self, weights, lr=0.05):
        super().__init__(weights, {"lr": lr})

    def descend(self, rate="lr"):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=-group[rate])

    def step(self):
        self.descend()


class Keyword(Plain):
    def step(self, *, closure):
        closure()
        self.descend()


class Asks(Plain):
    def step(self, closure):
        closure()
        self.descend()
        return "a loss"


class Eta(Plain):
    """Its own name for the learning rate."""

    def __init__(self, weights):
        torch.optim.Optimizer.__init__(self, weights, {"eta": 0.05})

    def step(self):
        self.descend("eta")


class Lazy(Plain):
    """Never asks for the loss that it could have."""

    def step(self, closure):
        pass


@pytest.mark.parametrize("kind", [Keyword, Asks, Eta])
def test_the_same_update_in_another_form_gives_the_same_bits(kind):
    expected, weights = fitted(Plain, steps=CHECK_EVERY + 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of losses made into numbers
        found, same = fitted(kind, steps=CHECK_EVERY + 4)
    assert torch.equal(same, weights)
    assert found.history.train_loss.identical(expected.history.train_loss)
    assert found.config["learning_rate"] == (None if kind is Eta else 0.05)


def test_one_that_never_asks_for_the_loss_leaves_the_weights():
    start = torch.cat([p.detach().flatten() for p in model().parameters()])
    assert torch.equal(fitted(Lazy, steps=CHECK_EVERY + 4)[1], start)


def test_a_rate_may_be_a_tensor():
    tensor = fitted(lambda w: torch.optim.SGD(w, lr=torch.tensor(0.05)))
    assert torch.allclose(tensor[1], fitted(lambda w: torch.optim.SGD(w, lr=0.05))[1])


class Needs(Plain):
    def step(self, gradients):
        pass


class NoStep(torch.optim.Optimizer):
    def __init__(self, weights):
        super().__init__(weights, {"lr": 0.1})


@pytest.mark.parametrize(
    ("optimiser", "options", "said"),
    [
        (Eta, {"schedule": float}, "optimiser has no lr in its groups: leave out sch"),
        (Needs, {}, "optimiser.step needs gradients: must need a closure at most"),
        (NoStep, {}, "optimiser NoStep has no step: must have one"),
        (lambda w: Plain(w, lr="0.05"), {}, "learning_rate = '0.05': must be a finite number"),
        (lambda w: Plain(w, lr=-0.05), {}, "learning_rate = -0.05: must be at least 0"),
    ],
)
def test_what_is_no_optimiser_is_one_line(optimiser, options, said):
    with pytest.raises(ValueError, match=f"^{said}[^\n]*$"):
        fitted(optimiser, **options)


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit(), BaseException("q")])
@pytest.mark.parametrize("base", [Plain, Asks, Keyword])
def test_a_step_that_ends_the_program_is_one_line(error, base, tmp_path):
    class Ends(base):
        count = 0

        def descend(self, rate="lr"):
            self.count += 1
            if self.count > 5:
                raise error
            super().descend(rate)

    said = rf"^optimiser ends the program \({type(error).__name__}[^\n]*$"
    for options in ({}, {"checkpoint": tmp_path / "c.pt"}):
        with pytest.raises(ValueError, match=said):
            fitted(Ends, **options)


def _hooked(net):
    net[0].weight.register_hook(lambda _: sys.exit(0))
    return net


@pytest.mark.parametrize(
    "call",
    [
        lambda net: fitted(Plain, net=net),
        lambda net: fitted(Asks, net=net),
        lambda net: simulate.fit_flow(net, DATA, loss="mse", time=1.0),
        lambda net: simulate.ntk(net, X),
        lambda net: simulate.lazy_curve(net, DATA, times=[1.0]),
        lambda net: simulate.diagnose(net, DATA),
    ],
)
def test_a_hook_of_a_gradient_that_ends_the_program_is_one_line(call):
    said = r"^the model's gradient ends the program \(SystemExit: 0\)[^\n]*$"
    with pytest.raises(ValueError, match=said):
        call(_hooked(model()))


def test_a_signal_from_outside_still_ends_it():
    class Stopped(Plain):
        def step(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(Stopped)
