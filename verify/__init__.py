"""Do theory, simulation and papers agree? A ledger of claims with evidence that can be run.

``claims()`` lists them, ``run()`` checks them. The strategies and properties that the evidence is
made of are public: ``lazyrich.verify.strategies``, ``lazyrich.verify.properties``.
"""

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from lazyrich.support.arguments import one_of, positive_integer
from lazyrich.verify import errata
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict, by_name, check_all
from lazyrich.verify.report import Report

__all__ = ["Budget", "Claim", "Evidence", "Report", "Verdict", "claims", "run", "write_errata"]

# Each is a package of claims, one topic a file.
SOURCES = ("kumar", "lyu", "laws")


def claims() -> dict[str, Claim]:
    """Every claim of the ledger by name: one source after the other, each in its own order.

    They come from all modules of the packages ``SOURCES``, each with a function ``claims()``.

    >>> claims()["eq-6"].verdict.value
    'confirmed'
    """
    return by_name(claim for source in SOURCES for claim in _claims_on(source))


def _claims_on(source: str) -> list[Claim]:
    package = import_module(f"{__name__}.{source}")
    modules = (
        import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__)
    )
    return sorted((claim for module in modules for claim in module.claims()), key=_place)


def _place(claim: Claim) -> tuple:
    """Sections by number, the abstract before and figures after them; then equations."""
    if claim.source.startswith("Abstract"):
        return (0,)
    section = re.search(r"(?:Sec|App)[a-z]*\.?\s*([\d.]*\d)", claim.source)
    equation = re.search(r"eqs?\.?\s*\((\d+)", claim.source)
    figure = re.search(r"Fig[a-z]*\.?\s*(\d+)", claim.source)
    if section is None:
        return (1, int(figure[1])) if figure else (2,)
    numbers = tuple(int(n) for n in section[1].split("."))
    return (0, *numbers, 0, int(equation[1]) if equation else 0)


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
    from lazyrich.simulate.arrays import natural
    from lazyrich.verify.attack import nothing_left_behind

    budget = Budget(
        examples=Budget.examples if examples is None else positive_integer("examples", examples),
        seed=Budget.seed if seed is None else natural("seed", seed),
    )
    table = claims()
    chosen = list(table) if names is None else [one_of("claim", name, table) for name in names]
    with nothing_left_behind():
        rows = check_all([table[name] for name in dict.fromkeys(chosen)], budget, progress)
    return Report(rows, budget)


def write_errata(path: str | Path, report: Report | None = None) -> None:
    """Write the errata to Kumar et al. 2024 as a self-contained note: .tex, or .md for pandoc.

    For each misprint and refuted claim: what is printed, what it should be, a derivation and the
    smallest counter-example; then the claims that need an unstated assumption. Takes what was found
    from ``report``, or checks all claims. Raises ``ValueError`` for another suffix, before any
    check, and where a claim of the note fails its check.
    """
    one_of("suffix", Path(path).suffix, errata.SUFFIXES)
    checked = run() if report is None else report
    others = {claim.name for source in SOURCES[1:] for claim in _claims_on(source)}
    rows = tuple(row for row in checked.rows if row.claim.name not in others)
    errata.write(path, Report(rows, checked.budget))
