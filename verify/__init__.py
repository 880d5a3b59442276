"""Do theory, simulation and papers agree? A ledger of claims with evidence that can be run.

``claims()`` lists them, ``run()`` checks them. What is said is data (``record``), what shows it is
code (``kumar``, ``lyu``, ``laws``). The strategies and properties that the evidence is made of are
public: ``lazyrich.verify.strategies``, ``lazyrich.verify.properties``.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from lazyrich.support.arguments import one_of, positive_integer
from lazyrich.verify import errata, record
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict, check_all
from lazyrich.verify.own_problem import problem
from lazyrich.verify.report import Report

__all__ = [
    "Budget",
    "Claim",
    "Evidence",
    "Report",
    "Verdict",
    "claims",
    "problem",
    "run",
    "write_errata",
]


def claims() -> dict[str, Claim]:
    """Every claim of the ledger by name: one source after the other, each in its own order.

    >>> claims()["eq-6"].verdict.value
    'confirmed'
    """
    return dict(record.read())


def run(
    names: Iterable[str] | None = None,
    examples: int | None = None,
    seed: int | None = 0,
    progress: Callable[[float, float], object] | None = None,
) -> Report:
    """Check the claims ``names`` (all if None) and return the report.

    ``examples`` is the number of random inputs for each attack (25 if None), ``seed`` their seed
    (0 if None); ``progress(done, total)`` is called after each claim. Raises ``ValueError`` for an
    unknown claim, with the nearest known one, before any check starts.
    """
    table = record.read()
    chosen = list(table) if names is None else [one_of("claim", name, table) for name in names]
    from lazyrich.simulate.arrays import natural
    from lazyrich.verify.attack import nothing_left_behind

    budget = Budget(
        examples=Budget.examples if examples is None else positive_integer("examples", examples),
        seed=Budget.seed if seed is None else natural("seed", seed),
    )
    with nothing_left_behind():
        rows = check_all([table[name] for name in dict.fromkeys(chosen)], budget, progress)
    return Report(rows, budget)


def write_errata(path: str | Path, report: Report | None = None) -> None:
    """Write the errata to the papers as a self-contained note: .tex, or .md for pandoc.

    For each misprint and refuted claim: what is printed, what it should be, a derivation and the
    smallest counter-example; then the claims that need an unstated assumption. Takes what was found
    from ``report``, or checks all claims. Raises ``ValueError`` for another suffix, before any
    check, and where a claim of the note fails its check.
    """
    one_of("suffix", Path(path).suffix, errata.SUFFIXES)
    checked = run() if report is None else report
    rows = tuple(row for row in checked.rows if row.claim.source in ("", "kumar"))
    errata.write(path, Report(rows, checked.budget))
