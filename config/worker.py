"""gunicorn's worker with threads, of which none waits for ever for a request that arrives a byte at a time."""

import contextlib
import socket
import threading
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # the library has no types

# A request, its body included, has to be there within so many seconds. What it is answered with may take longer.
REQUEST_SECONDS = 30


class Worker(ThreadWorker):
    """Stops listening to whoever takes too long to say what they want: a few such clients would hold all threads."""

    def init_process(self) -> None:
        """Look after the connections as long as this process lives."""
        self.begun: dict[Any, float] = {}
        threading.Thread(target=self._hurry_for_ever, name="hurry", daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Handle one request, and know meanwhile since when."""
        self.begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            del self.begun[conn]

    def hurry(self) -> None:
        """Have those that wait for a request that began too long ago read its end."""
        late = time.monotonic() - REQUEST_SECONDS
        for conn, begun in list(self.begun.items()):
            if begun < late:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)

    def _hurry_for_ever(self) -> None:
        while True:
            time.sleep(1)
            self.hurry()
