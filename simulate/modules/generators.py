"""The global random numbers of torch and NumPy, as they stand, and put back."""

import hashlib
from typing import Any

import numpy as np
import torch

# By name, what a file can hold of each.
States = dict[str, Any]


def states() -> States:
    """Return the state of each global generator.

    >>> before, first = states(), torch.rand(2)
    >>> put(before)
    >>> torch.equal(torch.rand(2), first), list(digests(before))
    (True, ['torch', 'numpy'])
    """
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (the user's)
    found: States = {"torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    found["numpy"] = (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest)
    return found


def put(kept: States) -> None:
    """Put the generators into these states; those of no name stay as they are."""
    if "torch" in kept:
        torch.set_rng_state(kept["torch"].cpu())
    if "cuda" in kept and torch.cuda.is_initialized():
        torch.cuda.set_rng_state_all([state.cpu() for state in kept["cuda"]])
    if "numpy" in kept:
        kind, keys, *rest = kept["numpy"]
        np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002


def digests(kept: States) -> dict[str, str]:
    """Return a digest of each state."""
    return {name: hashlib.sha256(_bytes(state)).hexdigest() for name, state in kept.items()}


def _bytes(state: Any) -> bytes:
    if isinstance(state, torch.Tensor):
        return state.cpu().numpy().tobytes()
    if isinstance(state, list | tuple):
        return b",".join(map(_bytes, state))
    return repr(state).encode()
