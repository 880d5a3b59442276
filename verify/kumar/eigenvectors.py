"""Claims on labels from eigenvectors of the kernel: Sec. 6.1, Fig. 5, Sec. 17 (Kumar et al.)."""

from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D, epsilon, sigma
from lazyrich.verify import strategies as given
from lazyrich.verify.evidence import attacked, equality
from lazyrich.verify.ledger import Claim, Evidence, Verdict
from lazyrich.verify.properties import alignment as laws


def claims() -> list[Claim]:
    """The claims on eigenvector labels, in the paper's order."""
    return [
        _by_construction(),
        _eigenfunctions(),
        _which_j(),
        _eigenvectors_of_the_data(),
        _last_eigenvector(),
    ]


def _gram_inputs():
    """A network and inputs (P, D) for it."""

    def with_inputs(network: given.Network):
        sizes = given.sample_sizes(10)
        return st.tuples(
            st.just(network), sizes.flatmap(lambda P: given.arrays(P, network.D, bound=2))
        )

    return given.networks().flatmap(with_inputs)


def _by_construction() -> Claim:
    def falls(centred: bool) -> str:
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

    return Claim(
        name="sec-6.1-by-construction",
        source="Sec. 6.1",
        statement="Labels from an eigenvector with a large eigenvalue make the CKA high by "
        "construction, and vice versa.",
        verdict=Verdict.ASSUMING,
        assumption="The alignment is the uncentred one, as printed, on the inputs that the labels "
        "are for: it is lambda_j/|K|_F then, falls with j and is at most 1/sqrt(j). Centred "
        "properly it need not fall: the first eigenvector is nearly constant in a wide network, "
        "and a constant has no centred alignment.",
        counterexample=lambda: (
            "K = ((3, 1), (1, 3)): j = 1 gives the constant labels (1, 1)/sqrt(2), whose centred "
            "alignment is 0/0"
        ),
        evidence=(
            attacked(
                "alignment lambda_j/|K|_F for every eigenvector of autograd's kernel",
                lambda pair: laws.eigenvector_labels_have_the_derived_alignment(pair[0], pair[1]),
                (_gram_inputs(),),
                lambda pair: laws.eigenvector_labels_have_the_derived_alignment(
                    pair[0], pair[1], lambda K, lambda_j: lambda_j / K.trace()
                ),
            ),
            Evidence(
                "measured",
                "in the setting of Fig. 5 the uncentred alignment falls with j, the centred "
                "doesn't",
                lambda _: falls(centred=False),
                lambda _: falls(centred=True),
            ),
        ),
    )


def _eigenfunctions() -> Claim:
    names = ("linear", "radial", "traceless")

    def sum_of_squares(sizes: dict[str, Any]) -> Any:
        alignments = closed_form("eigenvector-label-alignment").components
        return sp.simplify(sp.Add(*(sizes[k] * alignments[k] ** 2 for k in names)))

    def share(name: str, factor: Any) -> Any:
        """Alignment of this eigenspace over that of the linear functions, less what is claimed."""
        alignments = closed_form("eigenvector-label-alignment").components
        return sp.simplify(alignments[name] / alignments["linear"] - factor)

    traceless = (D - 1) * (D + 2) / 2
    return Claim(
        name="sec-6.1-eigenfunctions",
        source="Sec. 6.1",
        statement="Eigenfunctions with larger j are less aligned to the initial kernel.",
        verdict=Verdict.ASSUMING,
        assumption="P is finite: it is the sample that orders the eigenvectors. For P to infinity "
        "the alignment takes three values, on D linear, one radial and (D - 1)(D + 2)/2 traceless "
        "eigenfunctions, and within each of these spaces j orders nothing.",
        evidence=(
            equality(
                "traceless against linear eigenfunctions: 2 epsilon^2 sigma^2/D",
                lambda: share("traceless", 2 * epsilon**2 * sigma**2 / D),
                lambda: sp.S.Zero,
                lambda: sp.S.One,
            ),
            equality(
                "the three alignments, squared and summed over D + 1 + (D - 1)(D + 2)/2 functions, "
                "make 1: there are no others",
                lambda: sum_of_squares({"linear": D, "radial": 1, "traceless": traceless}),
                lambda: sp.S.One,
                lambda: sum_of_squares({"linear": D, "radial": 1, "traceless": traceless + 1}),
            ),
        ),
    )


