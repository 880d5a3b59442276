"""The record: every statement that the ledger judges, as data in TOML files.

One folder a source (``kumar``: Kumar et al. 2024; ``lyu``: Lyu et al. 2024; ``laws``: ours), one
file a topic. A table is a claim; its fields are those of ``lazyrich.verify.Claim``. Notes on
spelling and pointers are in ``notes.toml``: they are listed, never counted as claims.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from lazyrich.support.arguments import listed, shown
from lazyrich.verify.ledger import Claim, Verdict, by_name

SOURCES = {
    "kumar": "Kumar et al. 2024",
    "lyu": "Lyu et al. 2024",
    "laws": "laws of lazyrich",
}


@dataclass(frozen=True)
class Note:
    """A slip of the pen, a wrong pointer, or a choice that a reproducer must make.

    ``kind``: spelling, wording, heading, pointer, colour, setting, cited.
    """

    name: str
    place: str
    kind: str
    note: str = ""
    printed: str = ""
    meant: str = ""


@cache
def read() -> dict[str, Claim]:
    """Every claim by name: one source after the other, each in the paper's order."""
    return by_name(claim for source in SOURCES for claim in sorted(_of(source), key=_place))


def select(names: Iterable[str]) -> list[Claim]:
    """The claims of these names, of names that begin so (``sec-16``, ``law-``), or of a source.

    Raises ``ValueError`` for a name that fits none, with the nearest three.

    >>> [claim.name for claim in select(["eq-6", "eq-6"])], len(select(["lyu"])) > 10
    (['eq-6'], True)
    >>> select(["eq-66"])
    Traceback (most recent call last):
    ...
    ValueError: claim = 'eq-66': did you mean 'eq-6' or 'eq-16'? lazyrich verify --list shows all
    """
    table = read()
    chosen: dict[str, Claim] = {}
    for name in listed("names", names, "claims"):
        if not isinstance(name, str):
            raise ValueError(f"claim = {shown(name)}: must be the name of a claim, as text")
        found = [table[name]] if name in table else [c for c in table.values() if _is_in(c, name)]
        if not found:
            raise ValueError(f"claim = {name!r}: {_hint(name)} lazyrich verify --list shows all")
        chosen |= {claim.name: claim for claim in found}
    return list(chosen.values())


def _hint(name: str) -> str:
    """The nearest three: alike but for dashes, with the name in theirs, or of similar spelling.

    >>> _hint("sec5"), _hint("nope")
    ("did you mean 'sec-5'?", 'no claim has this name or begins with it.')
    >>> _hint("EQ-5")
    "did you mean 'eq-5'?"
    """
    table = read()
    groups = {m[0] for claim in table for m in re.finditer(r"^[a-z]+-\d*(?=\D|$)", claim)}
    known = dict.fromkeys([*sorted(groups), *table])

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    near = [text for text in known if bare(text) == bare(name)]
    if not near:
        near = [text for text in table if len(name) > 2 and name.lower() in text]
    if not near:
        near = get_close_matches(name.lower(), table, n=3, cutoff=0.75)
    if not near:
        return "no claim has this name or begins with it."
    *others, last = (repr(text) for text in near[:3])
    return f"did you mean {', '.join(others) + ' or ' if others else ''}{last}?"


def _is_in(claim: Claim, group: str) -> bool:
    """Whether the group is the claim's source or the beginning of its name; fig-1 is not fig-15.

    >>> [_is_in(read()["sec-5.3-cka-norm"], group) for group in ("sec-5", "sec-5.", "sec-")]
    [True, True, True]
    """
    rest = claim.name.removeprefix(group)
    return group == claim.source or (
        rest != claim.name and (group.endswith(("-", ".")) or not rest[0].isdigit())
    )


@cache
def notes() -> tuple[Note, ...]:
    """The notes, in the order of the file."""
    return tuple(Note(name, **_joined(table)) for name, table in _load("notes.toml").items())


def _of(source: str) -> list[Claim]:
    folder = files(__name__) / source
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return [
        _claim(name, source, file.removesuffix(".toml"), _joined(table))
        for file in names
        for name, table in _load(source, file).items()
    ]


def _load(*path: str) -> dict[str, dict]:
    file = files(__name__).joinpath(*path)
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _claim(name: str, source: str, topic: str, table: dict[str, Any]) -> Claim:
    try:
        known: dict[str, Any] = table | {"verdict": Verdict(table["verdict"])}
        return Claim(name=name, source=source, topic=topic, **known)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"record/{source}/{topic}.toml: {name}: {error}") from None


def _joined(table: dict) -> dict:
    """Texts with their line breaks as spaces."""
    return {
        key: " ".join(value.split()) if isinstance(value, str) else _joined(value)
        for key, value in table.items()
    }


def _place(claim: Claim) -> tuple:
    """Sections by number, the abstract before and figures after them; then equations."""
    if claim.place.startswith("Abstract"):
        return (0,)
    section = re.search(r"(?:Sec|App)[a-z]*\.?\s*([\d.]*\d)", claim.place)
    equation = re.search(r"eqs?\.?\s*\((\d+)", claim.place)
    figure = re.search(r"Fig[a-z]*\.?\s*(\d+)", claim.place)
    if section is None:
        return (1, int(figure[1])) if figure else (2,)
    numbers = tuple(int(n) for n in section[1].split("."))
    return (0, *numbers, 0, int(equation[1]) if equation else 0)
