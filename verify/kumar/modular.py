"""Claims of Kumar et al. 2024 on modular addition: Sec. 3, App. 8.3, Fig. 2, Sec. 9, 16.1.

Measured on small runs (``small_networks``): p = 17, 64 neurons, squares, three seeds. Losses are
sums over the p outputs, so that f = 0 has 1.
"""

from fractions import Fraction

import numpy as np

from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict
from lazyrich.verify.small_networks import Addition, addition, pairs
from lazyrich.verify.small_runs import rises, with_error


def claims() -> list[Claim]:
    """The claims on modular addition, in the paper's order."""
    return [
        _groks(),
        _alpha_sweep(),
        _loss_guides(),
        _labels(),
        _split(),
        _learning_rate(),
        _which_p(),
        _closed_form(),
        _smaller_norm(),
        _flat_accuracy(),
        _test_loss_decreases(),
        _zero_accuracy(),
        _nonzero_loss(),
    ]


def _times(run: Addition) -> tuple[np.ndarray, np.ndarray]:
    """When 95% of the training pairs are right, and when half of the test pairs are."""
    return run.when(run.train_accuracy >= 0.95), run.when(run.test_accuracy >= 0.5)


def _groks() -> Claim:
    def check(budget: Budget, share: float) -> str:
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

    return Claim(
        name="fig-2-modular-grokking",
        source="Sec. 3; Fig. 2a,b; App. 8.3",
        statement="A two-layer network without weight decay groks on modular addition, under plain "
        "gradient descent, while its weight norm increases.",
        verdict=Verdict.ASSUMING,
        assumption="The activation is the square and the initial weights are small enough (0.6 N(0,"
        " 1) here, f = (1/N) V (W x)^2). The text names neither; larger ones make it lazy.",
        evidence=(
            Evidence(
                "measured",
                "with 90% of the pairs the test accuracy rises late; with half of them it doesn't",
                lambda budget: check(budget, 0.9),
                lambda budget: check(budget, 0.5),
            ),
        ),
    )


def _alpha_sweep() -> Claim:
    # The step is as large as each alpha bears; delays are in units of eta_0 step.
    rates = {0.5: 100.0, 1.0: 200.0, 2.0: 400.0}

    def check(budget: Budget, order: int) -> str:
        delays = []
        for alpha, rate in list(rates.items())[::order]:
            run = addition(alpha=alpha, learning_rate=rate, steps=600, first_seed=budget.seed)
            train, test = _times(run)
            delays.append(rate / 100 * (test - train))
        delay = np.stack(delays, axis=1)
        return rises("delay in eta_0 step/100 over alpha = 1/2, 1, 2", delay)

    return Claim(
        name="fig-2c-alpha",
        source="Sec. 3; Fig. 2c",
        statement="The laziness parameter alpha continuously controls grokking on modular "
        "addition: it can make it more dramatic, or vanish.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            Evidence(
                "measured",
                "the delay rises with alpha, at the rate eta_0/alpha^2",
                lambda budget: check(budget, 1),
                lambda budget: check(budget, -1),
            ),
        ),
    )


def _loss_guides() -> Claim:
    def slopes(of_loss: bool) -> str:
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

    return Claim(
        name="sec-3-loss-guides-training",
        source="Sec. 3; Sec. 16.1",
        statement="Loss, not accuracy, guides the dynamics of training.",
        verdict=Verdict.CONFIRMED,
        derivation="Accuracy is a step function of the weights: its gradient is 0 where it exists.",
        evidence=(
            Evidence(
                "measured",
                "the loss has a slope in weight space, the accuracy has none",
                lambda _: slopes(of_loss=True),
                lambda _: slopes(of_loss=False),
            ),
        ),
    )


