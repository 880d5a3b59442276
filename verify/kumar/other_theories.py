"""Claims of Kumar et al. 2024 that touch other theory: Sec. 4.1, 5, footnote 3, Sec. 9."""

from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations, product
from math import factorial, prod

import numpy as np
import sympy as sp
import torch
from sympy import MatrixSymbol

from lazyrich.theory import closed_form
from lazyrich.theory.hermite import h, information_exponent
from lazyrich.theory.network import activation
from lazyrich.theory.problem.radial import harmonics
from lazyrich.theory.symbols import D, isotropic, x, x_prime
from lazyrich.theory.wick import dot, expectation
from lazyrich.verify.evidence import attach, evidence
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.small_runs import Setting, curves, with_error
from lazyrich.verify.statistics import DRAWS, in_most, mean_exceeds, mean_is


def escape_time(k: int) -> sp.Expr:
    """Samples of online descent until the overlap m with a target of exponent k is 1/2, in D.

    On the population dm/dt = m^(k - 1) while m is small, from m = D^(-1/2). Noise allows one
    step of size D^(-max(1, k/2)) a sample (Ben Arous et al. 2021). Leading order.

    >>> escape_time(2)
    D*log(D)/2
    """
    m = sp.Symbol("m", positive=True)
    d = sp.Symbol("D", positive=True)
    steps = sp.integrate(m ** (1 - k), (m, d ** sp.Rational(-1, 2), sp.Rational(1, 2)))
    samples = sp.expand(steps * d ** sp.Max(1, sp.Rational(k, 2)))
    terms = sp.Add.make_args(samples)
    return max(terms, key=lambda term: float(abs(term.subs(d, 1e12))))


def _exponent(link: sp.Expr, claimed: int) -> str:
    found = information_exponent(sp.expand(link))
    assert found == claimed, f"{link} has the information exponent {found}"
    return f"{link} has the information exponent {found}"


def _growth(dimension: int, square: bool, first: int, count: int) -> np.ndarray:
    """w.beta after 3 D samples of spherical online descent over its start, D^(-1/2); (count,)."""
    streams = [np.random.default_rng([first + k, dimension]) for k in range(count)]
    w = np.stack([random.normal(size=dimension) for random in streams])
    w[:, 0] = 0
    w *= (1 - 1 / dimension) ** 0.5 / np.linalg.norm(w, axis=1, keepdims=True)
    w[:, 0] = dimension**-0.5
    for _ in range(3):
        inputs = np.stack([random.normal(size=(dimension, dimension)) for random in streams], 1)
        for one in inputs:
            s, target = (w * one).sum(1), one[:, 0]
            error, slope = ((s**2 - target**2), 2 * s) if square else (s - target, 1.0)
            w = w - 0.05 / dimension * (error * slope)[:, None] * one
            w /= np.linalg.norm(w, axis=1, keepdims=True)
    return w[:, 0] * dimension**0.5


def _order(k: int) -> str:
    d = sp.Symbol("D", positive=True)
    found = escape_time(k)
    assert sp.limit(found / (d * sp.log(d)), d, sp.oo) > 0, f"exponent {k}: {found}"
    return f"exponent {k}: {found}"


def _parity_eigenvalue(n: int, size: int) -> set[Fraction]:
    """T[chi]/chi of all parities chi of ``size`` bits, kernel (x.x')^size, bits +-1/sqrt(n).

    Exact: (x.x')^size and chi chi' are rational, as n (x.x') is an integer.
    """
    points = list(product((-1, 1), repeat=n))
    found = set()
    for bits in combinations(range(n), size):
        total = Fraction(0)
        for s in points:
            kernel = Fraction(sum(s), n) ** size  # at x' = (1, ..., 1)/sqrt(n), where chi' > 0
            total += kernel * prod(s[i] for i in bits)
        found.add(total / 2**n)
    return found


def _gaussian_eigenvalue(k: int) -> sp.Expr:
    """T[(a.x)^k]/(a.x')^k for a.a = 0, kernel (x.x')^k, x ~ N(0, I/D)."""
    a = MatrixSymbol("a", D, 1)
    image = expectation(dot(x, x_prime) ** k * dot(a, x) ** k, isotropic(x))
    return sp.simplify(image.subs(dot(a, a), 0) / dot(a, x_prime) ** k)


