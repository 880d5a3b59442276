"""What a part of a tree is: one word, a product without spaces, a trace without brackets."""

from typing import Any


def is_negative(signs: list) -> bool:
    """Whether these signs make a term negative."""
    return sum(sign.type == "MINUS" for sign in signs) % 2 == 1


def is_transpose_sign(node: Any) -> bool:
    """Whether an exponent is T, as in x^T and x^{T}."""
    inside = inner(node)
    if getattr(inside, "data", None) == "group" and str(inside.children[0]) == "{":  # x^{T}
        node = inside.children[1]
    return str(word_of(node)) == "T"


def word_of(node: Any) -> Any:
    """The one word that a tree consists of, or None."""
    node = inner(node)
    return node if getattr(node, "type", None) == "WORD" else None


def primed(node: Any) -> str | None:
    """The name of a factor that is x' or w', a second argument after a dot: a row has no dot."""
    node = inner(node)
    parts: Any = getattr(node, "children", ())
    is_primed = getattr(node, "data", None) == "postfix" and len(parts) == 2
    is_one = is_primed and parts[1].type == "PRIME" and len(parts[1]) == 1
    return f"{parts[0]}_prime" if is_one and str(parts[0]) in ("x", "w") else None


def bare_trace(node: Any) -> Any:
    """The trace without brackets that a tree is, or None."""
    node = inner(node)
    return node if getattr(node, "data", None) == "trace" else None


def inner(node: Any) -> Any:
    """The tree below all nodes that have one child."""
    while len(getattr(node, "children", ())) == 1:
        node = node.children[0]
    return node


def is_tight(node: Any) -> bool:
    """Whether a factor is a product written without spaces."""
    return getattr(inner(node), "data", None) == "tight"
