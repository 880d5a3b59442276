"""Weights that a module uses under ``torch.inference_mode()``: they would not be trained."""

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lazyrich.simulate.modules.trees import Tree, call, leaves


def check_no_inference(model: nn.Module, x: Tree, f: Tensor) -> None:
    """Raise ``ValueError`` where outputs f at x have no gradient in a weight by inference mode.

    >>> class Cut(nn.Sequential):
    ...     def forward(self, x):
    ...         with torch.inference_mode():
    ...             h = self[0](x)
    ...         return self[1](h.clone())
    >>> model, x = Cut(nn.Linear(1, 1), nn.Linear(1, 1)), torch.ones(1, 1)
    >>> check_no_inference(model, x, model(x))
    Traceback (most recent call last):
    ...
    ValueError: the model uses 0.weight under torch.inference_mode(), so it can't be trained: \
leave inference_mode() out of forward, or set requires_grad=False for it
    """
    reached = _variables(f)
    names = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    missing = {key: name for key, name in names.items() if key not in reached}
    if not missing:
        return
    seen = _Seen(missing)
    with suppress(Exception), torch.enable_grad(), seen:
        call(model, x)
    if seen.found:
        raise ValueError(
            f"the model uses {seen.found[0]} under torch.inference_mode(), so it can't be trained: "
            "leave inference_mode() out of forward, or set requires_grad=False for it"
        )


class _Seen(TorchFunctionMode):
    """Notes which weights are arguments of torch's functions in inference mode."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self._names, self.found = names, list[str]()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():
            used = (self._names.get(id(leaf)) for leaf in leaves((args, kwargs)))
            self.found += [name for name in used if name]
        return func(*args, **kwargs)


def _variables(f: Tensor) -> set[int]:
    """Return the ``id`` of every tensor in which f has a gradient."""
    found, known, nodes = set(), set(), [f.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in known:
            continue
        known.add(node)
        if isinstance(variable := getattr(node, "variable", None), Tensor):
            found.add(id(variable))
        nodes += [next_node for next_node, _ in node.next_functions]
    return found
