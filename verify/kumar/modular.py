"""Claims of Kumar et al. 2024 on modular addition: Sec. 3, App. 8.3, Fig. 2, Sec. 9, 16.1.

The published setting is p = 23, 100 neurons, squares, 90% of the pairs, plain descent; with
weights N(0, 0.6^2) and f = (1/N) V (W x)^2 (the text names neither) the curves are, up to the unit
of time, those of N(0, 1) weights in the NTK parametrisation. Losses are sums over the p outputs,
so that f = 0 has 1.
"""

from fractions import Fraction

import numpy as np

from lazyrich.verify.evidence import attach, evidence
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.small_networks import Addition, addition, pairs
from lazyrich.verify.statistics import Array, Sample, mean_exceeds, mean_is, mostly, rises

_STEPS = 1100


def _published(first: int, count: int, share: float = 0.9, alpha: float = 1.0) -> Addition:
    """The published setting, at the rate eta_0/alpha^2 with eta_0 in proportion to alpha.

    So all alphas memorise within the same number of steps. Each draw has its own split and weights.
    """
    return addition(
        23,
        width=100,
        share=share,
        alpha=alpha,
        learning_rate=200 * alpha,
        first_seed=first,
        seeds=count,
        steps=_STEPS,
        every=20,
    )


def _times(run: Addition) -> tuple[Array, Array]:
    """When 90% of the training pairs are right, and when 90% of the test pairs are."""
    return run.reaches(run.train_accuracy, 0.9), run.reaches(run.test_accuracy, 0.9)


def _log_delay(run: Addition) -> Array:
    """log of the second over the first; the run's end where the test pairs are never right."""
    train, test = _times(run)
    return np.log(np.minimum(test, run.steps[-1]) / train)


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
    "p = 23, 100 neurons: test accuracy rises late; with half of the pairs never",
    control={"share": 0.5},
    part="groks",
    own_setting=True,
)
def groks(budget: Budget, share: float = 0.9) -> str:
    def late(first: int, count: int) -> Array:
        train, test = _times(_published(first, count, share))
        return (1.3 * train < test) & np.isfinite(test)

    return mostly("90% of test pairs right 1.3 times later or more", late, budget.seed)


@evidence(
    "fig-2-modular-grokking",
    "measured",
    "p = 23, 100 neurons: |w|^2 at the end over its start is above 1; it is not above 3",
    control={"least": 3.0},
    part="norm",
    own_setting=True,
)
def norm_grows(budget: Budget, least: float = 1.0) -> str:
    what = "|w|^2 at the end over its start"
    return mean_exceeds(
        what,
        lambda *d: _published(*d).weight_square[:, -1],
        budget.seed,
        least,
        smallest=0.2,
        pilot=14,
    )


@evidence(
    "fig-2c-alpha",
    "measured",
    "p = 23, 100 neurons: test over train time rises with alpha; not if alpha stays",
    control={"alphas": (1.0, 1.0, 1.0)},
    own_setting=True,
)
def alpha_sweep(budget: Budget, alphas: tuple[float, ...] = (0.25, 1.0, 2.25)) -> str:
    def delay(first: int, count: int) -> Array:
        runs = [_published(first, count, alpha=alpha) for alpha in alphas]
        return np.exp(np.stack([_log_delay(run) for run in runs], axis=1))

    return rises(f"test over train time at alpha = {alphas}", delay, budget.seed)


@evidence(
    "fig-2c-vanish",
    "measured",
    "p = 23, 100 neurons, the smallest published alpha: log of test over train time; it is not 0",
    control={"share_of_delay": 0.0},
    own_setting=True,
)
def does_not_vanish(budget: Budget, share_of_delay: float = 1.0) -> str:
    def delay(first: int, count: int) -> Array:
        return share_of_delay * _log_delay(_published(first, count, alpha=0.25))

    what = "alpha = 1/4: log of when 90% of test pairs are right over when 90% in training are"
    return mean_exceeds(what, delay, budget.seed, 0.0, smallest=0.3, pilot=14)


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


