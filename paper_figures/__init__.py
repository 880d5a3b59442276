"""The figures of Kumar et al., drawn from scratch, with what they are said to show checked.

A figure is a file ``figureN.py`` with

- ``PRESETS``: preset -> its parameters, a frozen dataclass;
- ``sweeps(parameters)``: name -> ``Sweep``, the training runs behind it;
- ``picture(parameters, data)``: a matplotlib figure, from name -> histories;
- ``claims(parameters, data)``: a list of ``Check``;
- ``caption(parameters, data)``: what is shown, at which parameters, and what was chosen.

>>> from lazyrich.paper_figures import names
>>> names()["4"]
'Where the test loss comes from: loss terms of a two-neuron and a wide network'
"""

import importlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazyrich.arguments import one_of, positive_integer

if TYPE_CHECKING:
    from lazyrich.paper_figures.report import Result

TITLES = {
    "1": "Grokking without weight decay: the network, its linearised twin, and its weights",
    "3": "Laziness and alignment control grokking",
    "4": "Where the test loss comes from: loss terms of a two-neuron and a wide network",
}
PRESETS = ("quick", "paper")

__all__ = ["PRESETS", "make", "names"]


def names() -> dict[str, str]:
    """Return the number of every figure that can be made, with its title."""
    return dict(TITLES)


def make(
    number: str,
    preset: str = "quick",
    out: str | os.PathLike = "figures",
    jobs: int = 1,
    progress: Callable[[float, float], Any] | None = None,
) -> "Result":
    """Draw one figure, check its claims, and write both to the folder ``out``.

    ``preset``: "quick", all figures within about a minute, or "paper", the authors' sizes. Writes
    ``figureN.pdf`` and ``figureN.png``, the same bytes every time, and a report with caption,
    parameters and checks, ``figureN.md`` and ``figureN.json``, each whole or not at all. The runs
    are kept in ``out``/runs, one file each by the hash of its configuration and of the code: an
    interrupted figure resumes, and ``lazyrich.simulate.load`` opens them. ``jobs`` processes do
    the runs, one thread each, so that the bits don't depend on their number. ``progress`` is called
    with (work done, work to do).

    A check that fails raises nothing: look at ``Result.checks``. Raises ``ValueError`` for bad
    input before any work, ``OSError`` where the folder can't be written to.

    >>> make("2")
    Traceback (most recent call last):
    ...
    ValueError: figure = '2': Allowed: 1, 3, 4
    """
    one_of("figure", number, TITLES)
    one_of("preset", preset, PRESETS)
    positive_integer("jobs", jobs)
    folder = _folder(Path(out))
    from lazyrich.paper_figures.report import Result, write
    from lazyrich.paper_figures.runs import one_thread, run_all
    from lazyrich.paper_figures.style import house_style, rendered

    began = time.perf_counter()
    module = importlib.import_module(f"lazyrich.paper_figures.figure{number}")
    parameters = module.PRESETS[preset]
    with one_thread():
        data = run_all(module.sweeps(parameters), folder / "runs", jobs, progress)
        checks = tuple(module.claims(parameters, data))
        with house_style():
            pictures = rendered(module.picture(parameters, data), ("pdf", "png"))
    result = Result(
        number=number,
        title=TITLES[number],
        preset=preset,
        caption=module.caption(parameters, data),
        parameters=asdict(parameters),
        checks=checks,
        seconds=time.perf_counter() - began,
        paths=tuple(folder / f"figure{number}.{suffix}" for suffix in ("pdf", "png", "md", "json")),
    )
    write(result, pictures)
    return result


def _folder(out: Path) -> Path:
    """Return the folder, made if it is missing and checked to be one that can be written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"out = {out}: can't be made: {error.strerror or error}") from None
    if not os.access(out, os.W_OK):
        raise PermissionError(f"out = {out}: can't be written to")
    return out
