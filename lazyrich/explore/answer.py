"""From what a page sent to the frames that answer it: every input gets an answer, and no traceback.

A frame is a dictionary that JSON holds; the page shows the newest value of each key:

- ``stage``: how far the answer is; ``error``: the one line that says what is wrong; ``notes``.
- ``provisional``: which part of the run the facts are about, or how exact they are; else "".
- ``partial``: whether more of the charts and facts is still to come; the page shows what it has
  of earlier settings pale until then.
- ``charts`` by name, ``facts`` (numbers by name, as text), ``phases``, ``formulas``.
- ``python`` and ``command``: text to copy; None where there is none.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from lazyrich.cli import in_one_line
from lazyrich.explore import diagonal, two_layer
from lazyrich.explore.settings import checked
from lazyrich.explore.watch import Cancelled, Watch

_MODELS = {"two-layer": two_layer.frames, "diagonal": diagonal.frames}


# Answers that are kept, of some 50 kB each.
KEPT = 64


class Answers:
    """The complete answers given last: a slider that comes back to a place is answered at once.

    >>> kept = Answers()
    >>> kept.keep("key", {"stage": "complete"})
    >>> kept.get("key"), kept.get("another")
    ({'stage': 'complete'}, None)
    """

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the answer to a request, None if it is not kept."""
        with self._lock:
            if key not in self._texts:
                return None
            self._texts.move_to_end(key)
            return json.loads(self._texts[key])

    def keep(self, key: str, found: dict[str, Any]) -> None:
        """Keep an answer in place of the one that was asked for the longest time ago."""
        text = json.dumps(found)
        with self._lock:
            self._texts[key] = text
            while len(self._texts) > KEPT:
                self._texts.popitem(last=False)


def answer(request: Any, watch: Watch, kept: Answers | None = None) -> Iterator[dict[str, Any]]:
    """Yield the frames of a request with ``model`` and ``settings``: one, if it is in ``kept``.

    >>> list(answer({"model": "two-layer", "settings": {"D": -1}}, Watch()))
    [{'error': 'D = -1: must be a whole number from 2 to 100 in the explorer', 'stage': ''}]
    """
    try:
        if not isinstance(request, dict):
            raise ValueError("the request must be an object with model and settings")
        model = request.get("model")
        settings = checked(model, request.get("settings", {}))
        key = json.dumps([model, settings])
        known = None if kept is None else kept.get(key)
        if known is not None:
            yield known
            return
        shown: dict[str, Any] = {}
        for frame in _MODELS[str(model)](settings, watch):
            full = {"error": None, "partial": False, **frame}
            shown |= full
            yield full
        if kept is not None and shown["stage"] == "complete":
            kept.keep(key, shown)
    except Cancelled:
        return
    except Exception as error:
        yield {"error": in_one_line(error)[0], "stage": ""}
