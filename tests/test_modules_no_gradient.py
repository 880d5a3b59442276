"""Gradients that are NaN, 0 or missing: one line says so, and at which sample."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.diagnosis.expansion import Expansion

TIMES = [0.0, 1.0]


class Length(nn.Module):
    """The length of a linear map: its gradient is 0/0 at x = 0."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4, bias=False), nn.Linear(1, 1)

    def forward(self, x):
        return self.outer(self.inner(x).square().sum(1, keepdim=True).sqrt())


def _samples(n=12, zero=None, stream="train inputs"):
    X = standard_normal(0, stream, (n, 3)).float()
    if zero is not None:
        X[zero] = 0
    return X


def _data(X, X_test=None):
    X_test = _samples(5, stream="test inputs") if X_test is None else X_test
    return simulate.Data(X, X[:, :1] ** 2 + 0.1, X_test, X_test[:, :1] ** 2 + 0.1)


@pytest.mark.parametrize(
    "measure",
    [
        lambda model, data: simulate.ntk(model, data.X),
        lambda model, data: simulate.ntk(model, data.X, outputs="trace", memory=1),
        lambda model, data: simulate.lazy_curve(model, data, times=TIMES),
        lambda model, data: simulate.lazy_curve(model, data, times=TIMES, method="lanczos"),
        lambda model, data: simulate.lazy_curve(model, data, loss=nn.functional.l1_loss),
        lambda model, data: simulate.lazy_curve(model, data, times=TIMES, weight_decay=0.1),
        lambda model, data: simulate.diagnose(model, data),
        lambda model, data: simulate.diagnose(model, data, memory=1),
    ],
)
def test_a_gradient_that_is_nan_names_its_sample(measure):
    said = r"^the model's gradient is NaN at sample 7 of X: must be finite [^\n]*$"
    with pytest.raises(ValueError, match=said):
        measure(Length(), _data(_samples(zero=7)))


def test_the_sample_is_named_on_the_other_side_too():
    X, zero = _samples(), _samples(5, zero=2, stream="test inputs")
    with pytest.raises(ValueError, match="NaN at sample 2 of X2"):
        simulate.ntk(Length(), X, zero)
    for method in ("eigen", "lanczos"):
        with pytest.raises(ValueError, match="NaN at sample 2 of X_test"):
            simulate.lazy_curve(Length(), _data(X, zero), times=TIMES, method=method)


def test_a_sample_far_down_is_found_and_finite_gradients_are_let_be():
    X = _samples(300, zero=291)
    with pytest.raises(ValueError, match="NaN at sample 291 of X"):
        simulate.ntk(Length(), X, outputs="trace")
    model = Length()
    K = simulate.ntk(model, X[:291]).reshape(291, 291)
    f = model(X[:1])
    parts = torch.autograd.grad(f.sum(), list(model.parameters()))
    assert float(K[0, 0]) == pytest.approx(sum(float(p.square().sum()) for p in parts), rel=1e-5)


def test_outputs_that_are_nan_and_kernels_that_overflow_are_told_apart():
    model, X = nn.Sequential(nn.Linear(3, 1), nn.Tanh()), _samples()
    with torch.no_grad():
        model[0].weight[0, 1] = torch.nan
    with pytest.raises(ValueError, match=r"^the model's output is NaN at sample 0 of X: must be"):
        simulate.ntk(model, X)
    with pytest.raises(ValueError, match=r"^the kernel of X has entries beyond the numbers of fl"):
        simulate.ntk(nn.Linear(3, 1), 1e25 * X)


def _dead():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1), nn.ReLU())
    nn.init.constant_(model[2].bias, -50.0)
    return model


def _saturated():
    model = nn.Sequential(nn.Linear(3, 1), nn.Hardtanh())
    nn.init.constant_(model[0].bias, 50.0)
    return model


class Sign(nn.Linear):
    def forward(self, x):
        return torch.sign(super().forward(x))


@pytest.mark.parametrize("made", [_dead, _saturated, lambda: Sign(3, 1)])
@pytest.mark.parametrize("memory", [2**31, 1])
def test_a_network_that_no_weight_moves_is_not_diagnosed(made, memory):
    said = r"^the model's output does not depend on its weights at the samples of X: [^\n]*$"
    with pytest.raises(ValueError, match=said):
        simulate.diagnose(made(), _data(_samples()), memory=memory)


