"""A checked ledger as text, Markdown or JSON (as HTML: ``report_html``)."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lazyrich
from lazyrich.support.files import path_of_kind, write_whole
from lazyrich.verify.figure_checks import FigureCheck
from lazyrich.verify.formulas import to_markdown as marked
from lazyrich.verify.ledger import AGAINST, LEVELS, MEANING, Budget, Claim, Result, Row, Verdict
from lazyrich.verify.record import SOURCES, Note, notes, read
from lazyrich.verify.terminal import plain

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
        file = path_of_kind(path, SUFFIXES)
        if file.suffix == ".html":
            from lazyrich.verify.report_html import to_html

            content = to_html(self)  # pyright: ignore[reportArgumentType]
        else:
            content = to_markdown(self) if file.suffix == ".md" else to_json(self)
        write_whole(file, lambda part: part.write_text(content, encoding="utf-8"))


def summary(report: Report) -> str:
    """The counts by source and verdict, a line each."""
    lines = []
    for source, title in (*SOURCES.items(), ("", "others")):
        rows = [row for row in report.rows if row.claim.source == source]
        if rows:
            counts = Counter(verdict(row) for row in rows)
            parts = ", ".join(
                f"{count} {kind}{slips([r.claim for r in rows if verdict(r) == kind])}"
                for kind, count in counts.most_common()
            )
            lines.append(f"{title}: {counted(len(rows), 'claim')}: {parts}")
    return "\n".join(lines)


def counted(count: int, what: str) -> str:
    """A number and its noun.

    >>> counted(1, "claim"), counted(2, "claim")
    ('1 claim', '2 claims')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def slips(claims: Sequence[Claim]) -> str:
    """How many slips are made in these claims, where one is made in several; else "".

    >>> slips([read()[name] for name in ("eq-5", "eq-18", "eq-16")]), slips([read()["eq-5"]])
    (' (2 different slips)', '')
    """
    different = len({claim.slip for claim in claims})
    return f" ({counted(different, 'different slip')})" if different < len(claims) else ""


def listed_notes(report: Report, source: str) -> tuple[Note, ...]:
    """The notes on a source, which are no claims, where the report has all claims of it."""
    known = {row.claim.name for row in report.rows}
    is_whole = all(c.name in known for c in read().values() if c.source == source)
    return notes() if source == "kumar" and is_whole else ()


def levels(row: Row) -> str:
    """The levels of a claim's evidence, each once."""
    kinds = [result.evidence.level for result in row.results]
    return ", ".join(dict.fromkeys([*kinds, *(["seen"] if row.claim.figures else [])]))


