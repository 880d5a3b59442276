"""``train``: one run of one network on one task, by any of the engines."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import lazyrich
from lazyrich.simulate.activations import DEFAULT, EPSILON
from lazyrich.simulate.descent_gap import warn_of_descent_gap
from lazyrich.simulate.engines import Engine, known, refuse_unsupported
from lazyrich.simulate.measures import NeuronMeasures
from lazyrich.simulate.network import Network, activation_symbols, activation_text
from lazyrich.simulate.record import Recorder, checked_grid
from lazyrich.simulate.rule import DECAYS, Rule
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import (
    Diverged,
    DivergenceError,
    extremes,
    stable_learning_rate,
    stable_rate_of_kernel,
    within_range,
)
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.threads import threads
from lazyrich.simulate.training import Snapshot, Training
from lazyrich.support.arguments import by_name, finite, one_of, positive_integer, shown, tolerance
from lazyrich.support.patience import told

DTYPES = {"float64": torch.float64, "float32": torch.float32}

# Of Figure 1, as the other defaults.
STEPS = 100_000

CONVENTIONS = (
    "f(x) = (alpha/N) sum_i v_i phi(w_i.x), {phi}, {readouts}; {target}; "
    "x ~ N(0, covariance), I/D by default; loss = mean of (f - y)^2, no factor 1/2; gradient "
    "descent on the full batch at eta = learning_rate N/alpha^2; wbar = mean of w_i, "
    "M = mean of w_i w_i^T; "
    "K = NTK/(alpha^2/N)"
)


@checks_its_arguments
def train(
    task: PolynomialTask,
    *,
    alpha: float = 1.0,
    epsilon: float = EPSILON,
    steps: int = STEPS,
    width: int | float | None = None,
    engine: str = "flow",
    learning_rate: float = 1.0,
    centred: bool = True,
    init: object = None,
    sigma: float = 1.0,
    seed: int = 0,
    readouts: object = None,
    activation: object = DEFAULT,
    constants: Mapping[str, float] | None = None,
    activation_degree: int | None = None,
    record: Iterable[int] | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
    optimiser: Callable[[list[Tensor]], torch.optim.Optimizer] | None = None,
    alignment: str | None = "test",
    dtype: str = "float64",
    device: str = "cpu",
    rtol: float = 1e-4,
    descent_tolerance: float | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> Run:
    """Train a two-layer network f(x) = (alpha/N) sum_i v_i phi(w_i.x) on a task; return the run.

    Use it to see one network learn: when it fits, when it generalises, how far it is lazy. Without
    options it trains the network of Figure 1 of Kumar et al., as ``lazyrich simulate`` does.

    The loss is the mean of (f - y)^2, by default of the centred predictor f(x; w) - f(x; w0). The
    step size is eta = learning_rate N/alpha^2, so that curves compare across N and alpha over
    tau = learning_rate * step.

    - ``width``: the number N of neurons, or ``math.inf``; 500 unless ``init`` is given. The initial
      weights are N(0, sigma^2), from ``seed`` by a stream of their own; or ``init`` gives them: W
      of shape (N, D), or the pair (wbar, M), M any symmetric matrix, for the engines that need no
      neurons (then leave ``width`` out).
    - ``engine``: "flow", gradient flow, the limit of small learning rates, at the same tau;
      "moments", gradient descent exact in (wbar, M) for every N; "neurons", one by one by autograd;
      "linearised", the closed form of the lazy limit. ``engines.register`` adds others. What an
      engine doesn't support is refused in one line that names the engines that do.
    - ``activation``: phi(h), a polynomial in h, a multiple of erf(a h) or of relu(h), as text, a
      SymPy expression or a ``theory.Activation``; ``epsilon`` and ``constants`` give its symbols
      values. By default h + (epsilon/2) h^2; any other needs the engine "neurons".
      ``activation_degree`` k is short for h + (epsilon/2) He_k(h), He_k the probabilists' Hermite
      polynomial.
    - ``readouts``: "fixed" at 1 (or None); for "neurons" only, "trained" (or "gaussian"), v_i ~
      N(0, 1) from a stream of their own, or an array (N,): trained along with the weights, at the
      same rate.
    - ``momentum``: heavy-ball, as in ``torch.optim.SGD``. ``weight_decay`` adds
      (weight_decay/2) (1/N) sum_i |w_i|^2 to the loss, so a step shrinks w by
      learning_rate weight_decay/alpha^2; ``decoupled_weight_decay`` multiplies w by
      1 - learning_rate decoupled_weight_decay at each step, outside momentum. Readouts that are
      trained decay as the weights do.
    - ``optimiser``, for "neurons" only, is called with the list of parameters and returns the
      ``torch.optim.Optimizer`` to use in place of all of the above; there is no tau then.
    - ``record``: the steps to record, 0 being before the first update; a log-spaced grid if None.
    - ``alignment``: the set whose kernel-task alignment is recorded: "test", "train" or None.
    - ``dtype``: "float64" or "float32"; ``device``: a torch device. Measurements are in float64.
    - ``rtol``, of "flow": the largest local error of a step, estimated for a method one order
      lower than the one used, of the predictions relative to the residual and of the weights.
      Losses then keep a relative accuracy of 10 rtol, until the residual gets as small as the
      rounding of the predictions over rtol: with "float32", which saves a sixth of the time,
      until it is about 1e-3 of them.
    - ``descent_tolerance``, for "flow" only: warn (``DescentGapWarning``) where gradient descent at
      this learning rate is estimated to differ from its flow by more than this part of a recorded
      loss. The estimates are recorded as ``descent_gap_*`` in any case.
    - ``progress`` is called now and then with (steps done, steps).

    Returns a ``Run``. Raises ``ValueError`` for bad input before any work, ``DivergenceError``
    when the loss grows without bound, and ``NumericalError``, of which this is one, where a run
    can't be computed to its end: a ``ValueError`` too.

    >>> task = PolynomialTask(D=5, P=20, n_test=50, seed=0)
    >>> options = dict(alpha=1.0, epsilon=0.5, width=8, steps=100, learning_rate=0.5, seed=1)
    >>> exact = train(task, engine="moments", **options)
    >>> slow = train(task, engine="neurons", **options)
    >>> ratio = exact.history.population_loss / slow.history.population_loss
    >>> bool(abs(ratio - 1).max() < 1e-9)
    True
    """
    progress = told(progress, "training")
    return run_plan(plan(**locals()))


@dataclass(frozen=True)
class Plan:
    """A run whose arguments have been checked."""

    training: Training
    engine: Engine
    alignment: str | None
    grid: tuple[int, ...]
    config: dict
    descent_tolerance: float | None

    def extremes(self) -> list[str]:
        """Return the extreme numbers of the run as text."""
        task = self.training.task
        largest = {"the largest entry of X": task.X, "the largest label": task.y}
        return extremes(self.config | {k: float(v.abs().max()) for k, v in largest.items()})

    @property
    def product(self) -> float:
        """Return the multiplications of the largest product of two matrices in a step."""
        task, W = self.training.task, self.training.network.W
        width = math.inf if W is None else W.shape[0]
        return self.engine.product({"P": task.P, "D": task.D, "width": width})


@within_range
def plan(task: Any, **given: Any) -> Plan:
    """Check all arguments of ``train``, given by name, and return the run that they ask for.

    Raises ``ValueError`` for bad input.
    """
    if not isinstance(task, PolynomialTask):
        raise ValueError(f"task = {shown(task)}: must be a PolynomialTask")
    engine = known(given["engine"])
    given["constants"] = by_name("constants", given["constants"])
    steps = positive_integer("steps", given["steps"])
    grid = checked_grid(given["record"], steps)
    network, rule = Network.checked(task.D, given), Rule.checked(given)
    if network.W is not None and not network.has_moments:
        NeuronMeasures.fit_memory(len(task.y), len(task.y_test), len(network.W))
    if given["alignment"] is not None:
        one_of("alignment", given["alignment"], ("test", "train"))
    real_dtype = DTYPES[one_of("dtype", given["dtype"], DTYPES)]
    _check_device(given["device"])
    training = Training(
        task=task,
        X=task.X.to(dtype=real_dtype, device=given["device"]),
        y=task.y.to(dtype=real_dtype, device=given["device"]),
        network=network,
        rule=rule,
        stops=(*grid, steps) if grid[-1] < steps else grid,
        progress=given["progress"],
        rtol=tolerance("rtol", given["rtol"]),
        activation_text=activation_text(given),
        symbols=activation_symbols(given),
    )
    refuse_unsupported(engine, training, given)
    if training.X.is_meta:  # a device that holds no numbers
        raise _no_device(given["device"])
    if given["descent_tolerance"] is not None:
        finite("descent_tolerance", given["descent_tolerance"], positive=True)
    config = _config(training, engine, given)
    return Plan(training, engine, given["alignment"], grid, config, given["descent_tolerance"])


def plan_of(task: Any, **given: Any) -> Plan:
    """Return the same of some arguments of ``train``, the others at their defaults.

    Raises ``ValueError`` for bad input and for names that ``train`` has not.
    """
    known = defaults()
    for name in given:
        one_of("argument", name, known)
    return plan(task, **(known | given))


def defaults() -> dict[str, Any]:
    """Return the arguments of ``train`` with their defaults, all but the task.

    >>> defaults()["learning_rate"]
    1.0
    """
    found = {name: p.default for name, p in inspect.signature(train).parameters.items()}
    return {name: value for name, value in found.items() if name != "task"}


class Recording:
    """What becomes of a plan, snapshot by snapshot: a run, or the error that ends it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._recorder = Recorder(plan.training, plan.alignment, late=plan.engine.late)
        self._grid = set(plan.grid)
        start = plan.training.network.start
        self._last = Snapshot.of(0, start, start)

    def take(self, snapshot: Snapshot) -> None:
        """Measure the snapshot if its step is one to record. Raises ``Diverged``."""
        self._last = snapshot
        if snapshot.step in self._grid:
            self._recorder.add(snapshot)
        else:
            self._recorder.check(snapshot)

    def finish(self) -> Run:
        """Return the run, which has come to its end."""
        last, config = self._last, self._plan.config
        history = self._recorder.history(_attributes(config))
        if self._plan.descent_tolerance is not None:
            warn_of_descent_gap(history, self._plan.descent_tolerance)
        state = last.W.cpu() if last.W is not None else (last.wbar.cpu(), last.M.cpu())
        readouts = None if last.readouts is None else last.readouts.cpu()
        return Run(history, state, config, readouts)

    def divergence(self, step: int) -> DivergenceError:
        """Return the error of a run that was seen to have diverged by ``step``."""
        return _divergence(self._plan.training, step, self._last)


