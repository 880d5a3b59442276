"""What the ledger is made of: claims, verdicts, evidence, and how a claim is checked.

A claim is data (``lazyrich.verify.record``): what a paper says, or a law of ours, and the verdict.
Evidence is code (``lazyrich.verify.evidence``): a check that raises ``AssertionError`` if it
fails, and a control, the same check on a wrong statement, which must raise ``AssertionError``.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from lazyrich.support.arguments import one_of

if TYPE_CHECKING:
    from lazyrich.verify.figure_checks import FigureCheck

LEVELS = {  # strongest first
    "derived": "the algebra system derived it, for symbolic D",
    "proved": "an exact certificate or an explicit example settles it",
    "attacked": "random inputs tried to break it, against simulation, autograd or exact cubature",
    "measured": "training runs show it",
    "seen": "a figure's data show it",
    "read": "it stands in the text",
}

EXACT = ("derived", "proved")


class Verdict(StrEnum):
    """What the evidence says of a claim."""

    CONFIRMED = "confirmed"
    ASSUMING = "confirmed under an unstated assumption"
    MISPRINT = "misprint"
    REFUTED = "refuted"
    NOT_REPRODUCED = "not reproduced"
    OPEN = "not decidable from the text"


MEANING = {
    Verdict.CONFIRMED: "every piece of evidence agrees with the statement",
    Verdict.ASSUMING: "right, if something holds that the text does not state, which is named",
    Verdict.MISPRINT: "the right form is another, close one; a counter-example shows it",
    Verdict.REFUTED: "wrong; a proof, a counter-example or a measurement in the paper's own "
    "setting shows it",
    Verdict.NOT_REPRODUCED: "not found at the sizes that were run, which are named",
    Verdict.OPEN: "the text does not say enough to check it",
}

# What each verdict needs to say.
NEEDS = {
    Verdict.MISPRINT: ("printed", "right"),
    Verdict.REFUTED: ("printed", "right"),
    Verdict.ASSUMING: ("assumption",),
    Verdict.NOT_REPRODUCED: ("sizes",),
}
AGAINST = (Verdict.MISPRINT, Verdict.REFUTED)
# What Hypothesis says of the input that an attack failed at: "Failing test case: run(values=(3,))".
_FOUND_AT = re.compile(r"^(?:Fals|Failing).*?\bvalues=\((.*?),?\s*\),?\s*\)\s*$", re.DOTALL)


# What a measured mean of logarithms says: its factor is what a reader wants.
_MEAN_OF_LOG = re.compile(r"\blog of [^:;]*: mean (-?\d[\d.]*(?:e[-+]?\d+)?) of \d+ draws")


class Undecided(str):
    """The message of a test that gives up: it would need more draws than it may take.

    A claim fails by it, but a control is not rejected by it: nothing was seen of the planted error.
    """


@dataclass(frozen=True)
class Budget:
    """How hard the attacks try: random examples for each property, and their seed."""

    examples: int = 25
    seed: int = 0


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence for a claim, or for one part of it.

    ``level`` is one of ``LEVELS``, ``sentence`` says what is shown. ``check(budget)`` returns one
    line, what was found, and raises ``AssertionError`` if it fails. ``control(budget)`` makes the
    same check on a wrong statement and must raise ``AssertionError``. ``own_setting``: measured in
    the setting and size of the paper. ``where`` is the file and line of the evidence. ``planted``
    are the arguments of the control: its line may speak of the check's own. ``draws``: whether
    something is drawn at random, by the seed of the budget.
    """

    level: str
    sentence: str
    check: Callable[[Budget], str]
    control: Callable[[Budget], str] | None = None
    part: str = ""
    own_setting: bool = False
    where: str = ""
    planted: str = ""
    draws: bool = True

    def __post_init__(self) -> None:
        """Refuse an unknown level."""
        one_of("level", self.level, LEVELS)


@dataclass(frozen=True)
class Claim:
    """A formula or statement of a paper, or a law of ours, with its verdict.

    Texts are plain with their mathematics between dollar signs. ``parts`` are the statements that
    a compound claim is made of, by a short key. ``same_as`` names the claim whose slip this one
    repeats at another place of the paper: what is wrong is counted by ``slip``. Raises
    ``ValueError`` where the verdict lacks what it needs: a misprint and a refuted claim the
    ``printed`` and the ``right`` form, a claim that was not reproduced the ``sizes`` that were run,
    one under an assumption the ``assumption``.
    """

    name: str
    place: str
    statement: str
    verdict: Verdict
    source: str = ""
    topic: str = ""
    printed: str = ""
    right: str = ""
    assumption: str = ""
    sizes: str = ""
    counterexample: str = ""
    derivation: str = ""
    same_as: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a verdict without what it needs."""
        for name in NEEDS.get(self.verdict, ()):
            if not getattr(self, name):
                raise ValueError(f"claim {self.name!r}: {self.verdict.value} needs {name}")

    @property
    def slip(self) -> str:
        """The name of the claim that stands for all places of the same slip."""
        return self.same_as or self.name

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The evidence attached to this claim. Imports its code on first use."""
        from lazyrich.verify.evidence import evidence_for

        return evidence_for(self)  # pyright: ignore[reportArgumentType, reportReturnType]

    @property
    def figures(self) -> "tuple[FigureCheck, ...]":
        """The checks of figures that are evidence for this claim; drawing the figure runs them."""
        from lazyrich.verify.figure_checks import checks_for

        return checks_for(self)  # pyright: ignore[reportArgumentType]

    def computed_counterexample(self) -> str:
        """The counter-example, computed anew where there is code for it; "" where there is none.

        Raises ``AssertionError`` where the code finds none.
        """
        from lazyrich.verify.evidence import counterexample_for

        compute = counterexample_for(self)  # pyright: ignore[reportArgumentType]
        return self.counterexample if compute is None else _plainly(compute())


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