_LISTED = (13, 17, 19, 23, 29, 31)
_ALL = (*_LISTED, 13, 17, 19, 23, 12, 15, 16, 18)  # and again, and composite numbers


@evidence(
    "sec-8.3-which-p",
    "measured",
    "all that are listed, and composite numbers, 100 neurons, smaller weights; p = 7 does not",
    control={"moduli": (7,) * 14},
)
def which_p(budget: Budget, moduli: tuple[int, ...] = _ALL) -> str:
    def late(first: int, count: int) -> Array:
        found = []
        for k, p in zip(range(count), moduli, strict=True):
            run = addition(
                p,
                width=100,
                sigma=0.4 if p < 25 else 0.5,
                steps=60 * p,
                every=20,
                seeds=1,
                first_seed=first + k,
            )
            train, test = (float(when[0]) for when in _times(run))
            found.append(1.25 * train < test < np.inf)
        return np.array(found)

    return mostly(f"90% of test pairs right late, at p = {moduli},", late, budget.seed)


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


def _memorised(run: Addition) -> tuple[Array, Array]:
    """Indices of each run's record at which 95% of the training pairs are right."""
    return np.arange(len(run.train)), (run.train_accuracy >= 0.95).argmax(-1)


@evidence(
    "sec-16.1-flat-accuracy",
    "measured",
    "p = 23: test accuracy when the training pairs are memorised; the training accuracy is high",
    control={"of_training": True},
    part="accuracy",
    own_setting=True,
)
def flat_accuracy(budget: Budget, of_training: bool = False) -> str:
    def flat(first: int, count: int) -> Array:
        run = _published(first, count)
        accuracy = run.train_accuracy if of_training else run.test_accuracy
        return accuracy[_memorised(run)] < 0.2

    return mostly("below 20% of test pairs right when memorised", flat, budget.seed)


@evidence(
    "sec-16.1-flat-accuracy",
    "measured",
    "p = 23: range of the test loss before memorisation, over that of f = 0; a test loss that is "
    "constant until then is rejected",
    control={"frozen": True},
    part="loss",
    own_setting=True,
)
def the_test_loss_moves(budget: Budget, frozen: bool = False) -> str:
    def spread(first: int, count: int) -> Array:
        run = _published(first, count)
        _, ends = _memorised(run)
        early = [row[: end + 1] for row, end in zip(run.test, ends, strict=True)]
        return np.array([0.0 if frozen else np.ptp(row) for row in early])

    what = "range of the test loss until 95% of the training pairs are right"
    return mean_exceeds(what, spread, budget.seed, 0.0, smallest=0.1, pilot=14)


@evidence(
    "sec-16.1-flat-accuracy",
    "measured",
    "p = 23: final train loss over the one at 95% accuracy; it is not a hundredth",
    control={"most": 0.01},
    part="train",
    own_setting=True,
)
def train_loss_keeps_falling(budget: Budget, most: float = 0.3) -> str:
    def low(first: int, count: int) -> Array:
        run = _published(first, count)
        return run.train[:, -1] < most * run.train[_memorised(run)]

    return mostly(
        f"the train loss falls below {most:g} of its value when memorised", low, budget.seed
    )


def _move(width: int) -> Sample:
    """By how much the test loss moves from the start to 95% of training, p = 23."""

    def sample(first: int, count: int) -> Array:
        run = (
            _published(first, count)
            if width == 100
            else addition(23, width=width, first_seed=first, seeds=count, steps=500, every=20)
        )
        return run.test[_memorised(run)] - run.test[:, 0]

    return sample


