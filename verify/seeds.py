"""The whole ledger at many seeds: does every verdict stand, and is every control rejected?

    python -m lazyrich.verify.seeds docs/seeds.md --seeds 30 --jobs 2

The table is kept: only what it lacks is run, which is claims that are new, claims whose evidence
has changed since their row was made (``evidence_code``), and seeds that are missing. It is
written after each seed, so that a run that is stopped goes on where it was. Claims whose evidence
draws nothing at random are checked at the first seed only: their result can't change.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lazyrich.support.arguments import positive_integer
from lazyrich.support.files import write_whole
from lazyrich.verify.evidence_code import code_digest
from lazyrich.verify.ledger import EXACT, Budget, Claim, Evidence, Row
from lazyrich.verify.record import SOURCES, read, select
from lazyrich.verify.runner import check_all

APART = 1000  # between two seeds, so that their draws have none in common
EXAMPLES = 5  # random inputs of an attack at one seed
_ROW = re.compile(r"\| (\S+) \|[^|]*\| (\d+) \| \d+ \| ([0-9a-f]{8}) \|")
_FAILED = re.compile(r"- `(\S+)` at seed (\d+): (.*)")


@dataclass
class Checked:
    """A row of the table: how many seeds (0, ``APART``, ...), which failed and why, the code."""

    code: str
    seeds: int = 0
    failed: dict[int, str] = field(default_factory=dict)


Table = dict[str, Checked]


def is_random(claim: Claim) -> bool:
    """Whether the seed matters: some evidence is attacked or measured, and draws at random.

    >>> from lazyrich import verify
    >>> [is_random(verify.claims()[name]) for name in ("eq-4", "eq-6", "lyu-sharp")]
    [True, True, False]
    """
    return any(piece.draws and _is_empirical(piece) for piece in claim.evidence)


def _is_empirical(piece: Evidence) -> bool:
    return piece.level not in (*EXACT, "read")


def update(
    path: Path,
    claims: Iterable[Claim],
    count: int,
    jobs: int = 1,
    again: bool = False,
    told: Callable[[str], object] | None = None,
) -> Table:
    """Check the claims at the seeds that the table in ``path`` lacks; write and return the table.

    With ``again``, at all ``count`` seeds. ``told(line)`` is called before each seed.
    """
    table, chosen = parse(path.read_text(encoding="utf-8") if path.exists() else ""), list(claims)
    _write(path, table, positive_integer("seeds", count))  # what was lacking is said before it runs
    started: set[str] = set()
    for k in range(count):
        due = [
            claim
            for claim in chosen
            if _missing(claim, None if again and claim.name not in started else table, count) == k
        ]
        if not due:
            continue
        if told is not None:
            told(f"seed {APART * k}: {len(due)} claims")
        for row in check_all(due, Budget(EXAMPLES, APART * k), jobs=jobs):
            _enter(table, row, k)
        started |= {claim.name for claim in due}
        _write(path, table, count)
    return table


def _write(path: Path, table: Table, count: int) -> None:
    page = _page(table, count)
    write_whole(path, lambda part: part.write_text(page, encoding="utf-8"))


def _missing(claim: Claim, table: Table | None, count: int) -> int | None:
    """The number of the first seed that a claim has to be checked at; None where at none."""
    known = (table or {}).get(claim.name)
    if not claim.evidence:  # figures alone judge it
        return None
    done = known.seeds if known is not None and known.code == code_digest(claim) else 0
    return done if done < (count if is_random(claim) else 1) else None


def _enter(table: Table, row: Row, k: int) -> None:
    """Add the result at seed number k; the first one replaces what stood there."""
    name = row.claim.name
    if k == 0:
        table[name] = Checked(code_digest(row.claim))
    table[name].seeds = k + 1
    if not row.passed:
        table[name].failed[APART * k] = _reason(row)


def lacking(path: Path, claims: Iterable[Claim], count: int = 30) -> dict[str, str]:
    """What the table in ``path`` lacks of these claims, in words, by name."""
    table, found = parse(path.read_text(encoding="utf-8")), {}
    for claim in claims:
        if _missing(claim, table, count) is not None:
            known = table.get(claim.name)
            if known is None:
                found[claim.name] = "no row"
            elif known.code != code_digest(claim):
                found[claim.name] = "its evidence has changed"
            else:
                found[claim.name] = f"{known.seeds} seeds only"
    return found


def parse(text: str) -> Table:
    """The table in Markdown, read back.

    >>> text = "- `eq-6` at seed 1000: no\\n| eq-6 | Kumar et al. 2024 | 2 | 1 | 00c0ffee |"
    >>> parse(text)
    {'eq-6': Checked(code='00c0ffee', seeds=2, failed={1000: 'no'})}
    """
    table = {name: Checked(code, int(seeds)) for name, seeds, code in _ROW.findall(text)}
    for name, seed, reason in _FAILED.findall(text):
        if name in table:
            table[name].failed[int(seed)] = reason
    return table


def _page(table: Table, count: int) -> str:
    """The table in Markdown: what failed first, then the claims of the record in its order."""
    record = read()
    rows = {
        name: table[name] if is_random(claim) else _first(table[name])
        for name, claim in record.items()
        if name in table and claim.evidence
    }
    failed, before = [], []
    for name, row in rows.items():
        now = row.code == code_digest(record[name])
        (failed if now else before).extend(
            f"- `{name}` at seed {seed}: {reason}" for seed, reason in sorted(row.failed.items())
        )
    due = [name for name, claim in record.items() if _missing(claim, table, count) is not None]
    lines = [
        "# The ledger at many seeds",
        "",
        "The claims of the ledger at many seeds, with their negative controls (`make seeds`). Use "
        "it to see that no verdict rests on a lucky seed. Words are in [the "
        "glossary](glossary.md).",
        "",
        f"Seeds: 0, {APART}, ..., {APART * (count - 1)}. Claims without randomness run once. The "
        "threshold of a measured claim allows a false alarm at one seed in a thousand. *Code* is "
        "the digest of the checks that made the row. If a claim's checks change, `make seeds` "
        "runs that claim again. A failure says whether the claim's check failed or its "
        "control, the same check on a planted error, which must be rejected.",
        "",
        f"{len(rows)} claims, {sum(row.seeds for row in rows.values())} checks of claims, "
        f"{len(failed)} failed.",
        "",
        *(failed or ["No claim fails, and no control is accepted, at any seed."]),
        "",
        *(["Of checks that have changed since:", "", *before, ""] if before else []),
        *_without_draws(list(record.values())),
        *([_still(due), ""] if due else []),
        "| claim | source | seeds | failed | code |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {SOURCES[record[name].source]} | {row.seeds} | {len(row.failed)} "
            f"| {row.code} |"
            for name, row in rows.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _first(row: Checked) -> Checked:
    """The row at its first seed alone."""
    return Checked(row.code, min(row.seeds, 1), {k: v for k, v in row.failed.items() if k == 0})


def _without_draws(claims: list[Claim]) -> list[str]:
    """The claims that no seed can test: those of figures alone, and measured without draws."""
    figures = [claim.name for claim in claims if not claim.evidence]
    fixed = [
        claim.name
        for claim in claims
        if any(map(_is_empirical, claim.evidence)) and not is_random(claim)
    ]
    return [
        "No checks but those of figures, which their runs judge, without a control; not in the "
        f"table: {', '.join(figures)}.",
        "",
        f"Measured, but nothing is drawn at random, so that they run once: {', '.join(fixed)}.",
        "",
    ]


def _still(due: list[str]) -> str:
    return f"Not complete (`make seeds` runs what is missing): {len(due)} claims, {', '.join(due)}"


def admitted(text: str) -> set[str]:
    """The claims of which the table in Markdown says that it is not complete.

    >>> sorted(admitted(_still(["eq-6", "fig-8"])))
    ['eq-6', 'fig-8']
    """
    (line, *_) = [*re.findall(r"(?m)^Not complete .*: \d+ claims, (.*)$", text), ""]
    return set(line.split(", ")) if line else set()


def _reason(row: Row) -> str:
    """What failed first: a check of the claim, a control (its check holds), a counter-example."""
    for result in row.results:
        if not result.passed:
            found = f"the check fails: {result.found}"
            if result.control:
                found = (
                    f"the control fails, not the claim: {result.control} (found: {result.found})"
                )
            return " ".join(found.split())[:200]
    return f"the counter-example fails: {row.counterexample}"[:200]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and bring the table up to date."""
    parser = argparse.ArgumentParser(description="Check the ledger at many seeds.")
    parser.add_argument("path", type=Path, help="the Markdown file to bring up to date")
    parser.add_argument("claims", nargs="*", help="claims or beginnings of names; default: all")
    parser.add_argument("--seeds", type=int, default=30, help="how many (default: 30)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--again", action="store_true", help="run what the table has as well")
    given = parser.parse_args(arguments)
    claims = select(given.claims) if given.claims else list(read().values())
    update(given.path, claims, given.seeds, given.jobs, given.again, told=print)


if __name__ == "__main__":
    main()
