"""What will happen if the network is trained: the decision, from the lazy curve and pilot runs."""

import math
from dataclasses import dataclass

from lazyrich.simulate.diagnosis.extrapolation import (
    TWIN,
    Extrapolated,
    came_to_an_end,
    cut_short,
    enough,
    final_share,
    near_the_edge,
    when_test_falls,
    when_train_falls,
)
from lazyrich.simulate.diagnosis.laziness import Laziness
from lazyrich.simulate.diagnosis.pilots import EARLY, Pilot
from lazyrich.simulate.outcome import (
    AT_ONCE,
    GROKS,
    MEMORISES,
    SHARE,
    UNFITTED,
    Outcome,
    phase_of,
)

# Below this departure from the twin the train loss falls as the twin's does.
FOLLOWS = 0.3
# Below this one, and without weight decay or pilot runs, nothing but the twin decides.
LAZY = 0.1
# Above this train loss at the start, over that of predicting nothing, the output is larger than the
# labels, and much of training unlearns it.
_UNLEARNS = 2.0
UNKNOWN = "not decided"
_EDGE = "It is near the edge between memorising and generalising: either may happen"


@dataclass(frozen=True)
class Forecast:
    """The phase, the times at which the losses will fall, and why.

    Times are learning rate times steps. ``train``, ``test``: with the range expected. ``delay``
    and its range follow from these. ``horizon``: the time after which "never" is said. Where the
    phase is not decided, times that are not known are NaN, and ``remedy`` says what would decide.
    ``final``: the test loss at the end over that of predicting nothing, NaN where it is not known.
    """

    phase: str
    train: Extrapolated
    test: Extrapolated
    horizon: float
    reason: str
    remedy: str = ""
    final: float = math.nan

    @property
    def delay(self) -> tuple[float, float, float]:
        """Return the delay and its range: from the fall of the train loss to that of the test."""
        value = self.test.value - self.train.value
        low = max(self.test.low - self.train.high, 0.0)
        return max(value, 0.0), low, max(self.test.high - self.train.low, 0.0)


def forecast(
    lazy: Outcome,
    floor: float,
    laziness: Laziness,
    runs: list[Pilot] | None,
    *,
    decay: float,
    horizon: float,
    followed: float = math.inf,
    start: float = 1.0,
) -> Forecast:
    """Decide, by rules that were fixed before they were validated.

    ``floor``: the final test loss of the twin over that of predicting nothing. ``followed``: the
    time at which the twin was left before its end, as where the loss has kinks. ``start``: the
    train loss at the start over that of predicting nothing.

    1. The train loss falls when the pilot runs say, on their way to the twin; if the output at the
       start is larger than the labels, without the twin. It falls when the twin's does if that is
       at the start, there are no pilot runs, or no pilot run fitted and the network follows its
       twin (departure below ``FOLLOWS``).
    2. The test loss falls when the pilot runs say, in the same way; with decay when the twin's
       does, if that is earlier. It falls when the twin's does if no pilot run generalised, and none
       came to an end at which the test loss is too high for r = 1.
    3. Times beyond the horizon are "never". The phase is that of ``outcome.phase_of``.
    4. Without pilot runs, a network that is not lazy is not decided, and neither is one with weight
       decay that acts within the horizon, unless the twin generalises and the network follows it.
    5. A twin that was not followed to its end says nothing: the pilot runs alone decide, and only
       if that at the largest scale was followed until its losses had fallen or it came to an end.
    """
    if math.isfinite(followed) and not math.isfinite(lazy.test_fall):
        return _by_pilots(laziness, runs or [], decay, horizon, followed)
    twin_train, twin_test = (
        Extrapolated.within(t, TWIN) for t in (lazy.train_fall, lazy.test_fall)
    )
    undecided = runs is None and (not laziness.departure <= LAZY or decay * horizon > EARLY)
    runs = runs or []
    unfitted = not any(math.isfinite(pilot.outcome.train_fall) for pilot in runs)
    follows = not runs or twin_train.value == 0 or (unfitted and laziness.departure < FOLLOWS)
    limits = [t.value if start <= _UNLEARNS else math.inf for t in (twin_train, twin_test)]
    train = twin_train if follows else when_train_falls(runs, limits[0])
    later = when_test_falls(runs, decay, floor, laziness.power, limits[1])
    lazily = _lazily(twin_test.value, later.value, runs, decay, floor)
    test = twin_test if lazily else later
    far = not laziness.departure < FOLLOWS and test.value > 0
    if undecided and (far or not lazily):
        twin = "generalises" if lazily else "does not generalise"
        reason = f"the linearised network {twin}, and the network is not lazy"
        remedy = "run copies at smaller scales (pilot runs)"
        known = Extrapolated.unknown() if far and train.value > 0 else train
        return Forecast(UNKNOWN, known, Extrapolated.unknown(), horizon, reason, remedy)
    within = [t.value if t.value <= horizon else math.inf for t in (train, test)]
    phase = phase_of(within[0], max(within))
    late = twin_test.value > 2 * test.value  # the twin generalises later, or never
    by_decay = late and decay * test.value > EARLY
    why = _reason(phase, twin_test.value, late, by_decay, runs, train, test)
    doubts = _doubts(phase, lazily, by_decay, floor, runs, decay, horizon)
    if phase == UNFITTED and math.isinf(train.value):
        doubts = ""
    if not doubts:
        doubts = _around("train", train, horizon) or _around("test", test, horizon)
    final = _final(laziness, runs, floor) if decay == 0 else math.nan
    if not doubts and phase in (GROKS, AT_ONCE) and final > SHARE:
        doubts = ". But it may memorise, as its linearised network does, which it is close to"
    reason = f"{why}. {_how(laziness)}{doubts}"
    return Forecast(phase, train, test, horizon, reason, final=final)


