"""Diagonal linear networks, f(x) = <u^L - v^L, x>, trained with weight decay from a large scale.

The setting of Lyu et al. (2024), Sec. 3: L-homogeneous, f = 0 at the start.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import lazyrich
from lazyrich.simulate.arrays import real_array
from lazyrich.simulate.labels import note
from lazyrich.simulate.lyu.descent import descend, steps_at, warn_of_instability
from lazyrich.simulate.lyu.dual import DualFlow
from lazyrich.simulate.lyu.linear_task import LinearTask
from lazyrich.simulate.lyu.losses import LOSSES, Loss
from lazyrich.simulate.lyu.measure import history, measure
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.simulate.stability import within_range
from lazyrich.simulate.threads import threads
from lazyrich.simulate.times import checked_times
from lazyrich.support.arguments import finite, one_of, positive_integer, shown, tolerance
from lazyrich.support.patience import Progress, told

ENGINES = ("dual", "neurons")
CONVENTIONS = (
    "f(x) = <w, x>, w = u^L - v^L entry by entry; u = v = alpha start at time 0; loss = mean of "
    "l(f; y) + (weight_decay/2)(|u|^2 + |v|^2), l = log(1 + exp(-y f)), exp(-y f) or (f - y)^2"
)

_NOTES = {
    "parameter_norm": "(|u|^2 + |v|^2)^(1/2)",
    "objective": "train loss with weight decay",
    "invariant_gap": "largest relative error of u v = a^2 (L = 2), u^(2-L) + v^(2-L) = 2 a^(2-L)",
}


class Path(NamedTuple):
    """What an engine found at the recorded times: u and v, (records, d); nu (records, n)."""

    u: Tensor
    v: Tensor
    nu: np.ndarray | None


@dataclass(frozen=True)
class DiagonalNet:
    """The network f(x) = <u^L - v^L, x> of depth L >= 2, with its loss.

    ``loss`` is "logistic", "exponential" (classification) or "square" (regression). Both layers
    start at alpha ``start``: one number above 0, or d of them. Raises ``ValueError`` for bad input.

    >>> from lazyrich.simulate.lyu import sparse_regression
    >>> task = sparse_regression(d=40, n=12, k=1, seed=0)
    >>> net = DiagonalNet(depth=2, loss="square")
    >>> run = net.train(task, alpha=100.0, weight_decay=1e-3, time=2 * math.log(100.0) / 1e-3)
    >>> run.history.l1_norm.sel(time=[2e3, 9e3], method="nearest").values.round(1).tolist()
    [2.7, 1.0]
    """

    depth: int = 2
    loss: str = "logistic"
    start: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        positive_integer("depth", self.depth)
        if self.depth < 2:
            raise ValueError(f"depth = {self.depth}: must be at least 2")
        one_of("loss", self.loss, LOSSES)
        if isinstance(self.start, int | float):
            finite("start", self.start, positive=True)

    @within_range
    @checks_its_arguments
    def train(
        self,
        task: LinearTask,
        *,
        alpha: float,
        weight_decay: float,
        time: float,
        engine: str = "dual",
        learning_rate: float | None = None,
        record: Iterable[float] | None = None,
        rtol: float = 1e-6,
        progress: Progress | None = None,
    ) -> Run:
        """Train from the scale ``alpha`` to this time (learning rate times steps).

        - ``engine``: "dual", gradient flow in n variables, by a stiff solver with local error
          ``rtol`` (see ``dual``); "neurons", gradient descent on u and v by autograd, which needs a
          ``learning_rate`` and warns (``StabilityWarning``) where that is not stable at the start.
        - ``record``: increasing times in [0, time]; if None, 60 spaced evenly in their logarithm
          and 60 spaced evenly, the transition being late and sharp. "neurons" rounds them to steps.
        - ``progress`` is called now and then with (work done, work to do).

        ``history`` holds losses, accuracies, margins and norms over ``time``, with the ``scale``
        alpha exp(-weight_decay time); of "dual" also the dual variables nu, from which ``weights``
        gives w at any record. ``state`` is {"u", "v"}, (d,), at the end. Raises ``ValueError`` for
        bad input, ``DivergenceError`` and ``dual.SolverError`` where there is no solution.
        """
        one_of("engine", engine, ENGINES)
        progress = told(progress, "training")
        alpha = finite("alpha", alpha, positive=True)
        decay = finite("weight_decay", weight_decay)
        if decay < 0:
            raise ValueError(f"weight_decay = {decay:g}: must be at least 0")
        time, rtol = finite("time", time, positive=True), tolerance("rtol", rtol)
        start = self._start(task)
        times = checked_times(record, time, self._fit_time(task, alpha, start))
        if engine == "dual":
            if learning_rate is not None:
                raise ValueError(f"learning_rate = {shown(learning_rate)}: is for engine 'neurons'")
            with threads(product=task.X.numel()):
                path = self._dual(task, alpha, decay, start).solve(times, rtol, progress)
                path = self._layers(task, alpha, decay, start, times, path)
        else:
            rate = finite("learning_rate", learning_rate, positive=True)
            steps = steps_at(times, time, rate)
            times = np.array(steps) * rate
            with threads(product=task.X.numel()):
                path = self._descend(task, alpha, decay, start, rate, steps, progress)
        given = {"alpha": alpha, "weight_decay": decay, "time": time, "engine": engine}
        given |= {"rtol": rtol} if engine == "dual" else {"learning_rate": learning_rate}
        return self._run(task, path, times, start, given)

    def weights(self, task: LinearTask, run: Run) -> Float[Tensor, "records d"]:
        """Return w at every recorded time of a run of the engine "dual" on this task.

        Raises ``ValueError`` for a run of another task, network or engine.
        """
        given = run.config
        for name, mine in (("task", task.describe()), ("net", self.describe(task))):
            if given.get(name) != mine:
                raise ValueError(f"run: its {name} is {given.get(name)}: must be {mine}")
        if "nu" not in run.history:
            raise ValueError(f"run: is of the engine {given['engine']!r}: must be of 'dual'")
        flow = self._dual(task, given["alpha"], given["weight_decay"], self._start(task))
        pairs = zip(run.history.time.values, run.history.nu.values, strict=True)
        return torch.from_numpy(np.array([flow.w(float(t), nu) for t, nu in pairs]))

    def describe(self, task: LinearTask) -> dict[str, Any]:
        """Return what identifies the network: depth, loss, and the start or a digest of it."""
        start = self.start
        if not isinstance(start, int | float):
            start = hashlib.sha256(self._start(task).numpy().tobytes()).hexdigest()
        return {"depth": self.depth, "loss": self.loss, "start": start}

    def stable_learning_rate(self, task: LinearTask, *, alpha: float, weight_decay: float) -> float:
        """Return the largest learning rate at which gradient descent is stable at the start.

        A step multiplies small changes of the predictions by I - eta (l''/n) K, K the NTK at the
        start, and of what they don't depend on by 1 - eta lambda: stable while
        eta (max l'' lambda_max(K)/n + lambda) < 2. K = 2 L^2 X diag(a^(2L-2)) X^T, so the rate
        falls like alpha^-(2L-2). The part of the curvature that comes with l' is left out.

        >>> task = LinearTask.from_arrays("regression", [[1.0]], [1.0])
        >>> net = DiagonalNet(depth=2, loss="square")                  # K = 8 alpha^2, l'' = 2
        >>> round(net.stable_learning_rate(task, alpha=10.0, weight_decay=0.0), 12)
        0.00125
        """
        layer = torch.full((task.d,), alpha, dtype=torch.float64) * self._start(task)
        return self._stable(task, layer, layer, weight_decay)

    def _stable(self, task: LinearTask, u: Tensor, v: Tensor, decay: float) -> float:
        w = u**self.depth - v**self.depth
        curvature = self._loss.curvature((task.X @ w).numpy(), task.y.numpy())
        power = 2 * self.depth - 2
        root = self.depth * (u.abs() ** power + v.abs() ** power).sqrt()
        scaled = torch.from_numpy(curvature**0.5)[:, None] * task.X * root
        top = float(torch.linalg.eigvalsh(scaled @ scaled.T)[-1]) / task.n
        return 2 / (top + decay) if top + decay > 0 else math.inf

    @property
    def _loss(self) -> Loss:
        return LOSSES[self.loss]

    def _start(self, task: LinearTask) -> Tensor:
        if not isinstance(task, LinearTask):
            raise ValueError(f"task = {shown(task)}: must be a LinearTask")
        if task.kind != self._loss.kind:
            raise ValueError(
                f"loss = {shown(self.loss)}: is for {self._loss.kind}, not {task.kind}"
            )
        if isinstance(self.start, int | float):
            return torch.full((task.d,), float(self.start), dtype=torch.float64)
        start = real_array("start", self.start, (task.d,), f"a number or (d,) = ({task.d},)")
        if not bool((start > 0).all()):
            raise ValueError(f"start has an entry {float(start.min()):g}: must be above 0")
        return start

    def _dual(self, task: LinearTask, alpha: float, decay: float, start: Tensor) -> DualFlow:
        X, y = task.X.numpy(), task.y.numpy()
        return DualFlow(X, y, self._loss, self.depth, alpha, start.numpy(), decay)

    def _fit_time(self, task: LinearTask, alpha: float, start: Tensor) -> float:
        """Return the fastest time of the start, where the records begin."""
        return self._stable(task, alpha * start, alpha * start, 0.0) / 2

    def _layers(
        self,
        task: LinearTask,
        alpha: float,
        decay: float,
        start: Tensor,
        times: np.ndarray,
        nu: np.ndarray,
    ) -> Path:
        flow = self._dual(task, alpha, decay, start)
        pairs = [flow.layers(float(t), at) for t, at in zip(times, nu, strict=True)]
        u, v = (torch.from_numpy(np.array(side)) for side in zip(*pairs, strict=True))
        return Path(u, v, nu)

    def _descend(
        self,
        task: LinearTask,
        alpha: float,
        decay: float,
        start: Tensor,
        rate: float,
        steps: list[int],
        progress: Progress,
    ) -> Path:
        def objective(u: Tensor, v: Tensor) -> Tensor:
            f = task.X @ (u**self.depth - v**self.depth)
            return self._loss.value(f, task.y).mean() + decay / 2 * (u @ u + v @ v)

        def stable(u: Tensor, v: Tensor) -> float:
            return self._stable(task, u, v, decay)

        first = (alpha * start, alpha * start)
        warn_of_instability(rate, stable(*first))
        layers = descend(objective, first, rate, steps, stable, progress)
        u, v = (torch.stack(side) for side in zip(*layers, strict=True))
        return Path(u, v, None)

    def _invariant_gap(self, path: Path, scale: Tensor) -> Tensor:
        u, v = path.u / scale, path.v / scale
        if self.depth == 2:
            return (u * v - 1).abs().amax(1)
        power = 2 - self.depth
        return (u**power + v**power - 2).abs().amax(1) / 2

    def _run(
        self, task: LinearTask, path: Path, times: np.ndarray, start: Tensor, given: dict
    ) -> Run:
        alpha, decay = given["alpha"], given["weight_decay"]
        factor = np.exp(-decay * times)
        measured = measure(task, self._loss, path.u**self.depth - path.v**self.depth)
        found = history(times, alpha * factor, measured, CONVENTIONS)
        square = path.u.square().sum(1) + path.v.square().sum(1)
        scale = torch.outer(torch.from_numpy(alpha * factor), start)
        added = {
            "parameter_norm": square.sqrt().numpy(),
            "objective": found.train_loss.values + decay / 2 * square.numpy(),
            "invariant_gap": self._invariant_gap(path, scale).numpy(),
        }
        for name, values in added.items():
            found[name] = ("time", values, note(name, _NOTES[name]))
        if path.nu is not None:
            label = note("nu", "dual variables: w is a function of X^T nu")
            found["nu"] = (("time", "sample"), path.nu, label)
        config = {"task": task.describe(), "net": self.describe(task), **given}
        config |= {"lazyrich": lazyrich.__version__, "torch": str(torch.__version__)}
        return Run(found, {"u": path.u[-1].clone(), "v": path.v[-1].clone()}, config)
