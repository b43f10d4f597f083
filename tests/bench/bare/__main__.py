"""Serves the bare project with the options of the shipped server: `python -m tests.bench.bare PORT WORKERS`."""

import os
import sys
from collections.abc import Callable
from typing import Any

from config import gunicorn as shipped

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.bare.settings"

from gunicorn.app.base import BaseApplication

OPTIONS = ("worker_class", "threads", "worker_connections", "keepalive", "preload_app", "control_socket_disable")


class Application(BaseApplication):
    """gunicorn, configured from Python."""

    def load_config(self) -> None:
        for name in OPTIONS:
            self.cfg.set(name, getattr(shipped, name))
        self.cfg.set("bind", f"127.0.0.1:{sys.argv[1]}")
        self.cfg.set("workers", int(sys.argv[2]))

    def load(self) -> Callable[..., Any]:
        from tests.bench.bare.wsgi import application  # noqa: PLC0415 — the settings come first

        return application


if __name__ == "__main__":
    Application().run()
