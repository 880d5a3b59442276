"""What is measured on any network: from its kernel and labels, and from its weights.

Kernels are those of ``ntk``: (n, m) or (n, *out, m, *out). Labels y have the shape of the output.
"""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import numbers
from lazyrich.simulate.metrics import alignment
from lazyrich.simulate.modules.ntk import as_matrix
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import dense, finite, shown
from lazyrich.support.patience import SILENCE


@checks_its_arguments
def kernel_alignments(K: Tensor, y: Tensor) -> dict[str, float]:
    """Return ``alignment`` and ``centred_alignment`` of a kernel with labels, 0 to 1 for a PSD K.

    Uncentred y^T K y/(|K|_F |y|^2), over pairs (sample, output) for a full kernel. With an (n, n)
    kernel and several labels a sample it is <K, y y^T>_F/(|K|_F |y y^T|_F) [Cortes et al. 2012],
    the same for one label. Centred: K and y less their means over the samples, output by output
    (H K H, H y; H = I - 1 1^T/n). NaN where it is 0/0. Raises ``ValueError`` for other shapes.

    >>> K, y = torch.tensor([[4.0, 2.0], [2.0, 1.0]]), torch.tensor([[2.0], [1.0]])
    >>> kernel_alignments(K, y)
    {'alignment': 1.0, 'centred_alignment': 1.0}
    """
    K, y = _pair(K, y)
    _check(K, y)
    middle = K.dim() // 2
    centred = K - K.mean(0, keepdim=True)
    centred = centred - centred.mean(middle, keepdim=True)
    return {
        "alignment": _alignment(K, y),
        "centred_alignment": _alignment(centred, y - y.mean(0, keepdim=True)),
    }


def _pair(K: object, y: object) -> tuple[Tensor, Tensor]:
    """Return kernel and labels as tensors of one floating type, the wider of the two.

    Whole numbers, such as those of one-hot labels, take the other's type.
    """
    kernel, labels = _finite("K", K), numbers("y", y)
    dtype = torch.promote_types(kernel.dtype, labels.dtype)
    if dtype in (torch.float16, torch.bfloat16):
        dtype = torch.float32
    return kernel.to(dtype), _finite("y", labels).to(device=kernel.device, dtype=dtype)


def _alignment(K: Tensor, y: Tensor) -> float:
    matrix = as_matrix(K)
    if matrix.shape[0] == y.numel():
        return float(alignment(matrix, y.flatten()))
    labels = y.flatten(1)
    power = torch.linalg.matrix_norm(labels.T @ labels)
    return float((labels * (matrix @ labels)).sum() / (torch.linalg.matrix_norm(matrix) * power))


def _check(K: Tensor, y: Tensor) -> None:
    n = y.shape[0]
    if tuple(K.shape) not in ((n, n), (*y.shape, *y.shape)):
        raise ValueError(
            f"K has shape {tuple(K.shape)}: must be {(n, n)} or {(*y.shape, *y.shape)}, for y of "
            f"shape {tuple(y.shape)}"
        )


# Kernels with more rows are factorised before their spectrum is tried.
_DIRECT = 2000
# A spectrum takes about as many seconds times the cube of its rows (one CPU, float32).
_SECONDS = 2e-10


@checks_its_arguments
def difficulty(K: Tensor, y: Tensor) -> float:
    """Return y^T K^-1 y, the squared distance that lazy training moves the weights [eqs. 8, 9].

    K is the kernel at the start on the training inputs, with a row for each entry of y; y the
    residual there, labels minus f(x; w0). It is the least |w - w0|^2 at which the linearised
    network fits y. So where K is singular, its null directions cost nothing if y has no part in
    them, and the difficulty is infinite if it has: no weights fit.

    With the (n, n) kernel of ``ntk(..., outputs="trace")`` and several labels a sample, K/C stands
    for the kernel of each of the C outputs, and the outputs add up.

    Eigenvalues below n eps of the largest are taken as 0. A y = K c that can be fitted has a part
    in their directions too, by the rounding of K and y: up to n eps (2 k |c| + |y|), k the largest
    eigenvalue. A larger part makes the difficulty infinite. Above 2,000 rows a Cholesky factor is
    tried first: about a hundred times as fast as the spectrum, and used where it shows that no
    eigenvalue is near 0. A line of the log says how long a large spectrum takes. Raises
    ``ValueError`` where K has a negative eigenvalue or another shape.

    >>> K = torch.tensor([[4.0, 0.0], [0.0, 0.0]])
    >>> difficulty(K, torch.tensor([6.0, 0.0])), difficulty(K, torch.tensor([6.0, 1.0]))
    (9.0, inf)
    """
    matrix, labels = _columns(K, y)
    if len(matrix) > _DIRECT:
        found = _by_cholesky(matrix, labels)
        if found is not None:
            return found
    eigenvalues, vectors, null = _spectrum(matrix)
    parts = vectors.T @ labels.to(vectors.dtype)
    alive = eigenvalues[~null]
    outside = float(parts[null].norm())
    if alive.numel() == 0:
        return float("inf") if outside > 0 else 0.0
    eps = len(parts) * torch.finfo(matrix.dtype).eps
    rounding = 2 * eps * float(alive.max() * (parts[~null] / alive[:, None]).norm())
    rounding += eps * float(parts.norm())
    if outside > rounding:
        return float("inf")
    return float((parts[~null].square() / alive[:, None]).sum())


