"""``lazyrich verify``: check the statements of the papers, and the laws of lazyrich."""

import sys
from typing import TYPE_CHECKING, Any

import click

from lazyrich.support.arguments import escaped
from lazyrich.support.format_option import format_option
from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.verify.ledger import Claim, Row

OWN_REPORTS = (".html", ".json", ".txt")
REPORTS, NOTES = (".html", ".md", ".json"), (".tex", ".md")


@click.command("verify", short_help="Check the statements of the papers.")
@click.argument("claims", nargs=-1, metavar="[CLAIM ...]")
@click.option("--list", "listed", is_flag=True, help="List the claims and check none.")
@click.option("--problem", metavar="FILE", help="Check your own network instead: a TOML file.")
@click.option("--examples", type=int, help="Random examples for each property.  [default: 25]")
@click.option(
    "--seed", type=int, help="Seed of the random examples and of what is measured.  [default: 0]"
)
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes to use.")
@format_option()
@click.option("--report", metavar="FILE", help="Write a report as well: .html, .md or .json.")
@click.option("--errata", metavar="FILE", help="Write the errata as a note: .tex or .md.")
@quiet_option
def command(
    claims: tuple[str, ...],
    listed: bool,
    problem: str | None,
    examples: int | None,
    seed: int | None,
    jobs: int,
    form: str,
    report: str | None,
    errata: str | None,
    quiet: bool,
) -> None:
    """Check the statements of the papers, and the laws of lazyrich, by running code.

    Use it before you rely on an equation or a statement of a paper.

    CLAIM is a claim's name, the beginning of names (sec-16, law-), or a source (kumar, lyu, laws);
    default: all. For each claim: its verdict and the kinds of evidence; for claims that are named
    also the statement, what is printed, what is right, a counter-example, and what was found.

    Exits 1 if a check disagrees with the recorded verdict or lets a wrong statement pass, and then
    writes no errata. A misprint in a paper is a verdict, not a failure.

    With --problem, check what lazyrich derives for your own network: its closed forms are compared
    with automatic differentiation, numerical integration or training, and each check must also
    reject a formula that is slightly wrong. The report names the closed forms that are not checked.
    FILE is TOML: activation, target, readouts, the sizes D, P, N (each has a default), and a value
    for each symbol.

    \b
    Examples:
      lazyrich verify --list sec-5
      lazyrich verify eq-6 eq-16 --examples 20 --seed 1
      lazyrich verify lyu --jobs 2
      lazyrich verify --report verdicts.html --errata errata.tex
      lazyrich verify --problem cubic.toml --report cubic.html
    """
    if problem is not None:
        others = {"CLAIM": claims, "--list": listed, "--errata": errata, "--examples": examples}
        _verify_problem(problem, seed, form, report, quiet, others)
        return
    files = {"--report": report, "--errata": errata}
    if listed and (unused := [name for name, file in files.items() if file is not None]):
        raise ValueError(f"--list: takes no {unused[0]} as well, as it checks nothing")
    from lazyrich.support.output import answer, output_file
    from lazyrich.verify import record

    chosen = record.select(claims) if claims else list(record.read().values())
    if listed:
        click.echo(_list(chosen, form))
        return
    report_file = output_file("--report", report, REPORTS)
    errata_file = output_file("--errata", errata, NOTES)
    from lazyrich.verify import run, write_errata
    from lazyrich.verify.report import to_json

    with progress_bar("verifying", quiet) as progress:
        names = [claim.name for claim in chosen] if claims else None
        ledger = run(names, examples=examples, seed=seed, progress=progress, jobs=jobs)
    details = "".join(f"\n\n{_details(row)}" for row in ledger.rows) if claims else ""
    text = to_json(ledger).rstrip("\n") if form == "json" else str(ledger) + details
    answer(text, (report_file, lambda at: ledger.write(at)))
    if ledger.failed:
        sys.exit(1)
    if errata_file:
        write_errata(errata_file, ledger)


def _verify_problem(
    file: str, seed: int | None, form: str, report: str | None, quiet: bool, others: dict[str, Any]
) -> None:
    """Check a user's own problem; exit code 1 if anything fails."""
    from lazyrich.support.output import answer, output_file

    if unused := [name for name, value in others.items() if value]:
        raise ValueError(f"--problem {escaped(file)}: takes no {unused[0]} as well")
    report_file = output_file("--report", report, OWN_REPORTS)
    from lazyrich.verify.own_problem import problem

    with progress_bar("verifying", quiet) as progress:
        found = problem(file, seed=seed or 0, progress=progress)
    text = found.to_json() if form == "json" else str(found)
    answer(text, (report_file, found.write))
    if not found.passed:
        sys.exit(1)


def _list(chosen: "list[Claim]", form: str) -> str:
    """The claims, one a line, below the paper that makes them; or as JSON."""
    import json

    from lazyrich.verify.record import SOURCES
    from lazyrich.verify.report import columns

    if form == "json":
        entries = [
            {"name": c.name, "source": c.source, "place": c.place, "verdict": c.verdict.value}
            for c in chosen
        ]
        return json.dumps(entries, indent=2, ensure_ascii=False)
    blocks = []
    for source in dict.fromkeys(claim.source for claim in chosen):
        rows = [(c.name, c.place, c.verdict.value) for c in chosen if c.source == source]
        blocks.append(
            f"{SOURCES[source]} ({source})\n" + columns(("claim", "place", "verdict"), rows)
        )
    return "\n\n".join(blocks)


def _details(row: "Row") -> str:
    """What the ledger has on one claim, wrapped for a terminal."""
    import shutil
    import textwrap

    from lazyrich.verify.ledger import MEANING
    from lazyrich.verify.report import details, found
    from lazyrich.verify.terminal import plain

    claim = row.claim
    width = max(60, min(100, shutil.get_terminal_size().columns))

    def wrapped(text: str, indent: str = "  ") -> str:
        after = indent + "  "
        return textwrap.fill(
            text, width, initial_indent=indent, subsequent_indent=after, break_on_hyphens=False
        )

    lines = [wrapped(f"{claim.name} ({claim.place}): {plain(claim.statement)}", "")]
    lines.append(wrapped(f"verdict: {claim.verdict.value}: {MEANING[claim.verdict]}"))
    lines += [wrapped(f"{label}: {plain(text)}") for label, text in details(row).items()]
    lines += [wrapped(plain(line)) for line in found(row)]
    return "\n".join(lines)
