"""A network of N neurons at initialisation, w_i ~ N(0, sigma^2 I): means and variances.

The paper takes wbar = 0 and M = I for "a wide network" (Kumar et al. 2024, Sec. 5). Here are the
moments of wbar, M, the loss and the kernel over the initial weights at every N, and with them how
wide is wide: that depends on D, and on what is asked.
"""

from collections.abc import Iterator

import sympy as sp
from sympy import MatrixSymbol, Trace
from sympy.utilities.iterables import multiset_partitions

from lazyrich.theory import words
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.network import ntk, ntk_at_init
from lazyrich.theory.symbols import (
    A,
    D,
    I,
    M,
    N,
    isotropic,
    sigma,
    u,
    wbar,
    x,
    x_prime,
)
from lazyrich.theory.test_loss import test_loss
from lazyrich.theory.wick import canonical, dot, equal, expectation
from lazyrich.theory.words import Reader

_NEURONS = [MatrixSymbol(f"w{k}", D, 1) for k in range(8)]  # one for each block of a partition
_ASSUMPTIONS = "Independent w_i ~ N(0, sigma^2 I), i = 1..N; exact at every N and D."


def initial_mean(expr: sp.Expr) -> sp.Expr:
    """The mean of a polynomial in wbar and M over the initial weights of N neurons.

    A product of n averages over the neurons is N^-n times a sum over n indices. Which of them
    coincide is a partition of the n places into blocks; the N (N - 1) ... (N - b + 1) terms with
    b blocks have one mean, that of the product with one independent vector for each block.

    >>> initial_mean(dot(wbar, wbar))
    D*sigma**2/N
    >>> initial_mean(Trace(M * M))
    D*sigma**4*(D + N + 1)/N
    """
    reader = Reader()
    by_blocks: dict[int, list[sp.Expr]] = {}
    for monomial, coefficient in words.tidy(reader.polynomial(expr)).items():
        places = sum(map(_places, _factors(monomial)))
        for owners, blocks in _partitions(places):
            product = _assigned(monomial, [_NEURONS[k] for k in owners])
            by_blocks.setdefault(blocks, []).append(coefficient / N**places * product)
    total = sp.S.Zero
    for blocks, terms in by_blocks.items():
        laws = (isotropic(w, sigma**2) for w in _NEURONS[:blocks])
        total += sp.ff(N, blocks) * expectation(sp.Add(*terms), *laws)
    return canonical(total)


def initial_variance(expr: sp.Expr) -> sp.Expr:
    """The variance of a polynomial in wbar and M over the initial weights.

    >>> initial_variance(Trace(M))
    2*D*sigma**4/N
    """
    return canonical(initial_mean(expr**2) - initial_mean(expr) ** 2)


def _factors(monomial: words.Monomial) -> list[words.Contraction]:
    return [item for item, exponent in monomial for _ in range(exponent)]


def _places(item: words.Contraction) -> int:
    """How many averages over the neurons stand in a contraction."""
    ends = (item.left, item.right)
    return ends.count(wbar) + sum(letter.matrix == M for letter in item.word)


def _partitions(places: int) -> Iterator[tuple[list[int], int]]:
    """Each partition of the places as (the block of each place, the number of blocks)."""
    if places == 0:
        yield [], 0
        return
    for partition in multiset_partitions(list(range(places))):
        block = {place: k for k, members in enumerate(partition) for place in members}
        yield [block[place] for place in range(places)], len(partition)


def _assigned(monomial: words.Monomial, neurons: list[MatrixSymbol]) -> sp.Expr:
    """The monomial with w or w w^T of the k-th neuron of the list for its k-th wbar or M."""
    left_over = iter(neurons)
    product = sp.S.One
    for item in _factors(monomial):
        left, right = (next(left_over) if end == wbar else end for end in (item.left, item.right))
        factors = []
        for letter in item.word:
            w = next(left_over) if letter.matrix == M else None
            factors.append(words.word_matrix((letter,), D) if w is None else w * w.T)
        inside = sp.MatMul(*factors) if factors else I
        product *= Trace(inside) if left is None else Trace(left.T * inside * right)
    return product


def moments_at_init() -> ClosedForm:
    """Mean and variance of wbar and M, as functionals, and how far M is from sigma^2 I.

    ``terms``: ``wbar`` and ``M`` map to (mean, variance) of u.wbar and Tr(A M), A symmetric;
    ``distance`` is the mean of |M - sigma^2 I|_F^2 and ``relative_distance`` that over
    |sigma^2 I|_F^2; ``trace`` is the variance of Tr M over the square of its mean.
    """
    linear, quadratic = dot(u, wbar), Trace(A * M)
    limit = sigma**2 * I
    distance = initial_mean(Trace((M - limit) * (M - limit)))
    relative = sp.factor(distance / canonical(Trace(limit * limit)))
    trace = sp.factor(initial_variance(Trace(M)) / initial_mean(Trace(M)) ** 2)
    terms = {
        "wbar": (initial_mean(linear), initial_variance(linear)),
        "M": (initial_mean(quadratic), initial_variance(quadratic)),
        "distance": distance,
        "relative_distance": relative,
        "trace": trace,
    }
    if not equal(initial_mean(linear * quadratic), 0):
        raise AssertionError("wbar and M are correlated at initialisation")
    return ClosedForm(
        name="moments-at-init",
        title="Mean and variance of u.wbar and of Tr(A M) over the initial weights",
        expr=sp.Tuple(sp.Tuple(*terms["wbar"]), sp.Tuple(*terms["M"])),
        terms=terms,
        steps=[
            ("u.wbar has this mean and this variance.", terms["wbar"]),
            ("Tr(A M), A symmetric, likewise.", terms["M"]),
            ("They are not correlated: their product is odd in the weights.", sp.S.Zero),
            ("The mean squared Frobenius distance of M from its limit sigma^2 I.", distance),
            ("Relative to |sigma^2 I|_F^2: M is near I only for N >> D.", relative),
            ("Its trace alone needs no such width: variance over squared mean.", trace),
        ],
        assumptions=_ASSUMPTIONS,
        source="sharpens Kumar et al. 2024, Sec. 5, 'in a wide network wbar = 0 and M = I'",
    )


