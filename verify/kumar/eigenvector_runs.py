"""Networks on labels from eigenvectors of the kernel: Sec. 6.1 and Fig. 5 of Kumar et al. 2024.

The text gives j and no other setting (fig-5-which-j). Ours is that of Figure 5 in paper_figures:
D = P = 100, two neurons, epsilon = 1/4, 25,000 steps, eigenvectors of the initial kernel on
training and 1,000 test points together. Losses are over that of 0.
"""

from functools import lru_cache

import numpy as np

from lazyrich.simulate import PolynomialTask, train
from lazyrich.simulate.outcome import SHARE, settled_at
from lazyrich.verify.evidence import evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.small_runs import LATER
from lazyrich.verify.statistics import Array, mean_is, mostly

_D, _P, _TESTS, _EPSILON = 100, 100, 1000, 0.25
# Of the draws, if a statement is right, and if its nearest wrong one is: told apart by five.
_SHARE, _AGAINST = 0.9, 0.3
_FIRST, _MIDDLE, _LATE = 1, 70, 100  # j of (a), (b) and (c)
_HALF = 0.5


@lru_cache(maxsize=2)
def _spectrum(seed: int, tests: int) -> tuple[Array, Array, Array]:
    """Inputs, weights of two neurons, and their kernel's eigenvectors, the largest first."""
    X, W, K = _kernel(seed, tests)
    return X, W, np.linalg.eigh(K)[1][:, ::-1]


def _kernel(seed: int, tests: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    X, W = rng.normal(size=(_P + tests, _D)) / _D**0.5, rng.normal(size=(2, _D))
    slopes = 1 + _EPSILON * X @ W.T  # of each neuron at each input
    return X, W, X @ X.T * (slopes @ slopes.T) / 2


def _extended(seed: int, j: int) -> tuple[Array, Array, Array]:
    """Inputs, weights and labels: an eigenvector of the training points, extended by the kernel."""
    X, W, K = _kernel(seed, _TESTS)
    values, vectors = np.linalg.eigh(K[:_P, :_P])
    return X, W, K[:, :_P] @ vectors[:, -j] / values[-j]


@lru_cache(maxsize=256)
def _run(seed: int, j: int, tests: int = _TESTS, extended: bool = False) -> dict[str, float]:
    """When the test loss falls below a share over when the train loss does, and where it ends.

    Below half ("half") and below that of the glossary ("fallen"), the end over the start ("end"),
    and over kernel regression ("of_regression").
    """
    if extended:
        X, W, y = _extended(seed, j)
    else:
        X, W, vectors = _spectrum(seed, tests)
        y = vectors[:, j - 1]
    task = PolynomialTask.from_arrays(X=X[:_P], y=y[:_P], X_test=X[_P:], y_test=y[_P:])
    options = {"engine": "flow", "alignment": None, "learning_rate": 0.5, "steps": 25_000}
    found = train(task, init=W, alpha=1.0, epsilon=_EPSILON, centred=True, **options).history
    losses = found.train_loss.values, found.test_loss.values
    late = {}
    for name, share in (("half", _HALF), ("fallen", SHARE)):
        fit, general = (settled_at(found.step.values, loss / loss[0], share) for loss in losses)
        late[name] = float(general / fit)
    end = losses[1][-1]
    lazy = float(found.kernel_regression_test_loss)
    return late | {"end": end / losses[1][0], "of_regression": end / lazy}


def _runs(name: str, first: int, count: int, j: int, **how) -> Array:
    """One value of ``_run`` for each draw."""
    return np.array([_run(seed, j, **how)[name] for seed in range(first, first + count)])


@evidence(
    "fig-5a",
    "measured",
    "j = 1, an eigenvector of training and test points together: the test loss falls more than "
    "twice as late as the train loss; with that of the training points, extended, it doesn't",
    control={"extended": True},
)
def aligned_labels_part(budget: Budget, extended: bool = False) -> str:
    def later(first: int, count: int) -> Array:
        return _runs("fallen", first, count, _FIRST, extended=extended) > LATER

    labels = "extended from the training points" if extended else "of all points together"
    what = f"j = {_FIRST}, labels {labels}: the test loss falls more than twice as late"
    return mostly(what, later, budget.seed, share=_SHARE, against=_AGAINST)


@evidence(
    "fig-5b",
    "measured",
    "at j = 70 the test loss is halved more than 3 times later than the train loss; at j = 1 not",
    control={"j": _FIRST},
)
def middle_groks(budget: Budget, j: int = _MIDDLE) -> str:
    def groks(first: int, count: int) -> Array:
        late, end = (_runs(name, first, count, j) for name in ("half", "end"))
        return (late > 3) & (end < _HALF)

    what = f"j = {j}: the test loss is halved 3 times later than the train loss, and stays so"
    return mostly(what, groks, budget.seed, share=_SHARE, against=_AGAINST)


@evidence(
    "fig-5c",
    "measured",
    "at j = 100 the test loss ends below half of that of 0; with 200 test points, which make other "
    "eigenvectors, it does not",
    control={"tests": 200},
)
def late_generalises(budget: Budget, tests: int = _TESTS) -> str:
    def generalises(first: int, count: int) -> Array:
        return _runs("end", first, count, _LATE, tests=tests) < _HALF

    what = f"j = {_LATE}, {tests} test points: the test loss ends below half"
    return mostly(what, generalises, budget.seed, share=_SHARE, against=_AGAINST)


@evidence(
    "sec-6.1-features-help",
    "measured",
    "at j = 70 and 100 the test loss ends at that of kernel regression with the initial kernel; "
    "not at 0.9 of it",
    control={"of_regression": 0.9},
)
def features_do_not_help(budget: Budget, of_regression: float = 1.0) -> str:
    def apart(j: int) -> str:
        what = f"j = {j}: log of the final test loss over {of_regression:g} of kernel regression's"
        return mean_is(
            what,
            lambda first, count: np.log(_runs("of_regression", first, count, j) / of_regression),
            budget.seed,
            0.0,
            smallest=0.1,
            pilot=5,
        )

    return f"{apart(_MIDDLE)}; {apart(_LATE)}"
