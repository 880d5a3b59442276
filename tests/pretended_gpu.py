# type: ignore  (torch's inner methods have no types)
"""A GPU that isn't there: tensors that say they are on another device, and compute on the CPU.

While ``PretendedGPU()`` is on, torch's device "meta" holds numbers, and an operation that mixes its
tensors with those of the CPU fails, as on a GPU.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"
# What may mix devices: copies, and a GPU's tensors indexed by places from the CPU.
_MIXING = ("_to_copy", "copy_", "index")


class OnGPU(torch.Tensor):
    """A tensor on the pretended GPU, whose numbers are ``held`` on the CPU."""

    is_meta = False
    held: torch.Tensor

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        del types
        return _computed(op, args, kwargs or {})


class PretendedGPU(TorchDispatchMode):
    """While it is on, the device "meta" is a GPU."""

    def __enter__(self):
        self.real = torch.tensor, torch.as_tensor  # which make tensors of "meta" without numbers
        torch.tensor, torch.as_tensor = map(_here_first, self.real)
        return super().__enter__()

    def __exit__(self, *error):
        torch.tensor, torch.as_tensor = self.real
        return super().__exit__(*error)

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        del types
        return _computed(op, args, kwargs or {})


def _here_first(make):
    def made(value, *, device=None, **how):
        found = make(value, **how)
        return found if device is None else found.to(device)

    return made


def _computed(op, args: Any, kwargs: dict) -> Any:
    """Compute on the CPU, and put the result on the device on which a GPU would have it."""
    given = [v for v in tree_leaves((args, kwargs)) if isinstance(v, torch.Tensor)]
    there = [v for v in given if isinstance(v, OnGPU)]
    device, name = kwargs.get("device"), str(op)
    if there and not any(part in name for part in _MIXING):
        for v in given:
            if not isinstance(v, OnGPU) and v.dim() > 0:
                raise RuntimeError(f"{op}: expected all tensors on the same device: {v.shape}")
    if device is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    found = op(*tree_map(_held, args), **tree_map(_held, kwargs))
    stays = bool(there) if device is None else torch.device(device).type == DEVICE
    known = {id(v.held): v for v in there}  # what was changed in place

    def placed(v: Any) -> Any:
        if not isinstance(v, torch.Tensor) or not stays:
            return v
        return known[id(v)] if id(v) in known else OnGPU(v)

    return tree_map(placed, found)


def _held(v: Any) -> Any:
    return v.held if isinstance(v, OnGPU) else v
