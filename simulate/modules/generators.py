"""The global random numbers of torch, NumPy and Python, as they stand, and put back."""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch

# By name, the state of each generator.
States = dict[str, Any]


def states() -> States:
    """Return the state of each global generator, as a file can hold it.

    >>> before, first = states(), torch.rand(2)
    >>> put(before)
    >>> torch.equal(torch.rand(2), first), list(digests(before))
    (True, ['torch', 'numpy', 'python'])
    """
    return _each(_as_tensor, _now())


def put(kept: States) -> None:
    """Put the generators into these states; those of no name stay as they are."""
    if "torch" in kept:
        torch.set_rng_state(kept["torch"].cpu())
    if "cuda" in kept and torch.cuda.is_initialized():
        torch.cuda.set_rng_state_all([state.cpu() for state in kept["cuda"]])
    if "numpy" in kept:
        np.random.set_state(_each(_as_array, kept["numpy"]))  # noqa: NPY002 (the user's)
    if "python" in kept:
        version, numbers, gauss = kept["python"]
        numbers = numbers.tolist() if isinstance(numbers, torch.Tensor) else numbers
        random.setstate((version, tuple(numbers), gauss))


@contextmanager
def left_alone() -> Iterator[None]:
    """Leave the generators as they were: what is measured must not change what is trained.

    >>> first = random.getstate()
    >>> with left_alone():
    ...     _ = torch.rand(2), np.random.random(), random.random()     # noqa: NPY002
    >>> random.getstate() == first
    True
    """
    before = _now()
    try:
        yield
    finally:
        now = _now()
        put({name: state for name, state in before.items() if not _same(state, now.get(name))})


@contextmanager
def fixed() -> Iterator[None]:
    """Draw the same numbers each time within this, and leave the generators as they were.

    >>> for _ in range(2):
    ...     with fixed():
    ...         print(float(torch.rand(())))
    0.49625658988952637
    0.49625658988952637
    """
    with left_alone():
        torch.manual_seed(0)
        random.seed(0)
        with suppress(TypeError):  # of a bit generator that is not NumPy's usual one
            np.random.seed(0)  # noqa: NPY002
        yield


def digests(kept: States) -> dict[str, str]:
    """Return a digest of each state."""
    return {name: hashlib.sha256(_bytes(state)).hexdigest() for name, state in kept.items()}


def _now() -> States:
    found: States = {"torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    found["numpy"] = np.random.get_state(legacy=False)  # noqa: NPY002
    found["python"] = random.getstate()
    return found


def _each(function: Callable[[Any], Any], state: Any) -> Any:
    """Apply a function to all that is no dict and no short tuple or list."""
    if isinstance(state, dict):
        return {name: _each(function, part) for name, part in state.items()}
    if isinstance(state, tuple | list) and len(state) < 100:
        return type(state)(_each(function, part) for part in state)
    return function(state)


def _as_tensor(part: Any) -> Any:
    if isinstance(part, np.ndarray | tuple):
        return torch.from_numpy(np.asarray(part).astype(np.int64))
    return part


def _as_array(part: Any) -> Any:
    return part.cpu().numpy().astype(np.uint64) if isinstance(part, torch.Tensor) else part


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(_same(part, other[name]) for name, part in one.items())
    if isinstance(one, list):
        return all(map(_same, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def _bytes(state: Any) -> bytes:
    if isinstance(state, torch.Tensor):
        return state.cpu().numpy().tobytes()
    if isinstance(state, dict):
        return b",".join(map(_bytes, state.values()))
    if isinstance(state, list | tuple):
        return b",".join(map(_bytes, state))
    return repr(state).encode()
