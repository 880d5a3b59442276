"""The empirical neural tangent kernel of any module, in bounded memory.

Theta(x, x')_ab = grad_w f_a(x).grad_w f_b(x') over all parameters that require a gradient, of the
predictor as it stands: that of ``Scaled`` has the factor alpha^2. A gradient of one output at one
sample is a *row* of the Jacobian, as long as the network has weights.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vjp, vmap

from lazyrich.simulate.modules.frozen import checked_model
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.support.arguments import one_of, positive_integer

OUTPUTS = ("full", "trace", "sum")
# Bytes that Jacobians may take together, and samples that go through the network at a time.
MEMORY, BATCH = 2**28, 128

Weights = dict[str, Tensor]


@checks_its_arguments
def ntk(
    model: nn.Module,
    X: Tensor,
    X2: Tensor | None = None,
    *,
    outputs: str = "full",
    memory: int = MEMORY,
    batch: int = BATCH,
) -> Float[Tensor, "n ..."]:
    """Return the kernel between the n samples of X and the m of X2 (X itself if None).

    For a network of one number a sample its shape is (n, m). For outputs of shape ``out`` it is
    ``(n, *out, m, *out)`` with ``outputs="full"``, and (n, m) with "trace", the sum over a of
    Theta_aa, or with "sum", the kernel of the sum of the outputs (one gradient a sample).

    Where the Jacobians fit in ``memory`` bytes they are made once and multiplied. Where they don't,
    as many rows of X's as fit are made at a time, and each is multiplied by the Jacobian of X2 as a
    Jacobian-vector product, ``batch`` samples a pass: all the memory then needed is for that, the
    activations of ``batch`` samples and the kernel itself.

    Raises ``ValueError`` for bad input.

    >>> model = nn.Linear(2, 1, bias=False).double()                   # f = w.x: K = x.x'
    >>> X = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    >>> ntk(model, X).reshape(2, 2).tolist()
    [[5.0, 11.0], [11.0, 25.0]]
    """
    one_of("outputs", outputs, OUTPUTS)
    memory, batch = positive_integer("memory", memory), positive_integer("batch", batch)
    network, weights, out = _network(model, X)
    if outputs == "sum":
        network, out = _summed(network), ()
    X2 = X if X2 is None else X2
    C, count = math.prod(out), sum(value.numel() for value in weights.values())
    samples = X.shape[0] + (0 if X2 is X else X2.shape[0])
    row = count * next(iter(weights.values())).element_size()
    if outputs == "trace" and samples * row <= memory:
        parts = [_gram(network, weights, X, X2, [a], batch) for a in range(C)]
        return torch.stack(parts).sum(0)
    if samples * C * row <= memory:
        K = _gram(network, weights, X, X2, range(C), batch)
    else:
        K = _by_products(network, weights, X, X2, C, max(1, memory // row), batch)
    K = K.reshape(X.shape[0], C, X2.shape[0], C)
    if outputs == "trace":
        return K.diagonal(dim1=1, dim2=3).sum(-1)
    return K.reshape(X.shape[0], *out, X2.shape[0], *out)


@checks_its_arguments
def ntk_product(
    model: nn.Module, X: Tensor, v: Tensor, X2: Tensor | None = None
) -> Float[Tensor, "..."]:
    """Return sum_mu Theta(x, x_mu) v_mu at each x of X2, without the kernel: in O(weights) memory.

    v has the shape of the model's output on X. This is how the predictor starts to move at X2
    under a step along v of the output at X; v.(its value at X) is the numerator of the alignment.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    >>> X, v = torch.randn(4, 2).double(), torch.randn(4, 1).double()
    >>> K = ntk(model, X).reshape(4, 4)
    >>> torch.allclose(ntk_product(model, X, v), K @ v)
    True
    """
    network, weights, _ = _network(model, X)
    pulled = vjp(lambda values: network(values, X), weights)
    if v.shape != pulled[0].shape:
        wanted = tuple(pulled[0].shape)
        raise ValueError(f"v has shape {tuple(v.shape)}: must be {wanted}, as f(X) has")
    direction = pulled[1](v)[0]
    target = X if X2 is None else X2
    return jvp(lambda values: network(values, target), (weights,), (direction,))[1]


def as_matrix(K: Float[Tensor, "..."]) -> Float[Tensor, "rows columns"]:
    """Return a kernel as a matrix whose rows and columns are pairs (sample, output).

    The labels that go with it are ``y.flatten()``.

    >>> as_matrix(torch.zeros(4, 2, 5, 2)).shape, as_matrix(torch.zeros(4, 5)).shape
    (torch.Size([8, 10]), torch.Size([4, 5]))
    """
    return K.flatten(0, K.dim() // 2 - 1).flatten(1)


Network = Callable[[Weights, Tensor], Tensor]


def _network(model: nn.Module, X: Tensor) -> tuple[Network, Weights, tuple[int, ...]]:
    """Return the network as a function of weights and inputs, the weights, an output's shape."""
    checked_model(model)
    if X.dim() < 1 or X.shape[0] < 1:
        raise ValueError(f"X has shape {tuple(X.shape)}: must be (n, ...) with n of at least 1")
    weights = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

    def network(values: Weights, x: Tensor) -> Tensor:
        return functional_call(model, values, (x,))

    with torch.no_grad():
        out = tuple(network(weights, X[:1]).shape[1:])
    return network, weights, out


