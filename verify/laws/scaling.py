"""Laws beyond the papers: what the scales of output, curvature and labels do, exactly."""

import math

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st

from lazyrich.simulate import PolynomialTask, train
from lazyrich.theory.symbols import alpha, epsilon
from lazyrich.verify import strategies as given
from lazyrich.verify.evidence import attach, attacked, evidence
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import dynamics as properties_dynamics
from lazyrich.verify.properties.slaved_flow import SlavedFlow
from lazyrich.verify.statistics import mostly, slope_is


def _labels_law(seed: int, j: int, centred: bool, of_labels: float = 1.0) -> float:
    return properties_dynamics.scales_train_alike(seed, 0, j, centred, of_labels=of_labels)


_JUST_LABELS = (given.seeds(), st.integers(-3, 1).filter(bool))


def _rejected(law, *values) -> None:
    try:
        law(*values)
    except AssertionError:
        return
    raise AssertionError("the law holds")


_A, _D, _P = 0.3, 4, 24
_RATIOS = np.array([0.01, 0.005])


def _errors(seed: int, labels: float, power: float) -> np.ndarray:
    """How far the test loss is from the slaved flow's, around the S where that is 0.1 |beta|^4/D^2.

    Relatively, at three times, a row for each of ``_RATIOS``. ``power`` is that of
    |beta|^2 in the unit of time, 1 in the law.
    """
    base = PolynomialTask(D=_D, P=_P, n_test=1, seed=seed)
    task = PolynomialTask.from_arrays(base.X, base.beta * math.sqrt(labels))
    b = float(task.beta @ task.beta)
    slaved = SlavedFlow(task.X.numpy(), task.beta.numpy(), _A)
    S = slaved.time_below(0.1 / _D**2)
    steps = [500, 1000, 1500]
    law = slaved.curve(S * np.array(steps) / 1000).test * b**2
    found = []
    for ratio in _RATIOS:
        curvature = math.sqrt(_A * b * ratio)
        unit = 1 / (ratio * b**power)
        history = train(
            task,
            alpha=curvature / ratio,
            epsilon=curvature,
            width=math.inf,
            engine="flow",
            centred=True,
            alignment=None,
            learning_rate=S * unit / 1000,
            steps=steps[-1],
            record=steps,
            rtol=1e-6,
        ).history
        found.append(history.population_loss.values / law - 1)
    return np.array(found)


def _fixed_rate(seed: int, j: int) -> None:
    """At a fixed eta rather than eta_0 N/alpha^2: labels and alpha times c = 4^j."""
    task = PolynomialTask(D=3, P=8, n_test=1, seed=seed)
    scaled = PolynomialTask.from_arrays(X=task.X, beta=2.0**j * task.beta)
    c = 4.0**j
    options = {"epsilon": 0.5, "width": 5, "steps": 20, "alignment": None, "seed": seed % 1000}
    options |= {"engine": "moments", "centred": False}
    rate = 0.01 / max(1.0, c**2)
    one = train(task, alpha=1.0, learning_rate=rate, **options).history.train_loss
    other = train(scaled, alpha=c, learning_rate=rate * c**2, **options).history.train_loss
    assert np.allclose(c**2 * one, other, rtol=1e-9), "losses differ at a fixed eta"


attach(
    "law-alpha-and-labels",
    attacked(
        "labels and alpha times 4^j: the same weights and c^2 times the loss, to the last "
        "bit, centred and not",
        _labels_law,
        (*_JUST_LABELS, st.booleans()),
        lambda seed, j, centred: _labels_law(seed, j, centred, of_labels=0.5),
        share=0.4,
    ),
    attacked(
        "it fails at an eta that doesn't follow alpha",
        lambda seed, j: _rejected(_fixed_rate, seed, j),
        _JUST_LABELS,
        lambda seed, j: _rejected(_labels_law, seed, j, False),
        share=0.2,
    ),
)


attach(
    "law-scaling-without-centring",
    attacked(
        "the plain predictor, labels and alpha times 4^j",
        lambda seed, j: _labels_law(seed, j, False),
        _JUST_LABELS,
        lambda seed, j: _rejected(_labels_law, seed, j, False),
        share=0.4,
    ),
)


@evidence(
    "law-epsilon-over-alpha",
    "derived",
    "the predictor and the step in delta, centred",
    control={"centred": False},
)
def only_in_ratio(centred: bool = True) -> str:
    from lazyrich.theory import closed_form
    from lazyrich.theory.network import activation
    from lazyrich.theory.scaling import delta, w_0
    from lazyrich.theory.symbols import x
    from lazyrich.theory.wick import canonical, dot

    ratio = sp.Dummy("ratio", positive=True)
    weights = w_0 + delta / alpha
    start = activation(dot(w_0, x)) if centred else sp.S.Zero
    share = canonical(alpha * (activation(dot(weights, x)) - start))
    left = sp.expand(share).subs(epsilon / alpha, ratio)
    assert not left.has(alpha), f"alpha stands outside epsilon/alpha in {share}"
    step = closed_form("lazy-coordinates").terms["step"]
    return f"f is {share}; a step takes {step}"


@evidence(
    "law-collapse",
    "measured",
    "the test loss of networks against that of the slaved flow, which knows a alone, before, at "
    "and after 0.1: the error at epsilon/alpha = 0.01 and 0.005, extrapolated to 0, is a fifth of "
    "it at most, for |beta|^2 = 4 and 16",
    control={"power": 0.9},
)
def collapse(budget: Budget, power: float = 1.0) -> str:
    def sample(first: int, count: int) -> np.ndarray:
        seeds = range(first, first + count)
        errors = np.array([_errors(seed, 4.0 ** (seed % 2), power) for seed in seeds])
        limit = abs(2 * errors[:, 1] - errors[:, 0]).max(-1)
        return limit < 0.2 * abs(errors[:, 0]).max(-1)

    line = "the error falls in proportion to epsilon/alpha"
    return mostly(line, sample, budget.seed, against=0.1)


def _moved(seed: int, P: int, ratio: float) -> float:
    """|M - M0| at S = 300, in units of the solution's |beta|^2/(alpha epsilon)."""
    task = PolynomialTask(D=_D, P=P, n_test=1, seed=seed)
    curvature = math.sqrt(_A * _D * ratio)
    options = {"width": math.inf, "engine": "flow", "centred": True, "alignment": None}
    options |= {"steps": 300, "record": [0, 300], "learning_rate": 1 / (ratio * _D)}
    run = train(task, alpha=curvature / ratio, epsilon=curvature, **options)
    change = run.state[1] - torch.eye(_D)
    return float(change.norm()) * _A


@evidence(
    "law-few-samples",
    "measured",
    "P = D/2: what M moves until long after falls in proportion to epsilon/alpha, "
    "where for P = 6 D it goes all the way",
    control={"P": _P},
)
def few_samples(budget: Budget, P: int = _D // 2) -> str:
    ratios = np.array([4e-3, 2e-3, 1e-3])

    def sample(first: int, count: int) -> np.ndarray:
        seeds = range(first, first + count)
        return np.array([[_moved(seed, P, ratio) for ratio in ratios] for seed in seeds])

    what = f"change of M over epsilon/alpha, P = {P}"
    return slope_is(what, ratios, sample, budget.seed, 1.0)
