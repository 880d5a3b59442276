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
from lazyrich.verify.evidence import attacked, equality
from lazyrich.verify.ledger import Claim, Evidence, Verdict
from lazyrich.verify.properties import alignment as properties_alignment
from lazyrich.verify.properties import difficulty as laws


def claims() -> list[Claim]:
    """The claims of App. 10, in the paper's order."""
    return [
        _units(),
        _inverse(),
        _movement(),
        _breakdown(),
        _infinite_difficulty(),
        _sample_size(),
        _small_epsilon(),
    ]


def _one_neuron(y: Any, alpha: Any, w: Any = 1, e: Any = 1) -> tuple[Any, Any]:
    """(y^T K^-1 y, |w - w0|^2 of lazy training) at N = D = P = 1 and x = 1."""
    K = (1 + e * w) ** 2
    share = alpha * (1 + e * w)  # df/dw
    return y**2 / K, (y / share) ** 2


def _units() -> Claim:
    def invariant(what: str) -> str:
        """With labels and alpha times 3: other units, at N = D = P = x = w0 = epsilon = 1."""
        values = []
        for unit in (1, 3):
            difficulty, movement = _one_neuron(Rational(unit), Rational(unit))
            values.append({"y^T K^-1 y": difficulty, "|w - w0|^2": movement}[what])
        assert values[0] == values[1], f"{what} = {values[0]} and {values[1]} in other units"
        return f"{what} = {values[0]} in either unit"

    return Claim(
        name="eq-8",
        source="App. 10, eq. (8)",
        statement="A task is hard for the initial kernel where y^T K^-1 y >> 1.",
        verdict=Verdict.OPEN,
        derived="The unit is missing: y^T K^-1 y is quadratic in the labels' unit, so that every "
        "task is hard in some. What has no unit is |w - w0|^2/|w0|^2 = (1/alpha^2) y^T K^-1 y "
        "N/|w0|^2 with the K of eq. (10), or |epsilon| y^T K^-1 y/(|alpha| |y|).",
        evidence=(
            Evidence(
                "proved",
                "labels and alpha times 3 give the same training: the weights move as far",
                lambda _: invariant("|w - w0|^2"),
                lambda _: invariant("y^T K^-1 y"),
            ),
        ),
    )


def _inverse() -> Claim:
    def rank_of(N: int, D: int, P: int) -> int:
        rng = np.random.default_rng(0)
        W, X = (rng.integers(-99, 100, (rows, D)) for rows in (N, P))
        return properties_alignment.gram_rank(W, X, epsilon=1)

    def invertible(N: int, D: int, P: int) -> str:
        rank = rank_of(N, D, P)
        assert rank == P, f"N = {N}, D = {D}, P = {P}: K has rank {rank} and no inverse"
        return f"N = {N}, D = {D}, P = {P}: K has full rank"

    return Claim(
        name="eq-8-inverse",
        source="App. 10, eqs. (8), (9)",
        statement="The kernel Gram matrix K has an inverse.",
        verdict=Verdict.ASSUMING,
        assumption="P is at most the rank of the kernel, n D - (n - 1)(n - 2)/2 with n = min(N, "
        "D + 1), at most D + D(D + 1)/2. The paper's own two-neuron networks (Figs. 4, 10: N = 2, "
        "D = 40, P = 120) have rank 80. For singular K read K^+.",
        counterexample=lambda: (
            f"N = 2, D = 4, P = 12, the shape of Fig. 4 at a tenth of its size: K has rank "
            f"{rank_of(2, 4, 12)}"
        ),
        evidence=(
            Evidence(
                "proved",
                "full rank of a wide network, singular with two neurons, in exact arithmetic",
                lambda _: invertible(5, 4, 12),
                lambda _: invertible(2, 4, 12),
            ),
        ),
    )


def _lazy_inputs():
    """(network, X (P, D), r (P,))."""

    def with_data(network: given.Network):
        return given.sample_sizes().flatmap(
            lambda P: st.tuples(
                st.just(network), given.arrays(P, network.D, bound=2), given.arrays(P)
            )
        )

    return given.networks(3, 4).flatmap(with_data)


