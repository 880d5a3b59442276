"""The examples in the docstrings are checks: run every one of them.

``pytest --doctest-modules`` would import the mapped folders (theory/, simulate/, ...) a second
time under other names; this walks the one installed package instead.
"""

import doctest
import importlib
import math
import os
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import lazyrich
from lazyrich.cli import main


def _fail(name):
    raise ImportError(f"{name} can't be imported")


MODULES = ["lazyrich"] + [
    module.name
    for module in pkgutil.walk_packages(lazyrich.__path__, "lazyrich.", onerror=_fail)
    if not any(part.startswith("_") for part in module.name.split("."))
]


def _public_modules_on_disk():
    """Names of the public modules of the package, from the files that lie in its folders."""
    for top in lazyrich.__path__:
        for folder, _, files in os.walk(top, followlinks=True):
            for file in files:
                parts = (Path(folder) / file).relative_to(top).with_suffix("").parts
                parts = parts[:-1] if parts[-1] == "__init__" else parts
                if file.endswith(".py") and not any(part.startswith("_") for part in parts):
                    yield ".".join(["lazyrich", *parts])


def test_the_walk_finds_every_public_module():
    subpackages = {f"lazyrich.{name}" for name in ("theory", "simulate", "verify", "paper_figures")}
    assert subpackages <= set(MODULES)
    assert set(_public_modules_on_disk()) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_doctests_of(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_each_subpackage_has_doctests():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = dict.fromkeys(("theory", "simulate", "verify", "paper_figures"), 0)
    for name in MODULES:
        subpackage = name.split(".")[1] if "." in name else ""
        if subpackage in examples:
            tests = finder.find(importlib.import_module(name))
            examples[subpackage] += sum(len(test.examples) for test in tests)
    assert all(examples.values()), f"doctests per subpackage: {examples}"


README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", _blocks("pycon"))
def test_the_python_examples_of_the_readme(block):
    test = doctest.DocTestParser().get_doctest(block, {}, "README.md", "README.md", 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def _agree(word, meant):
    """Equal words; floats to the accuracy that the flow engine promises of losses, 10 rtol."""
    try:
        return math.isclose(float(word), float(meant), rel_tol=1e-3)
    except ValueError:
        return word == meant


@pytest.mark.parametrize(
    ("arguments", "printed"),
    re.findall(r"^\$ lazyrich (.+)\n((?:(?!\$ ).*\n)*)", "".join(_blocks("console")), re.MULTILINE),
)
def test_the_console_examples_of_the_readme(arguments, printed, capsys):
    code = None
    try:
        main(shlex.split(arguments))
    except SystemExit as end:
        code = end.code
    assert code is None or (code == 1 and arguments.startswith("check"))  # a formula that is wrong
    words, meant = (
        re.sub(r"\d+\.\d+ s\b|(?<=\.py:)\d+", "NUMBER", text).split()
        for text in (capsys.readouterr().out, printed)
    )
    assert meant
    assert len(words) == len(meant)
    assert [pair for pair in zip(words, meant, strict=True) if not _agree(*pair)] == []
