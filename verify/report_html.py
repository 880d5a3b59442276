"""A checked ledger as one HTML file that needs nothing else: formulas are drawn, details fold out.

What differs from the papers comes first, as printed form, right form and counter-example.
"""

from html import escape

import lazyrich
from lazyrich.support.pages import page, table, table_row
from lazyrich.verify.formulas import to_html as marked
from lazyrich.verify.ledger import LEVELS, Result, Row
from lazyrich.verify.report import CORRECTED, Report, levels, summary, told, verdict


def to_html(report: Report) -> str:
    """The report as a page: a table of what the papers should say otherwise, then all claims."""
    kinds = "; ".join(f"<strong>{level}</strong>: {meaning}" for level, meaning in LEVELS.items())
    claims = "\n".join(_claim(row) for row in report.rows)
    return page(
        "Ledger of claims",
        f"<p>{escape(summary(report))}; {report.budget.examples} "
        f"examples a property, seed {report.budget.seed}, lazyrich {lazyrich.__version__}</p>\n"
        f"{_corrections(report)}<h2>All claims</h2>\n"
        f"<p>A statement folds out what is known of it. Evidence is {kinds}.</p>\n"
        + table(("claim", "place", "verdict", "evidence", "time"), claims),
    )


def _corrections(report: Report) -> str:
    """Misprints and refuted claims at a glance; nothing if there are none."""
    rows = [row for row in report.rows if row.claim.verdict in CORRECTED and row.passed]
    if not rows:
        return ""
    lines = "\n".join(
        table_row(
            escape(row.claim.place),
            *map(marked, (row.claim.printed, row.claim.right, row.counterexample)),
        )
        for row in rows
    )
    head = ("where", "printed", "should be", "counter-example")
    return f"<h2>What should read otherwise</h2>\n{table(head, lines)}"


def _claim(row: Row) -> str:
    """Two rows: the verdict; below it the statement, which folds out details and evidence."""
    style = verdict(row).split()[0].lower()
    cells = (
        f'<span id="{escape(row.claim.name)}">{escape(row.claim.name)}</span>',
        escape(row.claim.place),
        f'<span class="{style}">{escape(verdict(row))}</span>',
        escape(levels(row)),
        f"{row.seconds:.2f} s",
    )
    facts = [f"<strong>{escape(key)}</strong>: {marked(v)}" for key, v in told(row).items()]
    items = "".join(f"<li>{item}</li>" for item in [*facts, *map(_evidence, row.results)])
    return (
        f'{table_row(*cells)}<tr><td colspan="{len(cells)}"><details>'
        f"<summary>{marked(row.claim.statement)}</summary><ul>{items}</ul></details></td></tr>"
    )


def _evidence(result: Result) -> str:
    evidence = result.evidence
    line = f"<strong>{escape(evidence.level)}</strong>: {marked(evidence.sentence)}."
    line += f"<br>Found: {marked(result.found)}"
    if not result.control:
        return line
    return f"{line}<br>A planted error, which must be rejected: {marked(result.control)}"
