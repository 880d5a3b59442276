"""The answer of ``diagnose``: in words, in a table, in pictures, as a page and as JSON."""

import base64
import io
import json
import math
import os
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyrich.simulate.diagnosis import reliability
from lazyrich.simulate.diagnosis.advice import DECAY, OTHER, SLOW_KERNEL, advice
from lazyrich.simulate.diagnosis.curve import final_train_share, followed
from lazyrich.simulate.diagnosis.forecast import UNKNOWN, Forecast
from lazyrich.simulate.diagnosis.labels import KernelAndLabels
from lazyrich.simulate.diagnosis.laziness import NOTICEABLE, Laziness
from lazyrich.simulate.diagnosis.pilots import EARLY, ENDS, Pilot
from lazyrich.simulate.diagnosis.printed import printed
from lazyrich.simulate.diagnosis.steps import Steps
from lazyrich.simulate.diagnosis.trained import Trained
from lazyrich.simulate.drawing import saved
from lazyrich.simulate.outcome import AT_ONCE, GROKS, MEMORISES, UNFITTED
from lazyrich.simulate.run import Run
from lazyrich.support.files import write_whole
from lazyrich.support.interruption import Interruption
from lazyrich.support.pages import page, table, table_row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What ``diagnose`` found; see its attributes, or print it.

    ``forecast``: phase, times and reason. ``lazy``: the run of the linearised twin. ``kernel``: the
    kernel against the labels, None where it was too large to make. ``laziness``: the network along
    the lazy path. ``pilots``: the runs at smaller scales. ``trained``: what training did, None
    before. ``cost``: what it took. ``steps``: the optimiser, None where none was given.
    ``interruption``: what Ctrl-C or SIGTERM left out. ``validated``: whether forecasts for this
    loss were tested. ``note``: what is strange about the network, empty for nothing.
    """

    forecast: Forecast
    lazy: Run
    kernel: KernelAndLabels | None
    laziness: Laziness
    pilots: list[Pilot]
    trained: Trained | None
    cost: dict[str, Any] = field(default_factory=dict)
    steps: Steps | None = None
    interruption: Interruption = field(default_factory=Interruption)
    validated: bool = True
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return the phase: of training where that has been, else as forecast."""
        return self.forecast.phase if self.trained is None else self.trained.outcome.phase

    def sentences(self) -> list[str]:
        """Return the answer in words: what will happen, why, and what training did if it was."""
        steps, trained = self.steps, self.trained
        found = [_what(self.forecast), f"Why: {self.forecast.reason}."]
        if trained is not None:  # what was seen comes first
            if self.forecast.phase == UNKNOWN:
                found = []
            else:
                found[0] = f"Forecast from the initial weights: {found[0][0].lower()}{found[0][1:]}"
            found = trained.sentences() + found
        if steps is not None:  # what must be done comes first
            found.insert(0 if steps.unstable else len(found), steps.sentence)
        if self.note:
            found.insert(0, f"Note: {self.note}.")
        if missing := self.interruption.sentence:
            found.append(f"{missing} The answer is made from what was finished.")
        if trained is not None:
            if steps is not None and trained.run.config.get("trainer") == "fit_flow":
                found.append(
                    f"Training was by gradient flow, not by {steps.name}: for that, give the run "
                    "of fit (run=)."
                )
            return found
        decay = self.lazy.config["weight_decay"]
        floor = final_train_share(self.lazy)
        tried = advice(self.forecast.phase, self._cause(), self.pilots, floor, decay)
        return [*found, f"Try: {tried}"] if tried and not self.note else found

    def _cause(self) -> str:
        if self.lazy.outcome().phase == GROKS:
            return SLOW_KERNEL
        found = self.forecast
        acts = self.lazy.config["weight_decay"] * found.test.value > EARLY
        return DECAY if found.phase == GROKS and acts else OTHER

    def sections(self) -> dict[str, dict[str, Any]]:
        """Return the numbers by name, in sections, as they are printed."""
        found = {
            "Forecast": self._forecast_rows(),
            "Lazy twin (linearised network)": self._twin_rows(),
            "How lazy": self._lazy_rows(),
        }
        if (kernel := self.kernel) is not None:
            found["Kernel and labels"] = {
                "centred kernel-task alignment (0 to 1)": kernel.alignment,
                "effective dimension, (sum k)^2/sum k^2": kernel.effective_dimension,
                "eigenvectors that hold half of the labels": kernel.half,
                "eigenvectors in all": len(kernel.eigenvalues),
            }
        if self.pilots:
            found["Pilot runs"] = {
                f"{pilot.r:.3g} times the output": f"{pilot.outcome} ({ENDS[pilot.ended]})"
                for pilot in self.pilots
            }
        if self.trained is not None:
            found["Training"] = self.trained.table()
        return found

    def table(self) -> dict[str, Any]:
        """Return the numbers of all sections by "section: name"."""
        sections = self.sections().items()
        return {f"{title}: {name}": v for title, rows in sections for name, v in rows.items()}

    def _forecast_rows(self) -> dict[str, Any]:
        found, steps = self.forecast, self.steps
        rows: dict[str, Any] = {"phase": found.phase}
        for side, when in (("train", found.train), ("test", found.test)):
            rows[f"{side} loss falls at time"] = when.value
            if math.isfinite(when.value):
                rows[f"{side} loss: expected range"] = [when.low, when.high]
                if steps is not None and steps.follows:
                    name = f"{side} loss falls at step of {steps.name}"
                    rows[name] = float(round(steps.step(when.value)))
        if found.phase not in (UNFITTED, UNKNOWN):
            rows |= self._delay_rows()
        if not math.isnan(found.final):
            rows["final test loss / loss of predicting 0, about"] = found.final
        rows['forecast up to time ("never": not by then)'] = found.horizon
        return rows

    def _delay_rows(self) -> dict[str, Any]:
        delay, low, high = self.forecast.delay
        rows: dict[str, Any] = {"delay (time from train to test)": delay}
        if math.isfinite(delay):
            rows["delay: expected range"] = [low, high]
        if self.forecast.phase == GROKS:
            decays, plain = self.lazy.config["weight_decay"] > 0, self._follows_the_flow
            rows["delay: measured reliability"] = (
                reliability.words_of_delay(decays, plain)
                if self.validated
                else "not tested with this loss"
            )
        return rows

    @property
    def _followed(self) -> float:
        return followed(self.lazy)

    @property
    def _follows_the_flow(self) -> bool:
        return self.steps is None or self.steps.follows

    def _twin_rows(self) -> dict[str, Any]:
        lazy, history = self.lazy.outcome(), self.lazy.history
        rows: dict[str, Any] = {
            "train loss falls at time": lazy.train_fall,
            "test loss falls at time": lazy.test_fall,
        }
        if math.isfinite(self._followed):
            rows = {name: math.nan if math.isinf(at) else at for name, at in rows.items()}
            rows["not followed beyond time"] = self._followed
        for side in ("train", "test"):
            if (name := f"floor_{side}_loss") in history:
                share = float(history[name] / history[f"zero_{side}_loss"])
                rows[f"final {side} loss / loss of predicting 0"] = share
        return rows

    def _lazy_rows(self) -> dict[str, Any]:
        lazy, history = self.laziness, self.lazy.history
        way, end = float(history.parameter_change[-1]), float(history.time[-1])
        at = f"at time {lazy.times[-1]:.3g} of the twin"
        rows: dict[str, Any] = {
            f"error of the linearisation {at}": lazy.error,
            f"kernel change {at}, |K - K0|/|K0|": lazy.kernel_change,
            f"kernel change to first order {at}": lazy.drift,
        }
        if math.isfinite(self._followed):
            return rows
        return rows | {
            f"how far the twin's weights move by its end, time {end:.3g}, |w - w0|/|w0|": way,
            "difficulty of the labels over |w0|^2 (its square)": way**2,
            f"features matter from time (either change above {NOTICEABLE})": lazy.features_from,
            f"to first order, from time (drift above {NOTICEABLE})": lazy.drift_from,
        }

    def json(self) -> str:
        """Return everything as JSON; null for what is infinite or unknown."""
        content = {
            "sentences": self.sentences(),
            "verdict": self.verdict,
            "table": self.sections(),
            "forecast": asdict(self.forecast) | {"delay": list(self.forecast.delay)},
            "reliability": (reliability.counts() if self.validated else {})
            | {"words": self._reliability()},
            "cost": self.cost,
            "missing": self.interruption.missing,
        }
        return json.dumps(_finite(content), indent=2)

    def plot(self, file: str | os.PathLike | None = None) -> "Figure":
        """Draw the curves and the kernel against the labels, and return the figure.

        ``file``: write it there as well, as .png, .pdf or .svg.
        """
        from lazyrich.simulate.diagnosis.picture import draw

        return saved(lambda: draw(self), file)  # pyright: ignore[reportArgumentType]

    def __str__(self) -> str:
        sections = self.sections()
        width = max(len(name) for rows in sections.values() for name in rows)
        lines = [
            *self.sentences(),
            "",
            "Times are learning rate x steps. A loss has fallen once it stays below 2/15 of the "
            "loss of predicting 0.",
            "",
        ]
        for title, rows in sections.items():
            lines.append(title)
            lines += [f"  {name:{width}}  {printed(value)}" for name, value in rows.items()]
        return "\n".join([*lines, "", f"Reliability: {self._reliability()}"])

    def _reliability(self) -> str:
        if not self.validated:
            return reliability.OTHER_LOSS.capitalize()
        words = reliability.words()
        if self.lazy.config["weight_decay"] > 0:
            words = f"{reliability.words_of_decay()}. Without, {words}"
        return words[0].upper() + words[1:]

    def __repr__(self) -> str:
        return f"<Diagnosis: {self.sentences()[0]} Print it for the numbers.>"

    def _repr_html_(self) -> str:
        return self._body()

    def _body(self) -> str:
        tables = "".join(
            f"<h3>{escape(title)}</h3>"
            + table(
                ("quantity", "value"),
                "\n".join(table_row(escape(n), escape(printed(v))) for n, v in rows.items()),
            )
            for title, rows in self.sections().items()
        )
        first, *rest = map(escape, self.sentences())
        words = f"<p><strong>{first}</strong></p>" + "".join(f"<p>{line}</p>" for line in rest)
        return (
            f"{words}<div style='display: flex; flex-wrap: wrap; gap: 1em'>{self._images()}</div>"
            "<p>Times are learning rate × steps. A loss has fallen once it stays below 2/15 of the "
            f"loss of predicting 0 (dotted line).</p>{tables}"
            f"<p>Reliability of such forecasts: {escape(self._reliability())}</p>"
        )

    def _images(self) -> str:
        from lazyrich.simulate.diagnosis.picture import drawn_apart

        images = []
        for what, figure in drawn_apart(self).items():  # pyright: ignore[reportArgumentType]
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=200)
            data = base64.b64encode(buffer.getvalue()).decode()
            style = "flex: 1 1 21em; min-width: 0; max-width: min(100%, 27em); align-self: start"
            images.append(f"<img style='{style}' alt='{what}' src='data:image/png;base64,{data}'>")
        return "".join(images)

    def html(self, path: str | os.PathLike) -> None:
        """Write the answer as one HTML file that needs nothing else."""
        content = page("Lazy or rich: will it grok?", self._body())
        write_whole(path, lambda part: part.write_text(content, encoding="utf-8"))