@evidence(
    "sec-16.1-test-loss-decreases",
    "measured",
    "p = 23: with 48 neurons, f = (1/48) V (W x)^2, the test loss ends lower; with 100 it doesn't",
    control={"width": 100},
    part="lower",
)
def the_test_loss_decreases(budget: Budget, width: int = 48) -> str:
    what = f"{width} neurons: fall of the test loss until 95% of training is right"
    move = _move(width)
    return mean_exceeds(what, lambda *d: -move(*d), budget.seed, 0.0, smallest=0.1, pilot=14)


@evidence(
    "sec-16.1-test-loss-decreases",
    "measured",
    "p = 23: with 100 neurons the test loss first falls, then rises; it does not fall to its end",
    control={"to_the_end": True},
    part="rises",
    own_setting=True,
)
def the_test_loss_rises(budget: Budget, to_the_end: bool = False) -> str:
    def rise(first: int, count: int) -> Array:
        run = _published(first, count)
        rows, ends = _memorised(run)
        least = [row[: end + 1].min() for row, end in zip(run.test, ends, strict=True)]
        return (run.test[:, -1] if to_the_end else run.test[rows, ends]) - np.array(least)

    what = "rise of the test loss from its least before, until 95% of training is right"
    return mean_exceeds(what, rise, budget.seed, 0.0, smallest=0.08, pilot=14)


@evidence(
    "sec-16.1-zero-accuracy",
    "measured",
    "p = 23: mean test accuracy, at the start chance, 1/p; it is not 3/p",
    control={"expected": 3 / 23},
    part="start",
    own_setting=True,
)
def zero_accuracy(budget: Budget, expected: float = 1 / 23) -> str:
    def start(first: int, count: int) -> Array:
        return addition(23, width=100, steps=0, seeds=count, first_seed=first).test_accuracy[:, 0]

    return mean_is("test accuracy at the start", start, budget.seed, expected, smallest=1 / 23)


@evidence(
    "sec-16.1-zero-accuracy",
    "measured",
    "p = 23: mean test accuracy over the steps before memorisation, below chance; at the end not",
    control={"late": True},
    part="early",
    own_setting=True,
)
def below_chance(budget: Budget, late: bool = False) -> str:
    def below(first: int, count: int) -> Array:
        run = _published(first, count)
        accuracy = run.test_accuracy[:, -5:] if late else run.test_accuracy[:, 5:15]
        return 1 / run.p - accuracy.mean(-1)

    what = "1/p less the test accuracy at steps 100 to 300"
    return mean_exceeds(what, below, budget.seed, 0.0, smallest=0.025, pilot=14)


@evidence(
    "sec-16.1-loss-at-perfect-accuracy",
    "proved",
    "label (1, 0, 0), output (0.4, 0.3, 0.3): right at a loss above 0; the label itself not",
    control={"output": (1.0, 0.0, 0.0)},
    part="nonzero",
)
def right_at_a_loss(output: tuple[float, ...] = (0.4, 0.3, 0.3)) -> str:
    error = sum((a - b) ** 2 for a, b in zip(output, (1, 0, 0), strict=True))
    assert output.index(max(output)) == 0, "not right"
    assert error > 0, "the loss is zero"
    return f"right, at a square error of {error:.2f}"


@evidence(
    "sec-16.1-loss-at-perfect-accuracy",
    "proved",
    "the inputs' encoding has no part in it: with W Q and Q^T x the outputs stay; without Q^T not",
    control={"turned_back": False},
    part="labels",
)
def inputs_can_be_turned(turned_back: bool = True) -> str:
    """Any orthogonal Q takes the one-hot inputs to others; here a permutation, in integers."""
    X, _ = (part.numpy().astype(int) for part in pairs(5))
    rng = np.random.default_rng(0)
    W, V = rng.integers(-9, 10, (6, 10)), rng.integers(-9, 10, (5, 6))
    order = rng.permutation(10)
    turned = W[:, order], X[:, order] if turned_back else X
    before, after = (w @ x.T for w, x in ((W, X), turned))
    assert (V @ before**2 == V @ after**2).all(), "the outputs change"
    return "same outputs, so the same loss and accuracy, for inputs that are not the one-hot ones"
