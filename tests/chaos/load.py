"""Clients that do what clients do, and remember what they were told: a model of what the registry must know."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.server.registry import Answer, Registry, send

# How long a client that was not served keeps from asking again.
PAUSE_SECONDS = 0.05
FAILED = Answer(0, http.client.HTTPMessage(), b"")


@dataclass
class Known:
    """What one client was told. `doubtful` holds what it was told nothing about: it may have happened or not."""

    active: dict[str, bool] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    performance: list[str] = field(default_factory=list)
    exchanged_at: list[float] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """One client with names of its own, so that what it knows of them is all there is to know."""

    def __init__(self, number: int, registry: Registry, stop: threading.Event) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.number, self.registry, self.stop = number, registry, stop
        self.known = Known()
        self._random = random.Random(number)  # noqa: S311 — a load that can be repeated
        self._connection = registry.connect()
        self._serial = 0

    def run(self) -> None:
        """Go on until told to stop."""
        verbs: list[tuple[Callable[[], None], int]] = [
            (self.create, 4),
            (self.update, 3),
            (self.revoke, 2),
            (self.exchange, 3),
            (self.mint, 3),
        ]
        verb, weights = zip(*verbs, strict=True)
        while not self.stop.is_set():
            self._random.choices(verb, weights)[0]()
        self._connection.close()

    def call(self, verb: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request, on a connection that is kept as long as it lasts."""
        self.known.sent[verb] += 1
        try:
            answer = send(self._connection, method, path, body, **headers)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            answer = FAILED
        if answer.status in {0, 503}:
            time.sleep(PAUSE_SECONDS)
        if answer.status in {200, 201}:
            self.known.acknowledged[verb] += 1
        elif answer.status not in {0, 429, 503} and not (answer.status == 500 and verb == "mint"):
            self.known.wrong.append(f"{verb}: {answer.status} {answer.body[:200]!r}")
        return answer

    def create(self) -> None:
        """Make a named token."""
        self._serial += 1
        name = f"chaos-{self.number}-{self._serial}"
        answer = self.call("create", "POST", "/_/token", {"name": name, "write": False}, **self.bearer)
        if answer.status == 201:
            self.known.active[name] = True
            self.known.values[name] = answer.json()["data"][0]["token"]
        else:
            self.known.doubtful.add(name)

    def update(self) -> None:
        """Switch one off, or on again."""
        name = self.choice()
        if name is not None:
            active = not self.known.active[name]
            answer = self.call("update", "PUT", "/_/token", {"name": name, "active": active}, **self.bearer)
            self.settle(name, answer, lambda: self.known.active.update({name: active}))

    def revoke(self) -> None:
        """End one."""
        name = self.choice()
        if name is not None:
            answer = self.call("revoke", "DELETE", "/_/token", {"name": name}, **self.bearer)
            self.settle(name, answer, lambda: self.known.revoked.update({name: self.known.values[name]}))
            self.known.active.pop(name, None)

    def exchange(self) -> None:
        """Exchange the API key."""
        answer = self.call("exchange", "POST", "/auth/v1/key", {"key": self.registry.api_key})
        if answer.status == 200:
            self.known.exchanged_at.append(time.monotonic())

    def mint(self) -> None:
        """Fetch a performance token."""
        answer = self.call("mint", "GET", "/token", X_PUB_KEY=self.registry.public_key)
        if answer.status == 200:
            self.known.performance.append(answer.json()["token"])

    @property
    def bearer(self) -> dict[str, str]:
        """The header of the first named token."""
        return {"Authorization": f"Bearer {self.registry.bearer}"}

    def choice(self) -> str | None:
        """Some name that is known to be there."""
        return self._random.choice(list(self.known.active)) if self.known.active else None

    def settle(self, name: str, answer: Answer, remember: Callable[[], None]) -> None:
        """Remember what was acknowledged; of what was not, nothing is known any more."""
        if answer.status == 200:
            remember()
        else:
            self.known.active.pop(name, None)
            self.known.doubtful.add(name)
