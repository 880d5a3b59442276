"""What a module returns, in words, and whether it still returns the same kind of thing."""

from typing import Any

from torch import Tensor

from lazyrich.simulate.modules.trees import leaves


def kind_of(f: Any, n: int) -> str:
    """Return what was returned for n samples, in words.

    >>> import torch
    >>> kind_of(torch.zeros(3, 2), 3), kind_of((torch.zeros(2), None), 3)
    ('a tensor (n, 2) of torch.float32', 'a tuple of a tensor (2) of torch.float32 and a NoneType')
    """
    if isinstance(f, Tensor):
        sizes = ["n" if axis == 0 and size == n else str(size) for axis, size in enumerate(f.shape)]
        return f"a tensor ({', '.join(sizes)}) of {f.dtype}"
    parts = leaves(f)
    if len(parts) == 1 and parts[0] is f:
        return f"a {type(f).__name__}"
    return f"a {type(f).__name__} of {' and '.join(kind_of(part, n) for part in parts)}"


def check_kind(first: str, f: Any, n: int) -> None:
    """Raise ``ValueError`` where a module returns another kind of thing than it did ``first``.

    >>> check_kind("a tensor (n, 2) of torch.float32", None, 3)
    Traceback (most recent call last):
    ...
    ValueError: the model returns a NoneType, and at first a tensor (n, 2) of torch.float32: must \
be one function f(x; w)
    """
    if (now := kind_of(f, n)) != first:
        raise ValueError(
            f"the model returns {now}, and at first {first}: must be one function f(x; w)"
        )
