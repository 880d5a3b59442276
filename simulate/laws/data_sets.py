"""The task of a user's arrays: inputs with labels of any kind, or with a target vector."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares

from lazyrich.simulate.arrays import real_array
from lazyrich.simulate.laws.rich_flow import early_growth
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.task import PolynomialTask

NAMES = ("X", "y", "beta", "X_test", "y_test")
# Labels are taken for (beta.x)^2/2 plus noise where at most this part of their mean square is left.
MOST_NOISE = 0.5


def task_of(data: Mapping[str, object]) -> PolynomialTask:
    """Return the task of arrays X (P, D) with y (P,), or beta (D,); X_test and y_test besides.

    Without a test set and beta, (beta.x)^2/2 is fitted to the labels; what is left of them counts
    as noise. Where most is left there is no test set, and no test loss. Raises ``ValueError`` for
    bad input.

    >>> known = PolynomialTask(D=10, P=60, seed=1)
    >>> found = task_of({"X": known.X, "y": known.y})
    >>> bool(abs(abs(found.beta @ known.beta) - 10) < 1e-6), found.noise
    (True, 0.0)
    """
    unknown = set(data) - set(NAMES)
    if unknown or "X" not in data:
        found = ", ".join(map(str, data)) or "nothing"
        raise ValueError(f"data has {found}: must have X, and y or beta; may have X_test, y_test")
    given: dict[str, Any] = {name: value for name, value in data.items() if value is not None}
    if "beta" in given:
        if "y_test" in given and "y" not in given:
            raise ValueError("y_test: must be left out where beta gives the labels")
        task = PolynomialTask.from_arrays(
            X=given["X"], beta=given["beta"], X_test=given.get("X_test")
        )
        if "y" in given:  # labels with noise, say
            task.y = real_array("y", given["y"], (task.P,), f"(P,) = ({task.P},)")
            task.noise = float((task.y - task.target(task.X)).square().mean()) ** 0.5
            task.noise *= task.noise > 1e-6 * float(task.y.square().mean()) ** 0.5
    elif "y" not in given:
        raise ValueError("y, beta: one of both must be given")
    else:
        if ("X_test" in given) != ("y_test" in given):
            raise ValueError("X_test, y_test: must be given both, or none")
        task = PolynomialTask.from_arrays(**given)
        if "X_test" not in given:
            task = _fitted(task, max(_unit(given["X"]), _unit(given["y"]))) or task
    for name, labels in (("y", task.y), ("y_test", task.y_test)):
        if len(labels) and not bool(labels.any()):
            what = "beta is 0" if "beta" in given else f"{name} is 0 everywhere"
            raise ValueError(f"{what}: must have an entry other than 0")
    return task


def _fitted(task: PolynomialTask, unit: float) -> PolynomialTask | None:
    """Return the task on (beta.x)^2/2 and noise that fits the labels, None where none does."""
    P, D = task.X.shape
    if P < 2 * D - 1:
        return None
    beta, left = fitted_target(task.X.numpy(), task.y.numpy())
    size = float(task.y.square().mean()) ** 0.5
    found = PolynomialTask.from_arrays(X=task.X, beta=beta)
    # Labels of single precision are off by some roundings of their own.
    if np.abs(left).max() <= max(1e-8, 32 * D**0.5 * unit) * float(task.y.abs().max()):
        return found
    noise = math.sqrt(float(left @ left) / max(P - D, 1))
    if noise > MOST_NOISE**0.5 * size:
        return None
    found.y, found.noise = task.y, noise
    return found


def fitted_target(
    X: Float[np.ndarray, "P D"], y: Float[np.ndarray, " P"]
) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, " P"]]:
    """Return the beta of the least-squares fit (beta.x)^2/2 to y, up to its sign, and its residual.

    From the leading directions of early growth.

    >>> task = PolynomialTask(D=10, P=60, seed=1)
    >>> found, left = fitted_target(task.X.numpy(), task.y.numpy())
    >>> bool(abs(abs(found @ task.beta.numpy()) - 10) < 1e-6), bool(abs(left).max() < 1e-6)
    (True, True)
    """
    best = np.zeros(X.shape[1]), -y
    for direction in early_growth(X, y)[1].T[:4]:
        start = direction * math.sqrt(2 * X.shape[1] * max(float(y.mean()), 0.0)) + 1e-12
        fit = least_squares(
            lambda w: (X @ w) ** 2 / 2 - y,
            start,
            lambda w: (X @ w)[:, None] * X,  # pyright: ignore[reportArgumentType]
            xtol=1e-15,
        )
        if fit.fun @ fit.fun < best[1] @ best[1]:
            best = fit.x, fit.fun
        if np.abs(fit.fun).max() <= 1e-5 * np.abs(y).max():
            break
    return best


def _unit(array: object) -> float:
    """Return the unit of rounding of an array of floats, that of double precision for the rest."""
    dtype = str(getattr(array, "dtype", "float64")).removeprefix("torch.")
    if dtype == "bfloat16":
        return float(torch.finfo(torch.bfloat16).eps)
    kind = np.dtype(dtype)
    return float(np.finfo(kind).eps) if kind.kind == "f" else 0.0
