"""The documentation builds without a warning."""

import os
import shutil
import sys
from pathlib import Path

import pytest

build_main = pytest.importorskip("sphinx.cmd.build").build_main

# What the extensions of Sphinx use of it will change with a later Sphinx.
pytestmark = pytest.mark.filterwarnings("ignore:.*Check CHANGES for Sphinx API modifications")

DOCS = Path(__file__).parents[1] / "docs"
FOLDERS = ("closed-forms", "record", "figures", "modules")  # made while the pages are built
# Tutorials run in a test of their own, without a kernel. A page in the place of docs has no others.
CONF = """
__file__ = {conf!r}
exec(open(__file__).read())
nb_execution_mode = "off"
if not (Path(r"{pages}") / "theory.md").exists():
    del setup
"""


@pytest.fixture
def build(monkeypatch, capsys):
    """Read and resolve pages by the documentation's own settings; warnings are errors.

    In this process, which has loaded and derived what the pages show: exit code, stderr.
    """
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(pages: Path, folder: Path) -> tuple[int, str]:
        (folder / "conf.py").write_text(CONF.format(pages=pages, conf=str(DOCS / "conf.py")))
        options = ["-W", "-q", "--no-color", "-b", "dummy", "-c", folder, pages, folder / "out"]
        code = build_main([*map(str, options)])
        return code, capsys.readouterr().err

    return call


@pytest.mark.slow
def test_the_pages_build_without_a_warning(build, tmp_path):
    pages = tmp_path / "pages"
    made = {str(DOCS / name) for name in ("_build", *FOLDERS)}
    shutil.copytree(
        DOCS, pages, ignore=lambda at, names: [n for n in names if os.path.join(at, n) in made]
    )
    code, errors = build(pages, tmp_path)
    assert code == 0, errors


@pytest.mark.parametrize("line", ["[Nowhere](nowhere.md)", "```{eval-rst}\na *b\n```"])
def test_a_page_with_an_error_does_not_build(build, tmp_path, line):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text(f"# Title\n\n{line}\n")
    code, errors = build(pages, tmp_path)
    assert code != 0
    assert "index.md" in errors
