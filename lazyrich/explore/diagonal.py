"""The diagonal linear network of Lyu et al. in the explorer: settings in, frames out.

f(x) = <u^L - v^L, x> with the logistic loss and weight decay, from u = v = alpha (2d)^(-1/2).
"""

import math
from collections.abc import Iterator
from typing import Any

from lazyrich.explore import call, chart
from lazyrich.explore.watch import OutOfTime, Watch
from lazyrich.simulate import Run, lyu
from lazyrich.simulate.laws.sparse_transition import LEVEL, predicted_transition
from lazyrich.simulate.outcome import settled_at

N_TEST = 1000
# Training ends at this many log(alpha)/lambda, as in the figures.
END = 2.5
COARSE = 1e-3
_MAKERS = {"sparse": "sparse_classification", "margin": "large_margin_classification"}


def _calls(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the arguments of the task, of the network and of ``train``."""
    d, alpha, decay = (settings[name] for name in ("d", "alpha", "weight_decay"))
    task = {"d": d, "n": settings["n"], "n_test": N_TEST, "seed": settings["seed"]}
    net = {"depth": settings["depth"], "loss": "logistic", "start": (2 * d) ** -0.5}
    time = END * math.log(alpha) / decay
    return task, net, {"alpha": alpha, "weight_decay": decay, "time": time}


def train(settings: dict[str, Any], changes: dict[str, Any], watch: Watch) -> Run:
    """Train the network with these changes; the copied text does the same."""
    of_task, of_net, arguments = _calls(settings)
    task = getattr(lyu, _MAKERS[settings["data"]])(**of_task)
    watch()
    return lyu.DiagonalNet(**of_net).train(task, progress=watch, **arguments | changes)


def python(settings: dict[str, Any], changes: dict[str, Any]) -> str:
    """Return the text that trains the same network."""
    task, net, arguments = _calls(settings)
    lines = [
        "from lazyrich import simulate",
        "",
        f"task = {call.python('simulate.' + _MAKERS[settings['data']], **task)}",
        f"net = {call.python('simulate.DiagonalNet', **net)}",
        f"run = {call.python('net.train', 'task', **arguments | changes)}",
        "print(run.history.test_accuracy)",
    ]
    return "\n".join(lines) + "\n"


def frames(settings: dict[str, Any], watch: Watch) -> Iterator[dict[str, Any]]:
    """Yield the frames of these settings. Raises ``ValueError``, ``Cancelled``."""
    yield {"python": None, "command": None, "stage": "computing ..."}
    yield {"formulas": [], "phases": None, "notes": []}
    run = None
    try:
        for stage, changes in (("coarse", {"rtol": COARSE}), ("", {})):
            run = train(settings, changes, watch)
            found = _frame(settings, run)
            found |= {"python": python(settings, changes), "command": None}
            found["stage"] = f"{stage}, refining ..." if stage else "complete"
            found["provisional"] = stage
            yield found
    except OutOfTime:
        done = "before the last refinement" if run else "too slow for the explorer"
        yield {"stage": f"stopped: {done}; take a smaller d or n"}


def _frame(settings: dict[str, Any], run: Run) -> dict[str, Any]:
    history, alpha, decay = run.history, settings["alpha"], settings["weight_decay"]
    later = history.isel(time=slice(1, None))
    times = later.time.values
    low, high = float(times[0]), float(times[-1])
    x = chart.axis("time: learning rate × steps", log=True, low=max(low, 1e-3), high=high)
    marks = [chart.mark("log-alpha", "log(α)/λ", math.log(alpha) / decay, "linear")]
    facts, notes = _facts(history), ["No command trains a diagonal net: copy the Python."]
    try:
        if settings["data"] == "sparse" and settings["depth"] == 2:
            at = predicted_transition(settings["d"], settings["n"], alpha, decay) / decay
            marks.append(chart.mark("transition", "forecast: transition", at, "l1"))
            label = f"forecast: test accuracy passes {LEVEL:g}"
            facts.append(chart.fact("forecast_transition", label, f"time {at:.4g}"))
    except ValueError as error:
        notes.append(f"No forecast: {error}")
    accuracy = _chart("Accuracy", x, chart.axis("accuracy", log=False, low=0.4, high=1.02))
    for name in ("train_accuracy", "test_accuracy"):
        accuracy["lines"].append(_line(name, name.replace("_", " "), name, later))
    accuracy["marks"] = marks
    accuracy["levels"] = [chart.level("chance", "chance", 0.5)]
    norms = _chart(
        "Norms of w = uᴸ − vᴸ", x, chart.axis("norm over its largest", log=False, low=0.0)
    )
    for name, look in (("l1_norm", "l1"), ("l2_norm", "l2")):
        share = later[name] / later[name].max()
        label = f"{name[:2].upper()} norm"
        norms["lines"].append(chart.line(name, label, look, times, share.values))
    norms["marks"] = marks[:1]
    return {"charts": {"loss": accuracy, "terms": norms}, "facts": facts, "notes": notes}


def _chart(title: str, x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "x": x, "y": y, "lines": [], "levels": [], "marks": []}


def _line(name: str, label: str, look: str, history: Any) -> dict[str, Any]:
    return chart.line(name, label, look, history.time.values, history[name].values)


def _facts(history: Any) -> list[dict[str, str]]:
    last = history.isel(time=-1)
    early = history.isel(time=len(history.time) // 3)
    passed = settled_at(history.time, history.test_accuracy, LEVEL, above=True)
    when = f"time {passed:.4g}" if math.isfinite(passed) else "not within the run"
    word = "early-and-late-bias"
    found = [
        chart.fact("early", "test accuracy, early", f"{float(early.test_accuracy):.4g}", word),
        chart.fact("late", "test accuracy at the end", f"{float(last.test_accuracy):.4g}", word),
        chart.fact("passes", f"test accuracy stays above {LEVEL:g}", when),
    ]
    rest = {
        "train_accuracy": "train accuracy",
        "l1_norm": "L1 norm of w",
        "l2_norm": "L2 norm of w",
    }
    for name, label in rest.items():
        found.append(chart.fact(name, f"{label} at the end", f"{float(last[name]):.4g}"))
    return found