def _lazily(twin: float, later: float, runs: list[Pilot], decay: float, floor: float) -> bool:
    """Return whether the test loss falls when the twin's does, and not when pilot runs say."""
    if not 0 < twin < math.inf:
        return twin == 0  # it is so at the start
    if any(math.isfinite(pilot.outcome.test_fall) for pilot in runs):
        return decay > 0 and twin <= later
    return not final_share(runs, floor) > SHARE


def _final(laziness: Laziness, runs: list[Pilot], floor: float) -> float:
    """Return the test loss at the end, over that of predicting nothing; NaN unknown."""
    found = final_share(runs, floor)
    return floor if math.isnan(found) and laziness.departure <= LAZY else found


def _by_pilots(
    laziness: Laziness, runs: list[Pilot], decay: float, horizon: float, followed: float
) -> Forecast:
    """Decide without a twin: its times and its final loss are unknown."""
    left = f"the linearised network was followed to time {followed:.3g} only, not to its end"
    how = _how(laziness, followed)
    train = test = Extrapolated.unknown()
    if runs and math.isfinite(runs[-1].outcome.train_fall):
        train = when_train_falls(runs, math.inf)
    if runs and (math.isfinite(runs[-1].outcome.test_fall) or came_to_an_end(runs[-1])):
        test = when_test_falls(runs, decay, 0.0, laziness.power)
    if math.isnan(train.value) or math.isnan(test.value):
        spent = ", and pilot runs ended as their budget of gradients was spent" if runs else ""
        remedy = "run copies at smaller scales (pilot runs)"
        if runs:
            remedy = f"give a larger budget (about {enough(runs[-1]):,.0f})"
        remedy += ", or train the network with a plain fit"
        return Forecast(UNKNOWN, train, test, horizon, f"{left}{spent}. {how}", remedy)
    within = [t.value if t.value <= horizon else math.inf for t in (train, test)]
    phase = phase_of(within[0], max(within))
    when = "falls" if math.isfinite(within[1]) else "does not fall"
    reason = "copies with a smaller output say so: extrapolated to the full output, the test loss "
    edge = near_the_edge(final_share(runs, math.inf), math.inf) if decay == 0 else False
    doubt = f". {_EDGE}" if edge else ""
    return Forecast(phase, train, test, horizon, f"{reason}{when}. But {left}. {how}{doubt}")


