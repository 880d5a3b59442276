"""A checked ledger as text, Markdown or JSON (as HTML: ``report_html``)."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import lazyrich
from lazyrich.support.arguments import one_of
from lazyrich.support.files import write_whole
from lazyrich.verify.formulas import to_markdown as marked
from lazyrich.verify.ledger import Budget, Result, Row, Verdict

CORRECTED = (Verdict.MISPRINT, Verdict.REFUTED)
SUFFIXES = (".html", ".md", ".json")


@dataclass(frozen=True)
class Report:
    """The result of ``verify.run``: its rows and budget, and ways of writing them down."""

    rows: tuple[Row, ...]
    budget: Budget

    @property
    def failed(self) -> list[Row]:
        """The rows whose verdict doesn't stand."""
        return [row for row in self.rows if not row.passed]

    def __str__(self) -> str:
        """The table that ``lazyrich verify`` prints."""
        return text(self)

    def write(self, path: str | Path) -> None:
        """Write the report by suffix, .html, .md or .json; the whole file or none.

        Raises ``ValueError`` for another suffix and ``OSError`` where it can't be written.
        """
        file = Path(path)
        from lazyrich.verify.report_html import to_html

        writer = {".html": to_html, ".md": to_markdown, ".json": to_json}
        content = writer[one_of("suffix", file.suffix, SUFFIXES)](self)
        write_whole(file, lambda part: part.write_text(content, encoding="utf-8"))


def summary(report: Report) -> str:
    """The counts by verdict in one line."""
    counts = Counter(row.claim.verdict.value for row in report.rows)
    parts = [f"{count} {verdict}" for verdict, count in counts.most_common()]
    failed = f"; {len(report.failed)} FAILED" if report.failed else ""
    seconds = sum(row.seconds for row in report.rows)
    claims = "claim" if len(report.rows) == 1 else "claims"
    return f"{len(report.rows)} {claims}: {', '.join(parts)}{failed} ({seconds:.1f} s)"


def levels(row: Row) -> str:
    """The levels of a claim's evidence, each once."""
    return ", ".join(dict.fromkeys(result.evidence.level for result in row.results))


def text(report: Report) -> str:
    """A plain table, and below it what failed in full."""
    head = ("claim", "place", "verdict", "evidence", "time")
    body = [
        (
            row.claim.name,
            row.claim.place,
            row.claim.verdict.value if row.passed else "FAILED",
            levels(row),
            f"{row.seconds:.2f} s",
        )
        for row in report.rows
    ]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in [head, tuple("-" * w for w in widths), *body]
    ]
    for row in report.failed:
        lines += ["", f"FAILED {row.claim.name}: {row.claim.statement}"]
        lines += [
            f"  {r.evidence.level}: {r.evidence.sentence}: {_outcome(r)}"
            for r in row.results
            if not r.passed
        ]
        if row.counterexample.startswith("none found"):
            lines.append(f"  counter-example: {row.counterexample}")
    return "\n".join([*lines, "", summary(report)])


def _outcome(result: Result) -> str:
    return f"{result.found}; {result.control}" if result.control else result.found


def details(row: Row) -> dict[str, str]:
    """What there is to say of a claim beside its evidence, by its name in the report."""
    claim = row.claim
    pairs = {
        "printed": claim.printed,
        "right": claim.right,
        "assumption": claim.assumption,
        "counter-example": row.counterexample,
    }
    return {key: value for key, value in pairs.items() if value}


def told(row: Row) -> dict[str, str]:
    """The same in words for readers: what is derived is what a misprint should be."""
    is_corrected = row.claim.verdict in CORRECTED
    renamed = {"right": "should be"} if is_corrected else {}
    return {renamed.get(key, key): value for key, value in details(row).items()}


def to_json(report: Report) -> str:
    """The report as JSON, for scripts."""
    claims = [
        {
            "name": row.claim.name,
            "place": row.claim.place,
            "statement": row.claim.statement,
            "verdict": row.claim.verdict.value,
            "passed": row.passed,
            "seconds": round(row.seconds, 3),
            **details(row),
            "evidence": [
                {
                    "level": r.evidence.level,
                    "sentence": r.evidence.sentence,
                    "found": r.found,
                    "passed": r.passed,
                    "seconds": round(r.seconds, 3),
                    "control": r.control,
                }
                for r in row.results
            ],
        }
        for row in report.rows
    ]
    whole = {
        "lazyrich": lazyrich.__version__,
        "examples": report.budget.examples,
        "seed": report.budget.seed,
        "failed": [row.claim.name for row in report.failed],
        "claims": claims,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def to_markdown(report: Report, *, times: bool = True) -> str:
    """The report as Markdown: one table, then each claim; without run times on demand."""
    lines = ["# Ledger of claims", "", _markdown_summary(report, times), ""]
    lines += ["| claim | place | verdict | evidence |", "|---|---|---|---|"]
    for row in report.rows:
        cells = (row.claim.name, row.claim.place, verdict(row), levels(row))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for row in report.rows:
        claim = row.claim
        lines += ["", f"## {claim.name}", "", f"{claim.place}. {marked(claim.statement)}", ""]
        lines.append(f"**{verdict(row)}**")
        lines += [""] + [f"- {key}: {marked(value)}" for key, value in told(row).items()]
        for r in row.results:
            shown = f"{marked(r.evidence.sentence)}: {marked(r.found)}"
            lines.append(f"- {r.evidence.level}: {shown}")
    return "\n".join(lines) + "\n"


def _markdown_summary(report: Report, times: bool) -> str:
    line = summary(report)
    return line if times else line.rsplit(" (", 1)[0]


def verdict(row: Row) -> str:
    """The verdict, or that it doesn't stand."""
    return row.claim.verdict.value if row.passed else "FAILED"
