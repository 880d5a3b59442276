"""The errata as a short note that stands alone, in LaTeX or Markdown.

It prints only what rests on a proof, a counter-example or a run in the paper's own setting, and
says of how many claims, and which of them are left out for that.
"""

import re
from pathlib import Path
from typing import NamedTuple

from lazyrich.support.files import path_of_kind, write_whole
from lazyrich.verify import formulas
from lazyrich.verify.ledger import AGAINST, EXACT, Claim, Row, Verdict
from lazyrich.verify.record import SOURCES, read
from lazyrich.verify.report import Report, counted, listed_notes

SUFFIXES = (".tex", ".md")
PAPERS = {
    "kumar": "Kumar, Bordelon, Gershman and Pehlevan (2024), Grokking as the transition from lazy "
    "to rich training dynamics",
    "lyu": "Lyu, Jin, Li, Du, Lee and Hu (2024), Dichotomy of early and late phase implicit biases "
    "can provably induce grokking",
}
ABOUT = (
    "Notation and numbering are the papers'. Each entry rests on a check that can be run again "
    "(lazyrich verify NAME). Counter-examples are computed, or short enough to check by hand. A "
    "network groks, as the glossary of lazyrich has it, if its test loss falls more than twice as "
    "late as its train loss, each below 2/15 of that of predicting nothing."
)
_TOLD = (*AGAINST, Verdict.NOT_REPRODUCED, Verdict.ASSUMING)
_TEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
} | {char: f"\\{char}" for char in "&%#_{}$"}


class Part(NamedTuple):
    """A part of the note: its letter numbers the entries, each with all places of its slip."""

    title: str
    letter: str
    entries: list[list[Row]]


def write(path: str | Path, report: Report) -> None:
    """Write the errata in ``report`` to a .tex or .md file, whole or not at all.

    Raises ``ValueError`` for another suffix, and where one of the claims that the note makes
    failed its check; ``OSError`` where the file can't be written.
    """
    file = path_of_kind(path, SUFFIXES)
    failed = [row.claim.name for row in report.rows if _is_told(row) and not row.passed]
    if failed:
        raise ValueError(f"claim {failed[0]!r} failed its check: no errata without evidence")
    content = latex(report) if file.suffix == ".tex" else markdown(report)
    write_whole(file, lambda part: part.write_text(content, encoding="utf-8"))


def _is_told(row: Row) -> bool:
    """Whether the note has the claim: what it says must not rest on a smaller run alone."""
    pieces = [result.evidence for result in row.results]
    solid = any(piece.level in (*EXACT, "attacked") or piece.own_setting for piece in pieces)
    return _is_of_papers(row.claim) and row.claim.verdict in _TOLD and solid


def _is_of_papers(claim: Claim) -> bool:
    return claim.source != "laws"


def _coverage(report: Report) -> list[str]:
    """Of how many claims the note is, and what it leaves out, a paragraph each."""
    rows = [row for row in report.rows if _is_of_papers(row.claim)]
    total = sum(map(_is_of_papers, read().values()))
    what = f"This note is of {counted(len(rows), 'claim')} on the papers that were run"
    if len(rows) < total:
        what += f"; the record has {total}. Editorial notes are for all claims of a paper only"
    paragraphs = [f"{what}."]
    if not any(map(_is_told, rows)):
        paragraphs.append("Nothing is to be corrected or added in what these claims say.")
    left = [r.claim for r in rows if r.claim.verdict in _TOLD and not _is_told(r)]
    if left:
        names = ", ".join(f"{claim.name} ({claim.verdict.value})" for claim in left)
        why = "on runs that are smaller than the papers' or in settings that they do not give"
        paragraphs.append(f"Left out, as they rest {why}: {names}.")
    return paragraphs


def papers(report: Report) -> dict[str, list[Part]]:
    """The parts of the note on each paper: corrections, what was not reproduced, assumptions."""
    found = {}
    for source in ("", *SOURCES):
        rows = [row for row in report.rows if row.claim.source == source and _is_told(row)]
        kinds = (
            Part("Corrections", "C", _by_slip(rows, *AGAINST)),
            Part("Not reproduced", "N", _by_slip(rows, Verdict.NOT_REPRODUCED)),
            Part("Assumptions to be stated", "A", _by_slip(rows, Verdict.ASSUMING)),
        )
        if rows:
            found[source] = [part for part in kinds if part.entries]
    return found


