"""Optimisers of torch by name, as the command line gives them."""

import inspect
from typing import Any

import torch

from lazyrich.simulate.modules.trainer import Optimiser
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, not_negative, one_of

NAMES = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and name != "Optimizer"
)


@checks_its_arguments
def optimiser_named(
    name: str,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> Optimiser:
    """Return a class of ``torch.optim`` at these settings, as ``fit`` and ``diagnose`` take it.

    Raises ``ValueError`` in one line for another name, and for what the class does not have.

    >>> made = optimiser_named("SGD", 0.1, momentum=0.9)
    >>> made([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"]
    0.1
    >>> optimiser_named("Adam", momentum=0.9)
    Traceback (most recent call last):
    ...
    ValueError: momentum = 0.9: Adam has no momentum: leave it out
    """
    kind = getattr(torch.optim, one_of("optimiser", name, NAMES))
    known, options = inspect.signature(kind).parameters, {}
    if learning_rate is not None:
        options["lr"] = finite("learning_rate", learning_rate, positive=True)
    elif name == "SGD":
        raise ValueError("learning_rate is missing: SGD needs one")
    for key, value in (("momentum", momentum), ("weight_decay", weight_decay)):
        number = not_negative(key, value)
        if number and key not in known:
            what = key.replace("_", " ")
            raise ValueError(f"{key} = {number:g}: {name} has no {what}: leave it out")
        if number or (key == "weight_decay" and key in known):
            options[key] = number

    def made(weights: list[Any]) -> torch.optim.Optimizer:
        return kind(weights, **options)

    return made