def _deviations(seed: int, cross_entropy: bool) -> np.ndarray:
    """|f - f_lin|/|f| on the samples, early and late, of a sign test's runs: (2, DRAWS).

    Quadratic neurons at alpha = 16. Steps on the cross-entropy are divided by it: the same
    path, faster.
    """
    rng = np.random.default_rng(seed)
    X = torch.from_numpy(rng.normal(size=(DRAWS, 6, 6)) / 6**0.5)
    W0 = torch.from_numpy(rng.normal(size=(DRAWS, 20, 6)))
    y = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(3)
    alpha, rate, found = 16.0, 0.3, []
    H0 = X @ W0.mT

    def centred(W: torch.Tensor) -> torch.Tensor:
        H = X @ W.mT
        return alpha * (H + H**2 / 4 - H0 - H0**2 / 4).mean(-1)

    def linear(W: torch.Tensor) -> torch.Tensor:
        return alpha * ((1 + H0 / 2) * (X @ W.mT - H0)).mean(-1)

    def slope(f: torch.Tensor) -> torch.Tensor:
        if not cross_entropy:
            return 2 * (f - y)
        loss = torch.nn.functional.softplus(-y * f).mean(-1, keepdim=True)
        return -y * torch.sigmoid(-y * f) / loss

    weights = [W0.clone(), W0.clone()]
    for step in range(2001):
        f = [centred(weights[0]), linear(weights[1])]
        if step in (40, 2000):
            found.append(((f[0] - f[1]).norm(dim=-1) / f[0].norm(dim=-1)).numpy())
        slopes_at = (X @ weights[0].mT, H0)
        for k in range(2):
            gradient = ((slope(f[k]) / 6)[..., None] * (1 + slopes_at[k] / 2)).mT @ X
            weights[k] = weights[k] - rate / alpha * gradient
    assert np.isfinite(found).all(), "the descent diverges"
    return np.array(found)


@evidence(
    "sec-4.1-cross-entropy",
    "measured",
    "six samples, 20 quadratic neurons, alpha = 16; the mean square stays lazy",
    control={"cross_entropy": False},
)
def cross_entropy(budget: Budget, cross_entropy: bool = True) -> str:
    early, late = _deviations(budget.seed, cross_entropy)
    line = f"|f - f_lin|/|f| {with_error(early)} early, {with_error(late)} late"
    return in_most(f"{line}: three times as large late", late > 3 * early)


_d = sp.Symbol("D", positive=True)


_right = {1: _d, 2: _d * sp.log(_d), 3: _d**2, 4: _d**3}


@evidence(
    "sec-5-online-samples",
    "derived",
    "time for the overlap to grow from D^(-1/2), in steps as large as noise allows",
    control={"exponents": _right | {3: _d}},
)
def online_samples(exponents: Mapping[int, sp.Expr] = _right) -> str:
    for k, order in exponents.items():
        found = escape_time(k)
        ratio = sp.limit(found / order, _d, sp.oo)
        assert 0 < ratio < sp.oo, f"exponent {k}: {found} samples, not of the order of {order}"
    return ", ".join(f"k = {k}: {escape_time(k)}" for k in exponents)


attach(
    "sec-5-online-samples",
    Evidence(
        "derived",
        "the paper's target has no linear part",
        lambda _: _exponent(h**2 / 2, 2),
        lambda _: _exponent(activation(h), 2),
    ),
)


attach(
    "footnote-3",
    Evidence(
        "derived",
        "exponent 2: D log D",
        lambda _: _order(2),
        lambda _: _order(1),
    ),
)


@evidence(
    "footnote-3",
    "measured",
    "one quadratic neuron on the sphere: 3 D samples multiply an overlap of D^(-1/2) by one number "
    "at D = 64 and 256, so that the way to 1 takes log(D)/2 times as many; not so of a linear one",
    control={"square": False},
)
def footnote_3(budget: Budget, square: bool = True) -> str:
    def apart(first: int, count: int) -> np.ndarray:
        small, large = (_growth(size, square, first, count) for size in (64, 256))
        return large - small

    grows = mean_exceeds(
        "D = 64: the overlap over its start",
        lambda *draws: _growth(64, square, *draws),
        budget.seed,
        1.0,
        smallest=0.3,
        pilot=64,
    )
    what = "the factor at D = 256 less that at D = 64"
    same = mean_is(what, apart, budget.seed, 0.0, smallest=0.8, pilot=64)
    return f"{grows}; {same}"