def columns(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A plain table with its head underlined.

    >>> print(columns(("a", "b"), [("1", "22"), ("333", "4")]))
    a    b
    ---  --
    1    22
    333  4
    """
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in [head, tuple("-" * w for w in widths), *body]
    )


def text(report: Report) -> str:
    """A plain table, what failed in full, the counts, and what the words of the table mean."""
    body = [
        (row.claim.name, row.claim.place, verdict(row), levels(row), f"{row.seconds:.2f} s")
        for row in report.rows
    ]
    lines = [columns(("claim", "place", "verdict", "evidence", "time"), body)]
    for row in report.failed:
        lines += ["", f"FAILED {row.claim.name}: {plain(row.claim.statement)}"]
        for result in row.results:
            if not result.passed:
                piece = result.evidence
                said = plain(f"{piece.sentence}. {_outcome(result)}")
                lines.append(f"  {piece.where} {piece.level}: {said}")
        if row.counterexample.startswith("none found"):
            lines.append(f"  counter-example: {plain(row.counterexample)}")
    return "\n".join([*lines, "", summary(report), "", *legend(report)])


def legend(report: Report) -> list[str]:
    """What the verdicts and levels of this report mean, a line each."""
    verdicts = {row.claim.verdict for row in report.rows}
    shown = {level for row in report.rows for level in levels(row).split(", ")}
    return [f"{kind.value}: {MEANING[kind]}" for kind in Verdict if kind in verdicts] + [
        f"{level}: {meaning}" for level, meaning in LEVELS.items() if level in shown
    ]


def _outcome(result: Result) -> str:
    found = f"Found: {result.found}"
    return f"{found}. {planted(result)}" if result.control else found


def planted(result: Result) -> str:
    """What the planted error was rejected with, after the arguments that plant it; "" for none."""
    if not result.control:
        return ""
    how = result.evidence.planted
    arguments = f" (the same check with {how})" if how else ""
    return f"A planted error, which must be rejected{arguments}: {result.control}"


def details(row: Row) -> dict[str, str]:
    """What there is to say of a claim, apart from its evidence, by its name in the report."""
    parts = {f"part {key}": part for key, part in row.claim.parts.items()}
    return parts | remarks(row.claim, row.counterexample)


def remarks(claim: Claim, counterexample: str) -> dict[str, str]:
    """What a claim says beyond its statement, by its name in the report: what is not empty."""
    pairs = {
        "printed": claim.printed,
        "right": claim.right,
        "same slip as": claim.same_as,
        "assumption": claim.assumption,
        "sizes that were run": claim.sizes,
        "counter-example": counterexample,
        "derivation": claim.derivation,
    }
    return {key: value for key, value in pairs.items() if value}


def found(row: Row) -> list[str]:
    """What each piece of evidence found, and where its code is; a line each."""
    lines = []
    for result in row.results:
        piece = result.evidence
        part = f" [{piece.part}]" if piece.part else ""
        lines.append(
            f"{piece.level}{part}: {piece.sentence}. Found: {result.found} ({piece.where})"
        )
    return lines + [seen(check) for check in row.claim.figures]


def seen(check: FigureCheck) -> str:
    """A line on a figure's check; the figure runs it.

    >>> seen(FigureCheck("fig-3e", "kumar/figure3", "figure3.py:9", False))
    'seen: `lazyrich figures 3` checks it, and it is recorded not to hold (figure3.py:9)'
    """
    draws = f"seen: `lazyrich figures {check.name}` checks"
    measured = f". Found in {check.found}" if check.found else ""
    if check.expected is None or check.judges is None:
        says = f"{draws} it at settings of its own, and tells whether it holds"
        return f"{says}{measured} ({check.where})"
    what = {
        "statement": "it",
        "without assumption": "it without the assumption",
        "right form": "the right form",
    }[check.judges]
    holds = "to hold" if check.expected else "not to hold"
    return f"{draws} {what}, and it is recorded {holds}{measured} ({check.where})"


def to_json(report: Report) -> str:
    """The report as JSON, for scripts."""
    whole = {
        "lazyrich": lazyrich.__version__,
        "examples": report.budget.examples,
        "seed": report.budget.seed,
        "failed": [row.claim.name for row in report.failed],
        "claims": [_json(row) for row in report.rows],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _json(row: Row) -> dict:
    claim = row.claim
    return {
        "name": claim.name,
        "source": claim.source,
        "place": claim.place,
        "statement": claim.statement,
        "verdict": claim.verdict.value,
        "passed": row.passed,
        "seconds": round(row.seconds, 3),
        **details(row),
        "evidence": [
            {
                "level": r.evidence.level,
                "part": r.evidence.part,
                "sentence": r.evidence.sentence,
                "where": r.evidence.where,
                "own_setting": r.evidence.own_setting,
                "found": r.found,
                "passed": r.passed,
                "seconds": round(r.seconds, 3),
                "control": r.control,
                "planted": r.evidence.planted,
            }
            for r in row.results
        ],
        "figures": [
            {
                "figure": check.figure,
                "judges": check.judges,
                "expected": check.expected,
                "found": check.found,
                "where": check.where,
            }
            for check in claim.figures
        ],
    }


def to_markdown(report: Report) -> str:
    """The report as Markdown: the counts, one table, then each claim."""
    lines = ["# Verdicts", "", *summary(report).splitlines(), ""]
    lines += [f"- {line}" for line in legend(report)]
    lines += ["", "| claim | place | verdict | evidence |", "|---|---|---|---|"]
    for row in report.rows:
        cells = (row.claim.name, row.claim.place, verdict(row), levels(row))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for row in report.rows:
        lines += ["", *section(row)]
    return "\n".join(lines) + "\n"


def section(row: Row) -> list[str]:
    """A claim as a section of Markdown."""
    claim = row.claim
    lines = [f"## {claim.name}", "", f"{claim.place}. {marked(claim.statement)}", ""]
    lines += [f"**{verdict(row)}**", ""]
    lines += [f"- {key}: {marked(value)}" for key, value in details(row).items()]
    return lines + [f"- {marked(line)}" for line in found(row)]


def verdict(row: Row) -> str:
    """The verdict, or that it doesn't stand."""
    return row.claim.verdict.value if row.passed else "FAILED"


def is_against(claim: Claim) -> bool:
    """Whether the verdict says that the paper is wrong."""
    return claim.verdict in AGAINST
