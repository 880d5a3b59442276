"""The checks of figures that are evidence for a claim, read from the source of the figures.

A figure's check names its claim (``Check(..., claim="fig-3e")``) and what lazyrich has recorded:
whether it holds. It runs where the figure is drawn; the ledger lists it, and a recorded outcome
that contradicts the verdict fails the tests.
"""

import ast
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lazyrich.verify.ledger import Claim, Verdict

# What a check of a figure may record of a claim with this verdict; with any other: anything.
AGREES = {
    Verdict.CONFIRMED: True,
    Verdict.REFUTED: False,
    Verdict.NOT_REPRODUCED: False,
}


@dataclass(frozen=True)
class FigureCheck:
    """A check in the source of a figure: ``expected`` is None where it depends on the run."""

    claim: str
    figure: str
    where: str
    expected: bool | None

    def agrees(self, claim: Claim) -> bool:
        """Whether the recorded outcome is one that the verdict allows.

        >>> check = FigureCheck("a", "kumar/figure3", "paper_figures/kumar/figure3.py:1", False)
        >>> check.agrees(Claim("a", "Fig. 3", "it grows", Verdict.CONFIRMED))
        False
        """
        if self.expected is None or claim.verdict not in AGREES:
            return True
        return self.expected is AGREES[claim.verdict]


def checks_for(claim: Claim) -> tuple[FigureCheck, ...]:
    """The checks of figures that name this claim."""
    return tuple(check for check in figure_checks() if check.claim == claim.name)


@cache
def figure_checks() -> tuple[FigureCheck, ...]:
    """Every check in ``lazyrich.paper_figures`` that names a claim."""
    spec = find_spec("lazyrich.paper_figures")
    folders = [] if spec is None else spec.submodule_search_locations or []
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.py"))
    return tuple(check for file in files for check in _in_file(file))


def _in_file(file: Path) -> list[FigureCheck]:
    text = file.read_text(encoding="utf-8")
    if "claim=" not in text:
        return []
    figure = f"{file.parent.name}/{file.stem}"
    return [
        FigureCheck(claim, figure, f"paper_figures/{figure}.py:{call.lineno}", expected)
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call)
        for claim, expected in [_named(call)]
        if claim
    ]


def _named(call: ast.Call) -> tuple[str, bool | None]:
    """The claim that a call names, and the outcome that it records (True if it says none)."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    claim, expected = given.get("claim"), given.get("expected", ast.Constant(True))
    if not (isinstance(claim, ast.Constant) and isinstance(claim.value, str)):
        return "", None
    return claim.value, expected.value is True if isinstance(expected, ast.Constant) else None