def loss_at_init() -> ClosedForm:
    """The mean of the plain population loss over the initial weights, by terms, at finite N.

    ``terms``: variance, misalignment, linear; ``components``: ``infinite_width``, the limit of
    the loss, and ``excess``, what a finite width adds on average.
    """
    terms = {name: initial_mean(term) for name, term in test_loss().terms.items()}
    loss = canonical(sp.Add(*terms.values()))
    infinite = canonical(sp.Add(*(_limit(term) for term in loss.args)))
    excess = sp.factor(canonical(loss - infinite))
    return ClosedForm(
        name="loss-at-init",
        title="Mean of the population loss over the initial weights of N neurons",
        expr=loss,
        terms=terms,
        components={"infinite_width": infinite, "excess": excess},
        steps=[
            ("The loss by terms, in (wbar, M).", test_loss().expr),
            ("The mean of the variance term.", terms["variance"]),
            ("The mean of the misalignment term.", terms["misalignment"]),
            ("The mean of the linear term: free of D.", terms["linear"]),
            ("Their sum at infinite width.", infinite),
            ("What a finite width adds: of order alpha^2/N at every D.", excess),
        ],
        assumptions=_ASSUMPTIONS + " The plain predictor; the centred one starts at 0, so its "
        "loss is <y^2> at every width.",
        source="derived here, from Kumar et al. 2024, Sec. 5.3, eq. (6)",
    )


def loss_variance_at_init() -> ClosedForm:
    """The variance of the plain population loss over the initial weights, at finite N.

    ``terms``: the variances of the loss's variance, misalignment and linear terms, and twice the
    sum of their ``covariances``.
    """
    parts = test_loss().terms
    terms = {name: initial_variance(term) for name, term in parts.items()}
    variance = initial_variance(sp.Add(*parts.values()))
    terms["covariances"] = canonical(variance - sp.Add(*terms.values()))
    return ClosedForm(
        name="loss-variance-at-init",
        title="Variance of the population loss over the initial weights of N neurons",
        expr=variance,
        terms=terms,
        steps=[
            ("The loss by terms, in (wbar, M).", test_loss().expr),
            ("The variance of its variance term.", terms["variance"]),
            ("The variance of its misalignment term.", terms["misalignment"]),
            ("The variance of its linear term.", terms["linear"]),
            ("Twice the covariances of the three.", terms["covariances"]),
            ("Together.", variance),
        ],
        assumptions=_ASSUMPTIONS + " The plain predictor.",
        source="derived here, from Kumar et al. 2024, Sec. 5.3, eq. (6)",
    )


def _limit(term: sp.Expr) -> sp.Expr:
    """The limit N -> infinity of one monomial in contractions."""
    coefficient, traces = term.as_independent(Trace)
    return sp.limit(coefficient, N, sp.oo) * traces


def ntk_at_finite_width() -> ClosedForm:
    """Mean and variance of the normalised kernel K(x, x') over the initial weights of N neurons.

    ``expr`` is the variance; ``terms``: ``mean``, ``variance``, ``fluctuation``, which is
    <Var K>/<(E K)^2> over independent x, x', and ``quadratic_fluctuation``, the same for the part
    of K that acts on quadratic functions.
    """
    kernel = ntk().terms["ntk_normalised"]
    mean = initial_mean(kernel)
    if not equal(mean, ntk_at_init().expr):
        raise AssertionError(f"the mean kernel is not that of infinite width: {mean}")
    variance = initial_variance(kernel)
    quadratic = sp.Add(*(t for t in canonical(kernel).args if t.has(M)))
    spread, mean_square = _power(variance), _power(mean**2)
    part = sp.factor(_power(initial_variance(quadratic)) / _power(initial_mean(quadratic) ** 2))
    whole = sp.factor(spread / mean_square)
    return ClosedForm(
        name="ntk-at-finite-width",
        title="Variance of the normalised kernel over the initial weights of N neurons",
        expr=variance,
        terms={
            "mean": mean,
            "variance": variance,
            "fluctuation": whole,
            "quadratic_fluctuation": part,
        },
        steps=[
            ("The kernel in (wbar, M).", kernel),
            ("Its mean is the kernel of infinite width, at every N.", mean),
            ("Its variance at x, x'.", variance),
            ("The variance integrated over x and x'.", spread),
            ("Relative to the square of the mean, integrated: N >> epsilon^2 is enough.", whole),
            ("The same for epsilon^2 (x.x') x^T M x' alone: this needs N >> D.", part),
        ],
        assumptions=_ASSUMPTIONS + " Integrals over independent x, x' ~ N(0, I/D).",
        source="derived here, from Kumar et al. 2024, Sec. 5, eq. (5), App. 11.1, eq. (10)",
    )


def _power(kernel: sp.Expr) -> sp.Expr:
    return expectation(kernel, isotropic(x), isotropic(x_prime))