def test_a_network_of_which_one_weight_moves_is_diagnosed():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    nn.init.constant_(model[0].bias, -50.0)  # dead, but for the bias at the end
    Expansion(model, _data(_samples())).check_moves()
    found = simulate.diagnose(model, _data(_samples()), budget=100)
    assert found.verdict == "not fitted"


def test_a_model_made_in_inference_mode_is_one_line():
    with torch.inference_mode():
        model = nn.Linear(3, 1)
    data = _data(_samples())
    for call in (
        lambda: simulate.ntk(model, data.X),
        lambda: simulate.lazy_curve(model, data),
        lambda: simulate.diagnose(model, data),
        lambda: simulate.fit_flow(model, data, loss="mse", time=1.0),
        lambda: simulate.fit(model, data, loss="mse", steps=1, optimiser=torch.optim.Adam),
    ):
        said = r"^model: the parameter weight was made in torch.inference_mode\(\)[^\n]*$"
        with pytest.raises(ValueError, match=said):
            call()


def test_a_call_inside_inference_mode_is_one_line():
    model, data = nn.Linear(3, 1), _data(_samples())
    with (
        torch.inference_mode(),
        pytest.raises(ValueError, match=r"^torch.inference_mode\(\) is on"),
    ):
        simulate.fit(model, data, loss="mse", steps=1, optimiser=torch.optim.Adam)


def _trained(data):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    simulate.fit(model, data, loss="mse", steps=5, optimiser=lambda w: torch.optim.SGD(w, lr=0.25))
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_data_made_in_inference_mode_and_foreign_byte_order_are_data():
    plain, model = _data(_samples()), nn.Linear(3, 1)
    with torch.inference_mode():
        made = simulate.Data(*(side.clone() for side in plain.sides()))
    swapped = simulate.Data(*(side.numpy().astype(">f4") for side in plain.sides()))
    for data in (made, swapped):
        assert torch.equal(_trained(data), _trained(plain))
        assert torch.equal(simulate.ntk(model, data.X), simulate.ntk(model, plain.X))
    assert torch.equal(swapped.to(torch.float64).X, plain.X.double())
    assert simulate.effective_dimension(np.diag([3.0, 1.0]).astype(">f8"), 1.0) == 1.25


def test_training_under_no_grad_is_training():
    plain = _trained(_data(_samples()))
    with torch.no_grad():
        assert torch.equal(_trained(_data(_samples())), plain)


def _fit(model, data, **options):
    given = {"loss": "mse", "steps": 30, "optimiser": lambda w: torch.optim.SGD(w, lr=0.02)}
    return simulate.fit(model, data, **{**given, **options})


def _flow(model, data, loss="mse"):
    return simulate.fit_flow(model, data, loss=loss, time=1.0)


@pytest.mark.parametrize("train", [_fit, _flow])
def test_training_from_a_gradient_that_is_nan_names_the_sample_and_not_the_rate(train):
    said = r"^the model's gradient is NaN at sample 7 of X: must be finite [^\n]*$"
    with pytest.raises(ValueError, match=said):
        train(Length(), _data(_samples(zero=7)))
    hooked = nn.Linear(3, 1)
    hooked.weight.register_hook(lambda g: g * torch.nan)
    with pytest.raises(ValueError, match=r"^the model's gradient is NaN at sample 0 of X"):
        train(hooked, _data(_samples()))


@pytest.mark.parametrize("train", [_fit, _flow])
def test_training_by_a_loss_whose_gradient_is_nan_names_the_loss(train):
    def size(f, y):
        return (f - y).square().sum(1).sqrt().mean()

    model, X = nn.Linear(3, 1), _samples()
    y = model(X).detach() + torch.tensor([1.0] * 4 + [0.0] + [1.0] * 7)[:, None]
    said = (
        r"^the gradient of the loss in f\(X\) is NaN at sample 4: must be finite [^\n]*in loss\)$"
    )
    with pytest.raises(ValueError, match=said):
        train(model, simulate.Data(X, y), loss=size)


