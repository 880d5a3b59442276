"""Errors of ``derive`` and ``check`` in the words of the command line: options, not arguments."""

import functools
import re
from collections.abc import Callable
from typing import Any

# What an error of the theory says, and what stands on the command line.
_WORDS = (
    (r"^covariance of (\w+) = ", r"--cov \1="),
    (r"(give its numbers) as those of Sigma, (.*)$", r'\1 by --at "\2"'),
    (r"^covariance = \{'(\w+)': '([^']*)'[^}]*\}", r"--cov \1=\2"),
    (r"^covariance = '(\w+)'", r"--cov \1"),
    (r'name its covariance, as in \{"(\w+)": "I"\}', r"name its covariance, as in --cov \1=I"),
    (r"^over = None: (.*); name the", r"--over is missing: \1; name with it the"),
    (r"^over = '(\w+)'", r"--over \1"),
    (r"^argument = '(\w+)'", r"--at \1"),
    (r"^expr = ", "polynomial = "),
    (r"^symmetric = ", "--symmetric "),
    (r"^vectors = ", "--vector "),
    (r"^matrices = ", "--matrix "),
    (r"^scalars = ", "--scalar "),
    (r"^name = ", "NAME "),
    (r"^formula = ", "FORMULA "),
    (r"\buse Problem([.(])", r"use in Python Problem\1"),
)
# Of the commands that take numbers by --constant.
_CONSTANTS = (
    (r"^missing (\w+): give \w+=", r"missing \1: give --constant \1="),
    (r"such as (\w+)=(\[|FILE)", r"such as --constant \1=\2"),
    (r"has no value: give (its \w+, as )?(\w+)=", r"has no value: give \1--constant \2="),
)


def as_typed(message: str, words: tuple[tuple[str, str], ...] = _WORDS) -> str:
    """Return a message of Python's interface in the words of the command line.

    >>> as_typed("covariance of x = 2: must be a matrix, such as 2 I")
    '--cov x=2: must be a matrix, such as 2 I'
    >>> as_typed("argument = 'q': Allowed: D, x")
    '--at q: Allowed: D, x'
    """
    for pattern, replacement in words:
        message = re.sub(pattern, replacement, message)
    return message


def constants_as_typed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command with the option --constant raise its errors in its words."""
    return errors_as_typed(function, _CONSTANTS)


def errors_as_typed(
    function: Callable[..., Any], words: tuple[tuple[str, str], ...] = _WORDS
) -> Callable[..., Any]:
    """Let a command raise its errors in these words."""

    @functools.wraps(function)
    def command(*arguments: Any, **values: Any) -> Any:
        try:
            return function(*arguments, **values)
        except ValueError as error:
            raise ValueError(as_typed(str(error), words)) from error

    return command
