"""Claims on labels from eigenvectors of the kernel: Sec. 6.1, Fig. 5, Sec. 17 (Kumar et al.)."""

from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D, epsilon, sigma
from lazyrich.verify import strategies as given
from lazyrich.verify.evidence import attach, attacked, counterexample, equality, evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import alignment as laws
from lazyrich.verify.statistics import rises


def _gram_inputs():
    """A network and inputs (P, D) for it."""

    def with_inputs(network: given.Network):
        sizes = given.sample_sizes(10)
        return st.tuples(
            st.just(network), sizes.flatmap(lambda P: given.arrays(P, network.D, bound=2))
        )

    return given.networks().flatmap(with_inputs)


attach(
    "sec-6.1-by-construction",
    attacked(
        "alignment lambda_j/|K|_F for every eigenvector of autograd's kernel",
        lambda pair: laws.eigenvector_labels_have_the_derived_alignment(pair[0], pair[1]),
        (_gram_inputs(),),
        lambda pair: laws.eigenvector_labels_have_the_derived_alignment(
            pair[0], pair[1], lambda K, lambda_j: lambda_j / K.trace()
        ),
    ),
)


@evidence(
    "sec-6.1-by-construction",
    "measured",
    "in the setting of Fig. 5 the uncentred alignment falls with j, the centred doesn't",
    control={"centred": True},
)
def falls(centred: bool = False) -> str:
    """The alignments of D = P = 100, epsilon = 1/4, x ~ N(0, I), infinite width, as Fig. 5."""
    X = np.random.default_rng(0).normal(size=(100, 100))
    inner = X @ X.T
    K = inner + (inner / 4) ** 2
    vectors = np.linalg.eigh(K)[1].T[::-1]
    weights = np.full(100, 0.01)
    of = [laws.alignment_moments(K, u, weights, centred) for u in vectors]
    found = [m["numerator"] / m["kernel_square"] ** 0.5 / m["target_square"] for m in of]
    assert np.all(np.diff(found) < 0), f"the alignment rises from j = 1 to 2: {found[:3]}"
    return f"alignment at j = 1, 70, 100: {found[0]:.3f}, {found[69]:.3f}, {found[99]:.3f}"


counterexample(
    "sec-6.1-by-construction",
    lambda: (
        "K = ((3, 1), (1, 3)): j = 1 gives the constant labels (1, 1)/sqrt(2), whose centred "
        "alignment is 0/0"
    ),
)


_names = ("linear", "radial", "traceless")


def _sum_of_squares(sizes: dict[str, Any]) -> Any:
    alignments = closed_form("eigenvector-label-alignment").components
    return sp.simplify(sp.Add(*(sizes[k] * alignments[k] ** 2 for k in _names)))


def _share(name: str, factor: Any) -> Any:
    """Alignment of this eigenspace over that of the linear functions, less what is claimed."""
    alignments = closed_form("eigenvector-label-alignment").components
    return sp.simplify(alignments[name] / alignments["linear"] - factor)


_traceless = (D - 1) * (D + 2) / 2


attach(
    "sec-6.1-eigenfunctions",
    equality(
        "traceless against linear eigenfunctions, less 2 epsilon^2 sigma^2/D",
        lambda: _share("traceless", 2 * epsilon**2 * sigma**2 / D),
        lambda: sp.S.Zero,
        lambda: sp.S.One,
    ),
    equality(
        "the three alignments, squared and summed over D + 1 + (D - 1)(D + 2)/2 functions, "
        "make 1: there are no others",
        lambda: _sum_of_squares({"linear": D, "radial": 1, "traceless": _traceless}),
        lambda: sp.S.One,
        lambda: _sum_of_squares({"linear": D, "radial": 1, "traceless": _traceless + 1}),
    ),
)


attach(
    "fig-5-which-j",
    attacked(
        "exact rank of the kernel of N neurons on P inputs",
        laws.rank_is_the_derived,
        (given.dimensions(4), given.widths(6), st.integers(1, 16), given.seeds()),
        # Sharing functions makes N D too many: at D = N = 3 by one.
        lambda _D, _N, _P, seed: laws.rank_is_the_derived(3, 3, 20, seed, lambda n, D_: n * D_),
    ),
)


