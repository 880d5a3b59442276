"""What a page of the documentation names exists: functions, commands, options, closed forms."""

import ast
import doctest
import importlib
import inspect
import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from lazyrich import cli, paper_figures, simulate, theory, verify
from lazyrich.verify.figure_checks import figure_checks

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = (ROOT / "docs" / "tutorials").glob("*.md")
PAGES = [
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *TUTORIALS]
    if page.name not in {"CHANGELOG.md", "benchmarks.md"}
]
TEXTS = {page.name: page.read_text() for page in PAGES}
ROOMS = {"simulate": simulate, "theory": theory, "verify": verify, "paper_figures": paper_figures}


def blocks(text, *languages):
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def resolve(path):
    """The object of a dotted path below lazyrich, as ``from MODULE import NAME`` finds it.

    A module is found although its package has a function of its name.
    """
    *modules, name = path.split(".")
    found = importlib.import_module("lazyrich")
    for i, part in enumerate(modules):
        try:
            found = importlib.import_module(".".join(["lazyrich", *modules[: i + 1]]))
        except ModuleNotFoundError:  # a class, say
            found = getattr(found, part)
    if not hasattr(found, name):
        return importlib.import_module(f"lazyrich.{path}")
    return getattr(found, name)


@pytest.mark.parametrize("page", TEXTS)
def test_each_python_name_of_a_page_can_be_imported(page):
    rooms = "|".join(ROOMS)
    names = set(re.findall(rf"\b(?:lazyrich\.)?((?:{rooms})(?:\.[A-Za-z_]\w*)+)", TEXTS[page]))
    files = {name for name in names if name.rsplit(".", 1)[-1] in {"py", "md"}}
    missing = []
    for name in sorted(names - files):
        try:
            resolve(name)
        except (ImportError, AttributeError):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", TEXTS)
def test_each_python_block_of_a_page_is_python(page):
    for block in blocks(TEXTS[page], "python"):
        ast.parse(block)


@pytest.mark.parametrize("page", [name for name in TEXTS if name != "README.md"])
def test_each_example_of_a_page_gives_what_it_says(page):
    for block in blocks(TEXTS[page], "pycon"):
        test = doctest.DocTestParser().get_doctest(block, {}, page, page, 0)
        assert doctest.DocTestRunner().run(test).failed == 0


def commands(text):
    """Every call of lazyrich in the console blocks and in inline code of a page."""
    for block in blocks(text, "console"):
        yield from re.findall(r"^\$ lazyrich (.+?)(?:\s+#.*)?$", block, re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(call.split()) for call in re.findall(r"`lazyrich\s([^`]+)`", prose))


@pytest.mark.parametrize("page", TEXTS)
def test_each_command_of_a_page_exists_with_its_options(page):
    for call in commands(TEXTS[page]):
        name, *arguments = shlex.split(call.replace("...", ""))
        if name == "COMMAND":
            continue
        assert name in cli.COMMANDS, call
        command = cli.command.get_command(None, name)
        known = {option for p in command.params for option in [*p.opts, *p.secondary_opts]}
        options = {part for part in arguments if part.startswith("--")} - {"--help"}
        assert options <= known, call


def test_each_closed_form_claim_and_figure_that_a_page_names_exists():
    """Names in inline code that look like one, after the command or "closed form" before them."""
    claims, forms, figures = verify.claims(), theory.names(), paper_figures.groups()
    for text in TEXTS.values():
        for name in re.findall(r"closed\s+forms?\s+`([a-z-]+)`", text):
            assert name in forms, name
        for name in re.findall(r"`(law-[a-z0-9-]+)`", text):
            assert name in claims, name
        for name in re.findall(r"`lazyrich\s+figures\s+([a-z0-9-]+)`", text):
            assert name in figures or name in paper_figures.names(), name


@pytest.fixture(scope="module")
def generated():
    sys.path.insert(0, str(ROOT / "docs"))
    yield importlib.import_module("generated")
    sys.path.pop(0)


@pytest.mark.parametrize("room", ROOMS)
def test_each_public_name_of_each_package_is_in_the_interface(generated, room):
    """Each name in ``__all__`` of a room, or of any package in its folders, is on a page."""
    assert generated.interface.missing(room) == []


def test_a_name_that_is_on_no_page_is_found(generated, monkeypatch):
    """The control: pages are left out, and the walk says what they had."""
    interface = generated.interface
    left = {"theory": ("theory",), "verify": ("verify",)}
    monkeypatch.setattr(interface, "MODULES", left)
    assert "theory.checking.Counterexample" in interface.missing("theory")
    assert "verify.record.Note" in interface.missing("verify")


