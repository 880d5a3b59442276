"""The options that describe a user's own network and target, for every command that takes them."""

import functools
from collections.abc import Callable
from typing import Any

import click

_OPTIONS = {
    "activation": click.option(
        "--activation", metavar="EXPR", help='Your activation, such as "h + c*h^3".'
    ),
    "target": click.option(
        "--target", metavar="EXPR", help='Your target, such as "(beta.x)^2/2 + b.x".'
    ),
    "readouts": click.option(
        "--readouts",
        type=click.Choice(("fixed", "trained")),
        help="Whether your network's readouts are fixed at 1 or trained.",
    ),
    "inputs": click.option(
        "--inputs",
        type=click.Choice(("I/D", "Sigma")),
        help="Covariance of your inputs; values of Sigma as those of other symbols.",
    ),
}


def problem_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets those that are used as the dictionary ``described``."""

    @functools.wraps(function)
    def command(*arguments: Any, **values: Any) -> Any:
        given = {key: values.pop(key) for key in _OPTIONS}
        described = {key: value for key, value in given.items() if value is not None}
        return function(*arguments, described=described, **values)

    for option in reversed(_OPTIONS.values()):
        command = option(command)
    return command
