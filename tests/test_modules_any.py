"""Modules of every kind: each tool gives the value of plain autograd, or one clear line."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lazyrich.simulate import (
    Data,
    FitDivergenceError,
    Scaled,
    as_matrix,
    diagnose,
    difficulty,
    fit,
    fit_flow,
    hessian_eigenvalues,
    kernel_alignments,
    linearise,
    ntk,
    ntk_product,
    sharpness,
    stable_rate,
)
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.modules.mlp import mlp

from .modules import jacobian, moved

LOSS = functional.mse_loss


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.layer(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer, self.out = kind(4, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.layer(x)[0][:, -1])


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(12, 2)

    def forward(self, x):
        one_hot = functional.one_hot((x[..., 0] > 0).long() + (x[..., 1] > 0), 3)
        return self.out(one_hot.flatten(1)[:, :12].double())


class Itemed(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = mlp((4, 3, 2), nn.Tanh)

    def forward(self, x):
        return self.out(x[:, 0]) * (2.0 if x.abs().max().item() < 1e9 else 1.0)


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.reentrant = nn.Linear(4, 5), reentrant
        self.inner, self.out = nn.Sequential(nn.Linear(5, 5), nn.Tanh()), nn.Linear(5, 2)

    def forward(self, x):
        hidden = torch.tanh(self.first(x[:, 0]))
        return self.out(checkpoint(self.inner, hidden, use_reentrant=self.reentrant))


class Counting(nn.Module):
    """Counts its calls in a buffer and an attribute."""

    def __init__(self):
        super().__init__()
        self.out, self.calls = mlp((4, 3, 2), nn.Tanh), 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.seen += 1
        return self.out(x[:, 0])


KINDS = {
    "attention": Attention,
    "attention in eval": lambda: Attention().eval(),
    "RNN": lambda: Recurrent(nn.RNN),
    "GRU": lambda: Recurrent(nn.GRU),
    "LSTM": lambda: Recurrent(nn.LSTM),
    "one-hot in forward": Tokens,
    ".item() in forward": Itemed,
    "checkpointing": lambda: Checkpointed(False),
    "dropout in eval": lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 2), nn.Dropout()).eval(),
    "batch norm in eval": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(24, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)
    ).eval(),
    "buffers updated": Counting,
}


def made(kind):
    torch.manual_seed(0)
    kinds = KINDS | {"reentrant checkpointing": lambda: Checkpointed(True)}
    model = kinds[kind]().double()
    X = standard_normal(0, "train inputs", (5, 24)).reshape(5, 6, 4)
    return model, X, standard_normal(0, "beta", (5, 2))


def state(model):
    parts = [copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]]
    rest = [(p.grad, p.requires_grad) for p in model.parameters()]
    return [*parts, rest, getattr(model, "calls", None), torch.get_rng_state()]


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_is_that_of_plain_autograd_at_every_budget(kind):
    model, X, v = made(kind)
    J = jacobian(model, X)
    before = state(model)
    for memory in (2**28, 3000, 1):
        found = ntk(model, X, memory=memory)
        assert torch.allclose(as_matrix(found), J @ J.T, rtol=1e-12, atol=1e-14), memory
    cross = ntk(model, X[:2], X[1:], outputs="trace", memory=1)
    blocks = (J[:4] @ J[2:].T).reshape(2, 2, 4, 2)
    assert torch.allclose(cross, blocks.diagonal(dim1=1, dim2=3).sum(-1), rtol=1e-12, atol=1e-14)
    product = ntk_product(model, X, v)
    assert torch.allclose(product.flatten(), J @ J.T @ v.flatten(), rtol=1e-11, atol=1e-13)
    assert same(state(model), before)  # the module is left as it was


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_has_value_and_slope(kind):
    model, X, _ = made(kind)
    if kind == "checkpointing":
        with pytest.raises(ValueError, match="switch activation checkpointing off"):
            linearise(model)(X)
        return
    twin = moved(linearise(model))
    J = jacobian(model, X)
    pairs = zip(twin.model.parameters(), model.parameters(), strict=True)
    change = torch.cat([(w - w0).detach().flatten() for w, w0 in pairs])
    expected = model(X).flatten() + J @ change
    assert torch.allclose(twin(X).flatten(), expected, rtol=1e-10, atol=1e-12)
    assert torch.allclose(jacobian(twin, X), J, rtol=1e-10, atol=1e-12)
    assert float(Scaled(model, 3.0)(X).detach().abs().max()) < 1e-14


@pytest.mark.parametrize("kind", [*KINDS, "reentrant checkpointing"])
def test_the_sharpness_is_that_of_differences_of_gradients(kind):
    model, X, y = made(kind)
    data = Data(X, y)
    weights = [p for p in model.parameters() if p.requires_grad]

    def gradient():
        model.zero_grad()
        LOSS(model(X), y).backward()
        return torch.cat(
            [(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights]
        )

    columns = []
    for w in weights:
        for i in range(w.numel()):
            ends = []
            for step in (1e-5, -2e-5):
                w.data.view(-1)[i] += step
                ends.append(gradient())
            w.data.view(-1)[i] += 1e-5
            columns.append((ends[0] - ends[1]) / 2e-5)
    H = torch.stack(columns)
    model.zero_grad()
    spectrum = torch.linalg.eigvalsh((H + H.T) / 2)
    scale = float(spectrum.abs().max())
    for batch in (None, 2):
        top = hessian_eigenvalues(model, data, LOSS, k=3, batch=batch)
        assert torch.allclose(top, spectrum.flip(0)[:3], atol=2e-3 * scale)
    low = hessian_eigenvalues(model, data, LOSS, k=2, which="smallest")
    assert torch.allclose(low, spectrum[:2], atol=2e-3 * scale)
    assert sharpness(model, data, "mse") == pytest.approx(float(spectrum[-1]), rel=2e-3)


@pytest.mark.parametrize("kind", [*KINDS, "reentrant checkpointing"])
def test_divergence_is_a_divergence_error_with_the_stable_rate(kind):
    model, X, y = made(kind)
    with pytest.raises(FitDivergenceError, match="largest stable one") as error:
        fit(
            model,
            Data(X, y * 1e4),
            loss=lambda f, y: (f - y).square().mean() + (f - y).pow(4).mean(),
            optimiser=lambda w: torch.optim.SGD(w, lr=1e6),
            steps=600,
        )
    assert 0 < error.value.stable_rate < 1e6


class Less(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        f = self.out(x)
        return f - f.mean(0)


class Random(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        return self.out(functional.dropout(x, 0.3))


@pytest.mark.parametrize(
    ("kind", "message"), [(Less, "changes with the other"), (Random, "random")]
)
def test_coupling_and_randomness_are_seen_on_the_outputs(kind, message):
    torch.manual_seed(0)
    model, X = kind(), torch.randn(6, 3)
    data, before = Data(X, X[:, :2]), torch.get_rng_state()
    sgd = torch.optim.SGD
    for call in (
        lambda: ntk(model, X),
        lambda: ntk(model, X, memory=1),
        lambda: ntk(model, X[:1]),
        lambda: ntk_product(model, X, X[:, :2]),
        lambda: Scaled(model, 2.0)(X),
        lambda: linearise(model)(X),
        lambda: linearise(Scaled(model, 2.0))(X),
        lambda: fit(model, data, loss="mse", optimiser=sgd, steps=3).history,
        lambda: fit_flow(model, data, loss="mse", time=1.0).history,
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(2)])
def test_layers_in_training_mode_are_refused_with_the_reason(layer):
    model, X = nn.Sequential(nn.Linear(4, 2), layer, nn.Linear(2, 2)), torch.randn(5, 4)
    with pytest.raises(ValueError, match=r"in training mode, which .*: call model\.eval\(\) first"):
        ntk(model, X)
    ntk(model.eval(), X)


class Two(nn.Module):
    """Two inputs, two outputs, in tuples or dicts."""

    def __init__(self, names):
        super().__init__()
        self.left, self.right, self.names = nn.Linear(3, 2), nn.Linear(2, 1), names

    def forward(self, a, b):
        f = torch.tanh(self.left(a)), torch.tanh(self.right(b))
        return {"l": f[0], "r": f[1]} if self.names else f


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Two(names=False)

    def forward(self, batch):
        return torch.cat(self.inner(batch["a"], batch["b"]), 1)


@pytest.mark.parametrize("names", [False, True])
def test_several_inputs_and_outputs(names):
    torch.manual_seed(0)
    model, a, b = Two(names).double(), torch.randn(5, 3).double(), torch.randn(5, 2).double()
    weights, J = list(model.parameters()), []
    for i in range(5):
        f = model(a[i : i + 1], b[i : i + 1])
        for entry in torch.cat(list(f.values()) if names else list(f), 1)[0]:
            found = torch.autograd.grad(entry, weights, retain_graph=True, allow_unused=True)
            pairs = zip(weights, found, strict=True)
            parts = [torch.zeros_like(p) if g is None else g for p, g in pairs]
            J.append(torch.cat([part.flatten() for part in parts]))
    J = torch.stack(J)
    for X in ((a, b), {"b": b, "a": a}, (a.numpy(), b.numpy())):
        for memory in (2**28, 1):
            assert torch.allclose(as_matrix(ntk(model, X, memory=memory)), J @ J.T, atol=1e-14)
        twin = linearise(Scaled(model, 2.0))
        out = twin(**X) if isinstance(X, dict) else twin(*map(torch.as_tensor, X))
        assert all(float(f.detach().abs().max()) == 0 for f in (out.values() if names else out))
    y = {"l": a[:, :2], "r": b[:, :1]} if names else (a[:, :2], b[:, :1])

    def loss(f, y):
        pairs = [(f[k], y[k]) for k in y] if names else zip(f, y, strict=True)
        return sum(LOSS(*pair) for pair in pairs)

    for X in ((a, b), {"a": a, "b": b}):
        options = {"optimiser": lambda w: torch.optim.SGD(w, lr=0.1), "batch_size": 2}
        run = fit(copy.deepcopy(model), Data(X, y, X, y), loss=loss, steps=40, **options).history
        assert float(run.train_loss[-1]) < float(run.train_loss[0])
        assert sharpness(model, Data(X, y), loss, batch=2) == pytest.approx(
            sharpness(model, Data(X, y), loss), rel=1e-3
        )


def test_a_dict_goes_whole_to_a_forward_of_one_argument():
    model, a, b = Packed().double(), torch.randn(4, 3).double(), torch.randn(4, 2).double()
    assert torch.equal(ntk(model, {"a": a, "b": b}), ntk(model.inner, (a, b)))
    assert torch.equal(ntk(Scaled(model, 1.0), {"a": a, "b": b}), ntk(model.inner, (a, b)))


def test_numpy_arrays():
    X, y = np.random.default_rng(0).normal(size=(7, 3)), np.arange(7) % 2
    for dtype in (torch.float32, torch.float64):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)
        assert ntk(model, X).dtype == dtype
        run = fit(
            model, Data(X, y), loss="cross_entropy", optimiser=torch.optim.Adam, steps=5
        ).history
        assert np.isfinite(run.train_loss).all()
    K, labels = np.diag([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 2.0])
    expected = kernel_alignments(torch.as_tensor(K), torch.as_tensor(labels))
    assert kernel_alignments(K, labels) == expected
    with pytest.raises(ValueError, match="X is or holds str"):
        ntk(model, "X")
    with pytest.raises(ValueError, match="X has parts with 7 and 6 rows"):
        ntk(model, (X, X[:6]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype, tmp_path):
    torch.manual_seed(0)
    exact = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    model, X = copy.deepcopy(exact).to(dtype), torch.randn(6, 3)
    data = Data(X.to(dtype), X[:, :1].to(dtype))
    for memory in (2**28, 1):
        K = ntk(model, data.X, memory=memory)
        assert K.dtype == torch.float32
        assert torch.allclose(K, ntk(exact, X), rtol=0.1, atol=0.1)
    assert math.isfinite(difficulty(K.to(dtype), data.y))
    assert 0 < kernel_alignments(K.to(dtype), data.y)["alignment"] < 1.01
    rate = stable_rate(model, data, "mse")
    assert rate == pytest.approx(stable_rate(exact, Data(X, X[:, :1]), "mse"), rel=0.1)
    run = fit(
        model,
        data,
        loss="mse",
        optimiser=lambda w: torch.optim.SGD(w, lr=rate / 4),
        steps=20,
        checkpoint=tmp_path / "c.pt",
    ).history
    assert float(run.train_loss[-1]) < float(run.train_loss[0])


def test_kernels_and_labels_of_other_types():
    K = as_matrix(ntk(nn.Linear(3, 1), torch.randn(5, 3)))
    y = torch.randn(5, dtype=torch.float64)
    assert kernel_alignments(K, y) == kernel_alignments(K.double(), y)
    assert difficulty(K + torch.eye(5), y) > 0
    labels = functional.one_hot(torch.arange(5) % 3)
    assert kernel_alignments(K, labels) == kernel_alignments(K, labels.float())


def test_difficulty_of_many_outputs_by_the_traced_kernel_and_by_cholesky():
    J = standard_normal(0, "weights", (2300, 2400))
    K, y = J @ J.T, standard_normal(0, "beta", (2300,))
    expected = float(y @ torch.linalg.solve(K, y))
    assert difficulty(K, y) == pytest.approx(expected, rel=1e-6)
    model, X = nn.Linear(3, 4).double(), standard_normal(0, "test inputs", (3, 3))
    labels = standard_normal(1, "beta", (3, 4))
    full, traced = ntk(model, X), ntk(model, X, outputs="trace")  # all outputs have one kernel
    assert difficulty(traced, labels) == pytest.approx(difficulty(full, labels), rel=1e-9)


def test_a_flat_loss_has_no_stable_limit_and_bad_weights_are_one_line():
    model, X = nn.Linear(3, 1, bias=False), torch.zeros(4, 3)
    data = Data(X, torch.ones(4, 1))
    assert sharpness(model, data, "mse") == 0
    assert stable_rate(model, data, "mse") == math.inf
    broken = nn.Linear(3, 1)
    nn.init.constant_(broken.weight, math.nan)
    with pytest.raises(ValueError, match="the weights are not finite") as error:
        sharpness(broken, Data(torch.ones(4, 3), torch.ones(4, 1)), "mse")
    assert "\n" not in str(error.value)
    frozen = nn.Linear(3, 1).requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train, all have requires_grad=False"):
        sharpness(frozen, data, "mse")
    with pytest.raises(ValueError, match="k = 5: must be at most 3"):
        hessian_eigenvalues(model, data, "mse", k=5)


class Bag(nn.Module):
    """An embedding bag has no forward mode in torch; a packed sequence has none either."""

    def __init__(self, packed):
        super().__init__()
        self.embedding = nn.Embedding(7, 6) if packed else nn.EmbeddingBag(7, 6)
        self.layer = nn.GRU(6, 6, batch_first=True) if packed else None
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        found = self.embedding(x)
        if self.layer is not None:
            lengths = (x > 0).sum(1).clamp(min=1)
            order = {"batch_first": True, "enforce_sorted": False}
            found = nn.utils.rnn.pack_padded_sequence(found, lengths, **order)
            found = self.layer(found)[1][-1]
        return self.out(found)


@pytest.mark.parametrize("packed", [True, False])
def test_without_forward_mode_it_is_diagnosed_by_rows_and_not_linearised(packed):
    torch.manual_seed(0)
    X, model = torch.randint(0, 7, (12, 5)), Bag(packed).double()
    y = X[:, :1].expand(-1, 3).double()
    data = Data(X[:8], y[:8], X[8:], y[8:])
    expansion, a = Expansion(model, data), torch.randn(24).double()
    for K, moved_by_it in zip(expansion.kernels(), expansion.product(a), strict=True):
        assert torch.allclose(moved_by_it, K @ a, rtol=1e-9)
    assert diagnose(model, data, with_pilots=False).laziness.error > 0
    with pytest.raises(ValueError, match=r"without forward-mode .* so it can't be linearised"):
        linearise(model)(X)


def test_what_torch_can_not_copy_or_transform_is_one_line():
    X = torch.randn(6, 5)
    data = Data(X[:4], X[:4, :3], X[4:], X[4:, :3])
    old = nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 4)), nn.Linear(4, 3))
    for call in (lambda: linearise(old), lambda: diagnose(old, data)):
        with pytest.raises(ValueError, match=r"can't be copied.*parametrizations.weight_norm"):
            call()
    scripted = torch.jit.script(nn.Linear(5, 3))
    for call in (lambda: ntk(scripted, X), lambda: diagnose(scripted, data)):
        with pytest.raises(ValueError, match="model is a ScriptModule"):
            call()
    double = nn.Linear(5, 3).double()
    with pytest.raises(ValueError, match=r"data.to\(torch.float64\) converts the data"):
        ntk(double, X)
    with pytest.raises(ValueError, match="the model can't be called on X"):
        linearise(double)(X)


def test_a_batch_that_vmap_can_not_take_goes_by_plain_autograd():
    """PReLU in torch.func fails at some sizes of a batch, after others have passed."""
    torch.manual_seed(0)
    layers = [nn.Conv1d(5, 4, 3), nn.PReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8, 3)]
    model, X = nn.Sequential(*layers).double(), torch.randn(5, 5, 6).double()
    with torch.enable_grad():
        f = model(X).flatten()
    J = [torch.autograd.grad(one, list(model.parameters()), retain_graph=True) for one in f]
    J = torch.stack([torch.cat([part.flatten() for part in row]) for row in J])
    for batch in (1, 2, 3, 5):
        assert torch.allclose(as_matrix(ntk(model, X, batch=batch)), J @ J.T, rtol=1e-9)


def small(*last):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), *last)


def samples(n=10):
    X = standard_normal(0, "train inputs", (n, 4)).float()
    return X, standard_normal(1, "train inputs", (n, 3)).float()


@pytest.mark.parametrize(
    ("X2", "message"),
    [
        (torch.ones(3, 5), "can't be called on X2: RuntimeError: mat1 and mat2 shapes"),
        (torch.ones(3, 4).double(), r"on X2: .*; data.to\(torch.float32\) converts the data"),
        (torch.ones(3, 4).long(), r"X2 holds torch.int64: make it floats, X2.to\(torch.float32\)"),
        (torch.ones(0, 4), "X2 has 0 rows: must have at least 1"),
    ],
)
def test_wrong_second_inputs_of_a_kernel_are_one_line(X2, message):
    X, y = samples()
    with pytest.raises(ValueError, match=message):
        ntk(small(), X, X2)
    if len(X2):
        with pytest.raises(ValueError, match=message):
            ntk_product(small(), X, y, X2)
    assert ntk(small(), X, torch.ones(3, 4)).shape == (10, 3, 3, 3)  # the control


@pytest.mark.parametrize("kind", [torch.bool, torch.int64])
def test_inputs_that_are_no_floats_are_told_how_to_become_some(kind):
    X, y = samples()
    data = Data(X.to(kind), y, X.to(kind), y)
    with pytest.raises(ValueError, match=rf"X holds {kind}: make it floats, X.to\(torch.float32\)"):
        diagnose(small(), data)


def test_data_with_gradients_of_their_own_and_lists_are_data():
    X, y = samples()
    plain = Data(X, y, X, y)
    for data in (
        Data(X.clone().requires_grad_(), y.clone().requires_grad_(), X, y),
        Data(X.tolist(), y.tolist(), X.tolist(), y.tolist()),
    ):
        found, expected = (
            diagnose(small(), sides, with_pilots=False).lazy.history.train_loss.values
            for sides in (data, plain)
        )
        assert np.allclose(found, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="X is taken as 10 inputs: make samples one array"):
        Data(list(X), y, list(X), y)


def test_a_model_that_changes_its_input_is_told_so_and_the_input_is_kept():
    """Idempotent functions too; the control copies its input first."""

    class Halves(nn.Linear):
        def forward(self, x):
            x *= 0.5
            return super().forward(x)

    class Copies(nn.Linear):
        def forward(self, x):
            return super().forward(x.clone().relu_())

    X, y = samples()
    kept = X.clone()
    for model in (Halves(4, 3), nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3))):
        for call in (
            lambda model=model: ntk(model, X),
            lambda model=model: linearise(model)(X),
            lambda model=model: fit_flow(model, Data(X, y), loss="mse", time=1.0),
        ):
            with pytest.raises(ValueError, match="the model changes its input in place"):
                call()
            assert torch.equal(X, kept)
    assert ntk(Copies(4, 3), X).shape == (10, 3, 10, 3)


def test_losses_of_torch_may_be_classes_or_instances():
    X, y = samples()
    data, runs = Data(X, y), []
    for loss in (functional.mse_loss, nn.MSELoss, nn.MSELoss()):
        runs.append(fit_flow(small(), data, loss=loss, time=1.0).history.train_loss.values)
    assert (runs[0] == runs[1]).all()
    assert (runs[0] == runs[2]).all()
    with pytest.raises(ValueError, match=r"shape \(10, 3\): must give one number"):
        fit_flow(small(), data, loss=nn.MSELoss(reduction="none"), time=1.0)
    columns = Data(X, y.argmax(1, keepdim=True))
    for loss in ("cross_entropy", nn.CrossEntropyLoss):
        with pytest.raises(ValueError, match=r"; reshape y to \(10,\)$"):
            fit_flow(small(), columns, loss=loss, time=1.0)


@pytest.mark.parametrize(
    ("last", "loss", "noted"),
    [
        (nn.Softmax(1), "cross_entropy", "as after a softmax"),
        (nn.LogSoftmax(1), nn.CrossEntropyLoss, "as after a log_softmax"),
        (nn.Sigmoid(), "cross_entropy", "as after a sigmoid"),
        (nn.Sigmoid(), nn.BCEWithLogitsLoss, "as after a sigmoid"),
        (nn.Identity(), "cross_entropy", None),
        (nn.Softmax(1), "mse", None),
    ],
)
def test_a_softmax_that_the_loss_does_itself_is_seen(last, loss, noted, recwarn):
    X, y = samples()
    y = nn.functional.one_hot(y.argmax(1), 3).float()
    data = Data(X, y, X, y)
    sgd = {"optimiser": lambda w: torch.optim.SGD(w, lr=0.1), "steps": 1}
    lines = diagnose(small(last), data, loss=loss, with_pilots=False).sentences()
    assert lines[0].startswith("Note: the model's outputs are") is (noted is not None)
    fit(Scaled(small(last), 2.0), data, loss=loss, **sgd)
    fit_flow(small(last), data, loss=loss, time=0.1)
    said = [str(w.message) for w in recwarn if "the model's outputs are" in str(w.message)]
    assert len(said) == 2 * (noted is not None)
    assert all(noted in line for line in [*said, *lines[: len(said) // 2]])
