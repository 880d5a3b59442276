"""The work of ``diagnose``, stage by stage; each keeps what it finished if it is interrupted."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from lazyrich.simulate.diagnosis.answer import Diagnosis
from lazyrich.simulate.diagnosis.asked import Asked
from lazyrich.simulate.diagnosis.curve import curve_of, final_train_share, followed
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.forecast import Forecast, forecast
from lazyrich.simulate.diagnosis.labels import KernelAndLabels, against_labels
from lazyrich.simulate.diagnosis.laziness import Laziness, along_the_path, kernel_watch
from lazyrich.simulate.diagnosis.pilots import Pilot, pilots, scales_from, watched
from lazyrich.simulate.diagnosis.reliability import validated
from lazyrich.simulate.diagnosis.shrinking import power_of_shrinking
from lazyrich.simulate.diagnosis.trained import Trained, compared
from lazyrich.simulate.modules.frozen import copied
from lazyrich.simulate.run import Run
from lazyrich.support.interruption import Ended, Interruption

# Without a time, as long as this many times what the lazy twin takes to fit.
LONG = 100.0
# ... and, with weight decay, as long as this over it: the transition comes at log(alpha)/decay.
DECAYS = 10.0


class Work:
    """One diagnosis in the making: ``answer`` goes through its stages."""

    def __init__(self, asked: Asked, progress: Callable[[float, float], Any]) -> None:
        self.asked, self.stop, self.cost = asked, Interruption(), asked.cost()
        self._stages = _Stages(progress, 4 + asked.with_pilots)
        self._path: list[tuple[float, Tensor, float]] = []
        self._kernels: tuple[Tensor, Tensor] | None = None

    def answer(self) -> Diagnosis:
        """Return the answer. An interruption before the twin's curve ends the work."""
        asked, stages, expansion = self.asked, self._stages, self.asked.expansion
        with _nothing_finished("while its kernel was made"):
            self._kernels = expansion.kernels() if self.cost["kernels made"] else None
        stages.next()
        lazy = self._twin()
        kernel = self._against_labels()
        stages.next()
        fitted = _fitted(lazy)
        laziness = self._laziness(fitted)
        # A trained network fits from the start: as far as its twin was followed.
        longest = LONG * fitted or float(lazy.history.time[-1])
        longest = max(longest, DECAYS / asked.decay if asked.decay > 0 else 0.0)
        horizon = longest if asked.horizon is None else asked.horizon
        stages.next()
        kinks = math.isfinite(followed(lazy))
        # A short time that is asked for must not hide how pilot runs go on.
        runs = self._pilots(laziness, max(horizon, longest), kinks)
        found = self._forecast(lazy, laziness, runs, horizon)
        run = asked.run
        if run is None and asked.train:
            run = self._training(horizon, kinks)
        self.cost["gradients of pilots"] = sum(pilot.evaluations for pilot in runs)
        trained = None if run is None else self._compared(run, runs, found, lazy)
        stages.finish()
        known = validated(asked.loss)
        return Diagnosis(
            found,
            lazy,
            kernel,
            laziness,
            runs,
            trained,
            self.cost,
            asked.steps,
            self.stop,
            known,
            asked.note,
        )

    def _twin(self) -> Run:
        asked = self.asked
        with _nothing_finished("at the beginning of the twin's curve"):
            lazy = curve_of(
                asked.expansion,
                asked.given,
                memory=asked.memory,
                kernels=self._kernels,
                path=self._path,
                stop=self.stop,
            )
        _check_labels(lazy)
        return lazy

    def _against_labels(self) -> KernelAndLabels | None:
        if self._kernels is None:
            return None
        with self.stop.during("the kernel against the labels"):
            return against_labels(self._kernels[0], _residual(self.asked.expansion))
        return None  # interrupted

    def _laziness(self, end: float) -> Laziness:
        """Measure the network along the lazy path; unknown where that is interrupted."""
        expansion, path = self.asked.expansion, self._path
        with self.stop.during("how lazy the network is"):
            found = along_the_path(expansion, path, max(end, path[0][0]))
            if self.asked.decay > 0:
                found = replace(found, power=power_of_shrinking(expansion, path[-1][1]))
            return found
        return Laziness.unknown()

    def _pilots(self, laziness: Laziness, horizon: float, kinks: bool) -> list[Pilot]:
        asked, runs = self.asked, []
        if not asked.with_pilots or self.stop.skips("the pilot runs"):
            return runs
        far = laziness.departure
        started = pilots(
            asked.model,
            asked.data,
            asked.loss,
            decay=asked.decay,
            time=horizon,
            departure=far,
            budget=asked.budget,
            progress=self._stages.part,
            kinks=kinks,
        )
        with self.stop.during("pilot runs"):
            for one in started:
                runs.append(one)
        if self.stop.by is not None:
            self.stop.missing[-1] = _missing_runs(scales_from(far)[len(runs) :])
        return runs

    def _forecast(
        self, lazy: Run, laziness: Laziness, runs: list[Pilot], horizon: float
    ) -> Forecast:
        decided = self.asked.with_pilots and (self.stop.by is None or bool(runs))
        return forecast(
            lazy.outcome(),
            _floor(lazy),
            laziness,
            runs if decided else None,
            decay=self.asked.decay,
            horizon=horizon,
            followed=followed(lazy),
            start=float(lazy.history.train_loss[0] / lazy.history.zero_train_loss),
        )

    def _training(self, horizon: float, kinks: bool) -> Run | None:
        """Train a copy by gradient flow; None where that ends before its first step."""
        asked, run = self.asked, None
        if self.stop.skips("training"):
            return None
        with self.stop.during("training"):
            run, _, self.cost["gradients of training"] = watched(
                copied(asked.model),
                asked.data,
                asked.loss,
                decay=asked.decay,
                time=horizon,
                budget=4 * asked.budget,
                measures={"kernel_change": kernel_watch(asked.expansion)},
                stop=self.stop,
                kinks=kinks,
            )
        return run if run is not None and len(run.history.time) > 1 else None

    def _compared(self, run: Run, runs: list[Pilot], found: Forecast, lazy: Run) -> Trained | None:
        asked = self.asked
        with self.stop.during("the comparison of training with the twin"):
            return compared(
                asked.model,
                asked.expansion,
                asked.given,
                run,
                self._kernels,
                runs,
                found.phase,
                final_train_share(lazy),
            )
        return None  # interrupted


