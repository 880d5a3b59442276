"""The fingerprint of code: a digest that changes with what the code computes, and only then.

A stored result is found again as long as the code behind it computes the same. The code behind a
function is its module and every module of the same package that this one imports, directly or
through others. The import graph is read from the sources, so nothing is imported. Comments,
docstrings and layout don't count. The versions of the other packages imported do.

An ``__init__`` that only passes names on is no part of the code: a name taken from it leads to the
module that defines the name. The same holds for a package that loads its parts by name from a
catalogue (``closed_form("test-loss")`` leads to the module of that closed form).
"""

import ast
import hashlib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from importlib import metadata, util
from pathlib import Path

# (module that imports, module that is imported)
Arrow = tuple[str, str]


def fingerprint(roots: Iterable[str], *, without: Collection[Arrow] = ()) -> str:
    """Return the digest of the code of these modules and of all that they import.

    ``without`` names imports that are not followed: an engine that a run doesn't use.

    >>> fingerprint(["lazyrich.simulate.hermite"]) == fingerprint(["lazyrich.simulate.train"])
    False
    """
    modules, packages = closure(roots, without=without)
    digest = hashlib.sha256()
    for name in sorted(modules):
        path = source(name)
        assert path is not None
        digest.update(f"{name} {_digest(path, path.stat().st_mtime_ns)}\n".encode())
    for name in sorted(packages):
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


def closure(roots: Iterable[str], *, without: Collection[Arrow] = ()) -> tuple[set[str], set[str]]:
    """Return the modules that these consist of, imports followed, and the packages they use.

    Both by name; the packages are those of others, without Python's own.

    >>> modules, packages = closure(["lazyrich.simulate.hermite"])
    >>> "lazyrich.simulate.train" in modules, "torch" in packages
    (False, True)
    """
    modules: set[str] = set()
    packages: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in modules:
            continue
        modules.add(name)
        for imported in sorted(imports(name)):
            if imported.partition(".")[0] != name.partition(".")[0]:
                packages.add(imported.partition(".")[0])
            elif (name, imported) not in without:
                waiting.append(imported)
    return modules, packages - set(sys.stdlib_module_names)


@cache
def imports(name: str) -> frozenset[str]:
    """Return the modules that a module imports, at its top or inside its functions.

    Modules of its own package by full name, resolved to where names are defined; of others, the
    name of the package. Imports for the type checker alone are left out, except in an
    ``__init__``, where they say what is loaded on first use.
    """
    path = source(name)
    if path is None:
        raise ValueError(f"module {name}: its source can't be found")
    tree, package = _tree(path), path.name == "__init__.py"
    top, found = name.partition(".")[0], set()
    for node in _statements(tree, checked=package):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, name, package)
            if origin.partition(".")[0] != top:
                found.add(origin)
                continue
            for alias in node.names:
                texts = partial(_called_with, tree, alias.asname or alias.name)
                found.update(_resolved(origin, alias.name, texts))
    return frozenset(found - {name})


@cache
def source(name: str) -> Path | None:
    """Return the file of a module, by name and without importing it; None where there is none.

    >>> source("lazyrich.simulate.hermite").name, source("lazyrich.simulate.no_such_module")
    ('hermite.py', None)
    """
    top, *rest = name.split(".")
    if not rest or _below(top, rest[:1]):
        return _below(top, rest)
    # The folders of a checkout are mapped into the package: its first level is asked by name.
    return _below(f"{top}.{rest[0]}", rest[1:])


def _below(package: str, rest: list[str]) -> Path | None:
    """Return the file of a module that is below a package."""
    try:
        spec = util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for folder in spec.submodule_search_locations or []:
        base = Path(folder).joinpath(*rest)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _origin(node: ast.ImportFrom, name: str, package: bool) -> str:
    """Return the full name of the module in ``from MODULE import ...``, relative or not."""
    if node.level == 0:
        return node.module or ""
    parts = name.split(".")
    parts = parts[: len(parts) - node.level + package]
    return ".".join([*parts, node.module] if node.module else parts)


def _resolved(origin: str, name: str, texts: Callable[[], list[str] | None]) -> set[str]:
    """Return the modules behind ``from origin import name``; ``texts`` as of ``_called_with``."""
    path = source(origin)
    if path is None or path.name != "__init__.py":
        return {origin}
    tree, module = _tree(path), f"{origin}.{name}"
    for node in _statements(tree, checked=True):
        if isinstance(node, ast.ImportFrom) and _origin(node, origin, True) != origin:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _resolved(_origin(node, origin, True), alias.name, texts)
    defined = any(isinstance(n, ast.FunctionDef) and n.name == name for n in tree.body)
    if source(module) is not None and not defined:
        return {module}
    catalogue = _catalogue(tree, origin)
    if not catalogue:
        return {origin}
    patterns = texts()
    if patterns is None:
        return set(catalogue.values())
    wanted: set[str] = set()
    for pattern in patterns:
        hits = {module for key, module in catalogue.items() if re.fullmatch(pattern, key)}
        wanted |= hits or set(catalogue.values())
    return wanted


def _catalogue(tree: ast.Module, package: str) -> dict[str, str]:
    """Return name -> module of entries like ``"test-loss": ("test_loss", ...)``."""
    found = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(value, ast.Tuple) and value.elts and isinstance(key, ast.Constant):
                part = value.elts[0]
                module = f"{package}.{part.value}" if isinstance(part, ast.Constant) else ""
                if module and source(module) is not None:
                    found[str(key.value)] = module
    return found


def _called_with(tree: ast.Module, function: str, place: int = 0) -> list[str] | None:
    """Return patterns of the texts that a module calls a function with, as its argument ``place``.

    Also where the text is an argument of a private function of the module, which is called with
    texts. None where it can't be told.
    """
    patterns: list[str] = []
    for call, inside in _calls(tree, function):
        given = call.args[place] if len(call.args) > place else None
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            patterns.append(re.escape(given.value))
        elif isinstance(given, ast.JoinedStr):
            parts = (v.value if isinstance(v, ast.Constant) else None for v in given.values)
            patterns.append("".join(".+" if p is None else re.escape(str(p)) for p in parts))
        elif isinstance(given, ast.Name) and inside is not None and inside.name[0] == "_":
            names = [argument.arg for argument in inside.args.args]
            outer = names.index(given.id) if given.id in names else None
            found = None if outer is None else _called_with(tree, inside.name, outer)
            if found is None:
                return None
            patterns += found
        else:
            return None
    return patterns or None


def _calls(
    tree: ast.AST, function: str, inside: ast.FunctionDef | None = None
) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
    """Yield the calls of a function by its bare name, each with the function that it stands in."""
    for node in ast.iter_child_nodes(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and isinstance(called, ast.Name) and called.id == function:
            yield node, inside
        yield from _calls(node, function, node if isinstance(node, ast.FunctionDef) else inside)


def _statements(tree: ast.AST, *, checked: bool) -> Iterator[ast.AST]:
    """Yield all statements; those under ``if TYPE_CHECKING`` only where ``checked``.

    Not the expressions, which are ten times as many.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for part in ("body", "handlers", "orelse", "finalbody", "cases"):
            for child in getattr(node, part, ()):
                if checked or not _is_type_checking(child):
                    waiting.append(child)


def _is_type_checking(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _tree(path: Path) -> ast.Module:
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, changed: int) -> ast.Module:
    """Return the syntax of a source, without its docstrings."""
    del changed
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _statements(tree, checked=True):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
    return tree


@cache
def _digest(path: Path, changed: int) -> str:
    return hashlib.sha256(ast.dump(_parsed(path, changed)).encode()).hexdigest()


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
