"""The pages of reports on a narrow screen: what is wide scrolls by itself, never the whole page."""

import shutil
import subprocess

import pytest

from lazyrich.support import pages

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=500,900",
    "--virtual-time-budget=1000",
    "--dump-dom",
)
FORMULA = '<svg style="width:60em;height:1em" viewBox="0 0 6000 100"></svg>'
WIDE = {
    "table": pages.table(("a", "b"), pages.table_row("x" * 60, "y" * 60)),
    "formula in a paragraph": f"<p>printed: {FORMULA}</p>",
    "formula in a list": f"<ul><li>found: {FORMULA}</li></ul>",
}
ASK = (
    "<script>onload = () => {"
    "document.title = document.documentElement.scrollWidth > innerWidth ? 'wide' : 'fits'"
    "}</script>"
)


def fits(html, folder):
    """Whether a browser shows the page without scrolling it sideways."""
    file = folder / "page.html"
    file.write_text(html.replace("</body>", f"{ASK}</body>"), encoding="utf-8")
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>wide" in found or "<title>fits" in found
    return "<title>fits" in found


@pytest.mark.skipif(not BROWSER, reason="no browser: apt-get install chromium")
@pytest.mark.parametrize("what", WIDE)
def test_what_is_wide_does_not_make_the_page_scroll(what, tmp_path, monkeypatch):
    # The words of a real table break; these don't, so that the table is wider than the screen.
    body = WIDE[what].replace("<td>", '<td style="white-space: nowrap">')
    assert fits(pages.page("T", body), tmp_path)
    monkeypatch.setattr(pages, "_STYLE", "")
    assert not fits(pages.page("T", body), tmp_path)  # the control: without the style it scrolls
