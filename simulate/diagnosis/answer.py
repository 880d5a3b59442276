"""The answer of ``diagnose``: in words, in a table, in pictures, as a page and as JSON."""

import base64
import io
import json
import math
import os
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyrich.simulate.diagnosis.forecast import UNKNOWN, Forecast
from lazyrich.simulate.diagnosis.labels import KernelAndLabels
from lazyrich.simulate.diagnosis.laziness import NOTICEABLE, Laziness
from lazyrich.simulate.diagnosis.pilots import Pilot
from lazyrich.simulate.diagnosis.reliability import RELIABILITY
from lazyrich.simulate.diagnosis.trained import Trained
from lazyrich.simulate.outcome import AT_ONCE, GROKS, MEMORISES, UNFITTED
from lazyrich.simulate.run import Run
from lazyrich.support.files import write_whole
from lazyrich.support.pages import page, table, table_row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What ``diagnose`` found; see its attributes, or print it.

    ``forecast``: phase, times and reason. ``lazy``: the run of the linearised twin. ``kernel``: the
    kernel against the labels, None where it was too large to make. ``laziness``: the network along
    the lazy path. ``pilots``: the runs at smaller scales. ``trained``: what training did, None
    before. ``cost``: what it took.
    """

    forecast: Forecast
    lazy: Run
    kernel: KernelAndLabels | None
    laziness: Laziness
    pilots: list[Pilot]
    trained: Trained | None
    cost: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Return the phase: of training where that has been, else as forecast."""
        return self.forecast.phase if self.trained is None else self.trained.outcome.phase

    def sentences(self) -> list[str]:
        """Return the answer in two sentences, and after training a third and fourth."""
        found = self.forecast
        words = {
            AT_ONCE: "It will generalise at once",
            GROKS: "It will memorise first and generalise later (grok)",
            MEMORISES: f"It will memorise, and not generalise within time {found.horizon:.3g}",
            UNFITTED: f"It will not fit the training set within time {found.horizon:.3g}",
            UNKNOWN: "Whether it will generalise can't be said without runs at smaller scales",
        }
        first = f"{words[found.phase]}: {found.reason}."
        if found.phase == GROKS:
            value, low, high = found.delay
            second = (
                f"Train loss falls at time {found.train.value:.3g}, test loss {value:.3g} later "
                f"(range {low:.3g} to {high:.3g}); time is learning rate x steps."
            )
        elif math.isfinite(found.train.value):
            second = (
                f"Train loss falls at time {found.train.value:.3g} (learning rate x steps); "
                f"features matter from {_time(self.laziness.features_from)} on."
            )
        else:
            second = "The linearised network fits the training set in no time that was looked at."
        return [first, second, *([] if self.trained is None else self.trained.sentences())]

    def table(self) -> dict[str, Any]:
        """Return the numbers by name, as they are printed."""
        lazy, history = self.lazy.outcome(), self.lazy.history
        rows: dict[str, Any] = {
            "verdict": self.verdict,
            "forecast: train loss falls at time": self.forecast.train.value,
            "forecast: test loss falls at time": self.forecast.test.value,
            "forecast: range of the test time": [self.forecast.test.low, self.forecast.test.high],
            "horizon": self.forecast.horizon,
            "lazy twin: train loss falls at time": lazy.train_fall,
            "lazy twin: test loss falls at time": lazy.test_fall,
        }
        for side in ("train", "test"):
            if (name := f"floor_{side}_loss") in history:
                share = float(history[name] / history[f"zero_{side}_loss"])
                rows[f"lazy twin: {side} loss at the end, share of predicting nothing"] = share
        way = float(history.parameter_change[-1])
        rows |= {
            "difficulty over |w0|^2: |w - w0|^2/|w0|^2 of the lazy solution": way**2,
            "error of the linearisation at the lazy solution": self.laziness.error,
            "kernel change at the lazy solution, |K - K0|/|K0|": self.laziness.kernel_change,
            f"features matter from time (error above {NOTICEABLE})": self.laziness.features_from,
        }
        if (kernel := self.kernel) is not None:
            rows |= {
                "centred kernel-task alignment": kernel.alignment,
                "effective dimension, (sum k)^2/sum k^2": kernel.effective_dimension,
                "directions that hold half of the labels": kernel.half,
                "directions in all": len(kernel.eigenvalues),
            }
        for pilot in self.pilots:
            seen = str(pilot.outcome)
            rows[f"run at {pilot.r:.3g} times the scale"] = f"{seen} (ended: {pilot.ended})"
        if self.trained is not None:
            rows |= self.trained.table()
        return rows

    def json(self) -> str:
        """Return everything as JSON; null for what is infinite or unknown."""
        content = {
            "sentences": self.sentences(),
            "verdict": self.verdict,
            "table": self.table(),
            "forecast": asdict(self.forecast) | {"delay": list(self.forecast.delay)},
            "reliability": RELIABILITY,
            "cost": self.cost,
        }
        return json.dumps(_finite(content), indent=2)

    def plot(self) -> "Figure":
        """Draw the curves and the kernel against the labels, and return the figure."""
        from lazyrich.simulate.diagnosis.picture import draw

        return draw(self)

    def __str__(self) -> str:
        width = max(map(len, self.table()))
        lines = [f"  {name:{width}}  {_shown(value)}" for name, value in self.table().items()]
        return "\n".join(
            [*self.sentences(), "", *lines, "", f"Reliability: {RELIABILITY['words']}"]
        )

    def __repr__(self) -> str:
        return "<Diagnosis: " + " ".join(self.sentences()) + ">"

    def _repr_html_(self) -> str:
        return self._body()

    def _body(self) -> str:
        rows = "\n".join(
            table_row(escape(name), escape(_shown(value))) for name, value in self.table().items()
        )
        buffer = io.BytesIO()
        self.plot().savefig(buffer, format="png", dpi=150)
        picture = base64.b64encode(buffer.getvalue()).decode()
        words = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences())
        return (
            f"{words}<p><img alt='Losses of the network and its linearised twin' "
            f"src='data:image/png;base64,{picture}'></p>"
            f"{table(('quantity', 'value'), rows)}"
            f"<p>Reliability of such forecasts: {escape(RELIABILITY['words'])}</p>"
        )

    def html(self, path: str | os.PathLike) -> None:
        """Write the answer as one HTML file that needs nothing else."""
        content = page("Lazy or rich: will it grok?", self._body())
        write_whole(Path(path), lambda part: part.write_text(content, encoding="utf-8"))


def _time(value: float) -> str:
    return f"time {value:.3g}" if math.isfinite(value) else "no time"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return "never" if math.isinf(value) else f"{value:.4g}"
    if isinstance(value, list):
        return " to ".join(map(_shown, value))
    return str(value)


def _finite(content: Any) -> Any:
    """Return the same with null for NaN and infinity, which JSON has not."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content
