"""What a file of a figure must have: a type, by which pyright checks every figure."""

from collections.abc import Mapping
from typing import Any, Protocol

from matplotlib.figure import Figure
from xarray import Dataset

from lazyrich.paper_figures.checks import Check
from lazyrich.simulate.runs import Runs


class FigureModule(Protocol):
    """A file of a figure. A new figure is a file that has these, and a line in the catalogue.

    It may also have ``TOO_SMALL``, the names of the checks for which the tiny preset is too small,
    and ``PARTS``: the names of runs that may be left out of ``data``, as too long, in which case
    ``picture`` says so and ``claims`` are without those about them.
    """

    @property
    def PRESETS(self) -> Mapping[str, Any]:
        """Preset -> its parameters ``p``, a frozen dataclass."""
        ...

    def sweeps(self, p: Any, /) -> dict[str, Runs]:
        """Return the runs behind the figure, by name."""
        ...

    def picture(self, p: Any, data: dict[str, Dataset], /) -> Figure:
        """Draw the figure from what the runs returned, by name."""
        ...

    def claims(self, p: Any, data: dict[str, Dataset], /) -> list[Check]:
        """Return the checks of what the figure is said to show."""
        ...

    def caption(self, p: Any, data: dict[str, Dataset], /) -> str:
        """Return what is shown; after an empty line, the settings and what was chosen."""
        ...
