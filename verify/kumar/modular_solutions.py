"""Claims of Kumar et al. 2024 on pairs and solutions of modular addition: App. 8.3, Sec. 9."""

from fractions import Fraction

import numpy as np

from lazyrich.verify.evidence import attach, evidence
from lazyrich.verify.kumar.modular import PILOT, published
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.small_networks import pairs
from lazyrich.verify.statistics import Array, mean_exceeds


def solution(p: int, phases: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """(W, V): a network V (W x)^2 of cosines for addition modulo an odd p.

    For each frequency k up to (p - 1)/2 and phase t = 2 pi j/phases: the neuron cos(k' a + 3t) +
    cos(k' b + t), k' = 2 pi k/p, read out by cos(k' c + 4t). Averaged over the phases only the
    product that is cos(k'(a + b - c)) stays, as seven divides none of 2, 4, 6, 8, 10. One neuron
    more, constant, adds 1/p.

    >>> W, V = solution(23)
    >>> W.shape, V.shape
    ((78, 46), (23, 78))
    """
    grid = 2 * np.pi / p * np.arange(p)
    first, second = [np.full(2 * p, 0.5)], [np.full(p, 1 / p)]
    for k in range(1, (p - 1) // 2 + 1):
        for t in 2 * np.pi / phases * np.arange(phases):
            first.append(np.concatenate([np.cos(k * grid + 3 * t), np.cos(k * grid + t)]))
            second.append(4 / (phases * p) * np.cos(k * grid + 4 * t))
    return np.array(first), np.array(second).T


def _mirrored(p: int, count: int) -> Fraction:
    """The mean share of test pairs (a, b) whose mirror (b, a) is in training, exactly."""
    off_diagonal = Fraction(p * p - p, p * p)
    return off_diagonal * Fraction(count, p * p - 1)


def _split(expected: Fraction) -> str:
    rng = np.random.default_rng(0)
    p, shares = 23, []
    for _ in range(400):
        train = np.zeros((p, p), dtype=bool)
        train.flat[rng.permutation(p * p)[:476]] = True
        off = ~np.eye(p, dtype=bool)
        shares.append((train.T & off)[~train].mean())
    mean, error = np.mean(shares), np.std(shares) / len(shares) ** 0.5
    line = f"{mean:.4f} ± {error:.4f} of the 53 test pairs have their mirror in training"
    assert abs(mean - float(expected)) < 5 * error, f"{line}, not {float(expected):.4f}"
    return f"{line}; exactly {expected}"


attach(
    "sec-8.3-split",
    Evidence(
        "measured",
        "(1 - 1/p) 476/(p^2 - 1) of the test pairs, over random splits",
        lambda _: _split(_mirrored(23, 476)),
        lambda _: _split(Fraction(476, 529)),
    ),
)


@evidence(
    "sec-9-closed-form-solution",
    "proved",
    "a network of squares with zero loss on all pairs; five phases are too few",
    control={"phases": 5},
)
def closed_form(phases: int = 7) -> str:
    off, widths = [], []
    for p in (5, 9, 13, 23):
        X, Y = (part.numpy() for part in pairs(p))
        W, V = solution(p, phases)
        off.append(np.abs((X @ W.T) ** 2 @ V.T - Y).max())
        widths.append(len(W))
    line = f"p = 5, 9, 13, 23: {widths} neurons, largest error {max(off):.1e}"
    assert max(off) < 1e-12, f"no solution: {line}"
    return line


def _norms(sigma: float, p: int = 23, N: int = 100) -> tuple[float, float]:
    """|w|^2 of the solution of (1/N) V (W x)^2, balanced neuron by neuron, and of N(0, s^2)."""
    W, V = solution(p)
    w, v = (W**2).sum(1), ((N * V) ** 2).sum(0)
    balance = (2 * v / w) ** (1 / 3)  # least |w|^2 c + |v|^2/c^2
    return float((w * balance + v / balance**2).sum()), 3 * p * N * sigma**2


@evidence(
    "sec-9-larger-norm",
    "measured",
    "the norm of the cosine solution against initial ones; at 0.6 N(0, 1) it is larger",
    control={"sigma": 0.6},
)
def smaller_norm(sigma: float = 1.0) -> str:
    solved, start = _norms(sigma)
    line = f"|w|^2 is {solved:.0f}, that of N(0, {sigma:g}^2) weights {start:.0f} on average"
    assert solved < start, f"the solution is larger: {line}"
    return line


@evidence(
    "sec-9-memorising-norm-modular",
    "measured",
    "p = 23, 100 neurons: |w|^2 at the end over that when 95% of the training pairs are right is "
    "above 1; it is not above 3",
    control={"least": 3.0},
    own_setting=True,
)
def norm_grows_after_memorising(budget: Budget, least: float = 1.0) -> str:
    def ratio(first: int, count: int) -> Array:
        run = published(first, count)
        memorised = (run.train_accuracy >= 0.95).argmax(-1)
        return run.weight_square[:, -1] / run.weight_square[np.arange(count), memorised]

    what = "|w|^2 at the end over that when memorised"
    return mean_exceeds(what, ratio, budget.seed, least, smallest=0.2, pilot=PILOT)