def _norms(budget: Budget, epsilon: float, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """|w|^2 over its start when the train loss is below 10%, and at the end."""
    setting = Setting(epsilon=epsilon, learning_rate=min(4.0, 1 / epsilon**2))
    found = curves((setting,), P=100, centred=centred, first_seed=budget.seed)
    memorised = (found.train[:, 0] < 0.1).argmax(-1)
    norms = found.weight_square[:, 0]
    return norms[np.arange(len(norms)), memorised], norms[:, -1]


@evidence(
    "sec-9-memorising-norm",
    "measured",
    "centred, epsilon = 1/4: from 10% of the train loss to the end the norm grows; plain, at "
    "epsilon = 2, it doesn't",
    control={"epsilon": 2.0, "centred": False},
    part="grows",
)
def memorising_norm(budget: Budget, epsilon: float = 0.25, centred: bool = True) -> str:
    memorised, end = _norms(budget, epsilon, centred)
    line = f"|w|^2 over its start {with_error(memorised)} when memorised, {with_error(end)} last"
    return in_most(f"{line}: grows", end > memorised)


@evidence(
    "sec-9-memorising-norm",
    "measured",
    "plain, epsilon = 2, where |beta|^2/(alpha epsilon) is half of Tr M0: the norm falls; at "
    "epsilon = 1/4 it doesn't",
    control={"epsilon": 0.25},
    part="falls",
)
def falling_norm(budget: Budget, epsilon: float = 2.0) -> str:
    memorised, end = _norms(budget, epsilon, centred=False)
    line = f"|w|^2 over its start {with_error(memorised)} when memorised, {with_error(end)} last"
    return in_most(f"{line}: falls", end < memorised)


@evidence(
    "sec-9-parities",
    "proved",
    "eigenvalues by enumeration of all bits, and by the Gaussian-moment engine",
    control={"factor": lambda _: 1},
)
def eigenvalues(factor=factorial) -> str:
    for k in (1, 2, 3):
        gaussian = _gaussian_eigenvalue(k)
        for n in range(k, 7):
            expected = Fraction(factor(k), n**k)
            found = _parity_eigenvalue(n, k)
            assert found == {expected}, f"{k} of {n} bits: {found}, not {expected}"
            assert gaussian.subs(D, n) == sp.Rational(expected), f"harmonics: {gaussian}"
    return "parities of k bits and harmonics of degree k have k!/n^k, k = 1, 2, 3, n up to 6"


@evidence(
    "sec-9-parities",
    "derived",
    "multiplicities: parities of k bits against harmonics of degree k",
    control={"k_of_limit": lambda k: sp.Rational(1, factorial(k))},
)
def counts(k_of_limit=lambda _: 1) -> str:
    for k in (2, 3, 4):
        parities = sp.expand_func(sp.ff(D, k)) / factorial(k)
        ratio = sp.limit(sp.simplify(parities / harmonics(k)), D, sp.oo)
        assert ratio == k_of_limit(k), f"k = {k}: binomial(n, k)/harmonics tends to {ratio}"
    return "binomial(n, k) parities to as many harmonics in the limit, k = 2, 3, 4"


@evidence(
    "sec-9-parities",
    "proved",
    "the functions of the paper's kernel on bits, by rank, n = 2..5",
    control={"extra": 1},
)
def exact_sizes(extra: int = 0) -> str:
    for n in range(2, 6):
        rows = [
            [1, *s, *(a * b for a, b in combinations(s, 2))] for s in product((-1, 1), repeat=n)
        ]
        of_bits = int(np.linalg.matrix_rank(np.array(rows)))
        here = int(closed_form("lazy-sample-size").evaluate(D=n))
        assert here - of_bits == n - 1 + extra, f"n = {n}: {of_bits} of bits, {here} here"
    return "1 + n + n(n - 1)/2 functions of the bits, n - 1 fewer than of Gaussian inputs"
