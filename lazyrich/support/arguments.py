"""Checks of arguments: one line names the argument, its value and what is allowed.

Every public function checks what it is given before any work starts. The command line turns the
same ``ValueError`` into exit code 2.
"""

import contextlib
import itertools
import math
import numbers
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

# No array is longer, and NumPy and torch count no further.
LARGEST = 2**63 - 1
# Entries of a list that is gone through.
MOST_ENTRIES = 10**6
# Of the allowed names, a message lists this many.
MOST_LISTED = 12


def shown(value: Any) -> str:
    """Return ``repr(value)`` for a message, shortened where it is long.

    >>> shown(0.25), shown(10**5000), shown("a" * 100)
    ('0.25', 'an integer of 16610 bits', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...")
    """
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = " ".join(repr(value).split())
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
    except Exception:  # of the caller's own class
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:45]}..."


def escaped(text: object) -> str:
    r"""Return a text, such as the name of a file, with escapes for what is no printable character.

    >>> escaped("a\nb.nc"), escaped("\x1b[31m.nc"), escaped("β.nc")
    ('a\\nb.nc', '\\x1b[31m.nc', 'β.nc')
    """
    given = str(text)
    if given.isprintable():
        return given
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in given)


def in_a_line(error: BaseException) -> str:
    """Return the kind and the text of an error in one line.

    >>> in_a_line(OverflowError("too\\nlarge"))
    'OverflowError: too large'
    """
    return f"{type(error).__name__.lstrip('_')}: {' '.join(str(error).split())}"


def positive_integer(name: str, value: Any) -> int:
    """Return ``value`` as an ``int`` if it is a whole number from 1 to 2^63 - 1.

    Raises ``ValueError`` otherwise; booleans and floats such as 3.0 are refused.

    >>> positive_integer("D", 3)
    3
    >>> positive_integer("D", 0)
    Traceback (most recent call last):
    ...
    ValueError: D = 0: must be a positive integer
    >>> positive_integer("steps", 10**30)
    Traceback (most recent call last):
    ...
    ValueError: steps = 1000000000000000000000000000000: must be a positive integer below 2^63
    """
    return _integer(name, value, 1, "a positive integer")


def natural(name: str, value: Any) -> int:
    """Return ``value`` as an ``int`` if it is a whole number from 0 to 2^63 - 1.

    Raises ``ValueError`` otherwise.

    >>> natural("seed", 0)
    0
    >>> natural("seed", -1)
    Traceback (most recent call last):
    ...
    ValueError: seed = -1: must be an integer of at least 0
    """
    return _integer(name, value, 0, "an integer of at least 0")


def _integer(name: str, value: Any, least: int, allowed: str) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
        raise ValueError(f"{name} = {shown(value)}: must be {allowed}")
    number = int(value)
    if number > LARGEST:
        raise ValueError(f"{name} = {shown(number)}: must be {allowed} below 2^63")
    return number


def finite(name: str, value: Any, *, nonzero: bool = False, positive: bool = False) -> float:
    """Return ``value`` as a ``float`` if it is a finite real number (on demand not 0, or above 0).

    Numbers of Python, NumPy and SymPy, and fractions, are taken. Raises ``ValueError`` otherwise,
    also where the number is beyond the range of a float.

    >>> finite("alpha", 2, nonzero=True)
    2.0
    >>> finite("epsilon", float("nan"))
    Traceback (most recent call last):
    ...
    ValueError: epsilon = nan: must be a finite number
    >>> finite("learning_rate", -1, positive=True)
    Traceback (most recent call last):
    ...
    ValueError: learning_rate = -1: must be a finite number above 0
    """
    allowed = "a finite number" + (" above 0" if positive else " other than 0" if nonzero else "")
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        number = float(value) if is_real else math.nan
    except (OverflowError, TypeError):  # TypeError: SymPy's symbols and complex numbers
        number = math.nan
    if not math.isfinite(number) or (nonzero and number == 0) or (positive and number <= 0):
        raise ValueError(f"{name} = {shown(value)}: must be {allowed}")
    return number


def below_one(name: str, value: Any) -> float:
    """Return ``value`` as a ``float`` if it is a number from 0 to 1, without 1.

    >>> below_one("momentum", 1)
    Traceback (most recent call last):
    ...
    ValueError: momentum = 1: must be in [0, 1)
    """
    if not 0 <= (number := finite(name, value)) < 1:
        raise ValueError(f"{name} = {number:g}: must be in [0, 1)")
    return number


def not_negative(name: str, value: Any) -> float:
    """Return ``value`` as a ``float`` if it is a finite number of at least 0.

    >>> not_negative("noise", -1.0)
    Traceback (most recent call last):
    ...
    ValueError: noise = -1.0: must be at least 0
    """
    number = finite(name, value)
    if number < 0:
        raise ValueError(f"{name} = {shown(value)}: must be at least 0")
    return number


def tolerance(name: str, value: Any) -> float:
    """Return ``value`` as a ``float`` if it is a relative tolerance that an integrator can keep.

    >>> tolerance("rtol", 10)
    Traceback (most recent call last):
    ...
    ValueError: rtol = 10: must be from 1e-12 to 0.1
    """
    if not 1e-12 <= finite(name, value) <= 0.1:
        raise ValueError(f"{name} = {shown(value)}: must be from 1e-12 to 0.1")
    return float(value)


