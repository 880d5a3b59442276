"""The documentation builds without a warning."""

import os
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

from sphinx.cmd.build import build_main

# Of Sphinx's own deprecations, thousands; what Sphinx itself calls a warning is an error (-W).
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

DOCS = Path(__file__).parents[1] / "docs"
FOLDERS = ("closed-forms", "record", "figures", "modules")  # made while the pages are built
# Tutorials run in a test of their own, without a kernel. A page in the place of docs has no others.
CONF = """
__file__ = {conf!r}
exec(open(__file__).read())
nb_execution_mode = "off"
if not (Path(r"{pages}") / "theory.md").exists():
    generated.write = lambda folder: None
    generated.PARTS.clear()
"""


def build(pages: Path, folder: Path) -> int:
    """Read and resolve the pages by the documentation's own settings; warnings are errors.

    In this process: three quarters of the work are the closed forms, which other tests need too.
    """
    (folder / "conf.py").write_text(CONF.format(pages=pages, conf=str(DOCS / "conf.py")))
    options = ["-W", "-q", "-b", "dummy", "-c", folder, pages, folder / "out"]
    return build_main([str(option) for option in options])


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """The settings put the documentation's folder first on the path."""
    monkeypatch.setattr(sys, "path", sys.path.copy())


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path, capsys):
    pages = tmp_path / "pages"
    made = {str(DOCS / name) for name in ("_build", *FOLDERS)}
    shutil.copytree(
        DOCS, pages, ignore=lambda at, names: [n for n in names if os.path.join(at, n) in made]
    )
    assert build(pages, tmp_path) == 0, capsys.readouterr().err


@pytest.mark.parametrize("line", ["[Nowhere](nowhere.md)", "```{eval-rst}\na *b\n```"])
def test_a_page_with_an_error_does_not_build(tmp_path, line, capsys):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text(f"# Title\n\n{line}\n")
    assert build(pages, tmp_path) != 0
    assert "index.md" in capsys.readouterr().err
