"""``lazyrich verify``: hold theory, simulation and papers against each other."""

import sys
from typing import TYPE_CHECKING

import click

from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.verify.ledger import Row

REPORTS, NOTES = (".html", ".md", ".json"), (".tex", ".md")


@click.command("verify", short_help="Check the ledger of claims.")
@click.argument("claims", nargs=-1, metavar="[CLAIM ...]")
@click.option("--examples", type=int, help="Random examples for each property.")
@click.option("--seed", type=int, help="Seed of the random examples.")
@click.option("--report", metavar="FILE", help="Write a report as well: .html, .md or .json.")
@click.option("--errata", metavar="FILE", help="Write the errata as a note: .tex or .md.")
@quiet_option
def command(
    claims: tuple[str, ...],
    examples: int | None,
    seed: int | None,
    report: str | None,
    errata: str | None,
    quiet: bool,
) -> None:
    """Check each CLAIM of the ledger (default: all) and print its verdict and evidence.

    For claims that are named: also what is printed, what is right, and the counter-example.

    Exits 1 if anything that should hold fails, and then writes no errata. A misprint in a paper
    is a verdict, no failure.

    \b
    Examples:
      lazyrich verify
      lazyrich verify eq-6 eq-16 --examples 20 --seed 1
      lazyrich verify --report verdicts.html --errata errata.tex
    """
    from lazyrich.support.output import output_file

    report_file = output_file("--report", report, REPORTS)
    errata_file = output_file("--errata", errata, NOTES)
    from lazyrich.verify import run, write_errata

    with progress_bar("verifying", quiet) as progress:
        ledger = run(list(claims) or None, examples=examples, seed=seed, progress=progress)
    if report_file:
        ledger.write(report_file)
    click.echo(str(ledger))
    if claims:
        click.echo("".join(f"\n{_details(row)}\n" for row in ledger.rows), nl=False)
    if ledger.failed:
        sys.exit(1)
    if errata_file:
        write_errata(errata_file, ledger)


def _details(row: "Row") -> str:
    """What the ledger has on one claim."""
    claim = row.claim
    lines = [f"{claim.name}: {claim.statement}"]
    for label, text in (
        ("printed", claim.printed),
        ("right", claim.right),
        ("assuming", claim.assumption),
        ("counter-example", row.counterexample),
    ):
        lines += [f"  {label}: {text}"] if text else []
    for result in row.results:
        lines.append(f"  {result.evidence.level}: {result.evidence.sentence}: {result.found}")
    return "\n".join(lines)
