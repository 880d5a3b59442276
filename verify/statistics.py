"""Measured evidence that holds at every seed: draws and thresholds derived from stated error rates.

Each test says what is random (``sample(first, count)`` makes the draws first, first + 1, ...), the
smallest effect that it must not miss, and takes draws and threshold from these. Where the claim
is true a test fails for at most ``ALARM`` of the seeds; where the nearest wrong statement is true
instead it passes for at most ``MISS`` of them.
"""

import math
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from scipy import stats

from lazyrich.verify.ledger import Undecided

ALARM, MISS = 1e-3, 1e-2
# What "in most draws" means: in at least this share of them, against the toss of a coin. A true
# share can be told to be 0.99 from hundreds of draws only, so that no test may assume it.
SHARE = 0.95

Array = np.ndarray
# The values of the draws first, ..., first + count - 1; each depends on its own number only.
Sample = Callable[[int, int], Array]


@cache
def sign_test(share: float, against: float) -> tuple[int, int]:
    """Draws, and how many must be positive, to tell a share of positive draws from a smaller one.

    The fewest draws n, with the least k, such that fewer than k of n are positive with probability
    at most ``ALARM`` if the share is ``share``, and k or more with at most ``MISS`` if it is
    ``against``.

    >>> sign_test(0.95, 0.5)
    (22, 17)
    """
    for n in range(1, 2000):
        k = int(stats.binom.ppf(ALARM, n, share))  # P(fewer than k) <= ALARM
        if stats.binom.sf(k - 1, n, against) <= MISS:
            return n, k
    raise ValueError(f"share = {share}: too close to {against}")


def mostly(
    what: str,
    sample: Sample,
    seed: int,
    *,
    share: float = SHARE,
    against: float = 0.5,
    fewest: int = 1,
) -> str:
    """Assert that a draw is True with probability ``share``, not ``against`` or less.

    Wald's sequential test, of ``fewest`` draws or more. Draws are made until what was seen is
    1/MISS times as likely at ``share`` as at ``against`` (it passes), or ALARM times (it fails).
    If the share is ``against`` or less, this ratio of likelihoods does not rise on average, so
    that it ever comes to 1/MISS with probability MISS at most (Ville's inequality); likewise its
    inverse.

    >>> mostly("a square is positive", lambda first, n: np.full(n, True), 0)
    'a square is positive in 8 of 8 draws'
    >>> mostly("a coin shows heads", lambda first, n: np.arange(first, first + n) % 2 == 0, 0)
    Traceback (most recent call last):
    ...
    AssertionError: a coin shows heads in 8 of 16 draws only
    """
    if_true, if_false = math.log(share / against), math.log((1 - share) / (1 - against))
    found, tried, ratio = 0, 0, 0.0  # its logarithm
    while math.log(ALARM) < ratio < -math.log(MISS):
        assert tried <= _MOST, Undecided(f"{what}: {found} of {tried} draws decide nothing")
        missing = -math.log(MISS) - max(ratio, 0)
        count = max(math.ceil(missing / if_true), fewest - tried)  # if all hold, these decide
        holds = np.asarray(sample(seed + tried, count), dtype=bool)
        assert len(holds) == count, f"{what}: {len(holds)} draws, {count} were asked for"
        found, tried = found + int(np.count_nonzero(holds)), tried + count
        ratio = found * if_true + (tried - found) * if_false
    line = f"{what} in {found} of {tried} draws"
    if ratio < 0:
        raise AssertionError(f"{line} only")
    return line


_MOST = 5000  # draws: many times what any share needs on average
DRAWS = sign_test(SHARE, 0.5)[0]


def in_most(what: str, holds: Array, *, share: float = SHARE, against: float = 0.5) -> str:
    """The sign test on draws that are there: at least as many as it needs.

    >>> in_most("true", np.full(22, True))
    'true in 22 of 22 draws'
    """
    holds = np.asarray(holds, dtype=bool)
    n, found = holds.size, int(np.count_nonzero(holds))
    least = int(stats.binom.ppf(ALARM, n, share))
    enough = stats.binom.sf(least - 1, n, against) <= MISS
    assert enough, Undecided(f"{what}: {n} draws are too few to tell {share:g} from {against:g}")
    line = f"{what} in {found} of {n} draws"
    assert found >= least, f"{line}, fewer than {least}"
    return line