def test_modules_that_say_what_is_public_are_walked_too(generated):
    """Not packages alone; symbols, whose class is SymPy's, are names of the module as well."""
    interface = generated.interface
    assert "theory.hermite" in set(interface.packages("theory"))
    assert "theory.rank" not in set(interface.packages("theory"))  # it has no __all__
    page = interface.page("theory.symbols")
    assert "``Symbol('N', integer=True, positive=True)``: width" in page


def test_what_serves_the_tests_of_others_is_in_the_interface(generated):
    interface = generated.interface
    from lazyrich.verify.properties import assert_matches_closed_form

    assert "assert_matches_closed_form" in dict(interface.written("verify.properties"))
    assert assert_matches_closed_form.__doc__


def test_what_a_page_of_the_interface_names_can_be_imported_as_it_is_written(generated):
    """And has a docstring, if it is a function or a class."""
    directive = re.compile(r"^\.\. (?:auto|py:)\w+:: lazyrich\.([\w.]+)$", re.MULTILINE)
    for name, page in generated.interface.pages():
        names = directive.findall(page)
        assert names, name
        for path in names:
            value = resolve(path)
            ours = getattr(value, "__module__", "").startswith("lazyrich")
            if inspect.isfunction(value) or (inspect.isclass(value) and ours):
                assert value.__doc__, path


def test_a_page_of_a_figure_says_where_its_picture_is_of_an_earlier_version(generated):
    """Its stored report is older where its checks are for other claims than the code's."""
    gallery = generated.gallery
    claims = [check.claim for check in figure_checks() if check.name == "lyu-2"]
    now = {"preset": "quick", "checks": [{"claim": claim} for claim in claims]}
    assert not gallery.is_older("lyu-2", now)
    assert "earlier version" not in gallery._intro("lyu-2", now)
    for checks in (now["checks"][1:], [*now["checks"], {"claim": "eq-1"}], [{}]):
        assert "earlier version" in gallery._intro("lyu-2", now | {"checks": checks})
    titles = {name: report["title"] for name, report in gallery.reports().items()}
    assert titles == {name: paper_figures.names()[name] for name in titles}


@pytest.mark.usefixtures("generated")
def test_the_examples_of_what_makes_the_pages_hold():
    found = [doctest.testmod(m) for name, m in sys.modules.items() if name.startswith("parts.")]
    assert sum(each.attempted for each in found) > 3
    assert all(each.failed == 0 for each in found)


def test_each_mark_of_a_page_is_filled(generated):
    for page in generated.PARTS:
        assert generated.MARK in (ROOT / "docs" / f"{page}.md").read_text(), page


def test_each_claim_is_on_one_page_of_the_record(generated):
    found = [claim.name for _, claims in generated.record.sections().values() for claim in claims]
    assert sorted(found) == sorted(verify.claims())


def test_no_page_of_a_closed_form_has_mathematics_in_plain_text(generated):
    """Nor does it show a formula twice."""
    for name in theory.names():
        page = generated.closed_forms.page(name)
        shown = re.findall(r"```\{math\}\n(.*?)\n```", page, re.DOTALL)
        assert len(shown) == len(set(shown)), name
        prose = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|\]\([^)]*\)", "", page, flags=re.DOTALL)
        assert not re.search(r"\^|\b(?:alpha|beta|epsilon|sigma|wbar|lambda)\b|\w_\w", prose), name


def test_each_page_begins_with_what_the_reader_gets():
    """A title, then a paragraph of two sentences before anything else."""
    for page in (ROOT / "docs").glob("*.md"):
        name = page.name
        title, paragraph = page.read_text().split("\n\n")[:2]
        assert title.startswith("# "), name
        assert re.search(r"[.:;!?]\s", paragraph), name
        assert not paragraph.startswith(("#", "|", "-", "`", "!")), name


def test_each_page_links_the_glossary():
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")]
    without = {page.name for page in pages if "glossary.md" not in page.read_text()}
    without -= {"formula.md", "expectation.md", "verdict.md", "cluster.md"}  # of few such words
    assert without == {"glossary.md"}


def test_each_option_of_the_command_line_has_a_help_text():
    for name in cli.COMMANDS:
        command = cli.command.get_command(None, name)
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help or isinstance(option.type, click.Choice), (name, option.name)
