"""The empirical kernel is the Gram matrix of gradients, however it is made."""

import copy
import subprocess
import sys
from importlib import import_module

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.simulate import Scaled, as_matrix, ntk, ntk_product
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.modules.jacobian import Network
from lazyrich.simulate.modules.mlp import mlp
from lazyrich.simulate.network import ntk_normalised

from .modules import ALPHAS, EPSILONS, SEEDS, UNIT, Polynomial, Tied, jacobian, moved, networks

# By the Jacobian at once, by Jacobian-vector products of several rows, and of one at a time.
MEMORIES = st.sampled_from([2**28, 1200, 1])
BATCHES = st.sampled_from([1, 2, 128])


def gram(model, X, X2):
    J, J2 = jacobian(model, X), jacobian(model, X2)
    return J @ J2.T, 50 * J.shape[1] * UNIT * float((J.abs() @ J2.abs().T).max())


@given(case=networks(), memory=MEMORIES, batch=BATCHES, m=st.integers(1, 4), same=st.booleans())
def test_it_is_the_gram_matrix_of_gradients_by_a_loop(case, memory, batch, m, same):
    model, X = case()
    X2 = X if same else standard_normal(5, "test inputs", (m, X.shape[1]))
    K, rounding = gram(model, X, X2)
    options = {"memory": memory, "batch": batch}
    found = ntk(model, X, None if same else X2, **options)
    f, f2 = model(X), model(X2)
    assert found.shape == (*f.shape, *f2.shape)
    assert float((as_matrix(found) - K).abs().max()) <= rounding
    blocks = K.reshape(len(X), f[0].numel(), len(X2), f2[0].numel())
    trace = ntk(model, X, None if same else X2, outputs="trace", **options)
    expected = blocks.diagonal(dim1=1, dim2=3).sum(-1)
    assert float((trace - expected).abs().max()) <= rounding * f[0].numel()
    summed = ntk(model, X, None if same else X2, outputs="sum", **options)
    assert float((summed - blocks.sum((1, 3))).abs().max()) <= rounding * f[0].numel() ** 2


@given(
    D=st.integers(1, 4),
    n=st.integers(1, 5),
    N=st.integers(1, 4),
    seed=SEEDS,
    alpha=ALPHAS,
    epsilon=EPSILONS,
    memory=MEMORIES,
)
def test_it_is_the_closed_form_of_the_papers_network(D, n, N, seed, alpha, epsilon, memory):
    W, X = standard_normal(seed, "weights", (N, D)), standard_normal(seed, "test inputs", (n, D))
    K = alpha**2 / N * ntk_normalised(X, X, W.mean(0), W.T @ W / N, epsilon=epsilon)
    found = ntk(Scaled(Polynomial(W, epsilon), alpha), X, memory=memory)
    # Terms of either sign add up in the closed form: its own on absolute values bounds them.
    A, B = X.abs(), W.abs()
    size = ntk_normalised(A, A, B.mean(0), B.T @ B / N, epsilon=abs(epsilon)).max()
    assert float((found - K).abs().max()) <= 100 * D * N * UNIT * alpha**2 / N * float(size)


@given(case=networks(), seed=SEEDS)
def test_the_product_needs_no_kernel(case, seed):
    model, X = case()
    X2 = standard_normal(5, "test inputs", (3, X.shape[1]))
    v = standard_normal(seed, "beta", tuple(model(X).shape))
    expected = as_matrix(ntk(model, X2, X)) @ v.flatten()
    size = as_matrix(ntk(model, X2, X)).abs() @ v.flatten().abs()
    found = ntk_product(model, X, v, X2)
    assert found.shape == model(X2).shape
    assert float((found.flatten() - expected).abs().max()) <= 1e-12 * (1 + float(size.max()))


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("same", [True, False])
def test_in_blocks_of_samples_it_is_the_same(same, batch, monkeypatch):
    """50 samples of 3 outputs, in blocks of 6: no Jacobian-vector product is taken."""
    model, X = mlp((3, 4, 3)), standard_normal(0, "train inputs", (50, 3))
    X2 = None if same else standard_normal(5, "test inputs", (31, 3))
    row = 8 * sum(p.numel() for p in model.parameters())
    options = {"memory": 6 * 4 * 3 * row, "batch": batch}
    K, rounding = gram(model, X, X if X2 is None else X2)
    monkeypatch.setattr(Network, "moved", None)
    assert float((as_matrix(ntk(model, X, X2, **options)) - K).abs().max()) <= rounding
    options["memory"] = 5 * 4 * 3 * row  # too little for the rows of one output, too
    trace = ntk(model, X, X2, outputs="trace", **options)
    blocks = K.reshape(50, 3, -1, 3).diagonal(dim1=1, dim2=3).sum(-1)
    assert float((trace - blocks).abs().max()) <= 3 * rounding


