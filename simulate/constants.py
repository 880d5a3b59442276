"""The values of the symbols of a target and of an activation, given together under their names."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lazyrich.simulate import activations, goals
from lazyrich.support.arguments import by_name

if TYPE_CHECKING:
    from lazyrich.theory import Target


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


def kept_apart(
    target: "Target", values: Mapping[str, Any], others: Mapping[str, Any]
) -> tuple["Target", dict[str, Any]]:
    """Return the target and its values, renamed where ``others`` give a name another value.

    A task and a network have constants of their own: c of the target may be 0.7 where c of the
    activation is 0.2.

    >>> from lazyrich.theory import Target
    >>> kept_apart(Target("beta.x + c"), {"beta": [1.0], "c": 0.7}, {"c": 0.2})
    (Target('c_of_target + beta.x'), {'beta': [1.0], 'c_of_target': 0.7})
    """
    shared = [name for name, value in others.items() if _differs(values.get(name, value), value)]
    if not shared:
        return target, dict(values)
    new = {name: _fresh(f"{name}_of_target", {*values, *others}) for name in shared}
    expr = target.expr.subs({s: _named(s, new[n]) for n, s in target.symbols.items() if n in new})
    return type(target)(expr), {new.get(name, name): value for name, value in values.items()}


def _differs(value: Any, other: Any) -> bool:
    return hasattr(value, "shape") or float(value) != float(other)


def _fresh(name: str, taken: set[str]) -> str:
    return _fresh(f"{name}_", taken) if name in taken else name


def _named(symbol: Any, name: str) -> Any:
    """The symbol under another name: all that is known of it stays."""
    shape = getattr(symbol, "shape", ())
    return type(symbol)(name, *shape, **({} if shape else symbol.assumptions0))


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
