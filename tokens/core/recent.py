"""Results of the last minute, so that nothing is computed twice that depends on its input alone."""

import time
from typing import Generic, TypeVar

Result = TypeVar("Result")

SECONDS = 60
MAX_RESULTS = 2048


class Recent(Generic[Result]):
    """At most `MAX_RESULTS` results of a pure function, none of which is found after `SECONDS`.

    A result is kept under the SHA-256 of its input, so that no credential is held to know it again. It lives in one of
    two generations: the younger becomes the older when it is half a minute old or full, and what was the older goes.
    Threads may share it; what two of them do at once can cost a result, never mix two up.
    """

    def __init__(self) -> None:
        self._younger: dict[bytes, Result] = {}
        self._older: dict[bytes, Result] = {}
        self._since = 0.0

    def get(self, fingerprint: bytes) -> Result | None:
        """The result of the input that has this SHA-256."""
        self._age()
        found = self._younger.get(fingerprint)
        return self._older.get(fingerprint) if found is None else found

    def put(self, fingerprint: bytes, result: Result) -> None:
        """Keep `result`."""
        self._age()
        self._younger[fingerprint] = result

    def _age(self) -> None:
        now = time.monotonic()
        age = now - self._since
        if age >= SECONDS:
            self._younger, self._older, self._since = {}, {}, now
        elif age >= SECONDS / 2 or len(self._younger) >= MAX_RESULTS // 2:
            self._older, self._younger = self._younger, {}
            self._since = min(now, self._since + SECONDS / 2)
