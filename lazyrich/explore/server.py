"""The web server of the explorer: on 127.0.0.1 alone, for its own page alone.

``GET /`` is the page, ``GET /fields`` what can be set, and ``POST /answer`` streams the frames of
an answer, one JSON object a line. A request whose Host or Origin is not this server's is refused:
a page of another site can't drive it, not even under a name that points to this machine.
"""

import json
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from lazyrich.explore.answer import Answers, answer
from lazyrich.explore.settings import description
from lazyrich.explore.watch import Cancelled, Watch
from lazyrich.explore.words import WORDS

HOST = "127.0.0.1"
# Computations at the same time, of all pages together; the others wait for their turn.
AT_ONCE = 2
# Pages that are remembered, and bytes of the longest request.
MOST_PAGES, LONGEST_REQUEST = 32, 10_000
# Seconds that a browser may take to send a request.
PATIENCE = 10.0

_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/chart.js": ("chart.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Jobs:
    """The computations in progress: a newer one of the same page cancels the older one.

    >>> jobs = Jobs()
    >>> with jobs.job("a page") as older:
    ...     with jobs.job("a page") as newer:
    ...         older.cancelled, newer.cancelled
    (True, False)
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[str, Watch] = OrderedDict()
        self._lock, self._turns = threading.Lock(), threading.Semaphore(AT_ONCE)

    @contextmanager
    def job(self, page: str) -> Iterator[Watch]:
        """Give the watch of a new computation of this page; it is cancelled at the end at last."""
        watch = Watch()
        with self._lock:
            older = self._newest.pop(page, None)
            self._newest[page] = watch
            while len(self._newest) > MOST_PAGES:
                self._newest.popitem(last=False)[1].cancel()
        if older is not None:
            older.cancel()
        try:
            yield watch
        finally:
            watch.cancel()
            with self._lock:
                if self._newest.get(page) is watch:
                    del self._newest[page]

    @contextmanager
    def turn(self, watch: Watch) -> Iterator[None]:
        """Wait until it is this computation's turn. Raises ``Cancelled``."""
        while not self._turns.acquire(timeout=0.05):
            if watch.cancelled:
                raise Cancelled
        try:
            yield
        finally:
            self._turns.release()

    def __len__(self) -> int:
        return len(self._newest)

    def end(self) -> None:
        """Cancel all of them and wait until none computes; then no other can begin.

        Python must not end before: it aborts where a thread is in torch at that moment.
        """
        with self._lock:
            for watch in self._newest.values():
                watch.cancel()
        for _ in range(AT_ONCE):
            self._turns.acquire()


class Server(ThreadingHTTPServer):
    """The server; ``url`` is its page. ``port`` 0 takes any that is free. Raises ``ValueError``."""

    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, port: int = 0) -> None:
        self.jobs, self.answers = Jobs(), Answers()
        self.fields = json.dumps(description() | {"words": WORDS}, allow_nan=False).encode()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = f"can't be used ({error}); 0 takes any free port"
            raise ValueError(f"--port {port}: {reason}") from None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server_address[1]

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port}/"

    def server_close(self) -> None:
        """Stop listening, and cancel what is being computed."""
        super().server_close()
        self.jobs.end()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a browser left; the traceback where the server is at fault."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One request, in a thread of its own. HTTP/1.0: the end of an answer closes the connection."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Answer with a file of the page, or with what can be set."""
        if not self._is_ours():
            return
        if self.path == "/fields":
            self._reply(self.server.fields, "application/json")
        elif self.path in _FILES:
            name, kind = _FILES[self.path]
            content = files("lazyrich.explore").joinpath(name).read_bytes()
            self._reply(content, f"{kind}; charset=utf-8")
        elif self.path == "/favicon.ico":
            self.send_error(HTTPStatus.NO_CONTENT)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Stream the frames of an answer."""
        if not self._is_ours():
            return
        if self.path != "/answer":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        if self.headers.get_content_type() != "application/json":
            self.send_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or int(length) > LONGEST_REQUEST:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        try:
            request = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            request = None
        self._head("application/x-ndjson", None)
        page = str(request.get("page", ""))[:100] if isinstance(request, dict) else ""
        jobs = self.server.jobs
        with jobs.job(page) as watch, suppress(Cancelled, ConnectionError), jobs.turn(watch):
            for frame in answer(request, watch, self.server.answers):
                if watch.cancelled:
                    break
                self.wfile.write(json.dumps(frame, allow_nan=False).encode() + b"\n")

    def _is_ours(self) -> bool:
        """Whether the request is to this server and from its page; else refuse it."""
        port, headers = self.server.port, self.headers
        hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
        host, origin = headers.get("Host", ""), headers.get("Origin")
        ours = host in hosts and (origin is None or origin == f"http://{host}")
        if not ours:
            self.send_error(HTTPStatus.FORBIDDEN, "Not from the page of this server")
            return False
        return True

    def _head(self, kind: str, length: int | None) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in (_HEADERS | {"Content-Type": kind}).items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _reply(self, content: bytes, kind: str) -> None:
        self._head(kind, len(content))
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: a move of a slider is no news."""
