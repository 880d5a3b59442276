"""Hypothesis strategies for everything that the theory quantifies over, corners included.

Entries of arrays are multiples of 1/16, scales are powers of two: such inputs are exact in double
and in single precision, can be put into rational arithmetic, and shrink to small numbers. Where
Gaussian data are wanted, draw a seed.

>>> from hypothesis import find
>>> find(networks(), lambda network: network.N > 1).W.tolist()
[[0.0], [0.0]]
"""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportArgumentType=false

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Array = np.ndarray
_GRAIN = 16


def dimensions(largest: int = 5) -> SearchStrategy[int]:
    """D from 1 on."""
    return st.integers(1, largest)


def widths(largest: int = 5) -> SearchStrategy[int]:
    """N from 1 on."""
    return st.integers(1, largest)


def sample_sizes(largest: int = 6) -> SearchStrategy[int]:
    """P from 1 on, below, at and above the number of weights."""
    return st.integers(1, largest)


def seeds() -> SearchStrategy[int]:
    """Seeds of random draws."""
    return st.integers(0, 2**32 - 1)


def entries(bound: int = 4) -> SearchStrategy[float]:
    """Multiples of 1/16 of absolute value at most ``bound``."""
    return st.integers(-bound * _GRAIN, bound * _GRAIN).map(lambda k: k / _GRAIN)


def epsilons() -> SearchStrategy[float]:
    """Curvatures epsilon of both signs, 0 (a linear network) included."""
    return entries(bound=2)


def scales(smallest: int = -6, largest: int = 6) -> SearchStrategy[float]:
    """Powers of two: positive, tiny to huge as the exponents say."""
    return st.integers(smallest, largest).map(lambda k: 2.0**k)


def alphas(smallest: int = -20, largest: int = 20) -> SearchStrategy[float]:
    """Output scales alpha from 2^smallest to 2^largest, of both signs, never 0."""
    signs = st.sampled_from([1.0, -1.0])
    odd = st.sampled_from([1.0, 1.5, 1.25, 1.75])
    return st.builds(lambda s, m, scale: s * m * scale, signs, odd, scales(smallest, largest))


def arrays(*shape: int, bound: int = 4) -> SearchStrategy[Array]:
    """Arrays of this shape with entries that are multiples of 1/16."""
    size = int(np.prod(shape))
    items = st.lists(entries(bound), min_size=size, max_size=size)
    return items.map(lambda values: np.array(values, dtype=float).reshape(shape))


def vectors(D: int) -> SearchStrategy[Array]:
    """Vectors (D,) of any norm, 0 included, such as beta or wbar."""
    return st.builds(lambda scale, v: scale * v, scales(-4, 4), arrays(D))


def symmetric_matrices(D: int) -> SearchStrategy[Array]:
    """Symmetric matrices (D, D), mostly indefinite."""
    return arrays(D, D).map(lambda A: (A + A.T) / 2)


def second_moments(D: int) -> SearchStrategy[Array]:
    """Positive semidefinite matrices (D, D) of any rank, such as M of real neurons."""
    return st.integers(0, D).flatmap(
        lambda rank: arrays(rank, D).map(lambda W: W.T @ W) if rank else st.just(np.zeros((D, D)))
    )


def any_second_moments(D: int) -> SearchStrategy[Array]:
    """M as the formulas take it: semidefinite or indefinite, of any scale."""
    either = st.one_of(second_moments(D), symmetric_matrices(D))
    return st.builds(lambda scale, M: scale * M, scales(-4, 4), either)


@dataclass(frozen=True)
class Network:
    """A network and its target: weights W (N, D), target vector beta (D,), alpha and epsilon."""

    alpha: float
    epsilon: float
    W: Array
    beta: Array

    @property
    def N(self) -> int:
        """The width."""
        return self.W.shape[0]

    @property
    def D(self) -> int:
        """The dimension of the input."""
        return self.W.shape[1]

    def moments(self) -> tuple[Array, Array]:
        """(wbar, M) of shapes (D,) and (D, D) [eq. 4]."""
        return self.W.mean(0), self.W.T @ self.W / self.N


@st.composite
def networks(draw, largest_D: int = 5, largest_N: int = 5) -> Network:
    """Networks of every D, N, alpha, epsilon, with a target vector of any norm."""
    D, N = draw(dimensions(largest_D)), draw(widths(largest_N))
    return Network(draw(alphas()), draw(epsilons()), draw(arrays(N, D)), draw(vectors(D)))


def networks_with_rows(rows: int) -> SearchStrategy[tuple[Network, Array]]:
    """Networks with an array (rows, D) each: inputs, or the weights of other neurons."""
    return networks().flatmap(lambda network: st.tuples(st.just(network), arrays(rows, network.D)))


@dataclass(frozen=True)
class Training:
    """A network with training inputs X (P, D), which may be centred (f(w) - f(w0) is trained)."""

    network: Network
    X: Array
    centred: bool

    @property
    def P(self) -> int:
        """The number of samples."""
        return self.X.shape[0]

    @property
    def y(self) -> Array:
        """The labels (beta.x)^2/2, shape (P,)."""
        return (self.X @ self.network.beta) ** 2 / 2


@st.composite
def trainings(draw, largest_D: int = 4, largest_N: int = 4, largest_P: int = 6) -> Training:
    """Networks with any training inputs, more or fewer than dimensions, 0 and repeats included."""
    network = draw(networks(largest_D, largest_N))
    X = draw(arrays(draw(sample_sizes(largest_P)), network.D, bound=2))
    return Training(network, X, draw(st.booleans()))


@st.composite
def closed_form_inputs(draw, expr: sp.Basic, largest: int = 4) -> dict[str, Any]:
    """Keyword arguments for a formula: {name: number or array}, of shapes and signs that fit.

    Sizes come first; symmetric matrices are semidefinite or indefinite, Sigma is positive definite.
    """
    from lazyrich.theory import generate
    from lazyrich.theory.symbols import SymmetricMatrixSymbol

    symbols = generate.arguments(expr)
    sizes = {
        name: draw(st.integers(1, largest))
        for name, symbol in symbols.items()
        if isinstance(symbol, sp.Symbol) and symbol.is_integer
    }
    values: dict[str, Any] = dict(sizes)
    for name, symbol in symbols.items():
        if isinstance(symbol, sp.Symbol):
            if name not in sizes:
                values[name] = draw(_scalars(symbol))
            continue
        shape = [
            int(size.subs({s: sizes[str(s)] for s in size.free_symbols})) for size in symbol.shape
        ]
        if symbol.shape[1] == 1:
            values[name] = draw(vectors(shape[0]))
        elif name == "Sigma":
            values[name] = draw(second_moments(shape[0])) + np.eye(shape[0])
        else:
            is_symmetric = isinstance(symbol, SymmetricMatrixSymbol)
            values[name] = draw(any_second_moments(shape[0]) if is_symmetric else arrays(*shape))
    return values


def _scalars(symbol: sp.Symbol) -> SearchStrategy[float]:
    if symbol.is_positive:
        return alphas(-6, 6).map(abs)
    return alphas() if symbol.is_nonzero else epsilons()
