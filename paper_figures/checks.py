"""What a figure is said to show, held against the data behind it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from xarray import DataArray


@dataclass(frozen=True)
class Check:
    """One claim about the data of a figure, measured.

    ``name`` is a short id; ``sentence`` says what is claimed, by the paper where ``source`` names
    a place in it, else by lazyrich. ``measured`` is what was found and ``allowed`` what would count
    as holding, both as text; ``holds`` is whether it did. ``expected`` is lazyrich's record of
    whether it does: False for a claim of the paper that does not come out, which is a result. A
    check passes if the data behave as recorded, so that a change in either direction is noticed.
    With ``too_small`` the runs are known to be too small to show the claim: it passes either way.
    ``claim`` is the claim of the ledger (``lazyrich.verify``) that the check is evidence for, and
    ``judges`` what of it the check holds against the runs: its statement (as the ledger confirms
    it, or as printed where the ledger doesn't), its statement without the assumption that the
    ledger names, or the right form that the ledger gives.

    >>> refuted = Check("final-loss", "the smaller epsilon, the lower the final loss",
    ...                 "0.03 > 0.01", "increasing", holds=False, expected=False)
    >>> refuted.passed, refuted.outcome
    (True, 'does not hold (known)')
    """

    name: str
    sentence: str
    measured: str
    allowed: str
    holds: bool
    expected: bool = True
    source: str = ""
    claim: str = ""
    judges: str = "statement"
    too_small: bool = False

    @property
    def passed(self) -> bool:
        """Whether the data behave as lazyrich has recorded, or are too small to tell."""
        return self.too_small or bool(self.holds) == self.expected

    @property
    def outcome(self) -> str:
        """What to print; ``OUTCOMES`` says what each means."""
        if bool(self.holds) != self.expected:
            changed = "changed: holds now" if self.holds else "changed: does not hold now"
            return "too small to tell" if self.too_small else changed
        return "holds" if self.holds else "does not hold (known)"

    @property
    def judged(self) -> str:
        """What it judges, in words: empty where that is the claim as the record states it."""
        return judged(self.claim, self.judges)


# The outcomes of checks and what they mean, for readers.
OUTCOMES = {
    "holds": "the runs show what is claimed",
    "does not hold (known)": "the runs do not show what is claimed; lazyrich records this as a "
    "result",
    "changed": "the outcome differs from what lazyrich has recorded; look at it",
    "too small to tell": "these runs, of the tiny preset, are too small to show the claim",
}


def judged(claim: str, judges: str) -> str:
    """Return what a check judges of a claim, so that its outcome isn't read as the verdict on it.

    >>> judged("fig-3e", "statement")
    ''
    >>> judged("sec-5.1-small-alpha", "without assumption")
    'judges sec-5.1-small-alpha without the assumption under which it is confirmed'
    """
    if judges == "without assumption":
        return f"judges {claim} without the assumption under which it is confirmed"
    return f"judges the right form of {claim}, not what is printed" * (judges == "right form")


def explained(outcomes: Iterable[str]) -> list[str]:
    """Return a line for each of these outcomes that needs an explanation.

    >>> explained(["holds", "changed: holds now", "holds"])
    ['changed: the outcome differs from what lazyrich has recorded; look at it']
    """
    known = {outcome.partition(":")[0] for outcome in outcomes} - {"holds"}
    return [f"{name}: {meaning}" for name, meaning in OUTCOMES.items() if name in known]


def spread(values) -> str:
    """Return "median [lowest, highest]" of several seeds, as text; the value of a single one.

    >>> spread([3.0, 1.0, 2.5]), spread([2.0]), spread([])
    ('2.5 [1, 3]', '2', 'none')
    >>> spread([np.inf, np.inf]), spread([np.nan])
    ('never (within the runs)', 'not measured')
    """
    values = np.asarray(values, dtype=float)
    if values.size == 0:
        return "none"
    if np.isnan(values).all():
        return "not measured"
    if np.isposinf(values).all():
        return "never (within the runs)"
    if values.size == 1:
        return f"{values.item():.3g}"
    return f"{np.median(values):.3g} [{values.min():.3g}, {values.max():.3g}]"


def of_seeds(count: int, what: str = "seed") -> str:
    """Return a count with its noun.

    >>> of_seeds(1), of_seeds(3, "other seed")
    ('1 seed', '3 other seeds')
    """
    return f"{count} {what}" + "s" * (count != 1)


def lines_of(count: int) -> str:
    """Return what the lines of a picture are, of so many seeds.

    >>> lines_of(1), lines_of(3)
    ('of one seed', 'medians, shades the range over 3 seeds')
    """
    return "of one seed" if count == 1 else f"medians, shades the range over {of_seeds(count)}"


def median_seed(values: DataArray) -> DataArray:
    """Return the median over the seeds, as the one seed that is left.

    >>> median_seed(DataArray([[1, 5], [2, 4], [9, 0]], dims=("seed", "alpha"))).values.tolist()
    [[2.0, 4.0]]
    """
    return values.median("seed").expand_dims("seed")


def never_falls(values: DataArray, along: str) -> bool:
    """Return whether values never fall along an axis, and rise from its start to its end.

    For all other axes (seeds); infinite values may follow each other.

    >>> never_falls(DataArray([[1, 1, 2], [0, np.inf, np.inf]], dims=("seed", "alpha")), "alpha")
    True
    >>> never_falls(DataArray([1, 2, np.nan], dims="alpha"), "alpha")
    False
    """
    before, after = values.isel({along: slice(-1)}), values.isel({along: slice(1, None)})
    first, last = values.isel({along: 0}), values.isel({along: -1})
    return bool((after.values >= before.values).all() and (last > first).all())


def ends(values: DataArray, along: str, symbol: str) -> str:
    """Return the values at both ends of an axis, each with its spread over the others, as text.

    >>> ends(DataArray([[1, 2]], coords={"seed": [0], "alpha": [0.5, 8]}), "alpha", "α")
    '1 at α = 0.5, 2 at α = 8'
    """
    sides = (values.isel({along: i}) for i in (0, -1))
    return ", ".join(f"{spread(v)} at {symbol} = {float(v[along]):.3g}" for v in sides)


def ordered(
    name: str,
    sentence: str,
    values: DataArray,
    along: str,
    symbol: str,
    *,
    falls: bool = False,
    each: str = "seed",
    expected: bool = True,
    source: str = "",
    claim: str = "",
    judges: str = "statement",
) -> Check:
    """Return the check that values grow (or fall) along a swept parameter, for each of the rest.

    >>> loss = DataArray([[1.0, 2.0, 3.0]], coords={"seed": [0], "alpha": [1, 2, 4]}, name="loss")
    >>> ordered("a", "the loss grows", loss, "alpha", "α").holds
    True
    >>> ordered("a", "the loss falls", loss, "alpha", "α", falls=True).holds
    False
    """
    return Check(
        name,
        sentence,
        ends(values, along, symbol),
        f"never {'rises' if falls else 'falls'} from one {symbol} to the next, and "
        f"{'falls' if falls else 'rises'} from the first to the last, for every {each}",
        never_falls(-values if falls else values, along),
        expected=expected,
        source=source,
        claim=claim,
        judges=judges,
    )
