"""Measuring a module: with kernels of torch that can be differentiated, and leaving no trace."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lazyrich.simulate.modules import generators

_PARTS = ("_parameters", "_buffers", "_modules")


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Leave buffers, attributes, gradients and the global random numbers as they were.

    Attributes that are changed in place (a list that grows) are beyond it.

    >>> model = nn.BatchNorm1d(2)
    >>> with untouched(model):
    ...     _ = model(torch.randn(5, 2))
    >>> model.running_mean, model.num_batches_tracked
    (tensor([0., 0.]), tensor(0))
    """
    attributes = [(part, dict(vars(part))) for part in model.modules()]
    inner = [(part, [dict(getattr(part, name)) for name in _PARTS]) for part, _ in attributes]
    values = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    with generators.left_alone():
        try:
            yield
        finally:
            for part, kept in attributes:
                vars(part).clear()
                vars(part).update(kept)
            for part, kept in inner:
                for name, members in zip(_PARTS, kept, strict=True):
                    getattr(part, name).clear()
                    getattr(part, name).update(members)
            with torch.no_grad():
                for buffer, value in values:
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)
            for parameter, gradient in gradients:
                parameter.grad = gradient


@contextmanager
def without_fast_path() -> Iterator[None]:
    """Use the same kernels of attention with and without gradients, so that f - f is exactly 0."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def plain_kernels(model: nn.Module) -> Iterator[None]:
    """Use kernels that have forward-mode and second derivatives.

    Fused attention and recurrent layers have neither: the plain kernels give the same values up to
    rounding.
    """
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(without_fast_path())
        if any(isinstance(part, nn.RNNBase) for part in model.modules()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of its own old names
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Use ``plain_kernels``, and leave the module ``untouched``."""
    with plain_kernels(model), untouched(model):
        yield
