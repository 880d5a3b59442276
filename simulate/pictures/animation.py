"""A training as an animation for a lecture: the neurons in weight space, and the losses.

The neurons are drawn in a plane: along beta (the first direction of the target), and along the
direction across it in which they end up most spread. Engines that train moments in place of neurons
move every neuron by one affine map, which the moments' columns determine: the neurons drawn are
those of the network (for infinite width, draws from their law).
"""

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lazyrich.plotting import BLACK, BLUE, GREY, LOOKS, WIDTH, house_style, legend_above
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.pictures.run import losses, records_of, test_of
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import Diverged
from lazyrich.simulate.train import Plan, Recording, plan, train
from lazyrich.simulate.training import Snapshot
from lazyrich.support.arguments import one_of, positive_integer
from lazyrich.support.files import user_path, write_whole

if TYPE_CHECKING:
    from matplotlib.animation import AbstractMovieWriter
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".gif", ".mp4")
# Neurons drawn: more are a blot.
_SHOWN = 300
_DPI = 130


@dataclass(frozen=True)
class Film:
    """A run with what its frames show: some of its neurons (frames, neurons, 2) at ``steps``."""

    run: Run
    steps: tuple[int, ...]
    neurons: np.ndarray


def animate(
    task: Any,
    file: str | os.PathLike,
    *,
    frames: int = 96,
    frames_per_second: int = 12,
    **options: Any,
) -> Run:
    """Train as ``train`` does, write an animation of it to a file, and return the run.

    Use it in a lecture: the left panel shows the neurons, how far they have moved along the target
    and across it, the right one the losses up to that step. ``file`` ends in .gif, or in .mp4,
    which needs the program ffmpeg. ``frames`` are evenly spaced in the logarithm of the step.
    ``options`` are those of ``train``. Raises ``ValueError`` for bad input before any work.

    >>> import tempfile
    >>> from lazyrich.simulate import PolynomialTask
    >>> task = PolynomialTask(D=4, P=12, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "lecture.gif"
    ...     run = animate(task, path, frames=3, width=8, epsilon=0.5, steps=50)
    ...     path.read_bytes()[:3]
    b'GIF'
    """
    path = user_path(file)
    check_writer(path.suffix)
    positive_integer("frames", frames)
    positive_integer("frames_per_second", frames_per_second)
    shown = film(task, frames, **options)
    write_whole(path, lambda part: write(shown, part, frames_per_second))
    return shown.run


def check_writer(suffix: str) -> None:
    """Raise ``ValueError`` for a suffix that can't be written on this machine."""
    from matplotlib.animation import FFMpegWriter

    one_of("suffix", suffix, SUFFIXES)
    if suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise ValueError(
            "suffix .mp4: needs the program ffmpeg, which is not here; .gif needs none"
        )


def film(task: Any, frames: int, **options: Any) -> Film:
    """Train as ``train`` does, and keep some of the neurons at evenly spaced frames."""
    from lazyrich.simulate.record import default_grid

    steps = positive_integer("steps", options.get("steps", _defaults()["steps"]))
    stops = _stops(steps, frames)
    given = options.pop("record", None)
    record = {*(default_grid(steps) if given is None else given), *stops}
    wanted = plan(task, **_defaults() | options | {"record": record})
    follow, recording = _Neurons(wanted), Recording(wanted)
    positions: dict[int, Tensor] = {}
    try:
        for snapshot in wanted.engine.descend(wanted.training):
            recording.take(snapshot)
            if snapshot.step in stops:
                positions[snapshot.step] = follow.at(snapshot)
    except Diverged as event:
        raise recording.divergence(event.step) from None
    plane = _plane(task, list(positions.values())[-1])
    found = np.stack([(each @ plane).numpy() for each in positions.values()])
    return Film(recording.finish(), tuple(positions), found)


def _stops(steps: int, frames: int) -> set[int]:
    """Return this many steps from 0 to the last, evenly spaced in their logarithm where they can.

    Near step 0 whole steps are further apart; a run has no more frames than steps.

    >>> sorted(_stops(1000, 6)), len(_stops(100_000, 30)), sorted(_stops(3, 30)), _stops(9, 1)
    ([0, 1, 6, 32, 178, 1000], 30, [0, 1, 2, 3], {9})
    """
    if frames == 1:
        return {steps}
    count = min(frames, steps + 1)
    more, stops = count - 1, {0, steps}
    while len(stops) < count:
        stops = {0, steps, *(round(step) for step in np.geomspace(1, steps, more))}
        more += 1
    return stops


def _defaults() -> dict[str, Any]:
    parameters = list(inspect.signature(train).parameters.items())[1:]
    return {name: parameter.default for name, parameter in parameters}