def _movement() -> Claim:
    def without_factor(kappa, r_k, tau, P, **_) -> float:
        return r_k**2 / kappa * (1 - np.exp(-2 * kappa * tau / P)) ** 2

    def movement(alpha: Any) -> Any:
        return _one_neuron(Rational(1), alpha)[1]

    return Claim(
        name="eq-9",
        source="App. 10, eq. (9)",
        statement=r"Near the kernel limit $|w - w_0|^2$ is precisely given by $y^\top K^{-1} y$.",
        verdict=Verdict.ASSUMING,
        assumption="K is the kernel of eq. (2), with its alpha^2/N; f(w0) = 0 on the training "
        "inputs (or the centred predictor); K is invertible; training is the linearised network's, "
        "by gradient descent, to its end. With the K of eqs. (5), (10) the '~' hides a factor: "
        r"$|w - w_0|^2 = \frac{N}{\alpha^2} (y - f_0)^\top K^+ (y - f_0)$, which vanishes in the "
        "kernel limit.",
        counterexample=lambda: (
            smallest(lambda alpha: _one_neuron(Rational(1), alpha)[0], movement, alpha=SIMPLE)
            + ", with the K of eq. (10), N = D = P = x = w0 = epsilon = y = 1"
        ),
        evidence=(
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
                lambda data, tau: laws.movement_is_the_derived(*data, tau=tau, mode=without_factor),
            ),
        ),
    )


def _scalar_movement(factor: int | None = None) -> Any:
    """(N/alpha^2) r^2/K of the closed form at P = 1; with a factor: as written here, times it."""
    k, r, a, n = sp.symbols("k r a n", positive=True)
    if factor is not None:
        return factor * n / a**2 * r**2 / k
    cf = closed_form("lazy-movement")
    return cf.evaluate(K=[[k]], r=[r], N=n, alpha=a)


def _breakdown() -> Claim:
    def remainder(alpha: Any) -> Any:
        """alpha times what the linearisation leaves out at its minimum, over the label, w0 = 1."""
        y = Rational(1)
        change = _one_neuron(y, alpha)[1]
        left_out = closed_form("linearisation-error").evaluate(
            alpha=alpha, epsilon=1, D=1, x=[1], C=[[change]]
        )
        return alpha * left_out / y

    return Claim(
        name="sec-10-breakdown",
        source="App. 10, below eq. (9)",
        statement="The linearisation can break for difficult tasks, since |w - w0|^2 could be "
        "large.",
        verdict=Verdict.ASSUMING,
        assumption="epsilon != 0, and alpha is held fixed while the difficulty grows. What is left "
        "out is exactly (alpha epsilon/2) x^T C x, C the mean outer square of the neurons' "
        "changes: at the lazy minimum at most |epsilon| |x|^2 y^T K^+ y/(2 |alpha|). It is this "
        "number, against y, that has to be small, and at any difficulty alpha makes it so.",
        evidence=(
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
                lambda: remainder(Rational(2)),
                lambda: remainder(Rational(200)),
                lambda: 2 * remainder(Rational(200)),
            ),
        ),
    )


def _changes():
    """(network, change of its weights (N, D), X (3, D))."""
    return given.networks().flatmap(
        lambda network: st.tuples(
            st.just(network), given.arrays(network.N, network.D), given.arrays(3, network.D)
        )
    )