def _labels() -> Claim:
    def check(low: int, high: int) -> str:
        _, Y = pairs(5)
        values = set(Y.flatten().tolist())
        assert values <= set(range(low, high + 1)), f"entries {sorted(values)}"
        assert values >= {float(low), float(high)}, f"no label has an entry {high}"
        return "the entries of a one-hot vector are 0 and 1"

    return Claim(
        name="sec-8.3-one-hot-labels",
        source="App. 8.3",
        statement="The output is a p-dimensional one-hot encoded vector c in {0, 1, ..., p - 1}.",
        verdict=Verdict.MISPRINT,
        printed=r"one-hot encoded vector $c \in \{0, 1, \ldots, p - 1\}$",
        derived=r"one-hot encoded vector in $\{0, 1\}^p$ of the class $c \in \{0, \ldots, p - 1\}$",
        derivation="The class is a number below p; its encoding is a vector of zeros and one 1.",
        counterexample="p = 3: c = 2 is encoded as (0, 0, 1)",
        evidence=(
            Evidence(
                "read",
                "labels of p = 5",
                lambda _: check(0, 1),
                lambda _: check(0, 4),
            ),
        ),
    )


def _mirrored(p: int, count: int) -> Fraction:
    """The mean share of test pairs (a, b) whose mirror (b, a) is in training, exactly."""
    off_diagonal = Fraction(p * p - p, p * p)
    return off_diagonal * Fraction(count, p * p - 1)


def _split() -> Claim:
    def check(expected: Fraction) -> str:
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

    return Claim(
        name="sec-8.3-split",
        source="App. 8.3",
        statement="90% of all p^2 pairs are used for training, the rest for the test.",
        verdict=Verdict.ASSUMING,
        assumption="(a, b) and (b, a), of the same label, count as two pairs: then 86% of the test "
        "pairs at p = 23 are a training pair read backwards. The network does not know that the "
        "two inputs commute, so the test is no memory test, but it isn't one on new sums either.",
        evidence=(
            Evidence(
                "measured",
                "(1 - 1/p) 476/(p^2 - 1) of the test pairs, over random splits",
                lambda _: check(_mirrored(23, 476)),
                lambda _: check(Fraction(476, 529)),
            ),
        ),
    )


def _learning_rate() -> Claim:
    def check(budget: Budget, rate: float) -> str:
        """The same steps with the loss summed over outputs, or with f without 1/N, at one eta."""
        settings = {"p": 7, "width": 16, "steps": 200, "first_seed": budget.seed}
        mean = addition(learning_rate=30.0, **settings)
        other = addition(learning_rate=rate, **settings)
        apart = float(np.abs(mean.train[:, -1] / other.train[:, -1] - 1).max())
        line = f"final train losses at eta = 30 and {rate:g}: a factor {1 + apart:.3g} apart"
        assert apart > 0.1, f"the rate does not matter: {line}"
        return line

    return Claim(
        name="sec-8.3-learning-rate",
        source="App. 8.3",
        statement="The learning rate is eta = 100, the width N = 100.",
        verdict=Verdict.OPEN,
        derived="eta = 100 means something only with the scale of f and of the loss: a mean over "
        "the p = 23 outputs instead of a sum is a factor 23 in eta, 1/N before the sum over "
        "neurons one of up to N^2. A reproducer must choose these, the activation, the law of the "
        "initial weights, and whether one alpha or alpha^2 scales f (Fig. 2c).",
        evidence=(
            Evidence(
                "measured",
                "a factor p in the rate, mean or sum over outputs, is another run",
                lambda budget: check(budget, 30.0 / 7),
                lambda budget: check(budget, 30.0),
            ),
        ),
    )


