"""The two-layer network of Kumar et al. in the explorer: settings in, frames of the page out.

A frame is a dictionary that JSON holds; the page shows the newest value of each key. The network
comes first, then its twin and the forecasts, then the network in further stages, each a whole call
of ``simulate.train`` that the text to copy repeats. The last stage has the default accuracy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xarray import Dataset

from lazyrich.explore import call, chart, forecasts, formulas, phases
from lazyrich.explore.watch import OutOfTime, Watch
from lazyrich.simulate import DivergenceError, PolynomialTask, Run, train
from lazyrich.simulate.activations import DEFAULT, EPSILON, Curved, numeric
from lazyrich.simulate.record import default_grid
from lazyrich.theory.activation import Activation

COARSE, RECORDS = 3e-2, 8  # tolerance, and records in a factor of ten of the steps
# The twin of another activation is the same network at an output scale larger by this factor.
FAR = 1e4
# Stages of a network that is trained neuron by neuron: its first steps, in powers of this.
FIRST, FACTOR = 100, 10
# Of the activation; the theory of higher degrees takes minutes.
HIGHEST_DEGREE = 8
_TERMS = ("variance", "misalignment", "linear")


@dataclass(frozen=True)
class _Request:
    """A checked request: the task, the arguments of ``train`` by name, the activation in numbers.

    ``lazily`` changes them into those of the twin; None where there is no twin.
    """

    settings: dict[str, Any]
    task: PolynomialTask
    arguments: dict[str, Any]
    phi: Any
    stages: tuple[tuple[str, dict[str, Any]], ...]
    lazily: dict[str, Any] | None

    @property
    def of_task(self) -> dict[str, Any]:
        """The arguments of ``PolynomialTask``, less those that have their defaults."""
        return _of_task(self.settings)

    def train(self, changes: dict[str, Any], watch: Watch) -> Run:
        """Train the network with these changes; the copied text does the same."""
        return train(self.task, alignment=None, progress=watch, **self.arguments | changes)

    def python(self, changes: dict[str, Any]) -> str:
        """Return the text that trains the same network and its twin."""
        lines = ["from lazyrich import simulate", ""]
        lines.append(f"task = {call.python('simulate.PolynomialTask', **self.of_task)}")
        arguments = self.arguments | changes
        lines.append(f"run = {call.python('simulate.train', 'task', **arguments)}")
        if self.lazily is not None:
            twin = arguments | self.lazily
            if twin["engine"] != "flow":
                twin = {name: twin[name] for name in twin if name not in ("rtol", "record")}
            lines.append(f"twin = {call.python('simulate.train', 'task', **twin)}")
        lines.append("print(run.outcome())")
        return "\n".join(lines) + "\n"

    def command(self, changes: dict[str, Any]) -> str | None:
        """Return the command line that trains the same network; None for a coarse curve."""
        if "record" in changes:
            return None
        # One seed is that of the task and of the weights.
        return call.command(self.of_task | self.arguments | changes | {"plot": "run.png"})


def _of_task(settings: dict[str, Any]) -> dict[str, Any]:
    names = ("D", "P", "seed", *(["noise"] if settings["noise"] else []))
    return {name: settings[name] for name in names}


def read(settings: dict[str, Any]) -> _Request:
    """Return what these settings ask for. Raises ``ValueError`` in one line."""
    phi, symbols = _activation(settings)
    names = ("alpha", "width", "learning_rate", "steps", "centred", "seed")
    arguments: dict[str, Any] = {name: settings[name] for name in names}
    arguments |= {"epsilon": settings["epsilon"]} if "epsilon" in symbols else {}
    if settings["activation"] != DEFAULT:
        arguments["activation"] = settings["activation"]
    task = PolynomialTask(n_test=1, **_of_task(settings))
    if isinstance(phi, Curved):
        few = default_grid(settings["steps"], RECORDS)
        stages = (("coarse", {"rtol": COARSE, "record": list(few)}), ("", {}))
        lazily: dict[str, Any] | None = {"engine": "linearised"}
        arguments["engine"] = "flow"
    else:
        if settings["width"] == float("inf"):
            raise ValueError("width = inf: an activation other than h + c h^2 needs a finite width")
        arguments["engine"] = "neurons"
        stages = tuple(_first_steps(settings["steps"]))
        lazily = {"alpha": settings["alpha"] * FAR} if settings["centred"] else None
    return _Request(settings, task, arguments, phi, stages, lazily)


def _activation(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the activation in numbers, and its symbols. Text is read by the grammar alone."""
    symbolic = Activation(settings["activation"])
    others = [name for name in symbolic.symbols if name != "epsilon"]
    if others:
        reason = "must be a number here; epsilon alone has a slider"
        raise ValueError(f"activation = {settings['activation']!r}: {others[0]} {reason}")
    if (symbolic.degree or 1) > HIGHEST_DEGREE:
        reason = f"must be of degree {HIGHEST_DEGREE} at most in the explorer"
        raise ValueError(f"activation = {settings['activation']!r}: {reason}")
    epsilon = settings["epsilon"] if "epsilon" in symbolic.symbols else EPSILON
    phi = numeric(settings["activation"], epsilon=epsilon, constants=None, degree=None)[0]
    return phi, symbolic.symbols


