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


def as_typed(message: str) -> str:
    """Return a message of Python's interface in the words of the command line.

    >>> as_typed("covariance of x = 2: must be a matrix, such as 2 I")
    '--cov x=2: must be a matrix, such as 2 I'
    >>> as_typed("argument = 'q': Allowed: D, x")
    '--at q: Allowed: D, x'
    """
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    return message


def errors_as_typed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command raise its errors in these words."""

    @functools.wraps(function)
    def command(*arguments: Any, **values: Any) -> Any:
        try:
            return function(*arguments, **values)
        except ValueError as error:
            raise ValueError(as_typed(str(error))) from error

    return command
