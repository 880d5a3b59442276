"""Odd modules and functions of the user: each is one line, and none ends the program."""

import sys

import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.simulate.modules.losses import loss_function
from lazyrich.support.user_code import end_of_program

EYE = torch.eye(3)


def _data():
    X = torch.linspace(-1, 1, 12).reshape(4, 3)
    return simulate.Data(X, X[:, :1], X + 0.1, X[:, :1])


class Holds(nn.Linear):
    """A line with one more buffer or parameter."""

    def __init__(self, held):
        super().__init__(3, 1)
        if isinstance(held, nn.Parameter):
            self.held = held
        else:
            self.register_buffer("held", held)


class Gives(nn.Linear):
    """A line whose outputs go through a function."""

    def __init__(self, function):
        super().__init__(3, 1)
        self.function = function

    def forward(self, x):
        return self.function(super().forward(x))


def _frozen(value):
    return nn.Parameter(value, requires_grad=False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("held", "said"),
    [
        (lambda: EYE.to_sparse(), "buffer held is a sparse tensor"),
        (lambda: EYE.to_sparse_csr(), "buffer held is a sparse tensor"),
        (lambda: EYE.to_mkldnn(), "buffer held is a tensor of the layout torch._mkldnn"),
        (lambda: torch.ones(3, device="meta"), "buffer held is a tensor on the device meta"),
        (lambda: torch.nested.nested_tensor([EYE, EYE[:2]]), "buffer held is a nested tensor"),
        (
            lambda: torch.quantize_per_tensor(EYE, 0.1, 0, torch.qint8),
            "buffer held is a quantized tensor",
        ),
        (lambda: _frozen(EYE.to_sparse()), "parameter held is a sparse tensor"),
        (lambda: _frozen(torch.ones(3, device="meta")), "parameter held is a tensor on the device"),
    ],
)
def test_a_buffer_or_parameter_that_is_no_dense_array_is_one_line(held, said):
    with pytest.raises(ValueError, match=said) as error:
        simulate.ntk(Holds(held()), torch.ones(2, 3))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("held", [EYE * 1j, EYE.long(), EYE > 0, EYE.to(torch.float8_e4m3fn)])
def test_constants_of_any_dense_kind_are_left_alone(held):
    X = torch.ones(2, 3)
    assert torch.allclose(simulate.ntk(Holds(held), X), torch.full((2, 2), 4.0))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda f: f.to_sparse(), "output is a sparse tensor"),
        (lambda f: f.to("meta"), "output is a tensor on the device meta"),
        (lambda f: torch.nested.nested_tensor(list(f)), "output is a nested tensor"),
        (lambda f: f.detach().to_mkldnn(), "output is a tensor of the layout torch._mkldnn"),
        (lambda f: torch.quantize_per_tensor(f, 0.1, 0, torch.qint8), "is a quantized tensor"),
        (lambda f: f * 1j, "must return real numbers"),
        (lambda f: f.long(), "does not depend on its weights"),
    ],
)
def test_an_output_that_is_no_dense_array_is_one_line(function, said):
    with pytest.raises(ValueError, match=said) as error:
        simulate.ntk(Gives(function), torch.ones(2, 3))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", [nn.LazyLinear(1), nn.LazyBatchNorm1d(affine=False).eval()])
def test_a_module_without_shapes_says_what_to_do(model):
    whole = nn.Sequential(nn.Linear(3, 3), model)
    with pytest.raises(ValueError, match=r"has no shape for .*: call it on some inputs first"):
        simulate.diagnose(whole, _data())


def _ends(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), BaseException("q")])
def test_no_function_of_the_user_ends_the_program(error):
    kind, model = type(error).__name__, nn.Linear(3, 1)

    def fit(model=model, **given):
        given = {
            "optimiser": lambda w: torch.optim.SGD(w, lr=0.1),
            "steps": 2,
            "loss": "mse",
            **given,
        }
        return simulate.fit(model, _data(), **given)

    for call in (
        lambda: fit(Gives(_ends(error))),
        lambda: fit(loss=_ends(error)),
        lambda: fit(optimiser=_ends(error)),
        lambda: fit(metrics={"mine": _ends(error)}),
        lambda: fit(measures={"mine": _ends(error)}),
        lambda: simulate.fit_flow(nn.Linear(3, 1), _data(), time=0.1, loss=_ends(error)),
        lambda: simulate.fit_flow(
            nn.Linear(3, 1), _data(), time=0.1, loss="mse", measures={"m": _ends(error)}
        ),
        lambda: simulate.ntk(Gives(_ends(error)), torch.ones(2, 3)),
        lambda: simulate.diagnose(Gives(_ends(error)), _data()),
        lambda: simulate.diagnose(model, _data(), loss=_ends(error)),
        lambda: simulate.lazy_curve(model, _data(), times=[1.0], metrics={"m": _ends(error)}),
    ):
        with pytest.raises(ValueError, match=rf"ends the program \({kind}") as found:
            call()
        assert "\n" not in str(found.value)


