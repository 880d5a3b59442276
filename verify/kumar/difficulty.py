"""Claims of App. 10 on hard tasks: eqs. (8), (9) and the sentences around them (Kumar et al.)."""

from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from sympy import Rational

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import beta, epsilon, sigma
from lazyrich.theory.wick import dot
from lazyrich.verify import properties
from lazyrich.verify import strategies as given
from lazyrich.verify.counterexample import SIMPLE, smallest
from lazyrich.verify.evidence import attach, attacked, counterexample, equality, evidence
from lazyrich.verify.properties import alignment as properties_alignment
from lazyrich.verify.properties import difficulty as laws


def _one_neuron(y: Any, alpha: Any, w: Any = 1, e: Any = 1) -> tuple[Any, Any]:
    """(y^T K^-1 y, |w - w0|^2 of lazy training) at N = D = P = 1 and x = 1."""
    K = (1 + e * w) ** 2
    share = alpha * (1 + e * w)  # df/dw
    return y**2 / K, (y / share) ** 2


def _lazy_inputs():
    """(network, X (P, D), r (P,))."""

    def with_data(network: given.Network):
        return given.sample_sizes().flatmap(
            lambda P: st.tuples(
                st.just(network), given.arrays(P, network.D, bound=2), given.arrays(P)
            )
        )

    return given.networks(3, 4).flatmap(with_data)


def _scalar_movement(factor: int | None = None) -> Any:
    """(N/alpha^2) r^2/K of the closed form at P = 1; with a factor: as written here, times it."""
    k, r, a, n = sp.symbols("k r a n", positive=True)
    if factor is not None:
        return factor * n / a**2 * r**2 / k
    cf = closed_form("lazy-movement")
    return cf.evaluate(K=[[k]], r=[r], N=n, alpha=a)


def _changes():
    """(network, change of its weights (N, D), X (3, D))."""
    return given.networks().flatmap(
        lambda network: st.tuples(
            st.just(network), given.arrays(network.N, network.D), given.arrays(3, network.D)
        )
    )


def _null_mode(power: int) -> Any:
    """The limit of a mode's movement for eigenvalue 0, or of it over the eigenvalue."""
    from lazyrich.theory.training_symbols import lambda_k

    mode = closed_form("lazy-movement").components["mode"]
    return sp.limit(mode * lambda_k ** (power - 1), lambda_k, 0)


@evidence(
    "eq-8",
    "proved",
    "labels and alpha times 3 give the same training: the weights move as far",
    control={"what": "y^T K^-1 y"},
)
def invariant(what: str = "|w - w0|^2") -> str:
    """With labels and alpha times 3: other units, at N = D = P = x = w0 = epsilon = 1."""
    values = []
    for unit in (1, 3):
        difficulty, movement = _one_neuron(Rational(unit), Rational(unit))
        values.append({"y^T K^-1 y": difficulty, "|w - w0|^2": movement}[what])
    assert values[0] == values[1], f"{what} = {values[0]} and {values[1]} in other units"
    return f"{what} = {values[0]} in either unit"


def _rank_of(N: int, D: int, P: int) -> int:
    rng = np.random.default_rng(0)
    W, X = (rng.integers(-99, 100, (rows, D)) for rows in (N, P))
    return properties_alignment.gram_rank(W, X, epsilon=1)


@evidence(
    "eq-8-inverse",
    "proved",
    "full rank of a wide network, singular with two neurons, in exact arithmetic",
    control={"N": 2},
)
def invertible(N: int = 5, D: int = 4, P: int = 12) -> str:
    rank = _rank_of(N, D, P)
    assert rank == P, f"N = {N}, D = {D}, P = {P}: K has rank {rank} and no inverse"
    return f"N = {N}, D = {D}, P = {P}: K has full rank"


counterexample(
    "eq-8-inverse",
    lambda: (
        f"N = 2, D = 4, P = 12, the shape of Fig. 4 at a tenth of its size: K has rank "
        f"{_rank_of(2, 4, 12)}"
    ),
)


def _without_factor(lambda_k, r_k, tau, P, **_) -> float:
    return r_k**2 / lambda_k * (1 - np.exp(-2 * lambda_k * tau / P)) ** 2


def _movement(alpha: Any) -> Any:
    return _one_neuron(Rational(1), alpha)[1]


attach(
    "eq-9",
    equality(
        "at any width |w - w0|^2 = (N/alpha^2) r^T K^-1 r: here for a K of one sample",
        _scalar_movement,
        lambda: _scalar_movement(1),
        lambda: _scalar_movement(2),
    ),
    attacked(
        "gradient flow of the linearised network, by a matrix exponential of autograd's "
        "Jacobian, has moved as far at any time",
        lambda data, tau: laws.movement_is_the_derived(*data, tau=tau),
        (_lazy_inputs(), given.scales(-4, 4)),
        lambda data, tau: laws.movement_is_the_derived(*data, tau=tau, mode=_without_factor),
    ),
)


