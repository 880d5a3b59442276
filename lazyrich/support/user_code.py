"""Functions of the user: named on the command line as MODULE:FUNCTION, or given in Python."""

import difflib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from lazyrich.support.arguments import escaped, functions, in_a_line
from lazyrich.support.interruption import Ended


def function_of(option: str, text: str) -> Callable[..., Any]:
    """Return the function that ``MODULE:FUNCTION`` names; net:make is make in the file net.py.

    Raises ``ValueError`` in one line, which names the option, for anything else.

    >>> function_of("--loss", "math:sqrt")(4)
    2.0
    >>> function_of("--loss", "math:sqr")
    Traceback (most recent call last):
    ...
    ValueError: --loss = math:sqr: math has no function sqr: did you mean math:sqrt?
    """
    module, colon, name = text.partition(":")
    module = module.removesuffix(".py")
    if not (module and colon and name):
        reason = "must be a module, a colon, a function: net:make"
        raise ValueError(f"{option} = {escaped(text)}: {reason}")
    with _this_folder():
        found = _imported(option, text, module)
    if not callable(function := getattr(found, name, None)):
        near = difflib.get_close_matches(name, _functions(found), 1)
        hint = f": did you mean {escaped(module)}:{near[0]}?" if near else ""
        reason = f"{module} has no function {name}"
        raise ValueError(f"{option} = {escaped(text)}: {escaped(reason)}{hint}")
    return function


def _functions(module: ModuleType) -> list[str]:
    """Return the names of the functions that the module itself defines, not those it imports."""
    mine = ((n, f) for n, f in vars(module).items() if n[0] != "_" and callable(f))
    return [n for n, f in mine if getattr(f, "__module__", None) == module.__name__]


def end_of_program(what: str, error: BaseException) -> ValueError:
    """Return what to raise where a function of the user ends the program, as by ``sys.exit``.

    Raises the error again where it is no such end: errors, and signals from outside.

    >>> end_of_program("the loss", SystemExit(3))
    ValueError('the loss ends the program (SystemExit: 3): must return a value or raise an error')
    """
    if isinstance(error, Exception | KeyboardInterrupt | Ended):
        raise error
    line = escaped(in_a_line(error).removesuffix(": "))
    return ValueError(f"{what} ends the program ({line}): must return a value or raise an error")


def running(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the user that can't end the program: ``ValueError`` in one line."""
    module = getattr(function, "__module__", None) or ""  # None for code given to exec
    ours = module.partition(".")[0] in ("torch", "lazyrich")
    return function if ours else guarded(name, function)


def guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same of any function, such as one of torch in which hooks of the user run."""

    def kept(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except BaseException as error:
            raise end_of_program(name, error) from error

    kept.__name__ = getattr(function, "__name__", type(function).__name__)
    return kept


def functions_of_the_user(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping of names to functions of the user, which can't end the program."""
    return {key: running(key, function) for key, function in functions(name, value).items()}


def made_by(option: str, text: str) -> Any:
    """Return what the function returns. Raises ``ValueError``, in one line too where it raises."""
    function = function_of(option, text)
    with _this_folder():  # it may import on
        try:
            return function()
        except (KeyboardInterrupt, Ended):
            raise
        except BaseException as error:  # the user's code may raise anything
            raise _of_the_user(option, text, error) from error


@contextmanager
def _this_folder() -> Iterator[None]:
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.pop(0)


def _imported(option: str, text: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _of_the_user(option, text, error) from error  # one that the module imports
        here = [path.stem for path in Path.cwd().glob("*.py")]
        near = difflib.get_close_matches(module, here, 1, cutoff=0)
        hint = f": the nearest file is {near[0]}.py" if near else ": it holds no .py file"
        reason = f"no module {module} on the path or in the current folder"
        raise ValueError(f"{option} = {escaped(text)}: {escaped(reason)}{hint}") from error
    except (KeyboardInterrupt, Ended):
        raise
    except BaseException as error:  # the user's code may raise anything
        raise _of_the_user(option, text, error) from error


def _of_the_user(option: str, text: str, error: BaseException) -> ValueError:
    """Return the error of the user's code as one line, with the place in the user's file."""
    line = in_a_line(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if Path(f.filename).parent == Path.cwd()]
    where = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    return ValueError(f"{option} = {escaped(text)}: {escaped(line)}{where}")