@within_range
def run_plan(wanted: Plan) -> Run:
    """Return the run that was planned. Raises ``NumericalError`` where it fails."""
    recording = Recording(wanted)
    try:
        with threads(product=wanted.product):
            for snapshot in wanted.engine.descend(wanted.training):
                recording.take(snapshot)
    except Diverged as event:
        raise recording.divergence(event.step) from None
    return recording.finish()


def _check_device(device: Any) -> None:
    try:
        if not isinstance(device, str | torch.device):
            raise TypeError
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError):
        raise _no_device(device) from None


def _no_device(device: Any) -> ValueError:
    reason = "must be a torch device that this machine has, such as cpu or cuda"
    return ValueError(f"device = {shown(device)}: {reason}")


def _divergence(training: Training, step: int, last: Snapshot) -> DivergenceError:
    """Return the error with the largest stable rate, at the start if that was already exceeded."""
    network, rule, X = training.network, training.rule, training.task.X
    numbers: dict[str, Any] = {name: getattr(rule, name) for name in ("momentum", *DECAYS)}
    numbers["alpha"] = network.alpha

    def rate_at(wbar: Tensor, M: Tensor, W: Tensor | None, readouts: Tensor | None) -> float:
        if network.has_moments:
            return stable_learning_rate(X, wbar.cpu(), M.cpu(), epsilon=network.epsilon, **numbers)
        assert W is not None
        K = network.with_weights(W, readouts).ntk_normalised(X.to(W.device), X.to(W.device))
        return stable_rate_of_kernel(K, **numbers)

    start, rate_used = network.start, float(rule.learning_rate)
    rate, at = rate_at(start.wbar, start.M, network.W, network.readouts), 0
    if rate_used <= rate and last.step > 0:
        rate, at = rate_at(last.kernel_wbar, last.kernel_M, last.W, last.readouts), last.step
    return DivergenceError(step, rate_used, rate, at)


