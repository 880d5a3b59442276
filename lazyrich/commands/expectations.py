"""The options that declare what the names of an expectation are, for ``derive`` and ``check``."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from lazyrich.support.progress import progress_bar

if TYPE_CHECKING:
    from lazyrich.theory import ClosedForm

_OPTIONS = {
    "--over": ("NAME", "A Gaussian vector to average over (default: all x, x_prime, w)."),
    "--cov": ("NAME=MATRIX", "Its covariance, such as x=Sigma or z=I."),
    "--symmetric": ("NAME", "A matrix that equals its transpose."),
    "--vector": ("NAME", "A name that is a vector."),
    "--matrix": ("NAME", "A name that is a matrix."),
    "--scalar": ("NAME", "A name that is a number."),
}


def expectation_options(command: Callable) -> Callable:
    """Add the options, each of which may be repeated."""
    for option, (metavar, text) in reversed(_OPTIONS.items()):
        command = click.option(option, multiple=True, metavar=metavar, help=text)(command)
    return command


def expected(
    formula: str, declarations: Mapping[str, tuple[str, ...]], quiet: bool
) -> "ClosedForm":
    """The expectation of a formula under the options' declarations, with a progress bar."""
    from lazyrich.theory import expectation

    with progress_bar("integrating", quiet) as progress:
        return expectation(formula, progress=progress, **arguments(declarations))


def arguments(declarations: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """The options as the keywords of ``theory.expectation``.

    >>> arguments({"cov": ("x=Sigma",), "symmetric": ("A",), "over": ()})["covariance"]
    {'x': 'Sigma'}
    """
    covariance: dict[str, str] = {}
    for assignment in declarations.get("cov", ()):
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not (name and equals and text):
            raise ValueError(f"--cov {assignment}: must be NAME=MATRIX, such as x=Sigma")
        if name in covariance:
            raise ValueError(f"--cov {assignment}: {name} is given twice")
        covariance[name] = text
    return {
        "over": declarations.get("over") or None,
        "covariance": covariance,
        "symmetric": declarations.get("symmetric", ()),
        "vectors": declarations.get("vector", ()),
        "matrices": declarations.get("matrix", ()),
        "scalars": declarations.get("scalar", ()),
    }
