"""How granian runs the server: `manage.py serve --server granian` becomes `python -m config.granian HOST PORT WORKERS`.

granian has no limit to how long a client may send its body, so it belongs behind a proxy that reads requests to their
end first.
"""

import multiprocessing
import os
import re
import signal
import socket
import sys
from collections.abc import Iterable
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from django.conf import settings
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from config import process
from tokens.core.addresses import is_within

BACKLOG = 2048
# Line, headers and all of a request.
MAX_HEAD_BYTES = 64 * 1024
# How long a client may take to send them, and what a worker may take to end.
HEAD_SECONDS = 20
STOP_SECONDS = 30


class Application:
    """The WSGI application, in an environment like gunicorn's.

    granian puts the variables of the process into every request, where one called HTTP_PROXY becomes a header, takes
    the scheme from the client, and hangs up on a client whose body was left unread.
    """

    def __init__(self) -> None:
        from config import wsgi  # noqa: PLC0415 — in the workers

        self.wsgi = wsgi
        # Those whose `X-Forwarded-Proto` counts, the same as for gunicorn.
        self.proxies = settings.TRUSTED_PROXIES or ("127.0.0.1", "::1")
        self.inherited = frozenset(os.environ)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """One request (PEP 3333)."""
        environ = {name: value for name, value in environ.items() if name not in self.inherited}
        is_https = environ.get("HTTP_X_FORWARDED_PROTO") == "https" and is_within(environ["REMOTE_ADDR"], self.proxies)
        environ["wsgi.url_scheme"] = "https" if is_https else "http"
        if environ.get("CONTENT_LENGTH") and not self.wsgi.is_site_path(environ["PATH_INFO"]):
            self.wsgi.read_body(environ)
        return self.wsgi.application(environ, start_response)


def load(_target: str) -> Application:
    """What a worker serves. Starts what it needs, and has it end in order."""
    # Until granian handles them in this process, too, those of its parent do, which end nothing here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    application = Application()
    for pid in dead_workers():
        process.forget(pid)
    process.begin()
    # Forked by multiprocessing, which runs its own finalizers and not those of `atexit`.
    Finalize(None, process.end, exitpriority=0)
    return application


def dead_workers() -> set[int]:
    """The processes that have left gauges behind and are no more: granian tells nobody of their end."""
    names = (path.stem for path in Path(os.environ[process.METRICS]).glob("gauge_live*.db"))
    pids = {int(match[1]) for match in map(re.compile(r".*_([0-9]+)").fullmatch, names) if match}
    return {pid for pid in pids if not is_alive(pid)}


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main(host: str, port: int, workers: int) -> None:
    """Serve until told to stop. Exits with a sentence where it cannot listen."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # granian itself would share the port with another server of the same user.
        socket.create_server((str(address[0]), port), family=family).close()
    except OSError as exc:
        # Python adds the address to the words of the system.
        sys.exit(f"Cannot listen at {host}:{port}: {str(exc.strerror).partition(' (')[0]}")
    process.name_metrics_folder()
    process.check()
    if sys.platform == "linux":
        # From Python 3.14 on workers would load the project anew, each for itself.
        multiprocessing.set_start_method("fork")
    server = Granian(
        "config.wsgi",
        address=str(address[0]),
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        blocking_threads=settings.THREADS,
        backlog=BACKLOG,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_SECONDS * 1000, max_buffer_size=MAX_HEAD_BYTES),
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    )
    server.on_shutdown(process.remove_metrics_folder)
    print(f"Serving at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)  # noqa: T201 — see gunicorn.py
    server.serve(target_loader=load)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
