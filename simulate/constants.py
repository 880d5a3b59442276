"""The values of the symbols of a target and of an activation, given together under their names."""

from functools import lru_cache
from typing import Any

from lazyrich.simulate import activations, goals
from lazyrich.support.arguments import by_name


def shared_out(
    constants: Any, target: Any, activation: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the constants of the target and those of the activation.

    A name that is in neither goes to the activation, which says so.

    >>> shared_out({"c": 1.0, "k": 2.0}, "(beta.x)^3 + k", "h + c h^3")
    ({'k': 2.0}, {'c': 1.0})
    """
    given = by_name("constants", constants)
    of_target, of_activation = _names("target", target), _names("activation", activation)
    mine = {name: value for name, value in given.items() if name in of_target}
    rest = {n: v for n, v in given.items() if n in of_activation or n not in of_target}
    return mine, rest


def _names(kind: str, text: Any) -> frozenset[str]:
    try:
        return _known_names(kind, text)
    except TypeError:  # what has no hash is no text either
        return _known_names.__wrapped__(kind, text)


@lru_cache(maxsize=64)
def _known_names(kind: str, text: Any) -> frozenset[str]:
    if isinstance(text, str) and text in (goals.DEFAULT, activations.DEFAULT):
        return frozenset()
    from lazyrich.theory.activation import Activation  # here: SymPy takes a while
    from lazyrich.theory.target_function import Target

    return frozenset((Target if kind == "target" else Activation)(text).symbols)
