"""The empirical neural tangent kernel of any module, in bounded memory.

Theta(x, x')_ab = grad_w f_a(x).grad_w f_b(x') over all parameters that require a gradient, of the
predictor as it stands: that of ``Scaled`` has the factor alpha^2. A gradient of one output at one
sample is a *row* of the Jacobian, as long as the network has weights.

(nngeometry has the same kernel with layer-wise shortcuts, for linear, convolutional and a few other
layers only; here any module works.)
"""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import numbers
from lazyrich.simulate.modules.data import read
from lazyrich.simulate.modules.frozen import checked_model
from lazyrich.simulate.modules.jacobian import MISSING, Network
from lazyrich.simulate.modules.slopes import NotFiniteError, check_slopes
from lazyrich.simulate.modules.trees import Around, Tree, flat, rows, taken
from lazyrich.simulate.modules.untouched import differentiable
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.support.arguments import one_of, positive_integer

OUTPUTS = ("full", "trace", "sum")
# Bytes that Jacobians may take together, and the part of them that the activations may.
MEMORY, ACTIVATIONS = 2**28, 1 / 4
# Jacobians of at least so many samples are worth making for a block.
BLOCK = 4
# A kernel of more bytes gives a warning.
LARGE = 2**31


@checks_its_arguments
def ntk(
    model: nn.Module,
    X: Tree,
    X2: Tree | None = None,
    *,
    outputs: str = "full",
    memory: int = MEMORY,
    batch: int | None = None,
) -> Float[Tensor, "n ..."]:
    """Return the kernel between the n samples of X and the m of X2 (X itself if None).

    For a network of one number a sample its shape is (n, m). For outputs of shape ``out`` it is
    ``(n, *out, m, *out)`` with ``outputs="full"``, and (n, m) with "trace", the sum over a of
    Theta_aa, or with "sum", the kernel of the sum of the outputs (one gradient a sample).

    Inputs may be tensors, NumPy arrays, lists of rows, or tuples and dicts of these. Outputs that
    are tuples or dicts count side by side, ``out`` = (C,). The kernel of a network in half
    precision is float32. The module is left as it was.

    Where the Jacobians fit in ``memory`` bytes they are made once and multiplied. Where they don't,
    they are made and multiplied in blocks of samples. Where only a few rows fit, each is multiplied
    by the Jacobian of X2 as a Jacobian-vector product. All the memory needed is that, the
    activations of ``batch`` samples, which go through the network at a time, and the kernel itself.
    ``batch`` None: as many samples as have activations of a quarter of ``memory``. The first kernel
    of a process takes about 20 MiB more, at any budget (80 MiB for recurrent layers), as torch
    loads what it needs (``benchmarks/ntk_memory.py``).

    Before, about a millisecond goes into checks: that each sample has an output of its own, and
    that torch.func gives the gradients of plain autograd. At 20 samples that is half of the time.

    Raises ``ValueError`` for bad input, for a model that is random or mixes samples, and where a
    gradient is NaN or the kernel infinite. Warns before a kernel of more than 2 GiB.

    >>> model = nn.Linear(2, 1, bias=False).double()                   # f = w.x: K = x.x'
    >>> X = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    >>> ntk(model, X).reshape(2, 2).tolist()
    [[5.0, 11.0], [11.0, 25.0]]
    """
    one_of("outputs", outputs, OUTPUTS)
    memory = positive_integer("memory", memory)
    batch = None if batch is None else positive_integer("batch", batch)
    checked_model(model)
    X, X2 = read("X", X), read("X2", X2)
    if rows("X", X) < 1:
        shape = f" has shape {tuple(X.shape)}" if hasattr(X, "shape") else " has 0 rows"
        raise ValueError(f"X{shape}: must be (n, ...) with n of at least 1")
    m = rows("X2", X if X2 is None else X2)
    if m < 1:
        raise ValueError("X2 has 0 rows: must have at least 1")
    with differentiable(model):
        network = Network(model if outputs != "sum" else _Summed(model), X)
        X = network.X
        X2 = X if X2 is None else network.others(X2)
        if batch is None:
            batch = network.batch(int(ACTIVATIONS * memory))
        K = _Kernel(network, X, X2, rows("X", X), m, memory, batch).made(outputs)
    if not math.isfinite(float(K.sum())) and not bool(K.isfinite().all()):  # a sum takes no memory
        check_slopes(model, X)
        if X2 is not X:
            check_slopes(model, X2, "X2")
        kind = f"{K.dtype}".removeprefix("torch.")
        raise NotFiniteError(f"the kernel of X has entries beyond the numbers of {kind}")
    return K