def mean_is(
    what: str,
    sample: Sample,
    seed: int,
    expected: float,
    *,
    smallest: float,
    pilot: int = 8,
    most: int = 512,
) -> str:
    """Assert that the mean of the draws is ``expected``, not off by ``smallest`` or more.

    Stein's two stages: the spread of the first ``pilot`` draws says how many more are needed.
    Draws that are too noisy (more than ``most`` needed) fail.

    >>> noise = lambda first, n: np.array([math.sin(37.0 * i) for i in range(first, first + n)])
    >>> mean_is("sin", noise, 0, 0.0, smallest=1.0)
    'sin: mean -0.069 of 41 draws; 0 expected, 0.64 allowed'
    """
    values, to_alarm, to_miss = _two_stages(what, sample, seed, smallest, pilot, most, sides=2)
    allowed = smallest * to_alarm / (to_alarm + to_miss)
    mean = float(values.mean())
    line = f"{what}: mean {mean:.3g} of {len(values)} draws; {expected:g} expected"
    assert abs(mean - expected) <= allowed, f"{line}, and only {allowed:.2g} allowed"
    return f"{line}, {allowed:.2g} allowed"


def two_stages(
    what: str, sample: Sample, seed: int, smallest: float, *, pilot: int = 8, most: int = 512
) -> tuple[Array, float]:
    """The draws of ``mean_is``, and how far from the right value their mean may be.

    >>> values, allowed = two_stages("five", lambda first, n: np.full(n, 5.0), 0, 1.0)
    >>> len(values), round(allowed, 2)
    (8, 0.64)
    """
    values, to_alarm, to_miss = _two_stages(what, sample, seed, smallest, pilot, most, sides=2)
    return values, float(smallest * to_alarm / (to_alarm + to_miss))


def mean_exceeds(
    what: str,
    sample: Sample,
    seed: int,
    bound: float,
    *,
    smallest: float,
    pilot: int = 8,
    most: int = 512,
) -> str:
    """Assert that the mean of the draws is at least ``bound + smallest``, not ``bound`` or less.

    >>> mean_exceeds("two", lambda first, n: np.full(n, 2.0), 0, 1.0, smallest=0.5)
    'two: mean 2 of 8 draws, above 1.19'
    """
    values, to_alarm, to_miss = _two_stages(what, sample, seed, smallest, pilot, most, sides=1)
    least = bound + smallest * to_miss / (to_alarm + to_miss)
    mean = float(values.mean())
    line = f"{what}: mean {mean:.3g} of {len(values)} draws"
    assert mean >= least, f"{line}, below {least:.3g}"
    return f"{line}, above {least:.3g}"


def grows(
    what: str, sample: Sample, seed: int, *, smallest: float, pilot: int = 8, most: int = 512
) -> str:
    """Assert that log values, a draw's (count, settings), grow from each setting to the next.

    A draw counts by its least growth; a mean of ``smallest`` is told from none (``mean_exceeds``),
    from fewer draws than ``rises`` needs. The values are above 0 and finite.

    >>> grows("y", lambda first, n: np.array([[1.0, 2.0, 8.0]] * n), 0, smallest=0.5)
    'least growth of log y from a setting to the next: mean 0.693 of 8 draws, above 0.193'
    """

    def least(first: int, count: int) -> Array:
        return np.diff(np.log(np.asarray(sample(first, count), dtype=float)), axis=1).min(1)

    line = f"least growth of log {what} from a setting to the next"
    return mean_exceeds(line, least, seed, 0.0, smallest=smallest, pilot=pilot, most=most)


