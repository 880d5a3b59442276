"""Plain attributes of the parts of a module: numbers and text, as in a part that counts calls."""

from typing import Any

from torch import nn

# By the name of the part and that of the attribute.
Attributes = dict[str, dict[str, Any]]
_PLAIN = (bool, int, float, str)


def attributes_of(model: nn.Module) -> Attributes:
    """Return the attributes of each part that are numbers or text.

    >>> attributes_of(nn.Sequential(nn.Dropout(0.5)))["0"]
    {'training': True, 'p': 0.5, 'inplace': False}
    """
    return {
        name: {key: value for key, value in vars(part).items() if type(value) in _PLAIN}
        for name, part in model.named_modules()
    }


def changed_attributes(model: nn.Module, before: Attributes) -> Attributes:
    """Return those that are no longer what they were.

    >>> model = nn.Dropout(0.5)
    >>> before, model.p = attributes_of(model), 0.25
    >>> changed_attributes(model, before)
    {'': {'p': 0.25}}
    """
    found = {}
    for name, now in attributes_of(model).items():
        known = before.get(name, {})
        if changed := {k: v for k, v in now.items() if k not in known or known[k] != v}:
            found[name] = changed
    return found


def put_attributes(model: nn.Module, kept: Attributes) -> None:
    """Give the parts these attributes."""
    for name, part in model.named_modules():
        vars(part).update(kept.get(name, {}))
