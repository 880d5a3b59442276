"""Claims of Kumar et al. 2024 on modular addition: Sec. 3, App. 8.3, Fig. 2, Sec. 9, 16.1.

Measured on small runs (``small_networks``): p = 17, 64 neurons, squares, three seeds. Losses are
sums over the p outputs, so that f = 0 has 1.
"""

from fractions import Fraction

import numpy as np

from lazyrich.verify.evidence import attach, counterexample, evidence
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.small_networks import Addition, addition, pairs
from lazyrich.verify.small_runs import rises, with_error


def _times(run: Addition) -> tuple[np.ndarray, np.ndarray]:
    """When 95% of the training pairs are right, and when half of the test pairs are."""
    return run.when(run.train_accuracy >= 0.95), run.when(run.test_accuracy >= 0.5)


def _mirrored(p: int, count: int) -> Fraction:
    """The mean share of test pairs (a, b) whose mirror (b, a) is in training, exactly."""
    off_diagonal = Fraction(p * p - p, p * p)
    return off_diagonal * Fraction(count, p * p - 1)


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


@evidence(
    "fig-2-modular-grokking",
    "measured",
    "with 90% of the pairs the test accuracy rises late; with half of them it doesn't",
    control={"share": 0.5},
)
def groks(budget: Budget, share: float = 0.9) -> str:
    run = addition(share=share, first_seed=budget.seed)
    train, test = _times(run)
    norm = run.weight_square[:, -1]
    line = (
        f"{share:.0%} of the pairs: 95% of training right at step {np.median(train):g}, half "
        f"of test at {np.median(test):g} (medians); |w|^2 over its start {with_error(norm)}"
    )
    assert norm.min() > 1.2, f"the norm does not grow: {line}"
    assert 1.5 * np.median(train) < np.median(test) < np.inf, f"does not grok: {line}"
    return line


_rates = {0.5: 100.0, 1.0: 200.0, 2.0: 400.0}


@evidence(
    "fig-2c-alpha",
    "measured",
    "the delay rises with alpha, at the rate eta_0/alpha^2",
    control={"order": -1},
)
def alpha_sweep(budget: Budget, order: int = 1) -> str:
    delays = []
    for alpha, rate in list(_rates.items())[::order]:
        run = addition(alpha=alpha, learning_rate=rate, steps=600, first_seed=budget.seed)
        train, test = _times(run)
        delays.append(rate / 100 * (test - train))
    delay = np.stack(delays, axis=1)
    return rises("delay in eta_0 step/100 over alpha = 1/2, 1, 2", delay)


@evidence(
    "sec-3-loss-guides-training",
    "measured",
    "the loss has a slope in weight space, the accuracy has none",
    control={"of_loss": False},
)
def slopes(of_loss: bool = True) -> str:
    """Difference quotients along one direction in weight space, at random weights."""
    X, Y = (part.numpy() for part in pairs(7))
    rng = np.random.default_rng(0)
    W, V = rng.normal(size=(12, 14)), rng.normal(size=(7, 12))
    direction = rng.normal(size=W.shape)

    def value(shift: float) -> float:
        f = (X @ (W + shift * direction).T) ** 2 @ V.T / 12
        return ((f - Y) ** 2).mean() if of_loss else (f.argmax(1) == Y.argmax(1)).mean()

    found = [(value(h) - value(-h)) / (2 * h) for h in (1e-5, 1e-6)]
    what = "loss" if of_loss else "accuracy"
    line = f"slope of the {what} along a direction: {found[0]:.3g}, {found[1]:.3g}"
    assert any(found), f"nothing to descend: {line}"
    return line


@evidence(
    "sec-8.3-one-hot-labels",
    "read",
    "labels of p = 5",
    control={"high": 4},
)
def labels(low: int = 0, high: int = 1) -> str:
    _, Y = pairs(5)
    values = set(Y.flatten().tolist())
    assert values <= set(range(low, high + 1)), f"entries {sorted(values)}"
    assert values >= {float(low), float(high)}, f"no label has an entry {high}"
    return "the entries of a one-hot vector are 0 and 1"


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
    "sec-8.3-learning-rate",
    "measured",
    "a factor p in the rate, mean or sum over outputs, is another run",
    control={"rate": 30.0},
)
def learning_rate(budget: Budget, rate: float = 30.0 / 7) -> str:
    """The same steps with the loss summed over outputs, or with f without 1/N, at one eta."""
    settings = {"p": 7, "width": 16, "steps": 200, "first_seed": budget.seed}
    mean = addition(learning_rate=30.0, **settings)
    other = addition(learning_rate=rate, **settings)
    apart = float(np.abs(mean.train[:, -1] / other.train[:, -1] - 1).max())
    line = f"final train losses at eta = 30 and {rate:g}: a factor {1 + apart:.3g} apart"
    assert apart > 0.1, f"the rate does not matter: {line}"
    return line


