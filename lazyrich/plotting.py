"""How the figures look: one look a quantity, told apart by all readers and in grey print.

Colours are those of Okabe and Ito (2008), for readers who are colour-blind. Quantities that share
axes differ in line style as well, so that no reading depends on the colour. Values of a parameter
that is swept run along cividis from dark to light, monotone in lightness.
"""

import base64
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, cast

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lazyrich.support.arguments import shown
from lazyrich.support.files import write_whole
from lazyrich.support.output import output_file

# The files that pictures can be written to.
PICTURES = (".png", ".pdf", ".svg")
# Inches: the width of the paper's text.
WIDTH = 5.5

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE, GREY = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#767676",
)

# Quantity -> how its line is drawn, in every figure; the names are those of a run's history.
LOOKS: dict[str, dict[str, Any]] = {
    "train_loss": {"color": BLUE, "linestyle": (0, (4, 1.5)), "label": "train loss"},
    "population_loss": {"color": VERMILLION, "linestyle": "-", "label": "test loss"},
    "variance": {"color": SKY, "linestyle": (0, (5, 1, 1, 1)), "label": "variance"},
    "misalignment": {"color": GREEN, "linestyle": (0, (4, 1.5)), "label": "misalignment"},
    "linear": {"color": BLACK, "linestyle": (0, (1, 1)), "label": "linear power"},
    "weight_norm": {"color": ORANGE, "linestyle": (0, (4, 1.5)), "label": "weight norm"},
    "centred_alignment": {"color": GREY, "linestyle": "-", "label": "alignment"},
    "kernel_regression": {
        "color": BLACK,
        "linestyle": "-",
        "linewidth": 0.7,
        "label": "kernel regression",
    },
    "train_accuracy": {"color": BLUE, "linestyle": (0, (4, 1.5)), "label": "train accuracy"},
    "test_accuracy": {"color": VERMILLION, "linestyle": "-", "label": "test accuracy"},
    "l1": {"color": ORANGE, "linestyle": (0, (4, 1.5)), "label": "$L_1$"},
    "l2": {"color": GREEN, "linestyle": "-", "label": "$L_2$"},
    "network_path": {"color": PURPLE, "linestyle": "-", "label": "network"},
    "twin_path": {
        "color": BLACK,
        "linestyle": (0, (4, 1.5)),
        "linewidth": 0.8,
        "label": "linearised",
    },
}


def look(quantity: str, **changes: Any) -> dict[str, Any]:
    """Return how the line of a quantity is drawn, with these changes.

    >>> look("linear", label="linear term")["label"]
    'linear term'
    """
    return LOOKS[quantity] | changes


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Return colours for the values of a swept parameter, from dark to light.

    >>> from matplotlib.colors import to_rgb
    >>> grey = [float(np.dot(to_rgb(c), [0.299, 0.587, 0.114])) for c in shades(5)]
    >>> grey == sorted(grey) and grey[-1] < 0.8
    True
    """
    return [tuple(color) for color in matplotlib.colormaps["cividis"](np.linspace(0, 0.88, count))]


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the style of the figures, regardless of the user's matplotlib settings."""
    sheet = Path(__file__).with_name("lazyrich.mplstyle")
    with matplotlib.style.context(["default", sheet]):
        yield


def steps_axis(axes: Axes, last: float) -> None:
    """Make x a logarithmic axis of gradient steps, from step 1 (0 has no place on it)."""
    axes.set(xscale="log", xlabel="gradient steps", xlim=(1, last))


def letter(axes: Axes, text: str, title: str = "") -> None:
    """Name a panel (a), (b), ... with its title, to the left above it."""
    axes.set_title(f"({text})  {title}" if title else f"({text})", loc="left")


