"""``lazyrich figures``: draw the figures and check what they are said to show."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lazyrich.support.patience import silent
from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.paper_figures.report import Result


@click.command("figures", short_help="Draw the figures and check them.")
@click.argument("wanted", nargs=-1, metavar="[NAME ...]")
@click.option(
    "--preset",
    default="quick",
    show_default=True,
    metavar="tiny|quick|paper",
    help="Size: some seconds, a minute or so, or the paper's own parameters.",
)
@click.option(
    "--out",
    default="figures",
    show_default=True,
    metavar="DIR",
    help="Folder for the files; made if it is missing.",
)
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes to run in.")
@click.option("--mnist", metavar="DIR", help="Folder of MNIST's IDX files, for Figure 6.")
@click.option(
    "--fresh", is_flag=True, help="Do all runs here, at --preset paper too: some take days."
)
@quiet_option
def command(
    wanted: tuple[str, ...],
    preset: str,
    out: str,
    jobs: int,
    mnist: str | None,
    fresh: bool,
    quiet: bool,
) -> None:
    """Draw figures of the papers from scratch, as PDF and PNG, and check what they show.

    Use it to reproduce a figure, or to see it at another size.

    NAME is a figure, a source (kumar, lyu, laws) for all of its figures, or all; without NAME, the
    figures are listed. At --preset paper long runs that come with lazyrich are drawn; the figure
    says which were not run, and --fresh runs them. index.html in DIR is a page of all figures
    there, with captions, checks and parameters. The exit code is 1 if the outcome of a check has
    changed from what lazyrich records.

    \b
    Examples:
      lazyrich figures
      lazyrich figures 1 4 --preset quick --out pictures
      lazyrich figures kumar --preset paper --jobs 2
    """
    from lazyrich.paper_figures import PRESETS, groups, make_each, names, seconds
    from lazyrich.support.arguments import one_of, positive_integer

    if not wanted:
        click.echo(_list(groups()))
        return
    whole = {"all": names(), **groups()}
    for name in wanted:
        one_of("NAME", name, [*names(), *whole])
    one_of("--preset", preset, PRESETS)
    positive_integer("--jobs", jobs)
    chosen = list(dict.fromkeys(figure for name in wanted for figure in whole.get(name, [name])))
    minutes = {name: seconds(name, preset, jobs, fresh) / 60 for name in chosen}
    passed, report = True, _Waited()
    made = make_each(chosen, preset, Path(out), jobs, report, mnist, fresh)
    for name in chosen:
        if minutes[name] > 1 and not quiet:
            text = (
                f"figure {name}: about {minutes[name]:.0f} min on {jobs} processes, if none is "
                "finished"
            )
            click.echo(text, err=True)
        with progress_bar(f"figure {name}", quiet) as report.bar:
            figure = next(made)
        click.echo(_report(figure))
        passed = passed and figure.passed
    if not passed:
        sys.exit(1)


class _Waited:
    """Progress on the bar of the figure that is waited for."""

    def __init__(self) -> None:
        self.bar: Callable[[float, float], None] = silent

    def __call__(self, done: float, total: float) -> None:
        """Show how far this figure is."""
        self.bar(done, total)


def _list(groups: dict[str, dict[str, str]]) -> str:
    width = max(len(name) for figures in groups.values() for name in figures)
    lines = []
    for source, figures in groups.items():
        lines.append(f"{source}:")
        lines += [f"  {name:>{width}}  {title}" for name, title in figures.items()]
    return "\n".join(lines)


def _report(figure: "Result") -> str:
    from lazyrich.paper_figures.checks import explained
    from lazyrich.support.arguments import escaped

    lines = [f"Figure {figure.name}: {figure.title} ({figure.seconds:.1f} s)"]
    for check in figure.checks:
        lines.append(f"  {check.outcome}: {check.sentence}")
        lines.append(f"      measured {check.measured}; holds if {check.allowed}")
        lines += [f"      {check.judged}"] if check.judged else []
    lines += [f"  {figure.not_run}"] if figure.not_run else []
    lines += [f"  ({line})" for line in explained(check.outcome for check in figure.checks)]
    lines += [f"  wrote {escaped(path)}" for path in figure.paths]
    return "\n".join(lines)
