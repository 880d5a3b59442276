"""Functions of the user that change what they are given: training is never altered by them."""

import pytest
import torch
from torch import nn

from lazyrich import simulate

X = torch.linspace(-1, 1, 9)[:, None]


def trained(kind, **options):
    """The final weights of a small run, and whether its labels and mode are as before."""
    torch.manual_seed(0)
    model, data = nn.Linear(1, 1), simulate.Data(X.clone(), 3 * X, X.clone(), 3 * X)
    start = model.weight.detach().clone()
    given = {"loss": "mse"} | options
    try:
        if kind == "fit":
            run = simulate.fit(model, data, steps=9, optimiser=torch.optim.SGD, **given)
        else:
            run = simulate.fit_flow(model, data, time=1.0, **given)
    except ValueError:
        assert torch.equal(model.weight, start)
        assert torch.equal(data.y, 3 * X)
        raise
    return run.state["weight"], model.training, torch.equal(data.y, 3 * X)


def by_data(model):
    model.weight.data.mul_(0)
    return 0.0


def in_place(model):
    with torch.no_grad():
        model.bias.add_(1)
    return 0.0


def other_memory(model):
    model.weight.data = torch.zeros(1, 1)
    return 0.0


@pytest.mark.parametrize("kind", ["fit", "flow"])
@pytest.mark.parametrize("measure", [by_data, in_place, other_memory])
def test_a_measure_that_changes_the_weights_is_refused(kind, measure):
    with pytest.raises(ValueError, match=r"^odd changes the weights of the model: must leave them"):
        trained(kind, measures={"odd": measure})


def replaces(model):
    model.weight = nn.Parameter(torch.zeros(1, 1))
    return 0.0


def leaves_traces(model):
    model.eval()
    model.weight.grad = torch.ones(1, 1)
    return torch.rand(())


def changes_back(model):
    kept = model.weight.detach().clone()
    model.weight.data.mul_(0)
    found = simulate.weight_norm(model)
    model.weight.data.copy_(kept)
    return found


@pytest.mark.parametrize("kind", ["fit", "flow"])
@pytest.mark.parametrize("measure", [replaces, leaves_traces, changes_back])
def test_other_traces_of_a_measure_are_undone(kind, measure):
    right, found = trained(kind), trained(kind, measures={"odd": measure})
    assert torch.equal(found[0], right[0])
    assert found[1:] == right[1:] == (True, True)


@pytest.mark.parametrize("kind", ["fit", "flow"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("off", {"metrics": {"off": lambda f, y: y.mul_(2).sum() + 0 * f.sum()}}),
        ("off", {"metrics": {"off": lambda f, y: f.mul_(2).sum() + 0 * y.sum()}}),
        ("loss", {"loss": lambda f, y: (f - y.mul_(0.5)).square().mean()}),
    ],
)
def test_a_loss_or_metric_that_changes_its_arguments_is_refused(kind, name, options):
    with pytest.raises(ValueError, match=f"^{name} changes its outputs or labels in place: must"):
        trained(kind, **options)


@pytest.mark.parametrize("kind", ["fit", "flow"])
def test_functions_that_change_nothing_give_the_same_bits(kind):
    plain = {"loss": lambda f, y: (f - y).square().mean()}
    asked = plain | {"metrics": {"worst": lambda f, y: (f - y).abs().max()}}
    assert torch.equal(trained(kind, **plain)[0], trained(kind, **asked)[0])
