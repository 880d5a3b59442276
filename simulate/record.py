"""The history of a run: what is measured, when, and under which names and units."""

from collections.abc import Iterable

import numpy as np
import torch
import xarray
from torch import Tensor

from lazyrich.simulate.arrays import natural
from lazyrich.simulate.labels import note
from lazyrich.simulate.measures import (
    LOSSES,
    Columns,
    MomentMeasures,
    NeuronMeasures,
    zero_losses,
)
from lazyrich.simulate.stability import Diverged, has_diverged
from lazyrich.simulate.training import Snapshot, Training
from lazyrich.support.arguments import shown

_OF_PREDICTOR = "of the predictor trained (f(x;w) - f(x;w0) where centred)"
DESCRIPTIONS = {
    "train_loss": f"mean square error on the training set, {_OF_PREDICTOR}",
    "test_loss": f"mean square error on the test set, {_OF_PREDICTOR}; NaN without a test set",
    "population_loss": f"expected square error over the population, exact, {_OF_PREDICTOR}",
    "variance": "term of the population loss, eq. (6): error in the variance",
    "misalignment": "term of the population loss, eq. (6): misalignment of M with beta",
    "linear": "term of the population loss, eq. (6): power of the linear modes",
    "label_noise": "term of the population loss: the variance of the labels' noise",
    "weight_norm": "root mean square over the neurons of |w|, sqrt(Tr M); of |(w, v)| with "
    "readouts v trained",
    "parameter_change": "|W - W0|_F/|W0|_F, of (W, v) with readouts v trained; NaN where W0 = 0",
    "alignment": "kernel-task alignment y^T K y/(|K|_F |y|^2), uncentred",
    "centred_alignment": "kernel-task alignment of H K H with H y, H = I - 1 1^T/n",
}
for _name in ("train loss", "test loss", "population loss"):
    DESCRIPTIONS[f"descent_gap_{_name.replace(' ', '_')}"] = (
        f"{_name} of gradient descent over that of gradient flow, less 1, to first order in the "
        "learning rate; inf where descent is unstable"
    )
for _name, _set in (
    ("train_loss", "the training set"),
    ("test_loss", "the test set"),
    ("population_loss", "the population"),
):
    DESCRIPTIONS[f"zero_{_name}"] = f"loss of predicting nothing, f = 0, on {_set}"
DESCRIPTIONS["evaluations"] = "evaluations of the right-hand side of the gradient flow so far"
_FLOOR = "of kernel regression (no ridge) with the kernel at the start: the linearised limit"


def default_grid(steps: int, per_decade: int = 20) -> tuple[int, ...]:
    """Return the steps recorded by default: 0, then about evenly in log step, up to ``steps``.

    >>> default_grid(100, per_decade=3)
    (0, 1, 2, 5, 10, 22, 46, 100)
    """
    decades = np.log10(steps)
    points = np.logspace(0, decades, int(np.ceil(decades * per_decade)) + 1)
    return tuple(sorted({0, steps, *(round(point) for point in points)}))


def checked_grid(record: object, steps: int) -> tuple[int, ...]:
    """Return the steps to record, sorted and without repeats: those given, or the default grid.

    Raises ``ValueError`` unless they are integers from 0 to ``steps``.

    >>> checked_grid([5, 0, 5], 10)
    (0, 5)
    >>> checked_grid([11], 10)
    Traceback (most recent call last):
    ...
    ValueError: record = 11: must be at most steps = 10
    """
    if record is None:
        return default_grid(steps)
    if not isinstance(record, Iterable) or isinstance(record, str | bytes):
        raise ValueError(f"record = {shown(record)}: must be a list of steps, or None")
    found: set[int] = set()
    for count, value in enumerate(record):  # which may have no end
        step = natural("record", value)
        if step > steps:
            raise ValueError(f"record = {step}: must be at most steps = {steps}")
        if count > 2 * steps + 1000:
            raise ValueError(f"record has over {count} entries: must be a list of steps, or None")
        found.add(step)
    if not found:
        raise ValueError("record is empty: must name at least one step, or be None")
    return tuple(sorted(found))


