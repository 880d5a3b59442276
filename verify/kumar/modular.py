"""Claims of Kumar et al. 2024 on modular addition: Sec. 3, App. 8.3, Fig. 2, Sec. 9.

The published setting is p = 23, 100 neurons, squares, 90% of the pairs, plain descent; with
weights N(0, 0.6^2) and f = (1/N) V (W x)^2 (the text names neither) the curves are, up to the unit
of time, those of N(0, 1) weights in the NTK parametrisation. Losses are sums over the p outputs,
so that f = 0 has 1.
"""

import numpy as np

from lazyrich.verify.evidence import evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.small_networks import Addition, addition, pairs
from lazyrich.verify.statistics import Array, grows, mean_exceeds, mostly

_STEPS = 1100
# Draws that all measurements of these runs share: their spread asks for no more.
PILOT = 12


def published(first: int, count: int, share: float = 0.9, alpha: float = 1.0) -> Addition:
    """The published setting, at the rate eta_0/alpha^2 with eta_0 in proportion to alpha.

    So all alphas memorise within the same number of steps. Each draw has its own split and weights.
    The claims ask for the same draws, so that each runs once.
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
    """log of the second over the first; the run's end where the test pairs are not right yet."""
    train, test = _times(run)
    return np.log(np.minimum(test, run.steps[-1]) / train)


@evidence(
    "fig-2-modular-grokking",
    "measured",
    "p = 23, 100 neurons: test accuracy rises late; with half of the pairs never",
    control={"share": 0.5},
    part="groks",
    own_setting=True,
)
def groks(budget: Budget, share: float = 0.9) -> str:
    def delay(first: int, count: int) -> Array:
        run = published(first, count, share)
        return np.where(np.isfinite(_times(run)[1]), _log_delay(run), 0.0)

    what = "log of when 90% of test pairs are right over when 90% in training are; 0 where never"
    return mean_exceeds(what, delay, budget.seed, np.log(2), smallest=0.1, pilot=PILOT)


@evidence(
    "sec-9-larger-norm",
    "measured",
    "p = 23, 100 neurons, weights N(0, 0.6^2): |w|^2 at the end over its start is above 1; it is "
    "not above 3",
    control={"least": 3.0},
    own_setting=True,
)
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
        lambda *d: published(*d).weight_square[:, -1],
        budget.seed,
        least,
        smallest=0.2,
        pilot=PILOT,
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
        runs = [published(first, count, alpha=alpha) for alpha in alphas]
        return np.exp(np.stack([_log_delay(run) for run in runs], axis=1))

    what = f"test over train time at alpha = {alphas}"
    return grows(what, delay, budget.seed, smallest=0.1, pilot=PILOT)


@evidence(
    "fig-2c-vanish",
    "measured",
    "p = 23, 100 neurons, the smallest published alpha: log of test over train time; it is not 0",
    control={"share_of_delay": 0.0},
    own_setting=True,
)
def does_not_vanish(budget: Budget, share_of_delay: float = 1.0) -> str:
    def delay(first: int, count: int) -> Array:
        return share_of_delay * _log_delay(published(first, count, alpha=0.25))

    what = "alpha = 1/4: log of when 90% of test pairs are right over when 90% in training are"
    return mean_exceeds(what, delay, budget.seed, 0.0, smallest=0.3, pilot=PILOT)


@evidence(
    "fig-2c-vanish",
    "measured",
    "p = 23, 100 neurons, the smallest published alpha: the test loss still rises by more than 5% "
    "above its lowest before; the train loss does not",
    control={"of_training": True},
    own_setting=True,
)
def still_rises(budget: Budget, of_training: bool = False) -> str:
    def rise(first: int, count: int) -> Array:
        run = published(first, count, alpha=0.25)
        loss = run.train if of_training else run.test
        return (loss / np.minimum.accumulate(loss, axis=-1)).max(-1) - 1

    what = "alpha = 1/4: highest rise of the test loss over its lowest before"
    return mean_exceeds(what, rise, budget.seed, 0.05, smallest=0.03, pilot=PILOT)


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
_ALL = (*_LISTED, 12, 15, 16, 18)  # and composite numbers; from the first on for more draws


@evidence(
    "sec-8.3-which-p",
    "measured",
    "all that are listed, and composite numbers, 100 neurons, smaller weights; p = 7 does not",
    control={"moduli": (7,)},
)
def which_p(budget: Budget, moduli: tuple[int, ...] = _ALL) -> str:
    def late(first: int, count: int) -> Array:
        found = []
        for draw in range(first, first + count):
            p = moduli[(draw - budget.seed) % len(moduli)]
            run = addition(
                p,
                width=100,
                sigma=0.4 if p < 25 else 0.5,
                steps=60 * p,
                every=20,
                seeds=1,
                first_seed=draw,
            )
            train, test = (float(when[0]) for when in _times(run))
            found.append(1.25 * train < test < np.inf)
        return np.array(found)

    what = f"90% of test pairs right late, at p = {moduli},"
    return mostly(what, late, budget.seed, fewest=len(moduli))


_WIDTHS = (48, 72, 100, 140)


@evidence(
    "sec-8.3-widths",
    "measured",
    "p = 17, 48 to 140 neurons: the test pairs are learnt late; with 6 neurons never",
    control={"widths": (6,)},
)
def widths(budget: Budget, widths: tuple[int, ...] = _WIDTHS) -> str:
    """Each draw has the next width, at the rate eta in proportion to N of f = (1/N) V (W x)^2."""

    def late(first: int, count: int) -> Array:
        found = []
        for draw in range(first, first + count):
            N = widths[draw % len(widths)]
            options = {"learning_rate": 2.0 * N, "sigma": 0.5, "steps": 800}
            run = addition(17, width=N, seeds=1, first_seed=draw, **options)
            train, test = (float(when[0]) for when in _times(run))
            found.append(1.25 * train < test < np.inf)
        return np.array(found)

    return mostly(f"90% of test pairs right late, with {widths} neurons,", late, budget.seed)


@evidence(
    "sec-9-algorithmic-tasks",
    "measured",
    "p = 23, 100 neurons, half of the pairs: memorised, and the test pairs never learnt; with 90% "
    "they are",
    control={"share": 0.9},
    part="sufficient",
    own_setting=True,
)
def no_grokking_on_addition(budget: Budget, share: float = 0.5) -> str:
    def apart(first: int, count: int) -> Array:
        run = published(first, count, share)
        return run.train_accuracy[:, -1] - run.test_accuracy.max(-1)

    what = f"{share:.0%} of the pairs: final training accuracy minus the best test accuracy"
    return mean_exceeds(what, apart, budget.seed, 0.1, smallest=0.3, pilot=PILOT)