def _doubts(
    phase: str,
    lazily: bool,
    by_decay: bool,
    floor: float,
    runs: list[Pilot],
    decay: float,
    horizon: float,
) -> str:
    """Return where the phase may be another."""
    if cut_short(runs) and not lazily and phase == UNFITTED:
        return (
            ". But no pilot run fitted before its budget of gradients was spent: when it fits is a "
            "guess, and may be earlier"
        )
    if cut_short(runs) and not lazily and phase in (GROKS, MEMORISES):
        return (
            ". But no pilot run fitted before its budget of gradients was spent: the phase is a "
            "guess, and the times are rough"
        )
    late = [p for p in runs if EARLY < decay * p.r**2 * p.outcome.test_fall < math.inf]
    if by_decay and phase == GROKS and len(late) < 2:
        return (
            ". Weight decay has hardly acted in the pilot runs that generalised: it may also not "
            "bring the test loss down"
        )
    if decay * horizon <= EARLY:
        if not lazily and near_the_edge(final_share(runs, floor), floor):
            return f". {_EDGE}"
        return ""
    reached = max((pilot.r**2 * pilot.outcome.end for pilot in runs), default=math.inf)
    if phase == MEMORISES and decay * reached < 1 < decay * horizon:
        return (
            f". The pilot runs end at time {reached:.2g} of the full output, before weight decay "
            f"acts (1/weight_decay is {1 / decay:.2g}): it may still bring the test loss down later"
        )
    return ""


def _around(side: str, when: Extrapolated, horizon: float) -> str:
    """Return that a loss may fall on either side of the horizon; empty where it may not."""
    if not when.low <= horizon < when.high < math.inf:
        return ""
    return (
        f". But the {side} loss is expected to fall between {when.low:.3g} and {when.high:.3g}: it "
        f"may or may not within time {horizon:.3g}"
    )


def _how(laziness: Laziness, followed: float = math.inf) -> str:
    if math.isnan(laziness.departure) or (math.isfinite(followed) and laziness.departure <= 1):
        return "How lazy the network is, is not known"
    if laziness.departure < LAZY:
        return "The network is lazy (close to its linearisation)"
    if laziness.departure > 1:
        return "The network is rich (far from its linearisation)"
    return "The network is between lazy and rich"


def _reason(
    phase: str,
    twin: float,
    late: bool,
    by_decay: bool,
    runs: list[Pilot],
    train: Extrapolated,
    test: Extrapolated,
) -> str:
    """Return why; ``twin``: when the test loss of the twin falls, ``late``: after the network's."""
    if phase == UNFITTED:
        return _why_unfitted(train, runs)
    if phase == MEMORISES and math.isfinite(twin) and math.isinf(test.value):
        return "the linearised network generalises, but copies with a smaller output do not"
    if math.isfinite(twin) and not late:
        by_itself = "the linearised network generalises by itself"
        if phase == GROKS:
            return f"{by_itself}, but late: the labels lie in slow directions of its kernel too"
        return by_itself
    if phase == MEMORISES and not math.isfinite(test.value):
        if not runs:
            return "the linearised network does not generalise"
        if any(math.isfinite(pilot.outcome.test_fall) for pilot in runs):
            return "copies with a smaller output generalise, but less the larger the output"
        cut = " within its budget of gradients" if runs[-1].ended == "budget" else ""
        return f"neither the linearised network nor a copy with a smaller output generalises{cut}"
    when = {
        MEMORISES: "too late",
        GROKS: "later than the train loss",
        AT_ONCE: "with the train loss",
    }[phase]
    lazily = "the linearised network does not generalise"
    if math.isfinite(twin):
        lazily = f"the linearised network generalises late (at time {twin:.3g})"
    features = "copies with a smaller output learn features and do"
    if by_decay:
        features = "weight decay shrinks the weights until features are learned"
    elif math.isfinite(twin):
        features += " sooner"
    return f"{lazily}, but {features}; extrapolated to the full output, the test loss falls {when}"


def _why_unfitted(train: Extrapolated, runs: list[Pilot]) -> str:
    if math.isfinite(train.value):
        return f"the train loss falls later, at about time {train.value:.3g}"
    if not runs:
        return "the linearised network does not fit the training set"
    if any(math.isfinite(pilot.outcome.train_fall) for pilot in runs):
        return "copies with a smaller output fit the training set, but this one does not"
    return (
        "neither the linearised network nor a copy with a smaller output fits the training set in "
        "that time"
    )
