"""Claims of Kumar et al. 2024 on how the polynomial task groks: Abstract, Sec. 1-5, Fig. 1, 3a.

Measured on small runs (``small_runs``) at D = 16, P = 60, infinite width, the predictor centred
unless said; a loss "falls" as the glossary says, below 2/15 of <y^2>.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.metrics import ntk_alignments, population_terms
from lazyrich.verify.evidence import evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.small_runs import (
    LATER,
    Array,
    Curves,
    Setting,
    curves,
    fall_times,
    groks,
    relative_change,
    with_error,
)
from lazyrich.verify.statistics import in_most, mean_exceeds, rise_in_most


def delays(found: Curves, relative: bool = False) -> Array:
    """From the fall of the train loss to that of the test loss, (seeds, settings).

    In tau = eta_0 step, or as a ratio of the two times; inf where the test loss never falls.
    """
    rates = np.array([s.learning_rate for s in found.settings])
    train, test = fall_times(found)
    in_most("the train loss falls", np.all(np.isfinite(train), axis=1))
    with np.errstate(invalid="ignore"):
        return test / train if relative else rates * (test - train)


def _runs(P: int, width: float = math.inf) -> Callable[[int, int], Curves]:
    """The runs of so many samples, one a draw."""
    return lambda first, count: curves(
        (Setting(),), P=P, width=width, first_seed=first, seeds=count
    )


def from_linearised(found: Curves) -> Array:
    """|f - f_lin| over |f| in L2 of the inputs, (seeds, settings, records)."""

    def distance(task: Any, s: Setting, wbar: torch.Tensor, M: torch.Tensor) -> torch.Tensor:
        start = s.with_weights(np.inf, 0, task.beta)
        numbers = {"alpha": s.alpha, "epsilon": s.epsilon}
        lazy = LinearisedDescent(
            start, task.X, task.y, learning_rate=s.learning_rate, centred=True, **numbers
        )
        values = []
        for k, step in enumerate(found.steps):
            lazy_wbar, lazy_M = lazy.moments(int(step))
            apart = wbar[k] - lazy_wbar + start.wbar, M[k] - lazy_M + start.M
            values.append([_power(task, *apart, s), _power(task, wbar[k], M[k], s)])
        apart, whole = torch.tensor(values).T
        return (apart / whole.clamp(min=1e-300)).sqrt()

    return found.of_all(distance)


def _power(task: Any, wbar: torch.Tensor, M: torch.Tensor, s: Setting) -> float:
    """<f^2>: the population loss with target 0."""
    nothing = type(task).from_arrays(X=task.X[:1], beta=0 * task.beta)
    terms = population_terms(nothing, wbar, M, alpha=s.alpha, epsilon=s.epsilon)
    return float(sum(terms.values()))


def _over_alpha(budget: Budget, alphas: tuple[float, ...]) -> Curves:
    """Small alpha takes steps that small: its kernel grows by |beta|^2/(alpha epsilon)."""
    settings = tuple(Setting(alpha=a, learning_rate=min(4.0, 8 * a)) for a in alphas)
    return curves(settings, first_seed=budget.seed)


_EPSILONS = (1 / 16, 1 / 4, 1.0)


def _over_epsilon(budget: Budget, centred: bool) -> Curves:
    settings = tuple(Setting(epsilon=e, learning_rate=4 / (1 + 3 * e**2)) for e in _EPSILONS)
    return curves(settings, centred=centred, first_seed=budget.seed)


@evidence(
    "abstract-grokking-without-decay",
    "measured",
    "at P = 60 the test loss rises, and falls long after the train loss; not at 240",
    control={"P": 240},
)
def groks_without_decay(budget: Budget, P: int = 60) -> str:
    late = groks(f"P = {P}", _runs(P), budget.seed)
    found = curves((Setting(),), P=P, first_seed=budget.seed)
    start, peak = found.test[:, 0, 0], found.test[:, 0].max(-1)
    rise = in_most(f"first rise by {with_error(peak / start)} above 1.02", peak > 1.02 * start)
    return f"{late}; {rise}"


@evidence(
    "sec-9-algorithmic-tasks",
    "measured",
    "D = 16, P = 60: the polynomial task groks; with 240 samples it doesn't",
    control={"P": 240},
    part="necessary",
)
def the_polynomial_task_groks(budget: Budget, P: int = 60) -> str:
    return groks(f"P = {P}", _runs(P), budget.seed)


@evidence(
    "abstract-kernel-first",
    "measured",
    "distance from the linearised network at alpha = 16; at alpha = 1/4 it is large",
    control={"alpha": 0.25},
)
def kernel_first(budget: Budget, alpha: float = 16.0) -> str:
    found = curves((Setting(alpha=alpha),), first_seed=budget.seed)
    distance = from_linearised(found)[:, 0]
    train = found.train[:, 0]
    halved = (train < 0.5 * train[:, :1]).argmax(-1)
    early = distance[np.arange(len(distance)), halved]
    late = distance[:, -1]
    line = f"alpha = {alpha:g}: |f - f_lin|/|f| "
    lazy = in_most(f"{line}is below 0.25 when the train loss has halved", early < 0.25)
    return f"{lazy}; {in_most(f'{line}is larger at the end', late > 1.5 * early)}"


def _growth(budget: Budget, epsilon: float, centred: bool) -> Array:
    setting = Setting(epsilon=epsilon, learning_rate=min(4.0, 1 / epsilon**2))
    found = curves((setting,), centred=centred, first_seed=budget.seed, P=100)
    return found.weight_square[:, 0, -1]


@evidence(
    "fig-1c-weight-norm",
    "measured",
    "the plain predictor's norm grows or shrinks as the condition says",
    control={"small": 4.0, "large": 0.25},
)
def weight_norm(budget: Budget, small: float = 0.25, large: float = 4.0) -> str:
    below, above = (_growth(budget, e, centred=False) for e in (small, large))
    centred = _growth(budget, large, centred=True)
    line = (
        f"|w|^2 over its start: plain {with_error(below)} at |beta|^2/(alpha epsilon) = "
        f"{1 / small:.2g} Tr M0, {with_error(above)} at {1 / large:.2g} Tr M0; centred there "
        f"{with_error(centred)}"
    )
    in_most(f"the plain norm grows: {line}", below > 1.2)
    in_most(f"the plain norm shrinks: {line}", above < 0.95)
    in_most(f"the centred norm grows: {line}", centred > 1)
    return line


def _at(found: Curves, i: int, record: int) -> float:
    task, s = found.tasks[i][0], found.settings[0]
    start = s.with_weights(np.inf, 0, task.beta)
    now = found.wbar[i, 0, record] + start.wbar, found.M[i, 0, record] + start.M
    return float(ntk_alignments(task.X_test, task.y_test, *now, epsilon=s.epsilon)["alignment"])


@evidence(
    "fig-1c-alignment",
    "measured",
    "the kernel's alignment with the labels multiplies over the run",
    control={"last": 1},
)
def alignment_rises(budget: Budget, last: int = -1) -> str:
    found = curves((Setting(),), first_seed=budget.seed)
    seeds = range(len(found.tasks))
    before, after = (np.array([_at(found, i, k) for i in seeds]) for k in (0, last))
    line = f"alignment on the test set {with_error(before)} at first, {with_error(after)} after"
    return in_most(f"{line}: doubled", after > 2 * before)


_sizes = (20, 60, 240)


@evidence(
    "sec-5-intermediate-sizes",
    "measured",
    "D = 16: never at P = 20, late at P = 60, at once at P = 240 (D^2 = 256)",
    control={"sizes": _sizes[::-1]},
)
def intermediate_sample_sizes(budget: Budget, sizes: tuple[int, ...] = _sizes) -> str:
    few, many = (curves((Setting(),), P=P, first_seed=budget.seed) for P in sizes[::2])
    never = np.isinf(fall_times(few)[1][:, 0])
    never = in_most(f"P = {sizes[0]}: the test loss never falls", never)
    late = groks(f"P = {sizes[1]}", _runs(sizes[1]), budget.seed)
    at_once = in_most(f"P = {sizes[2]}: at once", delays(many, relative=True)[:, 0] < LATER)
    return f"{never}; {late}; {at_once}"


_delay_over_alpha_alphas = (1 / 16, 1 / 4, 1.0, 4.0)


@evidence(
    "sec-5.1-delay-over-alpha",
    "measured",
    "the delay rises with alpha, over two orders of magnitude",
    control={"alphas": _delay_over_alpha_alphas[::-1]},
)
def delay_over_alpha(budget: Budget, alphas: tuple[float, ...] = _delay_over_alpha_alphas) -> str:
    found = _over_alpha(budget, alphas)
    return rise_in_most(f"delay in tau over alpha = {alphas}", delays(found))


@evidence(
    "sec-5.1-small-alpha",
    "measured",
    "alpha = 1/16: the test loss hardly rises; at alpha = 4 it does",
    control={"alpha": 4.0},
    part="rise",
)
def no_rise_at_small_alpha(budget: Budget, alpha: float = 1 / 16) -> str:
    test = _over_alpha(budget, (alpha,)).test[:, 0]
    what = f"alpha = {alpha:g}: the test loss is never 2% above its start"
    return in_most(what, test.max(-1) < 1.02 * test[:, 0])


@evidence(
    "sec-5.1-small-alpha",
    "measured",
    "alpha = 1/16: the test loss still falls more than twice as late as the train loss; with P = "
    "240 it doesn't",
    control={"P": 240},
    part="delay",
)
def delay_at_small_alpha(budget: Budget, P: int = 60) -> str:
    setting = Setting(alpha=1 / 16, learning_rate=0.5)

    def runs(first: int, count: int) -> Curves:
        return curves((setting,), P=P, first_seed=first, seeds=count)

    return groks(f"alpha = 1/16, P = {P}", runs, budget.seed)


_lazy_limit_is_poor_alphas = (1 / 4, 1.0, 4.0, 16.0, 64.0)


def _ends(budget: Budget) -> Array:
    return _over_alpha(budget, _lazy_limit_is_poor_alphas).test[:, :, -1]


@evidence(
    "fig-3a-final-loss",
    "measured",
    "the final loss rises with alpha",
    control={"order": -1},
)
def lazy_limit_is_poor(budget: Budget, order: int = 1) -> str:
    return rise_in_most("final test loss over alpha = 1/4 to 64", _ends(budget)[:, ::order])


@evidence(
    "sec-5.2-delay-over-epsilon",
    "measured",
    "the delay in tau rises as epsilon falls; the ratio of times does not",
    control={"relative": True},
)
def delay_over_epsilon(budget: Budget, relative: bool = False) -> str:
    found = _over_epsilon(budget, centred=False)
    values = delays(found, relative)
    return rise_in_most("delay over epsilon = 1, 1/4, 1/16", values[:, ::-1])


@evidence(
    "sec-5.2-large-epsilon",
    "measured",
    "plain, P = 60: the delay in tau at epsilon = 4 is a tenth of that at 1/16 or less; at 1/4 not",
    control={"large": 1 / 4},
    part="steps",
)
def soon_at_large_epsilon(budget: Budget, large: float = 4.0) -> str:
    settings = tuple(
        Setting(epsilon=e, learning_rate=4 / (1 + 3 * e**2)) for e in (_EPSILONS[0], large)
    )
    rates = np.array([s.learning_rate for s in settings])

    def shorter(first: int, count: int) -> Array:
        found = curves(settings, centred=False, first_seed=first, seeds=count)
        train, test = fall_times(found)
        delay = rates * (np.minimum(test, found.steps[-1]) - train)  # where later, a bound
        return np.log(delay[:, 0] / delay[:, 1])

    what = f"log of the delay in tau at epsilon = {_EPSILONS[0]:g} over that at {large:g}"
    return mean_exceeds(what, shorter, budget.seed, float(np.log(10)), smallest=1.0, pilot=14)


@evidence(
    "sec-5.2-large-epsilon",
    "measured",
    "epsilon = 1, plain, P = 60: the test loss falls more than twice as late as the train loss; "
    "with 240 samples it doesn't",
    control={"P": 240},
    part="ratio",
)
def late_at_large_epsilon(budget: Budget, P: int = 60) -> str:
    settings = (Setting(epsilon=1.0, learning_rate=1.0),)

    def runs(first: int, count: int) -> Curves:
        return curves(settings, P=P, centred=False, first_seed=first, seeds=count)

    return groks(f"epsilon = 1, P = {P}", runs, budget.seed)


@evidence(
    "sec-5.2-final-loss",
    "measured",
    "centred, the final loss falls with epsilon, the movement grows; plain it doesn't",
    control={"centred": False},
)
def final_loss_over_epsilon(budget: Budget, centred: bool = True) -> str:
    found = _over_epsilon(budget, centred)
    loss = rise_in_most("final loss over epsilon = 1/16, 1/4, 1", found.test[:, :, -1])
    change = rise_in_most(
        "|w - w0|/|w0| over epsilon = 1, 1/4, 1/16", relative_change(found)[:, ::-1]
    )
    return f"{loss}; {change}"
