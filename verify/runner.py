"""Running the evidence of many claims: here, or in processes of one thread each."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from lazyrich.simulate.threads import threads
from lazyrich.simulate.workers import run as run_tasks
from lazyrich.simulate.workers import workers
from lazyrich.verify.attack import nothing_left_behind
from lazyrich.verify.ledger import Budget, Claim, Row, check
from lazyrich.verify.record import read

Progress = Callable[[float, float], object]

# How long evidence of a level takes, about, relative to an exact one.
_COSTS = {"measured": 20.0, "attacked": 2.0}


def check_all(
    claims: Sequence[Claim], budget: Budget, progress: Progress | None = None, jobs: int = 1
) -> tuple[Row, ...]:
    """Check the claims, in their order; ``progress(done, total)`` counts claims.

    With several ``jobs`` the claims of one topic stay together, as they share runs.
    """
    if jobs > 1:
        return _in_processes(claims, budget, progress, jobs)
    rows = []
    with nothing_left_behind(), threads(1):
        for done, claim in enumerate(claims, start=1):
            rows.append(check(claim, budget))
            if progress is not None:
                progress(done, len(claims))
    return tuple(rows)


def _in_processes(
    claims: Sequence[Claim], budget: Budget, progress: Progress | None, jobs: int
) -> tuple[Row, ...]:
    topics: dict[str, list[str]] = {}
    for claim in claims:
        topics.setdefault(f"{claim.source}/{claim.topic}", []).append(claim.name)
    rows: dict[str, Row] = {}
    costs = {topic: sum(_cost(read()[name]) for name in names) for topic, names in topics.items()}

    def keep(found: list[Row]) -> None:
        rows.update({row.claim.name: _with_evidence(row) for row in found})

    tasks = {topic: (names, budget) for topic, names in topics.items()}
    run_tasks(workers(jobs), _topic, tasks, costs, progress, keep)
    return tuple(rows[claim.name] for claim in claims)


def _cost(claim: Claim) -> float:
    return 1 + sum(_COSTS.get(piece.level, 1.0) for piece in claim.evidence)


def _topic(names: list[str], budget: Budget) -> list[Row]:
    """The rows of these claims, without the functions that made them: those can't be sent."""
    table = read()
    rows = check_all([table[name] for name in names], budget)
    return [
        replace(
            row,
            results=tuple(
                replace(r, evidence=replace(r.evidence, check=_sent, control=None))
                for r in row.results
            ),
        )
        for row in rows
    ]


def _sent(_: Budget) -> str:
    """Stands for a check in a row that comes from another process."""
    raise RuntimeError("this evidence ran in another process")


def _with_evidence(row: Row) -> Row:
    """The row with the evidence of this process in place of what was sent."""
    pieces = zip(row.results, row.claim.evidence, strict=True)
    return replace(row, results=tuple(replace(r, evidence=piece) for r, piece in pieces))
