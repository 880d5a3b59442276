"""What comes with a figure: caption, parameters and the outcome of its checks, as files."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazyrich
from lazyrich.paper_figures.checks import Check, explained
from lazyrich.plotting import embedded, saved
from lazyrich.support.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Result:
    """A figure that was made: the files written, in ``paths``, and what they say.

    ``caption`` says what is shown, ``notes`` the settings and what was chosen, ``not_run`` what of
    the preset was left out as too long, with its cost. ``seconds`` is the
    time it took this time, with the runs that were found finished costing nothing;
    ``parameters`` are those of the preset. ``plot()`` returns the figure itself.
    """

    name: str
    title: str
    preset: str
    caption: str
    parameters: dict[str, Any]
    checks: tuple[Check, ...]
    seconds: float
    paths: tuple[Path, ...]
    notes: str = ""
    not_run: str = ""
    drawn: "Figure | None" = field(default=None, repr=False, compare=False)

    def plot(self, file: str | os.PathLike | None = None) -> "Figure":
        """Return the figure as it was drawn.

        ``file``: write it there as well, as .png, .pdf or .svg.
        """
        drawn = self.drawn
        if drawn is None:
            raise ValueError(f"figure {self.name}: was not drawn by this process")
        return saved(lambda: drawn, file)

    def _repr_html_(self) -> str:
        from lazyrich.paper_figures.gallery import figure_html

        picture = "" if self.drawn is None else embedded(self.drawn, self.title)
        return figure_html(json.loads(as_json(self)), picture)

    @property
    def passed(self) -> bool:
        """Whether every check comes out as recorded, or is too small to tell."""
        return all(check.passed for check in self.checks)


def write(result: Result, pictures: Mapping[str, bytes]) -> None:
    """Write the pictures (suffix -> bytes) and the two reports, each whole or not at all."""
    texts = {"md": markdown(result), "json": as_json(result)}
    contents = {**pictures, **{suffix: text.encode() for suffix, text in texts.items()}}
    for path in result.paths:
        write_whole(path, lambda part, content=contents[path.suffix[1:]]: part.write_bytes(content))


def markdown(result: Result) -> str:
    """Return the report for people: picture, caption, table of checks, parameters.

    >>> check = Check("a", "a | b", "1", "above 0", holds=True)
    >>> print(markdown(Result("1", "Title", "quick", "Shown.", {"D": 5}, (check,), 0.1, ())))
    # Figure 1: Title
    <BLANKLINE>
    ![Figure 1](figure-1.png)
    <BLANKLINE>
    Shown.
    <BLANKLINE>
    | check | claim | measured | would hold if | outcome |
    |---|---|---|---|---|
    | a | a \\| b | 1 | above 0 | holds |
    <BLANKLINE>
    Preset quick: D = 5.
    <BLANKLINE>
    """
    lines = [f"# Figure {result.name}: {result.title}", ""]
    lines += [f"![Figure {result.name}](figure-{result.name}.png)", "", result.caption, ""]
    lines += [result.not_run, ""] if result.not_run else []
    lines += [f"Settings and choices: {result.notes}", ""] if result.notes else []
    lines += ["| check | claim | measured | would hold if | outcome |", "|---|---|---|---|---|"]
    for check in result.checks:
        claim = f"{check.sentence} ({check.source})" if check.source else check.sentence
        outcome = f"{check.outcome}; {check.judged}" if check.judged else check.outcome
        cells = (check.name, claim, check.measured, check.allowed, outcome)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    meanings = explained(check.outcome for check in result.checks)
    lines += ["", *(f"- {line}." for line in meanings)] if meanings else []
    parameters = "; ".join(f"{name} = {value}" for name, value in result.parameters.items())
    return "\n".join([*lines, "", f"Preset {result.preset}: {parameters}.", ""])


def as_json(result: Result) -> str:
    """Return the report for programs, as JSON.

    >>> found = json.loads(as_json(Result("1", "Title", "quick", "Shown.", {}, (), 0.1, ())))
    >>> found["passed"], found["preset"]
    (True, 'quick')
    """
    checks = [
        {**asdict(check), "passed": check.passed, "outcome": check.outcome}
        for check in result.checks
    ]
    document = {
        "figure": result.name,
        "title": result.title,
        "preset": result.preset,
        "caption": result.caption,
        "notes": result.notes,
        "not_run": result.not_run,
        "parameters": result.parameters,
        "checks": checks,
        "passed": result.passed,
        "seconds": round(result.seconds, 1),
        "lazyrich": lazyrich.__version__,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
