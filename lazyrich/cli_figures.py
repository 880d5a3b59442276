"""``lazyrich figures``: draw the figures of the paper and check what they are said to show."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lazyrich.cli_progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.paper_figures.report import Result


@click.command("figures", short_help="Draw the paper's figures and check them.")
@click.argument("wanted", nargs=-1, metavar="[NAME ... | all]")
@click.option(
    "--preset",
    default="quick",
    show_default=True,
    metavar="quick|paper",
    help="A minute or so, or the paper's own parameters.",
)
@click.option(
    "--out",
    default="figures",
    show_default=True,
    metavar="DIR",
    help="Folder for the files; made if it is missing.",
)
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes to run in.")
@quiet_option
def command(wanted: tuple[str, ...], preset: str, out: str, jobs: int, quiet: bool) -> None:
    """Draw the figures NAME ... as PDF and PNG; without NAME, list them.

    Each figure comes with checks of what the paper says that it shows; exits 1 if one fails.

    \b
    Examples:
      lazyrich figures
      lazyrich figures 1 4 --preset quick --out pictures
      lazyrich figures all --preset paper --jobs 2
    """
    from lazyrich.arguments import one_of, positive_integer
    from lazyrich.paper_figures import PRESETS, make, names

    known = names()
    if not wanted:
        width = max(map(len, known))
        click.echo("\n".join(f"  {name:>{width}}  {title}" for name, title in known.items()))
        return
    for name in wanted:
        one_of("NAME", name, [*known, "all"])
    one_of("--preset", preset, PRESETS)
    positive_integer("--jobs", jobs)
    chosen = list(known) if "all" in wanted else list(dict.fromkeys(wanted))
    passed = True
    for name in chosen:
        with progress_bar(f"figure {name}", quiet) as progress:
            figure = make(name, preset=preset, out=Path(out), jobs=jobs, progress=progress)
        click.echo(_report(figure))
        passed = passed and figure.passed
    if not passed:
        sys.exit(1)


def _report(figure: "Result") -> str:
    lines = [f"Figure {figure.name}: {figure.title} ({figure.seconds:.1f} s)"]
    for check in figure.checks:
        lines.append(f"  {check.outcome}: {check.sentence}")
        lines.append(f"      measured {check.measured}; holds if {check.allowed}")
    lines += [f"  wrote {path}" for path in figure.paths]
    return "\n".join(lines)