def _first_steps(steps: int) -> Iterator[tuple[str, dict[str, Any]]]:
    done = FIRST
    while done < steps:
        yield f"the first {done:,} steps", {"steps": done}
        done *= FACTOR
    yield "", {}


def frames(settings: dict[str, Any], watch: Watch) -> Iterator[dict[str, Any]]:
    """Yield the frames of these settings. Raises ``ValueError``, ``Cancelled``."""
    request = read(settings)
    yield {"python": None, "command": None, "stage": "computing ..."}
    run, twin, reason, twin_of = None, None, [], None
    predicted = forecasts.none()
    try:
        for stage, changes in request.stages:
            alone = run is None
            run = request.train(changes, watch)
            if alone:
                found = _frame(request, run, None, predicted)
                found |= {"provisional": stage, "stage": "adding the twin and the forecasts ..."}
                yield found | {"partial": True}
                predicted = forecasts.predicted(request.task, settings, request.phi, watch)
            exact = {name: changes[name] for name in changes if name not in ("rtol", "record")}
            if twin_of != exact:  # the twin of a flow has no tolerance: once is enough
                twin, reason = _twin(request, exact, watch)
                twin_of = exact
            found = _frame(request, run, twin, predicted)
            found |= {"python": request.python(changes), "command": request.command(changes)}
            found["stage"] = f"{stage}, refining ..." if stage else "complete"
            found["provisional"] = stage
            found["notes"] = [*_notes(request, run), *reason, *predicted["notes"]]
            yield found
        yield {"formulas": formulas.of_two_layer(request.phi, settings, run)}
        for found in phases.frames(watch):
            yield {"phases": found | {"here": _here(request, run)}}
    except OutOfTime:
        yield {"stage": _out_of_time(run)}


def _out_of_time(run: Run | None) -> str:
    if run is None:
        return "stopped: too slow for the explorer; take fewer samples, steps or neurons"
    if "steps" in run.config and run.config["engine"] == "neurons":
        return f"stopped after {run.config['steps']:,} steps: the copied command can do more"
    return "stopped before the last refinement: take fewer samples or neurons"


def _twin(
    request: _Request, changes: dict[str, Any], watch: Watch
) -> tuple[Dataset | None, list[str]]:
    """Return the history of the linearised network, or why there is none."""
    if request.lazily is None:
        return None, ["No twin is drawn: with this activation, the centred predictor alone has one"]
    try:
        return request.train(changes | request.lazily, watch).history, []
    except DivergenceError as error:
        return None, [f"No twin is drawn: {error}"]


