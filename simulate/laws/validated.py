"""Over which ranges the forecasts were held against training, and how far they were off there."""

from collections.abc import Mapping
from typing import NamedTuple

FEATURES = "alpha epsilon/|beta|^2"


class Validated(NamedTuple):
    """The ranges of the numbers that describe a network, and the error measured within them."""

    ranges: Mapping[str, tuple[float, float]]
    error: str

    def outside(self, numbers: Mapping[str, int | float]) -> list[str]:
        """Return the names of the numbers that lie outside.

        >>> VALIDATED["times"].outside({"D": 30, "P/D": 10, "alpha/epsilon": 0.5, FEATURES: 0.01})
        ['alpha/epsilon']
        """
        return [
            name
            for name, (low, high) in self.ranges.items()
            if not low * (1 - 1e-9) <= numbers[name] <= high * (1 + 1e-9)
        ]

    def in_words(self) -> str:
        """Return the ranges as text."""
        return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in self.ranges.items())


# Of times and phases: the figures "time-to-grok" and "phase-diagram" at their preset "quick", the
# first with two seeds, and six networks of D = 60 to 100. Of the lazy laws: means over 20 to 60
# data sets.
VALIDATED = {
    "times": Validated(
        {"D": (16, 100), "P/D": (4, 50), "alpha/epsilon": (3, 300), FEATURES: (1e-4, 0.1)},
        "within 4% for 95% of 96 networks; the worst seen 15%, at alpha/epsilon = 3.4",
    ),
    "phase": Validated(
        {"D": (16, 32), "P/D": (1.5, 50), "alpha/epsilon": (3, 300), FEATURES: (1e-4, 1)},
        "right for 88 of 88 networks (P/D below 4 and alpha epsilon/|beta|^2 above 0.1 at D = 16, "
        "alpha/epsilon = 30 only)",
    ),
    "lazy": Validated(
        {"D": (20, 40), "P/D": (0.25, 8)},
        "of this data set exact; the mean by law within 7%, at P = D within 10%",
    ),
}
# What is predicted -> by which of them.
LAWS = {
    "phase": "phase",
    "train loss falls": "times",
    "test loss falls": "times",
    "early plateau, test loss": "lazy",
    "final loss if fully lazy": "lazy",
    "peak of the lazy loss over P": "lazy",
}
