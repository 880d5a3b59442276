"""lazyrich: the theory of grokking as the transition from lazy to rich training.

``from lazyrich import theory`` derives closed forms, ``simulate`` trains the networks, ``verify``
checks theory, simulation and papers against each other, and ``paper_figures`` draws. Importing this
package loads neither SymPy nor torch: each part is loaded when it is first asked for.
"""

import re
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

_PARTS = ("paper_figures", "simulate", "theory", "verify")


class _Checkout:
    """Finds the parts of lazyrich in a checkout, where they lie next to the folder lazyrich/.

    Python that is started in a checkout imports this file from there. It must then import the parts
    from there too, and not from an installed version: the two may differ.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def version(self) -> str:
        """Return the version that the checkout's setup.cfg gives."""
        found = re.search(r"^version = (\S+)$", (self.root / "setup.cfg").read_text(), re.MULTILINE)
        assert found is not None
        return found[1]

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find one of the parts; of their own modules, Python finds the rest."""
        del path, target
        package, _, part = name.partition(".")
        if package != "lazyrich" or part not in _PARTS:
            return None
        return PathFinder.find_spec(name, [str(self.root)])


_here = Path(__file__).absolute().parent
if (_here.parent / "setup.cfg").is_file() and not (_here / "theory").exists():
    _checkout = _Checkout(_here.parent)
    sys.meta_path.insert(0, _checkout)
    __version__ = _checkout.version()
else:
    __version__ = version("lazyrich")


def __getattr__(name: str) -> ModuleType:
    if name not in _PARTS:
        raise AttributeError(f"module 'lazyrich' has no attribute {name!r}")
    return import_module(f"lazyrich.{name}")
