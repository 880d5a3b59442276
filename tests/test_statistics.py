"""The error rates that measured evidence promises, on draws whose distribution is known."""

import numpy as np
import pytest
from scipy import stats

from lazyrich.verify import statistics
from lazyrich.verify.statistics import ALARM, MISS, mean_exceeds, mean_is, mostly, rises

RUNS = 4000
# So many of the runs err with a probability below 1e-6 if the rate is as promised.
MOST_ALARMS, MOST_MISSES = (int(stats.binom.isf(1e-6, RUNS, rate)) for rate in (ALARM, MISS))


def passes(check) -> bool:
    try:
        check()
    except AssertionError:
        return False
    return True


def coin(share: float, rng: np.random.Generator):
    """Draws that hold with this probability; every draw is asked for once, in order."""
    following = 0

    def sample(first: int, count: int) -> np.ndarray:
        nonlocal following
        assert (first, count > 0) == (following, True)
        following += count
        return rng.random(count) < share

    return sample


@pytest.mark.parametrize(
    ("share", "against"), [(0.95, 0.5), (0.95, 0.1), (0.9, 0.45), (0.97, 0.7), (0.5, 0.1)]
)
def test_the_sequential_test_errs_as_rarely_as_it_says(share, against):
    rng = np.random.default_rng(0)

    def passed(of: float) -> int:
        options = {"share": share, "against": against}
        return sum(passes(lambda: mostly("", coin(of, rng), 0, **options)) for _ in range(RUNS))

    assert RUNS - passed(share) <= MOST_ALARMS
    assert passed(against) <= MOST_MISSES
    # The bounds are near: of a share in the middle it is often wrong, either way.
    assert RUNS / 10 < passed((share + against) / 2) < RUNS * 9 / 10


def test_the_sequential_test_stops_early_and_makes_as_many_draws_as_it_is_told():
    certain, never = (lambda _, n, value=value: np.full(n, value) for value in (True, False))
    assert mostly("", certain, 7) == " in 8 of 8 draws"
    assert mostly("", certain, 7, fewest=10) == " in 10 of 10 draws"
    with pytest.raises(AssertionError, match="0 of 8 draws only"):
        mostly("", never, 7)
    # The share at which neither side gains, by turns: nothing is decided, and that is said.
    loss, gain = np.log(0.5 / 0.05), np.log(0.95 / 0.5)
    turns = np.diff(np.floor(np.arange(2 * statistics._MOST) * loss / (loss + gain))) > 0
    with pytest.raises(AssertionError, match="decide nothing"):
        mostly("", lambda first, n: turns[first : first + n], 0)


def test_draws_that_are_fewer_than_asked_for_decide_nothing():
    with pytest.raises(AssertionError, match="3 draws, 8 were asked for"):
        mostly("", lambda *_: np.full(3, True), 0)


def test_medians_are_of_all_draws():
    line = rises("x", lambda first, n: np.arange(first, first + n)[:, None] + np.arange(2.0), 0)
    assert line == "x rises in 8 of 8 draws (medians 3.5, 4.5)"


@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_steins_two_stages_err_as_rarely_as_they_say(spread):
    rng = np.random.default_rng(1)

    def passed(check, mean: float, **options) -> int:
        def sample(_, count: int) -> np.ndarray:
            return mean + spread * rng.standard_normal(count)

        call = {"smallest": 1.0, "pilot": 8} | options
        return sum(passes(lambda: check("", sample, 0, 0.0, **call)) for _ in range(RUNS // 4))

    most_alarms, most_misses = (int(stats.binom.isf(1e-6, RUNS // 4, r)) for r in (ALARM, MISS))
    for check, right, wrong in ((mean_is, 0.0, 1.0), (mean_exceeds, 1.0, 0.0)):
        assert RUNS // 4 - passed(check, right) <= most_alarms
        assert passed(check, wrong) <= most_misses