def each(value: Callable[[int, float], float], settings: Iterable[float]) -> Sample:
    """The sample of ``value(draw, setting)`` at each setting: shape (count, settings).

    >>> each(lambda draw, setting: draw * setting, (1.0, 10.0))(3, 2)
    array([[ 3., 30.],
           [ 4., 40.]])
    """
    row = list(settings)
    return lambda first, count: np.array(
        [[value(draw, one) for one in row] for draw in range(first, first + count)]
    )


def slope_is(
    what: str, x: Array, sample: Sample, seed: int, expected: float, *, smallest: float = 0.25
) -> str:
    """Assert that the slope of log values over log ``x`` is ``expected`` on average.

    A draw has a value for each of ``x``: shape (count, len(x)). A mean slope that is off by
    ``smallest`` is seen (``mean_is``).

    >>> squares = lambda first, n: np.array([[1.0, 4.0]] * n)
    >>> slope_is("y over x", np.array([1.0, 2.0]), squares, 0, 2.0)
    'slope of log y over x: mean 2 of 8 draws; 2 expected, 0.16 allowed'
    """

    def slopes(first: int, count: int) -> Array:
        values = np.asarray(sample(first, count), dtype=float)
        return np.polyfit(np.log(x), np.log(values).T, 1)[0]

    return mean_is(f"slope of log {what}", slopes, seed, expected, smallest=smallest)


def _two_stages(
    what: str, sample: Sample, seed: int, smallest: float, pilot: int, most: int, sides: int
) -> tuple[Array, float, float]:
    """The draws, and the quantiles of Student's t for a false alarm and for a miss."""
    to_alarm, to_miss = stats.t.ppf([1 - ALARM / sides, 1 - MISS], pilot - 1)
    first = np.asarray(sample(seed, pilot), dtype=float)
    assert np.isfinite(first).all(), f"{what}: a draw is {first[~np.isfinite(first)][0]}"
    needed = math.ceil((first.std(ddof=1) * (to_alarm + to_miss) / smallest) ** 2)
    assert needed <= most, Undecided(f"{what}: {needed} draws needed, more than {most}")
    if needed <= pilot:
        return first, to_alarm, to_miss
    more = np.asarray(sample(seed + pilot, needed - pilot), dtype=float)
    return np.concatenate([first, more]), to_alarm, to_miss


def rises(
    what: str, sample: Sample, seed: int, *, share: float = SHARE, against: float = 0.5
) -> str:
    """Assert that the values of a draw, (count, settings), rise along the settings in a draw.

    A value never falls back, and the last is above the first; inf means "never within the run".

    >>> rises("time to grok", lambda first, n: np.array([[1.0, 5.0, np.inf]] * n), 0)
    'time to grok rises in 8 of 8 draws (medians 1, 5, never)'
    """
    kept: list[Array] = []

    def rising(first: int, count: int) -> Array:
        kept.append(np.asarray(sample(first, count), dtype=float))
        return _rising(kept[-1])

    try:
        line = mostly(f"{what} rises", rising, seed, share=share, against=against)
    except AssertionError as error:
        raise AssertionError(f"{error} {_medians(kept)}") from None
    return f"{line} {_medians(kept)}"


def rise_in_most(what: str, values: Array) -> str:
    """The same of draws that are there (``in_most``).

    >>> rise_in_most("time to grok", np.array([[1.0, 5.0, np.inf]] * 22))
    'time to grok rises in 22 of 22 draws (medians 1, 5, never)'
    """
    try:
        line = in_most(f"{what} rises", _rising(values))
    except AssertionError as error:
        raise AssertionError(f"{error} {_medians([values])}") from None
    return f"{line} {_medians([values])}"


def _rising(values: Array) -> Array:
    before, after = values[:, :-1], values[:, 1:]
    return (after >= before).all(1) & (values[:, -1] > values[:, 0])


def _medians(kept: list[Array]) -> str:
    medians = np.median(np.concatenate(kept), axis=0)
    return f"(medians {', '.join('never' if math.isinf(m) else f'{m:.3g}' for m in medians)})"
