"""The errata as a short note that stands alone, in LaTeX or Markdown."""

import re
from pathlib import Path

from lazyrich.arguments import one_of
from lazyrich.files import write_whole
from lazyrich.verify import formulas
from lazyrich.verify.ledger import Claim, Row, Verdict
from lazyrich.verify.report import CORRECTED, Report

SUFFIXES = (".tex", ".md")
TITLE = "Errata to: Grokking as the transition from lazy to rich training dynamics"
PAPER = (
    "T. Kumar, B. Bordelon, S. J. Gershman, C. Pehlevan (2024). Notation and numbering are the "
    "paper's. Each correction rests on a check that can be run again, and each counter-example is "
    "computed."
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
    lines = [r"\documentclass[11pt]{article}", r"\usepackage[T1]{fontenc}"]
    lines += [r"\usepackage{amsmath,amssymb}", r"\usepackage[margin=2.5cm]{geometry}"]
    lines += [rf"\title{{{TITLE}}}", r"\date{}", r"\begin{document}", r"\maketitle", PAPER]
    for title, chosen in _parts(rows):
        lines += ["", rf"\section*{{{title}}}", r"\begin{enumerate}"]
        for row in chosen:
            lines.append(rf"\item \textbf{{{tex(row.claim.source)}.}} {tex(row.claim.statement)}")
            items = [rf"\emph{{{label}:}} {tex(text)}" for label, text in _entries(row)]
            lines += [r"\\ " + item for item in items]
        lines.append(r"\end{enumerate}")
    return "\n".join([*lines, r"\end{document}", ""])


def markdown(rows: list[Row]) -> str:
    """The note as Markdown with formulas between dollar signs, as pandoc reads it."""
    lines = [f"# {TITLE}", "", PAPER]
    for title, chosen in _parts(rows):
        lines += ["", f"## {title}", ""]
        for number, row in enumerate(chosen, start=1):
            head = f"{number}. **{plain(row.claim.source)}.** {plain(row.claim.statement)}"
            lines += [head, ""]
            lines += [f"    - *{label}:* {plain(text)}" for label, text in _entries(row)]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _parts(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    corrected = [row for row in rows if row.claim.verdict in CORRECTED]
    assuming = [row for row in rows if row.claim.verdict is Verdict.ASSUMING]
    parts = [("Corrections", corrected), ("Assumptions to be stated", assuming)]
    return [part for part in parts if part[1]]


def _entries(row: Row) -> list[tuple[str, str]]:
    claim = row.claim
    if claim.verdict is Verdict.ASSUMING:
        pairs = [("It holds if", claim.assumption), ("Otherwise", row.counterexample)]
    else:
        pairs = [
            ("Printed", claim.printed),
            ("Should be", claim.derived),
            ("Derivation", claim.derivation or _shown(claim)),
            ("Smallest counter-example", row.counterexample),
        ]
    return [(label, text) for label, text in pairs if text]


def _shown(claim: Claim) -> str:
    """What the exact evidence shows, where a claim brings no derivation of its own."""
    exact = [e.sentence for e in claim.evidence if e.level in ("derived", "proved")]
    return "; ".join(exact[:2] or [claim.evidence[0].sentence])


def tex(text: str) -> str:
    r"""Text with formulas between dollar signs as LaTeX; a bare formula becomes one.

    >>> print(tex("5 % of $\\epsilon^2$"), tex(r"\frac{1}{D}"))
    5 \% of $\epsilon^2$ $\frac{1}{D}$
    """
    return "".join(
        part if is_formula else "".join(_TEX_SPECIAL.get(char, char) for char in part)
        for is_formula, part in formulas.pieces(text)
    )


def plain(text: str) -> str:
    """The same as Markdown.

    >>> plain("x_i of $x_i$")
    'x\\\\_i of $x_i$'
    """
    return "".join(
        part if is_formula else re.sub(r"([\\*_<>^~#|`])", r"\\\1", part)
        for is_formula, part in formulas.pieces(text)
    )
