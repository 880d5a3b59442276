"""The checks of figures that are evidence for a claim, read from the source of the figures.

A figure's check names its claim (``Check(..., claim="fig-3e")``), what of it the check judges, and
what lazyrich has recorded: whether it holds. The check runs where the figure is drawn; the ledger
lists it. A recorded outcome that contradicts the verdict fails the tests, and so does a check that
cites a place in a paper and names no claim.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lazyrich.verify.ledger import Claim, Verdict

# What a check may record of a claim, by what it judges and by the verdict. None: anything.
# A verdict that is missing leaves nothing to judge: such a check contradicts the claim.
MAY_RECORD: dict[str, dict[Verdict, bool | None]] = {
    "statement": {
        Verdict.CONFIRMED: True,
        Verdict.ASSUMING: True,
        Verdict.MISPRINT: False,
        Verdict.REFUTED: False,
        Verdict.NOT_REPRODUCED: False,
        Verdict.OPEN: None,
    },
    "without assumption": {Verdict.ASSUMING: False},
    "right form": {Verdict.MISPRINT: True, Verdict.REFUTED: True},
}


def agrees(claim: Claim, judges: str, holds: bool) -> bool:
    """Whether a check may record that what it judges of the claim holds.

    >>> grows = Claim("a", "Fig. 3", "it grows", Verdict.ASSUMING, assumption="it is warm")
    >>> agrees(grows, "statement", False), agrees(grows, "without assumption", False)
    (False, True)
    """
    may_record = MAY_RECORD[judges]
    return claim.verdict in may_record and may_record[claim.verdict] in (None, holds)


@dataclass(frozen=True)
class FigureCheck:
    """A check in the source of a figure.

    ``expected`` and ``judges`` are None where they depend on the run. ``pattern`` matches the names
    of the checks that this place in the source makes.
    """

    claim: str
    figure: str
    where: str
    expected: bool | None
    judges: str | None = "statement"
    pattern: str = ""

    @property
    def found(self) -> str:
        """What was measured when the gallery was drawn, and by which runs; "" where it wasn't.

        >>> next(check.found for check in figure_checks() if check.claim == "fig-6a-vanish")[:60]
        'quick runs: 80% of the test set 1.26 [1.18, 1.86] times late'
        """
        drawn = _drawn().get(self.name, {"preset": "", "checks": []})
        of_claim = {name: found for claim, name, found in drawn["checks"] if claim == self.claim}
        # The name stands before or after that of a case, where a figure repeats its checks.
        for pattern in (self.pattern, f"{self.pattern}-.+", f".+-{self.pattern}"):
            found = {name: one for name, one in of_claim.items() if re.fullmatch(pattern, name)}
            if len(found) > 1:  # of several cases each says which it is
                found = {name: f"{name}: {one}" for name, one in found.items()}
            if found:
                return f"{drawn['preset']} runs: {'; '.join(found.values())}"
        return ""

    @property
    def name(self) -> str:
        """The name by which ``lazyrich figures`` draws it.

        >>> where = "paper_figures/lyu/figure2.py:1"
        >>> FigureCheck("a", "lyu/figure2", where, True).name
        'lyu-2'
        """
        folder, stem = self.figure.split("/")
        paper = {"kumar": "", "lyu": "lyu-"}.get(folder, "")
        is_number = stem.startswith("figure")
        return f"{paper}{stem.removeprefix('figure')}" if is_number else stem.replace("_", "-")

    def agrees(self, claim: Claim) -> bool:
        """Whether the recorded outcome is one that the verdict allows.

        >>> check = FigureCheck("a", "kumar/figure3", "paper_figures/kumar/figure3.py:1", False)
        >>> check.agrees(Claim("a", "Fig. 3", "it grows", Verdict.CONFIRMED))
        False
        """
        if self.expected is None or self.judges is None:
            return True
        return agrees(claim, self.judges, self.expected)


def checks_for(claim: Claim) -> tuple[FigureCheck, ...]:
    """The checks of figures that name this claim."""
    return tuple(check for check in figure_checks() if check.claim == claim.name)


@cache
def figure_checks() -> tuple[FigureCheck, ...]:
    """Every check in ``lazyrich.paper_figures`` that names a claim."""
    return tuple(
        FigureCheck(
            claim,
            where.removeprefix("paper_figures/").split(".py:")[0].removesuffix("_checks"),
            where,
            _constant(call, "expected", True),
            _constant(call, "judges", "statement"),
            _pattern(call),
        )
        for where, call in _calls()
        if (claim := _constant(call, "claim", ""))
    )


def without_claim() -> list[str]:
    """The checks that cite a place (``source=``) but name no claim: file and line of each."""
    checks = ((where, call) for where, call in _calls() if _name(call) in ("Check", "ordered"))
    return [where for where, call in checks if cites_without_claim(call)]


def cites_without_claim(call: ast.Call) -> bool:
    """Whether the call of a check has a source but no claim.

    >>> [cites_without_claim(ast.parse(text, mode="eval").body) for text in (
    ...     'Check("a", source="Fig. 3")', 'Check("a", source="Fig. 3", claim="fig-3e")')]
    [True, False]
    """
    return _constant(call, "source", "") != "" and _constant(call, "claim", "") == ""


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the figures, with its file and line."""
    spec = find_spec("lazyrich.paper_figures")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in map(Path, folders):
        for file in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    place = f"paper_figures/{file.relative_to(folder).as_posix()}:{node.lineno}"
                    yield place, node


@cache
def _drawn() -> dict[str, Any]:
    """What the figures of the gallery measured: made by ``docs/collect_figures.py``."""
    file = files("lazyrich.paper_figures").joinpath("measured.json")
    return json.loads(file.read_text(encoding="utf-8"))


def _pattern(call: ast.Call) -> str:
    r"""A regular expression for the first argument: the name of the check, or of several.

    >>> [_pattern(ast.parse(f"Check({name}, 1)", mode="eval").body) for name in (
    ...     '"a-b"', 'f"a-{k}"', 'name')]
    ['a\\-b', 'a\\-.+', '.+']
    """
    first = call.args[0] if call.args else None
    parts = first.values if isinstance(first, ast.JoinedStr) else [first]
    return "".join(
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in parts
    )


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _constant(call: ast.Call, keyword: str, default: Any) -> Any:
    """The value of a keyword of a call; None where it depends on the run."""
    given = {one.arg: one.value for one in call.keywords}
    value = given.get(keyword)
    if value is None:
        return default
    return value.value if isinstance(value, ast.Constant) else None
