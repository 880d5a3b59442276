"""Exact points, from simple to less simple, for the smallest counter-example to a formula."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sympy as sp

# From simple to less simple; 1 first, so that coincidences at 1 are met and passed over.
SIMPLE = tuple(sp.Rational(n) for n in ("1", "2", "1/2", "3", "1/3", "-1", "-2"))

_Value = TypeVar("_Value")


def simplest_first(domain: Mapping[str, Sequence[_Value]]) -> Iterator[dict[str, _Value]]:
    """The points of a domain, by the sum of the places of their values in its lists.

    >>> [tuple(point.values()) for point in simplest_first({"a": "xyz", "b": "uv"})]
    [('x', 'u'), ('x', 'v'), ('y', 'u'), ('y', 'v'), ('z', 'u'), ('z', 'v')]
    """
    lists: list[Any] = list(domain.values())
    most = sum(len(values) - 1 for values in lists)
    for total in range(most + 1):
        for places in _places([len(values) for values in lists], total):
            yield {n: v[i] for n, v, i in zip(domain, lists, places, strict=True)}


def _places(lengths: list[int], total: int) -> Iterator[tuple[int, ...]]:
    """The tuples of places below ``lengths`` that add up to ``total``, in lexical order."""
    if not lengths:
        if total == 0:
            yield ()
        return
    for first in range(min(total, lengths[0] - 1) + 1):
        for rest in _places(lengths[1:], total - first):
            yield first, *rest
