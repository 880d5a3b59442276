"""Claims of Kumar et al. 2024 on accuracy and loss of modular addition: Sec. 16.1, Fig. 16.

In the published setting, as ``modular`` has it: p = 23, 100 neurons, squares, 90% of the pairs.
"""

import math

import numpy as np

from lazyrich.simulate.outcome import settled_at
from lazyrich.verify.evidence import evidence
from lazyrich.verify.kumar.modular import PILOT, published
from lazyrich.verify.ledger import Budget
from lazyrich.verify.small_networks import Addition, addition, pairs
from lazyrich.verify.statistics import Array, Sample, mean_exceeds, mean_is


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
    def wrong(first: int, count: int) -> Array:
        run = published(first, count)
        accuracy = run.train_accuracy if of_training else run.test_accuracy
        return 1 - accuracy[_memorised(run)]

    what = "share of test pairs that are wrong when the training pairs are memorised"
    return mean_exceeds(what, wrong, budget.seed, 0.8, smallest=0.1, pilot=PILOT)


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
        run = published(first, count)
        _, ends = _memorised(run)
        early = [row[: end + 1] for row, end in zip(run.test, ends, strict=True)]
        return np.array([0.0 if frozen else np.ptp(row) for row in early])

    what = "range of the test loss until 95% of the training pairs are right"
    return mean_exceeds(what, spread, budget.seed, 0.0, smallest=0.1, pilot=PILOT)


@evidence(
    "sec-16.1-flat-accuracy",
    "measured",
    "p = 23: final train loss over the one at 95% accuracy; it is not a hundredth",
    control={"most": 0.01},
    part="train",
    own_setting=True,
)
def train_loss_keeps_falling(budget: Budget, most: float = 0.3) -> str:
    def fall(first: int, count: int) -> Array:
        run = published(first, count)
        return np.log(run.train[_memorised(run)] / run.train[:, -1])

    what = "log of the train loss when memorised over the final one"
    return mean_exceeds(what, fall, budget.seed, -np.log(most), smallest=0.5, pilot=PILOT)


def _move(width: int) -> Sample:
    """By how much the test loss moves from the start to 95% of training, p = 23."""

    def sample(first: int, count: int) -> Array:
        run = (
            published(first, count)
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
    return mean_exceeds(what, lambda *d: -move(*d), budget.seed, 0.0, smallest=0.1, pilot=PILOT)


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
        run = published(first, count)
        rows, ends = _memorised(run)
        least = [row[: end + 1].min() for row, end in zip(run.test, ends, strict=True)]
        return (run.test[:, -1] if to_the_end else run.test[rows, ends]) - np.array(least)

    what = "rise of the test loss from its least before, until 95% of training is right"
    return mean_exceeds(what, rise, budget.seed, 0.0, smallest=0.08, pilot=PILOT)


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
        run = published(first, count)
        accuracy = run.test_accuracy[:, -5:] if late else run.test_accuracy[:, 5:15]
        return 1 / run.p - accuracy.mean(-1)

    what = "1/p less the test accuracy at steps 100 to 300"
    return mean_exceeds(what, below, budget.seed, 0.0, smallest=0.025, pilot=PILOT)


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
    return (
        f"the same {before.shape[1] * len(V)} outputs, so the same loss and accuracy, for inputs "
        "that are not the one-hot ones"
    )


@evidence(
    "fig-16-epochs",
    "measured",
    "p = 13: at half the rate the training pairs are right in twice the epochs, not in the same",
    control={"power": 0.0},
)
def epochs_follow_the_rate(budget: Budget, power: float = 1.0) -> str:
    """So the text's epochs fix nothing while its rate may mean several: sec-8.3-learning-rate."""

    def slower(first: int, count: int) -> Array:
        settings = {"p": 13, "width": 48, "seeds": count, "first_seed": first, "every": 5}
        whole = addition(learning_rate=100.0, steps=300, **settings)
        half = addition(learning_rate=50.0, steps=600, **settings)
        fast, slow = (run.reaches(run.train_accuracy, 0.95) for run in (whole, half))
        return np.log2(slow / fast)

    what = "power of 1/rate in the epochs until 95% of the training pairs are right"
    return mean_is(what, slower, budget.seed, power, smallest=0.5)


def _longer(first: int, count: int) -> Addition:
    """``published`` until every test loss has dipped."""
    settings = {"width": 100, "learning_rate": 200.0, "steps": 2000}
    return addition(23, **settings, first_seed=first, seeds=count)


def _when_perfect(run: Addition) -> tuple[Array, Array]:
    """The step from which all training pairs are right, and the train loss at the record there."""
    steps = run.reaches(run.train_accuracy, 1.0)
    at = np.minimum(np.searchsorted(run.steps, steps), len(run.steps) - 1)
    return steps, run.train[np.arange(len(at)), at]


def _dip(factor: float) -> Sample:
    """log of the step of the dip, times ``factor``, over that at which training is perfect."""

    def sample(first: int, count: int) -> Array:
        run = _longer(first, count)
        perfect, level = _when_perfect(run)
        pairs = zip(run.test, level, strict=True)
        dips = np.array([settled_at(run.steps, row / one, 1.0) for row, one in pairs])
        return np.log(factor * dips / perfect)

    return sample


@evidence(
    "fig-16-dip",
    "measured",
    "p = 23: the dip comes more than 1.5 times as late; one at 0.8 of its step doesn't",
    control={"factor": 0.8},
    own_setting=True,
)
def dips_later(budget: Budget, factor: float = 1.0) -> str:
    def over(first: int, count: int) -> Array:
        return _dip(factor)(first, count) - math.log(1.5)

    what = "log of the step of the dip over 1.5 times that of perfect training"
    return mean_exceeds(what, over, budget.seed, 0.0, smallest=0.1)


@evidence(
    "fig-16-dip",
    "measured",
    "p = 23: the dip comes less than twice as late; one at 1.25 of its step doesn't",
    control={"factor": 1.25},
    own_setting=True,
)
def dips_before_twice(budget: Budget, factor: float = 1.0) -> str:
    def left(first: int, count: int) -> Array:
        return math.log(2) - _dip(factor)(first, count)

    what = "log of twice the step of perfect training over that of the dip"
    return mean_exceeds(what, left, budget.seed, 0.0, smallest=0.1)


def _over_printed(outputs: int) -> Sample:
    """log of the train loss at perfect accuracy over 0.06, as the sum over outputs over these."""
    return lambda first, count: np.log(_when_perfect(_longer(first, count))[1] / outputs / 0.06)


@evidence(
    "fig-16-train-loss",
    "measured",
    "p = 23: as a sum over the outputs it is above 0.06; as their mean it isn't",
    control={"outputs": 23},
)
def loss_as_a_sum(budget: Budget, outputs: int = 1) -> str:
    what = "log of the train loss when training is perfect over 0.06"
    sample = _over_printed(outputs)
    return mean_exceeds(what, sample, budget.seed, 0.0, smallest=math.log(2))


@evidence(
    "fig-16-train-loss",
    "measured",
    "p = 23: as a mean over the outputs it is below 0.06; as their sum it isn't",
    control={"outputs": 1},
)
def loss_as_a_mean(budget: Budget, outputs: int = 23) -> str:
    def below(first: int, count: int) -> Array:
        return -_over_printed(outputs)(first, count)

    what = "log of 0.06 over the train loss, a mean over outputs, when training is perfect"
    return mean_exceeds(what, below, budget.seed, 0.0, smallest=math.log(2))
