"""The errata as a short note that stands alone, in LaTeX or Markdown."""

import re
from pathlib import Path

from lazyrich.support.arguments import one_of
from lazyrich.support.files import write_whole
from lazyrich.verify import formulas
from lazyrich.verify.ledger import EXACT, Row, Verdict
from lazyrich.verify.report import CORRECTED, Report

SUFFIXES = (".tex", ".md")
TITLE = "Errata to: Grokking as the transition from lazy to rich training dynamics"
PAPER = (
    "Kumar, Bordelon, Gershman and Pehlevan (2024). Notation and numbering are the paper's. Each "
    "correction rests on a check that can be run again, and each counter-example is computed; "
    "lazyrich derive NAME --steps derives the closed forms that are named."
)
_TEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
} | {char: f"\\{char}" for char in "&%#_{}$"}


def write(path: str | Path, report: Report) -> None:
    """Write the errata in ``report`` to a .tex or .md file, whole or not at all.

    Raises ``ValueError`` for another suffix, and where one of the claims that the note makes
    failed its check; ``OSError`` where the file can't be written.
    """
    file = Path(path)
    suffix = one_of("suffix", file.suffix, SUFFIXES)
    rows = [row for row in report.rows if row.claim.verdict in (*CORRECTED, Verdict.ASSUMING)]
    failed = [row.claim.name for row in rows if not row.passed]
    if failed:
        raise ValueError(f"claim {failed[0]!r} failed its check: no errata without evidence")
    content = latex(rows) if suffix == ".tex" else markdown(rows)
    write_whole(file, lambda part: part.write_text(content, encoding="utf-8"))


def latex(rows: list[Row]) -> str:
    """The note as a LaTeX document that needs amsmath only."""
    lines = [r"\documentclass[10pt]{article}", r"\usepackage{amsmath,amssymb}"]
    lines += [r"\usepackage[margin=2.2cm]{geometry}", r"\emergencystretch=2em"]
    lines += [
        r"\begin{document}",
        r"\noindent{\Large\bfseries\raggedright " + TITLE + r"\par}\medskip",
    ]
    lines += [r"\noindent " + tex(_introduction(rows))]
    cited = _labels(rows)
    for title, letter, chosen in _parts(rows):
        lines += [
            "",
            rf"\section*{{{title}}}",
            r"\begin{list}{}{\leftmargin=2.6em \labelwidth=2.2em",
        ]
        lines += [r"  \itemsep=3pt \parsep=0pt \topsep=0pt}"]
        for number, row in enumerate(chosen, start=1):
            head = f"{tex(row.claim.place)}.}} {tex(_cited(row.claim.statement, cited))}"
            lines.append(rf"\item[{letter}{number}.] \textbf{{{head}")
            for entries in _entries(row):
                texts = [rf"\emph{{{k}:}} {_ended(tex(_cited(v, cited)))}" for k, v in entries]
                lines.append(r"\newline " + " ".join(texts))
        lines.append(r"\end{list}")
    return "\n".join([*lines, r"\end{document}", ""])


def markdown(rows: list[Row]) -> str:
    """The note as Markdown with formulas between dollar signs, as pandoc reads it."""
    lines = [f"# {TITLE}", "", formulas.to_markdown(_introduction(rows))]
    cited = _labels(rows)
    for title, letter, chosen in _parts(rows):
        lines += ["", f"## {title}", ""]
        for number, row in enumerate(chosen, start=1):
            statement = formulas.to_markdown(_cited(row.claim.statement, cited))
            lines += [
                f"- **{letter}{number}. {formulas.to_markdown(row.claim.place)}.** {statement}",
                "",
            ]
            for label, text in (pair for entries in _entries(row) for pair in entries):
                lines.append(f"    - *{label}:* {formulas.to_markdown(_cited(text, cited))}")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _introduction(rows: list[Row]) -> str:
    counts = {letter: len(chosen) for _, letter, chosen in _parts(rows)}
    return (
        f"{PAPER} {counts.get('C', 0)} statements need a correction (C), {counts.get('A', 0)} hold "
        "under an assumption that the paper doesn't state (A)."
    )


def _parts(rows: list[Row]) -> list[tuple[str, str, list[Row]]]:
    corrected = [row for row in rows if row.claim.verdict in CORRECTED]
    assuming = [row for row in rows if row.claim.verdict is Verdict.ASSUMING]
    parts = [("Corrections", "C", corrected), ("Assumptions to be stated", "A", assuming)]
    return [part for part in parts if part[2]]


def _labels(rows: list[Row]) -> dict[str, str]:
    """The claims of the note by name: where they stand in it, such as C3."""
    return {
        row.claim.name: f"{letter}{number}"
        for _, letter, chosen in _parts(rows)
        for number, row in enumerate(chosen, start=1)
    }


def _cited(text: str, labels: dict[str, str]) -> str:
    """The text with the names of other claims replaced by their places in the note."""
    return re.sub(r"[\w.-]*\w", lambda name: labels.get(name[0], name[0]), text)


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _entries(row: Row) -> list[list[tuple[str, str]]]:
    """What is said of a claim, in lines of one or two entries each."""
    claim = row.claim
    if claim.verdict is Verdict.ASSUMING:
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
        part if is_formula else "".join(_TEX_SPECIAL.get(char, char) for char in part)
        for is_formula, part in formulas.pieces(formulas.typeset(text))
    )
