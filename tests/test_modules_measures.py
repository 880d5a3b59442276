"""Alignment, difficulty, effective dimension and changes are those of their definitions."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from lazyrich import simulate
from lazyrich.simulate import (
    Data,
    Scaled,
    as_matrix,
    difficulty,
    effective_dimension,
    fit,
    hessian_eigenvalues,
    kernel_alignments,
    kernel_change,
    linearise,
    ntk,
    parameter_change,
    sharpness,
    stable_rate,
    trained_weights,
    weight_norm,
)
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.metrics import alignment, centred_alignment
from lazyrich.simulate.modules.mlp import mlp

from .modules import SEEDS, jacobian, networks


def kernel(seed, n, rank):
    """A kernel of this rank, its factor, and labels."""
    factor = standard_normal(seed, "weights", (n, rank))
    return factor @ factor.T, factor, standard_normal(seed, "beta", (n,))


@given(n=st.integers(2, 8), rank=st.integers(1, 9), seed=SEEDS)
def test_for_one_output_the_alignments_are_those_of_the_toy_model(n, rank, seed):
    K, _, y = kernel(seed, n, rank)
    found = kernel_alignments(K, y)
    assert found["alignment"] == pytest.approx(float(alignment(K, y)), rel=1e-12)
    centred = float(centred_alignment(K, y))
    assert found["centred_alignment"] == pytest.approx(centred, rel=1e-6, abs=1e-9)
    assert kernel_alignments(K, y[:, None]) == pytest.approx(found, rel=1e-12)


@given(case=networks(), seed=SEEDS)
def test_for_many_outputs_centring_is_over_samples_output_by_output(case, seed):
    model, X = case()
    assume(len(X) > 1)
    y = standard_normal(seed, "beta", tuple(model(X).shape))
    n, C = len(X), y[0].numel()
    H = torch.kron(torch.eye(n).double() - 1 / n, torch.eye(C).double())
    K = as_matrix(ntk(model, X))
    found = kernel_alignments(ntk(model, X), y)
    assert found["alignment"] == pytest.approx(float(alignment(K, y.flatten())), abs=1e-10)
    centred = H @ K @ H
    assume(float(torch.linalg.matrix_norm(centred) / torch.linalg.matrix_norm(K)) > 1e-6)
    expected = float(alignment(centred, H @ y.flatten()))
    assert found["centred_alignment"] == pytest.approx(expected, abs=1e-8)


@given(n=st.integers(2, 6), C=st.integers(1, 3), rank=st.integers(1, 7), seed=SEEDS)
def test_with_several_labels_it_is_the_alignment_of_two_kernels(n, C, rank, seed):
    K, _, _ = kernel(seed, n, rank)
    y = standard_normal(seed, "beta", (n, C))
    for name, H in (("alignment", torch.eye(n)), ("centred_alignment", torch.eye(n) - 1 / n)):
        a, b = H.double() @ K @ H.double(), H.double() @ y @ y.T @ H.double()
        cosine = (a * b).sum() / (a.norm() * b.norm())
        assert kernel_alignments(K, y)[name] == pytest.approx(float(cosine), rel=1e-9, abs=1e-9)


@given(case=networks(), seed=SEEDS)
def test_difficulty_is_the_least_way_to_the_labels(case, seed):
    """Against least squares on the Jacobian, singular kernels and labels out of reach included."""
    model, X = case()
    J = jacobian(model, X).detach()
    y = standard_normal(seed, "beta", tuple(model(X).shape))
    sizes = torch.linalg.svdvals(J)
    alive = sizes > 1e-5 * sizes.max()
    # Between clearly zero and clearly not there is no right answer.
    assume(bool((sizes[~alive] < 1e-9 * sizes.max()).all()))
    reached = J @ standard_normal(seed, "test inputs", (J.shape[1],))  # labels that weights fit
    change = np.linalg.lstsq(J.numpy(), reached.numpy(), rcond=1e-7)[0]
    found = difficulty(ntk(model, X), reached.reshape(y.shape))
    assert found == pytest.approx(float((change**2).sum()), rel=1e-4)
    rank = int(alive.sum())
    if rank < len(J):
        assert difficulty(ntk(model, X), y) == math.inf
        assert effective_dimension(ntk(model, X), 0.0) == pytest.approx(rank)
    else:
        change = torch.linalg.lstsq(J, y.flatten()[:, None], driver="gelsd").solution
        expected = float(change.square().sum())
        assert difficulty(ntk(model, X), y) == pytest.approx(expected, rel=1e-4)


def test_difficulty_is_how_far_lazy_training_goes():
    """Eq. 9, by training the linearised twin of a centred network to the end."""
    model, X = mlp((3, 300, 2), nn.Tanh, parametrisation="ntk"), standard_normal(0, "beta", (2, 3))
    y = standard_normal(1, "beta", (2, 2))
    network = Scaled(model, 2.0)
    twin, data = linearise(network), Data(X, y, X, y)
    rate = 0.5 * stable_rate(network, data, nn.functional.mse_loss)
    history = fit(
        twin,
        data,
        loss=nn.functional.mse_loss,
        optimiser=lambda weights: torch.optim.SGD(weights, lr=rate),
        steps=400,
    ).history
    assert float(history.train_loss[-1]) < 1e-12
    way = float(history.parameter_change[-1] * weight_norm(model)) ** 2
    assert way == pytest.approx(difficulty(ntk(network, X), y), rel=1e-5)


def test_difficulty_of_no_kernel_and_of_no_labels():
    zero, one = torch.zeros(2, 2), torch.ones(2)
    assert difficulty(zero, one) == math.inf
    assert difficulty(zero, 0 * one) == 0.0
    assert effective_dimension(zero, 0.0) == 0.0
    with pytest.raises(ValueError, match="K has an eigenvalue of -1: must be none below 0"):
        difficulty(torch.diag(torch.tensor([1.0, -1.0])), one)


@given(n=st.integers(1, 8), rank=st.integers(1, 9), seed=SEEDS, power=st.floats(-3, 3))
def test_effective_dimension_is_the_trace_of_the_smoother(n, rank, seed, power):
    K, _, _ = kernel(seed, n, rank)
    ridge = 10.0**power
    smoother = torch.linalg.solve(K + ridge * torch.eye(n).double(), K)
    found = effective_dimension(K, ridge)
    assert found == pytest.approx(float(smoother.trace()), rel=1e-8)
    assert 0 <= found <= min(n, rank) + 1e-12
    assert effective_dimension(K, 2 * ridge) < found


@given(case=networks(), size=st.floats(-3, 3))
def test_changes_are_relative_to_the_start(case, size):
    model, X = case()
    start = trained_weights(model)
    assert parameter_change(model, start) in (0.0,)
    vector = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert weight_norm(model) == pytest.approx(float(vector.norm()), rel=1e-12)
    factor = 10.0**size
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + factor)
    assert parameter_change(other, start) == pytest.approx(factor, rel=1e-10)
    K = ntk(model, X)
    assert kernel_change((1 + factor) * K, K) == pytest.approx(factor, rel=1e-10)


@given(case=networks(), seed=SEEDS)
def test_sharpness_is_the_top_of_the_hessian_by_autograd(case, seed):
    model, X = case()
    y = standard_normal(seed, "beta", tuple(model(X).shape))
    names = [name for name, _ in model.named_parameters()]
    values = tuple(p.detach() for p in model.parameters())

    def loss(*weights):
        pairs = dict(zip(names, weights, strict=True))
        return (torch.func.functional_call(model, pairs, (X,)) - y).square().mean()

    blocks = torch.autograd.functional.hessian(loss, values)
    count = [v.numel() for v in values]
    H = torch.cat(
        [
            torch.cat([b.reshape(n, m) for b, m in zip(row, count, strict=True)], 1)
            for row, n in zip(blocks, count, strict=True)
        ]
    )
    spectrum = torch.linalg.eigvalsh(H)
    found = sharpness(model, Data(X, y, X, y), nn.functional.mse_loss)
    assert found == pytest.approx(
        float(spectrum[-1]), rel=1e-3, abs=1e-3 * float(spectrum.abs().max())
    )


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_descent_is_stable_up_to_the_rate_and_not_beyond(momentum):
    """On a quadratic loss, where the rate is exact."""
    model, X = mlp((3, 1), bias=False), standard_normal(0, "beta", (9, 3))
    data = Data(X, X.sum(1, keepdim=True), X, X.sum(1, keepdim=True))
    loss = nn.functional.mse_loss
    rate = stable_rate(model, data, loss, momentum=momentum)

    def train(factor):
        def optimiser(weights):
            return torch.optim.SGD(weights, lr=factor * rate, momentum=momentum)

        return fit(copy.deepcopy(model), data, loss=loss, optimiser=optimiser, steps=3000).history

    assert float(train(0.98).train_loss[-1]) < 1e-6
    with pytest.raises(simulate.FitDivergenceError) as error:
        train(1.05)
    assert error.value.stable_rate == pytest.approx(rate, rel=1e-3)
    assert f"must be below {rate:.4g}, the largest stable one at step 0: " in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda K, y: kernel_alignments(K, y[:1]), r"K has shape \(3, 3\): must be \(1, 1\)"),
        (lambda K, y: difficulty(K, y[:1]), "y has 1 entries: must be 3, the rows of K"),
        (lambda K, y: difficulty(K[:2], y), r"K has shape \(2, 3\): must have the same samples"),
        (lambda K, _: effective_dimension(K, -1.0), "ridge = -1.0: must be at least 0"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.eye(3), torch.ones(3))


def test_more_labels_than_weights_have_infinite_difficulty_in_float32_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 20), nn.Tanh(), nn.Linear(20, 1))
    X, y = torch.randn(300, 5), torch.randn(300, 1)
    K, v = ntk(model, X), torch.randn(300, 1)
    assert difficulty(K, y) == math.inf  # 141 weights
    exact = as_matrix(ntk(model.double(), X.double()))
    reached = exact @ v.double()  # within the range of K
    wanted = float((v * reached).sum())
    assert difficulty(K, reached.float()) == pytest.approx(wanted, rel=1e-2)
    assert difficulty(exact, reached) == pytest.approx(wanted, rel=1e-9)


def test_measures_of_a_kernel_take_integers_and_refuse_nan_in_one_line():
    K, y = torch.tensor([[2, 1], [1, 2]]), torch.tensor([1.0, 2.0])
    assert difficulty(K, y) == pytest.approx(2)
    assert effective_dimension(K, 1.0) == pytest.approx(3 / 4 + 1 / 2)
    assert kernel_alignments(K, y) == kernel_alignments(K.double(), y)
    nan = torch.full((2, 2), math.nan)
    for call in (
        lambda: difficulty(nan, y),
        lambda: effective_dimension(nan, 1.0),
        lambda: kernel_alignments(nan, y),
    ):
        with pytest.raises(ValueError, match="K has 4 NaN or infinite entries: must be finite"):
            call()
    with pytest.raises(ValueError, match="y has 1 NaN or infinite entries: must be finite"):
        difficulty(K, torch.tensor([1.0, math.inf]))


def test_a_long_spectrum_says_how_long(monkeypatch, caplog):
    monkeypatch.setattr("lazyrich.simulate.modules.measures._SECONDS", 2.5)
    difficulty(torch.eye(2), torch.ones(2))
    assert "the spectrum of a kernel of 2 rows takes about 2e+01 s" in caplog.text


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_curvature_is_right_where_torch_has_a_wrong_second_derivative(kind):
    """torch's weight_norm has one: the same network is written out here."""
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    model = nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 1)).to(kind)
    X, y = torch.randn(6, 3).to(kind), torch.randn(6, 1).to(kind)
    named = {n: p.detach().double() for n, p in model.named_parameters()}
    names, sizes = list(named), [p.numel() for p in named.values()]

    def loss(flat):
        w = {n: p.reshape(named[n].shape) for n, p in zip(names, flat.split(sizes), strict=True)}
        g, v = (w[f"0.parametrizations.weight.original{i}"] for i in (0, 1))
        hidden = (X.double() @ (g * v / v.norm(dim=1, keepdim=True)).T + w["0.bias"]).tanh()
        return ((hidden @ w["2.weight"].T + w["2.bias"] - y) ** 2).mean()

    whole = torch.func.hessian(loss)(torch.cat([p.flatten() for p in named.values()]))
    wanted = torch.linalg.eigvalsh(whole).flip(0)
    found = hessian_eigenvalues(model, Data(X, y), "mse", k=12)
    torch.testing.assert_close(found, wanted[:12], rtol=1e-3, atol=1e-4)


def test_a_kernel_of_lists_is_that_of_arrays():
    model = nn.Linear(2, 1)
    X = [[1.0, 2.0], [3.0, 4.0]]
    assert torch.equal(ntk(model, X), ntk(model, torch.tensor(X)))
    assert torch.equal(ntk(model, X, X[:1]), ntk(model, torch.tensor(X), torch.tensor(X[:1])))