counterexample(
    "eq-9",
    lambda: (
        smallest(lambda alpha: _one_neuron(Rational(1), alpha)[0], _movement, alpha=SIMPLE)
        + ", with the K of eq. (5), N = D = P = x = w0 = epsilon = y = 1"
    ),
)


def _remainder(alpha: Any) -> Any:
    """alpha times what the linearisation leaves out at its minimum, over the label, w0 = 1."""
    y = Rational(1)
    change = _one_neuron(y, alpha)[1]
    left_out = closed_form("linearisation-error").evaluate(
        alpha=alpha, epsilon=1, D=1, x=[1], M_dw=[[change]]
    )
    return alpha * left_out / y


attach(
    "sec-10-breakdown",
    attacked(
        "f(w) less its linearisation, by autograd, is the derived remainder",
        lambda data: laws.linearisation_leaves_out_the_derived(*data),
        (_changes(),),
        lambda data: laws.linearisation_leaves_out_the_derived(
            *data, error=lambda x, **_: 0 * x.sum(-1)
        ),
    ),
    equality(
        "at N = D = P = 1 what is left out goes as 1/alpha at a given difficulty",
        lambda: _remainder(Rational(2)),
        lambda: _remainder(Rational(200)),
        lambda: 2 * _remainder(Rational(200)),
    ),
)


@evidence(
    "sec-10-infinite-difficulty",
    "proved",
    "a linear network with labels outside the range of K is lazy to the end; with "
    "curvature it isn't",
    control={"e": 0.5},
    part="singular",
)
def consistent(e: float = 0.0) -> str:
    """A network of one neuron at D = 1, w0 = 0 on x = 1, 2 with y = x^2/2, fitted lazily."""
    X, y = np.array([[1.0], [2.0]]), np.array([0.5, 2.0])
    network = given.Network(alpha=1.0, epsilon=e, W=np.zeros((1, 1)), beta=np.ones(1))
    J = properties.jacobian(network, X).numpy()
    rank = np.linalg.matrix_rank(np.column_stack([J, y]))
    assert rank > np.linalg.matrix_rank(J), "the labels lie in the range of K"
    change = np.linalg.lstsq(J, y, rcond=None)[0]
    left_out = e / 2 * (X[:, 0] * change[0]) ** 2
    assert not left_out.any(), f"at w - w0 = {change[0]:g} the linearisation leaves out {left_out}"
    return f"|w - w0|^2 = {change[0] ** 2:g}, and the linearisation leaves out {left_out.max():g}"


attach(
    "sec-10-infinite-difficulty",
    equality(
        "a mode of eigenvalue 0 does not move the weights",
        lambda: _null_mode(1),
        lambda: sp.S.Zero,
        lambda: _null_mode(0),
    ),
    part="singular",
)


_inputs = (
    given.dimensions(3),
    st.lists(st.integers(-9, 9), min_size=3, max_size=3),
    given.epsilons().filter(bool),
    given.seeds(),
)


def _sample_size_law(D: int, vector: list[int], e: float, seed: int, **planted: Any) -> None:
    laws.difficulty_saturates(D, vector[:D], Fraction(e), seed, **planted)


attach(
    "sec-10-sample-size",
    attacked(
        "exact: y^T K^+ y grows with each input and saturates at the derived value",
        _sample_size_law,
        _inputs,
        lambda *values: _sample_size_law(*values, limit=lambda **_: Rational(1, 3)),
        share=0.4,
    ),
)


def _small_epsilon_printed(power: int) -> Any:
    return dot(beta, beta) ** 2 / (4 * epsilon**power * sigma**2)


attach(
    "sec-5.2-app-10",
    equality(
        "the difficulty of the target for all large P",
        lambda: closed_form("target-difficulty").expr,
        lambda: _small_epsilon_printed(2),
        lambda: _small_epsilon_printed(1),
    ),
)


@evidence(
    "sec-10-infinite-difficulty",
    "derived",
    "trained to its end, a mode of eigenvalue kappa moves the weights by r^2/kappa: without bound "
    "as kappa falls to 0, and so does what the linearisation leaves out; stopped at tau it doesn't",
    control={"to_the_end": False},
    part="limit",
)
def diverges(to_the_end: bool = True) -> str:
    kappa, r, tau = sp.symbols("kappa r tau", positive=True)
    moved = r**2 / kappa * (1 - sp.exp(-2 * kappa * tau)) ** 2
    moved = sp.limit(moved, tau, sp.oo) if to_the_end else moved
    found = sp.limit(moved, kappa, 0, "+")
    assert found == sp.oo, f"as kappa falls to 0 the movement tends to {found}"
    return f"|w - w0|^2 is {moved} times N/alpha^2"
