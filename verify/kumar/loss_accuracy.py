"""Claims of Kumar et al. 2024 on loss and accuracy, Sec. 16, and on student and teacher, 8.3.1.

The polynomial task is that of ``small_runs`` (D = 16, eight seeds): at P = 60 it groks in the
loss, at P = 240 train and test loss fall together. Accuracy is the share of |f - y| <= theta.
"""

import numpy as np
from hypothesis import strategies as st

from lazyrich.verify.evidence import attach, attacked, counterexample, evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.small_networks import Student, student_and_teacher
from lazyrich.verify.small_runs import Setting, curves, rises


def _accuracy_ratio(budget: Budget, P: int, theta: float) -> float:
    """When 90% of the test samples are within theta, over when 90% of the training ones are."""
    found = curves((Setting(),), P=P, first_seed=budget.seed)
    train, test = (
        np.median(np.maximum(found.when(found.accuracy(theta, part) >= 0.9), 1))
        for part in (True, False)
    )
    return float(test / train)


def _loss_ratio(budget: Budget, P: int) -> float:
    """The same of the losses: below 10% and 25% of <y^2>, as elsewhere."""
    found = curves((Setting(),), P=P, first_seed=budget.seed)
    return float(np.median(found.when(found.test < 0.25) / found.when(found.train < 0.1)))


def _shown(ratios: dict[float, float]) -> str:
    each = (f"{'never' if np.isinf(r) else f'{r:.2g}'} at {t:g}" for t, r in ratios.items())
    return f"test over train time by theta: {', '.join(each)}"


_SCALE = 2.0  # of the student's initial weights, as the text doubles them


def _students(budget: Budget) -> Student:
    settings = ((0.25, _SCALE), (1.0, _SCALE), (4.0, _SCALE), (1.0, 1.0))
    return student_and_teacher(settings, first_seed=budget.seed)


def _fall(found: Student, k: int) -> tuple[np.ndarray, np.ndarray]:
    """When train and test loss of setting k fall below 10% of <y^2>, (seeds,) each."""
    low = [part[k] < 0.1 for part in (found.train, found.test)]
    assert all(part.any(-1).all() for part in low), "a loss never falls"
    first, second = (found.steps[part.argmax(-1)] for part in low)
    return first, second


_THETAS = (1.5, 0.5, 0.2)


@evidence(
    "fig-8",
    "measured",
    "tanh networks 5-32-32-5, 100 samples, AdamW, 600 steps, three seeds",
    control={"order": -1},
)
def alpha_in_student_teacher(budget: Budget, order: int = 1) -> str:
    ends = _students(budget).test[:, :, -1].T
    over_alpha = rises("final test loss over alpha = 1/4, 1, 4", ends[:, :3][:, ::order])
    return f"{over_alpha}; {rises('over weights at 1, 2 times', ends[:, [3, 1]][:, ::order])}"


@evidence(
    "sec-14-both-grok",
    "measured",
    "losses of student and teacher; those of the polynomial task do lag and rise",
    control={"polynomial": True},
)
def both_grok(budget: Budget, polynomial: bool = False) -> str:
    if polynomial:
        run = curves((Setting(),), first_seed=budget.seed)
        losses, late = run.test[:, 0], run.when(run.test < 0.25) / run.when(run.train < 0.1)
    else:
        found = _students(budget)
        losses, late = found.test[1], np.divide(*_fall(found, 1)[::-1])
    peak = (losses.max(-1) / losses[:, 0]).max()
    line = (
        f"the test loss falls {np.median(late):.2g} times as late as the train loss, and is "
        f"never above {peak:.3g} times its start"
    )
    assert np.median(late) < 1.5, f"delayed: {line}"
    assert peak < 1.01, f"the test loss rises: {line}"
    return line


counterexample(
    "sec-14-both-grok", lambda: f"5-32-32-5, 100 samples, AdamW: {both_grok(Budget(), False)}"
)


def _bound(outputs: np.ndarray, factor: float) -> None:
    """Outputs (samples, p) with label 0: the share of wrong ones is at most factor * loss."""
    labels = np.eye(outputs.shape[1])[:1]
    loss = ((outputs - labels) ** 2).sum(1).mean()
    wrong = (outputs[:, 1:].max(1) >= outputs[:, 0]).mean()
    assert wrong <= factor * loss * (1 + 1e-12), f"{wrong} wrong at a loss of {loss}"


def _near_ties(p: int) -> st.SearchStrategy[tuple[float, ...]]:
    quarters = st.integers(0, 1).map(lambda k: k / 4)
    return st.tuples(st.sampled_from([0.25, 0.5, 0.75]), *[quarters] * (p - 1)).map(
        lambda row: (row[0], row[0] + row[1], *row[2:])
    )