def _summed(network: Network) -> Network:
    return lambda weights, x: network(weights, x).reshape(len(x), -1).sum(1)


def _rows(network: Network, weights: Weights, X: Tensor, outputs: Tensor) -> Tensor:
    """Return grad_w f_a(x), flattened, for each pair of x in X and a in ``outputs``."""

    def chosen(values: Weights, x: Tensor, a: Tensor) -> Tensor:
        # vmap can't index by a: a sum over the outputs, with 1 at a.
        f = network(values, x[None]).flatten()
        return torch.where(torch.arange(len(f), device=f.device) == a, f, 0).sum()

    found = vmap(grad(chosen), in_dims=(None, 0, 0))(weights, X, outputs)
    return torch.cat([value.flatten(1) for value in found.values()], 1)


def _jacobian(
    network: Network, weights: Weights, X: Tensor, outputs: list[int] | range, batch: int
) -> Tensor:
    """Return the rows of all samples and these outputs, sample by sample: (n outputs, weights)."""
    wanted = torch.tensor(list(outputs), device=X.device)
    sample = torch.arange(X.shape[0], device=X.device).repeat_interleave(len(wanted))
    output = wanted.repeat(X.shape[0])
    chunks = zip(sample.split(batch), output.split(batch), strict=True)
    return torch.cat([_rows(network, weights, X[i], a) for i, a in chunks])


def _gram(
    network: Network,
    weights: Weights,
    X: Tensor,
    X2: Tensor,
    outputs: list[int] | range,
    batch: int,
) -> Tensor:
    J = _jacobian(network, weights, X, outputs, batch)
    J2 = J if X2 is X else _jacobian(network, weights, X2, outputs, batch)
    return J @ J2.T


def _by_products(
    network: Network, weights: Weights, X: Tensor, X2: Tensor, C: int, rows: int, batch: int
) -> Tensor:
    """Return the kernel as a matrix over pairs (sample, output), row by row."""
    found = []
    for row in _one_by_one(network, weights, X, C, min(rows, batch)):
        parts = [_moved(network, weights, row, chunk) for chunk in X2.split(batch)]
        found.append(torch.cat(parts).flatten())
    return torch.stack(found)


def _one_by_one(
    network: Network, weights: Weights, X: Tensor, C: int, rows: int
) -> Iterator[Weights]:
    """Yield grad_w f_a(x) for each pair (x, a), having made ``rows`` at a time."""
    pairs = torch.arange(X.shape[0] * C, device=X.device)
    shapes = {name: value.shape for name, value in weights.items()}
    sizes = [value.numel() for value in weights.values()]
    for chunk in pairs.split(rows):
        for row in _rows(network, weights, X[chunk // C], chunk % C):
            parts = zip(shapes.items(), row.split(sizes), strict=True)
            yield {name: part.reshape(shape) for (name, shape), part in parts}


def _moved(network: Network, weights: Weights, direction: Weights, X: Tensor) -> Tensor:
    return jvp(lambda values: network(values, X), (weights,), (direction,))[1]
