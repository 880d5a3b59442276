"""Do theory, simulation and papers agree? A ledger of claims with evidence that can be run.

``claims()`` lists them, ``run()`` checks them. What is said is data (``record``), what shows it is
code (``kumar``, ``lyu``, ``laws``). The strategies and properties that the evidence is made of are
public: ``lazyrich.verify.strategies``, ``lazyrich.verify.properties``.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from lazyrich.support.arguments import natural, positive_integer, shown
from lazyrich.support.files import path_of_kind
from lazyrich.support.patience import followed, told
from lazyrich.verify import errata, record
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict
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
    jobs: int = 1,
) -> Report:
    """Check the claims ``names`` (all if None) and return the report.

    A name may also be the beginning of names (``law-``) or a source (``kumar``, ``lyu``, ``laws``).
    ``examples`` is the number of random inputs for each attack (25 if None), ``seed`` their seed
    (0 if None); ``progress(done, total)`` is called as claims are done. ``jobs`` processes of one
    thread each share the work. Raises ``ValueError`` for an unknown claim, with the nearest three,
    before any check starts.
    """
    table = record.read()
    chosen = list(table.values()) if names is None else record.select(names)
    positive_integer("jobs", jobs)
    budget = Budget(
        examples=Budget.examples if examples is None else positive_integer("examples", examples),
        seed=Budget.seed if seed is None else natural("seed", seed),
    )
    from lazyrich.verify.runner import check_all

    progress = told(progress, "the checks")
    with followed():
        return Report(check_all(chosen, budget, progress, jobs), budget)


def write_errata(path: str | Path, report: Report | None = None) -> None:
    """Write the errata to the papers as a self-contained note: .tex, or .md for pandoc.

    Paper by paper: what is wrong, with the right form, a derivation and the smallest
    counter-example; what was not reproduced; assumptions to be stated; editorial notes. Nothing in
    it rests on a run of another size than the paper's. Takes what was found from ``report``, or
    checks all claims. Raises ``ValueError`` for another suffix, before any check, and where a
    claim of the note fails its check.
    """
    path_of_kind(path, errata.SUFFIXES)
    if not isinstance(report, Report | None):
        raise ValueError(f"report = {shown(report)}: must be a report of run")
    errata.write(path, run() if report is None else report)