_outputs = st.integers(2, 4).flatmap(
    lambda p: st.lists(_near_ties(p), min_size=1, max_size=3).map(np.array)
)


attach(
    "sec-16.1-loss-0.06",
    attacked(
        "wrong answers are at most 2 L: two entries, or one, are off by half in sum",
        lambda f: _bound(f, 2.0),
        (_outputs,),
        lambda f: _bound(f, 1.5),
    ),
)


@evidence(
    "sec-16.1-loss-0.06",
    "measured",
    "0.06 is below the loss of f = 0 as a sum, above it as a mean",
    control={"summed": False},
)
def null(p: int = 23, summed: bool = True) -> str:
    loss = 1.0 if summed else 1 / p
    assert loss > 0.06, f"f = 0 has the loss {loss:.3f} < 0.06"
    return f"f = 0 has the loss {loss:g}"


@evidence(
    "sec-16.1-equivalent",
    "measured",
    "polynomial task: times of losses and of accuracies, medians over eight seeds",
    control={"thetas": (0.5, 0.2)},
)
def equivalent(budget: Budget, thetas: tuple[float, ...] = _THETAS) -> str:
    loss = {P: _loss_ratio(budget, P) for P in (60, 240)}
    groks = {t: _accuracy_ratio(budget, 60, t) for t in thetas}
    does_not = _accuracy_ratio(budget, 240, 0.02)
    line = (
        f"P = 60: losses {loss[60]:.2g}, {_shown(groks)}; P = 240: losses {loss[240]:.2g}, "
        f"{_shown({0.02: does_not})}"
    )
    assert loss[60] > 2 > 1.5 > loss[240], f"losses don't tell: {line}"
    assert min(groks.values()) < 1.5, f"grokking in loss shows in accuracy: {line}"
    assert does_not > 2, f"no grokking in loss, none in accuracy: {line}"
    return line


counterexample("sec-16.1-equivalent", lambda: equivalent(Budget(), _THETAS))


@evidence(
    "sec-16.2-thresholds",
    "measured",
    "the delay in accuracy of the same runs at three thresholds",
    control={"thetas": (1.5, 1.5)},
)
def thresholds(budget: Budget, thetas: tuple[float, ...] = _THETAS) -> str:
    ratios = {t: _accuracy_ratio(budget, 60, t) for t in thetas}
    assert ratios[thetas[0]] < 1.5, f"a delay at every theta: {_shown(ratios)}"
    assert ratios[thetas[-1]] > 5, f"no delay at any theta: {_shown(ratios)}"
    return f"one set of runs, P = 60: {_shown(ratios)}"


@evidence(
    "sec-16.3-accuracy-alone",
    "measured",
    "the paper's own task at P = 240 and theta = 0.02",
    control={"P": 60},
)
def accuracy_alone(budget: Budget, P: int = 240) -> str:
    loss, accuracy = _loss_ratio(budget, P), _accuracy_ratio(budget, P, 0.02)
    line = f"P = {P}: test over train time {loss:.2g} in loss; {_shown({0.02: accuracy})}"
    assert loss < 1.5, f"groks in loss: {line}"
    assert accuracy > 2, f"does not grok in accuracy: {line}"
    return line


@evidence(
    "sec-16.4-loss-implies-accuracy",
    "measured",
    "the polynomial task groks in loss, and not in accuracy at theta = 1.5",
    control={"theta": 0.5},
)
def loss_implies_accuracy(budget: Budget, theta: float = 1.5) -> str:
    loss, accuracy = _loss_ratio(budget, 60), _accuracy_ratio(budget, 60, theta)
    line = f"P = 60: test over train time {loss:.2g} in loss; {_shown({theta: accuracy})}"
    assert loss > 2, f"does not grok in loss: {line}"
    assert accuracy < 1.5, f"groks in accuracy: {line}"
    return line


counterexample("sec-16.4-loss-implies-accuracy", lambda: loss_implies_accuracy(Budget(), 1.5))


@evidence(
    "fig-18",
    "measured",
    "5-32-32-5, weights doubled: both losses fall together, to below 5%",
    control={"k": 2},
)
def unremarkable_losses(budget: Budget, k: int = 1, level: float = 0.05) -> str:
    found = _students(budget)
    first, second = _fall(found, k)
    ratio = found.test[k][:, -1] / found.train[k][:, -1]
    line = (
        f"train and test loss below 10% at steps {np.median(first):g}, {np.median(second):g}; "
        f"they end a factor {ratio.min():.2g} or more apart, below {found.test[k].min():.2g}"
    )
    assert (second < 2 * first + 10).all(), f"the test loss lags: {line}"
    assert found.test[k][:, -1].max() < level, f"the test loss is not low: {line}"
    return line