def _which_p() -> Claim:
    def check(budget: Budget, moduli: tuple[int, ...]) -> str:
        ends = []
        for p in moduli:
            run = addition(p, first_seed=budget.seed)
            train, test = (np.median(t) for t in _times(run))
            ends.append(f"{p}: {train:g}, {test:g}")
            assert 1.3 * train < test < np.inf, f"no grokking at p = {p}: {'; '.join(ends)}"
        return f"steps to 95% of training, half of test, at p = {'; '.join(ends)}"

    return Claim(
        name="sec-8.3-which-p",
        source="App. 8.3",
        statement="The same curves are seen for most integers p, for instance any of 13, 17, 19, "
        "23, 29, 31.",
        verdict=Verdict.ASSUMING,
        assumption="p is large enough for its p^2 pairs to determine the sum (p = 7 fails here). "
        "That p be prime, as all that are listed, does not matter: 12, 15 and 16 grok as well.",
        evidence=(
            Evidence(
                "measured",
                "primes and composites from 12 on, at one setting; p = 5 does not",
                lambda budget: check(budget, (12, 13, 15, 16, 17)),
                lambda budget: check(budget, (5,)),
            ),
        ),
    )


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


def _closed_form() -> Claim:
    def check(phases: int) -> str:
        off, widths = [], []
        for p in (5, 9, 13, 23):
            X, Y = (part.numpy() for part in pairs(p))
            W, V = solution(p, phases)
            off.append(np.abs((X @ W.T) ** 2 @ V.T - Y).max())
            widths.append(len(W))
        line = f"p = 5, 9, 13, 23: {widths} neurons, largest error {max(off):.1e}"
        assert max(off) < 1e-12, f"no solution: {line}"
        return line

    return Claim(
        name="sec-9-closed-form-solution",
        source="Sec. 9; App. 8.3",
        statement="The final weights for modular addition can be written in closed form (Gromov).",
        verdict=Verdict.CONFIRMED,
        derivation="Cosines of the inputs, squared, hold cos(k(a + b)) among other products; "
        "averaging over seven phases removes the others. So N = 7 (p - 1)/2 + 1 = 78 neurons have "
        "loss 0 at p = 23, and the paper's 100 are enough. That descent ends there is not shown.",
        evidence=(
            Evidence(
                "measured",
                "a network of squares with zero loss on all pairs; five phases are too few",
                lambda _: check(7),
                lambda _: check(5),
            ),
        ),
    )


def _smaller_norm() -> Claim:
    def norms(sigma: float, p: int = 23, N: int = 100) -> tuple[float, float]:
        """|w|^2 of the solution of (1/N) V (W x)^2, balanced neuron by neuron, and of N(0, s^2)."""
        W, V = solution(p)
        w, v = (W**2).sum(1), ((N * V) ** 2).sum(0)
        balance = (2 * v / w) ** (1 / 3)  # least |w|^2 c + |v|^2/c^2
        return float((w * balance + v / balance**2).sum()), 3 * p * N * sigma**2

    def check(sigma: float) -> str:
        solved, start = norms(sigma)
        line = f"|w|^2 is {solved:.0f}, that of N(0, {sigma:g}^2) weights {start:.0f} on average"
        assert solved < start, f"the solution is larger: {line}"
        return line

    return Claim(
        name="sec-9-larger-norm",
        source="Sec. 9",
        statement="Modular addition is a counter-example to generalising solutions of smaller "
        "norm: the final solution has a larger norm than the initial weights.",
        verdict=Verdict.ASSUMING,
        assumption="The initial weights are small. At f = (1/N) V (W x)^2, p = 23, N = 100 and "
        "N(0, 1) weights, solutions of loss 0 on all pairs and smaller norm exist; that a run's "
        "norm grows says that descent does not find these.",
        evidence=(
            Evidence(
                "measured",
                "the norm of the cosine solution against initial ones; at 0.6 N(0, 1) it is larger",
                lambda _: check(1.0),
                lambda _: check(0.6),
            ),
        ),
    )


