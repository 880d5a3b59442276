"""lazyrich: the theory of grokking as the transition from lazy to rich training.

``from lazyrich import theory`` derives, ``simulate`` runs the networks, ``verify`` holds the two
against each other and against the papers, ``paper_figures`` draws. Importing this package loads
neither SymPy nor torch: each part is loaded when it is first asked for.
"""

import pkgutil
from importlib import import_module
from importlib.metadata import version
from types import ModuleType

# In a checkout the folder lazyrich/ holds only the front door, and Python started there would
# find no lazyrich.theory: look for the parts in the installed package as well.
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = version("lazyrich")

_PARTS = ("paper_figures", "simulate", "theory", "verify")


def __getattr__(name: str) -> ModuleType:
    if name not in _PARTS:
        raise AttributeError(f"module 'lazyrich' has no attribute {name!r}")
    return import_module(f"lazyrich.{name}")