def _config(training: Training, engine: Engine, given: dict[str, Any]) -> dict:
    width, init, readouts = given["width"], given["init"], given["readouts"]
    network, rule, drawn = training.network, training.rule, given["init"] is None
    W = network.W
    constants = {name: float(value) for name, value in given["constants"].items()}
    config = {
        "task": training.task.describe(),
        "engine": engine.name,
        "width": W.shape[0] if W is not None else None if width is None else "inf",
        "init": None if drawn else "(wbar, M)" if isinstance(init, tuple) else "W",
        "sigma": float(given["sigma"]) if drawn else None,
        "seed": int(given["seed"]) if drawn else None,
        "readouts": _readouts_word(readouts),
        "activation": training.activation_text,
        "activation_degree": given["activation_degree"],
        "constants": constants,
        "steps": training.stops[-1],
        "optimiser": None if rule.optimiser is None else repr(rule.optimiser),
        "alignment": given["alignment"],
        "dtype": given["dtype"],
        "device": str(given["device"]),
        "lazyrich": lazyrich.__version__,
        "torch": str(torch.__version__),
        "alpha": network.alpha,
        "epsilon": network.epsilon if network.quadratic else _epsilon(training, given),
        "centred": network.centred,
        **rule.numbers(),
    }
    return config | ({"rtol": training.rtol} if "rtol" in engine.settings else {})


def _epsilon(training: Training, given: dict[str, Any]) -> float | None:
    """The epsilon of an activation that has one."""
    return float(given["epsilon"]) if "epsilon" in training.activation_text else None


def _readouts_word(readouts: object) -> str | None:
    """What a configuration says of the readouts: None where they are fixed."""
    if readouts is None or isinstance(readouts, str):
        return {None: None, "fixed": None, "trained": "gaussian"}.get(readouts, str(readouts))
    return "v"


def _attributes(config: dict) -> dict[str, str]:
    """Return what the history says about itself."""
    conventions = CONVENTIONS.format(
        phi=f"phi(h) = {config['activation']}",
        readouts="v_i = 1" if config["readouts"] is None else "v_i trained",
        target=config["task"]["formula"],
    )
    return {
        "conventions": conventions,
        "engine": config["engine"],
        "predictor": "f(x;w) - f(x;w0)" if config["centred"] else "f(x;w)",
        "lazyrich": config["lazyrich"],
    }
