"""Sphinx configuration. Pages that list what the code holds are filled in from the code."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(__file__))

import generated

from lazyrich import __version__

project = "lazyrich"
author = "the lazyrich authors"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = f"lazyrich {version}"
exclude_patterns = ["_build"]


def _fill(_app, docname, source):
    if docname in generated.PAGES:
        source[0] = source[0].replace(generated.MARK, generated.PAGES[docname]())


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


def setup(app):
    app.connect("autodoc-process-docstring", _escape)
    app.connect("source-read", _fill)
