"""Sphinx configuration. Pages that list what the code holds are filled in from the code."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import generated

from lazyrich import __version__

HERE = Path(__file__).resolve().parent

project = "lazyrich"
author = "the lazyrich authors"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "parts"]

# Tutorials are notebooks, and run while the pages are built: one that fails is not built.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
# Formulas in Markdown output are typeset as in the pages; a progress line belongs to a terminal.
nb_render_markdown_format = "myst"
nb_output_stderr = "remove"
nb_mime_priority_overrides = [("html", "text/latex", 1)]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

# The one file of MathJax that draws formulas as SVG, fonts included: no page needs the network.
_mathjax = find_spec("sphinx-mathjax-offline")
if _mathjax is None or not _mathjax.submodule_search_locations:
    raise RuntimeError("sphinx-mathjax-offline is missing: pip install sphinx-mathjax-offline")
MATHJAX = Path(next(iter(_mathjax.submodule_search_locations)), "static/mathjax/tex-svg.js")
mathjax_path = "tex-svg.js"

html_theme = "furo"
html_title = f"lazyrich {version}"
html_static_path = [str(HERE / "static"), str(MATHJAX)]
html_css_files = ["lazyrich.css"]
html_show_sourcelink = False


def _write(app):
    generated.write(Path(app.srcdir))


def _fill(_app, docname, source):
    if docname in generated.PARTS:
        source[0] = source[0].replace(generated.MARK, generated.PARTS[docname]())


def _escape(_app, _what, _name, _object, _options, lines):
    # In docstrings |w|^2 is a norm, and neither a*b nor *args is emphasis. Code stays as it is: an
    # example lasts until the next blank line.
    example = False
    for i, line in enumerate(lines):
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if not example:
            parts = line.split("``")
            parts[::2] = [re.sub(r"[|*]", r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = "``".join(parts)


def _outdated(*_):
    # Pages with parts from the code, which may have changed although their files have not.
    return list(generated.PARTS)


def setup(app):
    app.connect("builder-inited", _write)
    app.connect("autodoc-process-docstring", _escape)
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", _outdated)
