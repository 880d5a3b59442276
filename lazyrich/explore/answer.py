"""From what a page sent to the frames that answer it: every input gets an answer, and no traceback.

A frame is a dictionary that JSON holds; the page shows the newest value of each key:

- ``stage``: how far the answer is; ``error``: the one line that says what is wrong; ``notes``.
- ``provisional``: which part of the run the facts are about, or how exact they are; else "".
- ``charts`` by name, ``facts`` (numbers by name, as text), ``phases``, ``formulas``.
- ``python`` and ``command``: text to copy; None where there is none.
"""

from collections.abc import Iterator
from typing import Any

from lazyrich.cli import in_one_line
from lazyrich.explore import diagonal, two_layer
from lazyrich.explore.settings import checked
from lazyrich.explore.watch import Cancelled, Watch

_MODELS = {"two-layer": two_layer.frames, "diagonal": diagonal.frames}


def answer(request: Any, watch: Watch) -> Iterator[dict[str, Any]]:
    """Yield the frames of a request with ``model`` and ``settings``.

    >>> list(answer({"model": "two-layer", "settings": {"D": -1}}, Watch()))
    [{'error': 'D = -1: must be a whole number from 2 to 100 in the explorer', 'stage': ''}]
    """
    try:
        if not isinstance(request, dict):
            raise ValueError("the request must be an object with model and settings")
        model = request.get("model")
        settings = checked(model, request.get("settings", {}))
        for frame in _MODELS[str(model)](settings, watch):
            yield {"error": None, **frame}
    except Cancelled:
        return
    except Exception as error:
        yield {"error": in_one_line(error)[0], "stage": ""}
