"""Arrays that a user gives (checked), and arrays that a seed gives (independent streams)."""

from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from lazyrich.support.arguments import dense, shown
from lazyrich.support.arguments import natural as natural

# Every random object has its own stream, so that two objects made from one seed share no number.
STREAMS = {
    "train inputs": 0,
    "test inputs": 1,
    "beta": 2,
    "weights": 3,
    "readouts": 4,
    "train noise": 5,
    "test noise": 6,
    "observed entries": 20,
    "split": 30,  # which samples are for training
    "teacher": 31,  # the weights of the network that labels the data
    "batches": 32,
}

Shape = tuple[int | None, ...]


# Entries of a ``range``, which NumPy would make into a list one by one.
_LONGEST_RANGE = 10**8


def real_array(name: str, value: object, shape: Shape | list[Shape], allowed: str) -> Tensor:
    """Return ``value`` as a float64 tensor on the CPU, a copy of its own, if it has this shape.

    ``None`` in ``shape`` stands for any length of at least 1, and a list of shapes for any of
    them; ``allowed`` is how the message calls the shape. Raises ``ValueError`` for anything that is
    not an array of finite real numbers of that shape.

    >>> real_array("beta", [1, 2], (2,), "(D,) = (2,)")
    tensor([1., 2.], dtype=torch.float64)
    >>> real_array("beta", [1, 2], (3,), "(D,) = (3,)")
    Traceback (most recent call last):
    ...
    ValueError: beta has shape (2,): must be (D,) = (3,)
    """
    dense(name, value)
    try:
        raw = as_numpy(value)
    except (ValueError, TypeError):
        if isinstance(value, list | tuple):  # rows of different lengths
            given = f"{name} = {shown(value)}"
            raise ValueError(f"{given}: must be an array of real numbers, {allowed}") from None
        raw = np.asarray(None)
    if raw.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {type(value).__name__}: must be an array of real numbers")
    shapes = shape if isinstance(shape, list) else [shape]
    if not any(_matches(raw.shape, each) for each in shapes):
        raise ValueError(f"{name} has shape {tuple(raw.shape)}: must be {allowed}")
    array = np.array(raw, dtype=np.float64)
    if not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        raise ValueError(f"{name} has {count} NaN or infinite entries: must be finite")
    return torch.from_numpy(array)


def numbers(name: str, value: object) -> Tensor:
    """Return an array of numbers, of at least one axis, as a tensor. Raises ``ValueError``."""
    dense(name, value)
    with suppress(ValueError, TypeError, RuntimeError, OverflowError):
        found = value if isinstance(value, Tensor) else torch.as_tensor(native(_as_array(value)))
        if found.dim() and found.numel() and not found.is_complex() and found.dtype != torch.bool:
            return found
    raise ValueError(f"{name} = {shown(value)}: must be an array of real numbers, not empty")


def as_numpy(value: object) -> np.ndarray:
    """Return a dense tensor, or what NumPy makes an array of, as an array.

    >>> as_numpy(torch.ones(2, dtype=torch.bfloat16))
    array([1., 1.], dtype=float32)
    """
    if not isinstance(value, Tensor):
        return _as_array(value)
    found = value.detach().cpu().resolve_conj().resolve_neg()
    return (found.float() if found.dtype == torch.bfloat16 else found).numpy()


def _as_array(value: object) -> np.ndarray:
    if isinstance(value, range) and (value.stop - value.start) // value.step > _LONGEST_RANGE:
        raise ValueError("it would not fit into memory")
    return np.asarray(value)


def native(array: np.ndarray) -> np.ndarray:
    """Return an array in the byte order of this machine, and in a precision that torch has.

    >>> native(np.array([1.0, 2.0], dtype=">f4")).dtype == np.float32
    True
    """
    if array.dtype == np.longdouble:
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _matches(found: tuple[int, ...], shape: Shape) -> bool:
    return len(found) == len(shape) and all(
        got >= 1 if wanted is None else got == wanted
        for got, wanted in zip(found, shape, strict=True)
    )


def symmetric_matrix(name: str, value: object, D: int) -> Tensor:
    """Return ``value`` as a symmetric float64 tensor of shape (D, D).

    Raises ``ValueError`` where it differs from its transpose by more than rounding (1e-12 of its
    largest entry: a product A @ A.T of double-precision arrays passes).

    >>> symmetric_matrix("M", [[1.0, 2.0], [0.0, 1.0]], 2)
    Traceback (most recent call last):
    ...
    ValueError: M differs from its transpose by up to 2: must be symmetric
    """
    matrix = real_array(name, value, (D, D), f"(D, D) = ({D}, {D})")
    gap = float((matrix - matrix.T).abs().max())
    if gap > 1e-12 * float(matrix.abs().max()):
        raise ValueError(f"{name} differs from its transpose by up to {gap:g}: must be symmetric")
    return (matrix + matrix.T) / 2


def standard_normal(seed: int, stream: str, shape: tuple[int, ...]) -> Tensor:
    """Return independent N(0, 1) entries, float64, from this seed's stream of that name.

    The first rows don't depend on how many rows are drawn: training sets of one seed are nested.

    >>> few, many = (standard_normal(0, "train inputs", (P, 3)) for P in (2, 5))
    >>> bool((few == many[:2]).all()), bool((few == standard_normal(0, "beta", (2, 3))).any())
    (True, False)
    """
    return torch.from_numpy(generator(seed, stream).standard_normal(shape))


def generator(seed: int, stream: str, part: int = 0) -> np.random.Generator:
    """Return a generator at the start of this seed's stream of that name.

    ``part`` numbers streams within a stream, such as those of layers.

    >>> bool(generator(0, "batches", 1).random() == generator(0, "batches", 2).random())
    False
    """
    key = (STREAMS[stream], part) if part else (STREAMS[stream],)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