def by_name(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping of names to values as a ``dict``; an empty one for None.

    >>> by_name("constants", ["c"])
    Traceback (most recent call last):
    ...
    ValueError: constants = ['c']: must map names to values, such as {'c': 1.0}
    """
    value = {} if value is None else value
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name} = {shown(value)}: must map names to values, such as {{'c': 1.0}}")
    return dict(value)


def listed(name: str, value: Any, kind: str) -> list:
    """Return what can be gone through as a list: ``kind`` says of what. It may have no end.

    >>> listed("record", range(3), "times")
    [0, 1, 2]
    >>> listed("record", itertools.count(), "times")
    Traceback (most recent call last):
    ...
    ValueError: record = count(0): must be a list of at most 1000000 times
    """
    found, text = None, shown(value)  # the text first: a counter's changes as it counts
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        try:
            found = list(itertools.islice(value, MOST_ENTRIES + 1))
        except TypeError:  # an array without axes
            found = None
    if found is None or len(found) > MOST_ENTRIES:
        raise ValueError(f"{name} = {text}: must be a list of at most {MOST_ENTRIES} {kind}")
    return found


def functions(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping of names to functions as a ``dict``; an empty one for None.

    >>> functions("metrics", {"mean": 3})
    Traceback (most recent call last):
    ...
    ValueError: metrics = {'mean': 3}: must map names to functions
    """
    value = {} if value is None else value
    if (
        not isinstance(value, Mapping)
        or not all(isinstance(key, str) for key in value)
        or not all(map(callable, value.values()))
    ):
        raise ValueError(f"{name} = {shown(value)}: must map names to functions")
    return dict(value)


def dense(name: str, value: Any, *, numbers_needed: bool = True) -> None:
    """Raise ``ValueError`` for an array that doesn't hold its numbers one after the other.

    Those are tensors of torch that are sparse, quantized, nested, or of 8-bit floats; on the device
    meta where ``numbers_needed``; arrays of NumPy with masked entries, of records or of dates; and
    sparse arrays of SciPy. Anything that is no array passes.

    >>> import scipy.sparse
    >>> dense("M", scipy.sparse.eye(2))
    Traceback (most recent call last):
    ...
    ValueError: M is a sparse array: must be a dense array of numbers
    """
    torch = sys.modules.get("torch")  # theory never loads it
    if torch is not None and isinstance(value, torch.Tensor):
        odd = _odd_tensor(value, torch, numbers_needed)
    else:
        odd = _odd_array(value)
    if odd:
        raise ValueError(f"{name} is {odd}: must be a dense array of numbers")


def _odd_tensor(value: Any, torch: Any, numbers_needed: bool) -> str:
    if value.is_nested:
        return "a nested tensor"
    if value.layout != torch.strided:
        name = str(value.layout)
        return "a sparse tensor" if "sparse" in name else f"a tensor of the layout {name}"
    if value.is_meta and numbers_needed:
        return "a tensor on the device meta, which holds no numbers"
    if value.is_quantized:
        return "a quantized tensor"
    is_tiny = value.is_floating_point() and value.element_size() < 2
    return f"a tensor of {value.dtype}" if is_tiny else ""


def _odd_array(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "") in ("M", "m", "V"):
        return f"an array of {dtype}"
    if "scipy.sparse" in type(value).__module__:
        return "a sparse array"
    if getattr(value, "mask", None) is not None and getattr(value.mask, "any", bool)():
        return "a masked array with masked entries"
    return ""


def fits_memory(what: str, size: float) -> None:
    """Raise ``ValueError`` if arrays of ``size`` bytes do not fit this machine's memory.

    ``what`` names the arguments with their values, and the arrays.

    >>> fits_memory("P = 10, D = 4: the inputs", 8 * 10 * 4)
    >>> fits_memory("P = 10^9, D = 10^6: the inputs", 8e15)        # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: P = 10^9, D = 10^6: the inputs would take 7450580.6 GiB of memory: there are ...
    """
    there = memory()
    if size > there:
        raise ValueError(
            f"{what} would take {size / 2**30:.1f} GiB of memory: there are {there / 2**30:.1f} GiB"
        )


def memory() -> float:
    """Return the bytes of memory that this process may use; infinity where that is unknown."""
    limits = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # of a container
        with (
            contextlib.suppress(OSError, ValueError),
            open(f"/sys/fs/cgroup/{file}", encoding="ascii") as limit,
        ):
            limits.append(int(limit.read()))
    return min(limits)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is among ``allowed``; else raise ``ValueError`` with the nearest name.

    >>> one_of("engine", "moments", ["neurons", "moments"])
    'moments'
    >>> one_of("engine", "momments", ["neurons", "moments"])
    Traceback (most recent call last):
    ...
    ValueError: engine = 'momments': did you mean 'moments'? Allowed: neurons, moments
    """
    allowed = list(allowed)
    if isinstance(value, str) and value in allowed:
        return str(value)
    import difflib  # here, as no right value needs it

    near = difflib.get_close_matches(shown(value).strip("'"), allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(allowed[:MOST_LISTED])
    more = f", ... ({len(allowed)} in all)" if len(allowed) > MOST_LISTED else ""
    raise ValueError(f"{name} = {shown(value)}: {hint}Allowed: {listed}{more}")