def test_a_batch_has_activations_of_the_memory_given():
    """A wide layer of few weights: 4,000 numbers a sample, for each output and for the values."""
    model = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 1000)),
        torch.nn.Conv1d(1, 4, 1),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
    ).double()
    model = torch.nn.Sequential(model, torch.nn.Linear(4000, 2).double())
    X = standard_normal(0, "train inputs", (50, 1000))
    found = Network(model, X).batch(10 * 3 * 8 * 4000)
    assert 5 <= found <= 10
    assert Network(model, X).batch(1) == 1


def test_shared_weights_count_once():
    model, X = Tied(3, seed=0), standard_normal(0, "train inputs", (4, 3))
    K, rounding = gram(model, X, X)
    assert float((as_matrix(ntk(model, X)) - K).abs().max()) <= rounding


def test_weights_that_are_not_trained_do_not_count():
    model, X = mlp((3, 4, 2)), standard_normal(0, "train inputs", (4, 3))
    whole = as_matrix(ntk(model, X))
    model[0].requires_grad_(False)
    K, rounding = gram(model, X, X)
    assert float((as_matrix(ntk(model, X)) - K).abs().max()) <= rounding
    assert float((whole - K).abs().max()) > 0.01


def test_the_kernel_of_other_weights_is_another():
    """The negative control of the comparisons above."""
    model, X = mlp((3, 4, 2)), standard_normal(0, "train inputs", (4, 3))
    K, rounding = gram(model, X, X)
    other = ntk(moved(copy.deepcopy(model), size=1e-6), X)
    assert float((as_matrix(other) - K).abs().max()) > 100 * rounding


def test_whole_numbers_as_inputs():
    """Tokens: the first layer looks its weights up."""
    model = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Flatten(), mlp((6, 2)))
    model = model.double()
    X = torch.tensor([[0, 1], [4, 4], [2, 0]])
    for memory in (2**28, 1):
        K, rounding = gram(model, X, X)
        assert float((as_matrix(ntk(model, X, memory=memory)) - K).abs().max()) <= rounding


MEASURED = """
import sys
from pathlib import Path
import torch
from lazyrich.simulate import ntk
from lazyrich.simulate.modules.jacobian import Network
from lazyrich.simulate.modules.mlp import mlp
model, X = mlp((784, 1024, 4)), torch.randn(40, 784).double()
ntk(mlp((784, 8, 4)), X, memory=2**20), ntk(mlp((784, 8, 4)), X)       # loads what is loaded
def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
before = held()
ntk(model, X, outputs=sys.argv[1], memory=int(sys.argv[2]))
print(held() - before)
"""


@pytest.mark.parametrize("outputs", ["full", "trace"])
def test_the_memory_taken_is_that_given(outputs):
    """40 samples of a 784-1024-4 perceptron in 64 MiB; a row of the Jacobian is 6 MiB."""
    memory = 64 * 2**20
    command = [sys.executable, "-c", MEASURED, outputs, str(memory)]
    taken = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert int(taken) < 1.25 * memory


def test_a_large_kernel_gives_a_warning(monkeypatch):
    monkeypatch.setattr(import_module("lazyrich.simulate.modules.ntk"), "LARGE", 100)
    with pytest.warns(UserWarning, match="this kernel takes .* GiB: outputs='trace' takes 4 times"):
        ntk(mlp((3, 2)), torch.zeros(4, 3).double())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": "traces"}, "outputs = 'traces': did you mean 'trace'?"),
        ({"memory": 0}, "memory = 0: must be a positive integer"),
        ({"batch": 1.5}, "batch = 1.5: must be a positive integer"),
        ({"X": torch.zeros(0, 3).double()}, "X has shape (0, 3): must be (n, ...)"),
    ],
)
def test_bad_input_is_one_line(changes, message):
    arguments = {"model": mlp((3, 2)), "X": torch.zeros(2, 3).double(), **changes}
    with pytest.raises(ValueError) as error:
        ntk(**arguments)
    assert str(error.value).startswith(message)
    with pytest.raises(ValueError, match=r"v has shape \(2,\): must be \(2, 2\)"):
        ntk_product(mlp((3, 2)), torch.zeros(2, 3).double(), torch.zeros(2).double())