def check(
    claim: Claim,
    budget: Budget,
    evidence: Sequence[Evidence] | None = None,
    counterexample: Callable[[], str] | None = None,
) -> Row:
    """Run the evidence of one claim: what is attached to it, or ``evidence`` where given.

    >>> sound = Evidence("read", "one is one", lambda budget: "1 = 1")
    >>> check(Claim("unit", "Sec. 0", "1 = 1", Verdict.CONFIRMED), Budget(), [sound]).passed
    True
    """
    start = time.perf_counter()
    seen = False
    if evidence is None:
        evidence, counterexample = claim.evidence, claim.computed_counterexample
        seen = bool(claim.figures)
    results = tuple(_result(piece, budget) for piece in evidence)
    passed = bool(results or seen) and all(result.passed for result in results)
    found = claim.counterexample
    if counterexample is not None:
        try:
            found = _plainly(counterexample())
        except Exception as error:
            found, passed = f"none found: {_line(error)}", False
    return Row(claim, results, time.perf_counter() - start, passed, found)


def _result(evidence: Evidence, budget: Budget) -> Result:
    start = time.perf_counter()
    control = ""
    try:
        found, passed = _plainly(evidence.check(budget)), True
        if evidence.level == "derived":
            found = _compared(found)
        if evidence.control is not None:
            control, passed = _rejection(evidence.control, budget)
    except Exception as error:  # a check that breaks shows nothing, so it counts as failed
        found, passed = _line(error), False
    return Result(evidence, found, passed, time.perf_counter() - start, control)


def _rejection(control: Callable[[Budget], str], budget: Budget) -> tuple[str, bool]:
    """What the planted error was rejected with, and whether it was."""
    try:
        accepted = control(budget)
    except AssertionError as error:
        if error.args and isinstance(error.args[0], Undecided):
            return f"the control decides nothing: {_line(error)}", False
        return _line(error), True
    except Exception as error:
        return f"the control broke: {_line(error)}", False
    return f"the planted error was accepted, though it must be rejected: {accepted}", False


def _line(error: Exception) -> str:
    """An error in one line, with the input at which Hypothesis found it."""
    notes = (_FOUND_AT.search(note) for note in getattr(error, "__notes__", []))
    inputs = [f"(at the random input {_input(note[1])})" for note in notes if note]
    text = " ".join(" ".join([str(error), *inputs]).split())
    name = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    return _plainly(f"{name}{text}")[:400]


def _input(shown: str) -> str:
    """An input as Hypothesis shows it, arrays as lists; those that it makes flat stay flat.

    >>> _input("np.array([1.5, 2.0], dtype=float).reshape(shape), array([[ 1. , 2.5]])")
    '[1.5, 2.0], [[1., 2.5]]'
    """
    shown = re.sub(
        r"\b(?:np\.)?array\((\[[^()]*\])(?:, dtype=\w+)?\)(?:\.reshape\(shape\))?", r"\1", shown
    )
    return re.sub(r"(?<=\[) +| +(?=[],])", "", shown)


def _plainly(found: str) -> str:
    """What a check says, with powers and mappings of Python as formulas and sentences have them.

    >>> _plainly("r**2 falls as a^(-1 L): {'a_b': 0.5, 'c': 1}")
    'r^2 falls as a^(-L): a b = 0.5, c = 1'
    >>> _plainly("log of the second over the first: mean 0.538 of 12 draws, above 0.1")
    'log of the second over the first: mean 0.538 of 12 draws, a factor of 1.71, above 0.1'
    """
    found = re.sub(r"\^\((-?)1 ", r"^(\1", found.replace("**", "^"))
    found = _MEAN_OF_LOG.sub(lambda m: f"{m[0]}, a factor of {math.exp(float(m[1])):.3g}", found)
    mapping = r"\{('\w+': [^{}']*(?:, '\w+': [^{}']*)*)\}"
    return re.sub(mapping, lambda m: re.sub(r"'(\w+)': ", _named, m[1]), found)


def _compared(found: str) -> str:
    """What two sides of an equation are: not what the sentence on them names, where they are 0.

    >>> _compared("it is $0$"), _compared("it is a long expression")
    ('both sides of the comparison are $0$', 'both sides of the comparison are the same')
    """
    sides = re.sub("^it is ", "both sides of the comparison are ", found)
    return sides.replace("are a long expression", "are the same")


def _named(match: re.Match[str]) -> str:
    return f"{match[1].replace('_', ' ')} = "
