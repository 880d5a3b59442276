"""Do theory, simulation and papers agree? A ledger of claims with evidence that can be run.

``claims()`` lists them, ``run()`` checks them. The strategies and properties that the evidence is
made of are public: ``lazyrich.verify.strategies``, ``lazyrich.verify.properties``.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec

from lazyrich.arguments import one_of, positive_integer
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict, by_name, check_all
from lazyrich.verify.report import Report

__all__ = ["Budget", "Claim", "Evidence", "Report", "Verdict", "claims", "run"]

# In the order of the ledger; each has a function claims() -> list[Claim].
_SUBJECTS = (
    "model",
    "spectrum",
    "eigenfunctions",
    "loss",
    "alignment",
    "readouts",
    "hermite",
    "general",
    "dynamics",
    "width",
    "text",
)


def claims() -> dict[str, Claim]:
    """Every claim of the ledger by name."""
    found = [name for s in _SUBJECTS if find_spec(name := f"lazyrich.verify.claims_{s}")]
    modules = map(import_module, found)
    return by_name(claim for module in modules for claim in module.claims())


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
    budget = Budget(
        examples=Budget.examples if examples is None else positive_integer("examples", examples),
        seed=Budget.seed if seed is None else seed,
    )
    table = claims()
    chosen = list(table) if names is None else [one_of("claim", name, table) for name in names]
    rows = check_all([table[name] for name in dict.fromkeys(chosen)], budget, progress)
    return Report(rows, budget)