def _infinite_difficulty() -> Claim:
    def consistent(e: float) -> str:
        """A network of one neuron at D = 1, w0 = 0 on x = 1, 2 with y = x^2/2, fitted lazily."""
        X, y = np.array([[1.0], [2.0]]), np.array([0.5, 2.0])
        network = given.Network(alpha=1.0, epsilon=e, W=np.zeros((1, 1)), beta=np.ones(1))
        J = properties.jacobian(network, X).numpy()
        rank = np.linalg.matrix_rank(np.column_stack([J, y]))
        assert rank > np.linalg.matrix_rank(J), "the labels lie in the range of K"
        change = np.linalg.lstsq(J, y, rcond=None)[0]
        left_out = e / 2 * (X[:, 0] * change[0]) ** 2
        assert not left_out.any(), (
            f"at w - w0 = {change[0]:g} the linearisation leaves out {left_out}"
        )
        return (
            f"|w - w0|^2 = {change[0] ** 2:g}, and the linearisation leaves out {left_out.max():g}"
        )

    return Claim(
        name="sec-10-infinite-difficulty",
        source="App. 10, below eq. (9)",
        statement="Lazy learning on tasks of infinite difficulty is not self-consistent.",
        verdict=Verdict.REFUTED,
        printed=r"$y^\top K^{-1} y = \infty$: lazy learning is not self-consistent",
        derived=r"labels outside the range of $K$, for which $y^\top K^{-1} y$ is infinite as the "
        r"limit of $y^\top (K + \lambda I)^{-1} y$, move the weights by the finite $|w - w_0|^2 = "
        r"\frac{N}{\alpha^2} y^\top K^+ y$; the rest of them is never fitted. With $\epsilon = 0$ "
        "the network is linear in its weights, and training exactly lazy",
        derivation=r"A mode of eigenvalue $\kappa$ moves the weights by $\frac{N}{\alpha^2}"
        r" \frac{r_k^2}{\kappa} (1 - e^{-2 \kappa \tau/P})^2$, which tends to 0 with $\kappa$ at "
        r"every $\tau$.",
        counterexample=lambda: "N = D = 1, epsilon = 0, x = 1, 2, y = 1/2, 2: " + consistent(0.0),
        evidence=(
            Evidence(
                "proved",
                "a linear network with labels outside the range of K is lazy to the end; with "
                "curvature it isn't",
                lambda _: consistent(0.0),
                lambda _: consistent(0.5),
            ),
            equality(
                "a mode of eigenvalue 0 does not move the weights",
                lambda: _null_mode(1),
                lambda: sp.S.Zero,
                lambda: _null_mode(0),
            ),
        ),
    )


def _null_mode(power: int) -> Any:
    """The limit of a mode's movement for eigenvalue 0, or of it over the eigenvalue."""
    from lazyrich.theory.difficulty import kappa

    mode = closed_form("lazy-movement").components["mode"]
    return sp.limit(mode * kappa ** (power - 1), kappa, 0)


def _sample_size() -> Claim:
    inputs = (
        given.dimensions(3),
        st.lists(st.integers(-9, 9), min_size=3, max_size=3),
        given.epsilons().filter(bool),
        given.seeds(),
    )

    def law(D: int, vector: list[int], e: float, seed: int, **planted: Any) -> None:
        laws.difficulty_saturates(D, vector[:D], Fraction(e), seed, **planted)

    return Claim(
        name="sec-10-sample-size",
        source="App. 10, last sentence",
        statement="A hard task breaks the lazy regime especially if the training set is large.",
        verdict=Verdict.ASSUMING,
        assumption="Inputs are added to those there are, and f(w0) = 0. y^T K^+ y never falls "
        "then, but for this target at infinite width it is at most |beta|^4/(4 epsilon^2 sigma^2), "
        "reached from P = D + D(D + 1)/2 on: more samples change nothing.",
        evidence=(
            attacked(
                "exact: y^T K^+ y grows with each input and saturates at the derived value",
                law,
                inputs,
                lambda *values: law(*values, limit=lambda **_: Rational(1, 3)),
                share=0.4,
            ),
        ),
    )


def _small_epsilon() -> Claim:
    def printed(power: int) -> Any:
        return dot(beta, beta) ** 2 / (4 * epsilon**power * sigma**2)

    return Claim(
        name="sec-5.2-app-10",
        source="Sec. 5.2 (App. 10)",
        statement="Smaller epsilon makes the task harder for the initial kernel and forces the "
        "network to learn features (see App. 10).",
        verdict=Verdict.ASSUMING,
        assumption="Hard in the sense of eq. (8), at fixed alpha and beta, infinite width, and P "
        "so large that the inputs determine all quadratic functions: the difficulty is |beta|^4/(4 "
        "epsilon^2 sigma^2) then. That the final test loss is lower, App. 10 doesn't show.",
        evidence=(
            equality(
                "the difficulty of the target for all large P",
                lambda: closed_form("target-difficulty").expr,
                lambda: printed(2),
                lambda: printed(1),
            ),
        ),
    )