class Recorder:
    """Measures snapshots of one run and joins the measurements into its history.

    ``alignment_set`` is "test", "train" or None. None skips alignments, the most expensive
    measurement: n^2 D for n samples. ``late``: the loss can't grow, so that measuring may wait.
    """

    def __init__(
        self, training: Training, alignment_set: str | None, *, late: bool = False
    ) -> None:
        self._training, self._alignment_set, self._late = training, alignment_set, late
        if training.network.has_moments:
            self._measures = MomentMeasures(training, late)
        else:
            self._measures = NeuronMeasures(training)
        self._together = self._measures.together
        self._square0 = training.network.start_square
        self._steps: list[int] = []
        self._columns: dict[str, list[Tensor]] = {}
        self._waiting: list[tuple[Snapshot, float | None]] = []

    def add(self, snapshot: Snapshot) -> None:
        """Record one snapshot. Raises ``Diverged`` if its train loss says so."""
        if self._late:  # its arrays are its own
            self._waiting.append((snapshot, None))
        else:
            kept = snapshot.copied() if self._together > 1 else snapshot
            self._waiting.append((kept, self.check(snapshot)))
        self._steps.append(snapshot.step)
        if len(self._waiting) >= self._together:
            self._measure()

    def check(self, snapshot: Snapshot) -> float:
        """Return the train loss of this snapshot. Raises ``Diverged`` if it says so."""
        train_loss = self._measures.train_loss(snapshot)
        if has_diverged(train_loss, self._training.loss_scale):
            raise Diverged(snapshot.step)
        return train_loss

    def _measure(self) -> None:
        """Measure what is waiting, together: of small runs the calls cost most."""
        if not self._waiting:
            return
        snapshots, train_losses = map(list, zip(*self._waiting, strict=True))
        self._waiting = []
        if self._late:
            assert isinstance(self._measures, MomentMeasures)
            found = self._measures.all_losses(snapshots)
        else:
            found = {"train_loss": _column(train_losses)} | self._measures.losses(snapshots)
        found["weight_norm"] = _column([_root(one.weight_square) for one in snapshots])
        ratios = [_ratio(one.change_square, self._square0) for one in snapshots]
        found["parameter_change"] = _column([_root(ratio) for ratio in ratios])
        if self._alignment_set is not None:
            found |= self._measures.alignments(snapshots, self._alignment_set)
        if snapshots[0].descent is not None:
            found |= self._descent_gaps(found, snapshots)
        if snapshots[0].evaluations is not None:
            found["evaluations"] = torch.tensor([one.evaluations for one in snapshots])
        for name, values in found.items():
            self._columns.setdefault(name, []).append(values.cpu())

    def _descent_gaps(self, found: Columns, snapshots: list[Snapshot]) -> Columns:
        """Return the gaps of the losses to those where gradient descent is."""
        assert isinstance(self._measures, MomentMeasures)
        descent = self._measures.descent_losses(snapshots)
        names = [name for name in LOSSES if name in found]
        return {f"descent_gap_{name}": _gap(descent[name], found[name]) for name in names}

    def history(self, attributes: dict[str, str]) -> xarray.Dataset:
        """Return everything measured, over ``step``, with the time tau = eta0 step."""
        steps = np.array(self._steps, dtype=np.int64)
        coordinates: dict[str, tuple] = {"step": ("step", steps, {"units": "gradient steps"})}
        if self._training.rule.optimiser is None:
            tau = self._training.rule.learning_rate * steps
            label = note("tau", "tau = learning_rate * step")
            coordinates["tau"] = ("step", tau, label)
        measured: dict[str, tuple] = {}
        self._measure()
        for name, parts in self._columns.items():
            values = torch.cat(parts).numpy()
            measured[name] = ("step", values, note(name, self._described(name)))
        for name, value in zero_losses(self._training.task).items():
            measured[name] = ((), value, note(name, DESCRIPTIONS[name]))
        for name, value in self._measures.kernel_regression().items():
            label = note(f"kernel_regression_{name}", f"{name.replace('_', ' ')} {_FLOOR}")
            measured[f"kernel_regression_{name}"] = ((), value, label)
        # At once: adding variables one by one takes ten times as long.
        return xarray.Dataset(measured, coordinates, attributes)

    def _described(self, name: str) -> str:
        if name.startswith("degree_"):
            return f"term of the population loss: power of Hermite {name.replace('_', ' ')}"
        if name in ("alignment", "centred_alignment"):
            return f"{DESCRIPTIONS[name]}; K the normalised NTK on the {self._alignment_set} set"
        return DESCRIPTIONS[name]


def _root(square: float) -> float:
    """Return the square root; NaN of a negative number, as moments of no real neurons can give."""
    return square**0.5 if square >= 0 else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def _column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _gap(descent: Tensor, flow: Tensor) -> Tensor:
    """Return descent/flow - 1; infinite where descent has no value, NaN where flow has none.

    >>> _gap(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]))        # 0 where both are 0
    tensor([1., 0.])
    """
    descent, flow = descent.cpu(), flow.cpu()
    gap = (descent / flow - 1).where(torch.isfinite(descent), float("inf"))
    gap = gap.where(flow > 0, float("nan"))
    return gap.where((flow != 0) | (descent != 0), 0.0)
