"""``lazy_curve``: the training and test curves of the linearised network, without training."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn

import lazyrich
from lazyrich.simulate import rkc
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.modes import CHECKED, Modes, of_kernel, of_products, together
from lazyrich.simulate.modules.data import Data, checked_data
from lazyrich.simulate.modules.logits import warn_unless_logits
from lazyrich.simulate.modules.losses import Loss, check_value, loss_function, mean_square
from lazyrich.simulate.outcome import SHARE
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import DivergenceError, has_diverged
from lazyrich.support.arguments import (
    below_one,
    dense,
    finite,
    listed,
    one_of,
    positive_integer,
    shown,
)
from lazyrich.support.interruption import Interruption
from lazyrich.support.user_code import functions_of_the_user

METHODS = ("auto", "eigen", "lanczos")
# Bytes that the kernels may take before "auto" does without them.
MEMORY = 2**31
RECORDS = 120
# Default times end where the train loss is this much above its floor, as a share of its start ...
_NEAR = 1e-4
# ... and no later than this many times the fastest time.
_LONGEST = 1e9
_LANCZOS_ITERATIONS = 400
# A default curve has no more records: steps are short where a loss has kinks.
MOST_STEPS = 2000
# With weight decay a convex loss is at rest after this time over the decay: what is left goes as
# exp(-decay t).
_RELAXED = 20.0
# The method, for losses without a closed form.
FLOW = "flow of the outputs"


@checks_its_arguments
def lazy_curve(
    model: nn.Module,
    data: Data,
    *,
    times: Iterable[float] | None = None,
    loss: Loss | str = "mse",
    weight_decay: float | int = 0.0,
    learning_rate: float | int | None = None,
    momentum: float | int = 0.0,
    metrics: Mapping[str, Loss] | None = None,
    method: str = "auto",
    memory: int = MEMORY,
    rtol: float = 1e-6,
) -> Run:
    """Return the run of the linearised network: what ``linearise(model)`` would do if trained.

    Use it to see what lazy training would do, at the cost of one kernel: how fast, how low, and how
    well it would generalise. Nothing is trained, and the model is left as it was.

    - ``times``: learning rate times steps, for gradient flow (``fit_flow``). With a
      ``learning_rate``, numbers of steps of full-batch ``torch.optim.SGD`` with ``momentum`` and
      ``weight_decay`` (``fit``), exactly. None: from the fastest mode to the end of training.
    - ``momentum`` without a learning rate is its limit of small rates: the flow, 1/(1 - momentum)
      times as fast.
    - ``loss``: "mse" is solved exactly, each eigenvector of the kernel on its own. Any other loss
      ("cross_entropy", a function) is integrated numerically, by gradient flow, in the space of the
      outputs; ``rtol`` is the error of a step. Where a loss has kinks, as l1 and hinge, steps are
      short; a default curve may then end before the loss does (``config["converged"]`` is False).
    - ``metrics``: functions of outputs and labels, recorded as ``train_NAME`` and ``test_NAME``.
    - ``method``: "eigen" makes the kernels; "lanczos" (only "mse") needs none, and finds the modes
      that the labels have a part in; "auto" is "eigen" where the kernels fit in ``memory`` bytes.

    The history has ``train_loss`` and ``test_loss`` over ``time`` (or ``step``),
    ``parameter_change``, and, for "mse", ``floor_train_loss`` and ``floor_test_loss``, the losses
    after infinite time. ``run.outcome()`` says when they fall. ``state["a"]`` and ``state["b"]``
    give the last weights, w0 (1 + b) + J^T a.

    Raises ``ValueError`` for bad input and for what ``ntk`` refuses.

    >>> from lazyrich.simulate.modules.mlp import mlp
    >>> X = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]
    >>> run = lazy_curve(mlp((1, 50, 1), nn.Tanh), Data(X, X**2, X + 0.1, (X + 0.1) ** 2))
    >>> bool(run.history.train_loss[-1] < 1e-3 * run.history.train_loss[0])
    True
    """
    given = Given(
        checked_data(data),
        loss_function(loss),
        _at_least_zero("weight_decay", weight_decay),
        None if learning_rate is None else finite("learning_rate", learning_rate, positive=True),
        below_one("momentum", momentum),
        functions_of_the_user("metrics", metrics),
        finite("rtol", rtol, positive=True),
    )
    one_of("method", method, METHODS)
    asked = None if times is None else given.checked(times)
    memory = positive_integer("memory", memory)
    expansion = Expansion(model, data)
    warn_unless_logits(given.loss, model, expansion.data.X, expansion.data.y)
    return curve_of(expansion, given, asked, method, memory)


@dataclass(frozen=True)
class Given:
    """The arguments of a curve."""

    data: Data
    loss: Loss
    decay: float = 0.0
    rate: float | None = None
    momentum: float = 0.0
    metrics: dict[str, Loss] = field(default_factory=dict)
    rtol: float = 1e-6

    @property
    def square(self) -> bool:
        """Return whether the loss is the mean square, which has closed forms."""
        return self.loss in (mean_square, nn.functional.mse_loss)

    @property
    def coordinate(self) -> str:
        return "time" if self.rate is None else "step"

    def checked(self, times: Iterable) -> np.ndarray:
        dense("times", times)
        given = listed("times", times, "numbers")
        try:
            given = [t.item() if getattr(t, "shape", None) == () else t for t in given]
            if any(isinstance(t, str | bytes) for t in given):  # which NumPy reads
                raise TypeError
            found = np.asarray(given, dtype=float)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"times = {shown(times)}: must be a list of numbers") from None
        if found.ndim != 1 or not len(found) or not np.isfinite(found).all() or found[0] < 0:
            raise ValueError("times must be finite numbers of at least 0, and at least one of them")
        if not (np.diff(found) > 0).all():
            raise ValueError("times must increase")
        if self.rate is not None and not (found == np.round(found)).all():
            raise ValueError("times must be whole numbers of steps where learning_rate is given")
        return found


def curve_of(
    expansion: Expansion,
    given: Given,
    times: np.ndarray | None = None,
    method: str = "auto",
    memory: int = MEMORY,
    kernels: tuple[Tensor, Tensor] | None = None,
    path: list[tuple[float, Tensor, float]] | None = None,
    stop: Interruption | None = None,
    most: float | int = math.inf,
) -> Run:
    """Return the curve of an expansion; ``kernels`` if they have been made.

    ``path`` is filled with (time, a, b) of every record: the weights on the way. With ``stop``, an
    interrupted curve is returned as far as it has come; so is one that ``most`` steps of the
    integrator do not bring to the end (``followed`` says how far).
    """
    fits = expansion.kernel_bytes <= memory
    chosen = ("eigen" if fits else "lanczos") if method == "auto" else method
    if not given.square and (chosen == "lanczos" or given.rate is not None):
        what = f"learning_rate = {given.rate:g}" if given.rate is not None else "method = 'lanczos'"
        raise ValueError(f"{what}: must be left out unless loss = 'mse'")
    curve = _Curve(expansion, given, stop)
    if chosen == "eigen" and kernels is None:
        kernels = expansion.kernels()
    if not given.square:
        assert kernels is not None
        found = _dual_flow(curve, *kernels, times, most)
    else:
        found = _by_modes(curve, kernels if chosen == "eigen" else None, times)
    if path is not None:
        path.extend(curve.path)
    return found


def followed(curve: Run) -> float:
    """Return the time at which a curve ended before its loss did, ``inf`` where it did not."""
    early = curve.config["method"] == FLOW and not curve.config["converged"]
    return float(curve.history.time[-1]) if early else math.inf


def final_train_share(curve: Run) -> float:
    """Return the final train loss of the twin over that of predicting nothing; NaN unknown."""
    history, zero = curve.history, float(curve.history.zero_train_loss)
    if "floor_train_loss" in history:
        return float(history.floor_train_loss) / zero
    rests = curve.config["weight_decay"] > 0 and curve.config["converged"]
    return float(history.train_loss[-1]) / zero if rests else math.nan


class _Curve:
    """What turns coefficients into a history."""

    def __init__(
        self, expansion: Expansion, given: Given, stop: Interruption | None = None
    ) -> None:
        self.expansion, self.given, self.stop = expansion, given, stop
        zeros = torch.zeros(expansion.size), torch.zeros(expansion.size_test)
        self.g, self.g_test = expansion.drifts() if given.decay > 0 else [z.double() for z in zeros]
        data = expansion.data
        self.sides = {
            "train": (expansion.f0, self.g, data.y),
            "test": (expansion.f0_test, self.g_test, data.y_test),
        }
        for name, (f0, _, y) in zip(("y", "y_test"), self.sides.values(), strict=True):
            if len(f0):
                check_value(given.loss, f0, _like(y, f0), name)
        self.weight_square = expansion.weight_square
        self.rows: list[dict[str, float]] = []
        self.at: list[float] = []
        self.path: list[tuple[float, Tensor, float]] = []  # time, a, b of each record

    def add(
        self,
        at: float,
        moved: np.ndarray,
        moved_test: np.ndarray,
        b: float,
        a: np.ndarray | None = None,
    ) -> float:
        """Record outputs that have moved so far by training, and return the train loss.

        ``moved`` is K a; with ``a``, also how far the weights have moved.
        """
        row: dict[str, float] = {}
        for (side, (f0, g, y)), part in zip(self.sides.items(), (moved, moved_test), strict=True):
            f = f0 + (torch.as_tensor(part) + b * g).reshape(f0.shape)
            for name, function in {"loss": self.given.loss, **self.given.metrics}.items():
                row[f"{side}_{name}"] = float(function(f, _like(y, f))) if len(f) else math.nan
        if a is not None:
            square = a @ moved + 2 * b * (a @ self.g.numpy()) + b**2 * self.weight_square
            row["parameter_change"] = math.sqrt(max(square, 0.0) / (self.weight_square or math.nan))
            self.path.append((at, torch.as_tensor(a), b))
        self.rows.append(row)
        self.at.append(at)
        return row["train_loss"]

    @contextmanager
    def cut_short(self) -> Iterator[None]:
        """Within this, an interruption keeps the records so far, if there are two of them."""
        stop = Interruption()
        with stop.during(""):
            yield
        if stop.by is not None:
            count = min(len(self.rows), len(self.at), len(self.path))
            if self.stop is None or count < 2:
                raise stop.by
            for records in (self.rows, self.at, self.path):
                del records[count:]
            self.stop.by = stop.by
            self.stop.missing.append(f"the twin's curve after time {self.at[-1]:.3g}")

    def can_reach(self, goal: float, end: float) -> bool:
        """Return whether the train loss may fall below ``goal`` by the time ``end``.

        Along the flow of a convex loss without decay it falls ever more slowly: from now on at
        most as fast as it has since half of the time until now.
        """
        now, loss = self.at[-1], self.rows[-1]["train_loss"]
        before = int(np.searchsorted(self.at, now / 2, side="right")) - 1
        if before < 0 or self.at[before] == now:
            return True
        rate = (self.rows[before]["train_loss"] - loss) / (now - self.at[before])
        return loss - rate * (end - now) < goal

    def losses(self, moved: np.ndarray, moved_test: np.ndarray, b: float) -> list[float]:
        """Return train and test loss without recording them."""
        self.add(math.nan, moved, moved_test, b)
        self.at.pop()
        row = self.rows.pop()
        return [row["train_loss"], row["test_loss"]]

    def run(self, a: Tensor, b: float, extra: Mapping[str, Any]) -> Run:
        """Return everything recorded as a run."""
        given, name = self.given, self.given.coordinate
        at = np.array(self.at, dtype=np.int64 if name == "step" else float)
        units = "gradient steps" if name == "step" else "learning rate x steps"
        history = xarray.Dataset(coords={name: (name, at, {"units": units})})
        for key in self.rows[0]:
            history[key] = (name, np.array([row[key] for row in self.rows]))
        for side, (f0, _, y) in self.sides.items():
            zero = float(given.loss(0 * f0, _like(y, f0))) if len(f0) else math.nan
            history[f"zero_{side}_loss"] = zero
        config = {"trainer": "lazy_curve", "P": self.expansion.n, "n_test": self.expansion.m}
        config |= {"weights": self.expansion.count, "weight_decay": given.decay}
        config |= {"momentum": given.momentum, "learning_rate": given.rate}
        for key, value in extra.items():
            if isinstance(value, xarray.DataArray | float):
                history[key] = value
            else:
                config[key] = value
        config |= {"lazyrich": lazyrich.__version__}
        shape = (self.expansion.n, *self.expansion.out)
        return Run(history, {"a": a.reshape(shape), "b": torch.tensor(float(b))}, config)


def _by_modes(curve: _Curve, kernels: tuple[Tensor, Tensor] | None, times: Any) -> Run:
    """Solve the mean square error: exactly, in every mode."""
    given, expansion = curve.given, curve.expansion
    c = 2 / expansion.size
    residual = (expansion.f0 - expansion.labels()).flatten() - curve.g
    if expansion.m:
        expansion.labels(test=True)
    if kernels is not None:
        modes = of_kernel(*kernels, residual, curve.g)
    else:
        modes = _krylov(curve, residual, c, times)
        if given.decay > 0:
            modes = together(modes, _krylov(curve, curve.g, c, times))
    stable = _stable_rate(modes, c, given)
    if times is None and given.rate is not None and given.rate > stable:
        raise ValueError(
            f"learning_rate = {given.rate:g}: must be at most {stable:.4g}, the largest stable "
            "one, or the curve has no end; give times for a part of it"
        )
    at = _times(modes, curve, c) if times is None else times
    with np.errstate(over="ignore", invalid="ignore"):  # of rates that are not stable
        a, b = _solved(modes, given, at, c)
    start = curve.losses(0 * modes.train[:, 0], 0 * modes.test[:, 0], 0.0)[0]
    for i, time in enumerate(at):
        moved, moved_test = modes.train @ a[:, i], modes.test @ a[:, i]
        loss = curve.add(float(time), moved, moved_test, float(b[i]), modes.vectors @ a[:, i])
        if given.rate is not None and has_diverged(loss, start):
            raise DivergenceError(int(time), given.rate, stable)
    final, shrunk = modes.limit(c, given.decay)
    floors = curve.losses(modes.train @ final, modes.test @ final, shrunk)
    extra = {
        "floor_train_loss": floors[0],
        "floor_test_loss": floors[1],
        "method": "eigen" if kernels is not None else "lanczos",
        "modes": len(modes.k),
        "converged": modes.converged,
        "stable_rate": stable,
    }
    return curve.run(torch.as_tensor(modes.vectors @ a[:, -1]), float(b[-1]), extra)


def _solved(modes: Modes, given: Given, at: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of the modes, and b, at these times or steps."""
    if given.rate is None:
        return modes.flow(at / (1 - given.momentum), c, given.decay)
    return modes.descent(at, c, given.decay, given.rate, given.momentum)


