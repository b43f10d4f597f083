"""What no test may leave behind: a secret that was made in it, in any row that it wrote or any line that it logged.

Secrets are what opens a door: signed tokens, keys, recovery codes. Not among them are passwords, which are checked
against slow hashes and made by people, and the seeds of authenticators, which have to be stored to check a code.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.sessions.models import Session
from django.db import connection
from django.db.backends.signals import connection_created

from edi_auth import pasta
from tokens import operators
from tokens.core.lifecycle import Minted
from tokens.core.signing import KeyRing
from tokens.models import plain_code

# Of a shorter one, such as a test gives as the key that a publisher has, every other text holds a copy.
SHORTEST = 16
# No secret is longer than its end: what was cut off at the front is found as well.
END = 40
WRITE = re.compile(r'(?:INSERT(?: OR IGNORE)? INTO|UPDATE) "(\w+)"')


class Watch:
    """The secrets that were made, the tables that were written and the lines that were logged since `begin`."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the test before."""
        self.made: set[str] = set()
        self.tables: set[str] = set()
        self.lines: list[bytes] = []

    def install(self) -> None:
        """Look over the shoulder of everything that makes a secret, and of every connection to the database."""
        KeyRing.sign = self.noting(KeyRing.sign)  # type: ignore[method-assign]  # of every ring
        pasta.sign = self.noting(pasta.sign)
        secrets.token_urlsafe = self.noting(secrets.token_urlsafe)
        operators.fresh_code = self.noting(operators.fresh_code)
        noting = self.noting(Minted.__new__, lambda minted: minted.secret)
        Minted.__new__ = noting  # type: ignore[method-assign]  # every row with its secret is made by it
        connection_created.connect(self.attach)

    def noting(self, make: Callable[..., Any], secret_of: Callable[[Any], str] = str) -> Callable[..., Any]:
        """`make`, whose secrets are remembered."""

        def remembering(*args: Any, **kwargs: Any) -> Any:
            made = make(*args, **kwargs)
            self.made.add(secret_of(made))
            return made

        return remembering

    def attach(self, connection: Any, **_: Any) -> None:
        """Learn of each write of a connection; first in line, because whoever joins it for a while leaves it last."""
        if self.note_write not in connection.execute_wrappers:
            connection.execute_wrappers.insert(0, self.note_write)

    def note_write(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Remember the tables that a statement writes."""
        if isinstance(sql, str):
            self.tables.update(WRITE.findall(sql))
        return execute(sql, params, many, context)

    def pieces(self) -> set[str]:
        """What to look for."""
        texts = {text for secret in self.made for text in (secret, plain_code(secret))}
        return {text[-END:] for text in texts if len(text) >= SHORTEST}

    def kept(self) -> list[str]:
        """The secrets that are in a row of the tables that were written, sessions decoded."""
        pieces = self.pieces() if self.tables else set()
        return found(pieces, map(rows_of, sorted(self.tables))) if pieces else []

    def logged(self) -> list[str]:
        """The secrets that are in a line that was logged."""
        return found(self.pieces(), (b"".join(self.lines).decode(errors="replace"),)) if self.lines else []


def found(pieces: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The pieces that a text holds."""
    everything = "\n".join(texts)
    return sorted(piece for piece in pieces if piece in everything)


def rows_of(table: str) -> str:
    """All that is stored in a table, all columns of all rows, as text."""
    if table == Session._meta.db_table:
        return str([session.get_decoded() for session in Session.objects.all()])
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 — the name of a table that was just written
        return str(cursor.fetchall())


watch = Watch()