def legend_above(axes: Axes, columns: int = 4, *, title: bool = True) -> None:
    """Put the legend above the axes, where it crosses no curve, right of a short title."""
    place = ("lower right", (1, 1)) if title else ("lower left", (0, 1))
    axes.legend(loc=place[0], bbox_to_anchor=place[1], ncols=columns, columnspacing=1.2)


def legend_below(figure: Figure, *of: Axes) -> None:
    """Put one legend of these panels below all, where it crosses no curve; each label once."""
    lines = {
        label: handle
        for axes in of
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=min(len(lines), 4))


def band(axes: Axes, x: np.ndarray, runs: np.ndarray, color: str | tuple) -> None:
    """Shade the range from the lowest to the highest of several runs, of shape (seeds, steps)."""
    axes.fill_between(x, runs.min(0), runs.max(0), color=color, alpha=0.18, linewidth=0)


def embedded(figure: Figure, alt: str) -> str:
    """Return a figure as an image of HTML that needs no file; ``alt`` is plain text.

    >>> embedded(Figure(figsize=(1, 1)), "a < b")[:50]
    '<img alt="a &lt; b" src="data:image/png;base64,iVB'
    """
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=130)
    content = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{content}">'


def picture_file(path: str | os.PathLike | None) -> Path | None:
    """Return the path of a picture that can be written there; None stays None.

    Raises ``ValueError`` in one line, before anything is drawn.

    >>> picture_file("curve.gif")
    Traceback (most recent call last):
    ...
    ValueError: file curve.gif: suffix = '.gif': Allowed: .png, .pdf, .svg
    """
    if path is not None and not isinstance(path, str | os.PathLike):
        raise ValueError(f"file = {shown(path)}: must be the path of a picture, or None")
    return output_file("file", None if path is None else os.fspath(path), PICTURES)


class Picture(Figure):
    """A figure that every notebook shows, also one in which nothing has loaded pyplot.

    >>> Picture(figsize=(1, 1))._repr_png_()[1:4]
    b'PNG'
    """

    def _repr_png_(self) -> bytes:
        return rendered(self, ["png"])["png"]


def saved(draw: Callable[[], Figure], path: str | os.PathLike | None) -> Picture:
    """Return the figure that ``draw`` makes, written to a file as well unless ``path`` is None.

    The figure is made a ``Picture``, so that every notebook shows it.

    >>> saved(lambda: Figure(figsize=(1, 1)), None)._repr_png_()[1:4]
    b'PNG'
    """
    file = picture_file(path)
    figure = draw()
    if not isinstance(figure, Picture):
        figure.__class__ = Picture
    if file is not None:
        (content,) = rendered(figure, [file.suffix[1:]]).values()
        write_whole(file, lambda part: part.write_bytes(content))
    return cast(Picture, figure)


def rendered(figure: Figure, suffixes: Sequence[str]) -> dict[str, bytes]:
    """Return the figure as bytes for each of "pdf", "png", "svg": the same bytes every time.

    Draw it in the ``house_style``.

    >>> def draw():
    ...     with house_style():
    ...         figure = Figure(figsize=(1, 1))
    ...         figure.add_subplot().plot([0, 1])
    ...         return rendered(figure, ("pdf", "png"))
    >>> draw() == draw()
    True
    """
    undated = {
        "pdf": {"CreationDate": None, "Creator": "lazyrich", "Producer": None},
        "png": {"Software": "lazyrich"},
        "svg": {"Date": None, "Creator": "lazyrich"},
    }
    files = {}
    # Resolution and fonts are chosen only now; SVG names its parts by a salt.
    with house_style(), matplotlib.rc_context({"svg.hashsalt": "lazyrich"}):
        layout = figure.get_layout_engine()
        if layout is not None:  # once: it takes longer than drawing, and savefig does it twice
            if figure.axes:
                layout.execute(figure)
            figure.set_layout_engine("none")
        for suffix in suffixes:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=undated[suffix])
            files[suffix] = buffer.getvalue()
        figure.set_layout_engine(layout)
    return files
