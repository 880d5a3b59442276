"""The experiments behind the figures of the dichotomy: one run each, with its oracles.

Each takes its settings and a seed by name and returns an ``xarray.Dataset`` over ``step``, the
number of the record, with ``time`` and ``scale`` as variables. They end at
``end`` log(alpha)/lambda.
"""

import math
from typing import Any

import numpy as np
import xarray

from lazyrich.paper_figures.experiments.records import by_record
from lazyrich.simulate import lyu, oracles

# Of each run: so many records evenly in the logarithm of time, so many evenly in time.
EARLY, LATE = 40, 80
# Passes over the data that a flow takes, roughly.
PASSES = 3000


def classification(
    *,
    data: str,
    d: int,
    n: int,
    n_test: int,
    alpha: float,
    weight_decay: float,
    end: float,
    seed: int,
    duration: float | None = None,
) -> xarray.Dataset:
    """Return the flow of a diagonal network with the logistic loss, u = v = alpha/(2d)^(1/2).

    ``data`` is "sparse" (k = 3) or "margin" (gamma = 25). ``best_l1_margin`` and ``best_l2_margin``
    are those of the maximum margin solutions. ``duration``: the time to train in place of ``end``,
    recorded evenly in its logarithm.
    """
    make = {
        "sparse": lyu.sparse_classification,
        "margin": lyu.large_margin_classification,
    }[data]
    task = make(d=d, n=n, n_test=n_test, seed=seed)
    net = lyu.DiagonalNet(2, "logistic", start=(2 * d) ** -0.5)
    if duration is None:
        times = _records(end * math.log(alpha) / weight_decay)
    else:
        times = np.geomspace(1e-2, duration, EARLY + LATE)
    run = net.train(
        task, alpha=alpha, weight_decay=weight_decay, time=times[-1], record=times, rtol=1e-5
    )
    found = by_record(run.history.drop_vars("nu").reset_coords("scale"))
    X, y = task.X.numpy(), task.y.numpy()
    for name, oracle in (("l1", oracles.l1_max_margin), ("l2", oracles.l2_max_margin)):
        found[f"best_{name}_margin"] = ((), 1 / oracle(X, y).value)
    return found


def regression(
    *,
    d: int,
    n: int,
    k: int,
    alpha: float,
    weight_decay: float,
    depth: int,
    end: float,
    seed: int,
) -> xarray.Dataset:
    """Return the flow of a diagonal network with the square loss, u = v = alpha.

    ``least_l1_norm`` and ``least_l2_norm`` are those of all interpolations.
    """
    return _regression(d, n, k, alpha, weight_decay, depth, end, seed)[0]


def predicted_path(
    *, d: int, n: int, k: int, alpha: float, weight_decay: float, end: float, seed: int
) -> xarray.Dataset:
    """Return ``regression`` at depth 2, with the path that is predicted for lambda -> 0.

    ``mirror_l1_norm`` and ``mirror_l2_norm``: the norms on it at the scale of each record;
    ``mirror_error``: how far the predictor is from it, relative to the largest on the path.
    """
    found, task, w = _regression(d, n, k, alpha, weight_decay, 2, end, seed)
    X, y = task.X.numpy(), task.y.numpy()
    path = np.array([oracles.mirror_interpolation(X, y, a).w for a in found.scale.values])
    found["mirror_l1_norm"] = ("step", np.abs(path).sum(1))
    found["mirror_l2_norm"] = ("step", np.linalg.norm(path, axis=1))
    gap = np.linalg.norm(w - path, axis=1) / np.linalg.norm(path, axis=1).max()
    found["mirror_error"] = ("step", gap)
    return found


def _regression(
    d: int, n: int, k: int, alpha: float, decay: float, depth: int, end: float, seed: int
) -> tuple[xarray.Dataset, lyu.LinearTask, np.ndarray]:
    """Return the history, the task, and w at every record."""
    task = lyu.sparse_regression(d=d, n=n, k=k, n_test=500, seed=seed)
    net = lyu.DiagonalNet(depth, "square")
    time = end * math.log(alpha) / decay
    run = net.train(task, alpha=alpha, weight_decay=decay, time=time, record=_records(time))
    found = by_record(run.history.drop_vars("nu").reset_coords("scale"))
    X, y = task.X.numpy(), task.y.numpy()
    found["least_l1_norm"] = ((), oracles.min_l1_interpolation(X, y).value)
    found["least_l2_norm"] = ((), oracles.min_l2_interpolation(X, y).value)
    return found, task, net.weights(task, run).numpy()


def completion(
    *, d: int, observed: float, alpha: float, weight_decay: float, end: float, seed: int
) -> xarray.Dataset:
    """Return the flow of the matrix model completing i j/d^2.

    ``penalised_error``: how far its end is from the minimiser of the loss plus (lambda/2) |W|_*,
    relative to that, and ``penalised_gap``, how far above the least value;
    ``planted_norm``: the nuclear norm of the planted matrix.
    """
    task = lyu.matrix_completion(d=d, observed=observed, seed=seed)
    time = end * math.log(alpha) / weight_decay
    run = lyu.MatrixFactorisation().train(
        task, alpha=alpha, weight_decay=weight_decay, time=time, record=_records(time)
    )
    W = run.history.W.values[-1]
    found = by_record(run.history.drop_vars("W").reset_coords("scale"))
    places = task.rows.numpy(), task.columns.numpy()
    least = oracles.nuclear_lasso(d, *places, task.y.numpy(), weight_decay / 2)
    value = found.train_loss.values[-1] + weight_decay / 2 * found.nuclear_norm.values[-1]
    found["penalised_error"] = ((), np.linalg.norm(W - least.w) / np.linalg.norm(least.w))
    found["penalised_gap"] = ((), value / least.value - 1)
    found["planted_norm"] = ((), float(np.linalg.norm(task.X.numpy(), "nuc")))
    found["zero_fill_loss"] = ((), task.test_loss(0 * task.X))
    return found


def cost(experiment: str, **settings: Any) -> float:
    """Return the multiplications of a run, roughly: enough for an honest time left."""
    d = settings["d"]
    if experiment == "completion":
        return 20 * PASSES * d**3 / 10
    test = settings.get("n_test", 500) * (EARLY + LATE)
    return float(d * (2 * PASSES * settings["n"] + 20 * settings["n"] ** 2 + test))


def _records(time: float) -> np.ndarray:
    """Return the times to record, as many for every run."""
    early = np.geomspace(1e-7 * time, time / LATE, EARLY, endpoint=False)
    return np.concatenate([early, np.linspace(time / LATE, time, LATE)])