class _Neurons:
    """Some of the neurons of a network, at any snapshot of its training."""

    def __init__(self, wanted: Plan) -> None:
        network = wanted.training.network
        if network.W is not None:
            shares = _shares(network.W, network.start)[:_SHOWN]
        else:
            if bool((network.start.signs < 0).any()):
                raise ValueError("init = (wbar, M): no real neurons have these moments to be drawn")
            shares = standard_normal(0, "weights", (_SHOWN, network.start.columns.shape[1] - 1))
        # Each neuron is wbar + F times its share: a share never changes.
        self._shares = torch.cat([shares.new_ones(len(shares), 1), shares], 1)

    def at(self, snapshot: Snapshot) -> Float[Tensor, "n D"]:
        """Return the neurons (n, D)."""
        if snapshot.W is not None:
            return snapshot.W[:_SHOWN].cpu()
        assert snapshot.columns is not None
        return self._shares @ snapshot.columns.cpu().T


def _shares(W: Float[Tensor, "N D"], start: PseudoNeurons) -> Float[Tensor, "N k"]:
    """Return the coordinates of the neurons: W = wbar + shares F^T.

    >>> W = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]])
    >>> start = PseudoNeurons.from_weights(W)
    >>> back = start.wbar + _shares(W, start) @ start.columns[:, 1:].T
    >>> bool(torch.allclose(back, W, atol=1e-6))
    True
    """
    return (W - start.wbar) @ torch.linalg.pinv(start.columns[:, 1:]).T


def _plane(task: Any, last: Float[Tensor, "n D"]) -> Float[Tensor, "D 2"]:
    """Return two directions: along beta, and across it where the neurons spread most."""
    across = last
    if len(task.directions):
        along = task.directions[0] / task.directions[0].norm()
        across = last - (last @ along)[:, None] * along
        spread = torch.linalg.svd(across, full_matrices=False)[2]
        second = spread[0] if task.D > 1 else torch.zeros_like(along)  # nothing is across
        return torch.stack([along, second], 1)
    directions = torch.linalg.svd(across, full_matrices=True)[2]
    second = directions[1] if len(directions) > 1 else torch.zeros_like(directions[0])
    return torch.stack([directions[0], second], 1)


def write(shown: Film, path: Path, frames_per_second: int) -> None:
    """Draw the frames of a film and write them to a file."""
    from matplotlib.animation import FFMpegWriter, PillowWriter
    from matplotlib.figure import Figure

    writer: AbstractMovieWriter
    writer = (FFMpegWriter if path.suffix == ".mp4" else PillowWriter)(fps=frames_per_second)
    with house_style():
        figure = Figure(figsize=(1.5 * WIDTH, 0.62 * WIDTH), layout="constrained")
        frame = _Frames(figure, shown)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the panels stand still
        with writer.saving(figure, os.fspath(path), dpi=_DPI):
            for number in range(len(shown.steps)):
                frame.show(number)
                writer.grab_frame()
            for _ in range(frames_per_second):  # the end stays for a second
                writer.grab_frame()


class _Frames:
    """The two panels, and what changes in them from frame to frame."""

    def __init__(self, figure: "Figure", shown: Film) -> None:
        self._shown, history = shown, shown.run.history
        weights, curves = figure.subplots(1, 2, width_ratios=(1, 1.35))
        self._weights, self._title = weights, weights.set_title(" ", loc="left")
        self._extent = np.abs(shown.neurons).max((1, 2))
        (self._dots,) = weights.plot([], [], "o", color=BLUE, ms=2.5, mew=0, alpha=0.55)
        weights.axhline(0, color=GREY, lw=0.3)
        weights.axvline(0, color=GREY, lw=0.3)
        named = bool(shown.run.config["task"]["indices"])
        weights.set(aspect="equal", xlabel="weights along beta" if named else "first direction")
        weights.set_ylabel("weights across beta" if named else "second direction")
        losses(curves, history)
        legend_above(curves)
        for line in curves.lines:
            line.set_alpha(0.25)
        self._lines = self._bright(curves, history)
        self._now = curves.axvline(1, color=BLACK, lw=0.6)

    def _bright(self, curves: "Axes", history: Any) -> list[tuple[Any, str]]:
        lines = []
        for name in ("train_loss", test_of(history)):
            look = LOOKS["train_loss" if name == "train_loss" else "population_loss"]
            (line,) = curves.plot([], [], color=look["color"], linestyle=look["linestyle"])
            lines.append((line, name))
        return lines

    def show(self, number: int) -> None:
        """Draw the frame of this number."""
        step, history = self._shown.steps[number], self._shown.run.history
        self._dots.set_data(*self._shown.neurons[number].T)
        edge = 1.15 * float(self._extent[: number + 1].max()) or 1.0
        self._weights.set(xlim=(-edge, edge), ylim=(-edge, edge))
        self._title.set_text(f"step {step:,}".replace(",", " "))
        past = history.sel({records_of(history): slice(1, max(step, 1))})
        for line, name in self._lines:
            line.set_data(past[records_of(history)], past[name])
        self._now.set_xdata([max(step, 1)] * 2)
