"""The ledger: every verdict stands, one test a claim, and counter-examples are honest."""

import pytest

from lazyrich.verify import claims, ledger
from lazyrich.verify.counterexample import SIMPLE, smallest

CLAIMS = claims()


@pytest.mark.parametrize("name", CLAIMS)
def test_the_verdict_stands(name):
    row = ledger.check(CLAIMS[name], ledger.Budget(examples=5))
    wrong = [(r.evidence.sentence, r.found, r.control) for r in row.results if not r.passed]
    assert row.passed, f"{wrong} {row.counterexample}"
    assert all(r.control for r in row.results), "evidence without a control"


def test_each_counterexample_is_at_a_point_without_coincidence():
    """Both values are shown and differ; that they agree elsewhere is said."""
    row = ledger.check(CLAIMS["sec-5-lambda-quadr"], ledger.Budget(examples=1))
    assert row.counterexample == (
        "D = 2, epsilon = 2: printed 1, derived 2 (they agree by coincidence at D = 2, epsilon = 1)"
    )


def test_the_search_for_a_counterexample_starts_at_the_simplest_point_and_can_find_none():
    found = smallest(lambda D, e: D * e, lambda D, e: D * e**2, D=(1, 2), e=SIMPLE)
    assert found.startswith("D = 1, e = 2: printed 2, derived 4")
    with pytest.raises(AssertionError, match="agree at all 7 points"):
        smallest(lambda e: e, lambda e: e, e=SIMPLE)
    with pytest.raises(AssertionError, match="must be exact"):
        smallest(lambda e: 0.5 * e, lambda e: e, e=SIMPLE)