def _which_j() -> Claim:
    return Claim(
        name="fig-5-which-j",
        source="Sec. 6.1; Fig. 5",
        statement="Labels are the j-th eigenvectors for j in {1, 70, 100}; grokking occurs at j "
        "about 70.",
        verdict=Verdict.OPEN,
        derived="j must be at most min(P, rank), and n = min(N, D + 1) neurons give the rank n D - "
        "(n - 1)(n - 2)/2; the text states none of D, P, N, epsilon, alpha for this figure, nor "
        "the labels of test inputs, which an eigenvector doesn't define.",
        evidence=(
            attacked(
                "exact rank of the kernel of N neurons on P inputs",
                laws.rank_is_the_derived,
                (given.dimensions(4), given.widths(6), st.integers(1, 16), given.seeds()),
                # Sharing functions makes N D too many: at D = N = 3 by one.
                lambda _D, _N, _P, seed: laws.rank_is_the_derived(
                    3, 3, 20, seed, lambda n, D_: n * D_
                ),
            ),
        ),
    )


def _eigenvectors_of_the_data() -> Claim:
    def proportional(curvature: int) -> str:
        """Whether the eigenvector (1, 2) of X X^T, X = (1, 2), is one of K, D = 1, P = 2."""
        inner = sp.Matrix([[1, 2], [2, 4]])
        image = inner.applyfunc(lambda h: h + curvature * h**2) * sp.Matrix([1, 2])
        assert image[1] != 2 * image[0], f"K (1, 2) = {tuple(image)} is a multiple of (1, 2)"
        return f"K (1, 2) = {tuple(image)}: not a multiple of (1, 2)"

    return Claim(
        name="sec-17-eigenvector-of-data",
        source="Sec. 17",
        statement="Fig. 5(c) is the task of learning the j-th eigenvector of the Gaussian dataset "
        "X, for varying j.",
        verdict=Verdict.MISPRINT,
        printed="the j-th eigenvector of Gaussian dataset X; Figure 5(c)",
        derived="the j-th eigenvector of the kernel K_0(X, X) on the dataset (Sec. 6.1); Figure 5, "
        "whose panel (c) is j = 100",
        derivation="Labels need one number a sample; the Gram matrix X X^T has such eigenvectors, "
        "too, but for epsilon != 0 they are not those of K_0(X, X).",
        counterexample=lambda: "D = 1, P = 2, x = 1 and 2, epsilon = 1: " + proportional(1),
        evidence=(
            Evidence(
                "proved",
                "an eigenvector of X X^T that is none of the kernel",
                lambda _: proportional(1),
                lambda _: proportional(0),
            ),
        ),
    )


def _last_eigenvector() -> Claim:
    def law(size: int, beyond: int, seed: int) -> None:
        rank = int(closed_form("ntk-rank").evaluate_terms(D=size, n=1)["init"])
        laws.null_labels_are_out_of_reach(size, rank + beyond, seed)

    return Claim(
        name="fig-19-last-eigenvector",
        source="Fig. 19, caption",
        statement="With j = P, no amount of P would let this network learn the labels.",
        verdict=Verdict.ASSUMING,
        assumption="P > D + D(D + 1)/2: then lambda_P = 0, and the labels are orthogonal to every "
        "function u.x + x^T A x on the inputs, so that no weights lower even the train loss. For "
        "smaller P a wide lazy network fits them.",
        evidence=(
            attacked(
                "exact: labels from the null space of K are orthogonal to all x_i and x_i x_j",
                law,
                (given.dimensions(3), st.integers(1, 3), given.seeds()),
                lambda size, beyond, seed: law(size, 1 - beyond, seed),
            ),
        ),
    )
