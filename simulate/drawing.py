"""Pictures on demand: matplotlib is loaded when one is drawn.

The pictures are loaded by name, so that they are no part of the code behind a stored run (see
``fingerprint``): a change of a colour makes no run be done again.
"""

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(picture: str, *arguments: Any, **options: Any) -> "Figure":
    """Return the figure that ``pictures.PICTURE.draw`` makes of these arguments."""
    module = importlib.import_module(f"lazyrich.simulate.pictures.{picture}")
    return module.draw(*arguments, **options)


def saved(draw: "Callable[[], Figure]", file: str | os.PathLike | None) -> "Figure":
    """Return the figure that ``draw`` makes, written to ``file`` too; see ``plotting.saved``."""
    return importlib.import_module("lazyrich.plotting").saved(draw, file)


def embedded(figure: "Figure", alt: str) -> str:
    """Return a figure as an image of HTML that needs no file; see ``plotting.embedded``."""
    return importlib.import_module("lazyrich.plotting").embedded(figure, alt)
