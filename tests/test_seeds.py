"""The table of many seeds: what is run, what is kept, and when a row is stale."""

from pathlib import Path

import pytest
from scipy import stats

from lazyrich import verify
from lazyrich.verify import evidence_code, seeds
from lazyrich.verify.evidence_code import code_digest
from lazyrich.verify.ledger import Result, Row
from lazyrich.verify.statistics import ALARM

CLAIMS = [verify.claims()[name] for name in ("eq-6", "fig-8", "law-collapse")]

EVIDENCE = '''
from lazyrich.verify.toy.helpers import double
from lazyrich.verify.toy import laws
from lazyrich.verify.evidence import attach, evidence, proof
from lazyrich.verify.ledger import Evidence

LIMIT = 3

def used():
    return 1

def unused():
    return 4

@evidence("one", "measured", "a sentence", control={"n": 5})
@evidence("two", "measured", "a sentence", control={"n": 6})
def below(budget, n=1) -> str:
    """Words."""
    line = f"n is {n}"
    assert double(n) + laws.zero(n) < LIMIT, "too large"
    if n > 8:
        raise AssertionError("n above 8")
    return f"found {line} after {laws.asserts(n)}"


attach("one", proof("both sides", double, 8), Evidence("read", f"page {LIMIT}", used))
'''
FILES = {
    "toy": "",
    "evidence": EVIDENCE,
    "helpers": "FACTOR = 2\n\ndef double(n):\n    return FACTOR * n\n",
    "laws": (
        "def zero(n):\n    return 0 * n\n\ndef other(n):\n    return n\n\n"
        "def asserts(n):\n    assert n < 9\n    return 'a name'\n"
    ),
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The digest of claim "one" of a toy, after ``old`` is replaced by ``new`` in its sources."""
    monkeypatch.setattr(
        evidence_code, "source", lambda name: tmp_path / f"{name.rsplit('.', 1)[1]}.py"
    )

    def digest(old="", new="", claim="one"):
        for name, text in FILES.items():
            (tmp_path / f"{name}.py").write_text(text.replace(old, new) if old else text)
        evidence_code._read.cache_clear()
        evidence_code._digest.cache_clear()
        lines = EVIDENCE.split("\n")
        starts = (next(i for i, x in enumerate(lines, 1) if x.startswith(s)) for s in ("@", "att"))
        return evidence_code._digest(claim, tuple(f"verify/toy/evidence.py:{i}" for i in starts))

    yield digest
    evidence_code._read.cache_clear()
    evidence_code._digest.cache_clear()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("double(n) +", "double(n) -"),
        ("FACTOR = 2", "FACTOR = 3"),
        ("0 * n", "1 * n"),
        ('{"n": 5}', '{"n": 7}'),
        ("return 1", "return 2"),
        ("double, 8", "double, 9"),
        ('"read"', '"seen"'),
        ("asserts(n)}", "asserts(0)}"),
        ("n < 9", "n < 10"),
        ("'a name'", "'another name'"),
    ],
)
def test_a_row_is_stale_once_a_check_its_control_or_what_they_use_changes(toy, old, new):
    assert toy(old, new) != toy()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 4", "return 5"),
        ("both sides", "either side"),
        ("page {LIMIT}", "leaf"),
        ("Words.", "Other words."),
        ("too large", "larger"),
        ("n is {n}", "{n + 1} is n"),
        ("found {line}", "found at {LIMIT:.3g}, {max(n, 2)}"),
        ("n above 8", "{n} is more than 8"),
        ("a sentence", "another sentence"),
        ('{"n": 6}', '{"n": 7}'),
        ("return n\n", "return n + 1\n"),
        ("< LIMIT,", "< LIMIT ,  "),
    ],
)
def test_a_row_is_not_stale_after_changes_of_words_layout_or_other_claims(toy, old, new):
    assert toy(old, new) == toy()


def test_two_claims_of_one_function_differ_by_their_controls(toy):
    assert toy(claim="one") != toy(claim="two")


@pytest.fixture
def calls(monkeypatch):
    """The (seed, names) that were checked, without checking; seed 2000 fails."""
    made = []

    def check_all(claims, budget, jobs):
        assert jobs == 1
        made.append((budget.seed, [claim.name for claim in claims]))
        rows = []
        for claim in claims:
            passed = budget.seed != 2000
            found = Result(claim.evidence[0], "no" if not passed else "yes", passed, 0.0)
            rows.append(Row(claim, (found,), 0.0, passed))
        return tuple(rows)

    monkeypatch.setattr(seeds, "check_all", check_all)
    return made


def test_claims_without_randomness_run_once_and_failures_are_listed(calls, tmp_path):
    table = seeds.update(tmp_path / "t.md", CLAIMS, 3)
    random = [claim.name for claim in CLAIMS if seeds.is_random(claim)]
    assert 0 < len(random) < len(CLAIMS) + 1
    assert calls == [(0, [c.name for c in CLAIMS]), (1000, random), (2000, random)]
    assert {
        name for name, row in table.items() if row.failed == {2000: "the check fails: no"}
    } == set(random)
    assert seeds.parse((tmp_path / "t.md").read_text()) == table


def test_only_what_the_table_lacks_is_run(calls, tmp_path):
    path = tmp_path / "t.md"
    seeds.update(path, CLAIMS[1:2], 2)
    calls.clear()
    seeds.update(path, CLAIMS[1:2], 2)
    assert calls == []
    seeds.update(path, CLAIMS[1:], 3)  # a new claim, and a seed more
    assert calls == [
        (0, ["law-collapse"]),
        (1000, ["law-collapse"]),
        (2000, ["fig-8", "law-collapse"]),
    ]
    calls.clear()
    seeds.update(path, CLAIMS[1:2], 2, again=True)
    assert calls == [(0, ["fig-8"]), (1000, ["fig-8"])]


def test_a_stale_row_is_made_anew_and_the_others_stay(calls, tmp_path):
    path = tmp_path / "t.md"
    seeds.update(path, CLAIMS, 2)
    path.write_text(path.read_text().replace(code_digest(CLAIMS[1]), "00000000"))
    assert seeds.lacking(path, CLAIMS, 2) == {"fig-8": "its evidence has changed"}
    calls.clear()
    seeds.update(path, CLAIMS, 2)
    assert calls == [(0, ["fig-8"]), (1000, ["fig-8"])]
    assert seeds.lacking(path, CLAIMS, 2) == {}


def test_a_run_that_stops_goes_on_at_the_next_seed(calls, tmp_path, monkeypatch):
    path, working = tmp_path / "t.md", vars(seeds)["check_all"]

    def stops(claims, budget, jobs):
        if budget.seed == 1000:
            raise KeyboardInterrupt
        return working(claims, budget, jobs)

    monkeypatch.setattr(seeds, "check_all", stops)
    with pytest.raises(KeyboardInterrupt):
        seeds.update(path, CLAIMS[1:2], 2)
    monkeypatch.setattr(seeds, "check_all", working)
    calls.clear()
    seeds.update(path, CLAIMS[1:2], 2)
    assert calls == [(1000, ["fig-8"])]


def test_what_no_seed_can_test_is_no_row_of_many_seeds(calls, tmp_path):
    path, alone, fixed = (
        tmp_path / "t.md",
        verify.claims()["lyu-fig-2"],
        verify.claims()["lyu-sharp"],
    )
    path.write_text(f"| lyu-sharp | Lyu et al. 2024 | 30 | 0 | {code_digest(fixed)} |\n")
    table = seeds.update(path, [alone, fixed], 2)
    assert calls == []
    assert seeds.parse(path.read_text())["lyu-sharp"].seeds == 1
    assert "lyu-fig-2" not in table
    lists = [line for line in path.read_text().splitlines() if not line.startswith("|")]
    assert any("figures" in line and "lyu-fig-2" in line for line in lists)
    assert any("nothing is drawn at random" in line and "lyu-sharp" in line for line in lists)


TABLE = Path(__file__).resolve().parent.parent / "docs" / "seeds.md"


def test_the_table_in_the_docs_says_what_it_lacks():
    """If it fails: `make seeds` runs what is missing. A few minutes for each changed claim."""
    lacking = seeds.lacking(TABLE, verify.claims().values())
    assert set(lacking) <= seeds.admitted(TABLE.read_text())


def test_failures_in_the_docs_are_as_rare_as_false_alarms():
    """More than one at a claim, or more than these in all, are no false alarms."""
    claims, table = verify.claims(), seeds.parse(TABLE.read_text())
    rows = [
        r for name, r in table.items() if name in claims and r.code == code_digest(claims[name])
    ]
    assert max(len(row.failed) for row in rows) <= 1
    checks = sum(row.seeds for row in rows)
    assert sum(len(row.failed) for row in rows) <= stats.binom.isf(ALARM, checks, ALARM)


def test_a_claim_without_a_row_is_lacking(tmp_path):
    (tmp_path / "t.md").write_text("")
    claim = CLAIMS[0]
    assert seeds.lacking(tmp_path / "t.md", [claim]) == {"eq-6": "no row"}


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ("", "the check fails: 7 of 22 draws"),
        ("accepted", "the control fails, not the claim: accepted (found: 7 of 22 draws)"),
    ],
)
def test_a_failure_says_whether_the_claim_or_its_control_failed(control, said):
    claim = CLAIMS[0]
    result = Result(claim.evidence[0], "7 of 22 draws", False, 0.0, control)
    assert seeds._reason(Row(claim, (result,), 0.0, False, "")) == said