@evidence(
    "sec-8.3-which-p",
    "measured",
    "primes and composites from 12 on, at one setting; p = 5 does not",
    control={"moduli": (5,)},
)
def which_p(budget: Budget, moduli: tuple[int, ...] = (12, 13, 15, 16, 17)) -> str:
    ends = []
    for p in moduli:
        run = addition(p, first_seed=budget.seed)
        train, test = (np.median(t) for t in _times(run))
        ends.append(f"{p}: {train:g}, {test:g}")
        assert 1.3 * train < test < np.inf, f"no grokking at p = {p}: {'; '.join(ends)}"
    return f"steps to 95% of training, half of test, at p = {'; '.join(ends)}"


@evidence(
    "sec-9-closed-form-solution",
    "measured",
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
    "sec-16.1-flat-accuracy",
    "measured",
    "accuracies and losses of one run, when it has memorised and at the end",
    control={"share": 0.5},
)
def flat_accuracy(budget: Budget, share: float = 0.9) -> str:
    run = addition(share=share, first_seed=budget.seed)
    memorised = (run.train_accuracy >= 0.95).argmax(-1)
    rows = np.arange(len(memorised))
    right = run.test_accuracy[rows, memorised]
    moved = np.abs(np.log(run.test[rows, memorised] / run.test.min(-1, initial=9))).max()
    loss = run.train[rows, memorised]
    line = (
        f"when 95% of training is right: test accuracy {with_error(right)}, train loss "
        f"{with_error(loss)}, which ends at {with_error(run.train[:, -1])}"
    )
    assert right.max() < 0.25, f"the test accuracy has moved: {line}"
    assert (run.train[:, -1] < 0.1 * loss).all(), f"the train loss stays: {line}"
    assert moved > 0.1, f"the test loss has not moved: {line}"
    assert (run.test_accuracy[:, -1] > 0.9).all(), f"never generalises: {line}"
    return line


@evidence(
    "sec-16.1-test-loss-decreases",
    "measured",
    "the test loss rises while the training pairs are memorised",
    control={"sign": -1},
)
def the_test_loss_decreases(budget: Budget, sign: float = 1) -> str:
    run = addition(first_seed=budget.seed)
    half = (run.train_accuracy >= 0.5).argmax(-1)
    whole = (run.train_accuracy >= 0.95).argmax(-1)
    rows = np.arange(len(half))
    change = run.test[rows, whole] - run.test[rows, half]
    line = f"from half of training right to 95%, the test loss moves by {with_error(change)}"
    assert (sign * change > 0).all(), f"not so: {line}"
    return line


counterexample(
    "sec-16.1-test-loss-decreases", lambda: f"p = 17: {the_test_loss_decreases(Budget(), 1)}"
)


@evidence(
    "sec-16.1-zero-accuracy",
    "measured",
    "the test accuracy starts at chance and falls below it",
    control={"level": 0.2},
)
def zero_accuracy(budget: Budget, level: float = 0.5 / 17) -> str:
    """Means over six seeds: at the start, and at the least of the first 200 steps."""
    run = addition(first_seed=budget.seed, seeds=6, every=20)
    start, early = run.test_accuracy[:, 0].mean(), run.test_accuracy[:, 2:8].min(-1).mean()
    chance = 1 / run.p
    line = f"chance {chance:.3f}; test accuracy {start:.3f} at first, {early:.3f} at its least"
    assert start > level, f"zero at first: {line}"
    assert early < 0.5 * chance, f"does not fall below chance: {line}"
    return line


@evidence(
    "sec-16.1-loss-at-perfect-accuracy",
    "measured",
    "the test loss is well above 0 when all test pairs are right, and falls on; at the "
    "cosine solution it is 0",
    control={"solved": True},
)
def nonzero_loss(budget: Budget, solved: bool = False) -> str:
    run = addition(first_seed=budget.seed)
    perfect = run.test_accuracy >= 1
    assert perfect.any(-1).all(), "never perfect"
    then, end = run.test[np.arange(len(perfect)), perfect.argmax(-1)], run.test[:, -1]
    if solved:
        X, Y = (part.numpy() for part in pairs(run.p))
        W, V = solution(run.p)
        then = (((X @ W.T) ** 2 @ V.T - Y) ** 2).sum(-1)
    line = f"test loss {with_error(then)} when all test pairs are right, {with_error(end)} last"
    assert (then > 0.05).all(), f"it is zero: {line}"
    assert (end < then).all(), f"it does not fall on: {line}"
    return line
