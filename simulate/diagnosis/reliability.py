"""How often forecasts of ``diagnose`` were right, counted from what benchmarks/diagnose.py ran.

``reliability.jsonl`` has a row for each pair of task and scale. Sets 4 and 5 were fixed together
and run once; then a rule was changed for networks that they do not have (``benchmarks/diagnose.py``
says which), both were run again, and set 6 was fixed and run once.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from lazyrich.simulate.modules.losses import Loss, cross_entropy, mean_square
from lazyrich.simulate.outcome import GROKS

FILE = Path(__file__).with_name("reliability.jsonl")
# The sets whose rules are those in use; with weight decay, set 4 came before these rules.
QUOTED, WITH_DECAY = (4, 5, 6), (5, 6)


# What is said of forecasts for other losses.
OTHER_LOSS = "such losses are not among the validated."


def validated(loss: Loss) -> bool:
    """Return whether forecasts for a loss were tested: the mean square and the cross-entropy.

    >>> validated(cross_entropy), validated(nn.functional.l1_loss)
    (True, False)
    """
    return loss in (mean_square, nn.functional.mse_loss, cross_entropy, nn.functional.cross_entropy)


@cache
def rows() -> tuple[dict[str, Any], ...]:
    """Return all pairs that were run."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines if line)


def pairs() -> list[dict[str, Any]]:
    """Return the pairs that are quoted, trained by gradient flow without weight decay."""
    found = (row for row in rows() if row["set"] in QUOTED)
    return [row for row in found if "optimiser" not in row and "decay" not in row]


def with_decay() -> list[dict[str, Any]]:
    """Return the pairs that gradient flow with weight decay trained, by the rules in use."""
    return [row for row in rows() if "decay" in row and row["set"] in WITH_DECAY]


def with_optimiser(name: str) -> list[dict[str, Any]]:
    """Return the pairs that an optimiser trained, by its name."""
    return [row for row in rows() if row.get("optimiser") == name]


def right(row: dict[str, Any]) -> bool:
    """Return whether the phase of a pair was forecast."""
    return row["said"] == row["seen"]


def factor(row: dict[str, Any]) -> float:
    """Return how far off the delay was, at least 1; infinite where no delay was forecast.

    >>> factor({"said": "groks", "seen": "groks", "said delay": 2.0, "seen delay": 4.0})
    2.0
    """
    said, seen = row["said delay"], row["seen delay"]
    if not (right(row) and said > 0 and seen > 0):
        return math.inf
    return max(said / seen, seen / said)


def counts() -> dict[str, int]:
    """Return the counts that answers quote.

    >>> found = counts()
    >>> found["right"] <= found["pairs"], found["delays within a factor 2"] <= found["grokked"]
    (True, True)
    """
    grokked = [row for row in pairs() if row["seen"] == GROKS]
    return {
        "pairs": len(pairs()),
        "right": sum(map(right, pairs())),
        "grokked": len(grokked),
        "forecast to grok": sum(map(right, grokked)),
        "delays within a factor 2": sum(factor(row) <= 2 for row in grokked),
    }


def words() -> str:
    """Return the reliability in words."""
    n = counts()
    return (
        f"in {n['pairs']} pairs of task and scale that were not used to make the rules (gradient "
        f"flow without weight decay), {n['right']} phases were forecast right "
        f"({n['right'] / n['pairs']:.0%}); of {n['grokked']} that grokked, "
        f"{n['forecast to grok']} were forecast to, {n['delays within a factor 2']} with a delay "
        "within a factor 2."
    )


def words_with(name: str) -> str:
    """Return the reliability with an optimiser, as a sentence.

    >>> words_with("Nameless")
    'No forecast was tested with Nameless.'
    """
    tried = [with_optimiser(f"{name}{batches}") for batches in ("", ", mini-batches")]
    full, parts = map(_share, tried)
    if not full:
        return f"No forecast was tested with {name}."
    line = f"In tests with {name}, {full}"
    return f"{line}; on mini-batches, {parts}." if parts else f"{line}."


def _share(tried: list[dict[str, Any]]) -> str:
    """Return how many phases were right, and what became of the other runs; empty for no run."""
    found = [row for row in tried if row["seen"] not in ("diverges", "not fitted")]
    if not found:
        return ""
    line = f"{sum(map(right, found))} of {len(found)} phases were forecast right"
    counts = {
        "diverged": sum(row["seen"] == "diverges" for row in tried),
        "did not fit": sum(row["seen"] == "not fitted" for row in tried),
    }
    other = " and ".join(f"{count} more runs {what}" for what, count in counts.items() if count)
    return f"{line} ({other})" if other else line


def words_of_decay() -> str:
    """Return the reliability with weight decay, in words."""
    tried = with_decay()
    near, grokked = _near(tried)
    return (
        f"with weight decay, in {len(tried)} other pairs: {sum(map(right, tried))} phases right; "
        f"{near} of {grokked} delays of those that grokked as forecast within a factor 2"
    )


def words_of_delay(decays: bool, flow: bool = True) -> str:
    """Return how many forecast delays were near, with weight decay or without, in words.

    ``flow``: whether training follows gradient flow, as in the tests.

    >>> words_of_delay(False, flow=False)
    'not tested with this optimiser'
    """
    if not flow:
        return "not tested with this optimiser"
    near, grokked = _near(with_decay() if decays else pairs())
    return f"{near} of {grokked} within a factor 2 in tests, with{'' if decays else 'out'} decay"


def _near(tried: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many delays were within a factor 2, and of how many that grokked as forecast."""
    grokked = [row for row in tried if row["seen"] == GROKS and right(row)]
    return sum(factor(row) <= 2 for row in grokked), len(grokked)