def _columns(K: object, y: object) -> tuple[Tensor, Tensor]:
    """Return the kernel as a matrix, and the labels as the columns that it acts on."""
    kernel, labels = _finite("K", K), _finite("y", y)
    matrix, n = as_matrix(kernel), len(labels)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"K has shape {tuple(kernel.shape)}: must have the same samples on both sides"
        )
    if labels.numel() == len(matrix):
        return matrix, labels.reshape(-1, 1)
    if kernel.dim() == 2 and len(matrix) == n and labels.dim() > 1:
        return matrix / (labels.numel() // n), labels.flatten(1)
    raise ValueError(f"y has {labels.numel()} entries: must be {len(matrix)}, the rows of K")


def _finite(name: str, value: object) -> Tensor:
    """Return an array of finite numbers as a floating tensor. Raises ``ValueError``."""
    found = numbers(name, value)
    if not found.is_floating_point():
        return found.double()
    if not bool(found.isfinite().all()):
        count = int((~found.isfinite()).sum())
        raise ValueError(f"{name} has {count} NaN or infinite entries: must be finite")
    return found


def _by_cholesky(matrix: Tensor, labels: Tensor) -> float | None:
    """Return the difficulty where K is clearly positive definite, else None."""
    factor, failed = torch.linalg.cholesky_ex(matrix.double())
    pivots = factor.diagonal().square()
    limit = len(matrix) * torch.finfo(matrix.dtype).eps
    if bool(failed) or not float(pivots.min()) > 100 * limit * float(pivots.max()):
        return None
    return float(torch.linalg.solve_triangular(factor, labels.double(), upper=False).square().sum())


@checks_its_arguments
def effective_dimension(K: Tensor, ridge: float) -> float:
    """Return Tr K (K + ridge)^-1: how many directions ridge regression with this kernel fits.

    ``ridge`` is added to the eigenvalues of K as it stands, not divided by the number of samples.
    At 0 it is the rank of K, eigenvalues below n eps of the largest being 0. Raises ``ValueError``
    for a negative ridge, and where K has a negative eigenvalue.

    >>> effective_dimension(torch.diag(torch.tensor([3.0, 1.0, 0.0])), ridge=1.0)
    1.25
    """
    if finite("ridge", ridge) < 0:
        raise ValueError(f"ridge = {shown(ridge)}: must be at least 0")
    eigenvalues, _, null = _spectrum(K)
    alive = eigenvalues[~null]
    return float((alive / (alive + ridge)).sum())


def _spectrum(K: object) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues, eigenvectors, and which eigenvalues are 0 up to rounding."""
    kernel = _finite("K", K)
    matrix = as_matrix(kernel)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"K has shape {tuple(kernel.shape)}: must have the same samples on both sides"
        )
    precision = torch.finfo(matrix.dtype).eps
    if matrix.dtype in (torch.float16, torch.bfloat16):
        matrix = matrix.float()
    seconds = _SECONDS * len(matrix) ** 3
    if seconds > SILENCE:
        logging.getLogger("lazyrich").warning(
            f"the spectrum of a kernel of {len(matrix):,} rows takes about {seconds:.1g} s"
        )
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    limit = len(eigenvalues) * precision * eigenvalues.abs().max()
    if bool(eigenvalues[0] < -limit):
        raise ValueError(f"K has an eigenvalue of {float(eigenvalues[0]):g}: must be none below 0")
    return eigenvalues, vectors, eigenvalues <= limit


@checks_its_arguments
def kernel_change(K: Tensor, K0: Tensor) -> float:
    """Return |K - K0|_F/|K0|_F: 0 while training is lazy. NaN where both are 0.

    Raises ``ValueError`` where they are no arrays of numbers of one shape.

    >>> kernel_change(2 * torch.eye(2), torch.eye(2))
    1.0
    """
    K, K0 = numbers("K", K), numbers("K0", K0)
    if K.shape != K0.shape:
        raise ValueError(f"K has shape {tuple(K.shape)}: must be that of K0, {tuple(K0.shape)}")
    change = K - K0 if K.is_floating_point() or K0.is_floating_point() else (K - K0).double()
    return float(torch.linalg.vector_norm(change) / torch.linalg.vector_norm(K0.to(change)))


@checks_its_arguments
def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the parameters that require a gradient, by name.

    >>> list(trained_weights(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is {type(model).__name__}: must be a torch.nn.Module")
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


@checks_its_arguments
def weight_norm(model: nn.Module) -> float:
    """Return |w|, the Euclidean norm of all trained parameters together.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> with torch.no_grad():
    ...     _ = model.weight.copy_(torch.tensor([[3.0, 4.0]]))
    >>> weight_norm(model)
    5.0
    """
    return _norm(trained_weights(model))


@checks_its_arguments
def parameter_change(model: nn.Module, start: Mapping[str, Tensor]) -> float:
    """Return |w - w0|/|w0|, w0 as ``trained_weights`` gave it; NaN where w0 = 0.

    >>> model = nn.Linear(2, 1)
    >>> start = trained_weights(model)
    >>> with torch.no_grad():
    ...     for parameter in model.parameters():
    ...         _ = parameter.mul_(3)
    >>> round(parameter_change(model, start), 6)
    2.0
    """
    weights = trained_weights(model)
    if not isinstance(start, Mapping) or weights.keys() != start.keys():
        raise ValueError(f"start = {shown(start)}: must be weights by name (trained_weights)")
    for name, value in weights.items():
        dense(f"start {name}", start[name])
        if not isinstance(start[name], Tensor) or start[name].shape != value.shape:
            reason = f"must be a tensor of shape {tuple(value.shape)}"
            raise ValueError(f"start {name} = {shown(start[name])}: {reason}")
    moved = {name: value - start[name] for name, value in weights.items()}
    return _norm(moved) / first if (first := _norm(start)) > 0 else float("nan")


def _norm(weights: Mapping[str, Tensor]) -> float:
    # In double precision: float32 sums of squares of many weights lose digits of their own.
    return float(sum(float(value.double().square().sum()) for value in weights.values()) ** 0.5)
