"""The text to copy: a call in Python or a command line, from the arguments of that very call."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

# Arguments of simulate.PolynomialTask and simulate.train that lazyrich simulate calls otherwise.
_OPTIONS = {"D": "--D", "P": "--P"}


def python(function: str, first: str = "", **arguments: Any) -> str:
    """Return a call as Python reads it.

    >>> python("train", "task", alpha=1.0, width=math.inf)
    'train(task, alpha=1.0, width=float("inf"))'
    """
    parts = [first] if first else []
    parts += [f"{name}={_literal(value)}" for name, value in arguments.items()]
    one_line = f"{function}({', '.join(parts)})"
    if len(one_line) <= 80:
        return one_line
    return f"{function}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return 'float("inf")' if value == math.inf else repr(value)


def command(arguments: Mapping[str, Any]) -> str:
    """Return the command line of ``lazyrich simulate`` with these arguments.

    >>> command({"D": 4, "activation": "h + h^2", "centred": False, "learning_rate": 0.5})
    "lazyrich simulate --D 4 --activation 'h + h^2' --no-centred --learning-rate 0.5"
    """
    words = ["lazyrich", "simulate"]
    for name, value in arguments.items():
        option = _OPTIONS.get(name, "--" + name.replace("_", "-"))
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, value if isinstance(value, str) else repr(value)]
    return shlex.join(words)
