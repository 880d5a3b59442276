"""What will happen if the network is trained: the decision, from the lazy curve and pilot runs."""

import math
from dataclasses import dataclass

from lazyrich.simulate.diagnosis.laziness import Laziness
from lazyrich.simulate.diagnosis.pilots import Extrapolated, Pilot, extrapolated, final_share
from lazyrich.simulate.outcome import AT_ONCE, GROKS, MEMORISES, SHARE, UNFITTED, Outcome, phase_of

# Below this departure from the twin the train loss falls as the twin's does.
FOLLOWS = 0.3
# Below this one, and without weight decay or pilot runs, nothing but the twin decides.
LAZY = 0.1
UNKNOWN = "not decided"


@dataclass(frozen=True)
class Forecast:
    """The phase, the times at which the losses will fall, and why.

    Times are learning rate times steps. ``train``, ``test``: with the range expected. ``delay``
    and its range follow from these. ``horizon``: the time after which "never" is said.
    """

    phase: str
    train: Extrapolated
    test: Extrapolated
    horizon: float
    reason: str

    @property
    def delay(self) -> tuple[float, float, float]:
        """Return the delay and its range: from the fall of the train loss to that of the test."""
        value = self.test.value - self.train.value
        low = max(self.test.low - self.train.high, 0.0)
        return max(value, 0.0), low, max(self.test.high - self.train.low, 0.0)


def forecast(
    lazy: Outcome, laziness: Laziness, runs: list[Pilot] | None, *, decay: float, horizon: float
) -> Forecast:
    """Decide, by rules that were fixed before they were validated.

    1. The train loss falls when the twin's does, if the network follows it up to then (departure
       below ``FOLLOWS``) or no pilot run fitted within its budget; else when the pilot runs say.
    2. The test loss falls when the twin's does, if it does; else when the pilot runs say.
       But never if, without weight decay, the final test losses of the pilot runs rise so fast
       with the scale that the one asked for would end above the level of a fall.
    3. Times beyond the horizon are "never". The phase is that of ``outcome.phase_of``.
    4. Without pilot runs, a network that is not lazy is not decided, and neither is one with weight
       decay, unless the twin generalises.
    """
    twin_train, twin_test = (_known(t) for t in (lazy.train_fall, lazy.test_fall))
    undecided = runs is None and (laziness.departure > LAZY or decay > 0)
    runs = runs or []
    follows = laziness.departure < FOLLOWS or not runs
    train = twin_train if follows else extrapolated(runs, "train", decay)
    if not math.isfinite(train.value) and any(pilot.ended == "budget" for pilot in runs):
        train = twin_train
    later = extrapolated(runs, "test", decay) if runs else Extrapolated.never()
    if decay == 0 and final_share(runs) > SHARE:
        later = Extrapolated.never()
    lazily = math.isfinite(twin_test.value) and twin_test.value <= later.value
    test = twin_test if lazily else later
    if not lazily and undecided:
        reason = "the linearised network does not generalise, and the network is not lazy"
        return Forecast(UNKNOWN, train, test, horizon, reason)
    within = [t.value if t.value <= horizon else math.inf for t in (train, test)]
    phase = phase_of(within[0], max(within))
    return Forecast(phase, train, test, horizon, _reason(phase, lazily, laziness, runs, test))


def _known(time: float) -> Extrapolated:
    return Extrapolated(time, time / 1.2, time * 1.2)


def _reason(
    phase: str, lazily: bool, laziness: Laziness, runs: list[Pilot], test: Extrapolated
) -> str:
    how = "lazy" if laziness.departure < LAZY else "between lazy and rich"
    how = "rich" if laziness.departure > 1 else how
    seen = f"error of the linearisation {laziness.error:.2g}, kernel change"
    where = f"it is {how} ({seen} {laziness.kernel_change:.2g})"
    if phase == UNFITTED:
        return f"the train loss would not fall in that time; {where}"
    if lazily:
        return f"its linearised twin generalises by itself; {where}"
    if phase == MEMORISES and not math.isfinite(test.value):
        if not runs:
            return f"its linearised twin does not generalise; {where}"
        if any(math.isfinite(pilot.outcome.test_fall) for pilot in runs):
            return f"runs at smaller scales generalise, but less the larger the scale; {where}"
        cut = " in its budget" if runs[-1].ended == "budget" else ""
        return f"neither its linearised twin nor a run at a smaller scale generalises{cut}; {where}"
    scales = ", ".join(f"{pilot.r:.2g}" for pilot in runs)
    what = {
        MEMORISES: "too late",
        GROKS: "later than the train loss falls",
        AT_ONCE: "about when the train loss falls",
    }[phase]
    runs_at = f"runs at {scales} times the scale"
    return f"its twin does not generalise, but features do, {what} ({runs_at}); {where}"
