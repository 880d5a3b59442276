"""From pilot runs at smaller scales r of the output to the scale asked for, r = 1.

Everything is read as a function of r between two ends: rich (r small) and lazy (r large), where the
linearised twin is known exactly. A quantity v that rises with r to its value V of the twin is taken
to have odds v/(V - v) that are a power of r: a straight line on two logarithmic axes that reaches V
and does not pass it. One that falls to V goes the same way for 1/v. Where V is unknown, v itself is
taken as a power of r. So what the pilot runs show counts at every distance from the twin.

The output at the start is r times as large too. A network has to unlearn it, and becomes lazier
with r only while it is smaller than the labels: beyond, times do not go to those of the twin
(``forecast`` then gives none).

- The final test loss of r = 1 says whether the test loss falls at all.
- The test loss falls at r = 1 when that of the pilot run falls to the level that is as far above
  its own final loss, in odds. So times grow without bound where the final loss nears the level.
- Weight decay changes little before the time ``EARLY``/decay. What falls by then falls as without
  decay. A test loss that falls later does so because decay has shrunk the weights, at about
  log(alpha)/(k decay) [Lyu et al.]: the scaled time is linear in log(r). ``shrinking`` measures k.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lazyrich.simulate.diagnosis.pilots import EARLY, Pilot
from lazyrich.simulate.outcome import SHARE, settled_at

# A run whose train loss is below this share moves its test loss little from then on.
_SETTLED = 2e-3
# Powers of r lie between 0 and this one.
_STEEPEST = 4.0
# How far off the odds of a final test loss may be.
_OFF = 1.25
# Where laziness falls by a smaller power of the weights, weight decay does not make it fall.
_NO_RICHER = 0.1
# The twin's times may be off by this factor; and what stands for 0 where logarithms are taken.
TWIN, TINY = 1.2, 1e-300
# Points that a power is taken from: final losses, times.
_FINAL, _TIMES = 3, 2


@dataclass(frozen=True)
class Extrapolated:
    """A time at r = 1, with the range in which it is expected."""

    value: float
    low: float
    high: float

    @staticmethod
    def never() -> "Extrapolated":
        """Return the time of what does not happen."""
        return Extrapolated(math.inf, math.inf, math.inf)

    @staticmethod
    def unknown() -> "Extrapolated":
        """Return the time of what is not decided."""
        return Extrapolated(math.nan, math.nan, math.nan)

    def not_before(self, least: float) -> "Extrapolated":
        """Return the time where it is known to be no earlier.

        >>> Extrapolated(1.0, 0.5, 2.0).not_before(4.0).value
        4.0
        """
        if least <= self.low:
            return self
        later = max(least / self.value, 1.0)
        return Extrapolated(self.value * later, least, self.high * later)

    @staticmethod
    def within(value: float, factor: float) -> "Extrapolated":
        """Return a time that may be off by a factor."""
        return Extrapolated(value, value / factor, value * factor)


def when_train_falls(runs: Sequence[Pilot], twin: float) -> Extrapolated:
    """Return when the train loss falls at r = 1; ``twin``: when that of the lazy twin falls.

    ``inf`` where it fell in no run and the last one came to its end. Where the budget ended the
    last one before its loss fell, its decline is prolonged: it will fall, and only when is
    uncertain; not before that run ended, even where smaller ones fitted.
    """
    known = [(p.r, p.outcome.train_fall) for p in runs if 0 < p.outcome.train_fall < math.inf]
    cut = bool(runs) and runs[-1].ended == "budget" and math.isinf(runs[-1].outcome.train_fall)
    if not cut:
        return _time(known, twin) if known else Extrapolated.never()
    scale = runs[-1].r ** 2
    value = scale * _prolonged(runs[-1])
    if known:
        value = max(value, _time(known, twin).value)
    return Extrapolated(value, scale * float(runs[-1].run.history.time[-1]), 10 * value)


def when_test_falls(
    runs: Sequence[Pilot],
    decay: float,
    floor: float,
    power: float = 1.0,
    twin: float = math.inf,
) -> Extrapolated:
    """Return when the test loss falls at r = 1; ``floor``: the final share of the lazy twin.

    ``power``: what decay does to laziness, as ``shrinking`` measures it. ``twin``: when the test
    loss of the twin falls.

    ``inf`` where it fell in no run, and where the final test loss of r = 1 is above the level of a
    fall, unless weight decay brings it down later.
    """
    early = _without_decay([pilot.early for pilot in runs], floor, twin)
    if decay == 0 or early.value * decay <= EARLY:
        return early
    return by_decay(runs, decay, power)


def _without_decay(runs: Sequence[Pilot], floor: float, twin: float) -> Extrapolated:
    known = [(p.r, p.outcome.test_fall) for p in runs if 0 < p.outcome.test_fall < math.inf]
    if not known:
        return Extrapolated.never()
    final = final_share(runs, floor)
    # Larger runs that were cut short before theirs fell.
    cut = (p for p in runs if p.r > known[-1][0] and not came_to_an_end(p))
    least = max((p.r**2 * p.outcome.end for p in cut), default=0.0)
    if math.isnan(final):
        return _time(known, twin).not_before(least)
    low, value, high = (
        _fall(runs, _moved(final, factor, floor), floor, twin) for factor in (1 / _OFF, 1.0, _OFF)
    )
    if not math.isfinite(value.value):
        return Extrapolated.never()
    found = Extrapolated(value.value, min(low.low, value.low), max(high.high, value.high))
    return found.not_before(least)


def by_decay(runs: Sequence[Pilot], decay: float, power: float = 1.0) -> Extrapolated:
    """Return when the test loss falls because weight decay has shrunk the weights.

    Two runs in which it fell after decay had begun to act give the slope of the scaled time in
    log(r). Otherwise it goes on from the last run that generalised, or from halfway to the next
    one, by log(1/r)/(power decay); or as a power of r, as without decay, if that comes first and
    no larger run memorised. ``inf`` where decay does not make the network richer (``power``), and
    where the last run came to the end of its time without.
    """
    if runs and runs[-1].ended == "end" and runs[-1].outcome.test_fall == math.inf:
        return Extrapolated.never()
    known = [
        (p.r, p.r**2 * p.outcome.test_fall) for p in runs if 0 < p.outcome.test_fall < math.inf
    ]
    if not known:
        return Extrapolated.never()
    late = [(r, time) for r, time in known if time * decay > EARLY]
    last_r, last = known[-1]
    if len(late) > 1:
        (r, time) = late[-2]
        slope = max((last - time) / math.log(last_r / r), 0.0)
        return Extrapolated.within(last + slope * math.log(1 / last_r), 1.5)
    larger = [p.r for p in runs if p.r > last_r]
    begin = math.sqrt(last_r * larger[0]) if larger else last_r
    value = math.inf
    if power > _NO_RICHER:
        value = last + math.log(1 / begin) / (power * decay)
    if not larger and len(known) > 1:
        value = min(value, _at_one(known, math.inf, _TIMES))
    return Extrapolated(value, min(last, value), 2 * value)


def final_share(runs: Sequence[Pilot], floor: float) -> float:
    """Return the test loss at r = 1 after all training, over that of predicting nothing.

    From the ends of the last three pilot runs that came to one. ``floor``: that of the lazy twin.
    NaN where fewer than two did.
    """
    ends = [(p.r, p.share("test")) for p in runs if came_to_an_end(p)]
    if len(ends) < 2:
        return math.nan
    return _at_one(ends, floor, _FINAL)


def near_the_edge(share: float, floor: float) -> bool:
    """Return whether a final share is so near the level of a fall that either may be true."""
    if math.isnan(share):
        return False
    return _moved(share, 1 / _OFF, floor) < SHARE < _moved(share, _OFF, floor)


def came_to_an_end(pilot: Pilot) -> bool:
    """Return whether a run fitted, and went on until its losses moved no more."""
    level = math.sqrt(_SETTLED) if pilot.kinks else _SETTLED
    settled = pilot.ended in ("flat", "end") or pilot.share("train") < level
    return settled and math.isfinite(pilot.outcome.train_fall)


def _fall(runs: Sequence[Pilot], final: float, floor: float, twin: float) -> Extrapolated:
    """Return when the test loss falls at r = 1, where it ends at ``final``."""
    if final > SHARE:
        return Extrapolated.never()
    known = []
    for pilot in runs:
        history, own = pilot.run.history, pilot.share("test")
        level = SHARE
        if came_to_an_end(pilot) and max(own, final, SHARE) < floor:
            odds = _odds(SHARE, floor) * _odds(own, floor) / _odds(final, floor)
            level = floor * odds / (1 + odds) if odds < math.inf else floor
        shares = history.test_loss.values / float(history.zero_test_loss)
        time = settled_at(history.time.values, shares, level)
        if 0 < time < math.inf:
            known.append((pilot.r, time))
    return _time(known, twin) if known else Extrapolated.never()


def _time(known: list[tuple[float, float]], twin: float) -> Extrapolated:
    """Return a time at r = 1: r^2 t is what goes on to the twin's.

    It is expected between those of the last run and of the twin, up to the factor ``TWIN``.
    """
    scaled = [(r, r**2 * t) for r, t in known]
    last, value = scaled[-1][1], _at_one(scaled, twin, _TIMES)
    found = Extrapolated.within(value, max(1.5, known[-1][0] ** -0.5))
    if not math.isfinite(twin):
        return found
    low, high = min(last, twin) / TWIN, max(last, twin) * TWIN
    return Extrapolated(value, max(found.low, low), min(found.high, high))


def _at_one(known: list[tuple[float, float]], limit: float, points: int) -> float:
    """Return the value at r = 1 of (r, value), which goes to ``limit`` as r grows.

    >>> [round(_at_one([(r, r**2 / (1 + r**2)) for r in (0.25, 0.5)], 1.0, n), 9) for n in (2, 3)]
    [0.5, 0.5]
    >>> round(_at_one([(r, (1 + r**2) / r**2) for r in (0.25, 0.5)], 1.0, 2), 9)
    2.0
    >>> round(_at_one([(0.25, 1.0), (0.5, 2.0)], math.inf, 2), 9)
    4.0
    """
    r, values = (np.array(column, dtype=float) for column in zip(*known[-points:], strict=True))
    values = np.maximum(values, TINY)
    if not math.isfinite(limit):
        return math.exp(_line(np.log(r), np.log(values)))
    limit = max(limit, TINY)
    if values[-1] > limit:
        return 1 / _at_one([(r, 1 / v) for r, v in known], 1 / limit, points)
    if values[-1] == limit:
        return limit
    # Of values on both sides of the limit, only the last ones go towards it.
    count = int(np.argmax(np.append((values >= limit)[::-1], True)))
    odds = np.log(values[-count:]) - np.log(limit - values[-count:])
    end = math.exp(_line(np.log(r[-count:]), odds))
    return max(limit * end / (1 + end), TINY)


def _line(at: np.ndarray, values: np.ndarray) -> float:
    """Return the value at 0 of a line through the last point; its slope is not negative."""
    slope = float(np.polyfit(at, values, 1)[0]) if len(at) > 1 else 0.0
    return float(values[-1] - min(max(slope, 0.0), _STEEPEST) * at[-1])


def _moved(share: float, factor: float, floor: float) -> float:
    """Return a share with its odds, or itself, times a factor."""
    if not share < floor < math.inf:
        return share * factor
    odds = _odds(share, floor) * factor
    return floor * odds / (1 + odds)


def _odds(value: float, limit: float) -> float:
    return max(value, TINY) / (limit - value) if value < limit else math.inf


def cut_short(runs: Sequence[Pilot]) -> bool:
    """Return whether there are pilot runs, and the budget ended each before its train loss fell."""
    return bool(runs) and all(
        pilot.ended == "budget" and math.isinf(pilot.outcome.train_fall) for pilot in runs
    )


def enough(pilot: Pilot) -> float:
    """Return about how many gradients decide a run that was cut short, to one digit.

    Until its train loss falls, as a power of time like its last; four times as many as it had where
    that has fallen.
    """
    factor = 4.0
    if math.isinf(pilot.outcome.train_fall) and pilot.outcome.end > 0:
        factor = min(max(1.5 * _prolonged(pilot) / pilot.outcome.end, 2.0), 100.0)
    return float(f"{factor * pilot.evaluations:.0e}")


def _prolonged(pilot: Pilot) -> float:
    """Return when a train loss that has not fallen yet will, as a power of time like its last."""
    history = pilot.run.history.isel(time=slice(1, None))
    time = history.time.values
    if not len(time):  # it ended before its first record
        return math.inf
    share = np.minimum.accumulate(history.train_loss.values / float(history.zero_train_loss))
    late = time > time[-1] / 10
    power = 0.0
    if late.sum() > 2:
        power = -float(np.polyfit(np.log(time[late]), np.log(share[late]), 1)[0])
    return float(time[-1] * max(share[-1] / SHARE, 1.0) ** (1 / min(max(power, 0.25), _STEEPEST)))
