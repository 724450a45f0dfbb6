"""The folder of reports in a browser on this machine and nobody else's: 127.0.0.1 only, files below the folder only."""

import threading
import webbrowser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from helpers.errors import CourseError

HERE = "127.0.0.1"
PORT = 8000


def server(out: Path, port: int = PORT) -> ThreadingHTTPServer:
    """A server of the folder, bound and not yet running; port 0 is any that is free.

    Raises CourseError where there is nothing to show, and where the port is taken.
    """
    if not (out / "index.html").is_file():
        raise CourseError(f"{out}: no index.html, so no reports are there. Make some: course run 00_start_here")
    if not 0 <= port <= 65535:
        raise CourseError(f"--port is {port}; it needs a whole number from 0 to 65535. 0 is any port that is free")
    try:
        return ThreadingHTTPServer((HERE, port), partial(Below, directory=str(out.resolve())))
    except OSError as error:
        raise CourseError(f"--port {port}: {error.strerror}. Take any that is free: --port 0") from None


def serve(serving: ThreadingHTTPServer, opened: bool) -> None:
    """Serve until an interrupt; `opened` shows the overview in the browser."""
    with serving:
        if opened:  # beside: a browser for the terminal would wait for us, and we for it
            threading.Thread(target=webbrowser.open, args=(address(serving),), daemon=True).start()
        serving.serve_forever()


def address(serving: ThreadingHTTPServer) -> str:
    """Where a browser finds it."""
    return f"http://{HERE}:{serving.server_port}/"


class Below(SimpleHTTPRequestHandler):
    """Files below one folder: no lists of folders, nothing hidden, and no way out by `..` or a link."""

    server: ThreadingHTTPServer
    server_version = "course"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".yaml": "text/plain; charset=utf-8", ".log": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8",
        ".json": "application/json", ".ipynb": "application/json", ".html": "text/html; charset=utf-8",
    }  # fmt: skip

    def send_head(self):
        if self._meant():
            return super().send_head()
        self.send_error(404)
        return None

    def end_headers(self):
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")  # a run may be made again while we serve
        super().end_headers()

    def log_message(self, format, *args):
        """Nothing: one address was printed, and that is enough."""

    def _meant(self) -> bool:
        # a page elsewhere may have its own name lead to 127.0.0.1, and would read what we send
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (HERE, "localhost")}:
            return False
        root = Path(self.directory)
        try:
            asked = Path(self.translate_path(self.path))
            file = (asked / "index.html" if asked.is_dir() else asked).resolve()
            inside = asked.relative_to(root)
        except (ValueError, OSError, RuntimeError):  # a name with a null byte, one too long, links in a ring
            return False
        hidden = any(part.startswith(".") for part in (*inside.parts, *file.parts[len(root.parts) :]))
        return file.is_file() and file.is_relative_to(root) and not hidden
