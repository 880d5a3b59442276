"""lazyrich: the theory of grokking as the transition from lazy to rich training.

``from lazyrich import theory`` derives closed forms, ``simulate`` trains the networks, ``verify``
checks theory, simulation and papers against each other, and ``paper_figures`` draws. Importing this
package loads neither SymPy nor torch: each part is loaded when it is first asked for.
"""

# Only what Python has loaded already: until main() runs, Ctrl-C gives a traceback.
import os
import sys

TYPE_CHECKING = False  # typing itself takes long to load
if TYPE_CHECKING:
    from typing import Any

_PARTS = ("paper_figures", "simulate", "theory", "verify")
_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(_HERE)
_IN_CHECKOUT = os.path.isfile(os.path.join(_ROOT, "setup.cfg")) and not os.path.exists(
    os.path.join(_HERE, "theory")
)


class _Checkout:
    """Finds the parts of lazyrich in a checkout, where they lie next to the folder lazyrich/.

    Python that is started in a checkout imports this file from there. It must then import the parts
    from there too, and not from an installed version: the two may differ.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        """Find one of the parts; in the parts, Python finds the rest."""
        del path, target
        package, _, part = name.partition(".")
        if package != "lazyrich" or part not in _PARTS:
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [_ROOT])


if _IN_CHECKOUT:
    sys.meta_path.insert(0, _Checkout)  # type: ignore[arg-type]  # the class is the finder


def _version() -> str:
    if _IN_CHECKOUT:
        with open(os.path.join(_ROOT, "setup.cfg"), encoding="utf-8") as settings:
            return next(line.split()[-1] for line in settings if line.startswith("version = "))
    from importlib.metadata import version  # takes longer than all the rest here

    return version("lazyrich")


def __getattr__(name: str) -> "Any":  # a module, or the version
    if name == "__version__":
        return globals().setdefault(name, _version())  # kept: to look it up takes milliseconds
    if name not in _PARTS:
        raise AttributeError(f"module 'lazyrich' has no attribute {name!r}")
    from importlib import import_module

    return import_module(f"lazyrich.{name}")