@evidence(
    "sec-17-eigenvector-of-data",
    "proved",
    "an eigenvector of X X^T that is none of the kernel",
    control={"curvature": 0},
)
def proportional(curvature: int = 1) -> str:
    """Whether the eigenvector (1, 2) of X X^T, X = (1, 2), is one of K, D = 1, P = 2."""
    inner = sp.Matrix([[1, 2], [2, 4]])
    image = inner.applyfunc(lambda h: h + curvature * h**2) * sp.Matrix([1, 2])
    assert image[1] != 2 * image[0], f"K (1, 2) = {tuple(image)} is a multiple of (1, 2)"
    return f"K (1, 2) = {tuple(image)}: not a multiple of (1, 2)"


counterexample(
    "sec-17-eigenvector-of-data",
    lambda: "D = 1, P = 2, x = 1 and 2, epsilon = 1: " + proportional(1),
)


def _last_eigenvector_law(size: int, beyond: int, seed: int) -> None:
    rank = int(closed_form("ntk-rank").evaluate_terms(D=size, n=1)["init"])
    laws.null_labels_are_out_of_reach(size, rank + beyond, seed)


attach(
    "fig-19-last-eigenvector",
    attacked(
        "exact: labels from the null space of K are orthogonal to all x_i and x_i x_j",
        _last_eigenvector_law,
        (given.dimensions(3), st.integers(1, 3), given.seeds()),
        lambda size, beyond, seed: _last_eigenvector_law(size, 1 - beyond, seed),
    ),
)


def _kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    inner = left @ right.T
    return inner + inner**2


def _heavy_tails(rng: np.random.Generator, count: int) -> np.ndarray:
    """Inputs that are not Gaussian: clusters, skew and heavy tails, (count, 4)."""
    centres = rng.normal(size=(3, 4))[rng.integers(0, 3, size=count)]
    return centres + rng.exponential(size=(count, 4)) * rng.standard_t(4, size=(count, 4)) / 4


@evidence(
    "sec-6.1-arbitrary-data",
    "measured",
    "inputs in clusters, with skew and heavy tails: kernel regression learns the labels extended "
    "from the training inputs exactly, at every j; those of all inputs together it doesn't",
    control={"together": True},
)
def extended_labels_are_lazy_learnable(budget: Budget, together: bool = False) -> str:
    worst = 0.0
    for seed in range(budget.seed, budget.seed + 14):
        X = _heavy_tails(np.random.default_rng(seed), 18)
        train, test = X[:8], X[8:]
        K, across = _kernel(train, train), _kernel(test, train)
        values, V = np.linalg.eigh(_kernel(X, X) if together else K)
        for j in range(1, 9):
            y = V[:8, -j]
            wanted = V[8:, -j] if together else across @ y / values[-j]
            found = across @ np.linalg.solve(K, y)
            worst = max(worst, float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)))
    line = f"14 data sets, j = 1 to 8: the prediction is off by {worst:.1e} of the labels at most"
    assert worst < 1e-6, line
    return line


@evidence(
    "sec-6.1-hard-by-construction",
    "measured",
    "D = 12, 30 training and 40 test inputs: test loss of kernel regression at j = 1, 20, 50 over "
    "that of 0; labels extended from the training inputs are learnt at every j",
    control={"together": False},
)
def harder_with_j(budget: Budget, together: bool = True) -> str:
    def losses(first: int, count: int) -> np.ndarray:
        found = []
        for seed in range(first, first + count):
            X = np.random.default_rng(seed).normal(size=(70, 12)) / 12**0.5
            K, across = _kernel(X[:30], X[:30]), _kernel(X[30:], X[:30])
            values, V = np.linalg.eigh(_kernel(X, X) if together else K)
            row = []
            for j in (1, 20, 50 if together else 30):
                y = V[:30, -j]
                wanted = V[30:, -j] if together else across @ y / values[-j]
                off = across @ np.linalg.solve(K, y) - wanted
                row.append(round(float(off @ off / (wanted @ wanted)), 6))
            found.append(row)
        return np.array(found)

    return rises("relative test loss over j = 1, 20, 50", losses, budget.seed)