@contextmanager
def _nothing_finished(when: str) -> Iterator[None]:
    """Say of an interruption within this that there is nothing to answer from."""
    try:
        yield
    except (KeyboardInterrupt, Ended):
        warnings.warn(
            f"the diagnosis was interrupted {when}: nothing was finished, so there is no answer",
            stacklevel=2,
        )
        raise


def _fitted(lazy: Run) -> float:
    """Return when the twin has fitted, or its last time."""
    fall = lazy.outcome().train_fall
    return fall if math.isfinite(fall) else float(lazy.history.time[-1])


def _missing_runs(scales: list[float]) -> str:
    plural = "s" if len(scales) > 1 else ""
    return f"the pilot run{plural} at {', '.join(f'{r:.3g}' for r in scales)} times the output"


def _check_labels(lazy: Run) -> None:
    for side in ("train", "test"):
        if not float(lazy.history[f"zero_{side}_loss"]) > 0:
            name = "y" if side == "train" else "y_test"
            raise ValueError(
                f"{name} is predicted by f = 0 without any loss: must differ from 0 for a loss to "
                "fall"
            )


def _floor(lazy: Run) -> float:
    """Return the final test loss of the twin, over that of predicting nothing."""
    history = lazy.history
    last = history.get("floor_test_loss", history.test_loss[-1])
    return float(last / history.zero_test_loss)


def _residual(expansion: Expansion) -> Tensor:
    """Return labels less outputs; of class labels, one-hot less their mean."""
    try:
        return expansion.labels() - expansion.f0
    except ValueError:
        y = nn.functional.one_hot(expansion.data.y.long(), expansion.C).double()
        return y - y.mean(0)


class _Stages:
    """Progress over stages of about the same length."""

    def __init__(self, report: Callable[[float, float], Any], count: int) -> None:
        self._report, self._count, self._done = report, count, 0

    def next(self) -> None:
        self._done += 1
        self.part(0, 1)

    def part(self, done: float | int, total: float | int) -> None:
        self._report(min(self._done + done / total, self._count), self._count)

    def finish(self) -> None:
        self._done = self._count
        self.part(0, 1)
