"""Formulas as texts with what they mean on numbers, and their means by Gauss-Hermite cubature.

Independent of the package: the text, the function on arrays and the mean share no code with the
grammar or with Isserlis' theorem.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Formula:
    """A scalar: its text, its value on arrays, its degree in each Gaussian vector."""

    text: str
    value: Callable[[Values], Any]
    degree: int


GAUSSIANS = ("x", "x_prime", "w")
FIXED = ("b", "c", "beta")
MATRICES = ("A", "B", "S")  # S is symmetric

_vectors = st.sampled_from([*GAUSSIANS, *GAUSSIANS, *FIXED])
_maps = st.lists(st.sampled_from([(m, t) for m in MATRICES for t in ("", "'")]), max_size=2)


def _moved(name: str, chain: list) -> Callable[[Values], Any]:
    """Chain times a vector, for a batch of vectors."""

    def value(values: Values) -> Any:
        vector = values[name]
        for matrix, mark in reversed(chain):
            array = values[matrix]
            vector = vector @ (array if mark else array.T)
        return vector

    return value


def _chain_text(chain: list) -> str:
    text = ""
    for matrix, mark in chain:
        text += ("" if not text or text.endswith("'") else " ") + matrix + mark
    return text


@st.composite
def _forms(draw) -> Formula:
    """u' A B' v, written in one of the ways in which papers write it."""
    left, right, chain = draw(_vectors), draw(_vectors), draw(_maps)
    moved = _moved(right, chain)
    middle = _chain_text(chain)
    gap = " " if middle and not middle.endswith("'") else ""
    texts = [
        f"{left}'{middle}{gap}{right}",
        f"{left}^T {middle} {right}",
        f"({left}' {middle} {right})",
    ]
    texts.append(f"{left}.({middle} {right})" if middle else f"{left}.{right}")
    if middle:
        texts.append(f"tr({middle} {right} {left}')")  # cyclic
    elif left == right:
        texts.append(f"|{left}|^2")
    degree = (left in GAUSSIANS) + (right in GAUSSIANS)
    return Formula(draw(st.sampled_from(texts)), lambda v: (v[left] * moved(v)).sum(-1), degree)


@st.composite
def _numbers(draw) -> Formula:
    text, value = draw(
        st.sampled_from(
            [
                ("3/2", lambda _: 1.5),
                ("0.25", lambda _: 0.25),
                ("D", lambda v: float(len(v["b"]))),
                ("(D + 2)", lambda v: len(v["b"]) + 2.0),
                ("tr(A)", lambda v: np.trace(v["A"])),
                ("tr(A B')", lambda v: np.trace(v["A"] @ v["B"].T)),
                ("tr((A S)^2)", lambda v: np.trace(v["A"] @ v["S"] @ v["A"] @ v["S"])),
                ("epsilon^2", lambda v: v["epsilon"] ** 2),
                ("1/D", lambda v: 1.0 / len(v["b"])),
            ]
        )
    )
    return Formula(text, value, 0)


def formulas(degree: int) -> st.SearchStrategy[Formula]:
    """Polynomials in forms, of at most this degree in all Gaussian vectors together."""

    def add(a: Formula, b: Formula, sign: int) -> Formula:
        text = f"({a.text} {'+-'[sign < 0]} {b.text})"
        return Formula(text, lambda v: a.value(v) + sign * b.value(v), max(a.degree, b.degree))

    def multiply(a: Formula, b: Formula) -> Formula:
        return Formula(
            f"({a.text}) {b.text}", lambda v: a.value(v) * b.value(v), a.degree + b.degree
        )

    def power(a: Formula, n: int) -> Formula:
        return Formula(f"({a.text})^{n}", lambda v: a.value(v) ** n, a.degree * n)

    return st.recursive(
        st.one_of(_forms(), _forms(), _numbers()),
        lambda inner: st.one_of(
            st.builds(add, inner, inner, st.sampled_from([1, -1])),
            st.builds(multiply, inner, inner),
            st.builds(power, inner, st.integers(2, 4)),
        ),
        max_leaves=4,
    ).filter(lambda formula: formula.degree <= degree)


def numbers(dimension: int, seed: int) -> dict[str, Any]:
    """Values of everything that is not Gaussian: small multiples of 1/4."""
    draw = np.random.default_rng(seed)
    values: dict[str, Any] = {name: draw.integers(-6, 7, dimension) / 4 for name in FIXED} | {
        name: draw.integers(-6, 7, (dimension, dimension)) / 4 for name in MATRICES
    }
    return values | {"S": values["S"] + values["S"].T, "epsilon": 0.75, "sigma": 1.25}


def cubature_mean(
    value: Callable[[Values], Any], degree: int, scales: Mapping[str, np.ndarray], fixed: Values
) -> tuple[float, float]:
    """The mean of a polynomial, and of its magnitude, over Gaussian vectors L z for {name: L}."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(degree // 2 + 1)
    weights = weights / weights.sum()
    sizes = [scale.shape[1] for scale in scales.values()]
    grid = np.array(list(product(nodes, repeat=sum(sizes))))
    weight = np.array([np.prod(w) for w in product(weights, repeat=sum(sizes))])
    parts = np.split(grid, np.cumsum(sizes)[:-1], axis=1)
    drawn = {name: z @ scale.T for (name, scale), z in zip(scales.items(), parts, strict=True)}
    results = np.broadcast_to(value({**fixed, **drawn}), weight.shape)
    return float(weight @ results), float(weight @ abs(results))
