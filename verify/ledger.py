"""The ledger: every claim of the papers, its verdict, and evidence that can be run again.

A claim holds evidence, and each piece of evidence is a check that raises ``AssertionError`` when
it fails. A check may bring a negative control: the same check on a planted wrong formula, which
must raise ``AssertionError``; a control that passes means that its check can't be trusted.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lazyrich.support.arguments import one_of

LEVELS = {
    "derived": "derived for symbolic D",
    "proved": "exact certificate by brute force",
    "attacked": "random inputs against simulation, autograd or cubature",
    "measured": "statistics or a slope",
    "read": "read in the text",
}


class Verdict(StrEnum):
    """What the evidence says of a claim."""

    CONFIRMED = "confirmed"
    ASSUMING = "confirmed under an unstated assumption"
    MISPRINT = "misprint"
    REFUTED = "refuted"
    OPEN = "not decidable from the text"


@dataclass(frozen=True)
class Budget:
    """How hard the attacks try: random examples for each property, and their seed."""

    examples: int = 25
    seed: int = 0


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence.

    ``level`` is one of ``LEVELS``, ``sentence`` says what is shown. ``check(budget)`` returns one
    line, what was found, and raises ``AssertionError`` if it fails. ``control(budget)`` plants a
    wrong formula in the same check and must raise ``AssertionError``.
    """

    level: str
    sentence: str
    check: Callable[[Budget], str]
    control: Callable[[Budget], str] | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown level."""
        one_of("level", self.level, LEVELS)


@dataclass(frozen=True)
class Claim:
    """A formula or statement of a paper with its verdict.

    ``printed`` and ``derived`` are LaTeX or plain text; ``counterexample`` is text or a function
    that computes it. A misprint or a refuted claim must have all three; a claim that holds under
    an unstated assumption must name it. Raises ``ValueError`` where they are missing.
    """

    name: str
    source: str
    statement: str
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    printed: str = ""
    derived: str = ""
    assumption: str = ""
    counterexample: str | Callable[[], str] = ""
    derivation: str = ""

    def __post_init__(self) -> None:
        """Refuse a verdict without what it needs."""
        needed = {
            Verdict.MISPRINT: ("printed", "derived", "counterexample"),
            Verdict.REFUTED: ("printed", "derived", "counterexample"),
            Verdict.ASSUMING: ("assumption",),
        }
        missing = [name for name in needed.get(self.verdict, ()) if not getattr(self, name)]
        if missing or not self.evidence:
            lack = missing[0] if missing else "evidence"
            raise ValueError(f"claim {self.name!r}: {self.verdict.value} needs {lack}")


@dataclass(frozen=True)
class Result:
    """What one piece of evidence gave: ``found`` is its line, or what went wrong."""

    evidence: Evidence
    found: str
    passed: bool
    seconds: float
    control: str = ""  # what the control was rejected with


@dataclass(frozen=True)
class Row:
    """A claim with the results of its evidence; ``passed`` if the verdict stands."""

    claim: Claim
    results: tuple[Result, ...]
    seconds: float
    passed: bool
    counterexample: str = ""


def by_name(claims: Iterable[Claim]) -> dict[str, Claim]:
    """The claims by name. Raises ``ValueError`` if two have the same name."""
    table: dict[str, Claim] = {}
    for claim in claims:
        if claim.name in table:
            raise ValueError(f"claim {claim.name!r}: the name is taken")
        table[claim.name] = claim
    return table


def check_all(
    claims: Sequence[Claim],
    budget: Budget,
    progress: Callable[[float, float], object] | None = None,
) -> tuple[Row, ...]:
    """Check the claims in turn; ``progress(done, total)`` is called after each.

    >>> sound = Evidence("read", "one is one", lambda budget: "1 = 1")
    >>> claim = Claim("unit", "Sec. 0", "1 = 1", Verdict.CONFIRMED, (sound,))
    >>> [row.passed for row in check_all([claim], Budget())]
    [True]
    """
    rows = []
    for done, claim in enumerate(claims, start=1):
        rows.append(check(claim, budget))
        if progress is not None:
            progress(done, len(claims))
    return tuple(rows)


def check(claim: Claim, budget: Budget) -> Row:
    """Run all the evidence of one claim."""
    start = time.perf_counter()
    results = tuple(_result(evidence, budget) for evidence in claim.evidence)
    passed = all(result.passed for result in results)
    counterexample = claim.counterexample
    if callable(counterexample):
        try:
            counterexample = counterexample()
        except Exception as error:
            counterexample, passed = f"none found: {_line(error)}", False
    seconds = time.perf_counter() - start
    return Row(claim, results, seconds, passed, counterexample)


def _result(evidence: Evidence, budget: Budget) -> Result:
    start = time.perf_counter()
    control = ""
    try:
        found, passed = evidence.check(budget), True
        if evidence.control is not None:
            control, passed = _rejection(evidence.control, budget)
    except Exception as error:  # a check that breaks shows nothing, so it counts as failed
        found, passed = _line(error), False
    return Result(evidence, found, passed, time.perf_counter() - start, control)


def _rejection(control: Callable[[Budget], str], budget: Budget) -> tuple[str, bool]:
    """What the planted formula was rejected with, and whether it was."""
    try:
        accepted = control(budget)
    except AssertionError as error:
        return _line(error), True
    except Exception as error:
        return f"the control broke: {_line(error)}", False
    return f"a planted wrong formula was accepted: {accepted}", False


def _line(error: Exception) -> str:
    """An error in one line, with the falsifying example that Hypothesis attaches to it."""
    notes = [n for n in getattr(error, "__notes__", []) if n.startswith(("Fals", "Failing"))]
    text = " ".join(" ".join([str(error), *notes]).split())
    name = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    return f"{name}{text}"[:400]
