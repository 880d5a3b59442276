"""The words check of ``make lint`` finds what it should, wherever text stands in a file."""

import re

import pytest

from . import prose

# What tools write into a checkout.
OUTPUTS = {".shadow", ".venv", "build", "dist", "demo", "_build"}

SAMPLES = [
    "foretells",
    "the dearest first",
    "it hangs on the seed",
    "for ever",
    "ever after",
    "beside the plot",
    "as of the others",
    "one's own labels",
    "nobody",
    "whatever",
    "hence",
    "lest",
    "ere",
    "therein",
    "thither",
    "nought",
    "whilst",
    "that descent can't bear",
    "which is it",
    "for want of memory",
]


def test_each_pattern_of_the_list_has_a_sample_and_finds_it():
    found = [list(prose.in_text(sample)) for sample in SAMPLES]
    assert [len(hits) for hits in found] == [1] * len(SAMPLES)
    assert [hits[0].advice for hits in found] == list(prose.WORDS.values())


@pytest.mark.parametrize(
    "plain",
    ["besides", "as often", "there", "here", "therefore", "the least", "dead", "hang", "forever"],
)
def test_plain_words_pass(plain):
    assert list(prose.in_text(plain)) == []


HIDING_PLACES = {
    '"""It waits for ever."""\n': 1,
    "x = 1  # for ever\n": 1,
    "# for\n# ever\n": 1,
    'raise ValueError(\n    f"{x}: waits for "\n    f"ever"\n)\n': 2,
    "def f():\n    '''A.\n\n    B for\n    ever.\n    '''\n": 4,
    'click.option("--wait", help="Wait FOR EVER.")\n': 1,
}


@pytest.mark.parametrize("source", HIDING_PLACES)
def test_a_word_is_found_in_comments_docstrings_messages_and_over_lines(source):
    (found,) = prose.in_python(source)
    assert found.line == HIDING_PLACES[source]
    assert re.sub(r"\s+", " ", found.text).lower() == "for ever"


def test_names_are_not_text():
    assert list(prose.in_python("hence = beside(whatever)\n")) == []


def test_words_that_the_record_quotes_from_a_paper_are_the_papers(monkeypatch, tmp_path):
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    for folder, found in (("verify/record", 1), ("verify", 2)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        file = tmp_path / folder / "notes.toml"
        file.write_text('printed = "hence then"\nstatement = "hence"\n')
        assert len(list(prose.in_file(file))) == found


def test_only_the_list_itself_is_left_out():
    read = set(prose.files())
    assert {file.name for file in prose.THE_LIST} == {"prose.py", "test_prose.py"}
    assert not prose.THE_LIST & read
    python = {f for f in prose.ROOT.rglob("*.py") if not OUTPUTS & set(f.parts)}
    assert python - prose.THE_LIST - read == set()
