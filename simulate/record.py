"""The history of a run: what is measured, when, and under which names and units."""

import math
from collections.abc import Iterable

import numpy as np
import xarray

from lazyrich.simulate.arrays import natural
from lazyrich.simulate.labels import note
from lazyrich.simulate.measures import LOSSES, MomentMeasures, NeuronMeasures, zero_losses
from lazyrich.simulate.stability import Diverged, has_diverged
from lazyrich.simulate.training import Snapshot, Training

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
        raise ValueError(f"record = {record!r}: must be a list of steps, or None")
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
    measurement: n^2 D for n samples.
    """

    def __init__(self, training: Training, alignment_set: str | None) -> None:
        self._training, self._alignment_set = training, alignment_set
        measures = MomentMeasures if training.network.has_moments else NeuronMeasures
        self._measures = measures(training)
        self._square0 = training.network.start_square
        self._rows: list[dict[str, float]] = []
        self._steps: list[int] = []

    def add(self, snapshot: Snapshot) -> None:
        """Measure one snapshot. Raises ``Diverged`` if its train loss says so."""
        row = self._measures.losses(snapshot)
        self._check(snapshot.step, row["train_loss"])
        row["weight_norm"] = _root(snapshot.weight_square)
        row["parameter_change"] = _root(_ratio(snapshot.change_square, self._square0))
        if self._alignment_set is not None:
            row |= self._measures.alignments(snapshot, self._alignment_set)
        if snapshot.descent is not None:
            row |= self._descent_gaps(row, snapshot)
        if snapshot.evaluations is not None:
            row["evaluations"] = snapshot.evaluations
        self._rows.append(row)
        self._steps.append(snapshot.step)

    def check(self, snapshot: Snapshot) -> None:
        """Raise ``Diverged`` if the train loss of this snapshot says so."""
        self._check(snapshot.step, self._measures.loss(snapshot, "train"))

    def _check(self, step: int, train_loss: float) -> None:
        if has_diverged(train_loss, self._training.loss_scale):
            raise Diverged(step)

    def _descent_gaps(self, row: dict[str, float], snapshot: Snapshot) -> dict[str, float]:
        """Return the gaps of the losses to those where gradient descent is."""
        assert isinstance(self._measures, MomentMeasures)
        descent = self._measures.descent_losses(snapshot)
        names = [name for name in LOSSES if name in row]
        return {f"descent_gap_{name}": _gap(descent[name], row[name]) for name in names}

    def history(self, attributes: dict[str, str]) -> xarray.Dataset:
        """Return everything measured, over ``step``, with the time tau = eta0 step."""
        steps = np.array(self._steps, dtype=np.int64)
        history = xarray.Dataset(coords={"step": ("step", steps, {"units": "gradient steps"})})
        if self._training.rule.optimiser is None:
            tau = self._training.rule.learning_rate * steps
            label = note("tau", "tau = learning_rate * step")
            history = history.assign_coords(tau=("step", tau, label))
        for name in self._rows[0]:
            degree = f"term of the population loss: power of Hermite {name.replace('_', ' ')}"
            description = degree if name.startswith("degree_") else DESCRIPTIONS[name]
            values = np.array([row[name] for row in self._rows])
            if name.endswith("alignment"):
                description += f"; K the normalised NTK on the {self._alignment_set} set"
            history[name] = ("step", values, note(name, description))
        for name, value in zero_losses(self._training.task).items():
            history[name] = ((), value, note(name, DESCRIPTIONS[name]))
        for name, value in self._measures.kernel_regression().items():
            label = note(f"kernel_regression_{name}", f"{name.replace('_', ' ')} {_FLOOR}")
            history[f"kernel_regression_{name}"] = ((), value, label)
        history.attrs = attributes
        return history


def _root(square: float) -> float:
    """Return the square root; NaN of a negative number, as moments of no real neurons can give."""
    return square**0.5 if square >= 0 else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def _gap(descent: float, flow: float) -> float:
    """Return descent/flow - 1; infinite where descent has no value, NaN where flow has none."""
    if not flow > 0:
        return float("nan")
    return descent / flow - 1 if math.isfinite(descent) else float("inf")
