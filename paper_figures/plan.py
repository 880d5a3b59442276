"""Which runs a figure is drawn from: at the papers' own sizes, those that are finished or short.

Some runs of the paper presets take days. Those that come with lazyrich (``shipped``), or lie
finished in the folder of the figure, are drawn, of as many seeds as there are; the others are done
now if they take less than a quarter of an hour, or else left out, and the figure says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lazyrich.paper_figures import shipped
from lazyrich.paper_figures.interface import FigureModule
from lazyrich.plotting import WIDTH
from lazyrich.simulate.experiment import Experiment, Settings
from lazyrich.simulate.runs import Runs
from lazyrich.simulate.store import Store, address

# Multiplications a second of one core while it trains: 0.8 to 3e10 measured in these experiments.
# Not measured anew, as ``runs.seconds`` does: every machine draws the same runs.
PACE = 1.5e10
# More seconds than this of one core are left out unless they are asked for.
LONG = 900.0


@dataclass(frozen=True)
class Plan:
    """What to draw: ``parameters``, the ``runs`` to do or find, and ``given``, found with lazyrich.

    Times are seconds of one core: ``to_do``, of the runs to do; of ``left_out``, the names of runs
    that are too long; and of ``more_seeds``, of which there are so many, that are not drawn.
    ``complete``: whether the figure can be drawn.
    """

    parameters: Any
    runs: Mapping[str, Runs]
    given: Mapping[str, bytes] = field(default_factory=dict)
    left_out: Mapping[str, float] = field(default_factory=dict)
    more_seeds: tuple[int, float] = (0, 0.0)
    to_do: float = 0.0
    complete: bool = True

    def note(self, name: str) -> str:
        """Return what was not run with its cost; empty where all was."""
        parts = [f"{part} ({hours(cost)})" for part, cost in self.left_out.items()]
        if self.more_seeds[0]:
            seeds = f"{self.more_seeds[0]} more seed" + "s" * (self.more_seeds[0] > 1)
            parts.append(f"{seeds} ({hours(self.more_seeds[1])})")
        if not parts:
            return ""
        command = f"lazyrich figures {name} --preset paper --fresh"
        return f"Not run at the paper's size: {', '.join(parts)}. To run: {command}."


def hours(seconds: float) -> str:
    """Return a time of one core in words.

    >>> hours(90), hours(5400), hours(3e5)
    ('2 min of one core', '1.5 h of one core', '3.5 days of one core')
    """
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds > 1.4 * size:
            return f"{seconds / size:.2g} {unit} of one core"
    return f"{max(1, round(seconds / 60))} min of one core"


def everything(figure: FigureModule, parameters: Any) -> Plan:
    """Return the plan to do all runs."""
    return Plan(parameters, figure.sweeps(parameters))


def available(figure: FigureModule, parameters: Any, folder: Path | None = None) -> Plan:
    """Return the plan to draw what is finished, in the folder or with lazyrich, and what is short.

    All seeds if the rest of them is short; else those that are finished.
    """
    store = None if folder is None else Store(folder)
    given: dict[str, bytes] = {}
    missing = {
        name: [_missing(runs.experiment, group, store, given) for group in runs.settings()]
        for name, runs in figure.sweeps(parameters).items()
    }
    seeds = getattr(parameters, "seeds", None)
    kept, left_out = _choice(missing, seeds)
    if len(left_out) == len(missing) or not left_out <= set(getattr(figure, "PARTS", ())):
        whole = sum(sum(costs) for costs in missing.values())
        return Plan(parameters, {}, left_out={"the figure": whole}, complete=False)
    costs = {name: costs for name, costs in missing.items() if name not in left_out}
    more, to_do = (0, 0.0), _total(costs, kept)
    if kept is not None and seeds is not None and kept < seeds:
        parameters, more = replace(parameters, seeds=kept), (seeds - kept, _total(costs, seeds))
    runs = {name: each for name, each in figure.sweeps(parameters).items() if name in costs}
    left = {name: sum(costs) for name, costs in missing.items() if name in left_out}
    return Plan(parameters, runs, given, left, more, to_do)


def _choice(missing: Mapping[str, list[float]], seeds: int | None) -> tuple[int | None, set[str]]:
    """Return how many seeds to draw, and the names of the runs to leave out.

    ``missing``: the time that runs take which are not finished, by name and seed.

    >>> hour = 3600.0
    >>> _choice({"a": [60.0] * 3, "b": [0.0, 2 * hour, 2 * hour]}, 3)
    (1, set())
    >>> _choice({"a": [60.0] * 3, "b": [2 * hour] * 3}, 3)
    (3, {'b'})
    """
    long = {name for name, costs in missing.items() if costs[0] > 0 and sum(costs) > LONG}
    rest = {name: costs for name, costs in missing.items() if name not in long}
    kept = seeds
    if _total(rest, seeds) > LONG:
        kept = min((_finished(costs) for costs in rest.values() if costs[0] == 0), default=seeds)
    while _total(rest, kept) > LONG:
        longest = max(rest, key=lambda name: sum(rest[name][:kept]))
        long.add(longest)
        del rest[longest]
    return kept, long


def empty() -> Figure:
    """Return the picture of a figure that was not run."""
    return Figure(figsize=(WIDTH, 0.4))


def marked(figure: Figure, note: str) -> Figure:
    """Return the figure, made higher, with a note below that says what was not run."""
    if note:
        lines = wrap(note, 120)
        figure.set_figheight(figure.get_figheight() + 0.1 * len(lines) + 0.05)
        figure.supxlabel("\n".join(lines), fontsize=6)
    return figure


def not_run(ax: Axes) -> None:
    """Say on the axes of a part that was left out that it was not run."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, "not run at this size", ha="center", va="center", transform=ax.transAxes)


def _missing(
    experiment: Experiment, wanted: Iterable[Settings], store: Store | None, given: dict[str, bytes]
) -> float:
    """Return the seconds that these runs take which are not finished; put others into ``given``."""
    seconds = 0.0
    for one in wanted:
        key = address(one, experiment.code(one))
        if key in given or (store is not None and store.has(key)):
            continue
        content = shipped.find(experiment, one)
        if content is None:
            seconds += experiment.cost(one) / PACE
        else:
            given[key] = content
    return seconds


def _total(costs: Mapping[str, list[float]], seeds: int | None) -> float:
    return sum(sum(some[:seeds]) for some in costs.values())


def _finished(costs: list[float]) -> int:
    """Return how many seeds are finished, from the first on."""
    return next((i for i, cost in enumerate(costs) if cost > 0), len(costs))
