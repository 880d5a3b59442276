"""The verdicts on sample sizes, several directions and higher degrees stand, one test a claim."""

import pytest

from lazyrich.verify import claims_general, claims_hermite, ledger

CLAIMS = ledger.by_name([*claims_general.claims(), *claims_hermite.claims()])


@pytest.mark.parametrize("name", CLAIMS)
def test_the_verdict_stands(name):
    row = ledger.check(CLAIMS[name], ledger.Budget(examples=5))
    wrong = [(r.evidence.sentence, r.found, r.control) for r in row.results if not r.passed]
    assert row.passed, f"{wrong} {row.counterexample}"
    assert all(r.control for r in row.results), "evidence without a control"
