"""How gunicorn runs the server; `manage.py serve` names this file and adds address and number of workers."""

import importlib
import logging
import os
import re
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import Any

# Chosen by gunicorn's own ways, which are read after this file.
IS_GEVENT = re.search(r"(-k|--worker-class)[ =]?gevent", " ".join([os.environ.get("GUNICORN_CMD_ARGS", ""), *sys.argv]))
if IS_GEVENT:
    # Before anything of Django is loaded, which has one database connection for each thread: greenlets would share it.
    importlib.import_module("gevent.monkey").patch_all()

from django.conf import settings  # noqa: E402 — see above

from config import balance, process  # noqa: E402 — see above
from config.connection import TLSClient  # noqa: E402 — see above

process.name_metrics_folder()

wsgi_app = "config.wsgi"
preload_app = True
worker_class = "config.worker.Worker"
threads = settings.THREADS
# Threads pile up on one worker unless it stops accepting.
worker_connections = 8 * settings.THREADS
timeout = 30
graceful_timeout = 30
keepalive = 5
max_requests = 0
accesslog = None
errorlog = "-"
loglevel = "warning"
proc_name = "token-registry"
# Two instances of one user would delete each other's.
control_socket_disable = True
forwarded_allow_ips = ",".join(settings.TRUSTED_PROXIES) or "127.0.0.1,::1"
# gunicorn would take the path from headers of these names, which most proxies pass on from clients.
forwarder_headers = ""
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 16384

# Where gunicorn begins to quote what it does not understand.
QUOTED = re.compile(r"""[:,]? \(?b?['"]""")

# A client that stops in the middle of a body frees its thread after so many seconds.
BODY_TIMEOUT_SECONDS = 10


def on_starting(server: Any) -> None:
    """Serve nothing that would not work, and log no secret."""
    logging.getLogger("gunicorn.error").addFilter(forget_what_was_sent)
    process.check()


def forget_what_was_sent(record: logging.LogRecord) -> bool:
    """Keep of what gunicorn says of a request that makes no sense why, and not what it quotes: that may be a secret."""
    said = str(record.msg)
    if said.startswith("Invalid request from "):
        record.msg = QUOTED.split(said, maxsplit=1)[0]
    return True


def when_ready(server: Any) -> None:
    """Bound how long a read from a client may block, and say where the server listens."""
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", BODY_TIMEOUT_SECONDS, 0))
        if listener.sock.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
            # Whoever connects and says nothing costs no thread: the kernel keeps the connection until something comes.
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, BODY_TIMEOUT_SECONDS)
        print(f"Serving at {listener}", flush=True)  # noqa: T201 — the one line that a person waits for


def pre_request(worker: Any, req: Any) -> None:
    """Bound the wait for a body where gevent waits, which knows nothing of the listener's bound."""
    if IS_GEVENT:
        req.unreader.sock.settimeout(BODY_TIMEOUT_SECONDS)


def ssl_context(conf: Any, default_ssl_context_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What gunicorn would take, with clients for which nobody waits for ever. gevent has sockets of its own."""
    context = default_ssl_context_factory()
    if not IS_GEVENT:
        context.sslsocket_class = TLSClient
    return context


def pre_fork(server: Any, worker: Any) -> None:
    """Leave no database connection or pool for two processes to share."""
    from django.db import connections  # noqa: PLC0415 — not before the application is loaded

    for connection in connections.all(initialized_only=True):
        connection.close()
        getattr(connection, "close_pool", bool)()


def worker_exit(server: Any, worker: Any) -> None:
    """Keep what was counted and traced."""
    process.end()


def post_worker_init(worker: Any) -> None:
    """Start what a worker needs."""
    process.begin()


def child_exit(server: Any, worker: Any) -> None:
    """Take a worker that has ended out of the gauges, and leave it no connection."""
    process.forget(worker.pid)
    balance.tell(worker.age, balance.ABSENT)


def on_exit(server: Any) -> None:
    """Leave no counters behind."""
    process.remove_metrics_folder()