def _krylov(curve: _Curve, start: Tensor, c: float, times: Any) -> Modes:
    """Return the modes of one vector, as many as the losses at half and at the end depend on."""
    seen: list[list[list[float]]] = []

    def settled(modes: Modes) -> bool:
        at = _times(modes, curve, c) if times is None else times
        a, b = _solved(modes, curve.given, at[[len(at) // 2, -1]], c)
        seen.append(
            [curve.losses(modes.train @ a[:, i], modes.test @ a[:, i], float(b[i])) for i in (0, 1)]
        )
        pair = seen[-2:]
        return len(pair) == 2 and np.allclose(*pair, rtol=1e-4, atol=0, equal_nan=True)

    stop, most = curve.stop, _LANCZOS_ITERATIONS
    if stop is not None and stop.by is not None:
        most = CHECKED  # asked to end: a rough answer is enough
    return of_products(curve.expansion.product, start, most, settled, stop)


def _stable_rate(modes: Modes, c: float, given: Given) -> float:
    curvature = c * float(modes.k.max()) + given.decay
    return 2 * (1 + given.momentum) / curvature if curvature > 0 else math.inf


def _times(modes: Modes, curve: _Curve, c: float) -> np.ndarray:
    """Return times, or steps, from the fastest mode to the end of training."""
    given = curve.given
    fastest = 1 / max(c * float(modes.k.max()) + given.decay, 1e-300)
    limit = modes.limit(c, given.decay)
    floor = curve.losses(modes.train @ limit[0], modes.test @ limit[0], limit[1])[0]
    start = curve.losses(0 * modes.train[:, 0], 0 * modes.test[:, 0], 0.0)[0]
    last = fastest
    for _ in range(int(math.log2(_LONGEST))):
        last *= 2
        a, b = modes.flow(np.array([last]), c, given.decay)
        now = curve.losses(modes.train @ a[:, 0], modes.test @ a[:, 0], float(b[0]))[0]
        if abs(now - floor) <= _NEAR * max(start, floor):
            break
    speed = 1 - given.momentum
    found = np.concatenate([[0.0], speed * np.geomspace(fastest / 10, 4 * last, RECORDS)])
    return found if given.rate is None else np.unique(np.round(found / given.rate))


def _dual_flow(
    curve: _Curve, K: Tensor, K_test: Tensor, times: np.ndarray | None, most: float | int = math.inf
) -> Run:
    """Integrate a' = -dL/df - decay a, b' = -decay (1 + b), for any differentiable loss."""
    given, expansion = curve.given, curve.expansion
    shape, y, speed = expansion.f0.shape, curve.sides["train"][2], 1 / (1 - given.momentum)
    f0 = expansion.f0.flatten()
    K, K_test, range_of = _without_rounding(K, K_test, expansion.like)

    def rhs(state: Tensor) -> Tensor:
        a, b = state[:-1], state[-1]
        f = (f0 + K @ a + b * curve.g).reshape(shape).requires_grad_()
        with torch.enable_grad():
            slope = torch.autograd.grad(given.loss(f, _like(y, f)), f)[0]
        moved = range_of(-slope.flatten()) - given.decay * a
        return speed * torch.cat([moved, -given.decay * (1 + b)[None]])

    def error(estimate: Tensor, step: rkc.Step) -> float:
        off = float((K @ estimate[:-1]).norm()) + float(estimate[-1].abs() * curve.g.norm())
        scale = float((K @ step.after[:-1] + f0).norm()) + float(f0.norm()) + math.sqrt(len(f0))
        return off / scale / max(given.rtol, 1e-12)

    def record(at: float, state: Tensor) -> float:
        a, b = state[:-1], float(state[-1])
        return curve.add(at, (K @ a).numpy(), (K_test @ a).numpy(), b, a.numpy())

    state = torch.zeros(len(f0) + 1, dtype=torch.float64)
    scale = record(0.0, state) if times is None or times[0] == 0 else math.nan
    pending = None if times is None else [t for t in times.tolist() if t > 0]
    slope = rhs(state)
    # Where the loss has no curvature at the start, the outputs move by their size in 1/radius.
    moves = float((K @ slope[:-1]).norm()) / (float(f0.norm()) + math.sqrt(len(f0)))
    radius = max(rkc.SpectralRadius(rhs)(state, slope, False), moves)
    fastest = 1 / max(radius, 1e-300)
    end = _LONGEST * fastest if times is None else max(times[-1], 1e-300)
    rests = times is None and given.decay > 0 and _RELAXED / (speed * given.decay) < end
    if rests:
        end = _RELAXED / (speed * given.decay)
    nothing = float(given.loss(0 * expansion.f0, _like(y, expansion.f0)))
    goal = SHARE / 20 * min(nothing, scale)
    converged = times is not None
    with curve.cut_short():
        for number, step in enumerate(rkc.steps(rhs, state, end, error), 1):
            state = step.after
            if pending is None:
                done = record(step.end, state) < goal
                done |= given.decay == 0 and not curve.can_reach(goal, end)
                converged = done
                if done or len(curve.rows) > MOST_STEPS:
                    break
            while pending and pending[0] <= step.end:
                record(pending[0], step.at(pending.pop(0)))
            if pending and number >= most:
                converged = False
                break
        converged |= rests and curve.at[-1] >= end * (1 - 1e-9)
    extra = {"method": FLOW, "converged": converged}
    return curve.run(state[:-1], float(state[-1]), extra)


def _without_rounding(
    K: Tensor, K_test: Tensor, like: Tensor
) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Return kernels without eigenvalues that are rounding, and the projection on the others.

    Where the network can't fit its labels, a grows in the null directions of K without end, and
    with it the rounding of K a. Kernels of full rank stay as they are.
    """
    k, vectors = torch.linalg.eigh((K + K.T) / 2)
    alive = k > len(k) * torch.finfo(like.dtype).eps * k.max()
    if bool(alive.all()):
        return K, K_test, lambda a: a
    k, vectors = k[alive], vectors[:, alive]
    kept = (vectors * k) @ vectors.T
    return kept, (K_test @ vectors) @ vectors.T, lambda a: vectors @ (vectors.T @ a)


def _like(y: Any, f: Tensor) -> Any:
    return y.to(f.dtype) if isinstance(y, Tensor) and y.is_floating_point() else y


def _at_least_zero(name: str, value: Any) -> float:
    if (found := finite(name, value)) < 0:
        raise ValueError(f"{name} = {found:g}: must be at least 0")
    return found
