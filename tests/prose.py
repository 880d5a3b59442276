"""The words check of ``make lint``: find archaic and poetic words in the text of the project.

``python tests/prose.py`` reads each comment and string of every Python file, and every line of the
Markdown, TOML, cfg and Make files that git knows. It prints each of ``WORDS`` that it finds as
FILE:LINE and exits 1. There is no way to mark an exception: rewrite the sentence.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# What to find -> what to write instead. Patterns match whole words, in either case, and across line
# breaks. Only clear cases are listed: a word with a common modern use is not.
WORDS = {
    r"foret(?:ell|ells|old|elling)": "predict",
    r"dear(?:er|est|ly)?": "expensive",
    r"(?:hang|hangs|hanging|hung) (?:up)?on": "depend on",
    r"for ever": "indefinitely, without end",
    r"ever after(?:wards)?": "from then on",
    r"beside": "next to, in addition to",
    r"as of (?!this\b|now\b|\d)": "as for, like that of",
    r"(?:of )?one's own": "your own, user-supplied",
    r"nobody": "say who or what does not, or use the passive",
    r"what(?:so)?ever|(?:how|who)soever": "any, regardless of, however",
    r"hence(?:forth)?|whence|thence": "so, therefore, from which",
    r"lest": "so that ... not",
    r"ere": "before",
    r"(?:there|where|here)(?:in|of|unto)|whereupon": "in it, of it",
    r"hither(?:to)?|thither|heretofore|forthwith": "so far, at once",
    r"nought|naught|aught": "zero, nothing",
    r"albeit|whilst|amongst|betwixt|unto|oft|yonder": "although, while, among, between, often",
    r"(?:can't|cannot|can|could) bear": "is stable at, allows",
    r"which is it|as good as those": "repeat the noun",
    r"for want of|else than|save (?:for|that)": "without, other than, except",
}
PATTERN = re.compile(
    r"\b(?:" + "|".join(f"(?P<w{i}>{word})" for i, word in enumerate(WORDS)) + r")\b", re.IGNORECASE
)

SUFFIXES = {".py", ".md", ".toml", ".cfg", ".cff", ".yml", ".yaml", ".ipynb", ""}
# The list itself, and the test that shows that each of its patterns finds something.
THE_LIST = {Path(__file__).resolve(), ROOT / "tests" / "test_prose.py"}


class Found(NamedTuple):
    """One of ``WORDS``: the line on which it starts, the text, and what to write instead."""

    line: int
    text: str
    advice: str


def in_text(text: str, first: int = 1) -> Iterator[Found]:
    """Yield each of ``WORDS`` in a text whose first line has the number ``first``.

    >>> [(found.line, found.text) for found in in_text("It waits\\nfor\\n    ever.")]
    [(2, 'for ever')]
    """
    # Every run of white space (and the mark of a comment) becomes one blank; lines[i] is the line
    # of the i-th character.
    flat, lines, line, end = "", [], first, 0
    for gap in [*re.finditer(r"\s+(?:#\s+)?", text), None]:
        stop = gap.start() if gap else len(text)
        flat += text[end:stop] + " "
        lines += [line] * (stop - end + 1)
        if gap:
            line, end = line + gap.group().count("\n"), gap.end()
    for match in PATTERN.finditer(flat):
        assert match.lastgroup is not None
        advice = list(WORDS.values())[int(match.lastgroup[1:])]
        yield Found(lines[match.start()], match.group(), advice)


def in_python(source: str) -> Iterator[Found]:
    """Yield each of ``WORDS`` in the comments and strings of a Python source. Names are not text.

    >>> list(in_python("hence = 1  # a name"))
    []
    >>> [found.text for found in in_python('say("for "\\n    "ever")  # lest')]
    ['for ever', 'lest']
    """
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type != tokenize.NL
    ]
    # Comments that follow each other are one text, and so are strings: a sentence runs through.
    for kind, run in groupby(tokens, _kind):
        if kind is None:
            continue
        text, last = "", None
        for token in run:
            if last is not None:
                text += "\n" * (token.start[0] - last.end[0])
                if kind == "string":  # without the quotes between two strings that Python joins
                    text = re.sub(r"""["']+(\n*)$""", r"\1", text)
            else:
                first = token.start[0]
            text += re.sub(r"""^[A-Za-z]{0,2}["']+""", "", token.string)
            last = token
        yield from in_text(text, first)


def _kind(token: tokenize.TokenInfo) -> str | None:
    if token.type == tokenize.COMMENT:
        return "comment"
    name = tokenize.tok_name[token.type]
    return "string" if name == "STRING" or name.startswith("FSTRING") else None


def in_file(file: Path) -> Iterator[Found]:
    """Yield each of ``WORDS`` in a file, of Python or of text.

    In the record, ``printed = "..."`` and ``meant = "..."`` quote a paper: those are its words.
    """
    text = file.read_text(encoding="utf-8")
    if ROOT / "verify" / "record" in file.parents:
        text = re.sub(r'^(?:printed|meant) = ".*"$', "", text, flags=re.MULTILINE)
    return in_python(text) if file.suffix == ".py" else in_text(text)


def files() -> list[Path]:
    """Return the files to read: those that git knows or would add, of the kinds that hold text."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = [ROOT / name for name in listed]
    return [
        file
        for file in found
        if file.suffix in SUFFIXES and file.is_file() and file not in THE_LIST
    ]


def main() -> int:
    """Print each word found as FILE:LINE, and return the exit code."""
    count = 0
    for file in files():
        for line, text, advice in in_file(file):
            count += 1
            print(f"{file.relative_to(ROOT)}:{line}: {text!r}: write: {advice}")
    if count:
        print(f"{count} words to rewrite (tests/prose.py has the list)", file=sys.stderr)
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