class _Summed(Around):
    """The sum of a module's outputs, one number a sample."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs, **named):
        f = flat(self.model(*inputs, **named))
        return f.reshape(len(f), -1).sum(1)


class _Kernel:
    """The making of one kernel."""

    def __init__(
        self,
        network: Network,
        X: Tree,
        X2: Tree,
        n: int,
        m: int,
        memory: int,
        batch: int,
    ) -> None:
        self.network, self.X, self.X2, self.n, self.m = network, X, X2, n, m
        self.memory, self.batch = memory, batch
        self.row = network.count * torch.finfo(network.dtype).bits // 8
        self.samples = n if X2 is X else n + m
        # Rows made at a time: all, or a small part of the memory next to what holds them all.
        part = memory if 2 * self.samples * network.C * self.row <= memory else memory // 8
        self.most = max(1, min(batch * network.C, n * network.C, part // self.row))

    def made(self, outputs: str) -> Tensor:
        """Return the kernel in the shape that ``ntk`` promises."""
        n, m, C, out = self.n, self.m, self.network.C, self.network.out
        traced = outputs == "trace"
        size = n * m * (1 if traced else C * C) * self.row // max(1, self.network.count)
        if size > LARGE:
            warnings.warn(
                f"this kernel takes {size / 2**30:.1f} GiB: outputs='trace' takes {C**2} times "
                "less, and ntk_product needs no kernel",
                stacklevel=4,
            )
        if self._fits(C):
            K = _gram(*self._both(range(C)), n if traced else n * C, m if traced else m * C)
            return K if traced else K.reshape(n, *out, m, *out)
        if traced and self._fits(1):
            return torch.stack([_gram(*self._both([a]), n, m) for a in range(C)]).sum(0)
        block = self.memory // (4 * C * self.row)
        K = self._by_blocks(block, traced) if block >= BLOCK else self._by_products(traced)
        return K if traced else K.reshape(n, *out, m, *out)

    def _fits(self, outputs: int) -> bool:
        return (self.samples * outputs + self.most) * self.row <= self.memory

    def _both(self, outputs: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
        J = self._jacobian(self.X, self.n, outputs)
        return J, J if self.X2 is self.X else self._jacobian(self.X2, self.m, outputs)

    def _jacobian(self, X: Tree, n: int, outputs: Sequence[int]) -> list[Tensor]:
        """Return the rows of all samples and these outputs: a matrix for each parameter."""
        count, done = n * len(outputs), 0
        J: list[Tensor] = []
        for part in self.network.parts(X, outputs, self.most):
            pieces = [
                value.reshape(len(value), -1).to(self.network.dtype) for value in part.values()
            ]
            if len(pieces[0]) == count:
                return pieces  # all at once: nothing to put together
            J = J or [piece.new_empty((count, piece.shape[1])) for piece in pieces]
            for whole, piece in zip(J, pieces, strict=True):
                whole[done : done + len(piece)] = piece
            done += len(pieces[0])
        return J

    def _by_blocks(self, block: int, traced: bool) -> Tensor:
        """Return the kernel block by block, the Jacobians of two blocks of samples at a time."""
        n, m, outputs = self.n, self.m, range(self.network.C)
        each = 1 if traced else len(outputs)
        K = torch.zeros(
            (n * each, m * each), dtype=self.network.dtype, device=self.network.like.device
        )
        for i in range(0, n, block):
            rows_i = slice(i, min(i + block, n))
            J = self._jacobian(taken(self.X, rows_i), rows_i.stop - i, outputs)
            for j in range(i if self.X2 is self.X else 0, m, block):
                rows_j, J2 = slice(j, min(j + block, m)), J
                if self.X2 is not self.X or i != j:
                    J2 = self._jacobian(taken(self.X2, rows_j), rows_j.stop - j, outputs)
                found = _gram(J, J2, (rows_i.stop - i) * each, (rows_j.stop - j) * each)
                at_i, at_j = (slice(r.start * each, r.stop * each) for r in (rows_i, rows_j))
                K[at_i, at_j] = found
                if self.X2 is self.X:
                    K[at_j, at_i] = found.T
        return K

    def _by_products(self, traced: bool) -> Tensor:
        """Return the kernel row by row: over pairs (sample, output), or traced over the outputs."""
        n, m, C = self.n, self.m, self.network.C
        shape = (n, m) if traced else (n * C, m * C)
        K = torch.zeros(shape, dtype=self.network.dtype, device=self.network.like.device)
        most = max(1, min(self.batch * C, self.memory // (2 * self.row)))
        number = 0
        for part in self.network.parts(self.X, range(C), most):
            values = {name: value.split(1) for name, value in part.items()}
            for i in range(len(next(iter(values.values())))):
                row = {name: value[i][0] for name, value in values.items()}
                products = self._products(row)  # (m, C)
                if traced:
                    K[number // C] += products[:, number % C]
                else:
                    K[number] = products.flatten()
                number += 1
            del part, values, row  # before the next rows are made
        return K

    def _products(self, row: dict[str, Tensor]) -> Tensor:
        chunks = [taken(self.X2, slice(i, i + self.batch)) for i in range(0, self.m, self.batch)]
        try:
            found = [self.network.moved(row, chunk).reshape(-1, self.network.C) for chunk in chunks]
            return torch.cat(found).to(self.network.dtype)
        except (ValueError, *MISSING):  # no forward mode: by rows of X2, which are made again
            flat_row = torch.cat([value.flatten().to(self.network.dtype) for value in row.values()])
            most = max(1, self.memory // (4 * self.row))
            parts = self.network.rows(self.X2, range(self.network.C), most)
            return torch.cat([part @ flat_row for part in parts]).reshape(self.m, self.network.C)


def _gram(J: list[Tensor], J2: list[Tensor], rows: int, columns: int) -> Tensor:
    """Return the products of all rows, summed over the parameters and what a row holds."""
    total = None
    for a, b in zip(J, J2, strict=True):
        product = a.reshape(rows, -1) @ b.reshape(columns, -1).T
        total = product if total is None else total.add_(product)
    assert total is not None
    return total


@checks_its_arguments
def ntk_product(
    model: nn.Module, X: Tree, v: Tensor, X2: Tree | None = None
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
    X, X2 = read("X", X), read("X2", X2)
    n = rows("X", X)
    rows("X2", X if X2 is None else X2)
    with differentiable(checked_model(model)):
        network = Network(model, X)
        v = numbers("v", v).to(network.like.device)
        wanted = (n, *network.out)
        if tuple(v.shape) != wanted:
            raise ValueError(f"v has shape {tuple(v.shape)}: must be {wanted}, as f(X) has")
        direction = network.pulled(network.X, v.to(network.output_dtype))
        return network.moved(direction, network.X if X2 is None else network.others(X2))


@checks_its_arguments
def as_matrix(K: Float[Tensor, "..."]) -> Float[Tensor, "rows columns"]:
    """Return a kernel as a matrix whose rows and columns are pairs (sample, output).

    The labels that go with it are ``y.flatten()``.

    >>> as_matrix(torch.zeros(4, 2, 5, 2)).shape, as_matrix(torch.zeros(4, 5)).shape
    (torch.Size([8, 10]), torch.Size([4, 5]))
    """
    K = numbers("K", K)
    if K.dim() % 2 or not K.dim():
        raise ValueError(
            f"K has shape {tuple(K.shape)}: must have as many axes for rows as columns"
        )
    half = K.dim() // 2
    return K.reshape(math.prod(K.shape[:half]), math.prod(K.shape[half:]))