def _what(found: Forecast) -> str:
    """Return the forecast as a sentence."""
    fits = f"the train loss falls at time {printed(found.train.value)}"
    if found.phase == GROKS:
        value, low, high = found.delay
        return (
            f"It will memorise first and generalise later (grok): {fits}, the test loss "
            f"{printed(value)} later (expected range {printed(low)} to {printed(high)})."
        )
    if found.phase == AT_ONCE:
        return f"It will generalise at once: {fits}, the test loss at {printed(found.test.value)}."
    if found.phase == MEMORISES:
        end = ""
        if found.horizon < found.test.value < math.inf:
            end = f" but later, at about {printed(found.test.value)}"
        elif not math.isnan(found.final):
            end = f"; it ends at about {found.final:.2g} times the loss of predicting nothing"
        return (
            f"It will memorise: {fits}, the test loss not within time "
            f"{printed(found.horizon)}{end}."
        )
    if found.phase == UNFITTED:
        return f"It will not fit the training set within time {printed(found.horizon)}."
    known = "" if math.isnan(found.train.value) else f"{fits}; "
    what = "whether it will generalise" if known else "whether it will fit and generalise"
    return f"Not decided: {known}{what} is not known. To decide it, {found.remedy}."


def _finite(content: Any) -> Any:
    """Return the same with null for NaN and infinity, which JSON has not."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content
