"""The matrix model, W = U U^T - V V^T, completing a matrix from a large initial scale.

Lyu et al. (2024), Sec. 3.3. With G = dL/dW, symmetric,

    dU/dt = -2 G U - lambda U,    dV/dt = 2 G V - lambda V,    U = V = alpha I at the start,

so that U^T V = a^2 I with a = alpha exp(-lambda t): the flow of W alone is closed, with
U U^T + V V^T = (W^2 + 4 a^4 I)^(1/2). There is no ODE in n dual variables, as for the diagonal
network: G at different times does not commute. The flow of U and V itself is exact and mildly
stiff, and a stabilised explicit method follows it in a few thousand evaluations.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import xarray
from torch import Tensor

import lazyrich
from lazyrich.simulate import rkc, rkc_method
from lazyrich.simulate.labels import note
from lazyrich.simulate.lyu.completion_task import CompletionTask
from lazyrich.simulate.lyu.descent import Layers, descend, steps_at, warn_of_instability
from lazyrich.simulate.lyu.dual import SolverError
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.simulate.stability import within_range
from lazyrich.simulate.threads import threads
from lazyrich.simulate.times import checked_times
from lazyrich.support.arguments import finite, one_of, shown, tolerance
from lazyrich.support.patience import Progress, told

ENGINES = ("flow", "neurons")
SMALLEST_SCALE = 1e-150
# A minute of the smallest matrices. alpha = 100 needs some 10^4.
MOST_EVALUATIONS = 10**6
CONVENTIONS = (
    "W = U U^T - V V^T; U = V = alpha I at time 0; loss = mean over the observed entries, (i, j) "
    "and (j, i) counted once, of (W_ij - X_ij)^2 + (weight_decay/2)(|U|^2 + |V|^2)"
)
DESCRIPTIONS = {
    "train_loss": "mean square error on the observed entries, without weight decay",
    "test_loss": "mean square error on the other entries; NaN where they are unknown",
    "nuclear_norm": "sum of the singular values of W",
    "frobenius_norm": "|W|_F",
    "largest_unobserved": "largest |W_ij| off the observed entries",
    "parameter_norm": "(|U|^2 + |V|^2)^(1/2)",
    "objective": "train loss with weight decay",
    "gradient_norm": "operator norm of dL/dW: weight_decay/2 in the late limit",
    "invariant_gap": "largest entry of |U^T V - a^2 I| over a^2",
}


@dataclass(frozen=True)
class MatrixFactorisation:
    """The model W = U U^T - V V^T with U, V (d, d), under the square loss on observed entries.

    >>> from lazyrich.simulate.lyu import matrix_completion
    >>> task = matrix_completion(d=8, observed=0.6, seed=0)
    >>> run = MatrixFactorisation().train(task, alpha=10.0, weight_decay=1e-3, time=7e3)
    >>> at = run.history.sel(time=[500, 7e3], method="nearest")        # fits; completes
    >>> at.train_loss.values.round(4).tolist(), at.test_loss.values.round(3).tolist()
    ([0.0, 0.0], [0.262, 0.0])
    """

    @within_range
    @checks_its_arguments
    def train(
        self,
        task: CompletionTask,
        *,
        alpha: float,
        weight_decay: float,
        time: float,
        engine: str = "flow",
        learning_rate: float | None = None,
        record: Iterable[float] | None = None,
        rtol: float = 1e-5,
        progress: Progress | None = None,
    ) -> Run:
        """Train from the scale ``alpha`` to this time (learning rate times steps).

        - ``engine``: "flow", gradient flow, with local error ``rtol``; "neurons", gradient descent
          on U and V by autograd at ``learning_rate``, with a ``StabilityWarning`` where that is not
          stable at the start.
        - ``record``: increasing times, as for ``DiagonalNet``; "neurons" rounds them to steps.

        ``state`` is {"U", "V"} at the end; ``history`` holds W (d, d) at every record, and what
        ``DESCRIPTIONS`` lists. Raises ``ValueError`` for bad input, ``DivergenceError`` and
        ``SolverError`` where there is no solution.
        """
        if not isinstance(task, CompletionTask):
            raise ValueError(f"task = {shown(task)}: must be a CompletionTask")
        one_of("engine", engine, ENGINES)
        progress = told(progress, "training")
        alpha = finite("alpha", alpha, positive=True)
        decay = finite("weight_decay", weight_decay)
        if decay < 0:
            raise ValueError(f"weight_decay = {decay:g}: must be at least 0")
        time, rtol = finite("time", time, positive=True), tolerance("rtol", rtol)
        left = alpha * math.exp(-decay * time)
        if not SMALLEST_SCALE < left <= alpha < 1 / SMALLEST_SCALE:
            raise ValueError(
                f"alpha = {alpha:g}, weight_decay time = {decay * time:g}: alpha and what decay "
                f"leaves of it, alpha exp(-weight_decay time) = {left:.3g}, must be between "
                f"{SMALLEST_SCALE:g} and {1 / SMALLEST_SCALE:g}: their squares are divided by"
            )
        start = alpha * torch.eye(task.d, dtype=torch.float64)
        stable = stable_learning_rate(task, start, start, decay)
        times = checked_times(record, time, stable / 2)
        given = {"alpha": alpha, "weight_decay": decay, "time": time, "engine": engine}
        if engine == "flow":
            if learning_rate is not None:
                raise ValueError(f"learning_rate = {shown(learning_rate)}: is for engine 'neurons'")
            _refuse_endless(alpha, decay, time, 2 / stable)
            with threads(product=task.d**3):
                layers = _flow(task, start, decay, times, rtol, left, progress)
            given |= {"rtol": rtol}
        else:
            rate = finite("learning_rate", learning_rate, positive=True)
            steps = steps_at(times, time, rate)
            warn_of_instability(rate, stable)
            times = np.array(steps) * rate
            with threads(product=task.d**3):
                layers = _descend(task, start, decay, rate, steps, progress)
            given |= {"learning_rate": rate}
        config = {"task": task.describe(), "net": "MatrixFactorisation", **given}
        config |= {"lazyrich": lazyrich.__version__, "torch": str(torch.__version__)}
        U, V = layers[-1]
        return Run(_history(task, layers, times, alpha, decay), {"U": U, "V": V}, config)


def stable_learning_rate(
    task: CompletionTask, U: Float[Tensor, "d d"], V: Float[Tensor, "d d"], weight_decay: float
) -> float:
    """Return the largest learning rate stable at these weights: 2/((2/n) lambda_max(K) + lambda).

    With S = U U^T + V V^T the NTK of the entries (i, j) and (k, l) is
    d_ik S_jl + d_il S_jk + d_jk S_il + d_jl S_ik: at the start 8 alpha^2 on the diagonal of W,
    4 alpha^2 off it.

    >>> from lazyrich.simulate.lyu import matrix_completion
    >>> task = matrix_completion(d=3, observed=1.0)                    # n = 6, K = 8
    >>> eye = torch.eye(3, dtype=torch.float64)
    >>> round(stable_learning_rate(task, eye, eye, 0.0), 12)
    0.75
    """
    S = U @ U.T + V @ V.T
    i, j = task.rows, task.columns
    K = sum(
        (a[:, None] == b[None, :]) * S[c][:, d]
        for a, c in ((i, j), (j, i))
        for b, d in ((i, j), (j, i))
    )
    assert isinstance(K, Tensor)
    top = 2 / task.n * float(torch.linalg.eigvalsh(K)[-1])
    return 2 / (top + weight_decay) if top + weight_decay > 0 else math.inf


def _refuse_endless(alpha: float, decay: float, time: float, fastest: float) -> None:
    """Raise ``SolverError`` where the longest stable steps are too many, before the first is taken.

    ``fastest`` is the rate of the fastest mode at the start, 8 alpha^2/n or more. U^T V = a^2 I
    keeps that mode above it times (a/alpha)^2 = exp(-2 weight_decay t).
    """
    faded = -math.expm1(-2 * decay * time) / (2 * decay) if decay else time
    needed = fastest * faded / (rkc_method.INTERVAL * rkc.MAX_STAGES)
    if needed > MOST_EVALUATIONS:
        raise SolverError(
            0.0,
            f"alpha = {alpha:g}: takes at least {needed:.2g} evaluations, and {MOST_EVALUATIONS:g} "
            "are the most: take a smaller alpha, a larger weight_decay or a shorter time",
        )


def _observed(task: CompletionTask, U: Tensor, V: Tensor) -> Tensor:
    i, j = task.rows, task.columns
    return (U[i] * U[j] - V[i] * V[j]).sum(1)


def _slope(task: CompletionTask, U: Tensor, V: Tensor) -> Tensor:
    """Return G = dL/dW, symmetric."""
    return task.gradient(2 / task.n * (_observed(task, U, V) - task.y))


def _flow(
    task: CompletionTask,
    start: Tensor,
    decay: float,
    times: np.ndarray,
    rtol: float,
    last_scale: float,
    progress: Progress,
) -> list[Layers]:
    def velocity(state: Tensor) -> Tensor:
        U, V = state
        G = 2 * _slope(task, U, V)
        return torch.stack([-G @ U, G @ V]).sub_(state, alpha=decay)

    def watch(step: rkc.Step) -> None:
        if step.evaluations > MOST_EVALUATIONS:
            reason = (
                f"more than {MOST_EVALUATIONS:g} evaluations: the flow is the stiffer the larger "
                "alpha is; take a smaller alpha or a larger weight_decay"
            )
            raise SolverError(step.end, reason)
        progress(step.end, float(times[-1]))

    try:
        found = rkc.solve(
            velocity,
            torch.stack([start, start]),
            times,
            relative=rtol,
            absolute=rtol * last_scale,
            watch=watch,
        )
    except rkc.StepSizeError as error:
        raise SolverError(error.time, "no step is accurate") from None
    return [(U, V) for U, V in found]


def _descend(
    task: CompletionTask,
    start: Tensor,
    decay: float,
    rate: float,
    steps: list[int],
    progress: Progress,
) -> list[Layers]:
    def objective(U: Tensor, V: Tensor) -> Tensor:
        W = U @ U.T - V @ V.T
        error = W[task.rows, task.columns] - task.y
        return error.square().mean() + decay / 2 * (U.square().sum() + V.square().sum())

    def stable(U: Tensor, V: Tensor) -> float:
        return stable_learning_rate(task, U, V, decay)

    return descend(objective, (start, start), rate, steps, stable, progress)


def _history(
    task: CompletionTask, layers: list[Layers], times: np.ndarray, alpha: float, decay: float
) -> xarray.Dataset:
    scale = alpha * np.exp(-decay * times)
    rows = [_measure(task, U, V, float(a), decay) for (U, V), a in zip(layers, scale, strict=True)]
    label = note("time", "time of gradient flow, learning rate times step")
    found = xarray.Dataset(coords={"time": ("time", times, label)})
    label = note("scale", "alpha exp(-lambda t): what is left of the initial scale")
    found = found.assign_coords(scale=("time", scale, label))
    for name, text in DESCRIPTIONS.items():
        values = np.array([row[name] for row in rows])
        found[name] = ("time", values, note(name, text))
    zeros = torch.zeros_like(task.X)
    for name, value, what in (
        ("zero_train_loss", float(task.y.square().mean()), "train loss of W = 0"),
        ("zero_test_loss", task.test_loss(zeros), "test loss of W = 0"),
    ):
        found[name] = ((), value, note(name, what))
    W = np.array([(U @ U.T - V @ V.T).numpy() for U, V in layers])
    found["W"] = (("time", "row", "column"), W, note("W", "the matrix"))
    found.attrs["conventions"] = CONVENTIONS
    return found


def _measure(
    task: CompletionTask, U: Tensor, V: Tensor, scale: float, decay: float
) -> dict[str, float]:
    W = U @ U.T - V @ V.T
    size = torch.linalg.eigvalsh(W).abs()
    square = float(U.square().sum() + V.square().sum())
    train = float((W[task.rows, task.columns] - task.y).square().mean())
    hidden = W.clone()
    hidden[task.rows, task.columns] = hidden[task.columns, task.rows] = 0
    gap = U.T @ V - scale**2 * torch.eye(task.d, dtype=torch.float64)
    return {
        "train_loss": train,
        "test_loss": task.test_loss(W),
        "nuclear_norm": float(size.sum()),
        "frobenius_norm": float(W.norm()),
        "largest_unobserved": float(hidden.abs().max()),
        "parameter_norm": square**0.5,
        "objective": train + decay / 2 * square,
        "gradient_norm": float(torch.linalg.eigvalsh(_slope(task, U, V)).abs().max()),
        "invariant_gap": float(gap.abs().max()) / scale**2,
    }
