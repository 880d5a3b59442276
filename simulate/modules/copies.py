"""Copies of a module and of functions of the user, with what they remember.

``copy.deepcopy`` leaves out the hooks of parameters, and takes functions as they are: a call of the
copy would count where the original counts. Here a function has copies of the variables that it
closes over, and of the global ones that it may change.
"""

import copy
import functools
import math
import random
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Copies by the ``id`` of what they are copies of.
Memo = dict[int, Any]
# Tensors, arrays and lists of more are data, which no function of the user may change.
_SMALL = 1000
_LISTS = (list, dict, set, deque)
_CHANGE = (
    *(*_LISTS, np.random.Generator, np.random.RandomState, random.Random, torch.Generator),
    MethodType,
)
_OF_MODULES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_OF_OPTIMISERS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


def model_copied(model: nn.Module, memo: Memo) -> nn.Module:
    """Return a copy of a module, hooks and all.

    >>> def noting(calls):
    ...     return lambda g: calls.append(1) or 2 * g
    >>> line, calls = nn.Linear(1, 1), []
    >>> _ = line.weight.register_hook(noting(calls))
    >>> twin = model_copied(line, {})
    >>> twin(torch.ones(1, 1)).sum().backward()
    >>> float(twin.weight.grad), calls
    (2.0, [])
    """
    found = copy.deepcopy(model, memo)
    for part in found.modules():
        for name in _OF_MODULES:
            _copy_functions(getattr(part, name), memo)
        _copy_functions(vars(part), memo)
    for parameter in model.parameters():
        twin = memo[id(parameter)]
        for hook in (parameter._backward_hooks or {}).values():
            twin.register_hook(remembering(hook, memo))
        for hook in (getattr(parameter, "_post_accumulate_grad_hooks", None) or {}).values():
            twin.register_post_accumulate_grad_hook(remembering(hook, memo))
    return found


def optimiser_copied(optimiser: torch.optim.Optimizer, memo: Memo) -> torch.optim.Optimizer:
    """Return a copy of the optimiser of a module that ``memo`` has, with what its class added."""
    found = memo[id(optimiser)] = object.__new__(type(optimiser))
    vars(found).update(copy.deepcopy(vars(optimiser), memo))
    for name in _OF_OPTIMISERS:
        _copy_functions(getattr(found, name, {}), memo)
    _copy_functions(vars(found), memo)
    return found


def remembering(value: Any, memo: Memo) -> Any:
    """Return a copy that remembers by itself, and the value where it has none.

    >>> def counting(calls=0):
    ...     def count():
    ...         nonlocal calls
    ...         calls += 1
    ...         return calls
    ...     return count
    >>> count = counting()
    >>> twin = remembering(count, {})
    >>> twin(), twin(), count()
    (1, 2, 1)
    """
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, FunctionType):
        return _function(value, memo)
    if isinstance(value, MethodType):
        return MethodType(value.__func__, remembering(value.__self__, memo))
    if isinstance(value, functools.partial):
        places = [remembering(part, memo) for part in value.args]
        names = {name: remembering(part, memo) for name, part in value.keywords.items()}
        return functools.partial(remembering(value.func, memo), *places, **names)
    if isinstance(value, nn.Module) or _is_large(value):
        return value
    with suppress(Exception):  # what a function holds may raise any
        return copy.deepcopy(value, memo)
    return value


def _function(f: FunctionType, memo: Memo) -> FunctionType:
    of = (f.__module__ or "").partition(".")[0]
    if of in ("torch", "numpy"):
        return f
    names = f.__globals__
    if of != "lazyrich":
        names = memo.setdefault(id(names), dict(names))
    cells = tuple(memo.setdefault(id(cell), CellType()) for cell in f.__closure__ or ())
    made = FunctionType(f.__code__, names, f.__name__, f.__defaults__, cells or None)
    made.__kwdefaults__ = f.__kwdefaults__
    vars(made).update(vars(f))
    memo[id(f)] = made
    for cell, kept in zip(cells, f.__closure__ or (), strict=True):
        with suppress(ValueError):  # one that is empty so far
            cell.cell_contents = remembering(kept.cell_contents, memo)
    if names is not f.__globals__:
        for name in _names(f.__code__):
            value = f.__globals__.get(name)
            near = isinstance(value, FunctionType) and value.__globals__ is f.__globals__
            if near or isinstance(value, _CHANGE):
                names[name] = remembering(value, memo)
    return made


def _is_large(value: Any) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return math.prod(value.shape) > _SMALL
    return isinstance(value, _LISTS) and len(value) > _SMALL


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code may look up among the global ones."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)


def _copy_functions(named: dict[Any, Any], memo: Memo) -> None:
    """Replace functions in a dict by their copies."""
    for name, value in named.items():
        if isinstance(value, FunctionType):
            named[name] = remembering(value, memo)
