"""The documentation builds without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

DOCS = Path(__file__).parents[1] / "docs"
# What fills in these two pages takes a minute and has tests of its own.
CONF = f"""
__file__ = {str(DOCS / "conf.py")!r}
exec(open(__file__).read())
generated.PAGES |= {{"verdicts": lambda: "# Verdicts", "theory": lambda: "# Closed forms"}}
"""


def build(pages: Path, folder: Path) -> subprocess.CompletedProcess:
    """Read and resolve the pages by the documentation's own settings; warnings are errors."""
    (folder / "conf.py").write_text(CONF)
    call = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "dummy", "-c", folder, pages]
    return subprocess.run([*call, folder / "out"], capture_output=True, text=True, check=False)


def test_the_pages_build_without_a_warning(tmp_path):
    done = build(DOCS, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", ["[Nowhere](nowhere.md)", "```{eval-rst}\na *b\n```"])
def test_a_page_with_an_error_does_not_build(tmp_path, line):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text(f"# Title\n\n{line}\n")
    done = build(pages, tmp_path)
    assert done.returncode != 0
    assert "index.md" in done.stderr
