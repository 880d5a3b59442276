"""The engines: what each can train, what it costs, and how one registers.

An engine is a function that takes a ``Training`` and yields a ``Snapshot`` at each of its stops. A
new one is one file with that function, and one line here, or in your own code::

    register(Engine("toy", descend))

It then runs by ``train``, in sweeps and from the command line. What the engine doesn't declare is
refused in one line before any work.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lazyrich.simulate import flow, linearised, moments, neurons
from lazyrich.simulate.stability import TooStiffError
from lazyrich.simulate.training import Snapshot, Training
from lazyrich.support.arguments import one_of

Sizes = dict[str, Any]  # D, P, width and steps of a run


def _steps(sizes: Sizes) -> float:
    return float(sizes["steps"])


def pseudo_neurons(sizes: Sizes) -> float:
    """Return the number of columns that stand for the network: see ``pseudo_neurons``."""
    return float(min(sizes["width"] - 1, sizes["D"]) + 1)


def real_neurons(sizes: Sizes) -> float:
    """Return the number of neurons."""
    return float(sizes["width"])


@dataclass(frozen=True)
class Engine:
    """An engine and its declaration.

    - ``descend``: yields the snapshots of a training. Raises ``stability.Diverged``.
    - ``any_activation``: not the quadratic one alone; ``readouts``: trained ones too.
    - ``infinite_width``: also networks without real neurons, given by (wbar, M).
    - ``momentum``, ``weight_decay``, ``decoupled_weight_decay``, ``optimiser``: supports them.
    - ``settings``: the arguments of ``train`` that are for this engine ("rtol", ...).
    - ``dtypes``; ``devices``: the kinds of torch devices, None for all.
    - ``check``: raises ``ValueError`` for a training that the rest lets pass.
    - ``evaluations`` of the gradient in a run, ``vectors`` that each multiplies X with, and
      ``calls``: the multiplications that take as long as an evaluation of a small network.
    - ``instead``: what another engine needs to do the same for what this one doesn't support.
    - ``batches``: several runs of it can be trained as one (see ``batch``).
    - ``late``: its loss can't grow and its snapshots own their arrays: they are measured later.
    """

    name: str
    descend: Callable[[Training], Iterable[Snapshot]]
    any_activation: bool = False
    readouts: bool = False
    infinite_width: bool = True
    momentum: bool = True
    weight_decay: bool = True
    decoupled_weight_decay: bool = True
    optimiser: bool = False
    settings: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("float64", "float32")
    devices: tuple[str, ...] | None = None
    check: Callable[[Training], None] | None = None
    evaluations: Callable[[Sizes], float] = _steps
    vectors: Callable[[Sizes], float] = pseudo_neurons
    calls: float = 1e6
    batches: bool = False
    late: bool = False
    instead: str = ""

    def cost(self, sizes: Sizes) -> float:
        """Return about how many multiplications a run of these sizes takes, without its records.

        >>> sizes = {"D": 10, "P": 50, "width": math.inf, "steps": 1000}
        >>> ENGINES["moments"].cost(sizes) < ENGINES["moments"].cost(sizes | {"steps": 2000})
        True
        """
        return self.evaluations(sizes) * (2 * self.product(sizes) + self.calls)

    def product(self, sizes: Sizes) -> float:
        """Return the multiplications of its largest product: the samples with the weights.

        >>> ENGINES["neurons"].product({"P": 10, "D": 5, "width": 100})
        5000.0
        """
        sizes = sizes | {"width": sizes["width"] or math.inf}
        return sizes["P"] * sizes["D"] * self.vectors(sizes)


ENGINES: dict[str, Engine] = {}


def register(engine: Engine) -> Engine:
    """Make an engine known by its name to ``train``, sweeps and the command line.

    Raises ``ValueError`` for a name that is taken.
    """
    if engine.name in ENGINES:
        raise ValueError(f"name = {engine.name!r}: there is an engine of this name already")
    ENGINES[engine.name] = engine
    return engine


def _flow_check(training: Training) -> None:
    rule = training.rule
    if rule.momentum and rule.decoupled_weight_decay:
        reason = "must be 0 for 'flow' with momentum, which leaves it out"
        raise ValueError(f"decoupled_weight_decay = {rule.decoupled_weight_decay}: {reason}")
    if not float(rule.learning_rate) * training.stops[-1] <= LONGEST:
        raise TooStiffError(
            f"learning_rate = {rule.learning_rate:g}, steps = {training.stops[-1]}: their product, "
            f"the time of the flow, must be at most {LONGEST:g}"
        )


# Beyond it even a stabilised integrator takes days.
LONGEST = 1e12


def _no_evaluations(sizes: Sizes) -> float:
    return float(sizes["P"])


def _flow_evaluations(sizes: Sizes) -> float:
    return 10 * math.sqrt(sizes["steps"])


register(
    Engine(
        "neurons",
        neurons.descend,
        any_activation=True,
        readouts=True,
        infinite_width=False,
        optimiser=True,
        vectors=real_neurons,
        calls=3e6,
    )
)
register(Engine("moments", moments.descend, calls=1.5e5, batches=True))
register(
    Engine(
        "flow",
        flow.descend,
        settings=("rtol", "descent_tolerance"),
        check=_flow_check,
        evaluations=_flow_evaluations,
        calls=1.5e6,
        late=True,
    )
)
register(
    Engine(
        "linearised",
        linearised.descend,
        momentum=False,
        weight_decay=False,
        decoupled_weight_decay=False,
        evaluations=_no_evaluations,
        calls=0.0,
        instead=" with a large alpha, such as 1e6, for lazy training",
    )
)


def known(name: object) -> Engine:
    """Return the engine of this name, or raise ``ValueError`` with the nearest name.

    >>> known("moments").name
    'moments'
    """
    return ENGINES[one_of("engine", name, ENGINES)]


def refuse_unsupported(engine: Engine, training: Training, given: dict[str, Any]) -> None:
    """Raise ``ValueError`` where the engine does not declare what a training needs.

    The line names the argument, and the engines that support it. ``given`` are the arguments of
    ``train``.
    """
    network, rule = training.network, training.rule
    if network.W is None and not engine.infinite_width:
        width = "inf" if given.get("init") is None else "None"
        others = f"; use engine = {_supporting('infinite_width')}"
        raise ValueError(
            f"width = {width}: engine = {engine.name!r} needs a finite width, or init = W of shape "
            f"(N, D){others if network.has_moments else ''}"
        )
    needed = {
        "activation": None if network.quadratic else given["activation_degree"] or "activation",
        "readouts": network.readouts,
        "optimiser": rule.optimiser,
        **{name: getattr(rule, name) for name in rule.used()},
        "descent_tolerance": given["descent_tolerance"],
    }
    for name, value in needed.items():
        if value is None or _supports(engine, name):
            continue
        what, shown = name, given.get(name)
        if name == "activation" and given["activation_degree"] is not None:
            what, shown = "activation_degree", given["activation_degree"]
        raise ValueError(
            f"{what} = {_shown(shown)}: engine = {engine.name!r} doesn't support it; use engine = "
            f"{_supporting(name)}{engine.instead}"
        )
    kind = training.X.device.type
    for name, value, allowed in (
        ("dtype", given["dtype"], engine.dtypes),
        ("device", kind, engine.devices),
    ):
        if allowed is not None and value not in allowed:
            supports = f"engine = {engine.name!r} supports {', '.join(allowed)}"
            raise ValueError(f"{name} = {given[name]!r}: {supports}")
    if engine.check is not None:
        engine.check(training)


def _supports(engine: Engine, need: str) -> bool:
    if need == "activation":
        return engine.any_activation
    return bool(getattr(engine, need)) if hasattr(engine, need) else need in engine.settings


def _supporting(need: str) -> str:
    names = [repr(engine.name) for engine in ENGINES.values() if _supports(engine, need)]
    return " or ".join(names)


def _shown(value: object) -> str:
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return repr(value) if isinstance(value, str | int | float) else "an array"