def test_a_rate_that_is_too_large_is_still_blamed_and_the_weights_are_those_at_the_end():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    with pytest.raises(simulate.DivergenceError, match=r"^learning_rate = 1e\+20: must be"):
        _fit(model, _data(_samples()), steps=2000, optimiser=lambda w: torch.optim.SGD(w, lr=1e20))
    assert max(float(p.detach().abs().max()) for p in model.parameters()) > 1e10


class Switch(nn.Linear):
    """Other outputs where gradients are off."""

    def forward(self, x):
        return super().forward(x) + (not torch.is_grad_enabled())


@pytest.mark.parametrize(
    "call",
    [
        _fit,
        _flow,
        lambda model, data: simulate.ntk(model, data.X),
        lambda model, data: simulate.lazy_curve(model, data),
        lambda model, data: simulate.diagnose(model, data),
    ],
)
def test_outputs_that_differ_without_gradients_are_refused(call):
    said = r"^the model gives other outputs with gradients than under torch.no_grad\(\): [^\n]*$"
    with pytest.raises(ValueError, match=said):
        call(Switch(3, 1), _data(_samples()))


@pytest.mark.parametrize("call", [_fit, _flow, simulate.lazy_curve, simulate.diagnose])
def test_losses_that_differ_without_gradients_are_refused(call):
    def loss(f, y):
        return ((f - y) ** 2).mean() * (1 if torch.is_grad_enabled() else 2)

    with pytest.raises(ValueError, match=r"^loss gives [^\n]* with gradients and [^\n]*$"):
        call(nn.Linear(3, 1), _data(_samples()), loss=loss)


def test_a_random_loss_is_let_be():
    draws = np.random.default_rng(0)

    def of_numpy(f, y):
        return ((f - y + draws.standard_normal()) ** 2).mean()

    def of_torch(f, y):
        return ((f - y + torch.randn(())) ** 2).mean()

    for loss in (of_numpy, of_torch):
        assert _fit(nn.Linear(3, 1), _data(_samples()), loss=loss).history.train_loss[-1] > 0


class Later(nn.Linear):
    """Gives something else from some call on."""

    def __init__(self, change):
        super().__init__(3, 1)
        self.change, self.calls = change, []

    def forward(self, x):
        self.calls.append(1)  # what is changed in place is not put back
        f = super().forward(x)
        return self.change(f) if len(self.calls) > 15 else f


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: None, r"the model returns a NoneType, and at first a tensor \(n, 1\)"),
        (lambda f: (f,), "the model returns a tuple of a tensor"),
        (lambda f: f.detach().numpy(), "the model returns a ndarray, and"),
        (lambda f: f[:-1], r"the model returns a tensor \(\d+, 1\) of torch.float32, and"),
        (lambda f: f[:, 0], r"the model returns a tensor \(n\) of"),
        (lambda f: f.to(torch.complex64), "the model returns .* of torch.complex64, and"),
        (torch.detach, "the model's output does not depend on its weights"),
    ],
)
def test_a_model_that_later_returns_something_else_is_one_line(change, said):
    with pytest.raises(ValueError, match=rf"^{said}[^\n]*must [^\n]*$"):
        _fit(Later(change), _data(_samples()))


class Root(nn.Module):
    """f = x sqrt(w): the gradient of f^2 is 0/0 where w = 0."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.w.sqrt()


@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_gradient_that_first_fails_in_the_midst_is_said_to_be_a_cause(batch_size):
    """The loss is w, which falls by 1/4 a step: after four steps the gradient is NaN."""
    data = simulate.Data(torch.ones(2, 1), torch.zeros(2, 1))
    options = {"loss": "mse", "steps": 300, "record": [0, 300], "batch_size": batch_size}
    said = (
        r"^learning_rate = 0.25: must be .* training diverged by step 256.*; the loss is NaN, and "
        "was at most 1 before: look also for sqrt, norm, log or a division at 0 in forward or loss$"
    )
    with pytest.raises(simulate.DivergenceError, match=said) as error:
        simulate.fit(Root(), data, optimiser=lambda w: torch.optim.SGD(w, lr=0.25), **options)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
