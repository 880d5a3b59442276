"""The pages of the Python interface: every public name of every room, module by module."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import GenericAlias, ModuleType, UnionType

import sympy as sp

FOLDER = "modules"
ROOMS = ("theory", "simulate", "verify", "paper_figures")
# Public parts of the rooms, apart from what the rooms themselves export.
MODULES = {
    "theory": (
        "theory",
        "theory.closed_form",
        "theory.checking",
        "theory.grammar",
        "theory.wick",
        "theory.symbols",
        "theory.hermite",
        "theory.readout",
        "theory.laws.learning_curve",
    ),
    "simulate": (
        "simulate",
        "simulate.outcome",
        "simulate.laws.grokking",
        "simulate.laws.lazy",
        "simulate.laws.outlook",
        "simulate.laws.population",
        "simulate.laws.rich_flow",
        "simulate.laws.spike",
        "simulate.lyu",
        "simulate.oracles",
        "simulate.shapes",
    ),
    "verify": (
        "verify",
        "verify.ledger",
        "verify.record",
        "verify.report",
        "verify.strategies",
        "verify.properties",
        "verify.certificates",
        "verify.counterexample",
        "verify.cubature",
        "verify.statistics",
        "verify.tolerances",
    ),
    "paper_figures": ("paper_figures", "paper_figures.checks", "paper_figures.interface"),
}


def public_names(module: ModuleType) -> list[str]:
    """What ``__all__`` lists, or else what the module defines itself, symbols among it."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    symbols = _assigned(module)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (
            getattr(value, "__module__", None) == module.__name__
            or (isinstance(value, sp.Basic) and name in symbols)
        )
    ]


def _assigned(module: ModuleType) -> dict[str, str]:
    """The names that a module assigns in one line, and the comments at their ends."""
    found = re.findall(r"^(\w+) = .*?(?:  # (.*))?$", inspect.getsource(module), re.MULTILINE)
    return dict(found)


def load(path: str) -> ModuleType:
    """The module ``lazyrich.<path>``."""
    return importlib.import_module(f"lazyrich.{path}")


def written(path: str) -> Iterator[tuple[str, object]]:
    """What the page of a module documents: its public names, no modules, each object once.

    What the room itself exports stands on the page of the room alone.
    """
    module, room_of = load(path), load(path.split(".")[0])
    seen = set() if module is room_of else {id(value) for _, value in written(path.split(".")[0])}
    for name in public_names(module):
        value = getattr(module, name)
        if not inspect.ismodule(value) and id(value) not in seen:
            seen.add(id(value))
            yield name, value


def room(name: str) -> str:
    """The modules of a room: a link, what it holds, and its names."""
    blocks = []
    for path in MODULES[name]:
        names = ", ".join(f"`{n}`" for n, _ in written(path))
        blocks.append(
            f"## [`lazyrich.{path}`](../{FOLDER}/{path}.md)\n\n{_about(load(path))}\n\n{names}"
        )
    pages = "\n".join(f"../{FOLDER}/{path}" for path in MODULES[name])
    return "\n\n".join([*blocks, f"```{{toctree}}\n:hidden:\n\n{pages}\n```"])


def _about(module: ModuleType) -> str:
    """The first paragraph of its docstring."""
    return " ".join((module.__doc__ or "").strip().split("\n\n")[0].split())


def pages() -> Iterator[tuple[str, str]]:
    """The name and the Markdown of the page of each module."""
    for path in (path for paths in MODULES.values() for path in paths):
        yield f"{FOLDER}/{path}", page(path)


def page(path: str) -> str:
    """Every public name of a module with its arguments, types, docstring and example."""
    intro = f"{_about(load(path))}\n\n[The Python interface](../api.md) has the other modules."
    comments = _assigned(load(path))
    blocks = [
        _directive(f"lazyrich.{path}.{name}", value, comments.get(name, ""))
        for name, value in written(path)
    ]
    return "\n\n".join([f"# `lazyrich.{path}`", intro, *blocks]) + "\n"


def _of_another_package(value: object) -> str:
    """A symbol, a class from elsewhere or a union as code, whose docstring is not ours; else ""."""
    if isinstance(value, sp.Symbol):
        return sp.srepr(value)
    if isinstance(value, sp.Basic):
        return f"{type(value).__name__}({', '.join(map(str, value.args))})"
    if isinstance(value, UnionType):
        return str(value)
    if inspect.isclass(value) and not value.__module__.startswith("lazyrich"):
        return f"{value.__module__}.{value.__qualname__}"
    return ""


def _directive(path: str, value: object, comment: str) -> str:
    what = _of_another_package(value)
    if what:
        words = re.sub(r"[|*]", r"\\\g<0>", comment)
        about = f"``{what}``" + (f": {words}" if words else "")
        return f"```{{eval-rst}}\n.. py:data:: {path}\n\n   {about}\n```"
    kind = "data"
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
    elif callable(value) and not isinstance(value, GenericAlias):
        kind = "function"
    members = "\n   :members:" if kind == "class" else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: {path}{members}\n```"


def packages(room: str) -> Iterator[str]:
    """The room, its public packages, and its modules that say by ``__all__`` what is public."""
    yield room
    found = load(room)
    for module in pkgutil.walk_packages(found.__path__, f"{found.__name__}."):
        path = module.name.removeprefix("lazyrich.")
        hidden = any(part.startswith("_") for part in path.split("."))
        if not hidden and (module.ispkg or hasattr(load(path), "__all__")):
            yield path


def missing(room: str) -> list[str]:
    """The public names of the packages of a room that are on no page, for the tests."""
    on_pages = {id(value) for path in MODULES[room] for _, value in written(path)}
    return [
        f"{path}.{name}"
        for path in packages(room)
        for name in public_names(load(path))
        if not inspect.ismodule(value := getattr(load(path), name)) and id(value) not in on_pages
    ]


def submodules(path: str) -> list[str]:
    """The public modules directly in a package, for the tests."""
    package = load(path)
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