def _by_slip(rows: list[Row], *verdicts: Verdict) -> list[list[Row]]:
    """The rows of these verdicts; those of one slip together, the one that they name first."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.claim.verdict in verdicts:
            found.setdefault(row.claim.slip, []).append(row)
    return [sorted(entry, key=lambda row: row.claim.same_as != "") for entry in found.values()]


def latex(report: Report) -> str:
    """The note as a LaTeX document that needs amsmath only."""
    lines = [r"\documentclass[10pt]{article}", r"\usepackage{amsmath,amssymb}"]
    lines += [r"\usepackage[margin=2.2cm]{geometry}", r"\emergencystretch=2em"]
    lines += [r"\begin{document}", r"\noindent{\Large\bfseries Errata\par}\medskip"]
    lines += [r"\noindent " + "\n\n".join(map(tex, [ABOUT, *_coverage(report)]))]
    for source, parts in papers(report).items():
        lines += ["", rf"\section*{{{tex(PAPERS.get(source, 'Statements'))}}}", tex(_counts(parts))]
        cited = _labels(parts)
        for part in parts:
            lines += ["", rf"\subsection*{{{part.title}}}"]
            lines += [r"\begin{list}{}{\leftmargin=2.6em \labelwidth=2.2em"]
            lines += [r"  \itemsep=3pt \parsep=0pt \topsep=0pt}"]
            for number, rows in enumerate(part.entries, start=1):
                head = f"{_escaped(_places(rows))}.}} "
                head += tex(_cited(rows[0].claim.statement, cited))
                lines.append(rf"\item[{part.letter}{number}.] \textbf{{{head}")
                for entries in [*_entries(rows[0]), *_repeated(rows)]:
                    texts = [rf"\emph{{{k}:}} {_ended(tex(_cited(v, cited)))}" for k, v in entries]
                    lines.append(r"\newline " + " ".join(texts))
            lines.append(r"\end{list}")
        notes = _editorial(report, source)
        if notes:
            lines += ["", r"\subsection*{Editorial notes}", r"\begin{itemize}"]
            lines += [rf"\item {tex(note)}" for note in notes] + [r"\end{itemize}"]
    return "\n".join([*lines, r"\end{document}", ""])


def markdown(report: Report) -> str:
    """The note as Markdown with formulas between dollar signs, as pandoc reads it."""
    lines = ["# Errata"]
    for paragraph in (ABOUT, *_coverage(report)):
        lines += ["", formulas.to_markdown(paragraph)]
    for source, parts in papers(report).items():
        lines += ["", f"## {PAPERS.get(source, 'Statements')}", "", _counts(parts)]
        cited = _labels(parts)
        for part in parts:
            lines += ["", f"### {part.title}", ""]
            for number, rows in enumerate(part.entries, start=1):
                statement = formulas.to_markdown(_cited(rows[0].claim.statement, cited))
                place = _places(rows)
                lines += [f"- **{part.letter}{number}. {place}.** {statement}", ""]
                said = [*_entries(rows[0]), *_repeated(rows)]
                for label, text in (pair for entries in said for pair in entries):
                    lines.append(f"    - *{label}:* {formulas.to_markdown(_cited(text, cited))}")
                lines.append("")
        notes = _editorial(report, source)
        if notes:
            lines += [
                "",
                "### Editorial notes",
                "",
                *(f"- {formulas.to_markdown(n)}" for n in notes),
            ]
    return "\n".join(lines).rstrip() + "\n"


def _counts(parts: list[Part]) -> str:
    """How many entries of each kind, and at how many places, in a sentence."""
    nouns = {"C": ("correction", ""), "N": ("statement", " not reproduced")}
    nouns["A"] = ("assumption", " to be stated")
    lines = []
    for part in parts:
        noun, rest = nouns[part.letter]
        count, places = len(part.entries), sum(map(len, part.entries))
        at = f" (at {places} places)" if places > count else ""
        lines.append(f"{counted(count, noun)}{rest}{at}")
    return ", ".join(lines) + "."


def _places(rows: list[Row]) -> str:
    return "; ".join(row.claim.place for row in rows)


def _repeated(rows: list[Row]) -> list[list[tuple[str, str]]]:
    """The same slip at other places, where it is printed in another form there."""
    first = rows[0].claim
    return [
        [
            ("Also printed", f"{row.claim.place}: {row.claim.printed}"),
            ("Should be", row.claim.right),
        ]
        for row in rows[1:]
        if row.claim.printed != first.printed
    ]


def _editorial(report: Report, source: str) -> list[str]:
    """Spelling and pointers, a line each; what other papers are cited for is left out."""
    return [
        f"{note.place}: "
        + "; ".join(
            part
            for part in (
                note.note,
                note.printed and f"printed: {note.printed}",
                note.meant and f"meant: {note.meant}",
            )
            if part
        )
        for note in listed_notes(report, source)
        if note.kind != "cited"
    ]


def _labels(parts: list[Part]) -> dict[str, str]:
    """The claims of the note by name: where they stand in it, such as C3."""
    return {
        row.claim.name: f"{part.letter}{number}"
        for part in parts
        for number, rows in enumerate(part.entries, start=1)
        for row in rows
    }


def _cited(text: str, labels: dict[str, str]) -> str:
    """The text with the names of other claims replaced by their places in the note."""
    return re.sub(r"[\w.-]*\w", lambda name: labels.get(name[0], name[0]), text)


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _entries(row: Row) -> list[list[tuple[str, str]]]:
    """What is said of a claim, in lines of one or two entries each."""
    claim = row.claim
    if claim.verdict is Verdict.NOT_REPRODUCED:
        lines = [[("Sizes that were run", claim.sizes)], [("Found", row.results[0].found)]]
    elif claim.verdict is Verdict.ASSUMING:
        lines = [[("It holds if", claim.assumption), ("Otherwise", row.counterexample)]]
    else:
        lines = [
            [("Printed", claim.printed), ("Should be", claim.right)],
            [
                ("Derivation", claim.derivation or _shown(row)),
                ("Counter-example", row.counterexample),
            ],
        ]
    return [[(label, text) for label, text in line if text] for line in lines]


def _shown(row: Row) -> str:
    """What the evidence shows, where the claim brings no derivation of its own."""
    pieces = [result.evidence for result in row.results]
    exact = [piece.sentence for piece in pieces if piece.level in EXACT]
    return "; ".join(exact[:2] or [pieces[0].sentence])


def tex(text: str) -> str:
    r"""Text with formulas between dollar signs as LaTeX; a bare formula becomes one.

    >>> print(tex("5 % of $\\epsilon^2$"), tex(r"\frac{1}{D}"), tex("D^2"))
    5 \% of $\epsilon^2$ $\frac{1}{D}$ $D^{2}$
    """
    return "".join(
        part if is_formula else _escaped(part)
        for is_formula, part in formulas.pieces(formulas.typeset(text))
    )


def _escaped(text: str) -> str:
    """Plain text in LaTeX: places, where "2a,b" is no formula, and all between formulas."""
    return "".join(_TEX_SPECIAL.get(char, char) for char in text)