def test_what_comes_from_outside_still_ends_it():
    with pytest.raises(KeyboardInterrupt):
        simulate.ntk(Gives(_ends(KeyboardInterrupt())), torch.ones(2, 3))
    with pytest.raises(ZeroDivisionError):
        end_of_program("the loss", ZeroDivisionError())


def test_losses_of_torch_stay_themselves_and_others_keep_their_name():
    class Own(nn.CrossEntropyLoss):
        pass

    def mine(f, y):
        return ((f - y) ** 2).mean() if len(y) else sys.exit()

    own = Own()
    assert loss_function(own) is own
    assert loss_function(nn.functional.l1_loss) is nn.functional.l1_loss
    assert loss_function(mine).__name__ == "mine"
    assert float(loss_function(mine)(torch.ones(2), torch.zeros(2))) == 1


@pytest.mark.parametrize(
    "later", [torch.Tensor.long, lambda f: f.to(torch.complex64), torch.Tensor.to_sparse]
)
def test_a_module_whose_output_changes_its_kind_is_one_line(later):
    calls = []
    model = Gives(lambda f: later(f) if len(calls) > 1 else calls.append(1) or f)
    with pytest.raises(ValueError, match=r"^the model[^\n]*must [^\n]*$"):
        simulate.fit(model, _data(), loss="mse", optimiser=torch.optim.SGD, steps=3)


def test_a_module_that_returns_no_number_is_one_line():
    with pytest.raises(ValueError, match=r"^the model returns no number for a sample: must"):
        simulate.fit(
            Gives(lambda f: f[:, :0]), _data(), loss="mse", optimiser=torch.optim.SGD, steps=3
        )


class Replaces(torch.optim.SGD):
    """Does something else to a parameter of the model at its steps from ``at`` on."""

    def __init__(self, model, change, at):
        super().__init__(model.parameters(), lr=0.01)
        self.model, self.change, self.at, self.made = model, change, at, 0

    def step(self, closure=None):
        super().step(closure)
        self.made += 1
        if self.made >= self.at:
            self.change(self.model)


def _set(model, value):
    model.weight.data = value


@pytest.mark.parametrize("at", [1, 5, 20])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: setattr(m, "weight", nn.Parameter(m.weight.detach().clone())), "is another te"),
        (lambda m: _set(m, m.weight.data[:, :2]), r"is \(1, 2\) and torch.float32, and was \(1, 3"),
        (lambda m: _set(m, m.weight.data.double()), r"is \(1, 3\) and torch.float64, and was"),
        (lambda m: _set(m, m.weight.data.repeat(2, 1)), r"is \(2, 3\) and"),
        (lambda m: m.weight.requires_grad_(False), "no longer requires a gradient"),
    ],
)
def test_an_optimiser_that_replaces_a_parameter_is_one_line(change, said, at):
    model = nn.Linear(3, 1)
    with pytest.raises(ValueError, match=f"^the parameter weight {said}[^\n]*in place[^\n]*$"):
        simulate.fit(
            model, _data(), loss="mse", optimiser=Replaces(model, change, at), steps=20, record=[0]
        )


def test_parameters_may_take_other_values():
    def empties(model):
        model.weight.data = torch.zeros_like(model.weight)

    model = nn.Linear(3, 1)
    simulate.fit(model, _data(), loss="mse", optimiser=Replaces(model, empties, 2), steps=20)
    assert not model.weight.any()


class Inference(nn.Module):
    """Its first layer is called within a mode of torch."""

    def __init__(self, mode):
        super().__init__()
        self.first, self.last, self.mode = nn.Linear(3, 4), nn.Linear(4, 1), mode

    def forward(self, x):
        with self.mode():
            h = self.first(x)
        return self.last(h.clone().tanh())


def test_a_layer_in_inference_mode_is_one_line_for_all_that_train_or_measure():
    said = r"^the model uses first.weight under torch.inference_mode\(\)[^\n]*$"
    sgd = {"optimiser": lambda w: torch.optim.SGD(w, lr=0.1), "steps": 2, "loss": "mse"}
    for call in (
        lambda m: simulate.fit(m, _data(), **sgd),
        lambda m: simulate.fit_flow(m, _data(), loss="mse", time=0.1),
        lambda m: simulate.diagnose(m, _data()),
        lambda m: simulate.ntk(m, torch.ones(2, 3)),
    ):
        with pytest.raises(ValueError, match=said):
            call(Inference(torch.inference_mode))
    for meant in (Inference(torch.no_grad), Inference(torch.inference_mode)):
        meant.first.requires_grad_(meant.mode is torch.no_grad)
        before = meant.first.weight.detach().clone()
        simulate.fit(meant, _data(), **sgd)
        assert torch.equal(meant.first.weight, before)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_an_optimiser_that_maximises_is_not_blamed_on_its_rate(kind):
    def made(weights):
        return kind(weights, lr=1e4, maximize=True)

    with pytest.raises(simulate.FitDivergenceError) as error:
        simulate.fit(nn.Linear(3, 1), _data(), loss="mse", optimiser=made, steps=3000)
    line = str(error.value)
    assert "maximize=True" in line
    assert "learning_rate" not in line
