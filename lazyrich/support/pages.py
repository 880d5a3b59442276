"""HTML pages that need nothing else: one style for every report."""

from html import escape

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em;
       color: #222; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4em .7em; border-top: 1px solid #ddd; }
td, li { overflow-wrap: break-word; }
td[colspan] { border: 0; padding: 0 .7em .6em 2em; }
summary { cursor: pointer; }
p, .wide { overflow-x: auto; }
p { overflow-y: hidden; }
svg { fill: currentColor; }
li svg { max-width: 100%; }
img { max-width: 100%; }
.misprint, .refuted { color: #9a3b00; } .confirmed { color: #0a6b2d; }
.not { color: #555; } .failed { color: #fff; background: #b00020; padding: 0 .3em; }
"""


def page(title: str, body: str) -> str:
    """A whole HTML page in the style of all of lazyrich's reports; ``body`` is HTML.

    >>> page("a < b", "<p>c</p>").count("a &lt; b")
    2
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escape(title)}</h1>\n{body}</body></html>\n"
    )


def table_row(*cells: str) -> str:
    """A row of a table; the cells are HTML."""
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def table(head: tuple[str, ...], rows: str) -> str:
    """A table; ``rows`` are of ``table_row``, the cells of ``head`` HTML.

    Where it is wider than the screen it scrolls, not the page.

    >>> table(("a", "b"), table_row("1", "2")).startswith('<div class="wide"><table>')
    True
    """
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = f"<thead><tr>{top}</tr></thead><tbody>\n{rows}\n</tbody>"
    return f'<div class="wide"><table>{body}</table></div>\n'