def _flat_accuracy() -> Claim:
    def check(budget: Budget, share: float) -> str:
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

    return Claim(
        name="sec-16.1-flat-accuracy",
        source="Sec. 16.1; Fig. 16",
        statement="Test accuracy is flat early in training, but test loss moves; train accuracy is "
        "perfect early, while the train loss keeps falling.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            Evidence(
                "measured",
                "accuracies and losses of one run, when it has memorised and at the end",
                lambda budget: check(budget, 0.9),
                lambda budget: check(budget, 0.5),
            ),
        ),
    )


def _test_loss_decreases() -> Claim:
    def check(budget: Budget, sign: float) -> str:
        run = addition(first_seed=budget.seed)
        half = (run.train_accuracy >= 0.5).argmax(-1)
        whole = (run.train_accuracy >= 0.95).argmax(-1)
        rows = np.arange(len(half))
        change = run.test[rows, whole] - run.test[rows, half]
        line = f"from half of training right to 95%, the test loss moves by {with_error(change)}"
        assert (sign * change > 0).all(), f"not so: {line}"
        return line

    return Claim(
        name="sec-16.1-test-loss-decreases",
        source="Sec. 16.1",
        statement="During memorisation the test loss decreases, because the network attempts to "
        "fit a linearised solution.",
        verdict=Verdict.MISPRINT,
        printed="during memorization, test loss decreases",
        derived="during memorisation, test loss increases",
        derivation="The same section defines this phase by a test loss that rises, and calls the "
        "change unhelpful on the test points two lines on.",
        counterexample=lambda: f"p = 17: {check(Budget(), 1)}",
        evidence=(
            Evidence(
                "measured",
                "the test loss rises while the training pairs are memorised",
                lambda budget: check(budget, 1),
                lambda budget: check(budget, -1),
            ),
        ),
    )


def _zero_accuracy() -> Claim:
    def check(budget: Budget, level: float) -> str:
        """Means over six seeds: at the start, and at the least of the first 200 steps."""
        run = addition(first_seed=budget.seed, seeds=6, every=20)
        start, early = run.test_accuracy[:, 0].mean(), run.test_accuracy[:, 2:8].min(-1).mean()
        chance = 1 / run.p
        line = f"chance {chance:.3f}; test accuracy {start:.3f} at first, {early:.3f} at its least"
        assert start > level, f"zero at first: {line}"
        assert early < 0.5 * chance, f"does not fall below chance: {line}"
        return line

    return Claim(
        name="sec-16.1-zero-accuracy",
        source="Sec. 16.1",
        statement="The test accuracy stays flat early as it is already zero, and can't fall.",
        verdict=Verdict.ASSUMING,
        assumption="Some steps have passed. At initialisation it is chance, 1/p; memorising drives "
        "it below, towards zero, as the unhelpful change of the test loss would suggest.",
        evidence=(
            Evidence(
                "measured",
                "the test accuracy starts at chance and falls below it",
                lambda budget: check(budget, 0.5 / 17),
                lambda budget: check(budget, 0.2),
            ),
        ),
    )


def _nonzero_loss() -> Claim:
    def check(budget: Budget, solved: bool) -> str:
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

    return Claim(
        name="sec-16.1-loss-at-perfect-accuracy",
        source="Sec. 16.1",
        statement="The loss is not zero when the accuracy is perfect, as the network is trained on "
        "one-hot inputs and pays until it puts probability one on the correct answer.",
        verdict=Verdict.MISPRINT,
        printed="trained on one-hot inputs; probability one",
        derived="trained on one-hot labels; output one there and zero elsewhere (under the mean "
        "square error the outputs are no probabilities)",
        derivation="The inputs' encoding has no part in it: the largest output decides what is "
        "right, the distance from the one-hot label what it costs.",
        counterexample="output (0.4, 0.3, 0.3), label (1, 0, 0): right, at a square error of 0.54",
        evidence=(
            Evidence(
                "measured",
                "the test loss is well above 0 when all test pairs are right, and falls on; at the "
                "cosine solution it is 0",
                lambda budget: check(budget, solved=False),
                lambda budget: check(budget, solved=True),
            ),
        ),
    )
