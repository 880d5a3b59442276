"""The picture of a task: its labels along the directions of its target."""

from typing import TYPE_CHECKING, Any

from lazyrich.plotting import BLUE, GREY, WIDTH, Picture, house_style, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 3


def draw(task: Any) -> "Figure":
    """Return the figure of the labels against beta.x, or their histogram where there is no beta."""
    directions = task.directions[:_MOST]
    count = max(len(directions), 1)
    with house_style():
        size = (WIDTH * (0.55 if count == 1 else 1.0), 0.42 * WIDTH)
        figure = Picture(figsize=size, layout="constrained")
        panels = figure.subplots(1, count, squeeze=False)[0]
        if len(directions) == 0:
            panels[0].hist(task.y.numpy(), bins=30, color=BLUE, label=f"{task.P} training labels")
            panels[0].set(xlabel="y", ylabel="samples")
        for number, (ax, beta) in enumerate(zip(panels, directions, strict=False), 1):
            name = "beta" if len(task.directions) == 1 else f"beta_{number}"
            _labels(ax, task, beta, name)
        legend_above(panels[0], title=False)
    return figure


def _labels(ax: "Axes", task: Any, beta: Any, name: str) -> None:
    size = float(beta.norm()) or 1.0
    if len(task.X_test):
        along = (task.X_test @ beta / size).numpy()
        ax.plot(along, task.y_test.numpy(), ".", color=GREY, ms=1.5, alpha=0.5, label="test")
    along = (task.X @ beta / size).numpy()
    label = f"{task.P} training samples"
    ax.plot(along, task.y.numpy(), "o", color=BLUE, ms=2, mfc="none", mew=0.6, label=label)
    ax.set(xlabel=f"{name}.x/|{name}|", ylabel="y")
