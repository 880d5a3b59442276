"""The whole ledger at many seeds: does every verdict stand, and is every control rejected?

    python -m lazyrich.verify.seeds docs/seeds.md --seeds 30 --jobs 2

Claims whose evidence draws nothing at random are checked at the first seed only: their result
can't change. The table is written after each seed, so that a run that is stopped leaves its part.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from lazyrich.verify.ledger import EXACT, Budget, Claim, Row
from lazyrich.verify.record import SOURCES, read, select
from lazyrich.verify.runner import check_all

APART = 1000  # between two seeds, so that their draws have none in common


def is_random(claim: Claim) -> bool:
    """Whether the seed matters: some evidence is attacked or measured."""
    return any(piece.level not in (*EXACT, "read") for piece in claim.evidence)


def sweep(
    claims: Sequence[Claim], seeds: Iterable[int], path: Path, jobs: int = 1, examples: int = 5
) -> dict[str, dict[int, Row]]:
    """Check the claims at each seed and write the table; the rows by claim and seed."""
    found: dict[str, dict[int, Row]] = {claim.name: {} for claim in claims}
    for k, seed in enumerate(seeds):
        chosen = [claim for claim in claims if k == 0 or is_random(claim)]
        for row in check_all(chosen, Budget(examples, seed), jobs=jobs):
            found[row.claim.name][seed] = row
        path.write_text(table(found), encoding="utf-8")
    return found


def table(found: dict[str, dict[int, Row]]) -> str:
    """The results in Markdown: what failed first, then the counts by claim."""
    seeds = sorted({seed for rows in found.values() for seed in rows})
    failed = [
        f"- `{name}` at seed {seed}: {_reason(row)}"
        for name, rows in found.items()
        for seed, row in rows.items()
        if not row.passed
    ]
    lines = [
        "# The ledger at many seeds",
        "",
        "Every claim of the ledger at every seed, with every negative control (`make seeds`). The "
        "threshold of a measured claim allows a false alarm at one seed in a thousand. Use it "
        "to see that no verdict rests on a lucky seed; words are in [the glossary](glossary.md).",
        "",
        f"Seeds: {', '.join(map(str, seeds))}. Claims without randomness run once. "
        f"{sum(len(rows) for rows in found.values())} checks of claims, {len(failed)} failed.",
        "",
        *(failed or ["No claim fails, and no control is accepted, at any seed."]),
        "",
        "| claim | source | seeds | failed |",
        "|---|---|---|---|",
    ]
    for name, rows in found.items():
        if rows:
            claim = next(iter(rows.values())).claim
            wrong = sum(not row.passed for row in rows.values())
            lines.append(f"| {name} | {SOURCES[claim.source]} | {len(rows)} | {wrong} |")
    return "\n".join(lines) + "\n"


def _reason(row: Row) -> str:
    for result in row.results:
        if not result.passed:
            return " ".join(f"{result.found} {result.control}".split())[:200]
    return row.counterexample[:200]


def main() -> None:
    """Read the command line and write the table."""
    parser = argparse.ArgumentParser(description="Check the ledger at many seeds.")
    parser.add_argument("path", type=Path, help="the Markdown file to write")
    parser.add_argument("claims", nargs="*", help="claims or beginnings of names; default: all")
    parser.add_argument("--seeds", type=int, default=30, help="how many")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    claims = select(given.claims) if given.claims else list(read().values())
    sweep(claims, range(0, APART * given.seeds, APART), given.path, given.jobs)


if __name__ == "__main__":
    main()