def _frame(
    request: _Request, run: Run, twin: Dataset | None, predicted: dict[str, Any]
) -> dict[str, Any]:
    history, lines = run.history, []
    for source, thin in ((history, False), (twin, True)):
        if source is None:
            continue
        later = source.sel(step=slice(1, None))
        for name, label in (("train_loss", "train loss"), ("population_loss", "population loss")):
            if name in later:
                shown = f"{label}, linearised twin" if thin else label
                line = (f"twin_{name}" if thin else name, shown, name, later.step, later[name])
                lines.append(chart.line(*line, thin=thin))
    levels = list(predicted["levels"])
    floor = history.get("kernel_regression_population_loss")
    if floor is not None:
        levels.append(chart.level("floor", "lazy floor", floor))
    fallen = 2 / 15 * float(history.zero_population_loss)
    levels.append(chart.level("fallen", "a loss below this has fallen", fallen, "linear"))
    steps = chart.axis("steps", log=True, low=1, high=request.settings["steps"])
    loss = {"title": "Loss", "x": steps, "y": chart.axis("loss", log=True)}
    loss |= {"lines": lines, "levels": levels, "marks": predicted["marks"]}
    facts = _facts(run, request.settings["steps"]) + predicted["facts"]
    return {"charts": {"loss": loss, "terms": _terms(history, steps)}, "facts": facts}


def _terms(history: Dataset, steps: dict[str, Any]) -> dict[str, Any]:
    """Return the chart of the terms of the population loss: by eq. (6), or by Hermite degree."""
    later = history.sel(step=slice(1, None))
    lines = []
    for name, label in zip(_TERMS, ("variance", "misalignment", "linear power"), strict=True):
        if name in later:
            lines.append(chart.line(name, label, name, later.step, later[name]))
    looks = ("centred_alignment", "linear", "variance", "misalignment", "l1", "weight_norm")
    degrees = [str(name) for name in later if str(name).startswith("degree_")]
    for i, name in enumerate(degrees):
        look = looks[min(i, len(looks) - 1)]
        lines.append(chart.line(name, name.replace("_", " "), look, later.step, later[name]))
    if "population_loss" in later:
        values = later.population_loss
        lines.append(chart.line("sum", "population loss", "population_loss", later.step, values))
    return {
        "title": "Terms of the population loss",
        "x": steps,
        "y": chart.axis("loss", log=False, low=0.0),
        "lines": lines,
        "levels": [],
        "marks": [],
    }


def _facts(run: Run, steps: int) -> list[dict[str, str]]:
    """Return the numbers of a run, or of its first steps, which no label may call final."""
    outcome, last = run.outcome(), run.history.isel(step=-1)
    done = int(last.step)
    when = "final {}" if done == steps else f"{{}} at step {done:,}"
    found = [
        chart.fact("phase", "phase", outcome.phase, "phase"),
        chart.fact("train_fall", "train loss falls", outcome.when("train"), "fallen"),
        chart.fact("test_fall", "population loss falls", outcome.when("test"), "fallen"),
        chart.fact("train_loss", when.format("train loss"), f"{float(last.train_loss):.4g}"),
    ]
    if "population_loss" in last:
        value = f"{float(last.population_loss):.4g}"
        label = when.format("population loss")
        found.append(chart.fact("population_loss", label, value, "population-loss"))
    if "kernel_regression_population_loss" in run.history:
        floor = f"{float(run.history.kernel_regression_population_loss):.4g}"
        found.append(chart.fact("floor", "lazy floor: where the twin ends", floor, "lazy"))
    return found


def _notes(request: _Request, run: Run) -> list[str]:
    history, notes = run.history, []
    name = "descent_gap_population_loss"
    gap = float(abs(history[name]).max()) if name in history else 0.0
    if not gap < 0.1:
        notes.append(
            "The curve is gradient flow. Gradient descent at this learning rate differs by more "
            "than 10%: for descent, use --engine moments."
        )
    if request.arguments["engine"] == "neurons":
        notes.append("With this activation the network is trained neuron by neuron: slower.")
        if request.lazily is not None:
            notes.append(f"The twin is the same network at an α that is {FAR:g} times as large.")
    return notes


def _here(request: _Request, run: Run | None) -> dict[str, Any] | None:
    """Return where the run lies in the phase diagram; None where it has no place there."""
    settings, phi = request.settings, request.phi
    if run is None or not isinstance(phi, Curved) or settings["alpha"] * phi.epsilon <= 0:
        return None
    D = settings["D"]
    place = {"x": settings["P"] / D, "y": settings["alpha"] * phi.epsilon / D}
    return place | {"phase": run.outcome().phase}
