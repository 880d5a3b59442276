"""The documentation builds without a warning."""

import multiprocessing
import os
import shutil
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

from sphinx.cmd.build import build_main

from lazyrich import theory

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


def build(pages: Path, folder: Path) -> tuple[int, str]:
    """Read and resolve the pages by the documentation's own settings; warnings are errors.

    In a fork, which has the closed forms that were derived here: they are three quarters of the
    work, and other tests need them too. (Autodoc changes the defaults of functions.)
    """
    (folder / "conf.py").write_text(CONF.format(pages=pages, conf=str(DOCS / "conf.py")))
    options = ["-W", "-q", "-b", "dummy", "-c", folder, pages, folder / "out"]
    errors = folder / "errors.txt"
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=_build, args=([str(option) for option in options], errors))
    child.start()
    child.join()
    return child.exitcode, errors.read_text()


def _build(options: list[str], errors: Path) -> None:
    with errors.open("w") as file, redirect_stderr(file):
        code = build_main(options)
    sys.exit(code)


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    pages = tmp_path / "pages"
    made = {str(DOCS / name) for name in ("_build", *FOLDERS)}
    shutil.copytree(
        DOCS, pages, ignore=lambda at, names: [n for n in names if os.path.join(at, n) in made]
    )
    for name in theory.names():
        theory.closed_form(name)
    code, errors = build(pages, tmp_path)
    assert code == 0, errors


@pytest.mark.parametrize("line", ["[Nowhere](nowhere.md)", "```{eval-rst}\na *b\n```"])
def test_a_page_with_an_error_does_not_build(tmp_path, line):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text(f"# Title\n\n{line}\n")
    code, errors = build(pages, tmp_path)
    assert code not in (0, None)
    assert "index.md" in errors
