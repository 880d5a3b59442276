"""The documentation builds without a warning."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

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


def build(pages: Path, folder: Path) -> subprocess.CompletedProcess:
    """Read and resolve the pages by the documentation's own settings; warnings are errors."""
    (folder / "conf.py").write_text(CONF.format(pages=pages, conf=str(DOCS / "conf.py")))
    call = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "dummy", "-c", folder, pages]
    return subprocess.run([*call, folder / "out"], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    pages = tmp_path / "pages"
    made = {str(DOCS / name) for name in ("_build", *FOLDERS)}
    shutil.copytree(
        DOCS, pages, ignore=lambda at, names: [n for n in names if os.path.join(at, n) in made]
    )
    done = build(pages, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", ["[Nowhere](nowhere.md)", "```{eval-rst}\na *b\n```"])
def test_a_page_with_an_error_does_not_build(tmp_path, line):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text(f"# Title\n\n{line}\n")
    done = build(pages, tmp_path)
    assert done.returncode != 0
    assert "index.md" in done.stderr
