"""A module's weights as they are now, kept: what centring and linearising refer to."""

import copy

from torch import nn

# Their output is random, or hangs on the other samples: they have no f(x; w) to expand or subtract.
_UNDEFINED = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def checked_model(model: object) -> nn.Module:
    """Return ``model`` if it is a module with weights to train and f(x; w) is one function of x.

    Raises ``ValueError`` for anything else, for dropout above 0 and for batch normalisation.

    >>> checked_model(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))
    Traceback (most recent call last):
    ...
    ValueError: model has a Dropout: must be the same function of each sample at every call
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is {type(model).__name__}: must be a torch.nn.Module")
    for part in model.modules():
        if isinstance(part, _UNDEFINED) and getattr(part, "p", 1) > 0:
            raise ValueError(
                f"model has a {type(part).__name__}: must be the same function of each sample at "
                "every call"
            )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameters that require a gradient: must have some to train")
    return model


def frozen(model: nn.Module) -> nn.Module:
    """Return a copy of the module with its parameters as buffers: the same function, untrainable.

    It appears in the ``state_dict`` of what holds it, moves with it to a device or dtype, and adds
    nothing to its parameters.

    >>> import torch
    >>> model = nn.Linear(3, 2)
    >>> kept = frozen(model)
    >>> _ = nn.init.zeros_(model.weight)
    >>> list(kept.parameters()), sorted(kept.state_dict()), bool(kept.weight.abs().max() > 0)
    ([], ['bias', 'weight'], True)
    """
    copied = copy.deepcopy(model)
    for part in copied.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                del part._parameters[name]
                part.register_buffer(name, parameter.detach())
    return copied
