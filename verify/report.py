"""A checked ledger as text, HTML, Markdown or JSON."""

import html
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import lazyrich
from lazyrich.arguments import one_of
from lazyrich.files import write_whole
from lazyrich.verify.ledger import Budget, Result, Row

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
    head = ("claim", "source", "verdict", "evidence", "time")
    body = [
        (
            row.claim.name,
            row.claim.source,
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


def _details(row: Row) -> dict[str, str]:
    """What there is to say of a claim beside its evidence."""
    claim = row.claim
    pairs = {
        "printed": claim.printed,
        "derived": claim.derived,
        "assumption": claim.assumption,
        "counter-example": row.counterexample,
    }
    return {key: value for key, value in pairs.items() if value}


def to_json(report: Report) -> str:
    """The report as JSON, for scripts."""
    claims = [
        {
            "name": row.claim.name,
            "source": row.claim.source,
            "statement": row.claim.statement,
            "verdict": row.claim.verdict.value,
            "passed": row.passed,
            "seconds": round(row.seconds, 3),
            **_details(row),
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
    lines += ["| claim | source | verdict | evidence |", "|---|---|---|---|"]
    for row in report.rows:
        cells = (row.claim.name, row.claim.source, _verdict(row), levels(row))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for row in report.rows:
        lines += ["", f"## {row.claim.name}", "", f"{row.claim.source}. {row.claim.statement}", ""]
        lines.append(f"**{_verdict(row)}**")
        lines += [""] + [f"- {key}: {value}" for key, value in _details(row).items()]
        lines += [f"- {r.evidence.level}: {r.evidence.sentence}: {r.found}" for r in row.results]
    return "\n".join(lines) + "\n"


def _markdown_summary(report: Report, times: bool) -> str:
    line = summary(report)
    return line if times else line.rsplit(" (", 1)[0]


def _verdict(row: Row) -> str:
    return row.claim.verdict.value if row.passed else "FAILED"


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em;
       color: #222; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4em .7em; border-bottom: 1px solid #ddd; }
summary { cursor: pointer; }
li { overflow-wrap: anywhere; }
.misprint, .refuted { color: #9a3b00; } .confirmed { color: #0a6b2d; }
.not { color: #555; } .failed { color: #fff; background: #b00020; padding: 0 .3em; }
"""


def to_html(report: Report) -> str:
    """The report as one HTML file that needs nothing else; details fold out."""
    rows = "\n".join(_html_row(row) for row in report.rows)
    head = "".join(f"<th>{h}</th>" for h in ("claim", "source", "verdict", "evidence", "time"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Ledger of claims</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Ledger of claims</h1>\n<p>{html.escape(summary(report))}; {report.budget.examples} "
        f"examples a property, seed {report.budget.seed}, lazyrich {lazyrich.__version__}</p>\n"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></body></html>\n"
    )


def _html_row(row: Row) -> str:
    e = html.escape
    items = [f"<li>{e(key)}: {e(value)}</li>" for key, value in _details(row).items()]
    items += [
        f"<li>{e(r.evidence.level)}: {e(r.evidence.sentence)}: {e(_outcome(r))}</li>"
        for r in row.results
    ]
    style = _verdict(row).split()[0].lower()
    return (
        f'<tr id="{e(row.claim.name)}"><td><details><summary>{e(row.claim.name)}</summary>'
        f"<p>{e(row.claim.statement)}</p><ul>{''.join(items)}</ul></details></td>"
        f'<td>{e(row.claim.source)}</td><td><span class="{style}">{e(_verdict(row))}</span></td>'
        f"<td>{e(levels(row))}</td><td>{row.seconds:.2f} s</td></tr>"
    )
